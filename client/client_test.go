package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"cartwheel/client"
)

const receiptText = "replicas=2 primaries=1 fallbacks=1 durable=2 n=3 ring=17 lossy=true hedged=1"

func TestNewRefusesBadConfigurations(t *testing.T) {
	for _, tc := range []struct {
		cfg  client.Config
		want string // part of the error; empty: accepted
	}{
		{client.Config{}, ""},
		{client.Config{Endpoints: []string{"10.0.0.1:8098", "https://h/prefix/"}}, ""},
		{client.Config{Endpoints: []string{"ftp://h:1"}}, "ftp://h:1"},
		{client.Config{Endpoints: []string{""}}, "not an http"},
		{client.Config{Endpoints: []string{"http://:8098"}}, "not an http"},
		{client.Config{Endpoints: []string{"http://h?x=1"}}, "query"},
		{client.Config{Endpoints: []string{"http://u:secret@h"}}, "user name"},
		{client.Config{Endpoints: []string{"%", "h h"}, Timeout: -1}, "timeout"},
	} {
		_, err := client.New(tc.cfg)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("New(%+v): %v, want an error with %q", tc.cfg, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("New(%+v): the error shows the password: %v", tc.cfg, err)
		}
	}
}

func TestPathsKeepEveryByteOfTheNames(t *testing.T) {
	for _, tc := range []struct {
		key  client.Key
		want string
	}{
		{client.Key{Bucket: "b", Key: "k"}, "/buckets/b/keys/k"},
		{client.Key{Type: "default", Bucket: "b", Key: "k"}, "/buckets/b/keys/k"},
		{client.Key{Type: "carts", Bucket: "b", Key: "k"}, "/types/carts/buckets/b/keys/k"},
		{client.Key{Bucket: "a/b", Key: "x+y z%?#"}, "/buckets/a%2Fb/keys/x%2By%20z%25%3F%23"},
		{client.Key{Bucket: ".", Key: ".."}, "/buckets/%2E/keys/%2E%2E"},
		{client.Key{Bucket: "a.b", Key: "grün\xff\x00"}, "/buckets/a.b/keys/gr%C3%BCn%FF%00"},
	} {
		var got string
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			got, _, _ = strings.Cut(r.RequestURI, "?")
			w.WriteHeader(http.StatusNoContent)
		})
		if _, err := c.Put(t.Context(), tc.key, client.Value{}, client.PutOptions{}); err != nil {
			t.Errorf("Put(%q): %v", tc.key, err)
		}
		if got != tc.want {
			t.Errorf("path of %q: got %s, want %s", tc.key, got, tc.want)
		}
	}
}

func TestGetReadsValueMetadataAndReceipt(t *testing.T) {
	body := "line\r\n\x00\xffend\r\n"
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Riak-Vclock", "Y29udGV4dA==")
		h.Set("Etag", `"abc"`)
		h.Set("Last-Modified", "Wed, 22 Nov 2023 09:30:00 GMT")
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Content-Encoding", "gzip") // not really: the client must not decode
		h.Set("X-Cartwheel-Receipt", receiptText)
		h["x-riak-meta-color"] = []string{"red"}
		h.Set("X-Riak-Meta-Two-Words", "a b")
		h.Set("X-Riak-Index-Age_int", "7")
		h.Set("Link", `</buckets/b>; rel="up", </buckets/b/keys/x>; riaktag="next"`)
		_, _ = io.WriteString(w, body)
	})
	got, err := c.Get(t.Context(), client.Key{Bucket: "b", Key: "k"}, client.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []client.Value{{
		ContentType: "text/plain; charset=utf-8", ContentEncoding: "gzip",
		Meta:  map[string]string{"color": "red", "two-words": "a b"},
		Extra: http.Header{"X-Riak-Index-Age_int": {"7"}, "Link": {`</buckets/b/keys/x>; riaktag="next"`}},
		Body:  []byte(body), VTag: "abc", LastModified: time.Date(2023, 11, 22, 9, 30, 0, 0, time.UTC),
	}}
	if !reflect.DeepEqual(got.Values, want) || got.Siblings || got.Context != "Y29udGV4dA==" {
		t.Errorf("got %+v\nwant values %+v", got, want)
	}
	r := got.Receipt
	if r.Replicas != 2 || r.Primaries != 1 || r.Fallbacks != 1 || r.Durable != 2 || r.N != 3 || r.Ring != 17 || !r.Lossy {
		t.Errorf("receipt %+v does not say %s", r, receiptText)
	}
	if !reflect.DeepEqual(r.Extra, map[string]string{"hedged": "1"}) || r.String() != receiptText {
		t.Errorf("receipt: extra %v, text %q", r.Extra, r)
	}
}

