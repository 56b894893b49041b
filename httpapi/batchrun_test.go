package httpapi

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/quorum"
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
