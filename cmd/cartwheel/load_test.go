package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/client"
)

func TestLoadStoresEveryLine(t *testing.T) {
	f := start(t)
	var in strings.Builder
	in.WriteString("\uFEFF")
	for i := range 500 {
		fmt.Fprintf(&in, "{\"key\":\"k%d\",\"value\":\"v%d\"}\n", i, i)
		if i%100 == 0 {
			in.WriteString("\r\n  \n")
		}
	}
	in.WriteString(`{"key":"last","value":"without a line break"}`)
	file := filepath.Join(t.TempDir(), "in.ndjson")
	if err := os.WriteFile(file, []byte(in.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for bucket, got := range map[string]result{
		"file":  cartwheel(t, "", "load", "file", file),
		"stdin": cartwheel(t, in.String(), "load", "stdin", "-", "--clients", "3", "--w", "1"),
	} {
		if got.code != 0 || !strings.HasPrefix(got.stdout, "stored 501, failed 0 (") || got.stderr != "" {
			t.Errorf("%s: %+v", bucket, got)
		}
		for i := range 500 {
			path := fmt.Sprintf("/buckets/%s/keys/k%d", bucket, i)
			if v := f.values(path); len(v) != 1 || v[0] != fmt.Sprintf("v%d", i) {
				t.Errorf("%s holds %q", path, v)
			}
		}
	}
	cartwheel(t, "", "load", "b", filepath.Join(t.TempDir(), "none")).expect(t, "no file", 1, "", "no such file")
	cartwheel(t, "", "load", "b", t.TempDir()).expect(t, "directory", 1, "", "is a directory")
}

// Without any node load ends before it reads a line; with one that answers it goes on.
func TestLoadNeedsOneNode(t *testing.T) {
	f := start(t)
	node := os.Getenv(endpointVariable)
	away := "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3,127.0.0.1:4,127.0.0.1:5"
	line := `{"key":"k","value":"v"}`
	t.Setenv(endpointVariable, away)
	got := cartwheel(t, line, "load", "b", "-")
	got.expect(t, "no node", 1, "", "cartwheel: no node answered (", `start a cluster with "cartwheel dev"`)
	t.Setenv(endpointVariable, away+","+node)
	if got := cartwheel(t, line, "load", "b", "-"); got.code != 0 {
		t.Errorf("one node of six: %+v", got)
	}
	for _, status := range []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusNotFound} {
		f.fault = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
			if r.URL.Path == "/ping" {
				w.WriteHeader(status)
			}
			return r.URL.Path == "/ping"
		}
		t.Setenv(endpointVariable, node)
		if got := cartwheel(t, line, "load", "b", "-"); got.code != 0 {
			t.Errorf("status %d of /ping: %+v", status, got)
		}
	}
}

func TestLoadNamesFailedLines(t *testing.T) {
	f := start(t)
	f.fault = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		refuse := strings.HasSuffix(r.URL.Path, "/refused")
		if refuse {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			_, _ = io.WriteString(w, "the value is larger than 10 bytes\n")
		}
		return refuse
	}
	in := `{"key":"a","value":"1"}
{"key":"b","value":
{"key":"refused","value":"1"}
` + strings.Repeat("x", 2*maxLineBytes) + `
{"key":"c","valeu":"1"}
{"key":"d","value":"4"}
`
	got := cartwheel(t, in, "load", "bucket", "-")
	if got.code != exitFailed || !strings.HasPrefix(got.stdout, "stored 2, failed 4 (") {
		t.Errorf("got %+v", got)
	}
	want := `line 2: the JSON object ends early; each line must be one JSON object
line 3: key "refused": the node refused: the value is larger than 10 bytes
line 4: the line is longer than 2162688 bytes
line 5: unknown field "valeu"
cartwheel: 4 of 6 lines could not be stored
`
	if got.stderr != want {
		t.Errorf("errors:\n%s\nwant:\n%s", got.stderr, want)
	}
	got = cartwheel(t, strings.Repeat("no\n", 25), "load", "bucket", "-")
	if !strings.HasPrefix(got.stdout, "stored 0, failed 25 (") || !strings.Contains(got.stderr, "and 15 more\n") ||
		!strings.HasPrefix(got.stderr, "line 1: ") || strings.Contains(got.stderr, "line 11:") {
		t.Errorf("got %+v", got)
	}
}

func TestLoadStopsOnError(t *testing.T) {
	f := start(t)
	in := "{\"key\":\"a\",\"value\":\"1\"}\nbad\n" + strings.Repeat("{\"key\":\"b\",\"value\":\"1\"}\n", 1000)
	got := cartwheel(t, in, "load", "bucket", "-", "--clients", "1", "--batch", "1", "--stop-on-error")
	if got.code != exitFailed || !strings.Contains(got.stderr, "stopped at line 2") {
		t.Errorf("got %+v", got)
	}
	// One more line may have been on its way.
	if n := len(f.puts); n > 2 {
		t.Errorf("%d lines were stored after the failure", n-1)
	}
}

