package transport

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// peer is an address that this node calls: it makes connections to it, one
// after the other, for as long as somebody calls.
type peer struct {
	t      *Transport
	addr   string
	kick   chan struct{} // one slot: worth another attempt now
	jitter *rand.Rand    // of the run goroutine

	mu struct {
		sync.Mutex
		cur     *outgoing // takes the calls; nil while the peer is unreachable
		err     error     // why cur is nil
		lastUse time.Time
		stopped error // run has ended or is about to, and this tells a call so
	}
}

func (t *Transport) newPeer(addr string) *peer {
	h := fnv.New64a()
	h.Write([]byte(addr))
	p := &peer{t: t, addr: addr, kick: make(chan struct{}, 1), jitter: rand.New(rand.NewPCG(t.seed, h.Sum64()))}
	p.mu.cur = t.newOutgoing(addr)
	p.mu.lastUse = time.Now()
	return p
}

// errForgotten tells Transport.Call to look the address up again.
var errForgotten = errors.New("address was forgotten")

// call takes a call, or says at once why not.
func (p *peer) call(req Request, done func(Response, error)) error {
	now := time.Now()
	p.mu.Lock()
	c, err := p.mu.cur, p.mu.err
	if p.mu.stopped != nil {
		c, err = nil, p.mu.stopped
	}
	p.mu.lastUse = now
	p.mu.Unlock()
	if c == nil {
		return err
	}
	return c.call(req, now, done)
}

// run connects, again and again, until the address is not used any more or the
// Transport closes.
func (p *peer) run() {
	defer p.stop()
	failures := 0
	for {
		c := p.begin(failures)
		err := p.connect(c)
		if err != nil {
			failures++
			p.fail(c, err, failures)
		} else {
			if failures > 0 {
				p.t.log.Info("peer is reachable again", "peer", p.addr)
			}
			since := time.Now()
			p.wait(c.gone, 0, c.idle)
			if p.over() {
				return
			}
			// A connection that ends soon after it began is as bad as none: else two
			// nodes that disagree would connect as fast as they can.
			if lived := time.Since(since); lived >= p.t.cfg.BackoffMax || p.replaced(c) {
				failures = 0
			} else {
				failures++
				p.fail(c, nil, failures)
			}
		}
		if failures > 0 {
			p.wait(nil, p.backoff(failures), func() bool { return true })
		}
		if p.over() {
			return
		}
	}
}

// begin returns the connection to attempt next. After success calls wait for it,
// after failures they don't.
func (p *peer) begin(failures int) *outgoing {
	p.mu.Lock()
	c := p.mu.cur
	if c == nil || c.begun {
		c = p.t.newOutgoing(p.addr)
		if failures == 0 {
			p.mu.cur = c
		}
	}
	c.begun = true
	p.mu.Unlock()
	p.t.wg.Go(c.mind)
	return c
}

// connect dials and shakes hands, and starts c's goroutines.
func (p *peer) connect(c *outgoing) error {
	t := p.t
	for {
		t.count.dials.Add(1)
		nc, own, other, err := p.handshake()
		if err != nil {
			t.count.dialFailures.Add(1)
			c.kill(err)
			return err
		}
		who, err := judge(own, other, p.addr)
		if err != nil {
			t.count.dialFailures.Add(1)
			t.reportDuplicate(err, other.addr)
			t.untrack(nc)
			c.kill(err)
			return err
		}
		p.mu.Lock()
		if own.cluster != *t.cluster.Load() {
			// SetCluster came between. If it comes later it finds c in p.
			p.mu.Unlock()
			t.untrack(nc)
			continue
		}
		failed, ok := c.attach(nc, own, other, who)
		if ok {
			p.mu.cur, p.mu.err = c, nil
		}
		p.mu.Unlock()
		if !ok {
			t.untrack(nc)
			return unreachable(p.addr, c.err)
		}
		t.wg.Go(func() {
			t.count.outgoing.Add(1)
			defer t.count.outgoing.Add(-1)
			c.readLoop(c.take)
		})
		t.wg.Go(c.writeLoop)
		for _, tell := range failed {
			tell()
		}
		return nil
	}
}

