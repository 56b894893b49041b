package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"cartwheel/listing"
	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// anchors is how many keys all owners have before the first fault. Nobody changes them, so a list of their bucket
// has exactly these, or fails.
const anchors = 12

const anchorBucket = "anchors"

// anchorKeys returns the keys, sorted.
func anchorKeys() (names []string) {
	for i := range anchors {
		names = append(names, fmt.Sprintf("a%02d", i))
	}
	return names
}

// anchor writes them to all of their owners.
func (c *Cluster) anchor() bool {
	for i, name := range anchorKeys() {
		req := quorum.PutRequest{
			Key: ring.Key{Type: "default", Bucket: anchorBucket, Key: name}, RequestID: vclock.RequestID{2, byte(i)}, Value: []byte("v"),
			Options: quorum.Options{N: 3, W: quorum.LevelAll, DW: quorum.LevelAll, PW: quorum.LevelAll, Timeout: 5 * time.Second},
		}
		n, _ := c.running(i % len(c.machines))
		if !c.await("all owners having "+name, func() bool {
			_, err := n.Coordinator().Put(context.Background(), req)
			return err == nil
		}) {
			return false
		}
	}
	return true
}

// lister is a client that lists, through any node, and judges at once.
type lister struct {
	c           *Cluster
	h           *History
	rng         *rand.Rand
	done, short int // lists that were complete, and that failed
}

// run lists until the deadline.
func (l *lister) run(until time.Time) {
	for time.Now().Before(until) {
		time.Sleep(time.Duration(100+l.rng.IntN(900)) * time.Millisecond)
		at := l.rng.IntN(len(l.c.machines))
		n, life := l.c.running(at)
		if n == nil {
			continue
		}
		q := listing.Query{Bucket: []string{anchorBucket, anchorBucket, keyOf(0).Bucket, ""}[l.rng.IntN(4)], Sorted: l.rng.IntN(2) == 0, N: 3}
		got, err := l.list(n.Lister(), q)
		if _, now := l.c.running(at); now != life {
			continue // a crash has taken the answer, and its disk may be gone while others asked it
		}
		if l.tell(at, q, err) {
			if wrong := l.h.judge(q, got); wrong != "" {
				l.c.t.Errorf("%+v at %s: %s", q, l.c.machines[at].name, wrong)
			}
		}
	}
}

// tell counts an outcome and reports whether the list is said to be complete.
func (l *lister) tell(at int, q listing.Query, err error) bool {
	_, incomplete := errors.AsType[*listing.IncompleteError](err)
	switch {
	case err == nil:
		l.done++
		return true
	case incomplete, errors.Is(err, context.DeadlineExceeded), errors.Is(err, listing.ErrNoRing), errors.Is(err, listing.ErrClosed):
		l.short++
	default:
		l.c.t.Errorf("%+v at %s: %v", q, l.c.machines[at].name, err)
	}
	return false
}

// list returns the names, sorted; of keys in turn a count that has to be the same now and then.
func (l *lister) list(from listing.Lister, q listing.Query) (names []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if q.Bucket == anchorBucket && l.rng.IntN(4) == 0 {
		n, err := from.Count(ctx, q)
		if err == nil && n != anchors {
			err = fmt.Errorf("%d keys were counted, want %d", n, anchors)
		}
		return anchorKeys(), err
	}
	err = from.List(ctx, q, func(batch []string) error { names = append(names, batch...); return nil })
	if q.Sorted && !slices.IsSorted(names) {
		return nil, fmt.Errorf("a sorted list is not: %q", names)
	}
	slices.Sort(names)
	return names, err
}

// judge returns what is wrong with a list that was said to be complete, "" if nothing is.
func (h *History) judge(q listing.Query, names []string) string {
	if twice := len(names) - len(slices.Compact(slices.Clone(names))); twice > 0 {
		return fmt.Sprintf("%d names came twice: %q", twice, names)
	}
	live := keyOf(0).Bucket
	switch q.Bucket {
	case anchorBucket:
		if want := anchorKeys(); !slices.Equal(names, want) {
			return fmt.Sprintf("got %q, want %q", names, want)
		}
	case "":
		if !slices.Contains(names, anchorBucket) || slices.ContainsFunc(names, func(b string) bool { return b != anchorBucket && b != live }) {
			return fmt.Sprintf("the buckets are %q", names)
		}
	default:
		begun := map[string]bool{}
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, w := range h.writes {
			begun[w.key.Key] = true
		}
		for _, name := range names {
			if !begun[name] {
				return fmt.Sprintf("nobody wrote %q", name)
			}
		}
	}
	return ""
}

// settled lists through every node when all is as it should be: everything that lives is there, and nothing else.
func (l *lister) settled(final map[ring.Key]vclock.Object) {
	var want []string
	for key, o := range final {
		if shown := o.Shown(); len(shown) > 0 && !shown[0].Deleted {
			want = append(want, key.Key)
		}
	}
	slices.Sort(want)
	for i := range l.c.machines {
		n, _ := l.c.running(i)
		for _, q := range []listing.Query{{Bucket: keyOf(0).Bucket}, {Bucket: anchorBucket, Sorted: true}, {}} {
			got, err := l.list(n.Lister(), q)
			if err != nil {
				l.c.t.Errorf("all is whole, and %+v at %s: %v", q, l.c.machines[i].name, err)
				continue
			}
			wrong := l.h.judge(q, got)
			if q.Bucket == keyOf(0).Bucket && !slices.Equal(got, want) {
				wrong = fmt.Sprintf("got %q, want %q", got, want)
			}
			if wrong != "" {
				l.c.t.Errorf("all is whole, and %+v at %s: %s", q, l.c.machines[i].name, wrong)
			}
			l.done++
		}
	}
}
