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

// plantAll gives the i-th node the i-th object; a zero object plants nothing.
func (c *cluster) plantAll(objects ...vclock.Object) {
	for i, o := range objects {
		if !o.Missing() {
			c.nodes[i].plant(testKey, o)
		}
	}
}

// A read asks R owners: one for the copy, the others for digests; and no one else.
func TestGetAsksOnlyR(t *testing.T) {
	o := made(9, "v")
	for r, want := range map[Level][2]int32{1: {1, 0}, 2: {2, 1}, 3: {3, 2}, 0: {1, 0}} {
		bubble(t, 3, 3, func(t *testing.T, c *cluster) {
			c.plantAll(o, o, o)
			opt := defaults(3)
			opt.R = r
			res, err := c.nodes[0].get(opt)
			if err != nil || values(res.Object) != "v" {
				t.Fatalf("r=%d: %+v, %v", r, res, err)
			}
			synctest.Wait()
			var reads, digests int32
			for _, l := range c.nodes[0].links {
				reads, digests = reads+l.reads.Load(), digests+l.digests.Load()
			}
			if got := [2]int32{reads, digests}; got != want {
				t.Errorf("r=%d: %d reads, %d digests, want %v", r, reads, digests, want)
			}
			if c.nodes[0].links[0].reads.Load() != 1 || c.nodes[0].links[0].digests.Load() != 0 {
				t.Errorf("r=%d: the full copy was not read here", r)
			}
			if s := c.nodes[0].coordinator.Stats(); s.Mismatches+s.ReadRepairs != 0 {
				t.Errorf("r=%d: %+v", r, s)
			}
			n := int(max(r, 1))
			if res.Receipt != (Receipt{Replicas: n, Primaries: n, N: 3, Ring: 7}) {
				t.Errorf("r=%d: receipt %+v", r, res.Receipt)
			}
		})
	}
}

// Silence is a timeout, in time, when every owner is needed.
func TestGetTimeout(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		c.nodes[0].links[2].silent = true
		o := defaults(3)
		o.R, o.Timeout = LevelAll, 500*time.Millisecond
		start := time.Now()
		res, err := c.nodes[0].get(o)
		if !errors.Is(err, ErrTimeout) || time.Since(start) != o.Timeout || res.Receipt.Replicas != 2 {
			t.Errorf("%+v, %v after %v", res, err, time.Since(start))
		}
	})
}

// Levels out of reach name what was reached.
func TestGetUnsatisfied(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		n := c.nodes[0]
		n.links[2].cut = true
		n.links[1].delay = 5 * time.Millisecond
		o := defaults(3)
		o.PR = LevelAll
		_, err := n.get(o)
		if e := wantShort(t, err, "PR", 2, 3); e.Receipt.Replicas != 2 || len(e.Causes) != 1 {
			t.Errorf("%+v", e)
		}
		n.links[1].cut = true
		o.PR = LevelQuorum
		_, err = n.get(o)
		wantShort(t, err, "PR", 1, 2)
		o.PR = 1
		_, err = n.get(o)
		wantShort(t, err, "R", 1, 2)
		o.PR, o.R, o.NodeConfirms = 0, 1, 2
		_, err = n.get(o)
		wantShort(t, err, "node_confirms", 1, 2)
		o.PR, o.NodeConfirms = 1, 0
		if _, err = n.get(o); err != nil {
			t.Error(err)
		}
	})
}

// With notfound_ok=false replicas that lack the key do not hide one that has it.
func TestGetNotFoundNotOK(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		c.plantAll(vclock.Object{}, vclock.Object{}, made(9, "v"))
		o := defaults(3)
		o.R, o.NotFoundOK = 1, false
		res, err := c.nodes[0].get(o)
		if err != nil || values(res.Object) != "v" {
			t.Errorf("%q, %v", values(res.Object), err)
		}
		synctest.Wait()
		if c.nodes[0].object(testKey).Missing() || c.nodes[1].object(testKey).Missing() {
			t.Error("not repaired")
		}
	})
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		c.plantAll(vclock.Object{}, vclock.Object{}, made(9, "v"))
		o := defaults(3)
		o.NotFoundOK = false
		_, err := c.nodes[0].get(o)
		wantShort(t, err, "R", 1, 2)
		synctest.Wait()
		if res, err := c.nodes[0].get(o); err != nil || values(res.Object) != "v" {
			t.Errorf("after the repair: %q, %v", values(res.Object), err)
		}
	})
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		o := defaults(3)
		o.R, o.NotFoundOK, o.BasicQuorum = 1, false, true
		res, err := c.nodes[0].get(o)
		if err != nil || !res.Object.Missing() || res.Receipt.Replicas != 2 {
			t.Errorf("basic quorum: %+v, %v", res, err)
		}
		o.BasicQuorum = false
		if res, err = c.nodes[0].get(o); err != nil || !res.Object.Missing() || res.Receipt.Replicas != 3 {
			t.Errorf("all: %+v, %v", res, err)
		}
		c.nodes[2].store.readErr = refuse(Corrupt)
		_, err = c.nodes[0].get(o)
		wantShort(t, err, "R", 0, 1)
	})
}

// The client may go; its read ends by itself and still repairs.
func TestGetCancelled(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		c.plantAll(made(9, "v"))
		c.nodes[0].links[1].delay = 10 * time.Millisecond
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Millisecond, cancel)
		_, err := c.nodes[0].coordinator.Get(ctx, GetRequest{Key: testKey, Options: defaults(3)})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if _, err = c.nodes[0].coordinator.Get(ctx, GetRequest{Key: testKey, Options: defaults(3)}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		if s := c.nodes[0].coordinator.Stats(); s.ReadRepairs != 1 || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A write is known if one of the replicas that were asked knows it, and nobody else is asked.
func TestGetTellsOfAWrite(t *testing.T) {
	id := vclock.RequestID{1}
	for _, o := range []vclock.Object{{}, made(9, "v")} {
		for who := range 3 {
			bubble(t, 3, 3, func(t *testing.T, c *cluster) {
				c.plantAll(o, o, o)
				c.nodes[who].store.did = id
				for r := Level(1); r <= 3; r++ {
					req := GetRequest{Key: testKey, RequestID: id, Options: defaults(3)}
					req.R = r
					res, err := c.nodes[0].coordinator.Get(t.Context(), req)
					if want := who < int(r); err != nil || res.Did != want {
						t.Errorf("node %d knows it, r=%d: %v, %v", who, r, res.Did, err)
					}
					req.RequestID = vclock.RequestID{2}
					if res, err := c.nodes[0].coordinator.Get(t.Context(), req); err != nil || res.Did {
						t.Errorf("another write: %v, %v", res.Did, err)
					}
				}
			})
		}
	}
}
