package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/client"
)

// lister answers lists of sorted names as a node does: a few in each object of a stream, the
// last object empty. breakAfter > 0: the stream is cut off after so many names.
type lister struct {
	names      []string
	breakAfter int
	ending     string // in place of the last object and the end
}

func (l *lister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	noun := "keys"
	if strings.HasSuffix(r.URL.Path, "/buckets") {
		noun = "buckets"
	}
	limit, _ := strconv.Atoi(q.Get("limit"))
	next, _ := url.PathUnescape(q.Get("continuation"))
	start := max(q.Get("start"), next)
	var names []string
	for _, n := range l.names {
		if n >= start && strings.HasPrefix(n, q.Get("prefix")) {
			names = append(names, url.PathEscape(n))
		}
	}
	var tail string
	if limit > 0 && len(names) > limit {
		tail = fmt.Sprintf(`,"continuation":%q`, names[limit])
		names = names[:limit]
	}
	w.Header().Set("Content-Type", "application/json")
	text := func(names []string) string {
		b, _ := json.Marshal(append([]string{}, names...))
		return fmt.Sprintf(`{%q:%s`, noun, b)
	}
	switch q.Get(noun) {
	case "count":
		_, _ = fmt.Fprintf(w, `{"count":%d}`, len(names))
	case "true":
		_, _ = io.WriteString(w, text(names)+tail+"}\n")
	case "stream":
		for i, chunk := range slices.Collect(slices.Chunk(names, 3)) {
			if l.breakAfter > 0 && i*3 >= l.breakAfter {
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			_, _ = io.WriteString(w, text(chunk)+"}")
			if i == 0 {
				_, _ = io.WriteString(w, text(nil)+"}") // a sign of life
			}
		}
		if l.ending != "" {
			_, _ = io.WriteString(w, strings.TrimPrefix(l.ending, "-"))
			return
		}
		_, _ = io.WriteString(w, text(nil)+tail+"}")
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
}

func (l *lister) node(log *log, name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		log.add(name, r)
		l.ServeHTTP(w, r)
	}
}

// collect returns the names up to the first error.
func collect(seq func(func(string, error) bool)) (names []string, err error) {
	for name, e := range seq {
		if e != nil {
			return names, e
		}
		names = append(names, name)
	}
	return names, nil
}

var someNames = []string{"", "a", "a b", "a+b", "a/b", "a\x00", "+%", "b%41", "b\"{}", "bb", "c\xff\xfe", "grün", "z"}

func TestListsKeepEveryByteOfTheNames(t *testing.T) {
	var got string
	l := &lister{names: slices.Sorted(slices.Values(someNames))}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.EscapedPath()
		l.ServeHTTP(w, r)
	})
	names, err := collect(c.Keys(t.Context(), client.Bucket{Type: "t/1", Name: "b"}, client.ListOptions{}))
	if err != nil || !slices.Equal(names, l.names) || got != "/types/t%2F1/buckets/b/keys" {
		t.Errorf("%s: got %q, %v", got, names, err)
	}
	if names, err = collect(c.Buckets(t.Context(), "", client.ListOptions{Prefix: "b", Start: "b%"})); err != nil || !slices.Equal(names, []string{"b%41", "bb"}) {
		t.Errorf("buckets: %q, %v", names, err)
	}
	if got != "/buckets" {
		t.Errorf("path of the buckets: %s", got)
	}
	if n, err := c.Count(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{Prefix: "a"}); n != 5 || err != nil {
		t.Errorf("count: %d, %v", n, err)
	}
	var paged []string
	opts := client.ListOptions{Limit: 5}
	for {
		p, err := c.KeysPage(t.Context(), client.Bucket{Name: "b"}, opts)
		if err != nil || len(p.Names) > 5 {
			t.Fatalf("page %+v, %v", p, err)
		}
		paged = append(paged, p.Names...)
		if opts.Continuation = p.Continuation; p.Continuation == "" {
			break
		}
	}
	if !slices.Equal(paged, l.names) {
		t.Errorf("pages: %q", paged)
	}
	if names, err = collect(c.Keys(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{Limit: 4})); err != nil || !slices.Equal(names, l.names[:4]) {
		t.Errorf("limit: %q, %v", names, err)
	}
}

