package httpapi

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// slow is a coordinator whose puts take a second of the bubble's time.
type slow struct {
	*cluster
	now, most atomic.Int64
	mu        sync.Mutex
	order     map[string][]string // values by key
}

func (s *slow) Put(ctx context.Context, r quorum.PutRequest) (quorum.PutResult, error) {
	for n := s.now.Add(1); ; {
		most := s.most.Load()
		if n <= most || s.most.CompareAndSwap(most, n) {
			break
		}
	}
	defer s.now.Add(-1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return quorum.PutResult{}, ctx.Err()
	}
	s.mu.Lock()
	s.order[r.Key.Key] = append(s.order[r.Key.Key], string(r.Value))
	s.mu.Unlock()
	return s.cluster.Put(ctx, r)
}

func newSlow(t *testing.T) (*slow, *API) {
	s := &slow{cluster: newCluster(t), order: map[string][]string{}}
	a, err := New(Config{Coordinator: s, Properties: s, Node: s})
	if err != nil {
		t.Fatal(err)
	}
	return s, a
}

func TestBatchRunsLinesTogetherButNotThoseOfOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, a := newSlow(t)
		var lines, wanted []string
		for i := range 128 {
			lines = append(lines, fmt.Sprintf(`{"op":"put","key":"k%d","value":"v"}`, i))
			wanted = append(wanted, fmt.Sprintf("204 k%d", i))
		}
		start := time.Now()
		wantBatch(t, sendBatch(t, a, batchPath, lines...), wanted...)
		if took := time.Since(start); took != 2*time.Second || s.most.Load() != batchWindow {
			t.Errorf("%d lines took %v, with up to %d at once", len(lines), took, s.most.Load())
		}

		start = time.Now()
		sendBatch(t, a, batchPath, `{"op":"put","key":"a","value":"1"}`, `{"op":"put","key":"a","value":"2"}`, `{"op":"put","key":"b","value":"1"}`,
			`{"op":"put","key":"a","value":"3"}`, `{"op":"put","key":"b","value":"2"}`)
		if took := time.Since(start); took != 3*time.Second || strings.Join(s.order["a"], "") != "123" || strings.Join(s.order["b"], "") != "12" {
			t.Errorf("took %v, in the order %v", took, s.order)
		}
	})
}

func TestBatchTimeoutIsOfTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, a := newSlow(t)
		line := `{"op":"put","key":"k","value":"v"}`
		got := sendBatch(t, a, batchPath+"?timeout=1500", line, line, line)
		for i, want := range []time.Duration{1500 * time.Millisecond, 500 * time.Millisecond} {
			if o := s.puts[i].Options; o.Timeout != want {
				t.Errorf("line %d has %v, want %v", i+1, o.Timeout, want)
			}
		}
		wantBatch(t, got[2:], "503 k ! request timed out")
	})
}

func TestBatchEndsWithItsClient(t *testing.T) {
	for _, noticed := range []string{"by the server", "by a write"} {
		t.Run(noticed, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, a := newSlow(t)
				seen, leave := context.WithCancel(t.Context())
				defer leave()
				ctx := seen
				if noticed == "by a write" {
					ctx = t.Context()
				}
				time.AfterFunc(1500*time.Millisecond, leave)
				body := strings.Repeat(`{"op":"put","key":"k","value":"`+strings.Repeat("v", 9000)+`"}`+"\n", 500)
				r := httptest.NewRequestWithContext(ctx, "POST", batchPath+"?returnbody=true", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/x-ndjson")
				start := time.Now()
				a.ServeHTTP(gone{httptest.NewRecorder(), seen}, r)
				// Answers are sent as soon as there are 16 KiB of them.
				if took := time.Since(start); took > 2*time.Second || len(s.order["k"]) > 2 {
					t.Errorf("took %v, %d puts were done", took, len(s.order["k"]))
				}
				synctest.Wait() // ends only with every goroutine of the batch
			})
		})
	}
}

