package httpapi

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestChoosePacking(t *testing.T) {
	for _, test := range []struct {
		accept, kind string
		length       int
		want         string // the form, "none" if neither is acceptable
	}{
		{"", "text/plain", 5000, "plain"},
		{"gzip", "text/plain", 1024, "gzip"},
		{"gzip", "text/plain", 1023, "plain"},
		{"gzip", "image/png", 5000, "plain"},
		{"gzip", "application/octet-stream", 5000, "plain"},
		{"gzip, deflate, br", "application/json; charset=utf-8", 5000, "gzip"},
		{"GZip;q=0.1", "Application/Problem+JSON", 5000, "gzip"},
		{"gzip;q=0", "text/plain", 5000, "plain"},
		{"gzip;q=x", "text/plain", 5000, "plain"},
		{"*", "text/plain", 5000, "plain"},
		{"br", "text/plain", 5000, "plain"},
		{"gzip;q=0.5, identity", "text/plain", 5000, "plain"},
		{"gzip, identity", "text/plain", 5000, "gzip"},
		{"gzip, identity;q=0.5", "image/svg+xml", 5000, "gzip"},
		{"identity", "text/plain", 5000, "plain"},
		{"identity;q=0", "text/plain", 5000, "none"},
		{"*;q=0", "text/plain", 5000, "none"},
		{"br, *;q=0", "text/plain", 5000, "none"},
		{"identity;q=0, *", "image/png", 5, "must"},
		{"gzip, *;q=0", "image/png", 5, "must"},
		{"gzip, identity;q=0", "text/plain", 0, "must"},
		{"gzip;q=0, identity;q=0", "text/plain", 5000, "none"},
		{"*;q=0, identity", "text/plain", 5000, "plain"},
		{",;=,;q", "text/plain", 5000, "plain"},
	} {
		h := http.Header{}
		if test.accept != "" {
			h.Set("Accept-Encoding", test.accept)
		}
		got := "none"
		if p, ok := choosePacking(h, test.kind, test.length); ok {
			got = [...]string{unpacked: "plain", packed: "gzip", mustPack: "must"}[p]
		}
		if got != test.want {
			t.Errorf("%+v: got %s", test, got)
		}
	}
}

// unzip returns what a body was before it was compressed.
func unzip(t testing.TB, r *http.Response) string {
	t.Helper()
	if got := r.Header.Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("status %d, Content-Encoding %q", r.StatusCode, got)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The two forms of a value are two representations: each has its own tag, which a conditional
// read finds again and a conditional write takes for the value.
func TestGzip(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	value := strings.Repeat(`{"name":"Åse","list":[1,2,3]}`, 100)
	want(t, do(a, "PUT", at, value, "Content-Type", "application/json", "X-Riak-Meta-A", "b"), 204, "")
	plain := want(t, do(a, "GET", at, ""), 200, value)
	small := do(a, "GET", at, "", "Accept-Encoding", "gzip, deflate")
	length, err := strconv.Atoi(small.Header.Get("Content-Length"))
	if got := unzip(t, small); got != value {
		t.Fatalf("got %.100q", got)
	}
	if err != nil || length >= len(value)/2 || etagOf(small) != strings.TrimSuffix(etagOf(plain), `"`)+`.gzip"` {
		t.Errorf("length %d of %d (%v), ETag %s beside %s", length, len(value), err, etagOf(small), etagOf(plain))
	}
	for _, name := range []string{"Vary", "Content-Type", "X-Riak-Vclock", "Last-Modified", "Link", "x-riak-meta-a"} {
		if got, wanted := headerOf(small, name), headerOf(plain, name); fmt.Sprint(got) != fmt.Sprint(wanted) {
			t.Errorf("%s: %q, plain %q", name, got, wanted)
		}
	}
	head := want(t, do(a, "HEAD", at, "", "Accept-Encoding", "gzip"), 200, "")
	if etagOf(head) != etagOf(small) || head.Header.Get("Content-Encoding") != "gzip" || head.Header.Get("Content-Length") != "" {
		t.Errorf("HEAD: %v", head.Header)
	}
	for _, test := range []struct {
		tag, accept string
		status      int
	}{
		{etagOf(plain), "", 304}, {etagOf(small), "gzip", 304}, {`"x", ` + etagOf(small), "gzip", 304}, {"*", "gzip", 304},
		{etagOf(small), "", 200}, {etagOf(plain), "gzip", 200},
	} {
		r := want(t, do(a, "GET", at, "", "If-None-Match", test.tag, "Accept-Encoding", test.accept), test.status, "-")
		sent := etagOf(plain)
		if test.accept != "" {
			sent = etagOf(small)
		}
		if etagOf(r) != sent || r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%+v: ETag %s, Vary %s", test, etagOf(r), r.Header.Get("Vary"))
		}
	}
	want(t, do(a, "GET", at, "", "If-Match", etagOf(small)), 200, value)
	want(t, do(a, "GET", at+"?vtag="+strings.Trim(etagOf(small), `"`), ""), 200, value)
	want(t, do(a, "PUT", at, value, "Content-Type", "application/json", "If-None-Match", etagOf(small)), 412, "-")
	want(t, do(a, "PUT", at, value, "Content-Type", "application/json", "If-Match", `"x.gzip"`), 412, "-")
	want(t, do(a, "PUT", at, value, "Content-Type", "application/json", "If-Match", etagOf(small)), 204, "-")
	if etag := etagOf(do(a, "GET", at, "", "Accept-Encoding", "gzip")); !strings.HasPrefix(etag, `"set.`) || strings.HasSuffix(etag, `.gzip"`) {
		t.Errorf("siblings go as they are, with the tag %s", etag)
	}
}

