package httpapi

import (
	"crypto/md5"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

const at = "/buckets/b/keys/k"

// put stores a value as text, blind unless a context is given.
func put(t *testing.T, a *API, path, value string, headers ...string) *http.Response {
	t.Helper()
	return want(t, do(a, "PUT", path, value, append(headers, "Content-Type", "text/plain")...), 204, "")
}

// values reads all values of a key, sorted, through the multipart form.
func values(t *testing.T, a *API, path string) []string {
	t.Helper()
	r := do(a, "GET", path, "", "Accept", "multipart/mixed, */*;q=0.5")
	switch r.StatusCode {
	case 404:
		return nil
	case 200:
		return []string{text(t, r)}
	}
	var all []string
	for _, p := range readParts(t, r) {
		all = append(all, p.body)
	}
	slices.Sort(all)
	return all
}

type part struct {
	header map[string][]string
	body   string
}

func readParts(t *testing.T, r *http.Response) []part {
	t.Helper()
	kind, p, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" || r.StatusCode != 300 {
		t.Fatalf("no multipart: %d %q %v", r.StatusCode, kind, err)
	}
	var parts []part
	for m := multipart.NewReader(r.Body, p["boundary"]); ; {
		q, err := m.NextRawPart()
		if err == io.EOF {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(q)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part{q.Header, string(b)})
	}
}

func tags(t *testing.T, a *API, path string) []string {
	t.Helper()
	lines := strings.Split(text(t, want300(t, do(a, "GET", path, ""))), "\n")
	if lines[0] != "Siblings:" || lines[len(lines)-1] != "" {
		t.Fatalf("not a list of vtags: %q", lines)
	}
	return lines[1 : len(lines)-1]
}

func want300(t *testing.T, r *http.Response) *http.Response {
	t.Helper()
	if r.StatusCode != 300 {
		t.Fatalf("got %d %s", r.StatusCode, text(t, r))
	}
	return r
}

func TestStoreAndRead(t *testing.T) {
	a := newCluster(t).server(t)
	stored := put(t, a, at, "hello")
	for name, v := range map[string]string{"Content-Type": "text/plain", "Vary": "Accept-Encoding", "ETag": "", "X-Riak-Vclock": "",
		"X-Cartwheel-Receipt": "replicas=2 primaries=2 fallbacks=0 durable=2 n=3 ring=17"} {
		if got := strings.Join(headerOf(stored, name), "|"); got != v {
			t.Errorf("PUT: %s: %q, want %q", name, got, v)
		}
	}
	got := want(t, do(a, "GET", at, ""), 200, "hello")
	for name, pattern := range map[string]string{"Content-Type": "^text/plain$", "Content-Length": "^5$", "X-Riak-Vclock": "^[A-Za-z0-9_-]+$",
		"Etag": `^"[A-Za-z0-9_-]+"$`, "Link": `^</buckets/b>; rel="up"$`, "Vary": "^Accept-Encoding$",
		"X-Cartwheel-Receipt": "^replicas=2 primaries=2 fallbacks=0 durable=0 n=3 ring=17$"} {
		if v := strings.Join(headerOf(got, name), "|"); !regexp.MustCompile(pattern).MatchString(v) {
			t.Errorf("GET: %s: %q does not match %s", name, v, pattern)
		}
	}
	if d, err := http.ParseTime(got.Header.Get("Last-Modified")); err != nil || time.Since(d) > 5*time.Second {
		t.Errorf("Last-Modified: %v %v", d, err)
	}
	head := want(t, do(a, "HEAD", at, ""), 200, "")
	for name := range got.Header {
		if !slices.Equal(head.Header[name], got.Header[name]) {
			t.Errorf("HEAD: %s: %q, GET: %q", name, head.Header[name], got.Header[name])
		}
	}
	want(t, do(a, "PUT", at+"2", "", "Content-Type", "text/html; format=flowed; charset=utf-8"), 204, "")
	if kind := do(a, "GET", at+"2", "").Header.Get("Content-Type"); kind != "text/html; charset=utf-8" {
		t.Errorf("type and charset are kept, got %q", kind)
	}
	typed := want(t, do(a, "GET", "/types/default"+at, ""), 200, "hello")
	if typed.Header.Get("X-Riak-Vclock") != got.Header.Get("X-Riak-Vclock") {
		t.Error("the type default is not the untyped space")
	}
}

