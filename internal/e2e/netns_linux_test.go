package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestNamespaces runs five nodes in network namespaces and cuts the links between them.
func TestNamespaces(t *testing.T) {
	t.Parallel() // it mostly waits
	network := NewNetwork(t, lab, 5)
	nodes := network.Cluster(t, 5)
	t.Run("set adds", func(t *testing.T) { setAdds(t, network, nodes) })
	t.Run("one context on both sides", func(t *testing.T) { bothSides(t, network, nodes) })
}

// Cuts stay for a moment, some for longer than the membership takes to give a node up, which is
// some eight seconds.
const (
	shortCut = 3 * time.Second
	longCut  = 10 * time.Second
	whole    = time.Second // between two cuts
)

// partition cuts two nodes off from the other three again and again, others each time, some
// times in one direction only, until ctx ends, and heals. It returns how many cuts it made.
func partition(ctx context.Context, w *Network) (cuts int, err error) {
	for ; ctx.Err() == nil; cuts++ {
		var two, three []int
		for k := range 5 {
			if k == cuts%5 || k == (cuts+2)%5 {
				two = append(two, k)
			} else {
				three = append(three, k)
			}
		}
		length := shortCut
		switch cuts % 5 {
		case 1:
			err = w.Cut(two, three)
		case 3:
			err = w.Cut(three, two)
		case 2:
			length = longCut
			fallthrough
		default:
			err = w.Split(two, three)
		}
		if err != nil {
			return cuts, err
		}
		pause(ctx, length)
		if err := w.Heal(); err != nil {
			return cuts, err
		}
		pause(ctx, whole)
	}
	return cuts, nil
}

// setAdds has five clients, each at a node of its own, add elements to sets while the links are
// cut: read, join what is there, add, write. Every acknowledged element must be there in the
// end. The same clients do the same to a bucket that keeps the last write alone, and its loss is
// printed: it is what such a bucket costs.
func setAdds(t *testing.T, w *Network, nodes []*Node) {
	siblings, last := &setRun{bucket: "sets"}, &setRun{bucket: "sets-lww"}
	keepLast(t, w, nodes[0], last.bucket)
	cuts, took := addUnderPartitions(t, w, nodes, siblings, last)
	for _, n := range nodes {
		n.AwaitAlive(t, len(nodes))
	}
	healed := time.Now()
	missing := siblings.missing(w.inside.HTTP, nodes)
	for missing != nil && time.Since(healed) < readyWithin {
		pause(t.Context(), 50*time.Millisecond)
		missing = siblings.missing(w.inside.HTTP, nodes)
	}
	settled := time.Since(healed)
	lost, err := siblings.lost(w.inside.HTTP, nodes[0])
	if err != nil {
		t.Error(err)
	}
	forgotten, err := last.lost(w.inside.HTTP, nodes[0])
	if err != nil {
		t.Error(err)
	}
	t.Attr("set_adds_under_partitions", fmt.Sprintf("%d cuts in %v; siblings: %d of %d acknowledged, %d lost, settled after %v; last write wins: %d of %d acknowledged, %d lost (%d %%)",
		cuts, took.Round(time.Second), siblings.count(), setElements, len(lost), settled.Round(100*time.Millisecond),
		last.count(), setElements, len(forgotten), 100*len(forgotten)/max(1, last.count())))
	if missing != nil {
		t.Errorf("%v after the links are whole: %v", readyWithin, missing)
	}
	if cuts < 3 || siblings.count() < setElements/2 || len(forgotten) == 0 {
		t.Error("too few cuts or acknowledged adds, or nothing lost by the last write: the test proves little")
	}
	Until(t, readyWithin, "the copies are equal", func() error {
		for k := range setKeys {
			if err := nodes[0].Explain(t, siblings.bucket, setKey(k)).Equal(); err != nil {
				return fmt.Errorf("%s: %w", setKey(k), err)
			}
		}
		return nil
	})
}

// addUnderPartitions runs all clients of the runs to their end while links are cut.
func addUnderPartitions(t *testing.T, w *Network, nodes []*Node, runs ...*setRun) (cuts int, took time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients, nemesis sync.WaitGroup
	var err error
	nemesis.Go(func() { cuts, err = partition(ctx, w) })
	began := time.Now()
	for _, run := range runs {
		for c, n := range nodes {
			clients.Go(func() { run.client(w.Client(), n, c) })
		}
	}
	clients.Wait()
	took = time.Since(began)
	stop()
	nemesis.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return cuts, took
}

// keepLast makes a bucket keep the last write alone.
func keepLast(t *testing.T, w *Network, n *Node, bucket string) {
	t.Helper()
	props := strings.NewReader(`{"props":{"last_write_wins":true}}`)
	req, err := http.NewRequest(http.MethodPut, "http://"+n.HTTP+"/buckets/"+bucket+"/props", props)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.inside.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("set properties: %d", resp.StatusCode)
	}
}

// bothSides writes with one context on both sides of a cut: after healing both values are there.
// A value that was written on one side while the other deleted is there, too.
func bothSides(t *testing.T, w *Network, nodes []*Node) {
	const keys = 8 // so that sides have different shares of the owners
	left, right := nodes[0], nodes[2]
	var both, deleted []Object
	contexts := map[string]string{}
	for i := range keys {
		for _, list := range []*[]Object{&both, &deleted} {
			o := Object{Bucket: "sides", Key: fmt.Sprintf("k%d-%d", i, len(contexts)), Client: w.inside.HTTP}
			check(t, o, left, http.MethodPut, "?w=all", "", stored)
			contexts[o.Key] = check(t, o, left, http.MethodGet, "", "", found).Context()
			*list = append(*list, o)
		}
	}
	if err := w.Split([]int{0, 1}, []int{2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	write := func(o Object, n *Node, method, value string) {
		t.Helper()
		r, err := o.Ask(n, method, "", contexts[o.Key], value)
		if err != nil || r.Status != http.StatusNoContent {
			t.Errorf("%s %s at %s while cut: %d %q, %v", method, o.Key, n.Name, r.Status, r.Body, err)
		}
	}
	for i := range keys {
		write(both[i], left, http.MethodPut, "left")
		write(both[i], right, http.MethodPut, "right")
		write(deleted[i], left, http.MethodDelete, "")
		write(deleted[i], right, http.MethodPut, "kept")
	}
	if err := w.Heal(); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.AwaitAlive(t, len(nodes))
	}
	shows := func(o Object, n *Node, status int, values ...string) error {
		r, err := o.Ask(n, http.MethodGet, "", "", "")
		if err != nil {
			return err
		}
		for _, v := range values {
			if r.Status != status || !strings.Contains(r.Body, v) {
				return fmt.Errorf("%s at %s: %d %q, want %d with %q", o.Key, n.Name, r.Status, r.Body, status, values)
			}
		}
		return nil
	}
	Until(t, readyWithin, "both sides' values are there", func() error {
		for _, n := range nodes {
			for i := range keys {
				if err := shows(both[i], n, http.StatusMultipleChoices, "left", "right"); err != nil {
					return err
				}
				if err := shows(deleted[i], n, http.StatusOK, "kept"); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
