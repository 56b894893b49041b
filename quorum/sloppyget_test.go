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

// While owners are away, reads through any node find what was written meanwhile, on fallbacks.
func TestPaperSloppyGet(t *testing.T) {
	for how, f := range failures {
		for k := 1; k <= 3; k++ {
			bubble(t, 5, 3, func(t *testing.T, c *cluster) {
				owners := c.owners(testKey)
				for _, o := range owners {
					o.plant(testKey, made(9, "old"))
				}
				for _, g := range owners[:k] {
					f.apply(c, g)
					if g.store.writeErr != nil {
						g.store.readErr = refuse(StorageDown)
					}
				}
				o := sloppy(3)
				r := putOf("v", o, made(9, "old").Clock)
				put, err := owners[4].coordinator.Put(context.Background(), r)
				if err != nil {
					t.Fatalf("%s, %d: %v", how, k, err)
				}
				time.Sleep(20 * time.Second)
				for i, n := range owners {
					if i < k {
						continue // it is away
					}
					res, err := n.get(o)
					if err != nil || values(res.Object) != "v" || res.Receipt.Replicas != 2 {
						t.Errorf("%s, %d, through %d: %q, %+v, %v; the put: %+v", how, k, i, values(res.Object), res.Receipt, err, put.Receipt)
					}
					o := o
					o.R = LevelAll
					if k < 3 {
						if res, err = n.get(o); err != nil || res.Receipt != (Receipt{Replicas: 3, Primaries: 3 - k, Fallbacks: k, N: 3, Ring: 7}) {
							t.Errorf("%s, %d, through %d: %+v, %v", how, k, i, res.Receipt, err)
						}
					}
					o.PR = 1
					if _, err = n.get(o); k == 3 && err == nil {
						t.Errorf("%s: a fallback counted as a primary", how)
					}
					o.R, o.PR = 1, Level(4-k)
					if _, err = n.get(o); how != "silent" {
						wantShort(t, err, "PR", 3-k, 4-k)
					}
				}
				synctest.Wait()
				for _, n := range c.nodes {
					if len(n.hints(testKey)) > 1 {
						t.Errorf("node %d keeps hints for %v", n.index, n.hints(testKey))
					}
				}
			})
		}
	}
}

// A fallback that knows nothing says nothing: no "not found" comes from it, whatever R is.
func TestNoFalseNotFound(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		n := owners[4]
		c.down(owners[1], owners[2])
		for _, nfok := range []bool{true, false} {
			o := sloppy(3)
			o.NotFoundOK = nfok
			_, err := n.get(o)
			if e, ok := errors.AsType[*UnsatisfiedError](err); !ok || e.Level != "R" || e.Receipt.Fallbacks != 2 || e.Receipt.Primaries != 1 {
				t.Errorf("%v", err)
			}
		}
		o := sloppy(3)
		o.R = 1
		if res, err := n.get(o); err != nil || !res.Object.Missing() {
			t.Errorf("one owner that looked is enough for r=1: %v", err)
		}
		// The value is on a fallback only: it is found beside owners that do not have it.
		owners[3].store.records[recordOf(owners[1].uuid(), testKey.Name())] = vclock.Record{Object: made(9, "v")}
		res, err := n.get(sloppy(3))
		if err != nil || values(res.Object) != "v" || res.Receipt != (Receipt{Replicas: 2, Primaries: 1, Fallbacks: 1, N: 3, Ring: 7}) {
			t.Errorf("%q, %+v, %v", values(res.Object), res.Receipt, err)
		}
		synctest.Wait()
		if owners[0].object(testKey).Missing() {
			t.Error("the owner that is there was not repaired")
		}
		if !owners[4].hint(owners[1], testKey).Missing() || !owners[4].hint(owners[2], testKey).Missing() {
			t.Error("a fallback was repaired")
		}
	})
	// An owner that comes late with "not found" does not hide what a fallback has.
	bubble(t, 4, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		owners[3].store.records[recordOf(owners[1].uuid(), testKey.Name())] = vclock.Record{Object: made(9, "v")}
		n := owners[0]
		n.links[owners[1].index].delay, n.links[owners[2].index].delay = 300*time.Millisecond, 310*time.Millisecond
		o := sloppy(3)
		o.R, o.PR = LevelAll, LevelAll
		res, err := n.get(o)
		if err != nil || values(res.Object) != "v" || res.Receipt.Primaries != 3 {
			t.Errorf("%q, %+v, %v", values(res.Object), res.Receipt, err)
		}
		time.Sleep(time.Second)
		for _, n := range owners[:3] {
			if n.object(testKey).Missing() {
				t.Errorf("owner %d was not repaired", n.index)
			}
		}
	})
}

