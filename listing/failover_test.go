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