func TestListsRefuseBadOptions(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") })
	ctx, b := t.Context(), client.Bucket{Name: "b"}
	_, noBucket := collect(c.Keys(ctx, client.Bucket{}, client.ListOptions{}))
	_, limit := collect(c.Buckets(ctx, "", client.ListOptions{Limit: -1}))
	_, count := c.Count(ctx, b, client.ListOptions{Limit: 1})
	_, timeout := collect(c.Keys(ctx, b, client.ListOptions{Timeout: -1}))
	_, page := c.KeysPage(ctx, client.Bucket{}, client.ListOptions{})
	for what, err := range map[string]error{"no bucket": noBucket, "limit": limit, "count": count, "timeout": timeout, "page": page} {
		if !errors.Is(err, client.ErrBadRequest) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Less than the whole list is never the end of a loop without an error.
func TestShortListsAreErrors(t *testing.T) {
	for name, tc := range map[string]struct{ ending, want string }{
		"an error of the server":    {`{"error":"no member can list partition 7 of 256 completely now"}`, "partition 7"},
		"its time ran out":          {`{"error":"timeout"}`, "timeout"},
		"the last object missing":   {" ", "ends early"},
		"cut in an object":          {`{"keys":["x`, "ends early"},
		"no JSON":                   {`{"keys":["x"]}<html>`, "invalid character"},
		"a name that is not coded":  {`{"keys":["%zz"]}{"keys":[]}`, "percent-encoded"},
		"an object without a list":  {`{}`, "ends early"},
		"an object of another kind": {`{"buckets":[]}`, "ends early"},
	} {
		l := &lister{names: []string{"a", "b", "c", "d"}, ending: tc.ending}
		c := serve(t, l.ServeHTTP)
		names, err := collect(c.Keys(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{}))
		short, ok := errors.AsType[*client.ListError](err)
		if !ok || !strings.Contains(err.Error(), tc.want) || len(names) < 4 || short.Names != int64(len(names)) {
			t.Errorf("%s: %d names, %v", name, len(names), err)
		}
	}
}

// A sorted list goes on at another endpoint where it broke off; an unsorted one cannot.
func TestBrokenListsGoOn(t *testing.T) {
	all := strings.Split("a b c d e f g h i j k l", " ")
	nodes := func(n ...int) map[string]func(*log) http.HandlerFunc {
		m := map[string]func(*log) http.HandlerFunc{}
		for i, breakAfter := range n {
			name := string(rune('a' + i))
			m[name] = func(l *log) http.HandlerFunc { return (&lister{names: all, breakAfter: breakAfter}).node(l, name) }
		}
		return m
	}
	for _, tc := range []struct {
		name   string
		opts   client.ListOptions
		breaks []int
		want   int // names
		seen   string
	}{
		{"sorted", client.ListOptions{Sorted: true}, []int{3, 3, 3}, 12, "a b c a"},
		{"limited", client.ListOptions{Limit: 7}, []int{3, 3, 0}, 7, "a b c"},
		{"a limit that is met when it breaks", client.ListOptions{Limit: 3}, []int{3, 0}, 3, "a"},
		{"unsorted", client.ListOptions{}, []int{6, 0}, 6, "a"},
	} {
		cluster(t, client.Config{}, nodes(tc.breaks...), func(t *testing.T, c *client.Client, l *log) {
			names, err := collect(c.Keys(t.Context(), client.Bucket{Name: "b"}, tc.opts))
			seen, _ := l.take()
			if !slices.Equal(names, all[:tc.want]) || (err == nil) != (tc.name != "unsorted") || seen != tc.seen {
				t.Errorf("%s: seen by %s, got %q, %v", tc.name, seen, names, err)
			}
		})
	}
	// Progress counts: only attempts without a new name are few.
	long := strings.Split(strings.Repeat("x", 40), "")
	for i := range long {
		long[i] = fmt.Sprintf("%02d", i)
	}
	cluster(t, client.Config{Retries: 1}, map[string]func(*log) http.HandlerFunc{
		"a": func(l *log) http.HandlerFunc { return (&lister{names: long, breakAfter: 3}).node(l, "a") },
	}, func(t *testing.T, c *client.Client, l *log) {
		names, err := collect(c.Keys(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{Sorted: true}))
		if seen, _ := l.take(); err != nil || !slices.Equal(names, long) || len(strings.Fields(seen)) != 14 {
			t.Errorf("a list that breaks off often: seen by %s, got %q, %v", seen, names, err)
		}
	})
	cluster(t, client.Config{Retries: 2}, map[string]func(*log) http.HandlerFunc{
		"a": func(l *log) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				l.add("a", r)
				_, _ = io.WriteString(w, `{"keys":[]}`)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
		},
	}, func(t *testing.T, c *client.Client, l *log) {
		_, err := collect(c.Keys(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{}))
		if seen, _ := l.take(); err == nil || seen != "a a a" {
			t.Errorf("a list that never comes on: seen by %s, %v", seen, err)
		}
	})
}

// Which answers before the first name lead to another endpoint.
func TestListsBeginElsewhere(t *testing.T) {
	list := func(l *log) http.HandlerFunc { return (&lister{names: []string{"x"}}).node(l, "b") }
	busy := status(503, "no member can list partitions 3-5 of 256 completely now\n")("a")
	cluster(t, client.Config{}, map[string]func(*log) http.HandlerFunc{"a": busy, "b": list}, func(t *testing.T, c *client.Client, _ *log) {
		if names, err := collect(c.Keys(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{})); err != nil || len(names) != 1 {
			t.Errorf("%q, %v", names, err)
		}
	})
	cluster(t, client.Config{}, map[string]func(*log) http.HandlerFunc{"a": busy}, func(t *testing.T, c *client.Client, l *log) {
		_, streamed := collect(c.Keys(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{}))
		_, counted := c.Count(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{})
		_, paged := c.KeysPage(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{})
		for what, err := range map[string]error{"stream": streamed, "count": counted, "page": paged} {
			if e, ok := errors.AsType[*client.ListError](err); !ok || !strings.Contains(e.Message, "partitions 3-5") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if seen, _ := l.take(); seen != "a a a" {
			t.Errorf("seen by %s", seen)
		}
	})
	unknown := status(404, "Unknown bucket type: T")("a")
	cluster(t, client.Config{}, map[string]func(*log) http.HandlerFunc{"a": unknown}, func(t *testing.T, c *client.Client, _ *log) {
		_, err := collect(c.Buckets(t.Context(), "T", client.ListOptions{}))
		if e, ok := errors.AsType[*client.StatusError](err); !ok || e.Status != 404 {
			t.Errorf("%v", err)
		}
	})
}

// A server that falls silent is given up, one that is slow but shows signs of life is not, and a
// slow caller is not the server's silence.
func TestSilentLists(t *testing.T) {
	slow := func(pause time.Duration) map[string]func(*log) http.HandlerFunc {
		return map[string]func(*log) http.HandlerFunc{"a": func(*log) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				for range 5 {
					_, _ = io.WriteString(w, `{"keys":[]}`)
					_ = http.NewResponseController(w).Flush()
					select {
					case <-time.After(pause):
					case <-r.Context().Done():
						return
					}
				}
				_, _ = io.WriteString(w, `{"keys":["k"]}{"keys":[]}`)
			}
		}}
	}
	cluster(t, client.Config{Retries: -1}, slow(40*time.Second), func(t *testing.T, c *client.Client, _ *log) {
		for _, err := range c.Keys(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{}) {
			if time.Sleep(3 * time.Minute); err != nil {
				t.Errorf("slow: %v", err)
			}
		}
	})
	cluster(t, client.Config{Retries: -1}, slow(time.Hour), func(t *testing.T, c *client.Client, _ *log) {
		start := time.Now()
		_, err := collect(c.Keys(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{}))
		if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "silent") || took != 45*time.Second {
			t.Errorf("silent: %v after %v", err, took)
		}
	})
	hang := map[string]func(*log) http.HandlerFunc{
		"a": func(l *log) http.HandlerFunc { return hangs(l, "a") },
		"b": func(l *log) http.HandlerFunc { return (&lister{names: []string{"x"}}).node(l, "b") },
	}
	cluster(t, client.Config{}, hang, func(t *testing.T, c *client.Client, l *log) {
		names, err := collect(c.Keys(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{}))
		if seen, _ := l.take(); err != nil || len(names) != 1 || seen != "a b" {
			t.Errorf("a node that does not even begin: seen by %s, %q, %v", seen, names, err)
		}
	})
}