// handshake connects and exchanges hellos within the dial timeout.
func (p *peer) handshake() (nc net.Conn, own, other hello, err error) {
	t := p.t
	ctx, cancel := context.WithTimeout(t.ctx, t.cfg.DialTimeout)
	defer cancel()
	nc, err = t.cfg.Network.Dial(ctx, p.addr)
	if err != nil {
		return nil, own, other, unreachable(p.addr, err)
	}
	if !t.track(nc) {
		return nil, own, other, ErrClosed
	}
	own = t.hello()
	other, err = shakeHands(ctx, nc, own)
	if err != nil {
		t.untrack(nc)
		return nil, own, other, unreachable(p.addr, fmt.Errorf("handshake: %w", err))
	}
	return nc, own, other, nil
}

// fail makes calls fail at once until the next success; err nil means that c
// ended for its own reason.
func (p *peer) fail(c *outgoing, err error, failures int) {
	if err == nil {
		err = unreachable(p.addr, c.err)
	}
	p.mu.Lock()
	p.mu.cur, p.mu.err = nil, err
	p.mu.Unlock()
	if failures == 1 && p.t.ctx.Err() == nil {
		p.t.log.Info("peer is unreachable", "peer", p.addr, "err", err)
	}
}

// replaced reports whether calls already go to a successor of c.
func (p *peer) replaced(c *outgoing) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.cur != c
}

// wait returns when event is closed, the pause (0: endless) is over, the peer
// was kicked, the Transport closes, or the address was unused for so long, and
// may be forgotten, that it now is.
func (p *peer) wait(event <-chan struct{}, pause time.Duration, forgettable func() bool) {
	var over <-chan time.Time
	if pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		over = timer.C
	}
	kick := p.kick
	if event != nil {
		kick = nil // connected already
	}
	unused := time.NewTimer(max(p.unusedIn(), 0))
	defer unused.Stop()
	for {
		select {
		case <-event:
			return
		case <-over:
			return
		case <-kick:
			return
		case <-p.t.ctx.Done():
			return
		case <-unused.C:
			left := p.unusedIn()
			if left <= 0 && forgettable() && p.t.forget(p) {
				return
			}
			unused.Reset(max(left, p.t.cfg.IdleTimeout/8))
		}
	}
}

// unusedIn is how long it takes until the address counts as unused.
func (p *peer) unusedIn() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.t.cfg.IdleTimeout - time.Since(p.mu.lastUse)
}

// over reports whether run has nothing to do any more.
func (p *peer) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.stopped != nil || p.t.ctx.Err() != nil
}

// stop leaves no call without an outcome when run ends.
func (p *peer) stop() {
	p.mu.Lock()
	if p.mu.stopped == nil {
		p.mu.stopped = ErrClosed
	}
	c := p.mu.cur
	p.mu.Unlock()
	if c == nil {
		return
	}
	c.kill(ErrClosed)
	if !c.begun {
		c.end() // it has no minder
	}
}

// retire sends further calls to a new connection if the present one was made
// under another cluster.
func (p *peer) retire(cluster string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.mu.cur; c != nil && p.mu.stopped == nil && c.retire(cluster) {
		p.mu.cur = p.t.newOutgoing(p.addr)
	}
}

// backoff is the pause after so many failures in a row.
func (p *peer) backoff(failures int) time.Duration {
	d := p.t.cfg.BackoffMin
	for i := 1; i < failures && d < p.t.cfg.BackoffMax; i++ {
		d *= 2
	}
	d = min(d, p.t.cfg.BackoffMax)
	return d - time.Duration(p.jitter.Int64N(int64(d)/2+1))
}

// unreachable wraps the cause of a failed connection, unless it is an error
// that says more than ErrUnreachable.
func unreachable(addr string, err error) error {
	for _, known := range []error{ErrClosed, ErrSelf, ErrDuplicateNode, ErrVersion, ErrUnreachable} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %s: %w", ErrUnreachable, addr, err)
}
