package listing

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a Coordinator needs. A zero field means its default.
type Config struct {
	View func() *View // nil before the ring is known
	// Ask asks a member, by uuid, for a page; this node is asked in the same way. It waits for the answer
	// until the context ends. Whatever kept it from being given is an error.
	Ask func(ctx context.Context, member string, payload []byte) ([]byte, error)
	// Behind is called once per listing, and returns who is known to lack some of what it should have of a
	// partition (a member, by index): it is not asked about that. It may wait for other members, for a moment. nil
	// stands for nobody.
	Behind func(ctx context.Context, v *View) func(member int, partition uint16) bool

	// PageTimeout is how long a page is waited for; then another owner is asked: 5 s.
	PageTimeout time.Duration
	// BusyFor is how long a member may be too busy to make a page, before another one is asked: 10 s.
	BusyFor time.Duration
	// PageBytes bounds a page: 256 KiB, its maximum. The first ones are smaller.
	PageBytes int
	// BufferBytes bounds the pages that a listing holds, where it merges many streams: 8 MiB.
	BufferBytes int
	// SortBytes bounds the names of buckets that are sorted at once: 4 MiB. More take one pass each.
	SortBytes int
}

// WithDefaults returns c with the defaults in place of zero fields.
func (c Config) WithDefaults() Config {
	if c.Behind == nil {
		c.Behind = func(context.Context, *View) func(int, uint16) bool { return func(int, uint16) bool { return false } }
	}
	if c.PageTimeout == 0 {
		c.PageTimeout = 5 * time.Second
	}
	if c.BusyFor == 0 {
		c.BusyFor = 10 * time.Second
	}
	if c.PageBytes == 0 {
		c.PageBytes = maxPageBytes
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = 8 << 20
	}
	if c.SortBytes == 0 {
		c.SortBytes = 4 << 20
	}
	return c
}

// Coordinator lists names by asking the members. It implements [Lister] and is safe for concurrent use. How
// many listings run at once is bounded by its callers.
type Coordinator struct {
	cfg     Config
	running sync.WaitGroup

	mu struct {
		sync.Mutex
		closed bool
	}
	closing chan struct{}

	started, failed atomic.Uint64
}

var _ Lister = (*Coordinator)(nil)

// New returns a coordinator that has nothing to do.
func New(cfg Config) *Coordinator {
	return &Coordinator{cfg: cfg.WithDefaults(), closing: make(chan struct{})}
}

// Stop ends all listings with ErrClosed, as soon as their visitors return, and admits no more. It waits for
// nothing and may be called again.
func (c *Coordinator) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mu.closed {
		c.mu.closed = true
		close(c.closing)
	}
}

// Close stops and waits for all listings, so it must not be called by a visitor. It may be called again.
func (c *Coordinator) Close() {
	c.Stop()
	c.running.Wait()
}

// Stats counts the listings of a Coordinator since it was made.
type Stats struct {
	Started uint64 // begun, one for each call of List or Count
	Failed  uint64 // of them ended by time or with an IncompleteError; not those that their callers ended
}

// Stats returns the counts as they are now. It does not block.
func (c *Coordinator) Stats() Stats { return Stats{c.started.Load(), c.failed.Load()} }

// begin admits a listing, and returns what is to be called with its outcome. Its context ends with ErrClosed as its
// cause when the coordinator is closed.
func (c *Coordinator) begin(ctx context.Context) (context.Context, func(error), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return nil, nil, ErrClosed
	}
	c.running.Add(1)
	c.started.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-c.closing:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	return ctx, func(err error) {
		if _, incomplete := errors.AsType[*IncompleteError](err); incomplete || errors.Is(err, context.DeadlineExceeded) {
			c.failed.Add(1)
		}
		cancel(nil)
		<-watched
		c.running.Done()
	}, nil
}

// ended returns why ctx ended, nil if it did not.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	if cause := context.Cause(ctx); errors.Is(cause, ErrClosed) {
		return cause
	}
	return ctx.Err()
}

// List implements [Lister].
func (c *Coordinator) List(ctx context.Context, q Query, visit func([]string) error) (err error) {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { done(err) }()
	q.Sorted = q.Sorted || q.Limit > 0
	switch {
	case q.Bucket == "" && q.Sorted:
		return c.sortedBuckets(ctx, q, visit)
	case q.Bucket == "":
		return c.buckets(ctx, q, visit)
	case q.Sorted:
		return c.run(ctx, q, keysSorted, func(r *run) error { return r.merge(visit) })
	}
	return c.run(ctx, q, keysInTurn, func(r *run) error {
		var b batch
		return r.inTurn(func(a *answer) error { return b.all(a.list, visit) })
	})
}

// buckets visits buckets as they come, by length.
func (c *Coordinator) buckets(ctx context.Context, q Query, visit func([]string) error) error {
	return c.run(ctx, q, buckets, func(r *run) error {
		return r.merge(func(entries []string) error {
			for i, e := range entries {
				entries[i] = bucketOf(e)
			}
			return visit(entries)
		})
	})
}

// Count implements [Lister].
func (c *Coordinator) Count(ctx context.Context, q Query) (n int64, err error) {
	if q.Bucket == "" || q.Limit > 0 {
		q.Sorted = q.Limit > 0
		err = c.List(ctx, q, func(names []string) error { n += int64(len(names)); return nil })
		return n, err
	}
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { done(err) }()
	err = c.run(ctx, q, countKeys, func(r *run) error {
		return r.inTurn(func(a *answer) error { n += int64(a.count); return nil })
	})
	return n, err
}

// batchNames bounds the names that a visitor gets at once.
const batchNames = 1024

// batch lends names to a visitor.
type batch struct{ names []string }

// all visits all names of a page.
func (b *batch) all(page string, visit func([]string) error) error {
	for page != "" {
		b.names = b.names[:0]
		for page != "" && len(b.names) < batchNames {
			name, rest, _ := cutName(page) // checked by decodeAnswer
			b.names, page = append(b.names, name), rest
		}
		if err := visit(b.names); err != nil {
			return err
		}
	}
	return nil
}
