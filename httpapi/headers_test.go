package httpapi

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"cartwheel/vclock"
)

func TestAccepts(t *testing.T) {
	for _, test := range []struct {
		accept, charset, encoding string // of the request, "" for none
		stored, coding            string
		want                      bool
	}{
		{"", "", "", "text/plain", "", true},
		{"*/*", "", "", "text/plain", "", true},
		{"text/*", "", "", "text/plain", "", true},
		{"Text/PLAIN", "", "", "text/plain; charset=utf-8", "", true},
		{"application/json", "", "", "text/plain", "", false},
		{"application/*, image/png", "", "", "text/plain", "", false},
		{"application/json, */*;q=0.1", "", "", "text/plain", "", true},
		{"text/plain;q=0", "", "", "text/plain", "", false},
		{"text/plain;q=0, */*", "", "", "text/plain", "", false},
		{"text/plain;q=x", "", "", "text/plain", "", false},
		{"text/plain;q=NaN", "", "", "text/plain", "", false},
		{"text/plain;q=0, text/html;q=1", "", "", "text/html", "", true},
		{",;,/,*", "", "", "text/plain", "", false},
		{"", "utf-8", "", "text/plain", "", true},
		{"", "latin1, UTF-8;q=0.5", "", "text/plain; charset=utf-8", "", true},
		{"", "latin1", "", "text/plain; charset=utf-8", "", false},
		{"", "*", "", "text/plain; charset=utf-8", "", true},
		{"", "", "", "text/plain", "gzip", true},
		{"", "", "gzip, deflate", "text/plain", "gzip", true},
		{"", "", "*", "text/plain", "gzip", true},
		{"", "", "identity", "text/plain", "gzip", false},
		{"", "", "gzip;q=0", "text/plain", "gzip", false},
		{"", "", "br", "text/plain", "", true},
		{"", "", "gzip", "text/plain", "identity", true}, // what Go's client asks for; nobody names identity
		{"", "", "gzip", "text/plain", "Identity", true},
	} {
		h := http.Header{}
		for name, v := range map[string]string{"Accept": test.accept, "Accept-Charset": test.charset, "Accept-Encoding": test.encoding} {
			if v != "" {
				h.Set(name, v)
			}
		}
		if got := acceptsValue(h, test.stored, test.coding); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}

func TestSiblingForm(t *testing.T) {
	for _, test := range []struct {
		accept string
		onRead string // text, multi, or none: neither is acceptable
		onPut  string
	}{
		{"", "text", "text"},
		{"*/*", "text", "multi"},
		{"multipart/mixed", "multi", "multi"},
		{"text/plain", "text", "text"},
		{"multipart/mixed, */*;q=0.5", "multi", "multi"},
		{"*/*;q=0.5, text/plain", "text", "text"},
		{"text/plain, multipart/mixed", "multi", "multi"},
		{"multipart/mixed;q=0.2, text/plain;q=0.3", "text", "text"},
		{"multipart/*", "multi", "multi"},
		{"text/*, multipart/*", "text", "multi"},
		{"multipart/mixed;q=0, */*", "text", "text"},
		{"application/json", "none", "none"},
		{"text/plain;q=0", "none", "none"},
	} {
		for wildcard, want := range map[form]string{asText: test.onRead, asMultipart: test.onPut} {
			got := "none"
			if f, ok := siblingForm(test.accept, wildcard); ok {
				got = map[form]string{asText: "text", asMultipart: "multi"}[f]
			}
			if got != want {
				t.Errorf("%q, wildcard %d: got %s, want %s", test.accept, wildcard, got, want)
			}
		}
	}
}

func TestConditions(t *testing.T) {
	at := time.Date(2024, 5, 17, 12, 0, 0, 0, time.UTC)
	before, same, after := httpDate(at.Add(-time.Hour)), httpDate(at), httpDate(at.Add(time.Hour))
	there := validators{exists: true, etag: `"e"`, modified: at, context: "ctx"}
	deleted := validators{context: "ctx"}
	for _, test := range []struct {
		header, value            string
		read                     int // of an object that exists
		put, putNone             int // a put to one that exists, to one that was deleted
		post, delete, delMissing int
	}{
		{"If-Match", `"e"`, 0, 0, 412, 0, 0, 412},
		{"If-Match", `"x", "e"`, 0, 0, 412, 0, 0, 412},
		{"If-Match", `*`, 0, 0, 412, 0, 0, 412},
		{"If-Match", `"x"`, 412, 412, 412, 412, 412, 412},
		{"If-Match", `W/"e"`, 412, 412, 412, 412, 412, 412},
		{"If-None-Match", `"e"`, 304, 412, 0, 412, 412, 0},
		{"If-None-Match", `*`, 304, 412, 0, 412, 412, 0},
		{"If-None-Match", `"x"`, 0, 0, 0, 0, 0, 0},
		{"If-Modified-Since", before, 0, 0, 0, 0, 0, 0},
		{"If-Modified-Since", same, 304, 0, 0, 0, 0, 0},
		{"If-Modified-Since", after, 0, 0, 0, 0, 0, 0}, // in the future, see now below
		{"If-Modified-Since", "yesterday", 0, 0, 0, 0, 0, 0},
		{"If-Unmodified-Since", before, 412, 412, 0, 412, 412, 404},
		{"If-Unmodified-Since", same, 0, 0, 0, 0, 0, 404},
		{"If-Unmodified-Since", "x", 0, 0, 0, 0, 0, 0},
		{"X-Riak-If-Not-Modified", "ctx", 0, 0, 409, 0, 0, 0},
		{"X-Riak-If-Not-Modified", "old", 0, 409, 409, 0, 0, 0},
	} {
		request := func(method string) *http.Request {
			r := httptest.NewRequest(method, "/", nil)
			r.Header.Set(test.header, test.value)
			return r
		}
		got := []int{
			readStatus(request("GET").Header, there, at.Add(time.Minute)),
			writeStatus(request("PUT"), there), writeStatus(request("PUT"), deleted), writeStatus(request("POST"), there),
			writeStatus(request("DELETE"), there), writeStatus(request("DELETE"), validators{}),
		}
		wanted := []int{test.read, test.put, test.putNone, test.post, test.delete, test.delMissing}
		if !slices.Equal(got, wanted) {
			t.Errorf("%s: %s: got %v, want %v", test.header, test.value, got, wanted)
		}
	}
}

func TestContentType(t *testing.T) {
	for given, want := range map[string]string{
		"text/plain":                               "text/plain",
		" text/plain ":                             "text/plain",
		"text/plain; charset=utf-8":                "text/plain; charset=utf-8",
		"text/plain;CHARSET=\"utf-8\";format=x":    "text/plain; charset=utf-8",
		"text/html; format=flowed; charset=latin1": "text/html; charset=latin1",
		"text/html; format=flowed":                 "text/html",
		"text/html; charset=\"a b\"":               "text/html",
		"text/html;":                               "text/html",
		"application/vnd.api+json":                 "application/vnd.api+json",
		"foo":                                      "", "": "", "/": "", "a/": "", "/b": "", "a/b/c": "", "a b/c": "", "a/b c": "", "é/b": "",
	} {
		got, ok := contentType(given)
		if got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", given, got, ok, want)
		}
	}
}

