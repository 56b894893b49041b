package quorum

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/vclock"
)

// A copy that is older, newer, concurrent or absent is merged into the answer and repaired.
func TestGetRepairs(t *testing.T) {
	old := made(9, "old")
	newer := after(old, 10, "new")
	other := made(11, "other")
	both, _ := vclock.Merge(newer, other)
	for name, tc := range map[string]struct {
		copies  [3]vclock.Object
		want    string
		repairs uint64
	}{
		"first stale":       {[3]vclock.Object{old, newer, newer}, "new", 1},
		"second stale":      {[3]vclock.Object{newer, old, newer}, "new", 1},
		"concurrent":        {[3]vclock.Object{newer, other, newer}, values(both), 3},
		"first missing":     {[3]vclock.Object{{}, newer, newer}, "new", 1},
		"second missing":    {[3]vclock.Object{newer, {}, newer}, "new", 1},
		"only last has any": {[3]vclock.Object{{}, {}, other}, "other", 2},
		"all differ":        {[3]vclock.Object{old, newer, other}, values(both), 3},
		"all missing":       {[3]vclock.Object{}, "", 0},
	} {
		for _, before := range []bool{false, true} {
			bubble(t, 3, 3, func(t *testing.T, c *cluster) {
				c.plantAll(tc.copies[:]...)
				o := defaults(3)
				o.R, o.RepairBefore = LevelAll, before
				res, err := c.nodes[0].get(o)
				if err != nil || values(res.Object) != tc.want {
					t.Errorf("%s: %q, %v", name, values(res.Object), err)
				}
				if !before {
					synctest.Wait()
				}
				mints := 0
				for i, n := range c.nodes {
					if !n.object(testKey).Equal(res.Object) {
						t.Errorf("%s, before=%v: node %d has %q", name, before, i, values(n.object(testKey)))
					}
					mints += n.store.mints
				}
				s := c.nodes[0].coordinator.Stats()
				if s.ReadRepairs != tc.repairs || (s.Mismatches > 0) != (tc.repairs > 0) || mints != 0 {
					t.Errorf("%s, before=%v: %d mints, %+v", name, before, mints, s)
				}
			})
		}
	}
}

// Repair after the answer does not delay it; repair before it does, and makes it safe.
func TestGetRepairBefore(t *testing.T) {
	old := made(9, "old")
	newer := after(old, 10, "new")
	for _, before := range []bool{false, true} {
		bubble(t, 3, 3, func(t *testing.T, c *cluster) {
			// Only the reader's own copy is new, as after a write that missed W.
			c.plantAll(newer, old, old)
			c.nodes[1].store.fsync = 10 * time.Millisecond
			c.nodes[0].links[2].silent = true
			o := defaults(3)
			o.RepairBefore = before
			start := time.Now()
			res, err := c.nodes[0].get(o)
			took, want := time.Since(start), time.Duration(0)
			if before {
				want = 10 * time.Millisecond
			}
			if err != nil || values(res.Object) != "new" || took != want {
				t.Errorf("before=%v: %q, %v after %v", before, values(res.Object), err, took)
			}
			if before && !c.nodes[1].object(testKey).Equal(newer) {
				t.Error("answered before R replicas had it")
			}
			c.nodes[0].coordinator.Close()
			if !c.nodes[1].object(testKey).Equal(newer) {
				t.Errorf("before=%v: never repaired", before)
			}
		})
	}
}

// A repair that fails before the answer is made up for by another owner, or misses R.
func TestGetRepairBeforeFails(t *testing.T) {
	old := made(9, "old")
	newer := after(old, 10, "new")
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		c.plantAll(newer, old, old)
		c.nodes[1].store.writeErr = refuse(StorageDown)
		o := defaults(3)
		o.RepairBefore = true
		res, err := c.nodes[0].get(o)
		if err != nil || values(res.Object) != "new" || !c.nodes[2].object(testKey).Equal(newer) {
			t.Errorf("%q, %v", values(res.Object), err)
		}
		c.nodes[2].store.writeErr = refuse(StorageDown)
		c.nodes[0].plant(testKey, after(newer, 11, "newest"))
		_, err = c.nodes[0].get(o)
		wantShort(t, err, "R", 1, 2)
		if s := c.nodes[0].coordinator.Stats(); s.RepairsFailed == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A copy that cannot be read is no vote, and is written anew from the others.
func TestGetCorrupt(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		o := made(9, "v")
		c.plantAll(vclock.Object{}, o, o)
		c.nodes[0].store.readErr = refuse(Corrupt)
		res, err := c.nodes[0].get(defaults(3))
		if err != nil || values(res.Object) != "v" || res.Receipt.Replicas != 2 {
			t.Errorf("%+v, %v", res, err)
		}
		synctest.Wait()
		if !c.nodes[0].object(testKey).Equal(o) {
			t.Error("not repaired")
		}
		c.nodes[1].store.readErr = refuse(Corrupt)
		_, err = c.nodes[0].get(defaults(3))
		wantShort(t, err, "R", 1, 2)
	})
}

// Answers that come after the request's own still repair, and are merged first.
func TestGetLateAnswersRepair(t *testing.T) {
	old := made(9, "old")
	newer := after(old, 10, "new")
	for name, copies := range map[string][3]vclock.Object{
		"late is stale":   {newer, old, newer},
		"late is newer":   {old, newer, old},
		"late is missing": {newer, {}, newer},
	} {
		bubble(t, 3, 3, func(t *testing.T, c *cluster) {
			c.plantAll(copies[:]...)
			c.nodes[0].links[1].delay = 200 * time.Millisecond // hedged long before
			res, err := c.nodes[0].get(defaults(3))
			if err != nil || !res.Object.Equal(copies[0]) {
				t.Errorf("%s: %q, %v", name, values(res.Object), err)
			}
			time.Sleep(700 * time.Millisecond)
			for i, n := range c.nodes {
				if !n.object(testKey).Equal(newer) {
					t.Errorf("%s: node %d has %q", name, i, values(n.object(testKey)))
				}
			}
		})
	}
}

// Repairs beyond the bound are dropped and counted.
func TestFollowUpsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 3, Config{MaxFollowUps: 1})
		c.plantAll(made(9, "v"))
		c.nodes[1].store.fsync, c.nodes[2].store.fsync = time.Second, time.Second
		o := defaults(3)
		o.R = LevelAll
		if _, err := c.nodes[0].get(o); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := c.nodes[0].coordinator.Stats(); s.FollowUps != 1 || s.ReadRepairs != 1 || s.RepairsDropped != 1 {
			t.Errorf("%+v", s)
		}
		c.close()
		if _, err := c.nodes[0].get(o); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}
