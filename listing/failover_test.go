package listing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// Whenever a member is lost, or comes to doubt the partition that it is at, others go on where it was.
func TestListGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	lose := map[string]func(c *fakeCluster, q request) error{
		"lost": func(*fakeCluster, request) error { return errors.New("connection reset") },
		"in doubt of the first": func(c *fakeCluster, q request) error {
			c.members[1].unsure[q.partitions[0]] = true
			return nil
		},
		"in doubt of the last": func(c *fakeCluster, q request) error {
			c.members[1].unsure[q.partitions[len(q.partitions)-1]] = true
			return nil
		},
		"in doubt of both": func(c *fakeCluster, q request) error {
			c.members[1].unsure[q.partitions[0]] = true
			c.members[1].unsure[q.partitions[len(q.partitions)-1]] = true
			return nil
		},
	}
	for name, how := range lose {
		middle := false
		for at := 1; at < 12; at++ {
			for _, q := range []Query{{Bucket: "b"}, {Bucket: "b", Sorted: true}} {
				c := filled(t, 1000)
				c.config.PageBytes = minPageBytes
				calls := 0
				c.ask = func(_ context.Context, m int, req request) error {
					if m != 1 {
						return nil
					}
					c.members[1].mu.Lock()
					defer c.members[1].mu.Unlock()
					if calls++; calls < at || name != "lost" && calls > at {
						return nil
					}
					middle = middle || req.from != "" && len(req.partitions) > 1
					return how(c, req)
				}
				check(t, c, c.serve(), q)
				if calls < at && at < 6 {
					t.Errorf("%s: %+v: only %d calls", name, q, calls)
				}
				if t.Failed() {
					t.Fatalf("%s at call %d", name, at)
				}
			}
		}
		if !middle {
			t.Errorf("%s: never in the middle of a partition", name)
		}
	}
}

// Who goes on in the middle has to have what was acknowledged before the list began, like the one before: its
// first page waits for the writes that it has been given, the next ones need not.
func TestFirstPageOfEachMemberIsSettled(t *testing.T) {
	t.Parallel()
	for _, q := range []Query{{Bucket: "b"}, {Bucket: "b", Sorted: true}} {
		c := filled(t, 1000)
		c.config.PageBytes = minPageBytes
		lost, moved, later := "", 0, 0
		calls := 0
		c.ask = func(_ context.Context, m int, req request) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if m == 1 {
				if calls++; calls >= 3 && req.from != "" {
					lost = req.from
					return errors.New("connection reset")
				}
			}
			if m != 1 && lost != "" && req.from == lost {
				moved++
				if !req.fresh {
					t.Errorf("%+v: member %d goes on at %q without its last writes", q, m, lost)
				}
			}
			if !req.fresh {
				later++
			}
			return nil
		}
		check(t, c, c.serve(), q)
		if moved == 0 || later == 0 {
			t.Errorf("%+v: %d pages were moved in the middle, %d were not the first", q, moved, later)
		}
		for _, m := range c.members {
			if !slices.Contains(m.store.settle, true) {
				t.Errorf("%+v: member %d never waited", q, m.index)
			}
		}
	}
}

// An owner that is known to lack writes is not asked, also if there is no other.
func TestWhoIsBehindIsNotAsked(t *testing.T) {
	t.Parallel()
	for name, q := range queries {
		c := filled(t, 400)
		c.behind = func(m int, p uint16) bool { return m == 1 || p == 7 && m == 0 }
		co := c.serve()
		check(t, c, co, q)
		if slices.Contains(c.to, 1) {
			t.Errorf("%s: a member that is behind was asked", name)
		}
		c.away[2] = true
		_, err := list(co, q)
		lack, ok := errors.AsType[*IncompleteError](err)
		if !ok || !slices.Equal(lack.Partitions, []uint16{7}) || !strings.Contains(err.Error(), "member n1 lacks writes") {
			t.Errorf("%s: %v", name, err)
		}
		if s := co.Stats(); s.Started < 3 || s.Failed != 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// Nobody passes over a record that it cannot read: another owner has it, or the partition is named.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	for name, q := range queries {
		for _, everywhere := range []bool{false, true} {
			c := filled(t, 400)
			for _, m := range c.members {
				if everywhere || m.index == 1 {
					for p := range m.store.parts {
						m.store.parts[p][0].damaged = true
					}
				}
			}
			co := c.serve()
			if !everywhere {
				check(t, c, co, q)
				continue
			}
			_, err := list(co, q)
			var lack *IncompleteError
			if !errors.As(err, &lack) || !slices.ContainsFunc(lack.Why, func(w string) bool { return strings.Contains(w, "damaged") }) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
