package antientropy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// scatter writes keys that differ between the owners in every way: missing, older, concurrent.
func (c *fakeCluster) scatter(rnd *rand.Rand, keys, changes int) {
	buckets := []string{"b"}
	for _, n := range c.levels {
		buckets = append(buckets, fmt.Sprint("n", n))
	}
	key := func() string { return nameOf(buckets[rnd.IntN(len(buckets))], rnd.IntN(keys)) }
	for range keys {
		c.everywhere(key(), "=v")
	}
	for i := range changes {
		c.put(rnd, key(), []string{"=w", "w"}[i%2])
	}
}

// exchangeAll lets every node exchange with every other one and returns the errors.
func (c *fakeCluster) exchangeAll() error {
	var errs []error
	for _, n := range c.nodes {
		for _, m := range c.nodes {
			if n != m && len(n.k().currentPlan().shared[m.uuid]) > 0 {
				errs = append(errs, n.k().Exchange(context.Background(), m.uuid))
			}
		}
	}
	return errors.Join(errs...)
}

func TestExchangeMakesEqual(t *testing.T) {
	for _, c := range []struct {
		members, partitions, keys, changes int
		levels                             []int
	}{
		{2, 1, 100, 5, []int{3}},
		{2, 1, 1000, 10, []int{3}}, // far fewer differences than leaves
		{2, 1, 800, 800, []int{3}}, // more of them than are fetched at once
		{3, 4, 300, 300, []int{3}},
		{3, 4, 1000, 50, []int{3}},
		{4, 8, 500, 200, []int{1, 2, 3}},
		{5, 8, 500, 150, []int{1, 3, 5}},
		{3, 8, 0, 400, []int{3}},
	} {
		t.Run(fmt.Sprintf("members=%d/partitions=%d/keys=%d/changes=%d", c.members, c.partitions, c.keys, c.changes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, c.members, c.partitions, c.levels...)
				cl.scatter(rand.New(rand.NewPCG(1, uint64(c.keys))), max(c.keys, 200), c.changes)
				before := cl.unequal()
				cl.build()
				if c.members == 2 {
					if err := cl.nodes[0].k().Exchange(t.Context(), "node-1"); err != nil || cl.unequal() != 0 {
						t.Fatalf("after one exchange: %v, %d copies differ", err, cl.unequal())
					}
				}
				// Twice: what the first node gets from the last may have to go on to the second.
				for range 2 {
					if err := cl.exchangeAll(); err != nil {
						t.Fatal(err)
					}
				}
				if after := cl.unequal(); before == 0 || after != 0 {
					t.Fatalf("%d copies differed before, %d after", before, after)
				}
				for _, n := range cl.nodes {
					n.checkTrees()
					if s := n.k().Status(); s.Never != 0 || s.Oldest.IsZero() || s.Rebuilding != 0 {
						t.Errorf("%s: status %+v", n.uuid, s)
					}
				}
			})
		})
	}
}

// An exchange that finds nothing reads no object.
func TestNothingToFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 16)
		for i := range 500 {
			c.everywhere(nameOf("b", i), "v")
		}
		c.build()
		scans := c.nodes[0].store.scans.Load() + c.nodes[1].store.scans.Load()
		began := time.Now()
		if err := c.nodes[0].k().Exchange(t.Context(), "node-1"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v, want no pause", took)
		}
		if c.nodes[0].store.scans.Load()+c.nodes[1].store.scans.Load() != scans || c.calls[kindRoots] != 1 || c.calls[kindKeys] != 0 {
			t.Errorf("scans were made, or calls %v", c.calls)
		}
	})
}

// A write that is on its way while the roots are compared is no difference.
func TestRootsAreComparedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, 4)
		for i := range 500 {
			c.everywhere(nameOf("b", i), "v")
		}
		c.build()
		c.late(nameOf("b", 7))
		if err := c.nodes[0].k().Exchange(t.Context(), "node-1"); err != nil {
			t.Fatal(err)
		}
		if c.calls[kindRoots] != 2 || c.calls[kindBranches] != 0 || c.calls[kindKeys] != 0 {
			t.Errorf("calls %v", c.calls)
		}
	})
}