// The caller's context and timeout end a list, and reach the server.
func TestListsEndInTime(t *testing.T) {
	endless := map[string]func(*log) http.HandlerFunc{"a": func(*log) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for {
				_, _ = io.WriteString(w, `{"keys":["`+r.URL.Query().Get("timeout")+`"]}`)
				_ = http.NewResponseController(w).Flush()
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
					return
				}
			}
		}
	}}
	for _, tc := range []struct {
		name, asked       string
		deadline, timeout time.Duration
		lasts             time.Duration
	}{
		{"deadline", "10000", 10 * time.Second, 0, 10 * time.Second},
		{"timeout", "20000", 0, 20 * time.Second, 22 * time.Second},
		{"default", "480000", 0, 0, 482 * time.Second},
	} {
		cluster(t, client.Config{}, endless, func(t *testing.T, c *client.Client, _ *log) {
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if tc.deadline > 0 {
				ctx, cancel = context.WithTimeout(ctx, tc.deadline)
			}
			defer cancel()
			start := time.Now()
			names, err := collect(c.Keys(ctx, client.Bucket{Name: "b"}, client.ListOptions{Sorted: true, Timeout: tc.timeout}))
			if took := time.Since(start); took != tc.lasts || !errors.Is(err, context.DeadlineExceeded) || len(names) == 0 || names[0] != tc.asked {
				t.Errorf("%s: %v after %v, asked for %.9q", tc.name, err, took, names)
			}
		})
	}
}

