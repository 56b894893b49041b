package antientropy

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestSure(t *testing.T) {
	const mark = 10
	heard, live, gone, down := owner{heard: 11, alive: true}, owner{heard: 9, alive: true}, owner{dead: true}, owner{}
	for _, c := range []struct {
		what   string
		others []owner
		want   bool
	}{
		{"nobody else", nil, true},
		{"n=2, heard", []owner{heard}, true},
		{"n=2, not heard", []owner{live}, false},
		{"n=2, heard by an exchange that was begun as the mark was made", []owner{{heard: 10, alive: true}}, false},
		{"n=2, dead: nobody was heard", []owner{gone}, false},
		{"n=3, both heard", []owner{heard, heard}, true},
		{"n=3, one not heard", []owner{heard, live}, false},
		{"n=3, one dead", []owner{heard, gone}, true},
		{"n=3, one not alive, not yet dead", []owner{heard, down}, false},
		{"n=3, one heard before it died", []owner{heard, {heard: 12, dead: true}}, true},
		{"n=3, both heard before they died", []owner{{heard: 12}, {heard: 12}}, true},
		{"n=3, both dead", []owner{gone, gone}, false},
		{"n=4, two heard", []owner{heard, heard, gone}, true},
		{"n=4, one heard", []owner{heard, gone, gone}, false},
		{"n=5, two heard", []owner{heard, heard, gone, gone}, true},
		{"n=5, one heard", []owner{heard, gone, gone, gone}, false},
		{"n=5, two heard, one live is not", []owner{heard, heard, live, gone}, false},
	} {
		if got := sure(mark, c.others); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// wait lets time pass until what is true, at most for d, and says whether it became true.
func wait(d time.Duration, what func() bool) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if what() {
			return true
		}
	}
	return what()
}

func (n *fakeNode) unsureCount() int { return n.k().Status().Unsure }

// wipe empties the store of a node that is not running, and gives it a new life that knows.
func (n *fakeNode) wipe() {
	n.store.mu.Lock()
	for p := range n.store.objects {
		clear(n.store.objects[p])
	}
	n.store.mu.Unlock()
	n.renew()
	n.k().MarkAllUnsure()
}

// A node that lost everything is unsure until it has all of it from both others.
func TestWipedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 16)
		for i := range 1000 {
			c.everywhere(nameOf("b", i), "v")
		}
		n := c.nodes[1]
		n.wipe()
		if !n.k().Unsure(3) || !n.k().Unsure(60_000) {
			t.Error("not all partitions are unsure")
		}
		c.start()
		defer c.halt()
		if !wait(time.Minute, func() bool {
			if n.unsureCount() < 16 && len(n.store.content()) == 0 {
				t.Error("a partition is sure before anything came")
			}
			return n.unsureCount() == 0
		}) {
			t.Fatalf("still unsure: %+v", n.k().Status())
		}
		if c.unequal() != 0 {
			t.Errorf("sure although %d copies differ", c.unequal())
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.told < 2 || len(n.unsure) != 0 {
			t.Errorf("the node was told %d times, last %v", n.told, n.unsure)
		}
		// Both others had the half: what one sent, the other did not send again.
		if got := n.k().Stats().RepairedHere; got > 1300 {
			t.Errorf("%d objects were merged for 1000 missing ones", got)
		}
	})
}

// Alone, a node stays unsure; with one of two others it waits until the third is dead.
func TestUnsureWaitsForOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 8)
		c.scatter(rand.New(rand.NewPCG(1, 1)), 200, 20)
		c.alive(false)
		n := c.nodes[0]
		n.k().MarkAllUnsure()
		c.start()
		defer c.halt()
		if wait(5*time.Minute, func() bool { return n.unsureCount() < 8 }) {
			t.Fatal("sure without having asked anybody")
		}
		c.alive(true, 2)
		if !wait(10*time.Second, func() bool { return n.unsureCount() == 0 }) {
			t.Fatal("unsure although one other answered and the last has been dead for long")
		}
	})
}

func TestUnsureUntilDeadForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 8)
		c.scatter(rand.New(rand.NewPCG(1, 1)), 200, 20)
		n := c.nodes[0]
		c.start()
		defer c.halt()
		time.Sleep(5 * time.Second)
		// Cut as well: an exchange that is just being chosen would count.
		c.failing(func(from, to string, _ uint8) error {
			if to == "node-2" || from == "node-2" {
				return errCut
			}
			return nil
		})
		c.alive(true, 2)
		n.k().MarkAllUnsure()
		time.Sleep(20 * time.Second)
		if n.unsureCount() != 8 {
			t.Fatal("sure although an owner may come back any moment")
		}
		// A sign of life begins the wait anew, however short it was.
		c.alive(true)
		c.alive(true, 2)
		time.Sleep(25 * time.Second)
		if n.unsureCount() != 8 {
			t.Fatal("sure although the owner was alive 25 s ago")
		}
		if !wait(10*time.Second, func() bool { return n.unsureCount() == 0 }) {
			t.Fatalf("unsure although the owner has been dead for more than 30 s: %+v", n.k().Status())
		}
	})
}

// All lose power at once: each is sure once it has heard the others, in whatever order they start.
func TestAllUnsureAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 8)
		c.scatter(rand.New(rand.NewPCG(1, 1)), 300, 60)
		for _, n := range c.nodes {
			n.renew()
			n.k().MarkAllUnsure()
		}
		c.alive(false)
		c.nodes[0].start()
		time.Sleep(10 * time.Second)
		c.alive(true, 2)
		c.nodes[1].start()
		time.Sleep(10 * time.Second)
		c.nodes[2].start()
		c.alive(true)
		defer c.halt()
		for _, n := range c.nodes {
			if !wait(time.Minute, func() bool { return n.unsureCount() == 0 }) {
				t.Errorf("%s is still unsure", n.uuid)
			}
		}
		if c.unequal() != 0 {
			t.Errorf("sure although %d copies differ", c.unequal())
		}
	})
}

// A partition that nobody else owns is sure at once.
func TestUnsureAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 4)
		c.nodes[0].k().MarkAllUnsure()
		c.start()
		defer c.halt()
		synctest.Wait()
		if c.nodes[0].unsureCount() != 0 || c.nodes[0].k().Unsure(1) {
			t.Error("unsure although nobody could know better")
		}
	})
}

// An exchange that was begun before the mark does not clear it, wherever it was when the mark came.
func TestMarkDuringExchange(t *testing.T) {
	for _, kind := range []uint8{kindRoots, kindLeaves, kindKeys, kindFetch, kindEnd} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, 1)
			c.scatter(rand.New(rand.NewPCG(2, 2)), 200, 50)
			c.build()
			k := c.nodes[0].k()
			k.MarkUnsure(0)
			c.build()
			marked := false
			c.fail = func(_, _ string, got uint8) error {
				if got == kind && !marked {
					marked = true
					k.mark(0) // as a scan does that met a corrupt record: the trees stay
				}
				return nil
			}
			if err := k.Exchange(t.Context(), "node-1"); err != nil || !marked {
				t.Fatalf("kind %d: %v, marked %v", kind, err, marked)
			}
			if !k.Unsure(0) {
				t.Errorf("kind %d: the exchange under way cleared the mark", kind)
			}
			if err := k.Exchange(t.Context(), "node-1"); err != nil || k.Unsure(0) {
				t.Errorf("kind %d: unsure after a whole exchange, %v", kind, err)
			}
		})
	}
}

// An exchange whose trees are doubted while it goes on proves nothing.
func TestDoubtDuringExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, 4)
		c.build()
		k := c.nodes[0].k()
		c.fail = func(_, _ string, kind uint8) error {
			if kind == kindEnd {
				k.MarkUnsure(2)
				if err := k.build(t.Context(), 2); err != nil { // ready again, but not the same
					t.Error(err)
				}
			}
			return nil
		}
		if err := k.Exchange(t.Context(), "node-1"); err == nil {
			t.Error("no error")
		}
		for _, v := range k.Status().Verified {
			if v.At.IsZero() != (v.Partition == 2) {
				t.Errorf("%+v", v)
			}
		}
	})
}

// MarkUnsure does not believe the trees: they cannot tell that a record went bad under them.
func TestMarkUnsureScansAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, 1)
		for i := range 50 {
			c.everywhere(nameOf("b", i), "v")
		}
		c.build()
		n := c.nodes[0]
		n.store.damage(nameOf("b", 7))
		n.k().MarkUnsure(0)
		if err := n.k().Exchange(t.Context(), "node-1"); err == nil || !n.k().Unsure(0) {
			t.Errorf("an exchange with the old trees made the partition sure: %v", err)
		}
		n.build()
		if err := n.k().Exchange(t.Context(), "node-1"); err != nil {
			t.Error(err)
		}
		if c.unequal() != 0 {
			t.Error("the corrupt record was not repaired")
		}
	})
}

