package httpapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// instant is a coordinator that costs nothing: it always answers the same.
type instant struct {
	object  vclock.Object
	receipt quorum.Receipt
}

func (i *instant) Get(context.Context, quorum.GetRequest) (quorum.GetResult, error) {
	return quorum.GetResult{Object: i.object, Receipt: i.receipt}, nil
}

func (i *instant) Put(context.Context, quorum.PutRequest) (quorum.PutResult, error) {
	return quorum.PutResult{Object: i.object, Receipt: i.receipt}, nil
}

func (i *instant) Delete(context.Context, quorum.DeleteRequest) (quorum.DeleteResult, error) {
	return quorum.DeleteResult{Receipt: i.receipt}, nil
}

func (i *instant) Explain(context.Context, ring.Key, int) ([]quorum.Copy, error) { return nil, nil }

// sink is a ResponseWriter that costs next to nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkRequest is what the API adds to net/http and the coordinator for a 1 KiB value:
// routing, parsing, headers, counting.
func BenchmarkRequest(b *testing.B) {
	value := bytes.Repeat([]byte("x"), 1024)
	c := newCluster(b)
	key := ring.Key{Bucket: "carts", Key: "user-17"}
	c.stored(key, vclock.Write{ContentType: "application/json", Value: value})
	coordinator := &instant{c.records[key.Name()].Object, c.receipt(quorum.Options{N: 3}, 2)}
	a, err := New(Config{Coordinator: coordinator, Properties: c, Node: c})
	if err != nil {
		b.Fatal(err)
	}
	read := do(a, "GET", "/buckets/carts/keys/user-17", "")
	context, etag := read.Header.Get("X-Riak-Vclock"), etagOf(read)
	for _, bench := range []struct {
		name, method, target string
		header               http.Header
		want                 int
		most                 float64 // allocations; 0: not bound. More is an error
	}{
		{"get", "GET", "/buckets/carts/keys/user-17", http.Header{"Accept": {"*/*"}}, 200, 11},
		{"get/304", "GET", "/buckets/carts/keys/user-17", http.Header{"Accept": {"*/*"}, "If-None-Match": {etag}}, 304, 7},
		{"get/gzip", "GET", "/buckets/carts/keys/user-17", http.Header{"Accept": {"*/*"}, "Accept-Encoding": {"gzip, deflate"}}, 200, 0},
		{"get/query", "GET", "/buckets/carts/keys/user-17?r=2&timeout=5000", http.Header{}, 200, 12},
		{"put", "PUT", "/buckets/carts/keys/user-17", http.Header{"Content-Type": {"application/json"}}, 204, 5},
		{"put/context", "PUT", "/buckets/carts/keys/user-17", http.Header{"Content-Type": {"application/json"}, "X-Riak-Vclock": {context}}, 204, 7},
		{"put/meta", "PUT", "/buckets/carts/keys/user-17", http.Header{"Content-Type": {"application/json"}, "X-Riak-Meta-Color": {"blue"}}, 204, 7},
		{"put/retry", "PUT", "/buckets/carts/keys/user-17", http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"order-17"}}, 204, 0},
		{"ping", "GET", "/ping", http.Header{}, 200, 4},
	} {
		b.Run(bench.name, func(b *testing.B) {
			body := bytes.NewReader(value)
			r := httptest.NewRequest(bench.method, bench.target, nil)
			r.Header = bench.header
			w := &sink{header: http.Header{}}
			once := func() {
				if bench.method == "PUT" {
					body.Reset(value)
					r.Body, r.ContentLength = io.NopCloser(body), int64(len(value))
				}
				clear(w.header)
				a.ServeHTTP(w, r)
				if w.status != bench.want {
					b.Fatalf("status %d", w.status)
				}
			}
			if got := testing.AllocsPerRun(200, once); bench.most > 0 && got > bench.most {
				b.Errorf("%v allocations, there were %v", got, bench.most)
			}
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
}