// headerOf finds a header without case, as clients do: Go's Get only finds canonical names.
func headerOf(r *http.Response, name string) []string {
	for n, v := range r.Header {
		if strings.EqualFold(n, name) {
			return v
		}
	}
	return nil
}

func TestUpdateChangesTagAndContext(t *testing.T) {
	a := newCluster(t).server(t)
	put(t, a, at, "one")
	one := do(a, "GET", at, "")
	put(t, a, at, "two", "X-Riak-Vclock", one.Header.Get("X-Riak-Vclock"))
	two := want(t, do(a, "GET", at, ""), 200, "two")
	for _, name := range []string{"Etag", "X-Riak-Vclock"} {
		if headerOf(one, name)[0] == headerOf(two, name)[0] {
			t.Errorf("%s did not change", name)
		}
	}
}

func TestMissingAndEmpty(t *testing.T) {
	a := newCluster(t).server(t)
	r := want(t, do(a, "GET", at, ""), 404, "not found\n")
	if r.Header.Get("X-Riak-Vclock") != "" || r.Header.Get("X-Riak-Deleted") != "" {
		t.Error("a missing key has a context")
	}
	want(t, do(a, "HEAD", at, ""), 404, "")
	want(t, do(a, "PUT", at, "x"), 400, "Missing Content-Type request header")
	want(t, do(a, "GET", at, ""), 404, "-")
	put(t, a, at, "")
	r = want(t, do(a, "GET", at, ""), 200, "")
	if r.Header.Get("Content-Length") != "0" {
		t.Error("an empty value has no length")
	}
}

func TestSiblings(t *testing.T) {
	a := newCluster(t).server(t)
	one, two := "a\x00\r\n--a", "b\r\n"
	put(t, a, at, one, "X-Riak-Meta-Who", "ann", "Link", `</buckets/x/keys/y>; riaktag="t"`, "X-Riak-Index-N_int", "1, 2", "Content-Encoding", "gzip")
	single := do(a, "GET", at, "")
	put(t, a, at, two)
	list := do(a, "GET", at, "", "Accept", "*/*")
	found := tags(t, a, at)
	r := do(a, "GET", at, "", "Accept", "multipart/mixed")
	if etagOf(list) != etagOf(r) || list.Header.Get("X-Riak-Vclock") != r.Header.Get("X-Riak-Vclock") {
		t.Error("the forms have different tags or contexts")
	}
	if e := strings.Trim(etagOf(r), `"`); e == strings.Trim(etagOf(single), `"`) || slices.Contains(found, e) {
		t.Errorf("the tag of the set is a sibling's: %s", e)
	}
	parts := readParts(t, r)
	if len(parts) != 2 || parts[0].body != one || parts[1].body != two {
		t.Fatalf("parts %q", parts)
	}
	for i, p := range parts {
		if tag := p.header["Etag"]; !slices.Equal(tag, found[i:i+1]) {
			t.Errorf("part %d: Etag %q, want %q", i, tag, found[i])
		}
		if p.header["X-Riak-Vclock"] != nil || len(p.header["Last-Modified"]) != 1 || !slices.Equal(p.header["Content-Type"], []string{"text/plain"}) {
			t.Errorf("part %d: headers %q", i, p.header)
		}
	}
	h := parts[0].header
	if !slices.Equal(h["X-Riak-Index-N_int"], []string{"1", "2"}) || !slices.Equal(h["X-Riak-Meta-Who"], []string{"ann"}) ||
		!slices.Equal(h["Content-Encoding"], []string{"gzip"}) || !slices.Equal(h["Link"], []string{`</buckets/b>; rel="up", </buckets/x/keys/y>; riaktag="t"`}) {
		t.Errorf("metadata of the part: %q", h)
	}
	for i, tag := range found {
		r := want(t, do(a, "GET", at+"?vtag="+tag, ""), 200, []string{one, two}[i])
		if etagOf(r) != `"`+tag+`"` || r.Header.Get("X-Riak-Vclock") != list.Header.Get("X-Riak-Vclock") {
			t.Errorf("vtag: headers %v", r.Header)
		}
	}
	want(t, do(a, "GET", at+"?vtag=nope", ""), 404, "-")
	want(t, do(a, "GET", at, "", "Accept", "application/json"), 406, "-")
	head := want(t, do(a, "HEAD", at, "", "Accept", "multipart/mixed"), 300, "")
	if head.Header.Get("Content-Length") != r.Header.Get("Content-Length") {
		t.Error("HEAD says another length")
	}
	put(t, a, at, "merged", "X-Riak-Vclock", r.Header.Get("X-Riak-Vclock"))
	want(t, do(a, "GET", at, ""), 200, "merged")
	want(t, do(a, "GET", at+"?vtag=nope", ""), 404, "-")
	want(t, do(a, "GET", at+"?vtag=nope", "", "Accept", "image/png"), 406, "-")
}

