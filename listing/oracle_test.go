package listing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// smallPages makes every bound small, so that lists take many pages.
func (c *fakeCluster) smallPages(rnd *rand.Rand) {
	c.config.PageBytes = minPageBytes
	c.config.SortBytes = 1 + rnd.IntN(300)
	c.server.PageRecords = 1 + rnd.IntN(100)
	c.server.PageRead = int64(1 + rnd.IntN(2000))
}

// What is listed is what the members have, whatever is asked for and however small the pages are.
func TestListEqualsNaive(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		c := newCluster(t, 1+rnd.IntN(5), 1<<rnd.IntN(6), 1+rnd.IntN(3))
		buckets := c.fill(rnd, rnd.IntN(1200))
		if rnd.IntN(3) > 0 {
			c.smallPages(rnd)
		}
		co := c.serve()
		for range 12 {
			check(t, c, co, randomQuery(rnd, buckets))
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Members are away, in doubt, damaged, busy, or die in the middle: as long as each partition has one
// owner that can answer, the list is whole and has no name twice. If one has none, it is named, and
// what was visited until then is true.
func TestListUnderFaults(t *testing.T) {
	t.Parallel()
	complete, incomplete, moved := 0, 0, 0
	for seed := range uint64(250) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		c := newCluster(t, 3+rnd.IntN(3), 1<<rnd.IntN(6), 1+rnd.IntN(3))
		buckets := c.fill(rnd, rnd.IntN(800))
		if rnd.IntN(3) > 0 {
			c.smallPages(rnd)
		}
		c.breakMembers(rnd)
		q := randomQuery(rnd, buckets)
		co := c.serve()
		got, err := list(co, q)
		want := c.oracle(q)
		if !q.Sorted && q.Limit == 0 {
			slices.Sort(got)
		}
		var lack *IncompleteError
		switch {
		case errors.As(err, &lack):
			incomplete++
			if err := c.truth(got, q); err != nil {
				t.Errorf("seed %d: %+v: %v", seed, q, err)
			}
			for _, p := range lack.Partitions {
				if c.sound(p) {
					t.Errorf("seed %d: %+v: partition %d has an owner that is well: %v", seed, q, p, err)
				}
			}
			if len(lack.Why) == 0 {
				t.Errorf("seed %d: no reason: %v", seed, err)
			}
		case err != nil:
			t.Errorf("seed %d: %+v: %v", seed, q, err)
		case !slices.Equal(got, want):
			t.Errorf("seed %d: %+v:\n got %d names %.1000q\nwant %d names %.1000q", seed, q, len(got), got, len(want), want)
		default:
			complete++
			if c.detours() > 0 {
				moved++
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Attr("listings", fmt.Sprintf("%d complete, %d of them with another owner, %d incomplete", complete, moved, incomplete))
	if complete < 50 || incomplete < 20 || moved < 30 {
		t.Errorf("%d complete, %d with another owner, %d incomplete: the faults are not those meant", complete, moved, incomplete)
	}
}

// breakMembers draws faults.
func (c *fakeCluster) breakMembers(rnd *rand.Rand) {
	for _, m := range c.members {
		switch rnd.IntN(8) {
		case 0:
			c.away[m.index] = true
		case 1, 2:
			for p := range c.ring.Partitions() {
				if rnd.IntN(4) == 0 {
					m.unsure[uint16(p)] = true
				}
			}
		case 3:
			for p, list := range m.store.parts {
				switch rnd.IntN(6) {
				case 0:
					list[rnd.IntN(len(list))].damaged = true
				case 1:
					m.store.broken[p] = true
				}
			}
		}
	}
	// One of them dies at some call, and one has doubts after some.
	victim, dies := rnd.IntN(len(c.members)), rnd.IntN(12)
	doubter, doubts := rnd.IntN(len(c.members)), rnd.IntN(12)
	calls := make([]int, len(c.members))
	c.ask = func(_ context.Context, m int, _ request) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		calls[m]++
		if m == victim && calls[m] > dies {
			c.away[m] = true
			return errors.New("connection reset")
		}
		if m == doubter && calls[m] == doubts {
			d := c.members[m]
			d.mu.Lock()
			d.unsure[uint16(rnd.IntN(c.ring.Partitions()))] = true
			d.mu.Unlock()
		}
		return nil
	}
}

// sound says whether some owner of the partition has had no fault until now.
func (c *fakeCluster) sound(p uint16) bool {
	return slices.ContainsFunc(c.ring.Preference(p)[:c.ring.EffectiveN(0)], func(m int) bool {
		s := c.members[m].store
		return !c.away[m] && !c.members[m].doubts(p) && !s.broken[p] &&
			!slices.ContainsFunc(s.parts[p], func(r record) bool { return r.damaged })
	})
}

// truth checks an incomplete list, sorted or not: all that it has is there, once.
func (c *fakeCluster) truth(got []string, q Query) error {
	q.Limit = 0
	want := c.oracle(q)
	sorted := slices.Sorted(slices.Values(got))
	if len(slices.Compact(sorted)) != len(got) {
		return errors.New("a name came twice")
	}
	for _, name := range got {
		if _, ok := slices.BinarySearch(want, name); !ok {
			return fmt.Errorf("%q is not there", name)
		}
	}
	return nil
}

// detours counts the members that were asked for a partition after another one of the same query.
func (c *fakeCluster) detours() (n int) {
	asked := map[uint16]int{}
	for i, q := range c.calls {
		for _, p := range q.partitions {
			if m, ok := asked[p]; ok && m != c.to[i] {
				n++
			}
			asked[p] = c.to[i]
		}
	}
	return n
}
