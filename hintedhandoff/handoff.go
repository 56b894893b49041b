package hintedhandoff

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// The pause after a failed pass, doubled each time up to the second and varied by half.
	backoffMin = 500 * time.Millisecond
	backoffMax = time.Minute
)

// Handoff delivers the hints of one node. Make it with New and Run it once.
type Handoff struct {
	cfg     Config
	wake    chan struct{} // room for one: a look that is due
	started atomic.Bool
	stats   struct{ delivered, retargeted, changed, failures, unreadable atomic.Uint64 }

	mu     sync.Mutex
	owners map[string]*owner // those with hints, as of the latest look
	serve  int               // passes under way
}

// owner is what is known of one owner's hints. Guarded by Handoff.mu; what only a pass uses is
// the pass's while running is set.
type owner struct {
	uuid    string
	running bool
	served  time.Time // when the latest pass ended
	alive   bool      // in the view of the latest look
	ring    uint64    // its version then

	seen      uint64   // version of the ring of the latest pass over all hints; 0 none yet
	waiting   []string // uuids that hints of that pass wait for, sorted
	left      int64    // hints that it left to wait
	corrupt   int      // of them, those that it could not read
	cursor    position // where the next pass begins
	backoff   *backoff.ExponentialBackOff
	retry     time.Time // no pass before
	failures  int       // in a row
	lastErr   error
	lastErrAt time.Time
}

// New returns a Handoff that does nothing before Run.
func New(cfg Config) *Handoff {
	return &Handoff{cfg: cfg.WithDefaults(), wake: make(chan struct{}, 1), owners: make(map[string]*owner)}
}

// Wake makes Run look at once: members came or went, or the ring changed. It never blocks.
func (h *Handoff) Wake() {
	select {
	case h.wake <- struct{}{}:
	default: // a look is due already
	}
}

// Run delivers hints until ctx ends, then waits for its goroutines and returns nil. It is called
// once.
func (h *Handoff) Run(ctx context.Context) error {
	if h.started.Swap(true) {
		return errors.New("hintedhandoff: it was run before")
	}
	var passes sync.WaitGroup
	defer passes.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.wake:
		case <-timer.C:
		}
		view := h.cfg.View()
		if view == nil {
			timer.Reset(h.cfg.Every)
			continue
		}
		due, next := h.look(view, time.Now())
		for _, o := range due {
			passes.Go(func() {
				h.pass(ctx, o)
				h.Wake() // its place is free
			})
		}
		timer.Reset(next)
	}
}

// look takes stock and returns the owners to serve now, marked as running, and when to look
// again.
func (h *Handoff) look(view *View, now time.Time) (due []*owner, next time.Duration) {
	counts := h.cfg.Store.Hints()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(counts)
	next = h.cfg.Every*2/3 + rand.N(h.cfg.Every*2/3)
	for _, c := range counts {
		if c.Hints == 0 {
			continue
		}
		o := h.owners[c.Owner]
		if o == nil {
			o = &owner{uuid: c.Owner, ring: view.Ring.Version(), alive: view.reachableUUID(c.Owner), backoff: newBackoff()}
			h.owners[c.Owner] = o
		}
		o.notice(view)
		switch wait := o.retry.Sub(now); {
		case o.running || !worthwhile(o, c.Hints, view):
		case wait > 0:
			next = min(next, wait)
		default:
			due = append(due, o)
		}
	}
	slices.SortStableFunc(due, func(a, b *owner) int { return cmp.Compare(a.served.UnixNano(), b.served.UnixNano()) })
	due = due[:min(len(due), max(0, h.cfg.Owners-h.serve))]
	for _, o := range due {
		o.running = true
		h.serve++
	}
	return due, next
}

// notice ends the backoff of an owner that came back to life, or under a new ring: what failed
// before says nothing about now. Nor does what was left behind.
func (o *owner) notice(view *View) {
	alive, version := view.reachableUUID(o.uuid), view.Ring.Version()
	if alive && !o.alive || version != o.ring {
		o.retry = time.Time{}
		o.backoff.Reset()
		o.seen = 0
	}
	o.alive, o.ring = alive, version
}

// forget drops the owners without hints, unless a pass is under way.
func (h *Handoff) forget(counts []Count) {
	for uuid, o := range h.owners {
		if !o.running && !slices.ContainsFunc(counts, func(c Count) bool { return c.Owner == uuid && c.Hints > 0 }) {
			delete(h.owners, uuid)
		}
	}
}

func newBackoff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: backoffMin, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: backoffMax,
	}
}

// Status returns how things stand with each owner that has hints here, sorted by uuid.
func (h *Handoff) Status() []OwnerStatus {
	counts := h.cfg.Store.Hints()
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]OwnerStatus, 0, len(counts))
	for _, c := range counts {
		if c.Hints == 0 {
			continue
		}
		s := OwnerStatus{Owner: c.Owner, Hints: c.Hints, Bytes: c.Bytes}
		if o := h.owners[c.Owner]; o != nil {
			s.Delivering, s.Waiting, s.Unreadable = o.running, slices.Clone(o.waiting), o.corrupt
			s.Failures, s.LastFailed = o.failures, o.lastErrAt
			if o.failures > 0 {
				s.NextTry = o.retry
			}
			if o.lastErr != nil {
				s.LastError = o.lastErr.Error()
			}
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b OwnerStatus) int { return cmp.Compare(a.Owner, b.Owner) })
	return all
}

// Stats returns the counters.
func (h *Handoff) Stats() Stats {
	return Stats{
		Delivered: h.stats.delivered.Load(), Retargeted: h.stats.retargeted.Load(), Changed: h.stats.changed.Load(),
		Failures: h.stats.failures.Load(), Unreadable: h.stats.unreadable.Load(),
	}
}
