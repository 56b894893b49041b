package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"cartwheel/listing"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// List is a lister over the cluster's map: in order, or in that of the map, in small batches.
func (c *cluster) List(ctx context.Context, q listing.Query, visit func([]string) error) error {
	if c.list != nil {
		return c.list(ctx, q, visit)
	}
	names := c.names(q)
	if q.Limit > 0 {
		names = names[:min(q.Limit, len(names))]
	}
	for len(names) > 0 {
		n := min(1+len(names)%3, len(names))
		if err := visit(names[:n]); err != nil {
			return err
		}
		names = names[n:]
	}
	return ctx.Err()
}

func (c *cluster) Count(ctx context.Context, q listing.Query) (int64, error) {
	if c.list != nil {
		return 0, c.list(ctx, q, nil)
	}
	return int64(len(c.names(q))), ctx.Err()
}

func (c *cluster) names(q listing.Query) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string]bool{}
	for name, record := range c.records {
		k, _ := ring.ParseName(name)
		listed := k.Key
		if q.Bucket == "" {
			listed = k.Bucket
		}
		if shown := record.Object.Shown(); len(shown) > 0 && !shown[0].Deleted && k.Type == q.Type &&
			(q.Bucket == "" || k.Bucket == q.Bucket) && strings.HasPrefix(listed, q.Prefix) && listed >= q.Start {
			found[listed] = true
		}
	}
	var names []string
	for name := range found {
		names = append(names, name)
	}
	if q.Sorted {
		sort.Strings(names)
	}
	return names
}

// fill stores keys of bucket b.
func (c *cluster) fill(keys ...string) {
	for _, k := range keys {
		c.stored(ring.Key{Type: "default", Bucket: "b", Key: k}, vclock.Write{Value: []byte("v"), ContentType: "text/plain"})
	}
}

func TestListAnswers(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	for _, path := range []string{"/buckets/b/keys", "/types/default/buckets/b/keys"} {
		want(t, do(a, "GET", path, ""), 200, "{}\n")
		want(t, do(a, "GET", path+"?keys=true", ""), 200, `{"keys":[]}`+"\n")
		want(t, do(a, "GET", path+"?keys=stream", ""), 200, `{"keys":[]}`)
		want(t, do(a, "GET", path+"?keys=count", ""), 200, `{"count":0}`+"\n")
	}
	want(t, do(a, "GET", "/buckets?buckets=true", ""), 200, `{"buckets":[]}`+"\n")
	c.fill("a", "b", "c", "d", "e", "é\"\\\n<", "\x01\xff")
	c.stored(ring.Key{Type: "default", Bucket: "b", Key: "gone"}, vclock.Write{Deleted: true})
	c.stored(ring.Key{Type: "default", Bucket: "other", Key: "o"}, vclock.Write{})
	for _, test := range []struct{ path, body string }{
		{"/buckets/b/keys?keys=true&sort=true", `{"keys":["\u0001` + "\uFFFD" + `","a","b","c","d","e","é\"\\\n<"]}` + "\n"},
		{"/buckets/b/keys?keys=true&sort=true&encoding=url", `{"keys":["%01%FF","a","b","c","d","e","%C3%A9%22%5C%0A%3C"]}` + "\n"},
		{"/buckets/b/keys/?keys=TRUE&sort=True&start=b&prefix=", `{"keys":["b","c","d","e","é\"\\\n<"]}` + "\n"},
		{"/buckets/b/keys?keys=true&prefix=%01%ff", `{"keys":["\u0001` + "\uFFFD" + `"]}` + "\n"},
		{"/buckets/b/keys?keys=true&prefix=%C3", `{"keys":["é\"\\\n<"]}` + "\n"},
		{"/buckets/b/keys?keys=stream&sort=true&start=a&prefix=", `{"keys":["a"]}{"keys":["b","c","d","e","é\"\\\n<"]}{"keys":[]}`},
		{"/buckets/b/keys?keys=count", `{"count":7}` + "\n"},
		{"/buckets/b/keys?keys=count&start=c", `{"count":4}` + "\n"},
		{"/buckets/b/keys?keys=false", "{}\n"},
		{"/buckets/b/keys?buckets=true", "{}\n"},
		{"/buckets", `{"buckets":[]}` + "\n"},
		{"/buckets?keys=true", `{"buckets":[]}` + "\n"},
		{"/buckets?buckets=true&sort=true", `{"buckets":["b","other"]}` + "\n"},
		{"/types/default/buckets?buckets=stream&sort=true", `{"buckets":["b","other"]}{"buckets":[]}`},
		{"/buckets?buckets=count&prefix=o", `{"count":1}` + "\n"},
	} {
		r := want(t, do(a, "GET", test.path, ""), 200, test.body)
		if r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", test.path, r.Header)
		}
	}
	var keys struct{ Keys []string }
	getJSON(t, a, "/buckets/b/keys?keys=true", &keys)
	if len(keys.Keys) != 7 {
		t.Errorf("got %q", keys.Keys)
	}
}

