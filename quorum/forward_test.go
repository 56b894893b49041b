package quorum

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/vclock"
)

// sleep-ok: every test here runs in a bubble, by this package's own helper.

// outside returns a node that does not own the test key, and the owners.
func (c *cluster) outside() (*node, []*node) {
	owners := c.owners(testKey)
	return owners[3], owners[:3]
}

// A put through a node that does not own the key is minted by the first owner.
func TestForward(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		n, owners := c.outside()
		r := putOf("v", defaults(3), nil)
		r.ReturnBody = true
		res, err := n.coordinator.Put(context.Background(), r)
		if err != nil || values(res.Object) != "v" || res.Receipt != (Receipt{Replicas: 2, Primaries: 2, Durable: 2, N: 3, Ring: 7}) {
			t.Fatalf("%+v, %v", res, err)
		}
		if owners[0].store.mints != 1 || !n.object(testKey).Missing() {
			t.Error("minted elsewhere")
		}
		s, o := n.coordinator.Stats(), owners[0].coordinator.Stats()
		if s.Forwarded != 1 || s.Puts != 1 || s.Coordinated != 0 || o.Coordinated != 1 || o.Puts != 0 {
			t.Errorf("%+v\n%+v", s, o)
		}
	})
}

// An owner believed dead is asked last.
func TestForwardPrefersAlive(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		n, owners := c.outside()
		n.alive[owners[0].index] = false
		if _, err := n.put("v", defaults(3)); err != nil || owners[1].store.mints != 1 {
			t.Error(err)
		}
	})
}

// Dynamo §4.5: a node outside of the preference list hands the put to one inside; if that
// one is unreachable, to the next.
func TestPaperForwardToNextReachable(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		n, owners := c.outside()
		n.links[owners[0].index].cut = true
		owners[1].store.writeErr = refuse(StorageDown)
		start := time.Now()
		if _, err := n.put("v", defaults(3)); err != nil || owners[2].store.mints != 1 || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if s := n.coordinator.Stats(); s.Forwarded != 3 || s.Reforwarded != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// When the first owner is silent the next one gets the put with the same id: an owner that
// has heard of the write mints none, and else the two dots are shown as one value.
func TestForwardSameID(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		n, owners := c.outside()
		// The answer gets lost, not the request.
		l := n.links[owners[0].index]
		l.delay = 1500 * time.Millisecond
		o := defaults(3)
		o.Timeout = 3 * time.Second
		start := time.Now()
		res, err := n.put("v", o)
		if err != nil || time.Since(start) != time.Second {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		time.Sleep(3 * time.Second)
		got, err := n.get(o)
		if err != nil || values(got.Object) != "v" {
			t.Errorf("%q, %v", values(got.Object), err)
		}
		if owners[0].store.mints+owners[1].store.mints != 1 {
			t.Errorf("the owner asked first had the write by then, and minted again: %+v", res)
		}
		if s := n.coordinator.Stats(); s.LateVotes == 0 {
			t.Errorf("%+v", s)
		}
	})
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		n, owners := c.outside()
		// Both mint: neither has heard of the other's in time.
		n.links[owners[0].index].delay = 1100 * time.Millisecond
		for _, l := range owners[1].links {
			l.delay = 500 * time.Millisecond
		}
		o := defaults(3)
		o.Timeout = 3 * time.Second
		if _, err := n.put("v", o); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		got, err := n.get(o)
		if err != nil || values(got.Object) != "v" || len(got.Object.Siblings) != 2 {
			t.Errorf("%q of %d, %v", values(got.Object), len(got.Object.Siblings), err)
		}
	})
}

// An owner whose store takes no writes hands the put to another owner.
func TestForwardFromOwner(t *testing.T) {
	for _, reason := range []Reason{StorageDown, Busy, Corrupt} {
		bubble(t, 3, 3, func(t *testing.T, c *cluster) {
			owners := c.owners(testKey)
			n := owners[0]
			n.store.writeErr = refuse(reason)
			res, err := n.put("v", defaults(3))
			if err != nil || res.Receipt.Replicas != 2 || owners[1].store.mints != 1 {
				t.Errorf("%+v, %v", res, err)
			}
			o := defaults(3)
			o.W = LevelAll
			_, err = n.put("w", o)
			wantShort(t, err, "W", 2, 3)
		})
	}
	bubble(t, 1, 3, func(t *testing.T, c *cluster) {
		n := c.nodes[0]
		n.store.writeErr = refuse(StorageDown)
		_, err := n.put("v", defaults(3))
		e := wantShort(t, err, "DW", 0, 1)
		if r, ok := errors.AsType[*RefusedError](err); !ok || r.Reason != StorageDown || e.Written {
			t.Errorf("%+v", e)
		}
	})
}

