package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"cartwheel/bench"
	results "cartwheel/bench/result"
)

// startBenched serves a cluster of one node that takes all writes and finds everything, and makes
// it the one that commands talk to. It answers objects with the status, unless that is 0.
func startBenched(t *testing.T, status int) *atomic.Int64 {
	t.Helper()
	objects := &atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch {
		case r.URL.Path == "/cluster":
			_, _ = io.WriteString(w, `{"cluster":"c","node":"n1","ready":true,"n":3,"partitions":64,"version":"v1","durability":"os","cores":2,"members":[{"name":"n1","alive":true}]}`)
		case strings.HasSuffix(r.URL.Path, "/props") && r.Method == http.MethodGet:
			_, _ = io.WriteString(w, `{"props":{"allow_mult":false,"n_val":1}}`)
		case strings.HasSuffix(r.URL.Path, "/props"):
			w.WriteHeader(http.StatusNoContent)
		case strings.HasPrefix(r.URL.Path, "/buckets/"):
			objects.Add(1)
			if status != 0 {
				w.WriteHeader(status)
			} else if r.Method == http.MethodPut {
				w.WriteHeader(http.StatusNoContent)
			} else {
				_, _ = io.WriteString(w, "value")
			}
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	t.Setenv(endpointVariable, srv.URL)
	return objects
}

func TestBenchOutputs(t *testing.T) {
	objects := startBenched(t, 0)
	dir := t.TempDir()
	file, page, charts := filepath.Join(dir, "run.json"), filepath.Join(dir, "r.html"), filepath.Join(dir, "png", "s")
	r := cartwheel(t, "", "bench", "--for", "100ms", "--warm-up", "0s", "--clients", "2", "--keys", "10", "--seed", "5",
		"--json", file, "--report", page, "--png", charts)
	r.expect(t, "bench", exitDone, r.stdout, "wrote "+file, "wrote "+page, " charts in "+charts)
	if !strings.Contains(r.stdout, "N=1 default") || objects.Load() == 0 {
		t.Errorf("%d requests, table\n%s", objects.Load(), r.stdout)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var run results.Run
	if err := json.Unmarshal(text, &run); err != nil {
		t.Fatal(err)
	}
	if run.Schema != results.Schema || run.Cluster.Durability != "os" || run.Load.Seed != 5 || len(run.Cells) != 1 || run.Software.Version != version {
		t.Errorf("%s", text)
	}
	want := fmt.Sprintf("cartwheel bench --clients=2 --for=100ms --json=%s --keys=10 --png=%s --report=%s --seed=5 --warm-up=0s", file, charts, page)
	if run.Command != want {
		t.Errorf("command %s, want %s", run.Command, want)
	}
	if html, err := os.ReadFile(page); err != nil || !strings.Contains(string(html), "</html>") {
		t.Errorf("%v, %d bytes of report", err, len(html))
	}
	if pngs, err := filepath.Glob(filepath.Join(charts, "*.png")); err != nil || len(pngs) == 0 {
		t.Errorf("charts %v, %v", pngs, err)
	}
}

// What is on the standard output is JSON and nothing else.
func TestBenchJSON(t *testing.T) {
	startBenched(t, 0)
	r := cartwheel(t, "", "bench", "--for", "50ms", "--warm-up", "0s", "--clients", "1", "--keys", "5", "--workload", "get", "--matrix", "r=1", "--matrix", "w=1", "--json", "-")
	var run results.Run
	if err := json.Unmarshal([]byte(r.stdout), &run); err != nil || r.code != exitDone || len(run.Cells) != 2 {
		t.Errorf("exit code %d, %v:\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	if want := "--matrix='r=1 w=1' "; !strings.Contains(run.Command, want) || !strings.Contains(run.Command, fmt.Sprintf(" --seed=%d", run.Load.Seed)) {
		t.Errorf("command %s, want %s", run.Command, want)
	}
}

// A cell in which nothing succeeded is no measurement.
func TestBenchBarren(t *testing.T) {
	startBenched(t, http.StatusServiceUnavailable)
	r := cartwheel(t, "", "bench", "--for", "50ms", "--warm-up", "0s", "--clients", "1")
	r.expect(t, "barren", exitFailed, r.stdout, "cartwheel: no operation succeeded in the cell N=1 default: ", ` x 503; see "cartwheel status"`)
	if !strings.Contains(r.stdout, "N=1 default") {
		t.Errorf("no table:\n%s", r.stdout)
	}
}

func TestBenchUsage(t *testing.T) {
	objects := startBenched(t, 0)
	dir := t.TempDir()
	missing, file := filepath.Join(dir, "no", "run.json"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ args, words string }{
		{"x", "too many arguments"},
		{"--workload scan", `no workload "scan"; there are put, get, mixed:0.8, ycsb-a`},
		{"--matrix r=0", `the cell "r=0" of the matrix: r=0: use a number from 1`},
		{"--matrix r=1, w=1", "too many arguments"},
		{"--n 0", "n=0: name different numbers from 1 to 16"},
		{"--n 3 --matrix r=4", "r=4 is above n=3"},
		{"--n x", `--n "x": write whole numbers separated by commas; see "cartwheel bench --help"`},
		{"--seed -1", `--seed "-1": write a whole number from 0; see`},
		{"--for x", `--for "x": write a time such as 500ms, 10s or 2m; see`},
		{"--nope", "unknown flag: --nope"},
		{"--value 1k", `value size "1k": write bytes as 1024`},
		{"--for 0", "--for 0s: choose from 10ms to 24h for each cell"},
		{"--clients 0", "0 clients: choose from 1"},
		{"--keys 0", "0"},
		{"--target https://h:1", "nodes speak no TLS; use http://HOST:PORT"},
		{"--staleness", "name at least two nodes"},
		{"--staleness-for 1s", "--staleness-for has no meaning without --staleness"},
		{"--target http://h:1,h:1", `the target "h:1" is named twice`},
		{"--during kill", "faults need both --chaos, "},
		{"--chaos http://127.0.0.1:1", "faults need both"},
		{"--during kill --chaos http://127.0.0.1:1 --for 1s", "choose 1.5s or more"},
		{"--json " + missing, "there is no directory " + filepath.Dir(missing) + "; make it first"},
		{"--report -", `--report "-": name a file`},
		{"--json=", `--json "": name a file`},
		{"--json " + dir, `": name a file`},
		{"--report " + dir, `": name a file`},
		{"--png " + file, file + " is no directory"},
		{"--png " + file + "/a/b", file + " is no directory"},
		{"--png=", `--png "": name a directory`},
	} {
		r := cartwheel(t, "", append([]string{"bench"}, strings.Fields(tc.args)...)...)
		r.expect(t, tc.args, exitUsage, "", "cartwheel: ", tc.words)
	}
	if objects.Load() > 0 {
		t.Errorf("%d requests were sent all the same", objects.Load())
	}
	// Only the cluster knows that there are no three members.
	cartwheel(t, "", "bench", "--n", "3").expect(t, "--n 3", exitFailed, "", "cartwheel: n=3 needs 3 members, the cluster has 1")
	cartwheel(t, "", "bench", "--target", "http://127.0.0.1:1").expect(t, "nobody", exitFailed, "", "cartwheel: no answer (dial tcp 127.0.0.1:1: ", "name only running ones with --target")
}

func TestBenchLine(t *testing.T) {
	cell := bench.Progress{Phase: "measuring", Cell: 3, Cells: 9, Name: "N=3 R=1 W=3", Ops: 10, Rate: 5123.4, P50: 1234567, P99: 89 * time.Millisecond, Errors: 2, Share: .2512, Left: 81234 * time.Millisecond}
	fault := cell
	fault.Fault = "kill n3"
	for want, p := range map[string]bench.Progress{
		"asking the nodes":                                         {Phase: "asking the nodes", Cells: 9, Left: time.Minute},
		"writing the keys: 4000 of 10000":                          {Phase: "writing the keys", Filled: 4000, Keys: 10000, Cell: 2},
		"cell 1 of 2, x, staleness, 50%":                           {Phase: "staleness", Cell: 1, Cells: 2, Name: "x", Share: .5},
		"cell 1 of 2, x, warm-up: 0/s, p50 –, p99 –, 1 errors, 0%": {Phase: "warm-up", Cell: 1, Cells: 2, Name: "x", Errors: 1, Left: 400 * time.Millisecond},
		"cell 3 of 9, N=3 R=1 W=3, measuring: 5123/s, p50 1.23 ms, p99 89.0 ms, 2 errors, 25%, about 1m21s left":                cell,
		"cell 3 of 9, N=3 R=1 W=3, measuring during kill n3: 5123/s, p50 1.23 ms, p99 89.0 ms, 2 errors, 25%, about 1m21s left": fault,
	} {
		if got := benchLine(p, true); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	if benchShare(bench.Progress{Filled: 1, Keys: 4, Share: .9}) != .25 || benchShare(cell) != .2512 {
		t.Error("wrong share")
	}
}

// Every tick writes once, and no line is as long as the terminal is wide: one that wraps scrolls.
func TestBenchBar(t *testing.T) {
	p := bench.Progress{Phase: "measuring", Cell: 3, Cells: 9, Name: "N=3 R=1 W=3", Ops: 10, Rate: 5123.4, P50: 123456, P99: 89 * time.Millisecond, Share: .25, Left: time.Minute, Fault: "pause n3"}
	for _, width := range []int{10, 40, 80, 100, 200} {
		var w ticks
		show, finish := benchBar(&w, func() int { return width })
		for i := range 5 {
			p.Share = float64(i) / 4
			show(p)
		}
		show(bench.Progress{Phase: "writing the keys", Filled: 1, Keys: 4})
		finish()
		for i, text := range w[:min(len(w), 6)] {
			line := strings.Trim(strings.TrimSuffix(text, "\x1b[0K"), "\r")
			if n := utf8.RuneCountInString(line); width >= 40 && n >= width || strings.Count(line, "%") != 1 || strings.ContainsAny(line, "\r\n\x1b") {
				t.Errorf("%d columns, tick %d: %d characters: %q", width, i, n, text)
			}
		}
		if len(w) != 7 || width == 200 && !strings.HasPrefix(w[1], "\r  25% |██        |  cell 3 of 9, N=3 R=1 W=3, measuring during pause n3: 5123/s, p50 123 µs, p99 89.0 ms, 0 errors, about 1m0s left ") || w[6] != "\x1b[2K\r" {
			t.Errorf("%d columns: %q", width, w)
		}
	}
}

// ticks are the writes that it gets.
type ticks []string

func (w *ticks) Write(b []byte) (int, error) {
	*w = append(*w, string(b))
	return len(b), nil
}

func TestShellWord(t *testing.T) {
	for word, want := range map[string]string{
		"": "''", "a-b_c.d/e:f,g=h@i%j+k": "a-b_c.d/e:f,g=h@i%j+k", "r=1 w=1": "'r=1 w=1'", "it's": `'it'\''s'`, "$x": "'$x'", "a$b": "'a$b'", "ü": "'ü'", "a\nb": "'a\nb'",
	} {
		if got := shellWord(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}