// What cannot be asked for is refused before anybody is asked.
func TestListRefusals(t *testing.T) {
	c := newCluster(t)
	c.list = func(context.Context, listing.Query, func([]string) error) error {
		t.Error("listed")
		return nil
	}
	a := c.server(t)
	for _, test := range []struct {
		path, text string
		status     int
	}{
		{"/buckets/b/keys?keys=maybe", "keys query parameter must be 'true', 'stream' or 'count'", 400},
		{"/buckets?buckets=1", "buckets query parameter must be 'true', 'stream' or 'count'", 400},
		{"/buckets/b/keys?timeout=abc", `Bad timeout value "abc"`, 400},
		{"/buckets/b/keys?keys=true&timeout=", `Bad timeout value ""`, 400},
		{"/buckets?buckets=true&sort=x&limit=0", "sort query parameter must be true or false; limit query parameter must be a positive integer", 400},
		{"/buckets?buckets=true&limit=-1", "limit query parameter must be a positive integer", 400},
		{"/buckets?buckets=true&limit=99999999999", "limit query parameter must be a positive integer", 400},
		{"/buckets/b/keys?keys=count&limit=3", "limit query parameter means nothing with keys=count", 400},
		{"/buckets/b/keys?keys=count&continuation=x", "continuation query parameter means nothing with keys=count", 400},
		{"/buckets/b/keys?keys=true&encoding=json", "encoding query parameter must be 'url'", 400},
		{"/buckets/b/keys?keys=true&prefix=%zz", "Malformed percent-encoding in the query", 400},
		{"/buckets/b/keys?keys=true&start=" + strings.Repeat("x", 4097), "start query parameter is longer than 4096 bytes, and so than any name", 400},
		{"/types/nope/buckets/b/keys?keys=true", "Unknown bucket type: nope", 404},
		{"/types/nope/buckets?buckets=true", "Unknown bucket type: nope", 404},
		{"/types/nope/buckets", "Unknown bucket type: nope", 404},
	} {
		r := do(a, "GET", test.path, "")
		var body struct{ Error string }
		if err := json.Unmarshal([]byte(text(t, r)), &body); err != nil || r.StatusCode != test.status || body.Error != test.text {
			t.Errorf("%s: got %d %q %v, want %d %q", test.path, r.StatusCode, body.Error, err, test.status, test.text)
		}
	}
	for _, path := range []string{"/buckets/b/keys?keys=true", "/buckets?buckets=stream", "/riak/b?keys=true"} {
		r := want(t, do(a, "HEAD", path, ""), 200, "")
		if r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("HEAD %s: %v", path, r.Header)
		}
	}
	for path, allow := range map[string]string{"/buckets/b/keys": "HEAD, GET, POST", "/buckets": "HEAD, GET", "/riak": "HEAD, GET", "/riak/b": "HEAD, GET, POST, PUT"} {
		if r := want(t, do(a, "DELETE", path, ""), 405, "-"); r.Header.Get("Allow") != allow {
			t.Errorf("%s: Allow %q", path, r.Header.Get("Allow"))
		}
	}
}