// A write that fails half way is repeated under its request id and stored once.
func TestLoadRepeatsUnderOneRequestID(t *testing.T) {
	f := start(t)
	ids := map[string]map[string]bool{}
	tries := map[string]int{}
	f.fault = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if r.Method != http.MethodPut {
			return false
		}
		if ids[r.URL.Path] == nil {
			ids[r.URL.Path] = map[string]bool{}
		}
		ids[r.URL.Path][r.Header.Get("X-Cartwheel-Request-Id")] = true
		tries[r.URL.Path]++
		switch tries[r.URL.Path] {
		case 1:
			w.WriteHeader(503)
			_, _ = io.WriteString(w, "W-value unsatisfied: 1/2\n")
			return true
		case 2:
			panic(http.ErrAbortHandler)
		}
		return false
	}
	got := cartwheel(t, "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"2\"}\n", "load", "x", "-")
	if got.code != 0 || !strings.HasPrefix(got.stdout, "stored 2, failed 0 (") {
		t.Errorf("got %+v", got)
	}
	for path, seen := range ids {
		if len(seen) != 1 || tries[path] < 3 {
			t.Errorf("%s: %d request ids in %d attempts", path, len(seen), tries[path])
		}
	}
	if len(ids) != 2 {
		t.Errorf("paths %v", ids)
	}
}

func TestLoadReplace(t *testing.T) {
	f := start(t)
	line := `{"key":"k","value":"%s"}`
	cartwheel(t, fmt.Sprintf(line, "one"), "load", "b", "-")
	cartwheel(t, fmt.Sprintf(line, "two"), "load", "b", "-", "--replace")
	if got := f.values("/buckets/b/keys/k"); len(got) != 1 || got[0] != "two" {
		t.Errorf("with --replace: %q", got)
	}
	cartwheel(t, fmt.Sprintf(line, "three"), "load", "b", "-")
	if got := f.values("/buckets/b/keys/k"); len(got) != 2 {
		t.Errorf("without: %q", got)
	}
	cartwheel(t, "", "delete", "b", "k")
	if got := cartwheel(t, fmt.Sprintf(line, "four"), "load", "b", "-", "--replace"); got.code != 0 {
		t.Errorf("of a deleted key: %+v", got)
	}
	if got := f.puts[len(f.puts)-1].Header.Get("X-Riak-Vclock"); !strings.HasSuffix(got, "d") {
		t.Errorf("the context %q is not that of the deletion", got)
	}
	if got := f.values("/buckets/b/keys/k"); len(got) != 1 || got[0] != "four" {
		t.Errorf("of a deleted key: %q", got)
	}
}

// runLoader runs a loader in a bubble, where pauses take no time.
func runLoader(t *testing.T, ctx context.Context, l *loader, lines int) (counts, error) {
	t.Helper()
	in := strings.Repeat(`{"key":"k","value":"v"}`+"\n", lines)
	err := l.run(ctx, strings.NewReader(in))
	return l.progress(), err
}

// each makes a store of what becomes of one line, by its request id.
func each(store func(id string) error) storeFunc {
	return func(_ context.Context, items []*item) {
		for _, i := range items {
			i.err = store(i.requestID)
		}
	}
}

var errAway = fmt.Errorf("%w: nobody home", client.ErrUnreachable)

// With the whole cluster away the load ends after the time for one line, not for each.
func TestLoaderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &loader{clients: 4, retryFor: time.Minute, store: each(func(string) error { return errAway })}
		c, err := runLoader(t, t.Context(), l, 1000)
		if err == nil || !strings.Contains(err.Error(), "gave up") || c.stored != 0 || c.failed > 2*4 || c.took > 2*time.Minute || c.took < 30*time.Second {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

// The progress names what a line waits for, as long as it does.
func TestLoaderShowsWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		l := &loader{clients: 1, retryFor: time.Minute, store: each(func(string) error {
			if time.Since(began) < 10*time.Second {
				return errAway
			}
			return nil
		})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = runLoader(t, t.Context(), l, 1)
		}()
		time.Sleep(5 * time.Second)
		if got, want := l.progress().line(1000), "0 stored, 0 failed, waiting: no node answered (no endpoint answered: nobody home)"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		<-done
		if c := l.progress(); c.waiting != "" || c.stored != 1 {
			t.Errorf("at the end: %+v", c)
		}
	})
}

