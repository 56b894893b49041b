package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// foreground is a load that goes on for as long as it is wanted: clients that write and read
// back, one request after the other.
type foreground struct {
	done, failed atomic.Int64
	stop         context.CancelFunc
	wg           sync.WaitGroup
}

const foregroundClients = 4

func startForeground(t *testing.T, nodes []*Node) *foreground {
	ctx, stop := context.WithCancel(t.Context())
	f := &foreground{stop: stop}
	for c := range foregroundClients {
		f.wg.Go(func() {
			web := &http.Client{Timeout: requestWithin, Transport: &http.Transport{}}
			defer web.CloseIdleConnections()
			r := Records{Bucket: "foreground"}
			for i := c * perWriter; ctx.Err() == nil; i++ {
				o := Object{Bucket: r.Bucket, Key: r.Key(i / 2), Client: web}
				method, want := http.MethodPut, http.StatusNoContent
				if i%2 == 1 {
					method, want = http.MethodGet, http.StatusOK
				}
				reply, err := o.Ask(nodes[i/2%len(nodes)], method, "", "", string(r.Value(nil, i/2)))
				if err != nil || reply.Status != want {
					f.failed.Add(1)
					pause(ctx, 5*time.Millisecond)
					continue
				}
				f.done.Add(1)
			}
		})
	}
	t.Cleanup(func() { stop(); f.wg.Wait() })
	return f
}

// rate returns requests per second over the given time.
func (f *foreground) rate(t *testing.T, d time.Duration) float64 {
	before, began := f.done.Load(), time.Now()
	pause(t.Context(), d)
	return float64(f.done.Load()-before) / time.Since(began).Seconds()
}

// TestHintsDrain takes one of five nodes away while records of one kilobyte are written, and
// brings it back under load: the others deliver what they kept for it, soon, and without
// standing in the way of the clients.
func TestHintsDrain(t *testing.T) {
	const (
		drainWithin   = time.Minute
		wantedRatio   = 0.7
		shortestDrain = 2 * time.Second // a shorter one says nothing about throughput
	)
	hints := int64(6_000)
	if Long() {
		hints = 60_000
	}
	nodes := lab.Cluster(t, 5)
	away, rest := nodes[4], nodes[:4]
	f := startForeground(t, rest)
	f.rate(t, time.Second) // connections, caches
	healthy := f.rate(t, 3*time.Second)

	away.Kill()
	// Three of five nodes own a key, so five records make some three hints.
	const chunk = 1000
	written := 0
	for HintsPending(t, rest) < hints {
		if written > 4*int(hints) {
			t.Fatalf("%d records are written, and only %d hints are kept", written, HintsPending(t, rest))
		}
		writeRecords(t, rest[written/chunk%len(rest)], Records{Bucket: "hinted"}, written, written+chunk)
		written += chunk
	}
	kept := HintsPending(t, rest)
	away.Start(t)
	away.AwaitReady(t)
	before, began := f.done.Load(), time.Now()
	Until(t, 3*drainWithin, "all hints are delivered", func() error {
		if left := HintsPending(t, rest); left > 0 {
			return fmt.Errorf("%d are left", left)
		}
		return nil
	})
	drain := time.Since(began)
	ratio := float64(f.done.Load()-before) / drain.Seconds() / healthy
	f.stop()
	f.wg.Wait()
	t.Attr("hints_drain", fmt.Sprintf("%d hints of 1 KiB in %v, foreground at %.0f %% of %.0f requests/s", kept, drain.Round(100*time.Millisecond), 100*ratio, healthy))
	if failed := f.failed.Load(); failed > 0 {
		t.Errorf("%d requests of the foreground failed", failed)
	}
	if drain > drainWithin {
		t.Errorf("the hints took %v, at most %v are wanted", drain, drainWithin)
	}
	if Long() && drain > shortestDrain && ratio < wantedRatio {
		t.Errorf("the foreground kept %.0f %% of its throughput, at least %.0f %% are wanted", 100*ratio, 100*wantedRatio)
	}
	Until(t, readyWithin, "everything is where it belongs", func() error { return Settled(t, nodes) })
	equalEverywhere(t, nodes[0], "hinted", written, Records{}.Key)
}

// writeRecords writes records from first to before end through one node; every write must be
// acknowledged.
func writeRecords(t *testing.T, n *Node, r Records, first, end int) {
	t.Helper()
	p := Pipeline{Addr: n.HTTP, Lanes: 8, Depth: 8, Limit: loadWithin}
	err := p.Each(end-first,
		func(dst []byte, i int) []byte { return AppendPut(dst, r.Path(first+i), r.Value(nil, first+i)) },
		func(i int, a Answer) error {
			if a.Status != http.StatusNoContent {
				return fmt.Errorf("status %d: %.200s", a.Status, a.Body)
			}
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
}