func TestSameContextTwice(t *testing.T) {
	a := newCluster(t).server(t)
	put(t, a, at, "a")
	context := do(a, "GET", at, "").Header.Get("X-Riak-Vclock")
	put(t, a, at, "b", "X-Riak-Vclock", context)
	put(t, a, at, "c", "X-Riak-Vclock", context)
	if got := values(t, a, at); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("got %q", got)
	}
}

// A boundary that is part of a value is not used.
func TestBoundary(t *testing.T) {
	next := 'a'
	letters := func() string { next++; return string(next - 1) }
	if got := newBoundary([]vclock.Sibling{{Value: []byte("xa")}, {Value: []byte("b-c")}, {}}, letters); got != "d" {
		t.Errorf("got %q, want d", got)
	}
}

func TestLossyBucket(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	want(t, do(a, "PUT", "/buckets/b/props", `{"props":{"allow_mult":false}}`, "Content-Type", "application/json"), 204, "")
	// Two replicas wrote concurrently: both values are in the object, the later one shows.
	later := vclock.TimeOf(time.Now().Add(time.Hour))
	c.stored(ring.Key{Bucket: "b", Key: "k"}, vclock.Write{Value: []byte("late"), Time: later})
	c.stored(ring.Key{Bucket: "b", Key: "k"}, vclock.Write{Value: []byte("early")})
	r := want(t, do(a, "GET", at, ""), 200, "late")
	if got := r.Header.Get("X-Cartwheel-Receipt"); !strings.HasSuffix(got, " lossy=true") {
		t.Errorf("receipt %q", got)
	}
	if r.Header.Get("Content-Type") != "application/octet-stream" {
		t.Error("a value without a type has none")
	}
	put(t, a, at, "next", "X-Riak-Vclock", r.Header.Get("X-Riak-Vclock"))
	if !c.puts[0].Lossy {
		t.Error("the coordinator was not told that the bucket is lossy")
	}
	want(t, do(a, "GET", at, ""), 200, "next")

	// A tombstone that is later than the write: stored, but deleted.
	c.put = func(quorum.PutRequest) (quorum.PutResult, error) {
		o := vclock.Record{}.Put(vclock.Write{Value: []byte("x")}, c.ids)
		return quorum.PutResult{Object: o.Put(vclock.Write{Deleted: true, Time: later}, c.ids).Object}, nil
	}
	r = want(t, do(a, "PUT", at+"?returnbody=true", "x", "Content-Type", "text/plain"), 204, "")
	if r.Header.Get("X-Riak-Deleted") != "true" {
		t.Error("the answer does not say that the key is deleted")
	}
}

