package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestPutGetDelete(t *testing.T) {
	f := start(t)
	cartwheel(t, "", "get", "b", "k").expect(t, "get of nothing", 3, "", "b/k was not found")
	cartwheel(t, "", "put", "b", "k", "one").expect(t, "put", 0, "")
	cartwheel(t, "", "get", "b", "k").expect(t, "get", 0, "one")
	cartwheel(t, "", "get", "b", "k", "--context-only").expect(t, "context", 0, "c\n")
	cartwheel(t, "", "put", "b", "k", "two", "--context", "c\n", "-v").expect(t, "put with context", 0, fakeReceipt+"\n")
	cartwheel(t, "", "get", "b", "k", "-v").expect(t, "verbose get", 0, "two", "context: cc", "receipt: "+fakeReceipt)
	cartwheel(t, "", "put", "b", "k", "three").expect(t, "blind put", 0, "")
	if got := f.values("/buckets/b/keys/k"); strings.Join(got, " ") != "two three" {
		t.Errorf("the key holds %q", got)
	}
	cartwheel(t, "", "delete", "b", "k", "--context", "ccc", "--verbose").expect(t, "delete", 0, fakeReceipt+"\n")
	cartwheel(t, "", "get", "b", "k").expect(t, "get of deleted", 3, "", "b/k was deleted")
	cartwheel(t, "", "get", "b", "k", "--context-only").expect(t, "context of deleted", 3, "cccd\n", "deleted")
	cartwheel(t, "", "get", "b", "never", "--context-only").expect(t, "context of nothing", 3, "", "not found")
	cartwheel(t, "", "delete", "b", "k").expect(t, "delete again", 3, "", "b/k was deleted")
	cartwheel(t, "", "put", "b", "k", "", "--type", "carts").expect(t, "empty value, own type", 0, "")
	cartwheel(t, "", "get", "b", "k", "--type=carts").expect(t, "empty value", 0, "")
}

// Values from the standard input go through byte for byte.
func TestPutFromStandardInput(t *testing.T) {
	start(t)
	value := "a\r\n\x00\xff\n"
	cartwheel(t, value, "put", "b", "k1").expect(t, "no VALUE", 0, "")
	cartwheel(t, value, "put", "b", "k2", "-").expect(t, "dash", 0, "")
	for _, key := range []string{"k1", "k2"} {
		cartwheel(t, "", "get", "b", key).expect(t, key, 0, value)
	}
	cartwheel(t, "", "put", "b", "k3", "--", "-v").expect(t, "value with a dash", 0, "")
	cartwheel(t, "", "get", "b", "k3").expect(t, "value with a dash", 0, "-v")
}

func TestPutSendsItsFlags(t *testing.T) {
	f := start(t)
	args := "put b k v --w 2 --pw=quorum --dw one --node-confirms 3 --timeout 750ms --meta color=red --meta size=a=b --content-encoding gzip"
	cartwheel(t, "", strings.Fields(args)...).expect(t, args, 0, "")
	r := f.puts[0]
	if got, want := r.URL.RawQuery, "dw=one&node_confirms=3&pw=quorum&timeout=750&w=2"; got != want {
		t.Errorf("query %s, want %s", got, want)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip", "X-Riak-Meta-Color": "red", "X-Riak-Meta-Size": "a=b",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("header %s: %q, want %q", name, got, want)
		}
	}
	cartwheel(t, "v", "put", "b", "k")
	cartwheel(t, "", "put", "b", "k", "\xff")
	cartwheel(t, "", "put", "b", "k", "v", "--content-type", "a/b")
	for i, want := range []string{"application/octet-stream", "application/octet-stream", "a/b"} {
		if got := f.puts[i+1].Header.Get("Content-Type"); got != want {
			t.Errorf("content type of put %d: %q, want %q", i+1, got, want)
		}
	}
}