// Corrupt records are found by scrubbing, fetched from another owner, and the partition is unsure
// meanwhile.
func TestCorruptRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 8)
		for i := range 300 {
			c.everywhere(nameOf("b", i), "v")
		}
		c.start()
		defer c.halt()
		time.Sleep(5 * time.Second)
		n := c.nodes[2]
		for i := range 5 {
			n.store.damage(nameOf("b", i*11))
		}
		n.k().Rebuild()
		if !wait(5*time.Second, func() bool { return n.unsureCount() > 0 }) {
			t.Fatal("no partition is unsure")
		}
		if !wait(time.Minute, func() bool { return n.unsureCount() == 0 }) {
			t.Fatalf("still unsure: %+v %+v", n.k().Status(), n.k().Stats())
		}
		// It fetches them, or another owner finds them missing and sends them.
		s := n.k().Stats()
		mended := s.RepairedHere + c.nodes[0].k().Stats().RepairedThere + c.nodes[1].k().Stats().RepairedThere
		if c.unequal() != 0 || s.Corrupt != 5 || s.Lost != 0 || mended < 5 {
			t.Errorf("%d copies differ, %d mended, %+v", c.unequal(), mended, s)
		}
		time.Sleep(5 * time.Second)
		n.checkTrees()
	})
}

// A record that is corrupt everywhere does not keep its partition unsure for ever.
func TestHopelesslyCorrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, 1)
		for i := range 50 {
			c.everywhere(nameOf("b", i), "v")
		}
		lost, lost2 := nameOf("b", 3), nameOf("c", 1)
		c.nodes[0].store.put(lost2, "only here")
		for _, n := range c.nodes {
			n.store.damage(lost)
		}
		c.nodes[0].store.damage(lost2)
		c.nodes[0].k().MarkCorrupt(0, lost)
		c.start()
		defer c.halt()
		if !wait(time.Minute, func() bool { return c.nodes[0].unsureCount() == 0 && c.nodes[1].unsureCount() == 0 }) {
			t.Fatalf("still unsure: %+v", c.nodes[0].k().Status())
		}
		for range 20 {
			c.nodes[0].k().MarkCorrupt(0, lost) // a client reads it
			time.Sleep(time.Second)
			if c.nodes[0].unsureCount() != 0 {
				t.Fatal("a known corrupt record makes the partition unsure again")
			}
		}
		// A write replaces it, and nothing need be scanned for that.
		before := c.nodes[0].k().Stats()
		c.nodes[0].store.put(lost, "new")
		if !wait(time.Minute, func() bool { o, err := c.nodes[1].store.Get(0, lost); return err == nil && !o.Missing() }) {
			t.Fatal("the new value did not come to the other owner")
		}
		if after := c.nodes[0].k().Stats(); after.Lost != before.Lost || after.Rebuilds != before.Rebuilds {
			t.Errorf("%+v, then %+v", before, after)
		}
	})
}

// A corrupt record that is replaced before anybody knew of it makes the trees useless.
func TestLostUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 1)
		n := c.nodes[0]
		n.store.put(nameOf("b", 1), "v")
		c.build()
		n.store.damage(nameOf("b", 1))
		n.store.put(nameOf("b", 1), "w")
		if s := n.k().Stats(); s.Lost != 1 || n.k().Status().Rebuilding != 1 {
			t.Errorf("%+v", s)
		}
		c.build()
		n.checkTrees()
		// In the middle of a scan that may have met it before or after.
		n.store.damage(nameOf("b", 1))
		n.store.during = func() {
			n.store.during = nil
			n.store.put(nameOf("b", 1), "x")
		}
		if err := n.k().build(t.Context(), 0); err == nil {
			t.Error("a scan is believed that may have met the corrupt record")
		}
		c.build()
		n.checkTrees()
		// One that is known: the scan lists it as corrupt, which it is not any more.
		n.store.damage(nameOf("b", 1))
		n.k().MarkUnsure(0)
		c.build()
		n.k().part(0).rescan()
		n.store.during = func() {
			n.store.during = nil
			n.store.put(nameOf("b", 1), "y")
		}
		_ = n.k().build(t.Context(), 0)
		c.build()
		n.checkTrees()
		if n.k().part(0).knows(nameOf("b", 1)) {
			t.Error("a sound record is held to be corrupt")
		}
	})
}