func TestReturnBody(t *testing.T) {
	a := newCluster(t).server(t)
	const path = at + "?returnbody=true"
	written := want(t, do(a, "PUT", path, "v", "Content-Type", "text/plain", "X-Riak-Meta-A", "b"), 200, "v")
	if written.Header.Get("X-Riak-Vclock") == "" {
		t.Error("no context")
	}
	read := do(a, "GET", at, "")
	for _, name := range []string{"X-Riak-Vclock", "ETag", "Last-Modified", "Link", "x-riak-meta-a"} {
		if !slices.Equal(headerOf(written, name), headerOf(read, name)) || headerOf(read, name) == nil {
			t.Errorf("%s: %q, GET: %q", name, headerOf(written, name), headerOf(read, name))
		}
	}
	want(t, do(a, "PUT", path, "", "Content-Type", "text/plain", "X-Riak-Vclock", read.Header.Get("X-Riak-Vclock")), 204, "")
	if n := len(readParts(t, do(a, "PUT", path, "w", "Content-Type", "text/plain", "Accept", "*/*"))); n != 2 {
		t.Errorf("%d parts", n)
	}
	r := want300(t, do(a, "PUT", path, "x", "Content-Type", "text/plain"))
	if r.Header.Get("Content-Type") != "text/plain" || strings.Count(text(t, r), "\n") != 4 {
		t.Error("no list of three vtags")
	}
	want(t, do(a, "PUT", path, "y", "Content-Type", "text/plain", "X-Riak-Vclock", r.Header.Get("X-Riak-Vclock")), 200, "y")
}

func TestChosenKey(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	for _, prefix := range []string{"", "/types/default"} {
		r := want(t, do(a, "POST", prefix+"/buckets/a%2Fb+%C3%BC/keys/", "v", "Content-Type", "text/plain"), 201, "")
		location := r.Header.Get("Location")
		if !regexp.MustCompile("^" + prefix + "/buckets/a%2Fb%20%C3%BC/keys/[0-9A-Za-z]{26,}$").MatchString(location) {
			t.Errorf("Location %q", location)
		}
		want(t, do(a, "GET", location, ""), 200, "v")
	}
	r := want(t, do(a, "POST", "/buckets/b/keys?returnbody=true", "w", "Content-Type", "text/plain"), 201, "w")
	if r.Header.Get("X-Riak-Vclock") == "" || r.Header.Get("Location") == "" {
		t.Error("no context or no place")
	}
	want(t, do(a, "POST", "/buckets/b/keys", "w"), 400, "Missing Content-Type request header")
	want(t, do(a, "POST", at, "w", "Content-Type", "text/plain"), 204, "")
	if keys := len(c.records); keys != 4 {
		t.Errorf("%d keys", keys)
	}
}

func TestDelete(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	want(t, do(a, "DELETE", at, ""), 404, "not found\n")
	put(t, a, at, "x")
	first := do(a, "GET", at, "").Header.Get("X-Riak-Vclock")
	want(t, do(a, "DELETE", at, ""), 204, "")
	r := want(t, do(a, "GET", at, ""), 404, "not found\n")
	context := r.Header.Get("X-Riak-Vclock")
	if context == "" || context == first || r.Header.Get("X-Riak-Deleted") != "true" {
		t.Errorf("headers of a tombstone: %v", r.Header)
	}
	r = want(t, do(a, "DELETE", at, ""), 404, "not found\n")
	if r.Header.Get("X-Riak-Vclock") != context {
		t.Error("the second DELETE does not carry the context")
	}
	put(t, a, at, "new", "X-Riak-Vclock", context)
	want(t, do(a, "GET", at, ""), 200, "new")
	want(t, do(a, "DELETE", at, "", "X-Riak-Vclock", first), 204, "") // stale: the value stays
	want(t, do(a, "GET", at, ""), 200, "new")
	if d := c.deletes[len(c.deletes)-1]; !d.HasContext {
		t.Error("the context was not passed on")
	}
}