func TestGetPrintsSiblings(t *testing.T) {
	start(t)
	for _, v := range []string{"one\n", "two", ""} {
		cartwheel(t, v, "put", "b", "k", "--content-type", "text/plain")
	}
	want := "--- sibling 1 of 3: vtag=v1 content-type=\"text/plain\" bytes=4\none\n" +
		"--- sibling 2 of 3: vtag=v2 content-type=\"text/plain\" bytes=3\ntwo\n" +
		"--- sibling 3 of 3: vtag=v3 content-type=\"text/plain\" bytes=0\n"
	cartwheel(t, "", "get", "b", "k").expect(t, "get", 4, want, "context: ccc\n", "siblings")
	cartwheel(t, "", "get", "b", "k", "--vtag", "v2").expect(t, "one of them", 0, "two")
	cartwheel(t, "", "get", "b", "k", "--vtag", "v9").expect(t, "none of them", 3, "", "b/k was")
	got := cartwheel(t, "", "get", "b", "k", "--context-only")
	if got.stdout != "ccc\n" {
		t.Errorf("context: %+v", got)
	}
}

func TestGetJSON(t *testing.T) {
	start(t)
	cartwheel(t, "<text>", "put", "b", "k", "--content-type", "text/plain", "--meta", "a=b")
	cartwheel(t, "\xff\x00", "put", "b", "k")
	got := cartwheel(t, "", "get", "b", "k", "--json")
	var o objectJSON
	if err := json.Unmarshal([]byte(got.stdout), &o); err != nil || got.code != exitSiblings {
		t.Fatalf("%+v: %v", got, err)
	}
	if o.Type != "default" || o.Bucket != "b" || o.Key != "k" || o.Context != "cc" || !o.Siblings || o.Deleted ||
		len(o.Values) != 2 || o.Receipt["ring"] != "17" || o.Receipt["replicas"] != "2" {
		t.Errorf("got %s", got.stdout)
	}
	if v := o.Values[0]; v.Value == nil || *v.Value != "<text>" || v.ValueBase64 != nil || !strings.Contains(got.stdout, `"<text>"`) {
		t.Errorf("first value: %s", got.stdout)
	}
	if v := o.Values[1]; v.ValueBase64 == nil || *v.ValueBase64 != "/wA=" || v.Value != nil {
		t.Errorf("second value: %s", got.stdout)
	}
	cartwheel(t, "", "delete", "b", "k")
	got = cartwheel(t, "", "get", "b", "k", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &o); err != nil || got.code != exitNotFound || !o.Deleted || o.Context != "ccd" || len(o.Values) != 0 {
		t.Errorf("deleted: %+v, %v", got, err)
	}
}

// Every way to fail has its exit code and says what to do.
func TestFailures(t *testing.T) {
	f := start(t)
	for name, tc := range map[string]struct {
		status int
		body   string
		code   int
		words  []string
	}{
		"quorum":    {503, "W-value unsatisfied: 1/2\nThe write may still become visible.\n", 5, []string{"quorum not reached: W-value unsatisfied: 1/2", "cartwheel status"}},
		"refused":   {400, "Bad timeout value \"abc\"\n", 1, []string{`the node refused: Bad timeout value "abc"`}},
		"too large": {413, "the value is larger than 1048576 bytes\n", 1, []string{"the node refused: the value is larger"}},
		"broken":    {500, "Error:\nboom\n", 1, []string{"status 500", "boom", "log"}},
		"type":      {404, "Unknown bucket type: T", 1, []string{"the node refused: Unknown bucket type: T"}},
		"other":     {404, "", 1, []string{"is it a Cartwheel node?"}},
	} {
		f.fault = func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(tc.status)
			_, _ = io.WriteString(w, tc.body)
			return true
		}
		cartwheel(t, "", "get", "b", "k").expect(t, name+" get", tc.code, "", tc.words...)
		cartwheel(t, "", "put", "b", "k", "v").expect(t, name+" put", tc.code, "", tc.words...)
		cartwheel(t, "", "delete", "b", "k").expect(t, name+" delete", tc.code, "", tc.words...)
		if put := cartwheel(t, "", "put", "b", "k", "v"); strings.Contains(put.stderr, "may still become visible") != (name == "quorum") {
			t.Errorf("%s: %s", name, put.stderr)
		}
		if strings.Contains(cartwheel(t, "", "put", "b", "k", "v").stderr, "visible.") {
			t.Errorf("%s: the server's remark is repeated", name)
		}
		if n := strings.Count(cartwheel(t, "", "get", "b", "k").stderr, "\n"); n != 1 {
			t.Errorf("%s: the error has %d lines, want 1", name, n)
		}
	}
	t.Setenv(endpointVariable, "http://127.0.0.1:1,127.0.0.1:2")
	cartwheel(t, "", "put", "b", "k", "v").expect(t, "no node", 1, "", "no node answered", "refused", `"cartwheel dev"`, "--endpoint")
}

