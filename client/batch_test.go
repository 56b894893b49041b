package client_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"cartwheel/client"
)

// batchNode answers batches: gets find the key as value, puts and deletes are kept by their ids.
type batchNode struct {
	mu         sync.Mutex
	ids        map[string]int // how often each was seen
	requests   []int          // operations of each
	queries    []string
	breakAfter int // answers of the first request; 0: all
}

func (n *batchNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/batch") || r.Header.Get("Content-Type") != "application/x-ndjson" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var ops []map[string]any
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var op map[string]any
		if err := json.Unmarshal(lines.Bytes(), &op); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		ops = append(ops, op)
	}
	n.requests, n.queries = append(n.requests, len(ops)), append(n.queries, r.URL.RawQuery)
	w.Header().Set("Content-Type", "application/x-ndjson")
	for i, op := range ops {
		id, _ := op["request_id"].(string)
		if n.ids[id]++; n.breakAfter > 0 && len(n.requests) == 1 && i >= n.breakAfter {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		switch key := op["key"]; {
		case op["op"] == "get":
			_, _ = fmt.Fprintf(w, `{"key":%q,"status":200,"context":"c","receipt":"replicas=2 n=3","etag":"\"t\"","vtag":"t","last_modified":"Sun, 22 Nov 2026 08:30:00 GMT","content_type":"text/plain","value":%q}`+"\n", key, key)
		case op["op"] == "delete" && n.ids[id] > 1:
			_, _ = fmt.Fprintf(w, `{"key":%q,"status":404,"error":"not found","context":"d","deleted":true}`+"\n", key)
		default:
			_, _ = fmt.Fprintf(w, `{"key":%q,"status":204,"receipt":"replicas=2 n=3"}`+"\n", key)
		}
	}
}

func puts(n int) (ops []client.BatchOp) {
	for i := range n {
		ops = append(ops, client.BatchOp{Kind: client.BatchPut, Key: fmt.Sprint(i)})
	}
	return ops
}