func TestContextsAreBound(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	put(t, a, at, "a")
	put(t, a, "/buckets/b/keys/other", "b")
	context := do(a, "GET", at, "").Header.Get("X-Riak-Vclock")
	const foreign = "X-Riak-Vclock belongs to another key or another cluster; read this key and send back its own\n"
	const damaged = "X-Riak-Vclock is damaged; send back the one that was read, unchanged\n"
	for path, contexts := range map[string]map[string]string{
		"/buckets/b/keys/other":     {context: foreign},
		"/buckets/other/keys/k":     {context: foreign},
		at:                          {"zzzz": damaged, "!not base64!": damaged, "AAAAAAAAAAAAAAAAAAAAAAAA": damaged, context + "A": damaged, context[1:]: damaged, " ": "-"},
		"/types/default" + at + "2": {context: foreign},
	} {
		for sent, message := range contexts {
			if message == "-" {
				continue
			}
			before := len(c.puts)
			want(t, do(a, "PUT", path, "x", "Content-Type", "text/plain", "X-Riak-Vclock", sent), 400, message)
			want(t, do(a, "DELETE", path, "", "X-Riak-Vclock", sent), 400, message)
			if len(c.puts) != before {
				t.Fatal("something was written")
			}
		}
	}
	put(t, a, "/types/default"+at, "c", "X-Riak-Vclock", context)
	if got := values(t, a, at); !slices.Equal(got, []string{"c"}) {
		t.Errorf("got %q", got)
	}
}

// FuzzContext: whatever a client sends as its context, it is taken whole or refused.
func FuzzContext(f *testing.F) {
	f.Add("zzzz")
	f.Add(vclock.EncodeContext(nil, ring.Hash(clusterUUID, ring.Key{Bucket: "b", Key: "k"}.Name())))
	f.Add(vclock.EncodeContext(vclock.Clock{{Actor: vclock.Actor{Run: 7, Epoch: 1}, Counter: 3}}, 1))
	f.Fuzz(func(t *testing.T, context string) {
		c := newCluster(t)
		r := do(c.server(t), "PUT", at, "x", "Content-Type", "text/plain", "X-Riak-Vclock", context)
		switch {
		case r.StatusCode == 204 && len(c.puts) == 1:
			bind := ring.Hash(clusterUUID, c.puts[0].Key.Name())
			if again := vclock.EncodeContext(c.puts[0].Context, bind); context != "" && again != context {
				t.Fatalf("%q was taken as %q", context, again)
			}
		case r.StatusCode == 400 && len(c.puts) == 0:
		default:
			t.Fatalf("%q: status %d, %d writes", context, r.StatusCode, len(c.puts))
		}
	})
}

func TestRequestID(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	const id = "00112233445566778899aabbccddeeFF"
	put(t, a, at, "x", "X-Cartwheel-Request-Id", id)
	put(t, a, at, "x", "X-Cartwheel-Request-Id", id) // a retry
	if got := values(t, a, at); !slices.Equal(got, []string{"x"}) {
		t.Errorf("the retry made a sibling: %q", got)
	}
	put(t, a, at, "y")
	put(t, a, at, "z")
	if c.puts[2].RequestID == c.puts[3].RequestID || c.puts[2].RequestID == (vclock.RequestID{}) {
		t.Errorf("ids %v, %v", c.puts[2].RequestID, c.puts[3].RequestID)
	}
	for _, bad := range []string{"1", id[1:], id + "0", "x" + id[1:], strings.Repeat("0", 32)} {
		const message = "X-Cartwheel-Request-Id must be 32 hexadecimal digits, not all of them zero\n"
		want(t, do(a, "PUT", at, "x", "Content-Type", "text/plain", "X-Cartwheel-Request-Id", bad), 400, message)
		want(t, do(a, "DELETE", at, "", "X-Cartwheel-Request-Id", bad), 400, message)
	}
	if len(c.puts) != 4 {
		t.Error("a refused request was written")
	}
	want(t, do(a, "DELETE", at, "", "X-Cartwheel-Request-Id", id), 204, "-")
	if c.deletes[0].RequestID != c.puts[0].RequestID {
		t.Error("the delete has another id")
	}
}