// late writes a key at node 0 and, half a pause later, at node 1.
func (c *fakeCluster) late(name string) {
	p := c.ring.Partition(name)
	c.nodes[0].store.put(name, "=late")
	o, _ := c.nodes[0].store.Get(p, name)
	time.AfterFunc(c.nodes[0].k().cfg.Pause/2, func() {
		c.nodes[1].store.Merge(p, name, o, func(error) {})
	})
}

// Beside a difference that lasts, in the same branch, one that is on its way is none.
func TestLeavesAreComparedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, 1)
		for i := range 500 {
			c.everywhere(nameOf("b", i), "v")
		}
		lasting, moving := nameOf("b", 0), ""
		for i := 1; moving == ""; i++ {
			a, b := leafOfName(lasting), leafOfName(nameOf("b", i))
			if a != b && a/fanout == b/fanout {
				moving = nameOf("b", i)
			}
		}
		c.nodes[1].store.put(lasting, "w")
		c.build()
		var once sync.Once
		c.fail = func(_, _ string, kind uint8) error {
			if kind == kindLeaves {
				once.Do(func() { c.late(moving) })
			}
			return nil
		}
		if err := c.nodes[0].k().Exchange(t.Context(), "node-1"); err != nil {
			t.Error(err)
		}
		if s := c.nodes[0].k().Stats(); s.RepairedHere != 1 || s.RepairedThere != 0 || c.calls[kindLeaves] != 3 {
			t.Errorf("%+v, calls %v", s, c.calls)
		}
	})
}

// A write that took longer than the pauses, but is there when its partition's turn comes, is no reason
// to read the partition.
func TestSlowWriteIsNoReasonToRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, 1)
		for i := range 500 {
			c.everywhere(nameOf("b", i), "v")
		}
		slow := nameOf("b", 7)
		c.nodes[0].store.put(slow, "=slow")
		o, _ := c.nodes[0].store.Get(0, slow)
		c.build()
		scans := c.nodes[0].store.scans.Load() + c.nodes[1].store.scans.Load()
		c.fail = func(_, _ string, kind uint8) error {
			if kind == kindLeaves && c.calls[kindLeaves] == 3 {
				c.nodes[1].store.Merge(0, slow, o, func(error) {})
			}
			return nil
		}
		if err := c.nodes[0].k().Exchange(t.Context(), "node-1"); err != nil {
			t.Error(err)
		}
		if now := c.nodes[0].store.scans.Load() + c.nodes[1].store.scans.Load(); now != scans || c.calls[kindKeys] != 0 {
			t.Errorf("%d scans, calls %v", now-scans, c.calls)
		}
	})
}

// Writes go on during exchanges; when they stop, the next ones leave nothing.
func TestExchangeUnderWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 4)
		c.scatter(rand.New(rand.NewPCG(3, 3)), 500, 100)
		c.build()
		ctx, stop := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		for w := range 3 {
			writers.Go(func() {
				rnd := rand.New(rand.NewPCG(4, uint64(w)))
				for ctx.Err() == nil {
					c.put(rnd, nameOf("b", rnd.IntN(600)), "=x")
					time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
				}
			})
		}
		for range 3 {
			if err := c.exchangeAll(); err != nil {
				t.Log("under writes:", err) // a partition may be left for the next time
			}
		}
		stop()
		writers.Wait()
		for range 2 {
			if err := c.exchangeAll(); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.unequal(); n != 0 {
			t.Errorf("%d copies differ", n)
		}
		for _, n := range c.nodes {
			n.checkTrees()
			if s := n.k().Stats(); s.Drift != 0 {
				t.Errorf("%s: drift %d", n.uuid, s.Drift)
			}
		}
	})
}

var errCut = errors.New("cut")

// Whatever call fails, nothing is verified that is not equal, and the next exchange does the rest.
func TestFailuresAtEveryStep(t *testing.T) {
	failures := 0
	for step := 1; ; step++ {
		reached := false
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, 4)
			c.scatter(rand.New(rand.NewPCG(5, 5)), 400, 60)
			c.build()
			calls := 0
			c.fail = func(from, to string, kind uint8) error {
				if calls++; calls == step && kind != kindEnd {
					reached = true
					return errCut
				}
				return nil
			}
			err := c.nodes[0].k().Exchange(t.Context(), "node-1")
			if reached && err == nil {
				t.Errorf("step %d failed without an error", step)
			}
			if reached {
				failures++
			}
			checkVerified(t, c)
			c.fail = nil
			if err := c.nodes[0].k().Exchange(t.Context(), "node-1"); err != nil {
				t.Errorf("after a failure at step %d: %v", step, err)
			}
			if n := c.unequal(); n != 0 {
				t.Errorf("after a failure at step %d: %d copies differ", step, n)
			}
		})
		if !reached {
			break
		}
	}
	if failures < 8 {
		t.Errorf("only %d steps failed", failures)
	}
}

