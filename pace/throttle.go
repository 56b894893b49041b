package pace

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	// burst is how many objects may go at once: one batch of a transfer.
	burst = 256
	// maxPause is the longest wait that a sender is asked for: well below the time after
	// which a silent peer looks broken.
	maxPause = 4 * time.Second
	// maxTook is the most that one operation weighs: one that ran into its time limit says
	// that a peer is away, not that this node is loaded.
	maxTook = time.Second
)

// Config bounds the rate, in objects per second. A zero field means the default given with it.
type Config struct {
	Floor   float64 // 1500
	Busy    float64 // 6000; the most while clients ask for 100 operations per second or more
	Ceiling float64 // 20000
}

// WithDefaults returns c with the defaults in the place of zeros.
func (c Config) WithDefaults() Config {
	if c.Floor == 0 {
		c.Floor = 1500
	}
	if c.Ceiling == 0 {
		c.Ceiling = max(20000, c.Floor)
	}
	if c.Busy == 0 {
		c.Busy = min(max(6000, c.Floor), c.Ceiling)
	}
	return c
}

// Validate returns all that is wrong with c, defaults filled in.
func (c Config) Validate() error {
	var problems []error
	if !(c.Floor >= 1) { // also NaN
		problems = append(problems, fmt.Errorf("pace: a floor of %v objects/s, want at least 1", c.Floor))
	}
	if !(c.Ceiling >= c.Floor && c.Ceiling <= 1e9) {
		problems = append(problems, fmt.Errorf("pace: a ceiling of %v objects/s, want %v to 1e9", c.Ceiling, c.Floor))
	}
	if !(c.Busy >= c.Floor && c.Busy <= c.Ceiling) {
		problems = append(problems, fmt.Errorf("pace: %v objects/s while clients are busy, want %v to %v", c.Busy, c.Floor, c.Ceiling))
	}
	return errors.Join(problems...)
}

// Throttle holds back what a node does in the background. It is safe for concurrent use and
// needs no closing.
type Throttle struct {
	started  time.Time
	gathered atomic.Uint64 // the open window: microseconds << countBits | operations
	taken    atomic.Int64  // objects that passed in the open window
	due      atomic.Int64  // nanoseconds after started at which the open window may be judged

	mu struct {
		sync.Mutex
		steering
		began time.Duration // of the open window, after started
	}

	sent, received *rate.Limiter
}

// countBits leave room for 16 million operations per window and for 12 days of their time.
const countBits = 24

// New returns a throttle. cfg must be valid. It begins with a rest at the floor, in which it
// learns what is usual.
func New(cfg Config) *Throttle {
	cfg = cfg.WithDefaults()
	t := &Throttle{
		started:  time.Now(),
		sent:     rate.NewLimiter(rate.Limit(cfg.Floor), burst),
		received: rate.NewLimiter(rate.Limit(cfg.Floor), burst),
	}
	t.mu.steering = steering{floor: cfg.Floor, busy: cfg.Busy, ceiling: cfg.Ceiling, rate: cfg.Floor, rest: restFor}
	t.due.Store(int64(window))
	return t
}

// Foreground says that an operation of a client took so long. It costs some tens of nanoseconds
// and never waits.
func (t *Throttle) Foreground(took time.Duration) {
	us := uint64(min(max(took, 0), maxTook)/time.Microsecond) + 1
	t.gathered.Add(us<<countBits | 1)
	t.look()
}

// look judges the open window if it has lasted long enough. It never waits: while somebody
// else judges, there is nothing left to do.
func (t *Throttle) look() {
	now := time.Since(t.started)
	if int64(now) < t.due.Load() || !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	lasted := now - t.mu.began
	if lasted < window {
		return // another one has just judged it
	}
	if n := t.gathered.Load() & (1<<countBits - 1); n < enough && lasted < patience {
		return
	}
	g := t.gathered.Swap(0)
	w := sample{operations: int64(g & (1<<countBits - 1)), lasted: lasted, worked: t.taken.Swap(0) > 0}
	if w.operations > 0 {
		w.mean = time.Duration(g>>countBits) * time.Microsecond / time.Duration(w.operations)
	}
	before := t.mu.effective()
	t.mu.judge(w)
	if after := t.mu.effective(); after != before {
		t.sent.SetLimit(rate.Limit(after))
		t.received.SetLimit(rate.Limit(after))
	}
	t.mu.began = now
	t.due.Store(int64(now + window))
}

// Wait blocks until n more objects may be sent. Waiting is in turn: first come, first served.
// The error is ctx's, and comes at once when its deadline is too near; part of n may then have
// been taken.
func (t *Throttle) Wait(ctx context.Context, n int) error {
	for n > 0 {
		t.look()
		part := min(n, burst)
		if err := t.sent.WaitN(ctx, part); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("pace: wait for %d objects: %w", n, context.DeadlineExceeded)
		}
		t.taken.Add(int64(part))
		n -= part
	}
	return ctx.Err()
}

// Pause counts n objects as received and returns for how long their sender is to wait before
// it sends the next ones, at most four seconds; it never blocks. When four seconds are owed
// already, nothing is counted. Pause(0) returns what is owed.
func (t *Throttle) Pause(n int) time.Duration {
	t.look()
	now := time.Now()
	owed := t.received.ReserveN(now, 0).DelayFrom(now)
	for n > 0 && owed < maxPause {
		part := min(n, burst)
		owed = t.received.ReserveN(now, part).DelayFrom(now)
		t.taken.Add(int64(part))
		n -= part
	}
	return min(owed, maxPause)
}

// Rate returns the objects per second that may pass now in each direction.
func (t *Throttle) Rate() float64 {
	t.look()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.effective()
}

// Yielding reports whether the clients' operations were slower than usual in the last window.
func (t *Throttle) Yielding() bool {
	t.look()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.slow
}