// A write that may have been stored names the id under which it can be repeated.
func TestWritesCanBeRepeated(t *testing.T) {
	f := start(t)
	var sent []string
	refused := func(text string) func(http.ResponseWriter, *http.Request, []byte) bool {
		return func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
			sent = append(sent, r.Header.Get("X-Cartwheel-Request-Id"))
			if text == "" {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, text)
			return true
		}
	}
	const id = "00112233445566778899aabbccddeeff"
	put, remove := []string{"put", "b", "k", "v"}, []string{"delete", "b", "k"}
	for _, args := range [][]string{put, remove} {
		for text, tc := range map[string]struct {
			code int
			says string
		}{
			"":                           {exitFailed, "so the write may or may not have been stored; "},
			"W-value unsatisfied: 1/2\n": {exitQuorum, "quorum not reached: W-value unsatisfied: 1/2; see \"cartwheel status\", or "},
		} {
			f.mu.Lock() // a handler whose connection broke may still be ending
			f.fault, sent = refused(text), nil
			f.mu.Unlock()
			cartwheel(t, "", append(args, "--request-id", id)...).expect(t, args[0]+" "+text, tc.code, "", tc.says+"repeat it safely with --request-id "+id+"\n")
			got := cartwheel(t, "", args...)
			f.mu.Lock()
			ids := sent
			f.mu.Unlock()
			got.expect(t, args[0]+" "+text, tc.code, "", "repeat it safely with --request-id "+ids[len(ids)-1]+"\n")
			if ids[0] != id || ids[len(ids)-1] == id {
				t.Errorf("%v: the request ids are %q", args, ids)
			}
		}
	}
	f.mu.Lock()
	f.fault = refused("R-value unsatisfied: 1/2\n")
	f.mu.Unlock()
	cartwheel(t, "", "get", "b", "k").expect(t, "get", exitQuorum, "", "try again in 2s, or see \"cartwheel status\"\n")
}

// A node that refuses the repetition knows nothing of the first attempt, whose answer is missing.
func TestRefusedRepetition(t *testing.T) {
	f := start(t)
	attempts := 0
	f.fault = func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		if attempts++; attempts%2 == 1 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "Unknown bucket type: t")
		return true
	}
	for _, args := range []string{"put b k v", "delete b k"} {
		cartwheel(t, "", strings.Fields(args)...).expect(t, args, exitFailed, "", "Unknown bucket type: t", "may or may not have been stored; repeat it safely with --request-id ")
	}
}

// The reasons of replicas stand apart, below the sentence.
func TestQuorumReasons(t *testing.T) {
	f := start(t)
	text := "R-value unsatisfied: 1/2\nBecause: transport: peer unreachable: 127.0.0.1:1\nBecause: the disk is full\n"
	f.fault = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if r.URL.Path == "/ping" {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, text)
		return true
	}
	const reasons = "\n  Because: peer unreachable: 127.0.0.1:1\n  Because: the disk is full\n"
	cartwheel(t, "", "get", "b", "k").expect(t, "get", exitQuorum, "",
		"cartwheel: quorum not reached: R-value unsatisfied: 1/2; try again, or see \"cartwheel status\""+reasons)
	got := cartwheel(t, `{"key":"k","value":"v"}`, "load", "b", "-", "--retry-for", "1ms")
	if !strings.Contains(got.stderr, "line 1: key \"k\": quorum not reached: R-value unsatisfied: 1/2; try again, or see \"cartwheel status\""+reasons) ||
		!strings.HasSuffix(got.stderr, "see \"cartwheel status\"\n") {
		t.Errorf("load: %s", got.stderr)
	}
}