// Where "not found" does not count, a fallback's value does, also beside its owner's.
func TestFallbackValueCountsBesideMissing(t *testing.T) {
	bubble(t, 4, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		v := made(9, "v")
		owners[0].plant(testKey, v)
		for _, o := range owners[1:3] {
			owners[3].store.records[recordOf(o.uuid(), testKey.Name())] = vclock.Record{Object: v}
		}
		n := owners[0]
		n.links[owners[1].index].delay, n.links[owners[2].index].delay = 300*time.Millisecond, 310*time.Millisecond
		n.links[owners[3].index].delay = 150 * time.Millisecond
		o := sloppy(3)
		o.NotFoundOK = false
		start := time.Now()
		res, err := n.get(o)
		if err != nil || time.Since(start) != 400*time.Millisecond || res.Receipt.Fallbacks != 1 || res.Receipt.Primaries != 2 {
			t.Errorf("%+v, %v after %v", res.Receipt, err, time.Since(start))
		}
		time.Sleep(time.Second)
	})
}

// Fallbacks are asked only as far as the levels need them, and never without Sloppy.
func TestFallbacksNotAskedWithoutNeed(t *testing.T) {
	for name, tc := range map[string]struct {
		down   int // of the owners
		change func(*Options)
		want   uint64
	}{
		"all are there":       {0, func(o *Options) { o.R = LevelAll }, 0},
		"enough are there":    {1, func(*Options) {}, 0},
		"one more is needed":  {2, func(*Options) {}, 1},
		"all are needed":      {2, func(o *Options) { o.R = LevelAll }, 2},
		"strict":              {2, func(o *Options) { o.Sloppy = false }, 0},
		"no help toward PR":   {2, func(o *Options) { o.R, o.PR = 1, 2 }, 0},
		"one of one":          {2, func(o *Options) { o.R = 1 }, 0},
		"the rest of r is PR": {1, func(o *Options) { o.R, o.PR = 3, 2 }, 1},
	} {
		for how, f := range failures {
			if how == "silent" {
				continue // where nobody has noticed time decides
			}
			bubble(t, 5, 3, func(t *testing.T, c *cluster) {
				owners := c.owners(testKey)
				for _, o := range owners[:3] {
					o.plant(testKey, made(9, "v"))
				}
				for _, g := range owners[:tc.down] {
					f.apply(c, g)
					g.store.readErr = g.store.writeErr
				}
				o := sloppy(3)
				tc.change(&o)
				_, _ = owners[4].get(o)
				synctest.Wait()
				if s := owners[4].coordinator.Stats(); s.FallbackReads != tc.want {
					t.Errorf("%s, %s: %d fallbacks were read, want %d", name, how, s.FallbackReads, tc.want)
				}
			})
		}
	}
}

