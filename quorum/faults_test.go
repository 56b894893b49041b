package quorum

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// sleep-ok: every test here runs in a bubble, by this package's own helper.

// The faults F72 to F78 that clients of the original know, in clusters of three, where nobody
// is left to stand in, and of five.
func onFaults(t *testing.T, test func(t *testing.T, c *cluster, owners []*node)) {
	t.Helper()
	for _, nodes := range []int{3, 5} {
		bubble(t, nodes, 3, func(t *testing.T, c *cluster) { test(t, c, c.owners(testKey)) })
	}
}

func TestFault72OneDown(t *testing.T) {
	onFaults(t, func(t *testing.T, c *cluster, owners []*node) {
		n := owners[0]
		if _, err := n.put("v", sloppy(3)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.down(owners[2])
		start := time.Now()
		if _, err := n.put("v", sloppy(3)); err != nil {
			t.Error(err)
		}
		if _, err := n.get(sloppy(3)); err != nil {
			t.Error(err)
		}
		o := sloppy(3)
		o.PR, o.PW = LevelAll, LevelAll
		_, err := n.put("w", o)
		wantShort(t, err, "PW", 2, 3)
		_, err = n.get(o)
		wantShort(t, err, "PR", 2, 3)
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestFault73TwoDown(t *testing.T) {
	onFaults(t, func(t *testing.T, c *cluster, owners []*node) {
		n := owners[0]
		if _, err := n.put("v", sloppy(3)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.down(owners[1:3]...)
		o := sloppy(3)
		o.PR, o.PW = LevelQuorum, LevelQuorum
		_, err := n.get(o)
		wantShort(t, err, "PR", 1, 2)
		_, err = n.put("w", o)
		wantShort(t, err, "PW", 1, 2)
		o.PR, o.PW = 1, 0
		_, err = n.put("x", o)
		_, rerr := n.get(o)
		if len(c.nodes) == 5 && (err != nil || rerr != nil) {
			t.Errorf("%v, %v", err, rerr)
		}
		if len(c.nodes) == 3 {
			wantShort(t, err, "DW", 1, 2) // there is no fifth node, nor a fourth
			wantShort(t, rerr, "R", 1, 2)
		}
	})
}

func TestFault74Paused(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		c.mute(c.nodes[1])
		o := sloppy(3)
		o.R, o.W, o.Timeout = LevelAll, LevelAll, 500*time.Millisecond
		start := time.Now()
		if _, err := c.nodes[0].get(o); !errors.Is(err, ErrTimeout) {
			t.Error(err)
		}
		if _, err := c.nodes[0].put("v", o); !errors.Is(err, ErrTimeout) {
			t.Error(err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestFault75BackAgain(t *testing.T) {
	onFaults(t, func(t *testing.T, c *cluster, owners []*node) {
		c.down(owners[2])
		o := sloppy(3)
		o.W = 1
		if _, err := owners[0].put("v", o); err != nil {
			t.Fatal(err)
		}
		for _, n := range c.nodes {
			n.alive[owners[2].index], n.links[owners[2].index].cut = true, false
		}
		o.R = LevelAll
		if res, err := owners[1].get(o); err != nil || values(res.Object) != "v" || res.Receipt.Primaries != 3 {
			t.Errorf("%q, %+v, %v", values(res.Object), res.Receipt, err)
		}
		synctest.Wait()
		for _, n := range owners[:3] {
			if values(n.object(testKey)) != "v" {
				t.Errorf("owner %d has %q", n.index, values(n.object(testKey)))
			}
		}
	})
}

func TestFault76FreshDisks(t *testing.T) {
	onFaults(t, func(t *testing.T, c *cluster, owners []*node) {
		owners[2].plant(testKey, made(9, "v"))
		o := sloppy(3)
		o.NotFoundOK = false
		if _, err := owners[0].get(o); err != nil {
			wantShort(t, err, "R", 1, 2)
		}
	})
	onFaults(t, func(t *testing.T, c *cluster, owners []*node) {
		o := sloppy(3)
		o.R, o.NotFoundOK, o.BasicQuorum = 1, false, true
		if res, err := owners[0].get(o); err != nil || !res.Object.Missing() {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// Both sides of a cut take writes; once it is healed both values are there.
func TestFault77BothSides(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		onFaults(t, func(t *testing.T, c *cluster, owners []*node) {
			base, err := owners[0].put("base", sloppy(3))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			left, right := []*node{owners[0]}, owners[1:]
			cut := func(apart bool) {
				for _, l := range left {
					for _, r := range right {
						l.alive[r.index], l.links[r.index].cut = !apart, apart
						r.alive[l.index], r.links[l.index].cut = !apart, apart
					}
				}
			}
			cut(true)
			o := sloppy(3)
			o.W, o.DW = 1, 1
			a := putOf("a", o, base.Object.Clock)
			a.Deleted = deleted
			if deleted {
				a.Value = nil
			}
			if _, err := left[0].coordinator.Put(context.Background(), a); err != nil {
				t.Fatal(err)
			}
			if _, err := right[0].coordinator.Put(context.Background(), putOf("b", sloppy(3), base.Object.Clock)); err != nil {
				t.Fatal(err)
			}
			cut(false)
			o.R = LevelAll
			res, err := right[len(right)-1].get(o)
			want := map[bool][]string{false: {"a,b", "b,a"}, true: {"b", "b"}}[deleted]
			if got := values(res.Object); err != nil || got != want[0] && got != want[1] || len(res.Object.Siblings) != 2 {
				t.Errorf("deleted=%v: %q, %v", deleted, got, err)
			}
		})
	}
}

func TestFault78NodeConfirms(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		c.down(c.nodes[1:]...)
		o := sloppy(3)
		o.R, o.W, o.DW, o.NodeConfirms = 1, 1, 1, 2
		_, err := c.nodes[0].put("v", o)
		wantShort(t, err, "node_confirms", 1, 2)
		_, err = c.nodes[0].get(o)
		wantShort(t, err, "node_confirms", 1, 2)
	})
}

// TestRefusedAtTheDeadline: on a loaded machine the replicas' budgets may end before the request's
// own timer is served. Then the request has timed out all the same: what was reached says nothing.
func TestRefusedAtTheDeadline(t *testing.T) {
	for range 20 { // which of two events of one moment comes first is drawn
		bubble(t, 3, 3, func(t *testing.T, c *cluster) {
			o := defaults(3)
			o.R, o.W, o.Timeout = LevelAll, LevelAll, 500*time.Millisecond
			for _, l := range c.nodes[0].links[1:] {
				l.breaks, l.delay = true, o.Timeout
			}
			if res, err := c.nodes[0].get(o); !errors.Is(err, ErrTimeout) {
				t.Errorf("get: %+v, %v", res, err)
			}
			if res, err := c.nodes[0].put("v", o); !errors.Is(err, ErrTimeout) {
				t.Errorf("put: %+v, %v", res, err)
			}
			// Refusals before that are what the answer is about.
			for _, l := range c.nodes[0].links[1:] {
				l.delay -= time.Millisecond
			}
			_, err := c.nodes[0].get(o)
			wantShort(t, err, "R", 1, 3)
			_, err = c.nodes[0].put("v", o)
			wantShort(t, err, "DW", 1, 2)
		})
	}
}
