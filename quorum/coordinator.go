package quorum

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"cartwheel/ring"
)

// Config sets the bounds of a Coordinator. A zero field means its default.
type Config struct {
	// MaxInFlight is how many requests may wait for their answer at once; further ones get
	// ErrOverloaded. It bounds the memory of requests. Default 4096.
	MaxInFlight int
	// MaxFollowUps is how many repairs may be under way at once after the answers of the
	// reads that found them needed; further ones are dropped and counted, since the next
	// read finds them again. It bounds what repair takes from requests. Default 512.
	MaxFollowUps int
	// FollowUpTimeout is for how long what was sent may go on after the answer, so that a
	// replica slower than its request still gets the write. Default 10 s.
	FollowUpTimeout time.Duration
	// DrainTimeout is for how long Close waits. Default 5 s.
	DrainTimeout time.Duration
	// HintAfter is for how long a silent owner is waited for alone; then a fallback is asked
	// as well. An owner that has been slow but not silent in the last 10 s is given twice what it
	// took, up to a second. Default 250 ms: several times what a healthy replica takes with its
	// fsync, and little of what a client waits.
	HintAfter time.Duration
	// Missed is told of an owner, by its uuid, that lacks a write of which no fallback took a
	// hint either. It is called from any goroutine, also before the answer and long after it,
	// and must not block. Nil: nobody is told.
	Missed func(owner string, partition uint16)
}

// WithDefaults returns c with defaults in place of zero fields.
func (c Config) WithDefaults() Config {
	setDefault(&c.MaxInFlight, 4096)
	setDefault(&c.MaxFollowUps, 512)
	setDefault(&c.FollowUpTimeout, 10*time.Second)
	setDefault(&c.DrainTimeout, 5*time.Second)
	setDefault(&c.HintAfter, 250*time.Millisecond)
	if c.Missed == nil {
		c.Missed = func(string, uint16) {}
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
	// budgetSlack is added to what replicas are given of a request's time, so that a request
	// that runs out is a timeout and not a row of replicas that did not answer.
	budgetSlack = 20 * time.Millisecond
	// lostGrace is for how long a request that can no longer meet its levels waits for what
	// is under way, so that its answer says what was reached rather than what came first.
	lostGrace = 250 * time.Millisecond
)

// Coordinator runs requests. It is safe for concurrent use and starts no goroutine; Close
// ends it.
type Coordinator struct {
	cfg     Config
	view    func() *View
	peers   *peers
	stats   counters
	samples samples

	waiting   atomic.Int64 // requests without an answer
	open      atomic.Int64 // requests without an answer or with replica calls under way
	followUps atomic.Int64 // repairs under way after their answer

	closed   atomic.Bool
	idle     chan struct{} // closed when open fell to 0 after closed was set
	idleOnce sync.Once
	stop     chan struct{} // closed when draining took too long: waiting requests give up
	stopOnce sync.Once
}

// New returns a coordinator. view returns the present snapshot of the cluster; nil, or one
// without a ring, before there is a ring. It is called once per request.
func New(cfg Config, view func() *View) *Coordinator {
	return &Coordinator{
		cfg: cfg.WithDefaults(), view: view, peers: newPeers(),
		idle: make(chan struct{}), stop: make(chan struct{}),
	}
}

// Close makes new requests fail with ErrClosed and waits until every request has its answer
// and every replica call came back, follow-ups included. After DrainTimeout it makes the
// waiting requests fail and returns; replica calls still under way then end on their own
// budgets and only count themselves. It may be called twice, also at once.
func (c *Coordinator) Close() {
	c.closed.Store(true)
	if c.open.Load() == 0 {
		c.idleOnce.Do(func() { close(c.idle) })
	}
	limit := time.NewTimer(c.cfg.DrainTimeout)
	defer limit.Stop()
	select {
	case <-c.idle:
	case <-c.stop:
	case <-limit.C:
		c.stopOnce.Do(func() { close(c.stop) })
	}
}

// begin admits a request. After nil, answered and then end must be called once each.
func (c *Coordinator) begin() error {
	c.open.Add(1)
	if c.closed.Load() {
		c.end()
		return ErrClosed
	}
	if c.waiting.Add(1) > int64(c.cfg.MaxInFlight) {
		c.waiting.Add(-1)
		c.end()
		c.stats.overloaded.Add(1)
		return ErrOverloaded
	}
	return nil
}

// answered says that the request has its answer.
func (c *Coordinator) answered() { c.waiting.Add(-1) }

// end says that the request has its answer and no replica call under way.
func (c *Coordinator) end() {
	if c.open.Add(-1) == 0 && c.closed.Load() {
		c.idleOnce.Do(func() { close(c.idle) })
	}
}

// startFollowUp takes a place for a repair after the answer; false if there is none.
func (c *Coordinator) startFollowUp() bool {
	if c.followUps.Add(1) > int64(c.cfg.MaxFollowUps) || c.closed.Load() {
		c.followUps.Add(-1)
		c.stats.repairsDropped.Add(1)
		return false
	}
	return true
}

// place is where a request's key lives: a view, the key's owners in it, the members that may
// stand in for them, and the target that names the key to replicas.
type place struct {
	view      *View
	owners    []int // indices of members, nearest first; shared, read-only
	fallbacks []int // all other members, nearest first; shared, read-only
	target    Target
}

func (c *Coordinator) place(key ring.Key, n int) (place, error) {
	view := c.view()
	if view == nil || view.Ring == nil {
		return place{}, ErrNotReady
	}
	name := key.Name()
	partition := view.Ring.Partition(name)
	list := view.Ring.Preference(partition)
	owners := min(view.Ring.EffectiveN(n), len(list))
	return place{
		view: view, owners: list[:owners], fallbacks: list[owners:],
		target: Target{Name: name, Partition: partition, N: n, Ring: view.Ring.Version()},
	}, nil
}

// alive reports whether a member is believed to be up.
func (p *place) alive(member int) bool { return member == p.view.Self || p.view.Alive[member] }

// standFor returns the target that asks a fallback for the copy that it keeps for an owner.
func (p *place) standFor(owner int) Target {
	t := p.target
	t.For = p.view.Ring.Members()[owner].UUID
	return t
}

// nextFallback returns the place in fallbacks, not before from, of the next member that may
// be asked to stand in, which except is not; len(fallbacks) if there is none. Members believed
// dead are not asked: what is kept for others is of use where it can be found.
func (p *place) nextFallback(from, except int) int {
	for ; from < len(p.fallbacks); from++ {
		if m := p.fallbacks[from]; m != except && p.alive(m) {
			break
		}
	}
	return from
}

// receipt completes a tally's receipt. Without a ring there is nothing to attest.
func (p *place) receipt(r Receipt, lossy bool) Receipt {
	if p.view == nil {
		return Receipt{}
	}
	r.Ring, r.Lossy = p.target.Ring, lossy
	return r
}

// unreachable returns the error for levels that the ring has too few members for. Nothing is
// sent for such a request; got is how many replicas there are.
func (p *place) unreachable(s shortfall, receipt Receipt) *UnsatisfiedError {
	return &UnsatisfiedError{Level: s.level, Got: len(p.owners), Want: s.want, Receipt: receipt}
}

// await waits until done is closed. An error says that the caller's context or the
// coordinator ended first; what was sent goes on then.
func (c *Coordinator) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	case <-c.stop:
		return ErrClosed
	}
}

// contextError is why ctx ended: a deadline is a timeout like the request's own.
func contextError(ctx context.Context) error {
	if ctx.Err() == context.DeadlineExceeded {
		return ErrTimeout
	}
	return ctx.Err()
}