// checkVerified finds partitions that node 0 calls verified with another owner although that one
// lacks something, or has something that node 0 lacks.
func checkVerified(t *testing.T, c *fakeCluster) {
	t.Helper()
	for _, v := range c.nodes[0].k().Status().Verified {
		i, _ := c.ring.Index(v.Member)
		if v.At.IsZero() {
			continue
		}
		for _, name := range append(c.nodes[0].store.names(v.Partition), c.nodes[i].store.names(v.Partition)...) {
			if !c.ring.Owns(0, v.Partition, c.n(name)) || !c.ring.Owns(i, v.Partition, c.n(name)) {
				continue
			}
			a, _ := c.nodes[0].store.Get(v.Partition, name)
			b, _ := c.nodes[i].store.Get(v.Partition, name)
			if !a.Equal(b) {
				t.Errorf("partition %d is verified with %s although %q differs", v.Partition, v.Member, name)
				break
			}
		}
	}
}

// An object that could not be stored on either side leaves its partition unverified.
func TestFailedRepairs(t *testing.T) {
	for _, side := range []string{"merge", "send"} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, 4)
			c.scatter(rand.New(rand.NewPCG(6, 6)), 400, 60)
			c.build()
			half := func(name string) error { return []error{nil, errCut}[hashOf(name)%2] }
			if side == "merge" {
				c.nodes[0].store.fail = half
			} else {
				c.send = func(_, _ string, it Item) error { return half(it.Name) }
			}
			if err := c.nodes[0].k().Exchange(t.Context(), "node-1"); err == nil {
				t.Errorf("%s: no error", side)
			}
			checkVerified(t, c)
			c.nodes[0].store.fail, c.send = nil, nil
			if err := c.nodes[0].k().Exchange(t.Context(), "node-1"); err != nil || c.unequal() != 0 {
				t.Errorf("%s: the next exchange: %v, %d copies differ", side, err, c.unequal())
			}
		})
	}
}

// A sender that reports success without an error for some is believed about each item only.
func TestPartialAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, 1)
		for i := range 10 {
			c.nodes[0].store.put(nameOf("b", i), "v")
		}
		c.build()
		k := c.nodes[0].k()
		k.cfg.Sender = senderFunc(func(_ context.Context, _ string, items []Item) ([]bool, error) {
			return make([]bool, len(items)), nil // nothing is durable, and nobody says why
		})
		if err := k.Exchange(t.Context(), "node-1"); err == nil || k.Status().Never != 1 {
			t.Errorf("err %v, status %+v: want the partition unverified", err, k.Status())
		}
	})
}

type senderFunc func(context.Context, string, []Item) ([]bool, error)

func (f senderFunc) Send(ctx context.Context, member string, items []Item) ([]bool, error) {
	return f(ctx, member, items)
}

// Pages: many keys with large values on one side, few on the other, in both directions.
func TestBulk(t *testing.T) {
	for _, pull := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, 2)
			full, empty := 0, 1
			if pull {
				full, empty = 1, 0
			}
			value := "=" + string(make([]byte, 2000))
			for i := range 2000 {
				c.nodes[full].store.put(nameOf("b", i), value)
			}
			c.nodes[full].store.put(nameOf("big", 1), string(make([]byte, 3*pageBytes)))
			c.nodes[empty].store.put(nameOf("b", 3), "=other")
			c.build()
			if err := c.nodes[0].k().Exchange(t.Context(), "node-1"); err != nil {
				t.Fatal(err)
			}
			if n := c.unequal(); n != 0 {
				t.Errorf("%d copies differ", n)
			}
			if pull && c.calls[kindFetch] != 0 || c.calls[kindBranches] != 0 || c.calls[kindKeys] < 2 {
				t.Errorf("pull %v: calls %v", pull, c.calls)
			}
			checkVerified(t, c)
		})
	}
}