func TestMetadataIsKeptAndReplaced(t *testing.T) {
	a := newCluster(t).server(t)
	put(t, a, at, "x", "X-Riak-Meta-Color", "blue", "x-riak-meta-n", "1", "x-riak-meta-n", "2", "Content-Encoding", "gzip",
		"X-Riak-Index-F_bin", "a,b", "Link", `</buckets/x/keys/y>; riaktag="t"`)
	r := want(t, do(a, "GET", at, ""), 200, "x")
	for name, v := range map[string][]string{"x-riak-meta-color": {"blue"}, "x-riak-meta-n": {"1", "2"}, "x-riak-index-f_bin": {"a, b"},
		"Content-Encoding": {"gzip"}, "Link": {`</buckets/b>; rel="up", </buckets/x/keys/y>; riaktag="t"`}} {
		if !slices.Equal(r.Header[name], v) { // in this very case
			t.Errorf("%s: %q, want %q", name, r.Header[name], v)
		}
	}
	want(t, do(a, "GET", at, "", "Accept-Encoding", "br"), 406, "-")
	put(t, a, at, "y", "X-Riak-Vclock", r.Header.Get("X-Riak-Vclock"))
	r = want(t, do(a, "GET", at, ""), 200, "y")
	for _, name := range []string{"x-riak-meta-color", "x-riak-index-f_bin", "Content-Encoding"} {
		if headerOf(r, name) != nil {
			t.Errorf("%s is still there", name)
		}
	}
}

func TestConditionalRequests(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	put(t, a, at, "x", "If-None-Match", "*")
	want(t, do(a, "PUT", at, "y", "Content-Type", "text/plain", "If-None-Match", "*"), 412, "-")
	read := do(a, "GET", at, "")
	etag, context := etagOf(read), read.Header.Get("X-Riak-Vclock")
	r := want(t, do(a, "GET", at, "", "If-None-Match", etag), 304, "")
	if etagOf(r) != etag || r.Header.Get("Content-Type") != "" || r.Header.Get("X-Riak-Vclock") != "" {
		t.Errorf("304: %v", r.Header)
	}
	want(t, do(a, "GET", at, "", "If-Match", `"other"`), 412, "-")
	put(t, a, at, "y", "If-Match", etag, "X-Riak-If-Not-Modified", context, "X-Riak-Vclock", context)
	want(t, do(a, "PUT", at, "z", "Content-Type", "text/plain", "X-Riak-If-Not-Modified", context), 409, "-")
	want(t, do(a, "DELETE", at, "", "If-Match", etag), 412, "-")
	want(t, do(a, "DELETE", at+"2", "", "If-Unmodified-Since", "Fri, 17 May 2024 12:00:00 GMT"), 404, "not found\n")
	want(t, do(a, "GET", at, ""), 200, "y")
	if len(c.puts) != 2 {
		t.Errorf("%d writes", len(c.puts))
	}
}

// The read of a condition and the write share one timeout.
func TestConditionsTakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.server(t)
		c.get = func(quorum.GetRequest) (quorum.GetResult, error) {
			time.Sleep(3 * time.Second)
			return quorum.GetResult{}, nil
		}
		put(t, a, at+"?timeout=5000", "x", "If-None-Match", "*")
		want(t, do(a, "PUT", at+"?timeout=3000", "x", "Content-Type", "a/b", "If-None-Match", "*"), 503, "-")
		if got := c.puts[0].Timeout; got != 2*time.Second || len(c.records) != 1 {
			t.Errorf("the write has %v", got)
		}
	})
}