func TestRequestsCarryTheirOptions(t *testing.T) {
	q := client.Quorum{
		R: "1", PR: "one", W: "2", PW: "quorum", DW: "all", RW: "3", NodeConfirms: "2", NotFoundOK: "false",
		BasicQuorum: "true", SloppyQuorum: "false", ReadRepair: "before", Timeout: 1500 * time.Millisecond,
	}
	const all = "basic_quorum=true&dw=all&node_confirms=2&notfound_ok=false&pr=one&pw=quorum&r=1&read_repair=before&"
	var got *http.Request
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.WriteHeader(http.StatusNoContent)
	})
	key := client.Key{Bucket: "b", Key: "k"}
	check := func(what, method, query string, header map[string]string) {
		t.Helper()
		if got.Method != method || got.URL.RawQuery != query {
			t.Errorf("%s: got %s ?%s\nwant %s ?%s", what, got.Method, got.URL.RawQuery, method, query)
		}
		for name, want := range header {
			if v := got.Header.Get(name); v != want {
				t.Errorf("%s: header %s is %q, want %q", what, name, v, want)
			}
		}
	}
	ctx := t.Context()
	_, _ = c.Get(ctx, key, client.GetOptions{Quorum: q, VTag: "v"})
	check("get", "GET", all+"rw=3&sloppy_quorum=false&timeout=1500&vtag=v&w=2",
		map[string]string{"Accept": "multipart/mixed, */*;q=0.5", "X-Cartwheel-Request-Id": ""})
	id := strings.Repeat("0a", 16)
	_, _ = c.Put(ctx, key, client.Value{ContentType: "a/b", Meta: map[string]string{"x": "y"}, Extra: http.Header{"link": {"<l>"}}},
		client.PutOptions{Quorum: q, Context: "ctx", ReturnBody: true, RequestID: id})
	check("put", "PUT", all+"returnbody=true&rw=3&sloppy_quorum=false&timeout=1500&w=2", map[string]string{
		"X-Riak-Vclock": "ctx", "X-Cartwheel-Request-Id": id, "Content-Type": "a/b", "X-Riak-Meta-X": "y", "Link": "<l>"})
	_, _ = c.Delete(ctx, key, client.DeleteOptions{Context: "ctx", RequestID: id, Quorum: client.Quorum{RW: "all"}})
	check("delete", "DELETE", "rw=all&timeout=15000", map[string]string{"X-Riak-Vclock": "ctx", "X-Cartwheel-Request-Id": id})
	_, _ = c.Put(ctx, key, client.Value{}, client.PutOptions{})
	check("blind put", "PUT", "timeout=15000", map[string]string{"X-Riak-Vclock": "", "Content-Type": "application/octet-stream"})
	if len(got.Header.Get("X-Cartwheel-Request-Id")) != 32 {
		t.Errorf("a put without an id sent %q", got.Header.Get("X-Cartwheel-Request-Id"))
	}
}