// While other lines can be stored, one that cannot is only counted.
func TestLoaderGoesOnWhileSomethingIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		never := "" // the request id of the line that cannot be stored
		l := &loader{clients: 2, retryFor: 10 * time.Second, store: each(func(id string) error {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			if never == "" {
				never = id
			}
			if id == never {
				return errAway
			}
			return nil
		})}
		c, err := runLoader(t, t.Context(), l, 60)
		if err != nil || c.stored != 59 || c.failed != 1 {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

func TestLoaderWaitsAsTheServerSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		l := &loader{clients: 1, retryFor: time.Minute, store: each(func(string) error {
			if tries++; tries <= 3 {
				return &client.QuorumError{Message: "overloaded", RetryAfter: 4 * time.Second}
			}
			return nil
		})}
		if c, err := runLoader(t, t.Context(), l, 1); err != nil || c.stored != 1 || c.took < 12*time.Second || c.took > 14*time.Second {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

func TestLoaderWithoutRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		l := &loader{clients: 1, store: each(func(string) error { tries++; return errAway })}
		if c, err := runLoader(t, t.Context(), l, 5); err != nil || c.failed != 5 || tries != 5 || c.took != 0 {
			t.Errorf("%d tries, %+v, %v", tries, c, err)
		}
	})
}

// Interrupted, the load ends at once, with nothing left running (or the bubble would not end).
func TestLoaderInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		l := &loader{clients: 4, retryFor: time.Hour, store: each(func(string) error { return errAway })}
		c, err := runLoader(t, ctx, l, 1000)
		if !errors.Is(err, context.DeadlineExceeded) || c.took != 3*time.Second {
			t.Errorf("%+v, %v", c, err)
		}
	})
	start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := runIn(ctx, `{"key":"k","value":"v"}`, "load", "b", "-"); got.code != exitFailed || !strings.Contains(got.stderr, "interrupted") {
		t.Errorf("got %+v", got)
	}
}

// Memory: no more lines are read than workers can hold, and one.
func TestLoaderReadsNoFurtherThanItsWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		l := &loader{clients: 3, store: each(func(string) error { <-release; return nil })}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = runLoader(t, t.Context(), l, 100)
		}()
		synctest.Wait()
		if c := l.progress(); c.lines != 4 {
			t.Errorf("%d lines were read for 3 workers", c.lines)
		}
		close(release)
		<-done
	})
}

func TestParseRecord(t *testing.T) {
	for _, tc := range []struct {
		line, key, body, contentType string
		err                          string // part of it
	}{
		{`{"key":"k","value":"text"}`, "k", "text", textType, ""},
		{`{"key":"k","value":""}`, "k", "", textType, ""},
		{`{"key":"k","value":"a\n\u0000é\ufffd😀\ud83d\ude00"}`, "k", "a\n\x00é\uFFFD😀😀", textType, ""},
		{`{"key":"k","value":"x","content_type":"a/b"}`, "k", "x", "a/b", ""},
		{`{"key":"k","value":{"b": 1.50,"a":"<>"}}`, "k", `{"b": 1.50,"a":"<>"}`, "application/json", ""},
		{`{"key":"k","value":12345678901234567890}`, "k", "12345678901234567890", "application/json", ""},
		{`{"key":"k","value":null}`, "k", "null", "application/json", ""},
		{`{"key":"k","value":[1, 2],"content_type":"x/y"}`, "k", "[1, 2]", "x/y", ""},
		{`{"key":"k","value_base64":"AP8="}`, "k", "\x00\xff", binaryType, ""},
		{`{"key":"k","value_base64":""}`, "k", "", binaryType, ""},
		{` {"key":"k","value":"v"} `, "k", "v", textType, ""},
		{`{"key":"k","value":"a","value_base64":"AP8="}`, "k", "", "", "both"},
		{`{"key":"k"}`, "k", "", "", "missing"},
		{`{"value":"v"}`, "", "", "", `"key" is missing`},
		{`{"key":"","value":"v"}`, "", "", "", `"key" is missing`},
		{`{"key":7,"value":"v"}`, "", "", "", `"key" cannot be a JSON number`},
		{`{"key":"k","value":"v","meta":{"a":1}}`, "", "", "", "cannot be a JSON number"},
		{`{"key":"k","value_base64":"?"}`, "", "", "", "base64"},
		{`{"key":"k","value":"v","extra":1}`, "", "", "", `unknown field "extra"`},
		{`{"key":"k","value":"v"} {}`, "", "", "", "more after"},
		{`{"key":"k","value":"v"`, "", "", "", "ends early"},
		{`["k","v"]`, "", "", "", "each line must be one JSON object"},
		{`[{"key":"k","value":"v"}]`, "", "", "", "each line must be one JSON object"},
		{`{"key":"k","value":"v"},`, "", "", "", "each line must be one JSON object"},
		{`{`, "", "", "", "each line must be one JSON object"},
		{`  "key": "k",`, "", "", "", "each line must be one JSON object"},
		{`}`, "", "", "", "each line must be one JSON object"},
		{`nonsense`, "", "", "", "each line must be one JSON object"},
		{"{\"key\":\"k\",\"value\":\"\xff\"}", "", "", "", "not UTF-8"},
		{`{"key":"k","value":"\ud800"}`, "k", "", "", "surrogate"},
		{`{"key":"\udc00","value":"v"}`, "", "", "", "surrogate"},
	} {
		key, v, err := parseRecord([]byte(tc.line))
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: error %v, want one with %q", tc.line, err, tc.err)
			}
			continue
		}
		if err != nil || key != tc.key || string(v.Body) != tc.body || v.ContentType != tc.contentType {
			t.Errorf("%s: key %q, body %q, type %q, error %v", tc.line, key, v.Body, v.ContentType, err)
		}
	}
	_, v, err := parseRecord([]byte(`{"key":"k","value":"v","meta":{"a":"b"}}`))
	if err != nil || !reflect.DeepEqual(v.Meta, map[string]string{"a": "b"}) {
		t.Errorf("meta: %v, %v", v.Meta, err)
	}
}

