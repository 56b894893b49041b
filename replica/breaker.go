package replica

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"cartwheel/transport"

	"github.com/sony/gobreaker/v2"
)

// BreakerConfig sets when a peer counts as failing. A zero field means its default.
type BreakerConfig struct {
	// Patience is for how long a read or merge may be without an answer before it counts as a
	// failure of the peer, though its answer is still awaited; a large object gets as much
	// more as it takes at slowLink. Default 1 s: many times what a healthy disk takes, and
	// less than gossip and transport need to notice silence.
	Patience time.Duration
	// Failures in a row open the breaker. Default 5.
	Failures int
	// Pause is for how long the peer is left alone then, before one call tries it. Default 1 s.
	Pause time.Duration
	// MaxBytes bounds what this node sends to the peer and has no answer for, so that a silent
	// peer cannot hold the node's memory. More is refused as Busy; one object of any size goes.
	// Default 32 MiB.
	MaxBytes int64
	// Logger is told of the breaker's changes. Discards by default.
	Logger *slog.Logger
}

// WithDefaults returns c with defaults in place of zero fields.
func (c BreakerConfig) WithDefaults() BreakerConfig {
	setDefault(&c.Patience, time.Second)
	setDefault(&c.Failures, 5)
	setDefault(&c.Pause, time.Second)
	setDefault(&c.MaxBytes, 32<<20)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

const (
	// breakerWindow is how far back the breaker looks, in breakerBuckets steps. A peer that
	// answers some and fails more is judged within it.
	breakerWindow  = 5 * time.Second
	breakerBuckets = 10
	// minBadCalls of a window that are at least half of its calls open the breaker, also when
	// other calls succeed in between: a store that hangs while reads from memory go on.
	minBadCalls = 20
	// slowLink is the speed, in bytes per second, that a healthy way to a peer has at least.
	slowLink = 8 << 20
	// looksPerPatience is how often outstanding calls are looked at: silence is noticed a
	// quarter of Patience late at most.
	looksPerPatience = 4
)

// A Breaker keeps the calls to one peer from waiting for it while it does not answer, and
// bounds what they hold. Made once per peer, it outlives the views and addresses in which
// the peer appears. It is safe for concurrent use, has no goroutine and needs no closing.
//
// Closed, it lets every call through. It opens after Failures in a row, or when half of the
// last calls failed; then calls fail at once. After Pause it is half open: one call at a time
// goes to the peer, and an answer closes the breaker. A failure is a call that had no answer
// within Patience, not one whose caller had less time than that, not one that could not be
// sent, and not a refusal: who refuses is alive.
type Breaker struct {
	cfg     BreakerConfig
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]

	closed                            atomic.Bool
	opened, failedFast, full, silence atomic.Uint64

	mu    sync.Mutex // held while the circuit's own lock is taken, never the other way round
	watch flight     // ring of the calls that are not judged yet; watch itself is no call
	armed bool       // a look at them is due
	calls int
	bytes int64

	spoken atomic.Bool // as logged last: the breaker is closed
}

// BreakerStats is what a breaker did since NewBreaker, and how it stands.
type BreakerStats struct {
	State      string // "closed", "half-open" or "open"
	Opened     uint64 // changes to open
	FailedFast uint64 // calls that were not made, as the breaker was not closed
	Full       uint64 // calls refused for MaxBytes
	Silent     uint64 // calls that were without an answer for Patience
	Calls      int    // without an answer now
	Bytes      int64  // sent with them
}

// NewBreaker returns the breaker of one peer.
func NewBreaker(cfg BreakerConfig) *Breaker {
	b := &Breaker{cfg: cfg.WithDefaults()}
	b.closed.Store(true)
	b.spoken.Store(true)
	b.watch.prev, b.watch.next = &b.watch, &b.watch
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Interval: breakerWindow, BucketPeriod: breakerWindow / breakerBuckets, Timeout: b.cfg.Pause, MaxRequests: 1,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return int(c.ConsecutiveFailures) >= b.cfg.Failures ||
				c.TotalFailures >= minBadCalls && c.TotalFailures >= c.TotalSuccesses
		},
		IsExcluded: func(err error) bool { return err == errNeutral },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			b.closed.Store(to == gobreaker.StateClosed)
			if to == gobreaker.StateOpen {
				b.opened.Add(1)
			}
		},
	})
	return b
}

// What the circuit is told of a call that was not answered.
var (
	errSilent  = errors.New("replica: no answer yet")
	errNeutral = errors.New("replica: says nothing about the peer")
)

// State returns "closed", "half-open" or "open".
func (b *Breaker) State() string { return b.circuit.State().String() }

