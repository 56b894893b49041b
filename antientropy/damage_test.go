package antientropy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The store tells of a corrupt record while a scan is under way, since it is the scan that meets it.
// One scan must be enough, however many there are and whoever reads them meanwhile.
func TestScanMeetsCorruptRecords(t *testing.T) {
	c := newCluster(t, 1, 1)
	n := c.nodes[0]
	for i := range maxKnownCorrupt + 100 {
		n.store.put(nameOf("b", i), "v")
	}
	c.build()
	hot, late := nameOf("b", 7), nameOf("b", 3)
	n.store.damage(hot)
	n.k().MarkCorrupt(0, hot)
	n.store.during = func() { _, _ = n.store.Get(0, hot) }
	if err := n.k().build(t.Context(), 0); err != nil || !n.k().part(0).knows(hot) {
		t.Fatalf("%v, known %v: a client that reads a corrupt record keeps its partition without trees", err, n.k().part(0).knows(hot))
	}
	n.checkTrees()

	// One that the scan has passed when it is damaged.
	n.store.during = func() {
		n.store.during = nil
		n.store.damage(late)
		_, _ = n.store.Get(0, late)
	}
	n.k().part(0).rescan()
	if err := n.k().build(t.Context(), 0); err == nil {
		t.Error("a scan is believed that had passed a record before it was damaged")
	}
	if err := n.k().build(t.Context(), 0); err != nil || !n.k().part(0).knows(late) {
		t.Errorf("the next one: %v", err)
	}
	n.checkTrees()

	// More than are kept by name.
	for i := range maxKnownCorrupt + 100 {
		n.store.damage(nameOf("b", i))
	}
	for range 2 {
		n.k().MarkUnsure(0)
		if err := n.k().build(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		n.checkTrees()
	}
}

// A partition that cannot be scanned keeps no other from its trees.
func TestScanFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, 8)
		for i := range 100 {
			c.nodes[0].store.put(nameOf("b", i), "v")
		}
		c.nodes[0].store.unscanned = map[uint16]error{0: errors.New("a damaged block")}
		c.start()
		defer c.halt()
		if !wait(time.Minute, func() bool { return c.nodes[0].k().Status().Rebuilding == 1 }) {
			t.Fatalf("%d partitions without trees", c.nodes[0].k().Status().Rebuilding)
		}
		ring := c.ring
		if !wait(time.Minute, func() bool {
			for i := range 100 {
				name := nameOf("b", i)
				if o, _ := c.nodes[1].store.Get(ring.Partition(name), name); ring.Partition(name) != 0 && o.Missing() {
					return false
				}
			}
			return true
		}) {
			t.Error("the other partitions were not exchanged")
		}
		c.nodes[0].store.mu.Lock()
		c.nodes[0].store.unscanned = nil
		c.nodes[0].store.mu.Unlock()
		if !wait(time.Minute, func() bool { return c.unequal() == 0 }) {
			t.Errorf("%d copies differ when it can be scanned", c.unequal())
		}
	})
}

// A record whose name is damaged is no key of anybody's: what it was comes from a peer, and
// exchanges do not fail over it.
func TestDamagedNames(t *testing.T) {
	for _, first := range []int{0, 1} { // who begins the exchange
		t.Run(fmt.Sprint("node-", first), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2, 4)
				for i := range 200 {
					c.everywhere(nameOf("b", i), "v")
				}
				s := c.nodes[0].store
				var garbage []string
				for i := range 5 {
					name := nameOf("b", i*17)
					p := c.ring.Partition(name)
					for _, bad := range []string{name[:len(name)-1] + "\x7f", "\xff" + name[1:], "\xff"} {
						if c.ring.Partition(bad) == p && bad[0] != 0xff {
							continue // one that it can have
						}
						s.objects[p][bad] = s.objects[p][name]
						s.damaged[bad] = true
						garbage = append(garbage, bad)
					}
					delete(s.objects[p], name)
				}
				c.build()
				ctx := context.Background()
				if err := c.nodes[first].k().Exchange(ctx, c.nodes[1-first].uuid); err != nil {
					t.Fatal(err)
				}
				if err := c.nodes[first].k().Exchange(ctx, c.nodes[1-first].uuid); err != nil {
					t.Errorf("the second exchange: %v", err)
				}
				s.mu.Lock()
				for p := range s.objects {
					for _, bad := range garbage {
						delete(s.objects[p], bad)
						delete(s.damaged, bad)
					}
				}
				s.mu.Unlock()
				if c.unequal() != 0 {
					t.Errorf("%d copies differ", c.unequal())
				}
				c.nodes[0].checkTrees()
			})
		})
	}
}