// Reading in any chunks gives the lines that splitting the whole gives.
func FuzzLineReader(f *testing.F) {
	f.Add([]byte("a\nb\r\n\n\nc"), 3)
	f.Add([]byte(""), 1)
	f.Add(bytes.Repeat([]byte("xy\n"), 100), 2)
	f.Add(append(bytes.Repeat([]byte("z"), 2*maxLineBytes), "\nshort\n"...), 7)
	f.Fuzz(func(t *testing.T, data []byte, repeat int) {
		if repeat > 0 && repeat < 1<<16 {
			data = bytes.ReplaceAll(data, []byte("R"), bytes.Repeat([]byte("R"), repeat))
		}
		want := bytes.SplitAfter(data, []byte("\n"))
		if len(want[len(want)-1]) == 0 {
			want = want[:len(want)-1]
		}
		l := newLineReader(bytes.NewReader(data))
		for i, w := range want {
			line, err := l.next()
			if l.number != i+1 {
				t.Fatalf("line %d has number %d", i+1, l.number)
			}
			if len(w) > maxLineBytes {
				if !errors.Is(err, errLineTooLong) {
					t.Fatalf("line %d of %d bytes: %v", i+1, len(w), err)
				}
			} else if err != nil || !bytes.Equal(line, bytes.TrimRight(w, "\r\n")) {
				t.Fatalf("line %d: %.40q, %v, want %.40q", i+1, line, err, w)
			}
		}
		if _, err := l.next(); !errors.Is(err, io.EOF) || l.bytes != int64(len(data)) {
			t.Fatalf("at the end: %v after %d of %d bytes", err, l.bytes, len(data))
		}
	})
}

func TestProgressLines(t *testing.T) {
	c := counts{stored: 900, failed: 100, lines: 1000, bytes: 2500, took: 10 * time.Second}
	for size, want := range map[int64]string{
		-1:    "900 stored, 100 failed, 90 lines/s",
		10000: "900 stored, 100 failed, 90 lines/s, 25%, about 30s left",
		2500:  "900 stored, 100 failed, 90 lines/s, 100%, about 0s left",
	} {
		if got := c.line(size); got != want {
			t.Errorf("size %d: %q, want %q", size, got, want)
		}
	}
	for want, c := range map[string]counts{
		"0 stored, 0 failed":                                              {},
		"0 stored, 7 failed, waiting: why":                                {failed: 7, bytes: 50, took: time.Second, waiting: "why"},
		"2 stored, 0 failed, 2 lines/s, 50%, about 1s left, waiting: why": {stored: 2, bytes: 50, took: time.Second, waiting: "why"},
	} {
		if got := c.line(100); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
	if got := (counts{stored: 10, failed: 90, took: time.Second}).pace(); got != "1s, 10 lines/s" {
		t.Errorf("pace: %q", got)
	}
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		stop := showProgress(&b, 10000, func() counts { return c })
		time.Sleep(2*lineInterval + time.Second)
		stop()
		if got := strings.Count(b.String(), "about 30s left\n"); got != 2 {
			t.Errorf("in 11 s: %q", b.String())
		}
		b.Reset()
		show, finish := progressBar(&b, 10000)
		show(c)
		finish()
		if !strings.Contains(b.String(), "900 stored, 100 failed, 90 lines/s") || !strings.Contains(b.String(), "25%") {
			t.Errorf("bar: %q", b.String())
		}
		b.Reset()
		show, finish = progressBar(&b, 10000)
		show(counts{bytes: 2500, took: time.Second, waiting: strings.Repeat("x", 2*maxWaiting)})
		finish()
		if s := b.String(); !strings.Contains(s, "0 failed, waiting: "+strings.Repeat("x", maxWaiting)+" ") || strings.Contains(s, "25%") {
			t.Errorf("bar that waits: %q", s)
		}
	})
}
