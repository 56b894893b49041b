package quorum

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/vclock"
)

// A node that does not own the key reads from the owner that answers fastest.
func TestGetPrefersFast(t *testing.T) {
	bubble(t, 4, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		n := owners[3]
		for _, o := range owners[:3] {
			o.plant(testKey, made(9, "v"))
		}
		n.links[owners[0].index].delay = 20 * time.Millisecond
		n.links[owners[1].index].delay = 5 * time.Millisecond
		n.links[owners[2].index].delay = 1 * time.Millisecond
		all := defaults(3)
		all.R = LevelAll
		for range 3 {
			if _, err := n.get(all); err != nil {
				t.Fatal(err)
			}
		}
		one := defaults(3)
		one.R = 1
		start := time.Now()
		if _, err := n.get(one); err != nil || time.Since(start) != time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		// A node thought dead is asked last, even if it was fast.
		n.alive[owners[2].index] = false
		start = time.Now()
		if _, err := n.get(one); err != nil || time.Since(start) != 5*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// Dynamo §4.5: a read is answered by R replicas; a slow one is replaced after the time in
// which it usually answers, and a dead one at once.
func TestPaperReadsDoNotWaitForTheSlow(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		o := made(9, "v")
		c.plantAll(o, o, o)
		n := c.nodes[0]
		n.links[1].delay, n.links[2].delay = 2*time.Millisecond, 2*time.Millisecond
		all := defaults(3)
		all.R = LevelAll
		for range enoughSamples {
			if _, err := n.get(all); err != nil {
				t.Fatal(err)
			}
		}
		n.links[1].silent = true
		hedge := latencyCeiling(latencyClass(2 * time.Millisecond))
		start := time.Now()
		if _, err := n.get(defaults(3)); err != nil || time.Since(start) != hedge+2*time.Millisecond {
			t.Errorf("slow: %v after %v", err, time.Since(start))
		}
		if s := n.coordinator.Stats(); s.Hedges != 1 {
			t.Errorf("%+v", s)
		}
		n.links[1].silent, n.links[1].cut = false, true
		start = time.Now()
		if _, err := n.get(defaults(3)); err != nil || time.Since(start) != 2*time.Millisecond {
			t.Errorf("dead: %v after %v", err, time.Since(start))
		}
		synctest.Wait()
		if s := n.coordinator.Stats(); s.ReadRepairs != 0 {
			t.Errorf("one that could not be reached was sent a repair: %+v", s)
		}
	})
}

// If the one that was to send the full copy is silent, the hedge brings a full copy.
func TestGetHedgesFullCopy(t *testing.T) {
	bubble(t, 4, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		o := made(9, "v")
		for _, n := range owners[:3] {
			n.plant(testKey, o)
		}
		n := owners[3]
		n.links[owners[0].index].silent = true
		n.links[owners[2].index].delay = time.Millisecond
		start := time.Now()
		res, err := n.get(defaults(3))
		if err != nil || values(res.Object) != "v" || time.Since(start) != unknownHedgeDelay+time.Millisecond {
			t.Errorf("%q, %v after %v", values(res.Object), err, time.Since(start))
		}
	})
}

// A full copy that never comes does not keep the read from fetching another one.
func TestGetStuckFullCopy(t *testing.T) {
	old := made(9, "old")
	newer := after(old, 10, "new")
	for name, last := range map[string]vclock.Object{"older": old, "missing": {}} {
		bubble(t, 4, 3, func(t *testing.T, c *cluster) {
			owners := c.owners(testKey)
			owners[1].plant(testKey, newer)
			if !last.Missing() {
				owners[2].plant(testKey, last)
			}
			n := owners[3]
			n.links[owners[0].index].silent = true
			start := time.Now()
			res, err := n.get(defaults(3))
			if err != nil || values(res.Object) != "new" || time.Since(start) != unknownHedgeDelay {
				t.Errorf("last is %s: %q, %v after %v", name, values(res.Object), err, time.Since(start))
			}
		})
	}
}

// judged is a replica that knows how its peer has answered lately.
type judged struct {
	Replica
	usable, closed bool
}

func (j judged) Usable() bool { return j.usable }
func (j judged) Closed() bool { return j.closed }

// A peer to which calls would fail is read last; one that has not answered lately is tried by
// reads, which are hedged, and not by forwarded puts, which are not.
func TestPrefersWhoAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		usable, closed        bool
		wantRead, wantForward int // which owner
	}{
		"closed": {true, true, 0, 0}, "half open": {true, false, 0, 1}, "open": {false, false, 1, 1},
	} {
		bubble(t, 5, 3, func(t *testing.T, c *cluster) {
			owners := c.owners(testKey)
			n := owners[4]
			co := New(Config{}, func() *View {
				v := n.view()
				first := owners[0].index
				v.Replicas[first] = judged{v.Replicas[first], tc.usable, tc.closed}
				return v
			})
			o := defaults(3)
			o.R = 1
			if _, err := co.Get(context.Background(), GetRequest{Key: testKey, Options: o}); err != nil {
				t.Fatal(err)
			}
			if n.links[owners[tc.wantRead].index].reads.Load() != 1 {
				t.Errorf("%s: another owner than %d was read", name, tc.wantRead)
			}
			if _, err := co.Put(context.Background(), putOf("v", o, nil)); err != nil {
				t.Fatal(err)
			}
			if owners[tc.wantForward].store.mints != 1 {
				t.Errorf("%s: another owner than %d minted", name, tc.wantForward)
			}
			co.Close()
		})
	}
}