// usable reports whether a call would be let through now.
func (b *Breaker) usable() bool {
	if b.closed.Load() {
		return true
	}
	switch b.circuit.State() {
	case gobreaker.StateClosed:
		return true
	case gobreaker.StateHalfOpen:
		c := b.circuit.Counts()
		return c.Requests <= c.TotalExclusions
	}
	return false
}

// Stats returns the counters. They are read one by one.
func (b *Breaker) Stats() BreakerStats {
	s := BreakerStats{
		State: b.State(), Opened: b.opened.Load(), FailedFast: b.failedFast.Load(),
		Full: b.full.Load(), Silent: b.silence.Load(),
	}
	b.mu.Lock()
	s.Calls, s.Bytes = b.calls, b.bytes
	b.mu.Unlock()
	return s
}

// flight is one call under way.
type flight struct {
	breaker    *Breaker
	prev, next *flight     // in Breaker.watch; nil once judged
	judge      func(error) // tells the circuit; called once
	size       int64
	since      time.Time
	until      time.Time // when it is judged without its answer
	patient    bool      // how long it takes says nothing about the peer
}

var (
	errOpen = errors.New("it has not answered lately (circuit breaker open)")
	errFull = errors.New("too many bytes are without an answer")
)

// begin admits a call with a request of so many bytes: nil error, and end must be called
// once. patient: the peer itself waits for others before it answers.
func (b *Breaker) begin(size int, patient bool) (*flight, error) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes > 0 && b.bytes+int64(size) > b.cfg.MaxBytes {
		b.full.Add(1)
		return nil, fmt.Errorf("%w: %d", errFull, b.bytes)
	}
	judge, err := b.circuit.Allow()
	if err != nil {
		b.failedFast.Add(1)
		return nil, errOpen
	}
	f := &flight{breaker: b, judge: judge, size: int64(size), since: now, patient: patient}
	f.until = now.Add(b.cfg.Patience + time.Duration(size)*(time.Second/slowLink))
	b.calls++
	b.bytes += f.size
	f.prev, f.next = b.watch.prev, &b.watch
	f.prev.next, f.next.prev = f, f
	if !b.armed {
		b.armed = true
		time.AfterFunc(b.cfg.Patience/looksPerPatience, b.look)
	}
	return f, nil
}

// look judges the calls that have waited too long. It is called by a timer as long as calls
// are under way.
func (b *Breaker) look() {
	now := time.Now()
	b.mu.Lock()
	for f := b.watch.next; f != &b.watch; {
		next := f.next
		if !f.until.After(now) {
			if f.patient {
				f.judgeLocked(errNeutral)
			} else {
				b.silence.Add(1)
				f.judgeLocked(errSilent)
			}
		}
		f = next
	}
	if b.armed = b.watch.next != &b.watch; b.armed {
		time.AfterFunc(b.cfg.Patience/looksPerPatience, b.look)
	}
	b.mu.Unlock()
	b.announce()
}

// judgeLocked tells the circuit how the call went, unless it has been told.
func (f *flight) judgeLocked(err error) {
	if f.next == nil {
		return
	}
	f.prev.next, f.next.prev = f.next, f.prev
	f.prev, f.next = nil, nil
	f.judge(err)
}

// end says how the call ended: err is the transport's, nil for any answer.
func (f *flight) end(err error) {
	b := f.breaker
	switch {
	case err == nil:
	// A peer that cannot be reached, or does not know its cluster yet, costs its callers nothing, as the
	// transport says so at once; were that a failure, a node would begin its life with open breakers to
	// those that start with it. An attempt to connect that takes long is silence, and was judged as such.
	case errors.Is(err, transport.ErrUnreachable), errors.Is(err, transport.ErrWrongCluster),
		errors.Is(err, transport.ErrBusy), errors.Is(err, transport.ErrTooLarge), errors.Is(err, transport.ErrClosed),
		errors.Is(err, transport.ErrTimeout) && (f.patient || time.Since(f.since) < b.cfg.Patience):
		err = errNeutral
	}
	b.mu.Lock()
	b.calls--
	b.bytes -= f.size
	f.judgeLocked(err)
	b.mu.Unlock()
	b.announce()
}

// announce logs that the breaker opened or closed. Half open it still counts as open.
func (b *Breaker) announce() {
	closed := b.closed.Load()
	switch {
	case b.spoken.Load() == closed || b.spoken.Swap(closed) == closed:
	case closed:
		b.cfg.Logger.Info("peer answers again")
	default:
		b.cfg.Logger.Warn("peer does not answer: calls to it fail at once until it does")
	}
}
