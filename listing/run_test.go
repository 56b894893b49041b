package listing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/ring"
)

// filled returns a cluster of three with n keys in bucket b.
func filled(t testing.TB, n int) *fakeCluster {
	c := newCluster(t, 3, 16, 3)
	for i := range n {
		c.put(ring.Key{Bucket: "b", Key: fmt.Sprintf("key-%05d", i)}, 0, true)
	}
	return c
}

// queries are one of each way to list.
var queries = map[string]Query{
	"in turn": {Bucket: "b"}, "sorted": {Bucket: "b", Sorted: true}, "buckets": {}, "sorted buckets": {Sorted: true},
}

func TestListEndsEarly(t *testing.T) {
	t.Parallel()
	for name, q := range queries {
		c := filled(t, 3000)
		co := c.serve()
		enough := errors.New("enough")
		if err := co.List(context.Background(), q, func([]string) error { return enough }); err != enough {
			t.Errorf("%s: an error of the visitor: %v", name, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		c.ask = func(context.Context, int, request) error { cancel(); return nil }
		if err := co.List(ctx, q, func([]string) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled: %v", name, err)
		}
		if err := co.List(ctx, q, func([]string) error { t.Error("visited"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled before: %v", name, err)
		}
	}
}

func TestListNeedsARing(t *testing.T) {
	t.Parallel()
	co := New(Config{View: func() *View { return nil }})
	for name, q := range queries {
		if _, err := list(co, q); !errors.Is(err, ErrNoRing) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := co.Count(context.Background(), Query{Bucket: "b"}); !errors.Is(err, ErrNoRing) {
		t.Errorf("count: %v", err)
	}
}

// Close ends listings that wait for a page, and waits for them.
func TestCloseEndsListings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := filled(t, 100)
		c.ask = func(ctx context.Context, _ int, _ request) error { <-ctx.Done(); return ctx.Err() }
		c.config.PageTimeout = time.Hour
		co := c.serve()
		var ended atomic.Int32
		for _, q := range queries {
			go func() {
				if _, err := list(co, q); !errors.Is(err, ErrClosed) {
					t.Errorf("%+v: %v", q, err)
				}
				ended.Add(1)
			}()
		}
		synctest.Wait()
		co.Close()
		synctest.Wait()
		if n := ended.Load(); n != int32(len(queries)) {
			t.Errorf("%d listings have ended", n)
		}
		co.Close()
		if _, err := list(co, Query{Bucket: "b"}); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// As long as a visitor does not return, each member makes one page more and then waits.
func TestSlowVisitorsSlowTheScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, q := range map[string]Query{"in turn": {Bucket: "b"}, "sorted": {Bucket: "b", Sorted: true}} {
			c := filled(t, 5000)
			c.config.PageBytes = minPageBytes
			co := c.serve()
			visits := 0
			err := co.List(context.Background(), q, func([]string) error {
				before := c.asked()
				time.Sleep(time.Second)
				synctest.Wait()
				if visits++; visits > 1 && c.asked()-before > len(c.members) {
					t.Errorf("%s: %d pages were fetched under one visit", name, c.asked()-before)
				}
				return nil
			})
			if err != nil || visits < 3 {
				t.Errorf("%s: %d visits, %v", name, visits, err)
			}
		}
	})
}

// A member that says nothing is left after PageTimeout; one that is busy is asked again, and left
// after BusyFor.
func TestSilentAndBusyMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := filled(t, 500)
		c.ask = func(ctx context.Context, m int, _ request) error {
			if m == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		began := time.Now()
		check(t, c, c.serve(), Query{Bucket: "b"})
		if took := time.Since(began); took != 10*time.Second { // a list and a count
			t.Errorf("a silent member cost %v", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := filled(t, 500)
		c.server.Pages, c.server.Waiting = 1, 1
		co := c.serve()
		held := make(chan struct{})
		c.members[1].store.blocked = held
		var listing sync.WaitGroup
		var ended atomic.Int32
		for range 4 {
			listing.Go(func() {
				if got, err := list(co, Query{Bucket: "b"}); err != nil || len(got) != 500 {
					t.Errorf("%d names, %v", len(got), err)
				}
				ended.Add(1)
			})
		}
		// One page is being made, one waits, two are turned away and come again.
		time.Sleep(3 * time.Second)
		if n := ended.Load(); n > 0 {
			t.Errorf("%d listings did without the busy member", n)
		}
		close(held)
		listing.Wait()
	})
}

func TestIncompleteError(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, 16, 1)
	c.away[1] = true
	var lost []uint16
	for p := range uint16(16) {
		if c.ring.Preference(p)[0] == 1 {
			lost = append(lost, p)
		}
	}
	for name, q := range queries {
		got, err := list(c.serve(), q)
		var lack *IncompleteError
		if !errors.As(err, &lack) || !slices.Equal(lack.Partitions, lost) || lack.Of != 16 || len(got) > 0 {
			t.Errorf("%s: %v, %d names; want partitions %v", name, err, len(got), lost)
			continue
		}
		if !strings.Contains(err.Error(), ranges(lost)) || !strings.Contains(err.Error(), "member n1 is away") {
			t.Errorf("%s: %v", name, err)
		}
	}
	e := newIncomplete([]uint16{9, 3, 5, 4, 3}, 16, []string{"b", "a", "b"})
	if want := "no member can list partitions 3-5, 9 of 16 completely now: b; a"; e.Error() != want {
		t.Errorf("%v, want %s", e, want)
	}
}

// A limit is met without a scan of everything, and a bucket without a walk over its keys.
func TestListsCostWhatTheyNeed(t *testing.T) {
	t.Parallel()
	c := filled(t, 20_000)
	for i := range 100 {
		c.put(ring.Key{Bucket: fmt.Sprint("other", i), Key: "k"}, 0, true)
	}
	co := c.serve()
	looked := func() (n int) {
		for _, m := range c.members {
			n += m.store.looked
		}
		return n
	}
	for name, v := range map[string]struct {
		q    Query
		most int
	}{
		"buckets": {Query{}, 1500},
		"limit":   {Query{Bucket: "b", Limit: 50, Start: "key-1"}, 4000},
		"prefix":  {Query{Bucket: "b", Prefix: "key-1234"}, 200},
	} {
		before := looked()
		got, err := list(co, v.q)
		if err != nil || len(got) == 0 {
			t.Errorf("%s: %d names, %v", name, len(got), err)
		}
		if n := looked() - before; n > v.most {
			t.Errorf("%s: %d records looked at for %d names, want at most %d", name, n, len(got), v.most)
		}
	}
}