// The query that reaches the lister.
func TestListQuery(t *testing.T) {
	c := newCluster(t)
	var got listing.Query
	var left time.Duration
	c.list = func(ctx context.Context, q listing.Query, _ func([]string) error) error {
		deadline, _ := ctx.Deadline()
		got, left = q, time.Until(deadline).Round(time.Second)
		return nil
	}
	a := c.server(t)
	want(t, do(a, "PUT", "/buckets/one/props", `{"props":{"n_val":1}}`, "Content-Type", "application/json"), 204, "")
	for _, test := range []struct {
		path    string
		query   listing.Query
		timeout time.Duration
	}{
		{"/buckets/b/keys?keys=true", listing.Query{Type: "default", Bucket: "b", N: 3}, 8 * time.Minute},
		{"/buckets/one/keys?keys=stream", listing.Query{Type: "default", Bucket: "one", N: 1}, 8 * time.Minute},
		{"/buckets?buckets=true", listing.Query{Type: "default", N: 1}, 5 * time.Minute},
		{"/buckets/a%2Fb/keys?keys=count&prefix=p+q&start=s%00&timeout=90000", listing.Query{Type: "default", Bucket: "a/b", Prefix: "p q", Start: "s\x00", N: 3}, 90 * time.Second},
		{"/buckets/b/keys?keys=true&limit=10&timeout=99999999", listing.Query{Type: "default", Bucket: "b", Limit: 11, Sorted: true, N: 3}, time.Hour},
		{"/riak/b?keys=stream&sort=true&sort=false&timeout=0", listing.Query{Type: "default", Bucket: "b", Sorted: true, N: 3}, 0},
		{"/riak?buckets=true&sort=default", listing.Query{Type: "default", N: 1}, 5 * time.Minute},
	} {
		want(t, do(a, "GET", test.path, ""), 200, "-")
		if got != test.query || left != test.timeout {
			t.Errorf("%s: got %+v %v, want %+v %v", test.path, got, left, test.query, test.timeout)
		}
	}
}

// TestListFailures: before the first byte a failed list has a status.
func TestListFailures(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	for _, test := range []struct {
		err    error
		status int
		text   string
		retry  bool
	}{
		{&listing.IncompleteError{Partitions: []uint16{3, 4, 9}, Of: 16, Why: []string{"n2 is away"}}, 503,
			"no member can list partitions 3-4, 9 of 16 completely now: n2 is away", true},
		{fmt.Errorf("list: %w", context.DeadlineExceeded), 503, "timeout", false},
		{context.Canceled, 499, "the client is gone", false},
		{listing.ErrNoRing, 503, "this node is not ready: it has no ring yet; wait until /readyz answers 200", true},
		{listing.ErrClosed, 503, "the node is stopping", true},
		{errors.New("odd"), 503, "odd", true},
	} {
		c.list = func(context.Context, listing.Query, func([]string) error) error { return test.err }
		for _, path := range []string{"/buckets/b/keys?keys=true", "/buckets/b/keys?keys=stream", "/buckets/b/keys?keys=count", "/riak/b?keys=stream"} {
			r := do(a, "GET", path, "")
			var body struct{ Error string }
			if err := json.Unmarshal([]byte(text(t, r)), &body); err != nil || r.StatusCode != test.status || body.Error != test.text ||
				(r.Header.Get("Retry-After") == "1") != test.retry {
				t.Errorf("%v: %s: got %d %q %v %v", test.err, path, r.StatusCode, body.Error, r.Header, err)
			}
		}
	}
	a.cfg.Lister = nil
	want(t, do(a, "GET", "/buckets/b/keys?keys=true", ""), 503, "-")
}

// pages walks through a list with a limit, adding more to the query, and returns all names.
// between is called after each page.
func pages(t *testing.T, a *API, path, noun string, between func()) (names []string) {
	t.Helper()
	next := ""
	for range 100 {
		r := do(a, "GET", path+next, "")
		if r.StatusCode != 200 {
			t.Fatalf("%s: %d %s", path+next, r.StatusCode, text(t, r))
		}
		continuation := ""
		for d := json.NewDecoder(strings.NewReader(text(t, r))); d.More(); {
			var o map[string]json.RawMessage
			var part []string
			if err := d.Decode(&o); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(o[noun], &part); err != nil {
				t.Fatal(err)
			}
			names = append(names, part...)
			if o["continuation"] != nil {
				if err := json.Unmarshal(o["continuation"], &continuation); err != nil || url.QueryEscape(continuation) != continuation {
					t.Fatalf("%s: %v", o["continuation"], err)
				}
				if d.More() {
					t.Fatal("a continuation before the end")
				}
			}
		}
		if continuation == "" {
			return names
		}
		next = "&continuation=" + continuation
		between()
	}
	t.Fatal("no end")
	return nil
}