// Leaving the loop ends the request, at once and for good.
func TestLeavingALoopEndsTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network pipeNet
		gone := make(chan struct{})
		defer network.serve("a:1", func(w http.ResponseWriter, r *http.Request) {
			defer close(gone)
			for {
				if _, err := io.WriteString(w, `{"keys":["x","y"]}`); err != nil {
					return
				}
				if err := http.NewResponseController(w).Flush(); err != nil {
					return
				}
			}
		})()
		hc, end := network.client()
		defer end()
		c := newClient(t, client.Config{Endpoints: []string{"a:1"}, HTTPClient: hc})
		n, start := 0, time.Now()
		for _, err := range c.Keys(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{Sorted: true}) {
			if n++; err != nil || n == 5 {
				break
			}
		}
		<-gone
		if took := time.Since(start); n != 5 || took != 0 {
			t.Errorf("%d names, and the server wrote on for %v", n, took)
		}
	})
}

// manyNames answers with a list of objects of 500 names, 100 bytes each.
func manyNames(objects int) http.HandlerFunc {
	names := strings.Repeat(`,"`+strings.Repeat("n", 100)+`"`, 500)
	object := []byte(`{"keys":[` + names[1:] + "]}")
	return func(w http.ResponseWriter, r *http.Request) {
		for range objects {
			if _, err := w.Write(object); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, `{"keys":[]}`)
	}
}

// The memory of a loop does not grow with the list.
func TestListsAreNotKept(t *testing.T) {
	const count = 60_000 // 6 MB of names
	c := serve(t, manyNames(count/500))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for name, err := range c.Keys(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{}) {
		if err != nil || len(name) != 100 {
			t.Fatal(name, err)
		}
		if n++; n == count*3/4 {
			runtime.GC()
			runtime.ReadMemStats(&after)
		}
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); n != count || grown > 2<<20 {
		t.Errorf("%d names; three quarters through, the heap had grown by %d bytes", n, grown)
	}
}

func BenchmarkKeys(b *testing.B) {
	c := serve(b, manyNames(80))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for _, err := range c.Keys(b.Context(), client.Bucket{Name: "b"}, client.ListOptions{}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "names/s")
}

// An answer that is no list is not taken for an empty one.
func TestNoListIsNoEmptyPage(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	if p, err := c.KeysPage(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{}); err == nil {
		t.Errorf("keys: %+v", p)
	}
	if p, err := c.BucketsPage(t.Context(), "", client.ListOptions{}); err == nil {
		t.Errorf("buckets: %+v", p)
	}
}

// The timeout holds for the whole list, however often it is resumed.
func TestResumedListsEndInTime(t *testing.T) {
	slow := func(*log) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, fmt.Sprintf(`{"keys":["%s0"]}`, url.PathEscape(r.URL.Query().Get("start"))))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(4 * time.Second):
			case <-r.Context().Done():
			}
			panic(http.ErrAbortHandler)
		}
	}
	cluster(t, client.Config{}, map[string]func(*log) http.HandlerFunc{"a": slow}, func(t *testing.T, c *client.Client, _ *log) {
		start := time.Now()
		names := 0
		var failed error
		for _, err := range c.Keys(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{Sorted: true, Timeout: 11 * time.Second}) {
			if names++; names > 100 {
				break
			}
			failed = err
		}
		if _, ok := errors.AsType[*client.ListError](failed); !ok || time.Since(start) > 15*time.Second {
			t.Errorf("%d names in %v, %v", names, time.Since(start), failed)
		}
	})
}