// A node without a ring has missed no quorum.
func TestNotReady(t *testing.T) {
	f := start(t)
	const text = "this node is not ready: it has no ring yet; wait until /readyz answers 200"
	f.fault = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		body := text + "\n"
		if strings.HasPrefix(r.URL.Path, "/cluster") {
			w.Header().Set("Content-Type", "application/json")
			body = `{"error":"` + text + `"}`
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, body)
		return true
	}
	for _, args := range []string{"get b k", "put b k v", "delete b k", "explain b k"} {
		cartwheel(t, "", strings.Fields(args)...).expect(t, args, exitFailed, "", "cartwheel: not ready: it has no ring yet; wait until /readyz answers 200\n")
	}
}

func TestUsageErrors(t *testing.T) {
	start(t)
	for _, tc := range []struct{ args, word string }{
		{"", "name a command"},
		{"gte", "did you mean get?"},
		{"frobnicate", "--help"},
		{"help nope", `there is no command "nope"`},
		{"help gte", "did you mean get?"},
		{"put b k v --request-id 12", `--request-id "12" is not 32 hex digits`},
		{"delete b k --request-id 0011223344556677889900112233445z", "32 hex digits"},
		{"get", "arguments are missing; usage: cartwheel get BUCKET KEY"},
		{"get b", "missing"},
		{"get b k x", `too many arguments, the first extra one is "x"`},
		{"put b", "missing"},
		{"put b k v --frob", "unknown flag: --frob"},
		{"put b k v --meta novalue", `--meta "novalue" is not of the form name=value`},
		{"put b k v --timeout soon", "invalid"},
		{"get b k --endpoint ftp://x", "ftp://x"},
		{"get b k --context-only --json", "--context-only"},
		{"load b", "missing"},
		{"load b - --clients 0", "--clients 0"},
		{"load b - --clients 5000", "--clients 5000"},
		{"load b - --retry-for=-1s", "negative"},
		{"status x", "too many"},
		{"explain b", "missing"},
		{"version x", "too many"},
	} {
		got := cartwheel(t, "", strings.Fields(tc.args)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, tc.word) {
			t.Errorf("%q: exit code %d, %q; want %d and %q", tc.args, got.code, got.stderr, exitUsage, tc.word)
		}
	}
	for _, args := range [][]string{{"get", "", "k"}, {"keys", ""}, {"type", "show", ""}, {"get", "b", "k", "--timeout=-1s"}} {
		if got := cartwheel(t, "", args...); got.code != exitUsage || got.stderr == "" || strings.Contains(got.stderr, "bad request") {
			t.Errorf("%q: %+v", args, got)
		}
	}
	if got := cartwheel(t, "", "get", "--help"); got.code != exitDone || !strings.Contains(got.stdout, "BUCKET KEY") {
		t.Errorf("help: %+v", got)
	}
	if got := cartwheel(t, "", "help", "load"); got.code != exitDone || !strings.Contains(got.stdout, "lines already under way are finished") {
		t.Errorf("help load: %+v", got)
	}
}

func TestEndpointFlagBeatsEnvironment(t *testing.T) {
	f := start(t)
	f.fault = func(http.ResponseWriter, *http.Request, []byte) bool {
		t.Error("the environment's node was asked")
		return false
	}
	cartwheel(t, "", "get", "b", "k", "--endpoint", "127.0.0.1:1", "--endpoint", "127.0.0.1:2,127.0.0.1:3").expect(t, "get", 1, "", "no node answered")
}

func TestVersion(t *testing.T) {
	got := cartwheel(t, "", "version")
	for _, word := range []string{"cartwheel " + version, "go1.", "/", "protocol between nodes: 1", "disk format: 1"} {
		if !strings.Contains(got.stdout, word) {
			t.Errorf("%q lacks %q", got.stdout, word)
		}
	}
	cartwheel(t, "", "--version").expect(t, "--version", 0, "cartwheel "+version+"\n")
	var v struct {
		Version  string
		Protocol int
		Disk     int `json:"disk_format"`
	}
	got = cartwheel(t, "", "version", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &v); err != nil || v.Version != version || v.Protocol != 1 || v.Disk != 1 {
		t.Errorf("%s: %v", got.stdout, err)
	}
}
