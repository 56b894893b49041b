package transport

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Deadlines are looked at no more often than this, so that many calls with
// little time left cost one look at all of them, not one timer each.
const sweepEvery = 5 * time.Millisecond

// maxBudget is what a frame can tell, 49 days.
const maxBudget = (1<<32 - 1) * time.Millisecond

// outgoing is a connection for this node's calls, from the attempt to connect
// to its end. Lock order: peer.mu, outgoing.mu, queue.mu.
type outgoing struct {
	*link
	addr  string
	begun bool          // somebody connects it; guarded by peer.mu
	gone  chan struct{} // closed when it takes no more calls
	sweep *time.Timer   // fires at mu.sweepAt

	mu struct {
		sync.Mutex
		state    outState
		err      error // why state is ended
		stranger error // not nil: only open kinds may be sent
		calls    map[uint64]*call
		lastID   uint64
		waiting  []*call // not sent yet: the state is connecting
		waitSize int64   // sum of their payloads
		sweepAt  time.Time
	}
}

type outState int

const (
	connecting outState = iota // calls wait
	up
	retired // takes no more calls, those made go on
	ended
)

type call struct {
	id       uint64
	req      Request
	deadline time.Time
	done     func(Response, error)
	over     atomic.Bool // it has an outcome
}

func (t *Transport) newOutgoing(addr string) *outgoing {
	c := &outgoing{link: t.newLink(), addr: addr, gone: make(chan struct{}), sweep: time.NewTimer(time.Hour)}
	c.sweep.Stop()
	c.mu.calls = make(map[uint64]*call)
	return c
}

// call takes a call, or says at once why not.
func (c *outgoing) call(req Request, now time.Time, done func(Response, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.mu.state == retired:
		return unreachable(c.addr, errRetired)
	case c.mu.state == ended:
		return c.mu.err
	case len(c.mu.calls) >= c.t.cfg.MaxInFlight:
		return fmt.Errorf("%w: %d calls to %s without an answer", ErrBusy, len(c.mu.calls), c.addr)
	}
	c.mu.lastID++
	k := &call{id: c.mu.lastID, req: req, deadline: now.Add(req.Budget), done: done}
	if c.mu.state == connecting {
		size := int64(len(req.Payload))
		if c.mu.waitSize+size > c.t.cfg.MaxMessageBytes {
			return fmt.Errorf("%w: %d bytes wait for a connection to %s", ErrBusy, c.mu.waitSize, c.addr)
		}
		c.mu.waiting = append(c.mu.waiting, k)
		c.mu.waitSize += size
	} else if err := c.sendLocked(k, req.Budget); err != nil {
		return err
	}
	c.mu.calls[k.id] = k
	if c.mu.sweepAt.IsZero() || k.deadline.Before(c.mu.sweepAt) {
		c.mu.sweepAt = k.deadline
		c.sweep.Reset(req.Budget)
	}
	return nil
}

// sendLocked queues the request of k, which then has the given time left.
func (c *outgoing) sendLocked(k *call, budget time.Duration) error {
	req := k.req
	k.req = Request{} // the payload lives no longer than needed
	switch {
	case req.Node != "" && req.Node != c.peer.Node:
		return fmt.Errorf("%w: %s is %s, not %s", ErrWrongNode, c.addr, c.peer.Node, req.Node)
	case c.mu.stranger != nil && !c.t.open[req.Kind]:
		return c.mu.stranger
	case int64(len(req.Payload)) > c.message:
		return fmt.Errorf("%w: %d bytes, %s takes %d", ErrTooLarge, len(req.Payload), c.addr, c.message)
	}
	h := header{id: k.id, kind: uint8(req.Kind), ring: req.Ring, budget: milliseconds(budget)}
	if !c.send(h, req.Payload, c.t.cfg.MaxQueuedBytes, c.t.cfg.MaxMessageBytes, &k.over) {
		return fmt.Errorf("%w: too many bytes wait to be written to %s", ErrBusy, c.addr)
	}
	return nil
}

// milliseconds rounds up, so that what little is left is not told as nothing.
func milliseconds(d time.Duration) uint32 {
	ms := (min(d, maxBudget) + time.Millisecond - 1) / time.Millisecond
	return uint32(max(1, ms))
}