func TestMetadata(t *testing.T) {
	h := http.Header{}
	h.Add("x-riak-meta-COLOR", "blue")
	h.Add("X-Riak-Meta-Color", "red")
	h.Set("X-Riak-Meta-A", "")
	h["X-Riak-Meta-"] = []string{"no name"}
	h.Set("X-Riak-Index-Age_int", "17, -3")
	h.Add("X-Riak-Index-name_bin", "ann")
	h.Add("X-Riak-Index-name_bin", "bob,carl")
	h.Set("Content-Encoding", "gzip")
	h.Set("Link", `</buckets/b>; rel="up", </buckets/b/keys/k>; riaktag="next, \"?", </riak/b/k>;riaktag="x"`)
	h.Set("Accept", "*/*")
	got, f := metadata(h, 1000)
	if f == nil {
		t.Fatalf("a tag with a quote in it was taken: %v", got)
	}
	h.Set("Link", `</buckets/b>; rel="up", </buckets/b/keys/k>; riaktag="next, ;", </riak/b/k>;riaktag="x"`)
	got, f = metadata(h, 1000)
	if f != nil {
		t.Fatal(f.text)
	}
	wanted := []vclock.Pair{{Name: "content-encoding", Value: "gzip"},
		{Name: "link", Value: `</buckets/b/keys/k>; riaktag="next, ;", </riak/b/k>; riaktag="x"`},
		{Name: "x-riak-index-age_int", Value: "17"}, {Name: "x-riak-index-age_int", Value: "-3"},
		{Name: "x-riak-index-name_bin", Value: "ann"}, {Name: "x-riak-index-name_bin", Value: "bob"}, {Name: "x-riak-index-name_bin", Value: "carl"},
		{Name: "x-riak-meta-a", Value: ""}, {Name: "x-riak-meta-color", Value: "blue"}, {Name: "x-riak-meta-color", Value: "red"}}
	if !slices.Equal(got, wanted) {
		t.Errorf("got %q, want %q", got, wanted)
	}
	for name, test := range map[string]struct {
		value, text string
		status      int
	}{
		"X-Riak-Index-a":     {"1", "Unknown field type for field: 'a'.\n", 400},
		"X-Riak-Index-a_Int": {"x", "Could not parse field 'a_int', value 'x'.\n", 400},
		"Link":               {"nonsense", "Invalid Link header. Links must be of the form\n</buckets/BUCKET/keys/KEY>; riaktag=\"TAG\"\n", 400},
		"X-Riak-Meta-Big":    {strings.Repeat("x", 1000), "the metadata takes 1015 bytes, the limit is 1000\n", 431},
	} {
		_, f := metadata(http.Header{http.CanonicalHeaderKey(name): {test.value}}, 1000)
		if f == nil || f.status != test.status || f.text != test.text {
			t.Errorf("%s: got %+v", name, f)
		}
	}
}

// FuzzLinks: what is kept of a Link header is kept as it is when it comes back, beside the
// link to the bucket that each answer adds.
func FuzzLinks(f *testing.F) {
	f.Add(`</buckets/b>; rel="up", </buckets/b/keys/k>; riaktag="t"`)
	f.Add(`</riak/b/k>;riaktag="a,b";x="y" , , </riak/b/>`)
	f.Add(`<>;;,`)
	f.Fuzz(func(t *testing.T, list string) {
		pairs, refused := addLinks(nil, list)
		if refused != nil || len(pairs) == 0 {
			return
		}
		again, refused := addLinks(nil, up("b")+", "+pairs[0].Value)
		if refused != nil || !slices.Equal(again, pairs) {
			t.Fatalf("%q: kept %q, then %q", list, pairs, again)
		}
	})
}
