package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// writers write records, one key each time, until they are stopped, and remember which writes
// were acknowledged. Half of them ask for w=1, so that an acknowledgement may stand for a single
// copy, the others for the default.
type writers struct {
	nodes []*Node
	stop  context.CancelFunc
	wg    sync.WaitGroup

	count, refused atomic.Int64
	acked          [writerCount][]int // records; each writer's own until wg is done
}

const (
	writerCount = 8
	perWriter   = 1_000_000 // numbers of records that one writer has
)

func (w *writers) records(writer int) Records {
	if writer%2 == 0 {
		return Records{Bucket: "single"}
	}
	return Records{Bucket: "quorum"}
}

func (w *writers) query(writer int) string {
	if writer%2 == 0 {
		return "?w=1"
	}
	return ""
}

func startWriters(t *testing.T, nodes []*Node) *writers {
	ctx, stop := context.WithCancel(t.Context())
	w := &writers{nodes: nodes, stop: stop}
	for i := range writerCount {
		w.wg.Go(func() { w.run(ctx, i) })
	}
	t.Cleanup(func() { stop(); w.wg.Wait() })
	return w
}

func (w *writers) run(ctx context.Context, writer int) {
	web := &http.Client{Timeout: requestWithin, Transport: &http.Transport{}}
	defer web.CloseIdleConnections()
	records := w.records(writer)
	for k := 0; ctx.Err() == nil; k++ {
		record := writer*perWriter + k
		url := "http://" + w.nodes[(writer/2+k)%len(w.nodes)].HTTP + records.Path(record) + w.query(writer)
		// Not with ctx: a write that was begun is seen to its end.
		req, err := http.NewRequest(http.MethodPut, url, bytes.NewReader(records.Value(nil, record)))
		if err != nil {
			panic(err) // the URL is built from constants and ports
		}
		req.Header.Set("Content-Type", "text/plain")
		resp, err := web.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		if err != nil || resp.StatusCode != http.StatusNoContent {
			w.refused.Add(1)
			pause(ctx, 5*time.Millisecond) // a dead node refuses at once: leave the cores to the others
			continue
		}
		w.acked[writer] = append(w.acked[writer], record)
		w.count.Add(1)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// await waits until that many writes more have been acknowledged.
func (w *writers) await(t *testing.T, more int64) {
	t.Helper()
	want := w.count.Load() + more
	Until(t, time.Minute, fmt.Sprintf("%d acknowledged writes more", more), func() error {
		if n := w.count.Load(); n < want {
			return fmt.Errorf("%d to go", want-n)
		}
		return nil
	})
}

// finish stops the writers and reads every acknowledged record from every node: what a quorum
// acknowledged at r=2, what a single node acknowledged at r=3.
func (w *writers) finish(t *testing.T) {
	t.Helper()
	w.stop()
	w.wg.Wait()
	t.Logf("%d writes acknowledged, %d not", w.count.Load(), w.refused.Load())
	for _, n := range w.nodes {
		n.AwaitAlive(t, len(w.nodes))
	}
	for writer, query := range []string{"?r=3", "?r=2"} {
		var all []int
		for i := writer; i < writerCount; i += 2 {
			all = slices.Concat(all, w.acked[i])
		}
		if len(all) == 0 {
			t.Fatalf("no write with %q was acknowledged: the test proves nothing", w.query(writer))
		}
		records := w.records(writer)
		for _, n := range w.nodes {
			lost := readRecords(t, n, records, all, query)
			if lost > 0 {
				t.Errorf("%d of %d acknowledged writes (%q) are lost, read from %s with %s", lost, len(all), w.query(writer), n.Name, query)
			}
		}
	}
}

// readRecords reads the listed records from a node, names the first that are missing or wrong,
// and returns how many are.
func readRecords(t *testing.T, n *Node, r Records, list []int, query string) int64 {
	t.Helper()
	var wrong atomic.Int64
	p := Pipeline{Addr: n.HTTP, Lanes: 8, Depth: 16, Limit: loadWithin}
	err := p.Each(len(list),
		func(dst []byte, k int) []byte { return AppendGet(dst, r.Path(list[k])+query) },
		func(k int, a Answer) error {
			var room [valueBytes]byte
			if a.Status == http.StatusOK && bytes.Equal(a.Body, r.Value(room[:0], list[k])) {
				return nil
			}
			if wrong.Add(1) <= 5 {
				t.Errorf("%s%s of %s: status %d, %.60q", r.Path(list[k]), query, n.Name, a.Status, a.Body)
			}
			return nil
		})
	if err != nil {
		t.Errorf("read from %s: %v", n.Name, err)
	}
	return wrong.Load()
}

// TestTermUnderLoad stops one of three nodes in order while clients write to all of them, and
// starts it again: it has kept what it had, and no acknowledged write is lost.
func TestTermUnderLoad(t *testing.T) {
	nodes := lab.Cluster(t, 3)
	everywhere := Records{Bucket: "load", Version: 3}
	load(t, nodes, lines(t, everywhere, 0, 1000), 1000, "--w", "3")
	w := startWriters(t, nodes)
	w.await(t, 500)
	if code := nodes[1].Stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, nodes[1].Stderr.String())
	}
	w.await(t, 500) // with one node away
	nodes[1].Start(t)
	nodes[1].AwaitReady(t)
	// What all three have acknowledged the one that was stopped has itself, before any read
	// could bring it back.
	nodes[0].AwaitAlive(t, len(nodes))
	if stale := staleCopies(t, nodes[0], nodes[1].Name, everywhere, 1000); stale > 0 {
		t.Errorf("of %d copies looked at, the node that was stopped has lost %d", sampled, stale)
	}
	w.await(t, 500)
	w.finish(t)
}

// TestKillAllUnderLoad kills all nodes at once while clients write to them.
func TestKillAllUnderLoad(t *testing.T) {
	nodes := lab.Cluster(t, 3)
	w := startWriters(t, nodes)
	for range 2 {
		w.await(t, 500)
		for _, n := range nodes {
			n.Signal(syscall.SIGKILL) // all before any is waited for
		}
		for _, n := range nodes {
			n.Kill()
			n.Start(t)
		}
		for _, n := range nodes {
			n.AwaitReady(t)
		}
	}
	w.await(t, 500)
	w.finish(t)
}