// refusedError is a member's word that it has not taken something.
type refusedError struct{}

func (refusedError) Error() string  { return "the store is fenced" }
func (refusedError) Answered() bool { return true }

// An owner whose store takes no writes any more, but can be read, keeps nobody unsure: what it has
// is brought here, what it lacks has to wait.
func TestUnsureBesideFencedOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 16)
		for i := range 300 {
			c.everywhere(nameOf("b", i), "v")
			if i%3 == 0 {
				c.nodes[2].store.put(nameOf("b", i), "=only here")
			} else {
				c.nodes[0].store.put(nameOf("b", i), "=not there")
				c.nodes[1].store.put(nameOf("b", i), "=not there")
			}
		}
		want := make(map[string]bool)
		for i := range 300 {
			want[nameOf("b", i)] = i%3 == 0
		}
		c.nodes[2].store.fail = func(string) error { return refusedError{} }
		doubted := c.nodes[1]
		doubted.renew()
		doubted.k().MarkAllUnsure()
		c.start()
		defer c.halt()
		if !wait(2*time.Minute, func() bool { return doubted.unsureCount() == 0 }) {
			t.Fatalf("%d partitions are unsure as long as an owner is fenced", doubted.unsureCount())
		}
		for name, fenced := range want {
			p := c.ring.Partition(name)
			from := c.nodes[0].store
			if fenced {
				from = c.nodes[2].store
			}
			theirs, _ := from.Get(p, name)
			ours, _ := doubted.store.Get(p, name)
			if !ours.Clock.Covers(theirs.Siblings[0].Dot) {
				t.Errorf("sure without %q", name)
			}
		}
		for _, v := range doubted.k().Status().Verified {
			if v.Member == "node-2" && !v.At.IsZero() {
				t.Errorf("partition %d is called verified with the fenced owner", v.Partition)
			}
		}
	})
}

// What was fetched is stored before more is fetched: the keys of one page may have objects of any
// size, and all of them at once would be any amount of memory.
func TestFetchesNoMoreThanItHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, 1)
		value := strings.Repeat("x", 1<<10)
		for i := range 2000 {
			if i%2 == 0 {
				c.nodes[0].store.put(nameOf("b", i), value)
			}
			c.nodes[1].store.put(nameOf("b", i), value)
		}
		c.build()
		last, fetches := 0, 0
		c.failing(func(_, _ string, kind uint8) error {
			if kind == kindFetch {
				had := 0
				for name := range c.nodes[0].store.content() {
					if o, _ := c.nodes[0].store.Get(0, name); len(o.Siblings) == 2 || len(o.Clock) == 1 && o.Clock[0].Actor.Run == 2 {
						had++
					}
				}
				if fetches++; fetches > 1 && had <= last {
					t.Errorf("fetch %d while what came before is not stored", fetches)
				}
				last = had
			}
			return nil
		})
		if err := c.nodes[0].k().Exchange(t.Context(), "node-1"); err != nil || c.unequal() != 0 || fetches < 4 {
			t.Errorf("%v, %d copies differ, %d fetches", err, c.unequal(), fetches)
		}
	})
}