// A partition that is being repaired with one member is left out with others, on both sides. Of
// two that repair it with each other, the one with the lower uuid goes on.
func TestOneRepairOfAPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 4)
		c.scatter(rand.New(rand.NewPCG(1, 1)), 300, 100)
		c.build()
		for _, s := range []struct {
			server, claim, from int
			want                outcome
		}{
			{0, 1, 2, claimed}, {2, 1, 0, claimed}, {0, 1, 1, claimed}, {1, 0, 0, answered},
		} {
			k := c.nodes[s.server].k()
			k.part(2).take(c.nodes[s.claim].uuid)
			for _, p := range []uint16{1, 2} {
				all := allLeaves()
				answer, err := k.Serve(c.nodes[s.from].uuid, kindKeys, encodeKeys(1, keysRequest{pair: pair{p, 3}, leaves: all}))
				want := answered
				if p == 2 {
					want = s.want
				}
				if err != nil || outcome(answer[0]) != want {
					t.Errorf("%+v, partition %d: %v, %v", s, p, answer[0], err)
				}
			}
			k.part(2).release()
			clear(k.mu.sessions)
		}
		for _, side := range []int{0, 1} {
			p := c.nodes[side].k().part(2)
			p.take("node-2")
			calls := c.calls[kindKeys]
			if err := c.nodes[0].k().Exchange(t.Context(), "node-1"); err == nil || c.calls[kindKeys] == calls && side == 0 {
				t.Errorf("err %v, calls %v", err, c.calls)
			}
			for _, v := range c.nodes[0].k().Status().Verified {
				if v.Member == "node-1" && v.At.IsZero() != (v.Partition == 2) {
					t.Errorf("claimed on side %d: %+v", side, v)
				}
			}
			p.release()
		}
	})
}

// A node that lost everything is filled from all sides at once.
func TestFilledFromAllSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 64)
		for i := range 2000 {
			c.everywhere(nameOf("b", i), "v")
		}
		wiped := c.nodes[2]
		wiped.wipe()
		wiped.store.slow = 20 * time.Millisecond
		c.build()
		var wg sync.WaitGroup
		for _, way := range [][2]int{{2, 0}, {2, 1}, {0, 2}, {1, 2}} {
			wg.Go(func() {
				if err := c.nodes[way[0]].k().Exchange(t.Context(), c.nodes[way[1]].uuid); err != nil {
					t.Log(err) // another one has the partition
				}
			})
		}
		wg.Wait()
		pulled := wiped.k().Stats().RepairedHere
		pushed := c.nodes[0].k().Stats().RepairedThere + c.nodes[1].k().Stats().RepairedThere
		// Four times 2000 without any order among the four.
		if pulled+pushed > 5000 || len(wiped.store.content()) < 1000 {
			t.Errorf("%d objects were pulled and %d pushed, %d of 2000 are there", pulled, pushed, len(wiped.store.content()))
		}
		wiped.store.slow = 0
		for range 2 { // the first may meet keys that came since it compared
			if err := c.exchangeAll(); err != nil {
				t.Log(err)
			}
		}
		if err := c.exchangeAll(); err != nil || c.unequal() != 0 {
			t.Errorf("in the end: %v, %d copies differ", err, c.unequal())
		}
	})
}

