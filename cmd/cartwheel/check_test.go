package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cartwheel/check"
)

// checkedNode is a node in memory that keeps siblings, contexts, tags and metadata as check needs
// them. A context is a number: it covers the writes up to it.
type checkedNode struct {
	mu      sync.Mutex
	keys    map[string][]checkedValue // by path
	counter int
	props   map[string]string // bodies by path
	loses   int               // one write of so many is acknowledged and not stored; 0: none
	writes  int
}

type checkedValue struct {
	n      int
	id     string
	header http.Header
	body   []byte
}

// startChecked serves the node at two endpoints, which commands then talk to.
func startChecked(t *testing.T) *checkedNode {
	t.Helper()
	n := &checkedNode{keys: map[string][]checkedValue{}, props: map[string]string{}}
	var urls []string
	for range 2 {
		srv := httptest.NewServer(n)
		t.Cleanup(srv.Close)
		urls = append(urls, srv.URL)
	}
	t.Setenv(endpointVariable, strings.Join(urls, ","))
	t.Setenv("TMPDIR", t.TempDir())
	return n
}

func (n *checkedNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	n.mu.Lock()
	defer n.mu.Unlock()
	w.Header().Set("X-Cartwheel-Receipt", fakeReceipt)
	switch path := r.URL.Path; {
	case path == "/ping", path == "/readyz":
		_, _ = io.WriteString(w, "OK")
	case strings.HasSuffix(path, "/props") && r.Method == http.MethodPut:
		n.props[path] = string(body)
		w.WriteHeader(http.StatusNoContent)
	case strings.HasSuffix(path, "/props"):
		_, _ = io.WriteString(w, n.props[path])
	case r.Method == http.MethodPut:
		n.put(path, r, body)
		w.WriteHeader(http.StatusNoContent)
	default:
		n.get(w, n.keys[path])
	}
}

func (n *checkedNode) put(path string, r *http.Request, body []byte) {
	if n.writes++; n.loses > 0 && n.writes%n.loses == 0 {
		return
	}
	covered, _ := strconv.Atoi(r.Header.Get("X-Riak-Vclock"))
	if strings.Contains(path, "-lww/") {
		covered = n.counter
	}
	var kept []checkedValue
	for _, v := range n.keys[path] {
		if v.id == r.Header.Get("X-Cartwheel-Request-Id") {
			return
		}
		if v.n > covered {
			kept = append(kept, v)
		}
	}
	n.counter++
	h := http.Header{"Content-Type": r.Header["Content-Type"], "Etag": {fmt.Sprintf(`"t%d"`, n.counter)}, "X-Riak-Meta-Check-Id": r.Header["X-Riak-Meta-Check-Id"]}
	n.keys[path] = append(kept, checkedValue{n.counter, r.Header.Get("X-Cartwheel-Request-Id"), h, body})
}

func (n *checkedNode) get(w http.ResponseWriter, values []checkedValue) {
	if len(values) == 0 {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	w.Header().Set("X-Riak-Vclock", strconv.Itoa(n.counter))
	if len(values) == 1 {
		for name, v := range values[0].header {
			w.Header()[name] = v
		}
		_, _ = w.Write(values[0].body)
		return
	}
	w.Header().Set("Content-Type", "multipart/mixed; boundary=XyZ")
	w.WriteHeader(http.StatusMultipleChoices)
	for _, v := range values {
		_, _ = io.WriteString(w, "\r\n--XyZ\r\n")
		_ = v.header.Write(w)
		fmt.Fprintf(w, "\r\n%s", v.body)
	}
	_, _ = io.WriteString(w, "\r\n--XyZ--\r\n")
}

func TestCheckClean(t *testing.T) {
	startChecked(t)
	file := filepath.Join(t.TempDir(), "history.ndjson")
	got := cartwheel(t, "", "check", "--for", "400ms", "--clients", "8", "--rate", "200", "--seed", "7", "--history", file)
	if got.code != exitDone || !strings.HasPrefix(got.stderr, "seed 7\n") {
		t.Fatalf("got %+v", got)
	}
	for _, want := range []string{
		"WORKLOAD ", "sets ", "register ", "counter ", "session ", "lww ", "lww: where the last write wins, ", " acknowledged adds were lost (",
		"clean: no violation in ", " of 8 clients, 0 faults, seed 7; history in " + file + "\n",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("the output lacks %q:\n%s", want, got.stdout)
		}
	}
	again := cartwheel(t, "", "check", "--judge", file)
	again.expect(t, "judged again", exitDone, got.stdout)
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestCheckFindsLoss(t *testing.T) {
	n := startChecked(t)
	n.loses = 50
	got := cartwheel(t, "", "check", "--for", "400ms", "--clients", "8", "--rate", "200", "--settle", "10ms", "--workload", "sets,register", "--json")
	var result struct {
		Clean      bool `json:"clean"`
		Violations []check.Violation
		Kinds      map[string]int `json:"violation_kinds"`
		Workloads  []check.Workload
		History    string
	}
	if err := json.Unmarshal([]byte(got.stdout), &result); err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	if got.code != exitFailed || got.stderr != "" || result.Clean || result.Kinds["lost"] == 0 || len(result.Violations) == 0 || len(result.Workloads) != 2 {
		t.Errorf("got %+v", got)
	}
	again := cartwheel(t, "", "check", "--judge", result.History)
	if again.code != exitFailed || !strings.Contains(again.stdout, "\nlost: ") || !strings.Contains(again.stdout, "acknowledged 204 by http://127.0.0.1:") ||
		!strings.Contains(again.stdout, "not clean: ") || !strings.Contains(again.stdout, "; history in "+result.History) {
		t.Errorf("judged again: %+v", again)
	}
}

// In a store that takes nothing nothing is lost; that does not make it good.
func TestCheckNeedsAcknowledgements(t *testing.T) {
	n := startChecked(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/keys/") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		n.ServeHTTP(w, r)
	}))
	defer srv.Close()
	got := cartwheel(t, "", "check", "--for", "100ms", "--settle", "10ms", "--clients", "2", "--workload", "sets", "--endpoint", srv.URL)
	if got.code != exitFailed || !strings.Contains(got.stdout, "no write was acknowledged") {
		t.Errorf("got %+v", got)
	}
}