func TestPutRefusesWhatHeadersCannotCarry(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") })
	key := client.Key{Bucket: "b", Key: "k"}
	for name, tc := range map[string]struct {
		key   client.Key
		value client.Value
		opts  client.PutOptions
	}{
		"no key":          {client.Key{Bucket: "b"}, client.Value{}, client.PutOptions{}},
		"no bucket":       {client.Key{Key: "k"}, client.Value{}, client.PutOptions{}},
		"metadata name":   {key, client.Value{Meta: map[string]string{"a b": "c"}}, client.PutOptions{}},
		"empty name":      {key, client.Value{Meta: map[string]string{"": "c"}}, client.PutOptions{}},
		"same name twice": {key, client.Value{Meta: map[string]string{"a": "b", "A": "c"}}, client.PutOptions{}},
		"line break":      {key, client.Value{Meta: map[string]string{"a": "b\r\nX: y"}}, client.PutOptions{}},
		"trailing blank":  {key, client.Value{Meta: map[string]string{"a": "b "}}, client.PutOptions{}},
		"content type":    {key, client.Value{ContentType: "a/b\n"}, client.PutOptions{}},
		"context":         {key, client.Value{}, client.PutOptions{Context: "abc\n"}},
		"request id":      {key, client.Value{}, client.PutOptions{RequestID: strings.Repeat("x", 32)}},
		"short id":        {key, client.Value{}, client.PutOptions{RequestID: "abc"}},
	} {
		if _, err := c.Put(t.Context(), tc.key, tc.value, tc.opts); !errors.Is(err, client.ErrBadRequest) {
			t.Errorf("%s: got %v, want ErrBadRequest", name, err)
		}
	}
}

// Each status of the interface has one error.
func TestStatusMatrix(t *testing.T) {
	type answer struct {
		status int
		body   string
		header map[string]string
	}
	receipt := map[string]string{"X-Cartwheel-Receipt": "replicas=1 n=3"}
	for name, tc := range map[string]struct {
		answer
		is   error // nil: none of the sentinels
		text string
	}{
		"not found":     {answer{404, "not found\n", nil}, client.ErrNotFound, "b/k not found"},
		"tombstone":     {answer{404, "not found\n", map[string]string{"X-Riak-Vclock": "c", "X-Riak-Deleted": "true"}}, client.ErrNotFound, "b/k was deleted"},
		"unknown type":  {answer{404, "Unknown bucket type: T", nil}, nil, "Unknown bucket type: T"},
		"another site":  {answer{404, "<html>no</html>", map[string]string{"Content-Type": "text/html"}}, nil, "404 Not Found: Not Found"},
		"bad parameter": {answer{400, "Bad timeout value \"abc\"\n", nil}, client.ErrBadRequest, `Bad timeout value "abc"`},
		"media type":    {answer{415, "no\n", nil}, client.ErrBadRequest, "415"},
		"too large":     {answer{413, "the value is larger than 1048576 bytes\n", nil}, client.ErrTooLarge, "1048576"},
		"names too big": {answer{414, "too long\n", nil}, client.ErrTooLarge, "too long"},
		"precondition":  {answer{412, "", nil}, nil, "412 Precondition Failed"},
		"server error":  {answer{500, "Error:\nboom\n", nil}, nil, "boom"},
		"redirect":      {answer{302, "", map[string]string{"Location": "http://127.0.0.1:1/"}}, nil, "302"},
		"quorum":        {answer{503, "PW-value unsatisfied: 1/2\n", receipt}, nil, "PW-value unsatisfied: 1/2"},
	} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			for k, v := range tc.header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(tc.status)
			_, _ = io.WriteString(w, tc.body)
		})
		key := client.Key{Bucket: "b", Key: "k"}
		_, getErr := c.Get(t.Context(), key, client.GetOptions{})
		_, putErr := c.Put(t.Context(), key, client.Value{}, client.PutOptions{})
		_, delErr := c.Delete(t.Context(), key, client.DeleteOptions{})
		for op, err := range map[string]error{"get": getErr, "put": putErr, "delete": delErr} {
			if err == nil || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%s, %s: error %v, want one with %q", name, op, err, tc.text)
			}
			for _, sentinel := range []error{client.ErrNotFound, client.ErrBadRequest, client.ErrTooLarge, client.ErrUnreachable} {
				if errors.Is(err, sentinel) != (sentinel == tc.is) {
					t.Errorf("%s, %s: errors.Is(%v, %v) is %t", name, op, err, sentinel, errors.Is(err, sentinel))
				}
			}
		}
	}
}

