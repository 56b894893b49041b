package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// fakeCluster is a node in memory that keeps values as the interface describes: a write
// without the present context adds a sibling.
type fakeCluster struct {
	mu      sync.Mutex
	objects map[string]*fakeObject // by escaped path
	puts    []*http.Request        // as they came, without body
	batches []int                  // how many lines each had
	// fault may answer a request in place of the node; it returns whether it did.
	fault func(w http.ResponseWriter, r *http.Request, body []byte) bool
}

type fakeObject struct {
	context string
	values  []fakeValue
}

type fakeValue struct {
	header http.Header
	id     string
	body   []byte
}

const fakeReceipt = "replicas=2 primaries=2 fallbacks=0 durable=2 n=3 ring=17"

// start serves the cluster and makes it the one that commands talk to.
func start(t *testing.T) *fakeCluster {
	t.Helper()
	f := &fakeCluster{objects: map[string]*fakeObject{}}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	t.Setenv(endpointVariable, srv.URL)
	return f
}

func (f *fakeCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if root, ok := strings.CutSuffix(r.URL.EscapedPath(), "/batch"); ok && r.Method == http.MethodPost {
		f.batches = append(f.batches, bytes.Count(body, []byte("\n")))
		for line := range bytes.Lines(body) {
			f.batched(w, r, root, line)
		}
		return
	}
	f.serve(w, r, body)
}

// batched answers the put in one line of a batch as it would answer the put alone.
func (f *fakeCluster) batched(w http.ResponseWriter, r *http.Request, root string, line []byte) {
	var l struct {
		Key, Value, Base64, Context string
		ContentType                 string `json:"content_type"`
		RequestID                   string `json:"request_id"`
		Meta                        map[string]string
	}
	if err := json.Unmarshal(line, &l); err != nil {
		panic(err)
	}
	body := []byte(l.Value)
	if l.Base64 != "" {
		body, _ = base64.StdEncoding.DecodeString(l.Base64)
	}
	one := httptest.NewRequest(http.MethodPut, root+"/keys/"+url.PathEscape(l.Key)+"?"+r.URL.RawQuery, nil)
	one.Header = http.Header{"Content-Type": {l.ContentType}, "X-Riak-Vclock": {l.Context}, "X-Cartwheel-Request-Id": {l.RequestID}}
	for name, value := range l.Meta {
		one.Header.Set("X-Riak-Meta-"+name, value)
	}
	answer := httptest.NewRecorder()
	f.serve(answer, one, body)
	err := json.NewEncoder(w).Encode(map[string]any{"key": l.Key, "status": answer.Code, "error": answer.Body.String(), "receipt": fakeReceipt})
	if err != nil {
		panic(err)
	}
}

// serve answers one request for an object. f.mu is held.
func (f *fakeCluster) serve(w http.ResponseWriter, r *http.Request, body []byte) {
	if f.fault != nil && f.fault(w, r, body) {
		return
	}
	w.Header().Set("X-Cartwheel-Receipt", fakeReceipt)
	o := f.objects[r.URL.EscapedPath()]
	if o == nil {
		o = &fakeObject{}
		f.objects[r.URL.EscapedPath()] = o
	}
	switch r.Method {
	case http.MethodPut:
		f.puts = append(f.puts, r)
		o.put(r, body)
		w.WriteHeader(http.StatusNoContent)
	case http.MethodDelete:
		if len(o.values) == 0 {
			o.notFound(w)
			return
		}
		o.values, o.context = nil, o.context+"d"
		w.WriteHeader(http.StatusNoContent)
	default:
		o.get(w, r)
	}
}

func (o *fakeObject) put(r *http.Request, body []byte) {
	id := r.Header.Get("X-Cartwheel-Request-Id")
	for _, v := range o.values {
		if v.id == id {
			return
		}
	}
	if r.Header.Get("X-Riak-Vclock") == o.context {
		o.values = nil
	}
	h := http.Header{"Content-Type": r.Header["Content-Type"], "Etag": {fmt.Sprintf(`"v%d"`, len(o.values)+1)}}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Riak-Meta-") {
			h[name] = values
		}
	}
	o.values = append(o.values, fakeValue{h, id, body})
	o.context += "c"
}

func (o *fakeObject) notFound(w http.ResponseWriter) {
	if o.context != "" {
		w.Header().Set("X-Riak-Vclock", o.context)
		w.Header().Set("X-Riak-Deleted", "true")
	}
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, "not found\n")
}

func (o *fakeObject) get(w http.ResponseWriter, r *http.Request) {
	values := o.values
	if tag := r.URL.Query().Get("vtag"); tag != "" {
		values = nil
		for _, v := range o.values {
			if v.header.Get("Etag") == `"`+tag+`"` {
				values = append(values, v)
			}
		}
	}
	if len(values) == 0 {
		o.notFound(w)
		return
	}
	w.Header().Set("X-Riak-Vclock", o.context)
	if len(values) == 1 {
		for name, vs := range values[0].header {
			w.Header()[name] = vs
		}
		_, _ = w.Write(values[0].body)
		return
	}
	w.Header().Set("Content-Type", "multipart/mixed; boundary=XyZ")
	w.WriteHeader(http.StatusMultipleChoices)
	var b bytes.Buffer
	for _, v := range values {
		fmt.Fprintf(&b, "\r\n--XyZ\r\nContent-Type: %s\r\nEtag: %s\r\n\r\n%s", v.header.Get("Content-Type"), v.header.Get("Etag"), v.body)
	}
	fmt.Fprintf(&b, "\r\n--XyZ--\r\n")
	_, _ = w.Write(b.Bytes())
}

// values returns what a key holds.
func (f *fakeCluster) values(path string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	if o := f.objects[path]; o != nil {
		for _, v := range o.values {
			out = append(out, string(v.body))
		}
	}
	return out
}

// result is what a command line did.
type result struct {
	code           int
	stdout, stderr string
}

// cartwheel runs a command line in this process.
func cartwheel(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	return runIn(t.Context(), stdin, args...)
}

func runIn(ctx context.Context, stdin string, args ...string) result {
	var out, errs bytes.Buffer
	code := run(ctx, args, strings.NewReader(stdin), &out, &errs)
	return result{code, out.String(), errs.String()}
}

// expect fails unless the command line ended with the code, the exact output, and an error
// output with every one of the words (none: an empty one).
func (r result) expect(t *testing.T, what string, code int, stdout string, words ...string) {
	t.Helper()
	if r.code != code || r.stdout != stdout {
		t.Errorf("%s: exit code %d, output %q; want %d, %q\nerrors: %s", what, r.code, r.stdout, code, stdout, r.stderr)
	}
	if len(words) == 0 && r.stderr != "" {
		t.Errorf("%s: unexpected error output %q", what, r.stderr)
	}
	for _, w := range words {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("%s: the error output %q lacks %q", what, r.stderr, w)
		}
	}
	if strings.Contains(r.stdout+r.stderr, "\x1b[3") {
		t.Errorf("%s: colours although the output is no terminal: %q", what, r.stdout+r.stderr)
	}
}