// gone is a connection that fails when its client is gone.
type gone struct {
	*httptest.ResponseRecorder
	left context.Context
}

func (g gone) Write(b []byte) (int, error) {
	if g.left.Err() != nil {
		return 0, io.ErrClosedPipe
	}
	return g.ResponseRecorder.Write(b)
}

// asked returns what came to the coordinator since the last call, without what differs from request to request.
func (c *cluster) asked(named bool) string {
	var all []string
	note := func(what string, o quorum.Options, id vclock.RequestID, rest ...any) {
		o.Timeout = 0
		if !named {
			id = vclock.RequestID{} // a random one
		}
		all = append(all, fmt.Sprint(what, o, id, rest))
	}
	for _, r := range c.gets {
		note("get", r.Options, vclock.RequestID{}, r.Key)
	}
	for _, r := range c.puts {
		note("put", r.Options, r.RequestID, r.Key, r.Context, r.ContentType, string(r.Value), r.Meta, r.ReturnBody)
	}
	for _, r := range c.deletes {
		note("delete", r.Options, r.RequestID, r.Key, r.Context, r.HasContext)
	}
	c.gets, c.puts, c.deletes = nil, nil, nil
	return strings.Join(all, "\n")
}

// A line asks the coordinator for the same as the request for the object alone, the first time and when it
// is repeated at another node.
func TestBatchLineIsTheRequestAlone(t *testing.T) {
	methods := map[string]string{batchGet: "GET", batchPut: "PUT", batchDelete: "DELETE"}
	for op, method := range methods {
		for _, how := range []struct {
			name    string
			context bool
			props   string
			query   string
		}{{}, {context: true}, {name: "n"}, {name: "n", context: true}, {props: `{"require_context":true,"pw":1}`}, {context: true, props: `{"require_context":true}`},
			{name: "n", props: `{"require_context":true}`}, {query: "?consistency=strict&w=1"}, {name: "n", query: "?r=1&rw=2&returnbody=true&sloppy_quorum=false"}} {
			var logs [2]string
			for i := range logs {
				c := newCluster(t)
				put(t, c.server(t), at, "before")
				if how.props != "" {
					want(t, do(c.server(t), "PUT", "/buckets/b/props", `{"props":`+how.props+`}`, "Content-Type", "application/json"), 204, "")
				}
				// The same cluster twice: dots and contexts come out alike.
				context := vclock.EncodeContext(c.records[ring.Key{Bucket: "b", Key: "k"}.Name()].Object.Clock, ring.Hash(clusterUUID, ring.Key{Bucket: "b", Key: "k"}.Name()))
				c.asked(true)
				var headers, fields []string
				if how.name != "" && op != batchGet {
					headers = append(headers, "Idempotency-Key", how.name)
				}
				line := map[string]string{"op": op, "key": "k"}
				if op == batchPut {
					line["value"], line["content_type"] = "v", "text/css"
				}
				if how.context && op != batchGet {
					line["context"] = context
				}
				for _, name := range slices.Sorted(maps.Keys(line)) {
					fields = append(fields, fmt.Sprintf("%q:%q", name, line[name]))
				}
				for range 2 { // nodes
					if i == 0 {
						text(t, do(c.server(t), "POST", batchPath+how.query, "{"+strings.Join(fields, ",")+"}", append(headers, "Content-Type", "application/x-ndjson")...))
					} else {
						alone := append(headers, "Content-Type", line["content_type"])
						if line["context"] != "" {
							alone = append(alone, "X-Riak-Vclock", context)
						}
						text(t, do(c.server(t), method, at+how.query, line["value"], alone...))
					}
					logs[i] += c.asked(how.name != "") + "\n"
				}
			}
			if logs[0] != logs[1] || logs[0] == "" {
				t.Errorf("%s %+v\nin a batch\n%salone\n%s", op, how, logs[0], logs[1])
			}
		}
	}
}