// What wins when several things are wrong.
func TestOrderOfChecks(t *testing.T) {
	for _, test := range []struct {
		method, path string
		headers      []string
		status       int
		begins       string
	}{
		{"PATCH", at + "?r=x", nil, 501, "no resource knows the method PATCH"},
		{"PATCH", "/types/nope" + at, nil, 501, "no resource knows the method PATCH"},
		{"OPTIONS", at + "?r=x", nil, 405, "this resource has no OPTIONS"},
		{"OPTIONS", "/types/nope" + at, nil, 404, "Unknown bucket type: nope"},
		{"PUT", at + "?r=x", nil, 400, "Missing Content-Type"},
		{"PUT", at + "?r=x&timeout=y", []string{"Content-Type", "foo"}, 400, `Bad timeout value "y"`},
		{"PUT", "/types/nope" + at + "?w=x", []string{"Content-Type", "foo"}, 400, "w query parameter"},
		{"PUT", "/types/nope" + at, []string{"Content-Type", "foo", "Link", "x"}, 400, "Invalid Link"},
		{"PUT", "/types/nope" + at, []string{"Content-Type", "foo"}, 404, "Unknown bucket type: nope"},
		{"PUT", at, []string{"Content-Type", "foo", "X-Riak-Vclock", "x"}, 400, "X-Riak-Vclock"},
		{"PUT", at, []string{"Content-Type", "foo", "If-Match", "*"}, 415, `"foo" is not a valid media type`},
		{"PUT", at, []string{"Content-Type", "a/b", "If-Match", "*", "Content-MD5", "x"}, 412, "a condition"},
		{"PUT", at, []string{"Content-Type", "a/b", "Content-MD5", "x"}, 400, "Content-MD5"},
		{"GET", "/types/nope" + at + "?vtag=x&pr=y", nil, 400, "pr query parameter"},
		{"GET", "/types/nope" + at, []string{"Accept", "a/b"}, 404, "Unknown bucket type: nope"},
		{"GET", at, []string{"Accept", "a/b", "If-Match", "*"}, 404, "not found"},
		{"GET", at + "?r=4", nil, 400, "Specified w/dw/pw/node_confirms values invalid for bucket n value of 3"},
		{"DELETE", "/types/nope" + at + "?rw=x", nil, 400, "rw query parameter"},
		{"DELETE", "/types/nope" + at, []string{"X-Riak-Vclock", "x"}, 404, "Unknown bucket type: nope"},
		{"GET", "/types/nope/buckets/b/keys?keys=true", nil, 404, `{"error":"Unknown bucket type: nope"}`},
		{"GET", "/buckets/" + strings.Repeat("b", 2000) + "/keys/" + strings.Repeat("k", 2090) + "?r=x", nil, 414, "type, bucket and key"},
		{"GET", "/buckets/" + strings.Repeat("b", 2000) + "/keys/" + strings.Repeat("k", 2089), nil, 404, "not found"},
	} {
		c := newCluster(t)
		r := do(c.server(t), test.method, test.path, "body", test.headers...)
		if got := text(t, r); r.StatusCode != test.status || !strings.HasPrefix(got, test.begins) {
			t.Errorf("%s %.60s %q: got %d %q, want %d %q", test.method, test.path, test.headers, r.StatusCode, got, test.status, test.begins)
		}
		if len(c.records) > 0 {
			t.Errorf("%s %s: something was stored", test.method, test.path)
		}
	}
}

func TestContentMD5(t *testing.T) {
	a := newCluster(t).server(t)
	sum := md5.Sum([]byte("x"))
	put(t, a, at, "x", "Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	want(t, do(a, "PUT", at, "y", "Content-Type", "a/b", "Content-MD5", base64.StdEncoding.EncodeToString(sum[:])), 400, "Content-MD5 does not match the body\n")
}

func TestNoRing(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	c.ring = nil
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		r := want(t, do(a, method, at, "", "Content-Type", "a/b"), 503, "this node is not ready: it has no ring yet; wait until /readyz answers 200\n")
		if r.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
}

func etagOf(r *http.Response) string { return strings.Join(headerOf(r, "ETag"), "|") }