func TestGzipNotForAll(t *testing.T) {
	a := newCluster(t).server(t)
	long := strings.Repeat("x", 5000)
	put(t, a, at+"1", long, "Content-Encoding", "br")
	want(t, do(a, "GET", at+"1", "", "Accept-Encoding", "gzip, br"), 200, long)
	want(t, do(a, "GET", at+"1", "", "Accept-Encoding", "gzip"), 406, "-")
	want(t, do(a, "PUT", at+"2", long, "Content-Type", "image/png"), 204, "")
	want(t, do(a, "GET", at+"2", "", "Accept-Encoding", "gzip"), 200, long)
	want(t, do(a, "GET", at+"2", "", "Accept-Encoding", "identity;q=0"), 406, "-")
	if got := unzip(t, do(a, "GET", at+"2", "", "Accept-Encoding", "gzip, identity;q=0")); got != long {
		t.Error("another value")
	}
	put(t, a, at+"3", "short")
	want(t, do(a, "GET", at+"3", "", "Accept-Encoding", "gzip"), 200, "short")
	put(t, a, at+"4", "")
	if got := unzip(t, do(a, "GET", at+"4", "", "Accept-Encoding", "gzip, identity;q=0")); got != "" {
		t.Error("another value")
	}
}

// When all writers are in use values go as they are, under their own tag, and who takes only
// the other form waits.
func TestGzipBusy(t *testing.T) {
	a := newCluster(t).server(t)
	long := strings.Repeat("x", 5000)
	put(t, a, at, long)
	var taken []*gzip.Writer
	for range cap(a.compressors.free) {
		taken = append(taken, <-a.compressors.free)
	}
	r := want(t, do(a, "GET", at, "", "Accept-Encoding", "gzip"), 200, long)
	if etagOf(r) != etagOf(do(a, "GET", at, "")) || r.Header.Get("Content-Encoding") != "" {
		t.Errorf("headers %v", r.Header)
	}
	answer := make(chan *http.Response)
	go func() { answer <- do(a, "GET", at, "", "Accept-Encoding", "gzip, identity;q=0") }()
	select {
	case <-answer:
		t.Error("did not wait")
	case a.compressors.free <- taken[0]:
		if got := unzip(t, <-answer); got != long {
			t.Error("another value")
		}
	}
}

// Writers and buffers are used again, and never by two at once.
func TestGzipConcurrently(t *testing.T) {
	a := newCluster(t).server(t)
	var wg sync.WaitGroup
	for i := range 8 {
		value := strings.Repeat(fmt.Sprint(i, " "), 1000*(i+1))
		path := at + fmt.Sprint(i)
		put(t, a, path, value)
		wg.Go(func() {
			for range 50 {
				r := do(a, "GET", path, "", "Accept-Encoding", "gzip")
				got := ""
				if r.Header.Get("Content-Encoding") == "gzip" {
					got = unzip(t, r)
				} else {
					got = text(t, r)
				}
				if got != value {
					t.Errorf("%d: another value", i)
				}
			}
		})
	}
	wg.Wait()
	if n := len(a.compressors.free); n != cap(a.compressors.free) {
		t.Errorf("%d of %d writers came back", n, cap(a.compressors.free))
	}
}

// FuzzPack: what is compressed is whole again afterwards, whatever the writer had before.
func FuzzPack(f *testing.F) {
	f.Add([]byte("x"), []byte(""))
	f.Add([]byte("yyyyyyyyyyyyyyyyyyyyyyy"), bytes.Repeat([]byte("ab"), 5000))
	c := newCompressors()
	f.Fuzz(func(t *testing.T, one, two []byte) {
		for _, value := range [][]byte{one, two, one} {
			out := c.pack(value, true)
			z, err := gzip.NewReader(bytes.NewReader(out.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(z)
			if err != nil || !bytes.Equal(got, value) {
				t.Fatalf("got %q, %v", got, err)
			}
			c.release(out)
		}
	})
}