// Pages together are the whole list, whatever their length, and a name that was there all the
// time is on one of them whatever else comes and goes.
func TestListPages(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	keys := []string{"\x00", "\x00\x00", "a", "a\x00", "ab", "b", "b\xff", "b\xff\xff", "c", "c" + strings.Repeat("x", 200), "d"}
	slices.Sort(keys)
	c.fill(keys...)
	shown := func(keys []string) (s []string) {
		for _, k := range keys {
			s = append(s, encodeSegment(k))
		}
		return s
	}
	for limit := 1; limit <= len(keys)+1; limit++ {
		for _, form := range []string{"true", "stream"} {
			for start := range keys {
				path := fmt.Sprintf("/buckets/b/keys?keys=%s&limit=%d&encoding=url&start=%s", form, limit, url.QueryEscape(keys[start]))
				if got := pages(t, a, path, "keys", func() {}); !slices.Equal(got, shown(keys[start:])) {
					t.Fatalf("%s: got %q", path, got)
				}
			}
		}
	}
	if got := pages(t, a, "/buckets/b/keys?keys=true&limit=2&prefix=b&encoding=url", "keys", func() {}); !slices.Equal(got, shown(keys[5:8])) {
		t.Errorf("got %q", got)
	}
	// A later start counts beside a continuation, an earlier one does not.
	after := encodeContinuation(listing.Query{Type: "default", Bucket: "b"}, "ab")
	for start, first := range map[string]string{"a": "b", "c": "c"} {
		want(t, do(a, "GET", "/buckets/b/keys?keys=true&limit=1&start="+start+"&continuation="+after, ""), 200,
			`{"keys":["`+first+`"],"continuation":"`+encodeContinuation(listing.Query{Type: "default", Bucket: "b"}, first)+`"}`+"\n")
	}
	n := 0
	got := pages(t, a, "/riak/b?keys=true&limit=3&encoding=url", "keys", func() {
		n++
		c.fill(fmt.Sprint("a/", n), fmt.Sprint("z", n))
		do(a, "DELETE", "/buckets/b/keys/c", "")
	})
	for _, k := range keys {
		if k != "c" && !slices.Contains(got, encodeSegment(k)) {
			t.Errorf("%q is missing", k)
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(got) {
		t.Errorf("a name came twice: %q", got)
	}
}

// A continuation works for its own list and for no other, and not when it is damaged.
func TestContinuation(t *testing.T) {
	q := listing.Query{Type: "t", Bucket: "b", Prefix: "k"}
	text := encodeContinuation(q, "k\x00names")
	if last, ok := decodeContinuation(q, text); !ok || last != "k\x00names" {
		t.Fatalf("got %q %v", last, ok)
	}
	for _, other := range []listing.Query{{Type: "t2", Bucket: "b", Prefix: "k"}, {Type: "t", Bucket: "b"}, {Type: "t", Bucket: "bk"},
		{Type: "tb", Prefix: "k"}, {Type: "t", Prefix: "bk"}} {
		if _, ok := decodeContinuation(other, text); ok {
			t.Errorf("taken for %+v", other)
		}
	}
	for i := range text {
		for _, b := range []byte("Aa0_-=+/ é") {
			if damaged := text[:i] + string(rune(b)) + text[i+1:]; damaged != text {
				if _, ok := decodeContinuation(q, damaged); ok {
					t.Errorf("%q was taken", damaged)
				}
			}
		}
		if _, ok := decodeContinuation(q, text[:i]); ok {
			t.Errorf("%q was taken", text[:i])
		}
	}
	a := newCluster(t).server(t)
	r := want(t, do(a, "GET", "/buckets/b/keys?keys=true&continuation="+text, ""), 400, "-")
	if r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", r.Header)
	}
	own := encodeContinuation(listing.Query{Type: "default", Bucket: "b"}, "x")
	want(t, do(a, "GET", "/buckets/b/keys?keys=true&continuation="+own, ""), 200, `{"keys":[]}`+"\n")
}

func FuzzContinuation(f *testing.F) {
	f.Add("b", "k", "name", encodeContinuation(listing.Query{Bucket: "b", Prefix: "k"}, "name"))
	f.Add("", "", "\x00", "AQ")
	f.Fuzz(func(t *testing.T, bucket, prefix, last, text string) {
		q := listing.Query{Type: "default", Bucket: bucket, Prefix: prefix}
		if got, ok := decodeContinuation(q, text); ok && encodeContinuation(q, got) != text {
			t.Fatalf("%q is another form of %q", text, got)
		}
		if last == "" {
			return
		}
		if got, ok := decodeContinuation(q, encodeContinuation(q, last)); !ok || got != last {
			t.Fatalf("%q became %q", last, got)
		}
	})
}

// FuzzListQuery: whatever is asked for is a list within its bounds or has a sentence about it.
func FuzzListQuery(f *testing.F) {
	f.Add("b", "keys=true&limit=3&timeout=5&sort=true&prefix=a%20&start=b&encoding=url")
	f.Add("", "buckets=stream&continuation=x&limit=0&timeout=x&sort=maybe&&=&%")
	f.Fuzz(func(t *testing.T, bucket, raw string) {
		l, problems := parseList("default", bucket, raw)
		if problems != nil {
			if slices.Contains(problems, "") {
				t.Fatalf("%q", problems)
			}
			return
		}
		if l.timeout > maxListTimeout || l.limit < 0 || l.limit > 0 && (l.query.Limit != l.limit+1 || !l.query.Sorted) ||
			len(l.query.Prefix) > maxNameBytes || l.query.Bucket != bucket {
			t.Fatalf("%q: %+v", raw, l)
		}
	})
}

// FuzzListName: a name is shown as encoding/json would show it, but for what need not be escaped.
func FuzzListName(f *testing.F) {
	for _, s := range []string{"plain", "\"\\\n\x7f<>&}", "é\u2028\U0001F600", "\xff\xc3", "\xed\xa0\x80", "\x00\x1f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		reference, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		var a, b string
		if err := errors.Join(json.Unmarshal(reference, &a), json.Unmarshal(appendName(nil, name, false), &b)); err != nil || a != b {
			t.Fatalf("%q: got %q, want %q, %v", name, b, a, err)
		}
		if err := json.Unmarshal(appendName(nil, name, true), &b); err != nil {
			t.Fatal(err)
		}
		if got, err := decodeSegment(b); err != nil || got != name {
			t.Fatalf("%q: got %q", name, b)
		}
	})
}

// One list more than a node does at once is told to wait; the end of one makes room.
func TestManyLists(t *testing.T) {
	c := newCluster(t)
	began, release := make(chan struct{}), make(chan struct{})
	c.list = func(context.Context, listing.Query, func([]string) error) error {
		began <- struct{}{}
		<-release
		return nil
	}
	a := c.server(t)
	done := make(chan int)
	forms := []string{"true", "stream", "count"}
	for i := range maxLists {
		go func() { done <- do(a, "GET", "/buckets/b/keys?keys="+forms[i%3], "").StatusCode }()
		<-began
	}
	r := want(t, do(a, "GET", "/buckets?buckets=true", ""), 503, `{"error":"8 lists are under way, as many as one node does at once; try again later"}`+"\n")
	if r.Header.Get("Retry-After") != "1" {
		t.Errorf("%v", r.Header)
	}
	want(t, do(a, "GET", "/buckets/b/keys", ""), 200, "{}\n") // no list
	release <- struct{}{}
	if status := <-done; status != 200 {
		t.Errorf("status %d", status)
	}
	go func() { done <- do(a, "GET", "/buckets?buckets=true", "").StatusCode }()
	<-began
	close(release)
	for range maxLists {
		if status := <-done; status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
}