// Other owners are asked before fallbacks where one is slow; fallbacks once all are silent.
func TestHedgeToFallback(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		for _, o := range owners[:3] {
			o.plant(testKey, made(9, "v"))
		}
		n := owners[0]
		c.mute(owners[1])
		start := time.Now()
		res, err := n.get(sloppy(3))
		if err != nil || res.Receipt.Primaries != 2 || time.Since(start) != unknownHedgeDelay {
			t.Errorf("%+v, %v after %v", res.Receipt, err, time.Since(start))
		}
		c.mute(owners[2])
		start = time.Now()
		res, err = n.get(sloppy(3))
		if err != nil || res.Receipt.Fallbacks != 1 || values(res.Object) != "v" || time.Since(start) > 350*time.Millisecond {
			t.Errorf("%+v, %v after %v", res.Receipt, err, time.Since(start))
		}
		// Near the deadline sooner, and past a fallback that fails.
		owners[3].store.readErr = refuse(Busy)
		o := sloppy(3)
		o.Timeout = 100 * time.Millisecond
		if res, err = n.get(o); err != nil || res.Receipt.Fallbacks != 1 {
			t.Errorf("%+v, %v", res.Receipt, err)
		}
	})
}

// A replica that may have lost data is a failed slot, and mended.
func TestUnsure(t *testing.T) {
	for _, nodes := range []int{3, 5} {
		bubble(t, nodes, 3, func(t *testing.T, c *cluster) {
			owners := c.owners(testKey)
			for _, o := range owners[1:3] {
				o.plant(testKey, made(9, "v"))
			}
			owners[0].store.readErr = refuse(Unsure)
			for _, n := range owners[:2] {
				res, err := n.get(sloppy(3))
				if err != nil || values(res.Object) != "v" || res.Receipt.Replicas != 2 || res.Receipt.Primaries != 2 {
					t.Errorf("%q, %+v, %v", values(res.Object), res.Receipt, err)
				}
			}
			synctest.Wait()
			if owners[0].object(testKey).Missing() {
				t.Error("not mended")
			}
			o := sloppy(3)
			o.R = LevelAll
			res, err := owners[1].get(o)
			if nodes == 3 {
				wantShort(t, err, "R", 2, 3)
			} else if err != nil || res.Receipt.Fallbacks != 1 {
				t.Errorf("%+v, %v", res.Receipt, err)
			}
			o.R, o.PR = 1, LevelAll
			_, err = owners[1].get(o)
			wantShort(t, err, "PR", 2, 3)
		})
	}
}

// Repair before the answer mends owners; what fallbacks lack is no matter.
func TestRepairBeforeWithFallbacks(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		old := made(9, "old")
		newer := after(old, 10, "new")
		owners[0].plant(testKey, old)
		owners[1].plant(testKey, old)
		owners[3].store.records[recordOf(owners[2].uuid(), testKey.Name())] = vclock.Record{Object: newer}
		owners[0].store.fsync, owners[1].store.fsync = 10*time.Millisecond, 10*time.Millisecond
		c.down(owners[2])
		o := sloppy(3)
		o.R, o.RepairBefore = LevelAll, true
		start := time.Now()
		res, err := owners[4].get(o)
		if err != nil || values(res.Object) != "new" || time.Since(start) != 10*time.Millisecond {
			t.Errorf("%q, %v after %v", values(res.Object), err, time.Since(start))
		}
		if !owners[0].object(testKey).Equal(newer) || !owners[1].object(testKey).Equal(newer) {
			t.Error("answered before the owners had it")
		}
		if s := owners[4].coordinator.Stats(); s.ReadRepairs != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// What a fallback sends after the answer still reaches the owners.
func TestLateFallbackAnswer(t *testing.T) {
	bubble(t, 4, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		old := made(9, "old")
		newer := after(old, 10, "new")
		for _, o := range owners[:3] {
			o.plant(testKey, old)
		}
		owners[3].store.records[recordOf(owners[2].uuid(), testKey.Name())] = vclock.Record{Object: newer}
		n := owners[0]
		n.links[owners[2].index].delay = 300 * time.Millisecond
		n.links[owners[3].index].delay = 400 * time.Millisecond
		o := sloppy(3)
		o.R = LevelAll
		if res, err := n.get(o); err != nil || values(res.Object) != "old" {
			t.Errorf("%q, %v", values(res.Object), err)
		}
		time.Sleep(3 * time.Second)
		for _, n := range owners[:3] {
			if !n.object(testKey).Equal(newer) {
				t.Errorf("owner %d has %q", n.index, values(n.object(testKey)))
			}
		}
	})
}
