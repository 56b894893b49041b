package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"cartwheel/listing"
)

// list returns what a node lists, sorted, and calls after with the number of batches so far.
func (m *machine) list(q listing.Query, after func(batches int)) ([]string, error) {
	var got []string
	batches := 0
	err := m.lists.List(context.Background(), q, func(names []string) error {
		got = append(got, names...)
		batches++
		if after != nil {
			after(batches)
		}
		return nil
	})
	if q.Sorted && !slices.IsSorted(got) {
		m.p.t.Errorf("%s: not sorted: %.200q", m.cfg.Name, got)
	}
	slices.Sort(got)
	return got, err
}

func (m *machine) wantList(q listing.Query, want []string) {
	m.p.t.Helper()
	got, err := m.list(q, nil)
	if err != nil || !slices.Equal(got, want) {
		m.p.t.Errorf("%s: %+v: %v\n got %d: %.300q\nwant %d: %.300q", m.cfg.Name, q, err, len(got), got, len(want), want)
	}
}

// bothWays are the keys of the tests' bucket in turn and sorted.
var bothWays = []listing.Query{{Bucket: "b"}, {Bucket: "b", Sorted: true}}

// smallLists lets a node's lists take many pages.
func (m *machine) smallLists() {
	m.lists.Coordinator.Close()
	m.lists.Coordinator = listing.New(listing.Config{View: m.listingView, Ask: m.askPage, Behind: m.behind, PageBytes: 1 << 10})
}

// Every node lists the same, without what was deleted, also while one of them is away or in doubt.
func TestLists(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		keys := keysOf("k", 40)
		slices.Sort(keys)
		for i, k := range keys {
			nodes[i%3].put(k, "v")
		}
		nodes[0].put("deleted", "v")
		nodes[0].want(http.StatusNoContent, "DELETE", "/buckets/b/keys/deleted", "")
		nodes[0].want(http.StatusNoContent, "PUT", "/buckets/longer/keys/k", "v", "Content-Type", "text/plain")
		nodes[0].want(http.StatusNoContent, "PUT", "/buckets/gone/keys/k", "v", "Content-Type", "text/plain")
		nodes[0].want(http.StatusNoContent, "DELETE", "/buckets/gone/keys/k", "")
		p.equal(nodes, keys)
		everywhere := func(nodes ...*machine) {
			t.Helper()
			for _, m := range nodes {
				for _, q := range bothWays {
					m.wantList(q, keys)
				}
				m.wantList(listing.Query{}, []string{"b", "longer"})
				if n, err := m.lists.Count(context.Background(), bothWays[0]); err != nil || n != int64(len(keys)) {
					t.Errorf("%s counts %d, %v", m.cfg.Name, n, err)
				}
			}
		}
		everywhere(nodes...)

		nodes[1].repair.keeper.MarkAllUnsure()
		everywhere(nodes...)
		p.await("it to be sure", func() bool { return nodes[1].Whole() })

		nodes[2].stop()
		everywhere(nodes[:2]...) // not seen to be gone yet
		p.await("it to be seen gone", func() bool { return !nodes[0].View().Alive[nodes[2].View().Self] })
		everywhere(nodes[:2]...)

		// With one owner per partition, those of the two others cannot be listed.
		nodes[1].repair.keeper.MarkAllUnsure()
		q := listing.Query{Bucket: "b", N: 1}
		_, err := nodes[0].list(q, nil)
		var lack *listing.IncompleteError
		if !errors.As(err, &lack) || len(lack.Partitions) == 0 || len(lack.Partitions) >= 16 || lack.Of != 16 {
			t.Errorf("%+v: %v", q, err)
		}
		for _, p := range lack.Partitions {
			if nodes[0].View().Ring.Owns(nodes[0].View().Self, p, 1) {
				t.Errorf("partition %d is named, which the node has itself", p)
			}
		}
		page := nodes[0].want(http.StatusOK, "GET", "/metrics", "").body
		for _, line := range []string{"cartwheel_lists_failed_total 1", "cartwheel_list_pages_busy_total 0"} {
			if !strings.Contains(page, "\n"+line+"\n") {
				t.Errorf("/metrics lacks %q", line)
			}
		}
		for _, name := range []string{"cartwheel_lists_total", "cartwheel_list_pages_total"} {
			if !strings.Contains(page, "\n"+name+" ") || strings.Contains(page, "\n"+name+" 0\n") {
				t.Errorf("%s counts nothing", name)
			}
		}
	})
}

// A member falls silent in the middle of a list: another owner goes on where it was, without a name
// twice or lost.
func TestListsOutliveAMember(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		var keys []string
		for i := range 150 {
			keys = append(keys, fmt.Sprintf("%03d%s", i, strings.Repeat("x", 100)))
			nodes[0].put(keys[i], "v")
		}
		p.equal(nodes, keys)
		nodes[0].smallLists()
		for _, q := range bothWays {
			began := false
			got, err := nodes[0].list(q, func(batches int) {
				if batches == 2 {
					began = true
					p.net.Pause("10.0.0.2")
				}
			})
			if err != nil || !slices.Equal(got, keys) || !began {
				t.Errorf("%+v: %d names, %v; paused: %t", q, len(got), err, began)
			}
			p.net.Resume("10.0.0.2")
			p.await("it to be back", func() bool { return together(nodes) })
		}
	})
}
