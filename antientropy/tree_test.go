package antientropy

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
)

// naive is a tree computed from scratch: the sum of each leaf's keys.
func naive(keys map[string]uint64) (cells [leaves]cell) {
	for name, digest := range keys {
		h := hashOf(name)
		cells[leafOf(h)].xor ^= mix(h, digest)
		cells[leafOf(h)].count++
	}
	return cells
}

func TestTreeFollowsChanges(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	keys := make(map[string]uint64)
	var tr tree
	for range 20_000 {
		name := nameOf("b", rnd.IntN(3000))
		after := rnd.Uint64() >> rnd.IntN(64) // now and then 0
		if !tr.change(hashOf(name), keys[name], after) {
			t.Fatalf("change of %q from %x to %x is taken to be impossible", name, keys[name], after)
		}
		if keys[name] = after; after == 0 {
			delete(keys, name)
		}
	}
	want := naive(keys)
	var root cell
	branches := tr.branches()
	for b := range fanout {
		var sum cell
		for l, got := range tr.leaves(b) {
			c := want[b*fanout+l]
			if got != c.hash() {
				t.Fatalf("leaf %d of branch %d is %x, want %x", l, b, got, c.hash())
			}
			sum.xor, sum.count = sum.xor^c.xor, sum.count+c.count
		}
		if branches[b] != sum.hash() {
			t.Fatalf("branch %d is %x, want %x", b, branches[b], sum.hash())
		}
		root.xor, root.count = root.xor^sum.xor, root.count+sum.count
	}
	if tr.root != root || !tr.possible() {
		t.Fatalf("root %v, want %v; possible %v", tr.root, root, tr.possible())
	}
}

func TestTreeNoticesTheImpossible(t *testing.T) {
	h := hashOf("x")
	for _, c := range []struct {
		what    string
		changes [][2]uint64
	}{
		{"removed what was not there", [][2]uint64{{5, 0}}},
		{"removed another digest than was added", [][2]uint64{{0, 5}, {6, 0}}},
	} {
		var tr tree
		ok := true
		for _, ch := range c.changes {
			ok = tr.change(h, ch[0], ch[1])
		}
		if ok || tr.possible() {
			t.Errorf("%s: not noticed", c.what)
		}
	}
}

// An entry depends on all of name and digest, or differences would cancel each other out.
func TestMixKeepsApart(t *testing.T) {
	seen := make(map[uint64]bool)
	for a := range uint64(300) {
		for b := range uint64(300) {
			seen[mix(a<<54, b)] = true
			seen[mix(a, b<<54)] = true
		}
	}
	if len(seen) < 2*300*300-600 {
		t.Errorf("only %d different entries", len(seen))
	}
}

// While partitions are built over and over and records change at the same time, the trees never
// differ from the store.
func TestTreesUnderConcurrentChanges(t *testing.T) {
	c := newCluster(t, 1, 4, 1, 3)
	n := c.nodes[0]
	n.k().follow()
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 2))
			for range 3000 {
				name := nameOf([]string{"b", "n1"}[rnd.IntN(2)], rnd.IntN(300))
				if rnd.IntN(4) == 0 {
					n.store.drop(name)
				} else {
					n.store.put(name, "=v")
				}
			}
		})
	}
	stop := make(chan struct{})
	var builder sync.WaitGroup
	builder.Go(func() {
		for {
			for p := range uint16(4) {
				if err := n.k().build(context.Background(), p); err != nil {
					t.Error(err)
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	writers.Wait()
	close(stop)
	builder.Wait()
	n.checkTrees()
	if s := n.k().Stats(); s.Drift != 0 || s.Rebuilds < 4 {
		t.Errorf("drift %d after %d rebuilds", s.Drift, s.Rebuilds)
	}
}

// A change in the middle of a scan, before or behind where it is, is in the result once.
func TestChangesDuringAScan(t *testing.T) {
	c := newCluster(t, 1, 1)
	n := c.nodes[0]
	for i := range 100 {
		n.store.put(nameOf("b", i*2), "v")
	}
	n.k().follow()
	n.store.during = func() {
		for i := range 200 {
			switch i % 3 {
			case 0:
				n.store.put(nameOf("b", i), "=w")
			case 1:
				n.store.drop(nameOf("b", i))
			}
		}
	}
	for range 3 {
		if err := n.k().build(context.Background(), 0); err != nil {
			t.Fatal(err)
		}
		n.checkTrees()
	}
	if n.k().Stats().Drift != 0 {
		t.Error("drift")
	}
}

// The old trees answer while new ones are built; without old ones the partition has none.
func TestAnswersWhileBuilding(t *testing.T) {
	c := newCluster(t, 1, 1)
	n := c.nodes[0]
	n.store.put(nameOf("b", 1), "v")
	n.k().follow()
	part := n.k().part(0)
	var ready []bool
	n.store.during = func() {
		_, r := part.state()
		ready = append(ready, r)
	}
	for range 2 {
		if err := n.k().build(context.Background(), 0); err != nil {
			t.Fatal(err)
		}
	}
	if len(ready) != 2 || ready[0] || !ready[1] {
		t.Errorf("ready during the scans: %v, want [false true]", ready)
	}
}

// Keys of partitions that the node does not own leave no trace.
func TestUpdatesOfOthersPartitions(t *testing.T) {
	c := newCluster(t, 5, 16, 1, 3)
	c.build()
	n := c.nodes[0]
	var theirs, notAtN int
	for i := range 500 {
		for _, bucket := range []string{"b", "n1"} {
			name := nameOf(bucket, i)
			p := c.ring.Partition(name)
			n.k().Update(p, name, 0, 5, false)
			switch {
			case !n.k().currentPlan().owns(p):
				theirs++
				if len(n.k().part(p).trees) > 0 {
					t.Fatalf("partition %d of others has trees", p)
				}
			case !c.ring.Owns(n.index, p, bucketN(name)):
				notAtN++
			}
		}
	}
	if theirs == 0 || notAtN == 0 {
		t.Errorf("%d keys of others, %d not owned at their n_val: the test shows nothing", theirs, notAtN)
	}
}