// The hot path allocates nothing, and neither do updates.
func TestNoAllocations(t *testing.T) {
	c := newCluster(t, 1, 4)
	n := c.nodes[0]
	names := make([]string, 1000)
	for i := range names {
		names[i] = nameOf("b", i)
		n.store.put(names[i], "v")
	}
	c.build()
	n.k().cfg.N = func(string) int { return 3 }
	digests := n.store.content()
	i := 0
	if got := testing.AllocsPerRun(5000, func() {
		name := names[i%len(names)]
		n.k().Update(c.ring.Partition(name), name, digests[name], digests[name]+1, false)
		digests[name]++
		_ = n.k().Unsure(1)
		i++
	}); got != 0 {
		t.Errorf("%v allocations per update", got)
	}
}

// Dirty partitions are exchanged at once, with the owner that is dirty only.
func TestDirty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 8)
		for i := range 300 {
			c.everywhere(nameOf("b", i), "v")
		}
		c.start()
		defer c.halt()
		time.Sleep(time.Second)
		// Cut as well: an exchange that is just being chosen would count.
		c.failing(func(from, to string, _ uint8) error {
			if to == "node-1" || from == "node-1" {
				return errCut
			}
			return nil
		})
		c.alive(true, 1)
		name := nameOf("b", 5)
		p := c.ring.Partition(name)
		c.nodes[0].store.put(name, "w")
		c.nodes[0].k().MarkDirty("node-1", p)
		c.nodes[0].k().MarkDirty("node-1", 999) // no such partition
		c.nodes[0].k().MarkDirty("node-9", p)   // no such member
		time.Sleep(time.Minute)
		if d := c.nodes[0].k().Status().Dirty; len(d) != 1 || d[0].Member != "node-1" || d[0].Partition != p {
			t.Fatalf("dirty: %v", d)
		}
		c.failing(nil)
		c.alive(true)
		// Two pauses and the tick of a member that may be in another exchange.
		if !wait(8*time.Second, func() bool { return len(c.nodes[0].k().Status().Dirty) == 0 }) {
			t.Fatalf("still dirty: %+v", c.nodes[0].k().Status())
		}
		o, _ := c.nodes[1].store.Get(p, name)
		if len(o.Siblings) != 2 {
			t.Errorf("clean although the owner lacks the write: %v", o)
		}
	})
}

// A node that refused a write itself is the one that lacks it, although it compares itself with all others
// for that. Lists asked it alone, and missed the write.
func TestWhoIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 4)
		c.build()
		k := c.nodes[0].k()
		k.MarkDirty("node-0", 2)
		if got, want := k.Behind(), map[string][]uint16{"node-0": {2}}; !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%v, want %v", got, want)
		}
		k.MarkDirty("node-1", 2)
		want := map[string][]uint16{"node-0": {2}, "node-1": {2}}
		if got := k.Behind(); !maps.EqualFunc(got, want, slices.Equal) || len(k.Status().Dirty) != 2 {
			t.Errorf("%v, want %v, dirty %v", got, want, k.Status().Dirty)
		}
		if err := k.Exchange(t.Context(), "node-1"); err != nil {
			t.Fatal(err)
		}
		if got, want := k.Behind(), map[string][]uint16{"node-0": {2}}; !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("after one of two exchanges %v, want %v", got, want)
		}
		if err := k.Exchange(t.Context(), "node-2"); err != nil || len(k.Behind()) != 0 {
			t.Errorf("after both %v, %v", k.Behind(), err)
		}
	})
}

// A failing exchange leaves the mark, and is tried again less and less often.
func TestDirtyUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, 4)
		c.start()
		defer c.halt()
		time.Sleep(time.Second)
		c.failing(func(string, string, uint8) error { return errCut })
		c.nodes[0].k().MarkDirty("node-1", 2)
		before := c.nodes[0].k().Stats().Failed
		time.Sleep(10 * time.Minute)
		tries := c.nodes[0].k().Stats().Failed - before
		if tries < 15 || tries > 60 {
			t.Errorf("%d tries in 10 minutes", tries)
		}
		if len(c.nodes[0].k().Status().Dirty) != 1 {
			t.Error("the mark is gone")
		}
		c.failing(nil)
		c.nodes[0].k().Wake()
		if !wait(3*time.Second, func() bool { return len(c.nodes[0].k().Status().Dirty) == 0 }) {
			t.Error("still dirty after the member returned")
		}
	})
}