func TestBatchLinesCarryWhatPutSends(t *testing.T) {
	var lines []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		lines = strings.Split(strings.TrimSpace(string(b)), "\n")
		for range lines {
			_, _ = io.WriteString(w, `{"status":204}`)
		}
	})
	id := strings.Repeat("0a", 16)
	ops := []client.BatchOp{
		{Kind: client.BatchGet, Key: "a/<b>"},
		{Kind: client.BatchPut, Key: "k", Context: "ctx", RequestID: id, Value: client.Value{ContentType: "text/plain", ContentEncoding: "gzip",
			Meta: map[string]string{"color": "red"}, Body: []byte("grün\n"),
			Extra: http.Header{"Link": {"<l>", "<m>"}, "X-Riak-Index-Age_int": {"1", "2"}}}},
		{Kind: client.BatchPut, Key: "k", RequestID: id, Value: client.Value{Body: []byte{0xff, 0}}},
		{Kind: client.BatchPut, Key: "k", RequestID: id},
		{Kind: client.BatchDelete, Key: "k", RequestID: id, Context: "ctx"},
	}
	if _, err := c.BatchDo(t.Context(), client.Bucket{Type: "t", Name: "b"}, ops, client.BatchOptions{}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`{"op":"get","key":"a/<b>"}`,
		`{"op":"put","key":"k","value":"grün\n","content_type":"text/plain","content_encoding":"gzip","context":"ctx","request_id":"` + id + `","link":"<l>, <m>","meta":{"color":"red"},"indexes":{"age_int":["1","2"]}}`,
		`{"op":"put","key":"k","base64":"/wA=","content_type":"application/octet-stream","request_id":"` + id + `"}`,
		`{"op":"put","key":"k","value":"","content_type":"application/octet-stream","request_id":"` + id + `"}`,
		`{"op":"delete","key":"k","context":"ctx","request_id":"` + id + `"}`,
	} {
		if lines[i] != want {
			t.Errorf("line %d: %s\nwant %s", i, lines[i], want)
		}
	}
	lines = nil
	for name, op := range map[string]client.BatchOp{
		"no kind": {Key: "k"}, "no key": {Kind: client.BatchGet}, "a key in bytes": {Kind: client.BatchGet, Key: "\xff"},
		"a get with context": {Kind: client.BatchGet, Key: "k", Context: "c"}, "an id": {Kind: client.BatchDelete, Key: "k", RequestID: "x"},
		"context":    {Kind: client.BatchPut, Key: "k", Context: "\n"},
		"metadata":   {Kind: client.BatchPut, Key: "k", Value: client.Value{Meta: map[string]string{"a b": ""}}},
		"not UTF-8":  {Kind: client.BatchPut, Key: "k", Value: client.Value{Meta: map[string]string{"a": "\xff"}}},
		"odd header": {Kind: client.BatchPut, Key: "k", Value: client.Value{Extra: http.Header{"X-Y": {"z"}}}},
	} {
		results, err := c.BatchDo(t.Context(), client.Bucket{Name: "b"}, []client.BatchOp{{Kind: client.BatchGet, Key: "k"}, op}, client.BatchOptions{})
		if !errors.Is(err, client.ErrBadRequest) || results != nil || lines != nil || !strings.Contains(err.Error(), "operation 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBatchResults(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"key":"0","status":200,"context":"c","receipt":"replicas=2 n=3","etag":"\"t\"","vtag":"t","last_modified":"Sun, 22 Nov 2026 08:30:00 GMT","content_type":"text/plain","link":"<l>; riaktag=\"x\"","meta":{"a":"b"},"indexes":{"age_int":["7"]},"base64":"/w=="}
{"key":"1","status":300,"context":"c","etag":"\"set.1\"","siblings":[{"vtag":"x","value":"1"},{"vtag":"y","value":""}]}
{"key":"2","status":404,"error":"not found"}
{"key":"3","status":404,"error":"not found","deleted":true,"context":"d"}
{"key":"4","status":503,"error":"W-value unsatisfied: 1/2","receipt":"replicas=1 n=3"}
{"key":"5","status":204,"context":"next","receipt":"replicas=3 n=3"}
{"key":"6","status":428,"error":"send the context"}
{"status":400,"error":"the line is not a JSON object"}
{"key":"8","status":404,"error":"not found","deleted":true}
`)
	})
	ops := puts(9)
	ops[8].Kind = client.BatchDelete
	got, err := c.BatchDo(t.Context(), client.Bucket{Name: "b"}, ops, client.BatchOptions{ReturnBody: true})
	if err != nil || len(got) != 9 {
		t.Fatal(got, err)
	}
	want := client.Value{ContentType: "text/plain", Meta: map[string]string{"a": "b"}, Body: []byte{0xff}, VTag: "t", LastModified: time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC),
		Extra: http.Header{"X-Riak-Index-Age_int": {"7"}, "Link": {`<l>; riaktag="x"`}}}
	if o := got[0].Object; !reflect.DeepEqual(o.Values, []client.Value{want}) || o.Context != "c" || o.ETag != "t" || o.Receipt.Replicas != 2 {
		t.Errorf("a value: %+v", o)
	}
	if o := got[1].Object; !o.Siblings || len(o.Values) != 2 || o.Values[0].VTag != "x" || string(o.Values[0].Body) != "1" || o.Values[1].Body == nil {
		t.Errorf("siblings: %+v", o)
	}
	for i, deleted := range map[int]bool{2: false, 3: true, 8: true} {
		if e, ok := errors.AsType[*client.NotFoundError](got[i].Err); !ok || e.Deleted != deleted || e.Key != (client.Key{Bucket: "b", Key: fmt.Sprint(i)}) {
			t.Errorf("%d: %v", i, got[i].Err)
		}
	}
	if e, ok := errors.AsType[*client.QuorumError](got[4].Err); !ok || e.Requirement != "W" || e.Got != 1 || e.Receipt.Replicas != 1 {
		t.Errorf("quorum: %v", got[4].Err)
	}
	if o := got[5].Object; o == nil || o.Context != "next" || o.Receipt.Replicas != 3 || got[5].Err != nil || len(got[5].RequestID) != 32 {
		t.Errorf("stored: %+v", got[5])
	}
	if !errors.Is(got[6].Err, client.ErrContextRequired) || !errors.Is(got[7].Err, client.ErrBadRequest) {
		t.Errorf("refused: %v, %v", got[6].Err, got[7].Err)
	}
}

// More than a request may hold goes in several.
func TestBatchesAreCut(t *testing.T) {
	n := &batchNode{ids: map[string]int{}}
	c := serve(t, n.ServeHTTP)
	got, err := c.BatchDo(t.Context(), client.Bucket{Name: "b"}, puts(2500), client.BatchOptions{Quorum: client.Quorum{W: "1"}})
	if err != nil || len(got) != 2500 || fmt.Sprint(n.requests) != "[1000 1000 500]" || n.queries[0] != "timeout=15000&w=1" {
		t.Errorf("%v, %v, %v", err, n.requests, n.queries)
	}
	n.requests = nil
	large := puts(5)
	for i := range large {
		large[i].Value.Body = []byte(strings.Repeat("x", 3<<20))
	}
	if _, err := c.BatchDo(t.Context(), client.Bucket{Name: "b"}, large, client.BatchOptions{}); err != nil || fmt.Sprint(n.requests) != "[2 2 1]" {
		t.Errorf("%v, %v", err, n.requests)
	}
	if got, err := c.BatchDo(t.Context(), client.Bucket{Name: "b"}, nil, client.BatchOptions{}); err != nil || len(got) != 0 {
		t.Errorf("nothing to do: %v, %v", got, err)
	}
}

// What has no answer is repeated, and only that, with the same ids.
func TestBrokenBatchesGoOn(t *testing.T) {
	n := &batchNode{ids: map[string]int{}, breakAfter: 4}
	node := func(*log) http.HandlerFunc { return n.ServeHTTP }
	ops := append(puts(5), client.BatchOp{Kind: client.BatchGet, Key: "g"}, client.BatchOp{Kind: client.BatchDelete, Key: "d"})
	ops[4].Kind = client.BatchDelete // the first without an answer, though it may have been carried out
	cluster(t, client.Config{}, map[string]func(*log) http.HandlerFunc{"a": node, "b": node}, func(t *testing.T, c *client.Client, _ *log) {
		got, err := c.BatchDo(t.Context(), client.Bucket{Name: "b"}, ops, client.BatchOptions{})
		if err != nil || fmt.Sprint(n.requests) != "[7 3]" {
			t.Fatalf("%v, %v", n.requests, err)
		}
		for i, r := range got {
			if r.Err != nil || r.Object == nil || i != 5 && n.ids[r.RequestID] != 1 && i != 4 {
				t.Errorf("%d: %+v, seen %d times", i, r, n.ids[r.RequestID])
			}
		}
		if n.ids[got[4].RequestID] != 2 {
			t.Errorf("the fifth was seen %d times", n.ids[got[4].RequestID])
		}
	})
	n = &batchNode{ids: map[string]int{}, breakAfter: 2}
	cluster(t, client.Config{Retries: -1}, map[string]func(*log) http.HandlerFunc{"a": node}, func(t *testing.T, c *client.Client, _ *log) {
		got, err := c.BatchDo(t.Context(), client.Bucket{Name: "b"}, puts(1003), client.BatchOptions{})
		if _, ok := errors.AsType[*client.IndeterminateError](err); !ok || len(got) != 1003 || len(n.requests) != 1 {
			t.Fatalf("%d results, %v", len(got), err)
		}
		if got[1].Err != nil || got[2].Err != err || got[1002].Err != err {
			t.Errorf("%+v, %+v, %+v", got[1], got[2], got[1002])
		}
	})
	n = &batchNode{ids: map[string]int{}, breakAfter: 1}
	cluster(t, client.Config{Retries: -1}, map[string]func(*log) http.HandlerFunc{"a": node}, func(t *testing.T, c *client.Client, _ *log) {
		gets := []client.BatchOp{{Kind: client.BatchGet, Key: "x"}, {Kind: client.BatchGet, Key: "y"}}
		_, err := c.BatchDo(t.Context(), client.Bucket{Name: "b"}, gets, client.BatchOptions{})
		if _, doubt := errors.AsType[*client.IndeterminateError](err); err == nil || doubt {
			t.Errorf("reads leave no doubt: %v", err)
		}
	})
}

func TestBatchesThatAreRefusedOrMixedUp(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
	got, err := c.BatchDo(t.Context(), client.Bucket{Name: "b"}, puts(2), client.BatchOptions{})
	if !errors.Is(err, client.ErrTooLarge) || len(got) != 2 || got[1].Err != err {
		t.Errorf("%+v, %v", got, err)
	}
	c = serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"key":"0","status":204}{"key":"7","status":204}`)
	})
	got, err = c.BatchDo(t.Context(), client.Bucket{Name: "b"}, puts(2), client.BatchOptions{})
	if err == nil || got[0].Err != nil || got[1].Err == nil || !strings.Contains(err.Error(), "was due") {
		t.Errorf("answers out of order: %+v, %v", got, err)
	}
	if _, err := c.BatchDo(t.Context(), client.Bucket{}, puts(1), client.BatchOptions{}); !errors.Is(err, client.ErrBadRequest) {
		t.Errorf("no bucket: %v", err)
	}
}