func TestErrorsCarryTheirNumbers(t *testing.T) {
	status := 503
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.Header().Set("X-Cartwheel-Receipt", "replicas=1 n=3")
		w.Header().Set("X-Riak-Vclock", "tomb")
		w.Header().Set("X-Riak-Deleted", "true")
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(w, "node_confirms-value unsatisfied: 1/2\n")
		}
	})
	key := client.Key{Bucket: "b", Key: "k"}
	_, err := c.Put(t.Context(), key, client.Value{}, client.PutOptions{})
	quorum, ok := errors.AsType[*client.QuorumError](err)
	if !ok || quorum.Requirement != "node_confirms" || quorum.Got != 1 || quorum.Wanted != 2 ||
		quorum.RetryAfter != 7*time.Second || quorum.Receipt.Replicas != 1 {
		t.Errorf("503: got %+v", err)
	}
	status = 404
	for _, read := range []func(context.Context, client.Key, client.GetOptions) (*client.Object, error){c.Get, c.Head} {
		_, err = read(t.Context(), key, client.GetOptions{})
		missing, ok := errors.AsType[*client.NotFoundError](err)
		if !ok || missing.Context != "tomb" || !missing.Deleted || missing.Key != key || missing.Receipt.N != 3 {
			t.Errorf("404: got %+v", err)
		}
	}
}

func TestHeadReadsNoBody(t *testing.T) {
	status := 200
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Riak-Vclock", "c")
		w.Header().Set("Content-Length", "1234")
		w.WriteHeader(status)
	})
	got, err := c.Head(t.Context(), client.Key{Bucket: "b", Key: "k"}, client.GetOptions{})
	if err != nil || got.Context != "c" || got.Siblings || len(got.Values) != 1 {
		t.Errorf("200: %+v, %v", got, err)
	}
	status = 300
	got, err = c.Head(t.Context(), client.Key{Bucket: "b", Key: "k"}, client.GetOptions{})
	if err != nil || got.Context != "c" || !got.Siblings || len(got.Values) != 0 {
		t.Errorf("300: %+v, %v", got, err)
	}
}

func TestPutReturnsTheBody(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Riak-Vclock", "after")
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		if len(data) == 0 {
			w.WriteHeader(http.StatusNoContent)
		}
		_, _ = w.Write(data)
	})
	for _, body := range []string{"value", ""} {
		got, err := c.Put(t.Context(), client.Key{Bucket: "b", Key: "k"}, client.Value{ContentType: "a/b", Body: []byte(body)}, client.PutOptions{ReturnBody: true})
		if err != nil || got.Context != "after" || len(got.Values) != 1 || string(got.Values[0].Body) != body || got.Values[0].ContentType != "a/b" {
			t.Errorf("body %q: %+v, %v", body, got, err)
		}
	}
}

// A value beyond the server's limit is announced first; the refusal arrives although the
// body was never sent.
func TestLargeValueIsRefusedBeforeItIsSent(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if large := r.ContentLength > 1<<20; large != (r.Header.Get("Expect") == "100-continue") {
			t.Errorf("%d bytes came with Expect %q", r.ContentLength, r.Header.Get("Expect"))
		} else if large {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	for range 20 { // a lost race would show as a broken connection
		_, err := c.Put(t.Context(), client.Key{Bucket: "b", Key: "k"}, client.Value{Body: bytes.Repeat([]byte("x"), 8<<20)}, client.PutOptions{})
		if !errors.Is(err, client.ErrTooLarge) {
			t.Fatalf("8 MiB: %v, want ErrTooLarge", err)
		}
	}
	if _, err := c.Put(t.Context(), client.Key{Bucket: "b", Key: "k"}, client.Value{Body: make([]byte, 1<<20)}, client.PutOptions{}); err != nil {
		t.Errorf("1 MiB: %v", err)
	}
}

func TestGetJSON(t *testing.T) {
	status := 200
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"ring_version":17,"error":"no such resource","q":"`+r.URL.Query().Get("key")+`"}`)
	})
	var got struct {
		Ring int    `json:"ring_version"`
		Q    string `json:"q"`
	}
	if err := c.GetJSON(t.Context(), "/cluster", map[string][]string{"key": {"a&b"}}, &got); err != nil || got.Ring != 17 || got.Q != "a&b" {
		t.Errorf("got %+v, %v", got, err)
	}
	status = 404
	err := c.GetJSON(t.Context(), "/cluster", nil, &got)
	if se, ok := errors.AsType[*client.StatusError](err); !ok || se.Status != 404 || se.Message != "no such resource" {
		t.Errorf("404: %v", err)
	}
}
