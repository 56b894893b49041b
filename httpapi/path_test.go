package httpapi

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

func TestPaths(t *testing.T) {
	for _, test := range []struct {
		path        string
		bucket, key string // "" for no such resource
	}{
		{"/buckets/b/keys/k", "b", "k"},
		{"/types/default/buckets/b/keys/k", "b", "k"},
		{"//buckets///b/keys//k/", "b", "k"},
		{"/buckets/b/keys/a%2Fb", "b", "a/b"},
		{"/buckets/b/keys/a%2Fb/", "b", "a/b"},
		{"/buckets/b/keys/%2F", "b", "/"},
		{"/buckets/b%2Fkeys/keys/k", "b/keys", "k"},
		{"/buckets/b/keys/a%252Fb", "b", "a%2Fb"},
		{"/buckets/b/keys/a+b", "b", "a b"},
		{"/buckets/b/keys/a%2Bb", "b", "a+b"},
		{"/buckets/b/keys/a%20b", "b", "a b"},
		{"/buckets/b/keys/.", "b", "."},
		{"/buckets/b/keys/..", "b", ".."},
		{"/buckets/../keys/./", "..", "."},
		{"/buckets/b/keys/%2e%2E", "b", ".."},
		{"/buckets/b/keys/%00%ff", "b", "\x00\xff"},
		{"/buckets/b/keys/schl\xc3\xbcssel", "b", "schlüssel"},
		{"/buckets/b/keys/\xc3\xbc%2F%22\"", "b", "ü/\"\""},
		{"/buckets/b/keys/k;v=1", "b", "k;v=1"},
		{"/buckets/b/keys/%3F%23", "b", "?#"},
		{"/buckets/%62/%6beys/k", "", ""}, // the words of a path are literal
		{"/buckets/b/keys/a/b", "", ""},
		{"/buckets/b/k", "", ""},
		{"/Buckets/b/keys/k", "", ""},
		{"/nosuch/path", "", ""},
		{"/riak/b/k", "b", "k"},
		{"/riak/a%2Fb/%2E+", "a/b", ". "},
		{"//riak//keys/props/", "keys", "props"},
		{"/riak/b/k/x", "", ""},
		{"/riaK/b/k", "", ""},
		{"/types/default/riak/b/k", "", ""},
	} {
		c := newCluster(t)
		got := do(c.server(t), "GET", test.path, "")
		if got.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", test.path, got.StatusCode)
		}
		switch {
		case len(c.gets) == 0 && test.bucket != "":
			t.Errorf("%s: no such resource", test.path)
		case len(c.gets) > 0 && (c.gets[0].Key.Bucket != test.bucket || c.gets[0].Key.Key != test.key):
			t.Errorf("%s: got %q, want bucket %q key %q", test.path, c.gets[0].Key, test.bucket, test.key)
		}
	}
}

// FuzzPath sends arbitrary paths and compares what they mean with a naive reading of them.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/buckets/b/keys/k", "/riak/b/%2F", "//buckets/b//keys/a%2Fb+c/", "/types/default/buckets/x/keys/%zz",
		"/buckets/b/keys/..", "/buckets/\"%2F/keys/\xff", "/", "/types/nope/buckets/b/keys/k", "/buckets/b/keys/%2"} {
		f.Add(s)
	}
	c := newCluster(f)
	a := c.server(f)
	f.Fuzz(func(t *testing.T, path string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#") {
			return
		}
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = u
		w := httptest.NewRecorder()
		c.gets = nil
		a.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code >= 300 && w.Code < 400 {
			t.Fatalf("%q: status %d", path, w.Code)
		}
		key, ok := naiveKey(path)
		switch {
		case !ok && len(c.gets) > 0:
			t.Fatalf("%q names no object, but %q was read", path, c.gets[0].Key)
		case ok && len(c.gets) == 0:
			t.Fatalf("%q names an object %q, but none was read: %d", path, key, w.Code)
		case ok && [2]string{c.gets[0].Key.Bucket, c.gets[0].Key.Key} != key:
			t.Fatalf("%q: got %q, want %q", path, c.gets[0].Key, key)
		}
	})
}

// naiveKey reads bucket and key of an object's path, byte by byte.
func naiveKey(path string) (key [2]string, ok bool) {
	var segments []string
	for _, s := range strings.Split(path, "/") {
		if s != "" {
			segments = append(segments, s)
		}
	}
	if len(segments) == 6 && segments[0] == "types" {
		segments[1] = naiveDecode(segments[1])
		if segments[1] != "default" {
			return key, false
		}
		segments = segments[2:]
	}
	if len(segments) == 3 && segments[0] == "riak" {
		segments = []string{"buckets", segments[1], "keys", segments[2]}
	}
	if len(segments) != 4 || segments[0] != "buckets" || segments[2] != "keys" {
		return key, false
	}
	key = [2]string{naiveDecode(segments[1]), naiveDecode(segments[3])}
	return key, len(key[0])+len(key[1])+len("default") <= 4096
}

func naiveDecode(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '%':
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				panic(err) // net/url has let it pass
			}
			out = append(out, byte(n))
			i += 2
		case '+':
			out = append(out, ' ')
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}

// FuzzSegment: what encodeSegment writes is one segment, and decodes to what it was.
func FuzzSegment(f *testing.F) {
	f.Add("a/b+c %")
	f.Add("\x00\xffü")
	f.Fuzz(func(t *testing.T, s string) {
		e := encodeSegment(s)
		if strings.ContainsAny(e, "/+ ?#") {
			t.Fatalf("%q became %q", s, e)
		}
		if d, err := decodeSegment(e); err != nil || d != s {
			t.Fatalf("%q became %q, and that %q, %v", s, e, d, err)
		}
	})
}

func TestMalformedPath(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	for _, path := range []string{"/buckets/b/keys/%zz", "/buckets//b/keys/%zz", "/buckets/b/keys/%2"} {
		// net/url refuses these; a caller that sets the path by hand gets here.
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = &url.URL{Path: path, RawPath: path}
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		want(t, w.Result(), 400, "malformed percent-encoding in the path\n")
	}
	if len(c.gets) > 0 {
		t.Error("an object was read")
	}
}