// A mark made while an exchange is under way is not cleared by it.
func TestDirtyDuringExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, 1)
		c.nodes[0].store.put(nameOf("b", 1), "v")
		c.build()
		k := c.nodes[0].k()
		c.fail = func(_, _ string, kind uint8) error {
			if kind == kindEnd {
				k.MarkDirty("node-1", 0)
			}
			return nil
		}
		if err := k.Exchange(t.Context(), "node-1"); err != nil || len(k.Status().Dirty) != 1 {
			t.Errorf("%v, dirty %v", err, k.Status().Dirty)
		}
	})
}

// A node that does not own the partition hands the mark to an owner that is alive.
func TestDirtyHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 5, 16)
		outsider := c.nodes[0]
		var p uint16
		for outsider.k().currentPlan().owns(p) {
			p++
		}
		owners := c.ring.Preference(p)[:3]
		lacking, heir, last := owners[0], owners[1], owners[2]
		name := nameOf("b", 0)
		for i := 0; c.ring.Partition(name) != p; i++ {
			name = nameOf("b", i)
		}
		c.nodes[heir].store.put(name, "v")
		c.start()
		defer c.halt()
		c.alive(true, owners...)
		time.Sleep(time.Second)
		outsider.k().MarkDirty(c.nodes[lacking].uuid, p)
		outsider.k().MarkDirty(outsider.uuid, p) // not an owner
		time.Sleep(10 * time.Second)
		if d := outsider.k().Status().Dirty; len(d) != 1 {
			t.Fatalf("dirty at the outsider: %v", d)
		}
		c.failing(func(_, _ string, kind uint8) error {
			if kind == kindDirty {
				return errCut
			}
			return nil
		})
		c.alive(true, lacking, last)
		time.Sleep(time.Second)
		if d := outsider.k().Status().Dirty; len(d) != 1 {
			t.Fatal("the mark is forgotten although nobody has it")
		}
		c.failing(nil)
		if !wait(5*time.Second, func() bool { return len(outsider.k().Status().Dirty) == 0 }) {
			t.Fatal("the mark was not handed over")
		}
		if d := c.nodes[heir].k().Status().Dirty; len(d) != 1 || d[0].Member != c.nodes[lacking].uuid {
			t.Fatalf("dirty at the heir: %v", d)
		}
		c.alive(true)
		if !wait(10*time.Second, func() bool { return len(c.nodes[heir].k().Status().Dirty) == 0 }) {
			t.Fatal("still dirty")
		}
		if o, _ := c.nodes[lacking].store.Get(p, name); o.Missing() {
			t.Error("clean although the owner lacks the write")
		}
	})
}

// What this node itself lacks, it gets from each of the others.
func TestDirtySelf(t *testing.T) {
	c := newCluster(t, 3, 4)
	k := c.nodes[0].k()
	k.MarkDirty("node-0", 1)
	var members []string
	for _, d := range k.Status().Dirty {
		members = append(members, d.Member)
	}
	if !slices.Equal(members, []string{"node-1", "node-2"}) {
		t.Errorf("dirty: %v", members)
	}
}

// Left alone, every pair is verified again and again, and differences do not last.
func TestAlwaysOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 5, 16)
		c.scatter(rand.New(rand.NewPCG(9, 9)), 300, 100)
		c.start()
		defer c.halt()
		time.Sleep(3 * time.Minute)
		if n := c.unequal(); n != 0 {
			t.Errorf("%d copies differ after 3 minutes", n)
		}
		for _, n := range c.nodes {
			if s := n.k().Status(); s.Never != 0 || time.Since(s.Oldest) > 3*time.Minute {
				t.Errorf("%s: %d never verified, oldest %v ago", n.uuid, s.Never, time.Since(s.Oldest))
			}
		}
		before := c.nodes[0].k().Stats()
		time.Sleep(10 * time.Minute)
		after := c.nodes[0].k().Stats()
		if n := after.Exchanges - before.Exchanges; n < 40 || n > 80 {
			t.Errorf("%d exchanges in 10 minutes, want about 60", n)
		}
		if after.Rebuilds != before.Rebuilds || after.Drift != 0 {
			t.Errorf("%+v, then %+v", before, after)
		}
	})
}

// Every record is read again once in ScrubEvery.
func TestScrub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 8)
		c.config.ScrubEvery = time.Hour
		c.nodes[0].renew()
		c.start()
		defer c.halt()
		time.Sleep(time.Hour + time.Minute)
		if got := c.nodes[0].k().Stats().Rebuilds; got != 16 {
			t.Errorf("%d scans of 8 partitions after an hour, want 16 with the first ones", got)
		}
	})
}