func TestCheckRefuses(t *testing.T) {
	startChecked(t)
	missing := filepath.Join(t.TempDir(), "no", "file")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--clients", "0"}, exitUsage, "0 clients"},
		{[]string{"--clients", "2000"}, exitUsage, "2000 clients"},
		{[]string{"--rate", "-1"}, exitUsage, "the rate -1"},
		{[]string{"--rate", "0"}, exitUsage, "the rate 0"},
		{[]string{"--for", "0"}, exitUsage, "0s of load"},
		{[]string{"--bucket-prefix", ""}, exitUsage, "no prefix"},
		{[]string{"--for", "-1s"}, exitUsage, "-1s of load"},
		{[]string{"--workload", "sets,nope"}, exitUsage, `no workload "nope"`},
		{[]string{"--workload", "sets,sets"}, exitUsage, "named twice"},
		{[]string{"extra"}, exitUsage, "too many arguments"},
		{[]string{"--judge", "x", "--seed", "1"}, exitUsage, "--seed has no meaning with --judge"},
		{[]string{"--judge", missing}, exitFailed, "no such file"},
		{[]string{"--history", missing, "--for", "10ms"}, exitFailed, "create the history"},
		{[]string{"--endpoint", "127.0.0.1:1"}, exitFailed, "no node answered"},
		{[]string{"--chaos", "http://127.0.0.1:1", "--for", "10ms"}, exitFailed, "ask the control of faults"},
	} {
		got := cartwheel(t, "", append([]string{"check"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.stderr, c.says) || got.stdout != "" || strings.Contains(got.stderr, "check: ") {
			t.Errorf("%v: %+v", c.args, got)
		}
	}
}

// Many violations of one kind do not hide those of another.
func TestCheckPrintsEveryKind(t *testing.T) {
	r := &check.Report{Kinds: map[string]int{"stale": 30, "lost": 1}, Count: 31}
	for i := range 30 {
		r.Violations = append(r.Violations, check.Violation{Kind: "stale", Workload: "sets", Key: "k", Text: fmt.Sprintf("number %d", i)})
	}
	r.Violations = append(r.Violations, check.Violation{Kind: "lost", Workload: "sets", Key: "k", Text: "the\x1b[31mlast"})
	got := renderCheck(makePalette(false), r, "")
	want := []string{"\nstale: sets/k: number 9\n", "\nlost: sets/k: the\\x1b[31mlast\n", "\nand 20 more stale; ", "\nnot clean: 1 lost, 30 stale in 0 operations"}
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("the output lacks %q:\n%s", w, got)
		}
	}
	if strings.Contains(got, "number 10\n") {
		t.Errorf("too many are printed:\n%s", got)
	}
}

func TestCheckProgressLine(t *testing.T) {
	p := check.Progress{Phase: "load", Took: 5400 * time.Millisecond, For: time.Minute, Fault: "kill n2"}
	p.OK, p.Unknown = 12, 3
	if got, want := checkLine(p), "load: 12 ok, 3 unknown, 0 failed, 5s of 1m0s, fault: kill n2"; got != want || checkShare(p) != 0.09 {
		t.Errorf("got %q, %v; want %q", got, checkShare(p), want)
	}
	p.Keys, p.Final, p.Fault = 40, 10, ""
	if got, want := checkLine(p), "load: 12 ok, 3 unknown, 0 failed, 10 of 40 keys"; got != want || checkShare(p) != 0.25 {
		t.Errorf("got %q, %v; want %q", got, checkShare(p), want)
	}
	if checkShare(check.Progress{}) != 0 {
		t.Error("a share of nothing")
	}
}
