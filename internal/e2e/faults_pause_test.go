package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	steadyRate    = 300 // requests per second, half of them reads
	steadyWorkers = 64  // more than rate times the longest latency that passes
	steadyKeys    = 200
)

// steady sends requests at a fixed rate for the given time to the nodes in turn and returns how
// long each took, counted from the moment at which it was due: a request that waits for a free
// worker waits for the cluster.
func steady(t *testing.T, client *http.Client, nodes []*Node, bucket string, first int, d time.Duration) []time.Duration {
	t.Helper()
	total := int(d.Seconds() * steadyRate)
	took := make([]time.Duration, total)
	var next, failed atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for range steadyWorkers {
		wg.Go(func() {
			for {
				i := int(next.Add(1) - 1)
				if i >= total {
					return
				}
				due := began.Add(time.Duration(i) * time.Second / steadyRate)
				pause(context.Background(), time.Until(due))
				if err := steadyRequest(client, nodes[i/2%len(nodes)], bucket, first+i); err != nil && failed.Add(1) <= 5 {
					t.Error(err)
				}
				took[i] = time.Since(due)
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, total)
	}
	slices.Sort(took)
	return took
}

// steadyRequest reads one of the keys that are there, or writes a new one.
func steadyRequest(client *http.Client, n *Node, bucket string, i int) error {
	method, path, want := http.MethodGet, fmt.Sprintf("/buckets/%s/keys/%d?r=2", bucket, i%steadyKeys), http.StatusOK
	var body io.Reader
	if i%2 == 1 {
		method, path, want = http.MethodPut, fmt.Sprintf("/buckets/%s-new/keys/%d?w=2", bucket, i), http.StatusNoContent
		body = strings.NewReader("v")
	}
	req, err := http.NewRequest(method, "http://"+n.HTTP+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/plain")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != want {
		return fmt.Errorf("%s %s at %s: %d %s", method, path, n.Name, resp.StatusCode, text)
	}
	return nil
}

// TestPausedReplica pauses one of three nodes under a steady load of r=2 and w=2 through the
// other two. Two seconds later the slowest requests are at most three times as slow as before, and
// until then a read that has asked the silent one is saved by asking another one in time. Other
// tests may hold the cores for a moment, so the best of three rounds counts.
func TestPausedReplica(t *testing.T) {
	const (
		measured = 3 * time.Second
		opens    = 2 * time.Second        // from when on it counts
		early    = 500 * time.Millisecond // until then; half of what an unsaved read takes
		floor    = 5 * time.Millisecond
		factor   = 3
		rounds   = 3
	)
	nodes := lab.Cluster(t, 3)
	client := &http.Client{Timeout: requestWithin, Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: steadyWorkers}}
	defer client.CloseIdleConnections()
	for i := range steadyKeys {
		put(t, nodes[0], fmt.Sprintf("/buckets/steady/keys/%d?w=3", i))
	}
	sent := 0
	p99 := func(d time.Duration) time.Duration {
		sent += 1 << 20 // no key twice
		took := steady(t, client, nodes[:2], "steady", sent, d)
		return took[len(took)*99/100].Round(10 * time.Microsecond)
	}
	p99(time.Second) // connections, latency averages
	var healthy, at, after time.Duration
	for range rounds {
		healthy = p99(measured)
		nodes[2].Pause(t)
		at = p99(opens)
		after = p99(measured)
		nodes[2].Signal(syscall.SIGCONT)
		for _, n := range nodes {
			n.AwaitAlive(t, len(nodes))
		}
		if at <= early && after <= factor*max(healthy, floor) {
			break
		}
		t.Logf("p99 healthy %v, in the first %v of the pause %v, later %v", healthy, opens, at, after)
	}
	t.Attr("paused_replica_p99", fmt.Sprintf("healthy %v, first %v of the pause %v, later %v", healthy, opens, at, after))
	if after > factor*max(healthy, floor) {
		t.Errorf("p99 is %v while a replica is paused, %v without: more than %d times", after, healthy, factor)
	}
	if at > early {
		t.Errorf("p99 is %v in the first %v, at most %v is wanted", at, opens, early)
	}
}