// A forwarded put is never forwarded again.
func TestCoordinateNeverForwards(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		n, owners := c.outside()
		_, err := n.coordinator.Coordinate(context.Background(), putOf("v", defaults(3), nil), false)
		if e, ok := errors.AsType[*RefusedError](err); !ok || e.Reason != WrongRing {
			t.Error(err)
		}
		owners[0].store.writeErr = refuse(Busy)
		_, err = owners[0].coordinator.Coordinate(context.Background(), putOf("v", defaults(3), nil), false)
		if e, ok := errors.AsType[*RefusedError](err); !ok || e.Reason != Busy {
			t.Error(err)
		}
		for _, one := range c.nodes {
			if s := one.coordinator.Stats(); s.Forwarded != 0 || one.store.mints != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

// With no owner left the error says whether one may have minted.
func TestForwardUnsatisfied(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		n, owners := c.outside()
		for _, o := range owners {
			o.store.writeErr = refuse(StorageDown)
		}
		_, err := n.put("v", defaults(3))
		if e := wantShort(t, err, "DW", 0, 2); e.Written || len(e.Causes) != 3 {
			t.Errorf("%+v", e)
		}
		n.links[owners[1].index].cut = true
		_, err = n.put("v", defaults(3))
		if e := wantShort(t, err, "DW", 0, 2); !e.Written {
			t.Errorf("%+v", e)
		}
	})
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		n, owners := c.outside()
		for _, o := range owners {
			n.links[o.index].silent = true
		}
		o := defaults(3)
		o.Timeout = 500 * time.Millisecond
		start := time.Now()
		if _, err := n.put("v", o); !errors.Is(err, ErrTimeout) || time.Since(start) != o.Timeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		for _, o := range owners {
			if n.links[o.index].calls.Load() != 1 {
				t.Error("an owner was not asked, or twice")
			}
		}
	})
	// The owner's own shortfall comes back as it is, and nobody else is asked.
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		n, owners := c.outside()
		owners[0].links[owners[1].index].cut = true
		o := defaults(3)
		o.W = LevelAll
		res, err := n.put("v", o)
		e := wantShort(t, err, "W", 2, 3)
		if !e.Written || res.Receipt != e.Receipt || res.Receipt.Replicas != 2 {
			t.Errorf("%+v, %+v", res, e)
		}
		synctest.Wait()
		if s := n.coordinator.Stats(); s.Forwarded != 1 || s.Unsatisfied != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// An owner that stopped, or was silent, may have minted. Another owner's refusal does not
// undo that, so the error must not say that nothing was written.
func TestForwardRefusalAfterSilence(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		n, owners := c.outside()
		n.links[owners[0].index].delay = 1500 * time.Millisecond
		owners[1].store.writeErr = refuse(TooManySiblings)
		owners[2].store.writeErr = refuse(TooManySiblings)
		owners[0].links[owners[1].index].cut = true
		owners[0].links[owners[2].index].cut = true
		o := defaults(3)
		o.Timeout = 3 * time.Second
		_, err := n.put("v", o)
		time.Sleep(3 * time.Second)
		if e, ok := errors.AsType[*UnsatisfiedError](err); owners[0].store.mints != 1 || !ok || !e.Written {
			t.Errorf("%d minted, %v", owners[0].store.mints, err)
		}
	})
	// The first owner is only slow: its answer is the answer.
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		n, owners := c.outside()
		n.links[owners[0].index].delay = 1500 * time.Millisecond
		owners[1].store.writeErr = refuse(TooManySiblings)
		o := defaults(3)
		o.Timeout = 3 * time.Second
		o.W, o.DW = 1, 1
		if _, err := n.put("v", o); err != nil {
			t.Error(err)
		}
	})
	// Nobody can have minted: the refusal is the client's to mend.
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		n, owners := c.outside()
		owners[0].store.writeErr = refuse(StorageDown)
		owners[1].store.writeErr = refuse(TooManySiblings)
		_, err := n.put("v", defaults(3))
		if e, ok := errors.AsType[*RefusedError](err); !ok || e.Reason != TooManySiblings {
			t.Error(err)
		}
	})
}

// lateMint is a store that gives a write up and mints it all the same, later.
type lateMint struct {
	Local
	mint func()
}

func (l *lateMint) Mint(m Mint) {
	m.Done(vclock.Object{}, WriteReply{Err: refuse(StorageDown)})
	l.mint = func() { m.Minted(made(99, "late")) }
}

// What is minted after the write was given up and passed on is nobody's: it must not be counted.
func TestPutMintedAfterRefusal(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		n := c.owners(testKey)[0]
		late := &lateMint{}
		co := New(Config{DrainTimeout: time.Second}, func() *View {
			v := n.view()
			late.Local = v.Local
			v.Local, v.Replicas[v.Self] = late, late
			return v
		})
		if _, err := co.Put(context.Background(), putOf("v", defaults(3), nil)); err != nil {
			t.Fatal(err)
		}
		late.mint()
		time.Sleep(5 * time.Second)
		if s := co.Stats(); s.Open != 0 || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
		if o := c.owners(testKey)[1].object(testKey); values(o) != "v" {
			t.Errorf("an owner has %q", values(o))
		}
		co.Close()
	})
}

// A coordinator that is closed answers its waiting requests, also those that minted, and
// those that come later, alike.
func TestForwardToStoppingOwner(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		n, owners := c.outside()
		owners[0].coordinator.cfg.DrainTimeout = 100 * time.Millisecond
		for _, l := range owners[0].links {
			l.silent = true
		}
		owners[1].store.writeErr = refuse(StorageDown)
		owners[2].store.writeErr = refuse(StorageDown)
		c.wg.Go(func() {
			time.Sleep(100 * time.Millisecond)
			owners[0].coordinator.Close()
		})
		_, err := n.put("v", defaults(3))
		if e, ok := errors.AsType[*UnsatisfiedError](err); owners[0].store.mints != 1 || !ok || !e.Written {
			t.Errorf("%d minted, %+v", owners[0].store.mints, err)
		}
		time.Sleep(20 * time.Second)
	})
}