// attach gives the connection to c after the handshake and sends the calls that
// wait. It reports false if c has ended meanwhile. The caller holds peer.mu and
// afterwards calls the functions returned, without it.
func (c *outgoing) attach(nc net.Conn, own, other hello, p Peer) (failed []func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.state != connecting {
		return nil, false
	}
	c.open(nc, own, other, p)
	c.mu.state = up
	if !p.Member {
		c.mu.stranger = fmt.Errorf("%w: %s is of cluster %q, this node of %q", ErrWrongCluster, c.addr, p.Cluster, own.cluster)
	}
	now := time.Now()
	for _, k := range c.mu.waiting {
		if k.over.Load() {
			continue
		}
		if err := c.sendLocked(k, k.deadline.Sub(now)); err != nil {
			delete(c.mu.calls, k.id)
			failed = append(failed, c.outcome(k, Response{}, err))
		}
	}
	c.mu.waiting, c.mu.waitSize = nil, 0
	return failed, true
}

// outcome ends a call that was taken off the map; the function returned tells
// the caller, outside of all locks.
func (c *outgoing) outcome(k *call, res Response, err error) func() {
	k.over.Store(true)
	return func() { c.t.finish(k.done, res, err) }
}

// mind keeps c's time, from the attempt to connect until c is dead and all
// calls have their outcome.
func (c *outgoing) mind() {
	tick := time.NewTicker(c.t.cfg.Heartbeat)
	defer tick.Stop()
	defer c.sweep.Stop()
	for {
		select {
		case <-c.dead:
			c.end()
			return
		case <-c.t.ctx.Done():
			c.kill(ErrClosed)
		case <-c.sweep.C:
			c.expire(time.Now())
		case <-tick.C:
			c.mu.Lock()
			state := c.mu.state
			c.mu.Unlock()
			if state == up || state == retired {
				// What is left of a retired connection is bounded by its calls' budgets.
				c.beat(false)
			}
		}
	}
}

// expire ends the calls whose time is over.
func (c *outgoing) expire(now time.Time) {
	var late []func()
	c.mu.Lock()
	var next time.Time
	for id, k := range c.mu.calls {
		if !k.deadline.After(now) {
			delete(c.mu.calls, id)
			late = append(late, c.outcome(k, Response{}, fmt.Errorf("%w: %s", ErrTimeout, c.addr)))
		} else if next.IsZero() || k.deadline.Before(next) {
			next = k.deadline
		}
	}
	c.mu.sweepAt = next
	if !next.IsZero() {
		c.sweep.Reset(max(next.Sub(now), sweepEvery))
	}
	idle := c.mu.state == retired && len(c.mu.calls) == 0
	c.mu.Unlock()
	for _, tell := range late {
		tell()
	}
	if idle {
		c.kill(errRetired)
	}
}

// take handles a frame from the peer, on the reader.
func (c *outgoing) take(h header, payload []byte) error {
	if !h.has(flagAnswer) {
		return malformed("request on a connection for answers")
	}
	head, message, whole, err := c.parts.add(h, payload)
	if err != nil {
		return err
	}
	c.mu.Lock()
	k := c.mu.calls[h.id]
	if whole {
		delete(c.mu.calls, h.id)
	}
	idle := c.mu.state == retired && len(c.mu.calls) == 0
	c.mu.Unlock()
	switch {
	case k == nil:
		c.parts.refuse(h.id) // too late for its call
	case whole:
		c.outcome(k, Response{Status: Status(head.kind), Ring: head.ring, Payload: message}, nil)()
	}
	if idle {
		c.kill(errRetired)
	}
	return nil
}

// retire makes c take no more calls, if it is up and was made under another
// cluster than the given one.
func (c *outgoing) retire(cluster string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.state != up || c.own.cluster == cluster {
		return false
	}
	c.mu.state = retired
	close(c.gone)
	if len(c.mu.calls) == 0 {
		c.kill(errRetired)
	}
	return true
}

// idle reports whether no call waits for an answer.
func (c *outgoing) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.mu.calls) == 0
}

// end is the last thing to happen to a dead connection: its calls fail. It may
// be called again.
func (c *outgoing) end() {
	var failed []func()
	c.mu.Lock()
	was := c.mu.state
	if was != ended {
		c.mu.state = ended
		c.mu.err = unreachable(c.addr, c.err)
		if c.t.ctx.Err() != nil {
			c.mu.err = ErrClosed // whichever of its consequences came first
		}
	}
	for id, k := range c.mu.calls {
		delete(c.mu.calls, id)
		failed = append(failed, c.outcome(k, Response{}, c.mu.err))
	}
	c.mu.waiting = nil
	c.mu.Unlock()
	if c.nc != nil {
		c.t.untrack(c.nc)
	}
	for _, tell := range failed {
		tell()
	}
	if was != retired && was != ended {
		close(c.gone)
	}
}