// Refusals: what must not be compared is not.
func TestServeRefuses(t *testing.T) {
	c := newCluster(t, 5, 16, 1, 3)
	c.build()
	n := c.nodes[0]
	p := n.k().currentPlan()
	var foreign uint16
	for slices.Contains(p.owned, foreign) {
		foreign++
	}
	roots := func(version uint64, levels []int, q pair) []byte {
		return encodeRoots(version, rootsRequest{levels: levels, pairs: []pair{q}, hashes: []uint64{0}})
	}
	good := p.shared["node-1"][0]
	for _, r := range []struct {
		what, from string
		payload    []byte
		want       outcome
	}{
		{"as it should be", "node-1", roots(1, []int{1, 3}, good), answered},
		{"another ring version", "node-1", roots(2, []int{1, 3}, good), refused},
		{"other levels", "node-1", roots(1, []int{3}, good), refused},
		{"a stranger", "node-9", roots(1, []int{1, 3}, good), refused},
		{"itself", "node-0", roots(1, []int{1, 3}, good), refused},
		{"a partition of others", "node-1", roots(1, []int{1, 3}, pair{foreign, 3}), refused},
		{"no such partition", "node-1", roots(1, []int{1, 3}, pair{999, 3}), refused},
		{"no such level", "node-1", roots(1, []int{1, 3}, pair{good.partition, 2}), refused},
	} {
		n.k().mu.sessions = make(map[string]*session)
		answer, err := n.k().Serve(r.from, kindRoots, r.payload)
		if err != nil || outcome(answer[0]) != r.want {
			t.Errorf("%s: answer %q, err %v, want outcome %d", r.what, answer, err, r.want)
		}
	}
	if _, err := n.k().Serve("node-1", 99, []byte{1}); err == nil {
		t.Error("an unknown kind is answered")
	}
	if _, err := n.k().Serve("node-1", kindRoots, []byte{1}); !errors.Is(err, errMalformed) {
		t.Errorf("a malformed message: %v", err)
	}
	n.k().Close()
	if _, err := n.k().Serve("node-1", kindEnd, request(1)); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestServesFewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 8, 5)
		c.build()
		begin := func(i int) outcome {
			answer, err := c.nodes[0].k().Serve(c.nodes[i].uuid, kindRoots, encodeRoots(1, rootsRequest{levels: []int{5}}))
			if err != nil {
				t.Fatal(err)
			}
			return outcome(answer[0])
		}
		if a, b, d := begin(1), begin(2), begin(3); a != answered || b != answered || d != busy {
			t.Errorf("three exchanges: %d %d %d, want the third busy", a, b, d)
		}
		if _, err := c.nodes[0].k().Serve("node-1", kindEnd, request(1)); err != nil {
			t.Fatal(err)
		}
		if begin(3) != answered {
			t.Error("busy although one has ended")
		}
		time.Sleep(sessionIdle + time.Second)
		if begin(1) != answered {
			t.Error("busy although the others are silent")
		}
	})
}

// A partition without trees is left out, the others are not; once built it is verified.
func TestRebuildingPartitionIsSkipped(t *testing.T) {
	for side := range 2 {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, 4)
			c.scatter(rand.New(rand.NewPCG(8, 8)), 300, 100)
			c.build()
			c.nodes[side].k().part(2).distrust()
			if err := c.nodes[0].k().Exchange(t.Context(), "node-1"); err == nil {
				t.Error("no error although a partition has no trees")
			}
			for _, v := range c.nodes[0].k().Status().Verified {
				if v.At.IsZero() != (v.Partition == 2) {
					t.Errorf("side %d: %+v", side, v)
				}
			}
			c.build()
			if err := c.nodes[0].k().Exchange(t.Context(), "node-1"); err != nil || c.unequal() != 0 {
				t.Errorf("once built: %v, %d copies differ", err, c.unequal())
			}
		})
	}
}

// A tree that is wrong is found by an exchange, twice, and mended on the side where it is.
func TestDriftIsMended(t *testing.T) {
	for side := range 2 {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, 4)
			for i := range 500 {
				c.everywhere(nameOf("b", i), "v")
			}
			c.build()
			p := c.nodes[side].k().part(1)
			p.trees[0].blocks[3].xor[5] ^= 1
			p.trees[0].root.xor ^= 1
			k := c.nodes[0].k()
			for i := range 2 {
				if err := k.Exchange(t.Context(), "node-1"); err == nil {
					t.Errorf("exchange %d finds no fault", i)
				}
			}
			c.build()
			if err := k.Exchange(t.Context(), "node-1"); err != nil {
				t.Errorf("after the scan: %v", err)
			}
			c.nodes[side].checkTrees()
			if d := c.nodes[side].k().Stats().Drift; d == 0 {
				t.Error("drift was not counted where it was")
			}
		})
	}
}

// An update that cannot be is noticed at once.
func TestImpossibleUpdate(t *testing.T) {
	c := newCluster(t, 1, 1)
	n := c.nodes[0]
	n.store.put(nameOf("b", 1), "v")
	c.build()
	n.k().Update(0, nameOf("b", 2), 77, 0, false)
	if s := n.k().Status(); s.Rebuilding != 1 || n.k().Stats().Drift != 1 {
		t.Errorf("status %+v", s)
	}
	// While there are no trees, the end of the scan shows it.
	n.store.during = func() {
		n.store.during = nil
		n.k().Update(0, nameOf("b", 2), 77, 0, false)
	}
	if err := n.k().build(t.Context(), 0); err == nil {
		t.Error("impossible trees are believed")
	}
	c.build()
	n.checkTrees()
}
