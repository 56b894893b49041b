package quorum

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"cartwheel/vclock"
)

// Put writes a value or a tombstone. If this node owns the key, its replica mints the dot
// and the object goes to the other owners while the local store syncs; else the put is
// forwarded to an owner. Put returns when the levels are met, can no longer be met, or time
// or ctx ran out. What was sent goes on in every case: after an error the write may still
// become visible, except after *LevelError, *RefusedError, ErrNotReady, ErrOverloaded,
// ErrClosed before the request began, and an *UnsatisfiedError that is not Written.
//
// The result's Receipt is set with errors as well, as far as anything is known.
func (c *Coordinator) Put(ctx context.Context, r PutRequest) (PutResult, error) {
	if ctx.Err() != nil {
		return PutResult{}, contextError(ctx)
	}
	c.stats.puts.Add(1)
	return c.put(ctx, &r, true)
}

// Coordinate runs a put that another node forwarded to this one. It is Put, but never
// forwards again: if this node cannot mint, the error is a *RefusedError, and the sender
// asks another owner.
func (c *Coordinator) Coordinate(ctx context.Context, r PutRequest) (PutResult, error) {
	c.stats.coordinated.Add(1)
	return c.put(ctx, &r, false)
}

func (c *Coordinator) put(ctx context.Context, r *PutRequest, mayForward bool) (PutResult, error) {
	p := &put{c: c, request: r, mayForward: mayForward, done: make(chan struct{})}
	if err := p.prepare(); err != nil {
		c.stats.count(err)
		return PutResult{Receipt: p.receipt()}, err
	}
	p.start()
	if err := c.await(ctx, p.done); err != nil {
		return PutResult{}, err
	}
	return p.result, p.err
}

// put is one put under way that this node coordinates, or is about to forward.
type put struct {
	c          *Coordinator
	request    *PutRequest
	mayForward bool
	place      place
	deadline   time.Time

	done   chan struct{} // closed when result and err are set
	result PutResult
	err    error

	mu       sync.Mutex
	tally    writeTally
	object   vclock.Object
	minted   bool
	out      int  // replica calls that have not come back
	lost     bool // answered after lostGrace at the latest
	answered bool
	timer    *time.Timer
	causes   []error
}

// prepare checks the request and admits it.
func (p *put) prepare() error {
	if err := p.check(); err != nil {
		return err
	}
	if p.request.Timeout <= 0 {
		return ErrTimeout
	}
	p.deadline = time.Now().Add(p.request.Timeout)
	return p.c.begin()
}

// check finds the key's owners and whether they can meet the levels at all.
func (p *put) check() (err error) {
	r := p.request
	if p.place, err = p.c.place(r.Key, r.N); err != nil {
		return err
	}
	p.tally.slots = len(p.place.owners)
	if p.tally.levels, err = r.writeLevels(p.tally.slots); err != nil {
		return err
	}
	if p.tally.outcome() == lost {
		return p.place.unreachable(p.tally.shortfall(), p.receipt())
	}
	return nil
}

// start lets this node mint if it owns the key, else forwards.
func (p *put) start() {
	if self := p.place.view.Self; self < 0 || !slices.Contains(p.place.owners, self) {
		p.cannotMint(nil)
		return
	}
	r := p.request
	p.mu.Lock()
	p.out = 1
	p.timer = time.AfterFunc(time.Until(p.deadline), p.expire)
	p.mu.Unlock()
	p.place.view.Local.Mint(Mint{
		Target: p.place.target,
		Write: vclock.Write{
			Context: r.Context, TakeLocal: r.Lossy, RequestID: r.RequestID, Expiry: r.Expiry, Deleted: r.Deleted,
			ContentType: r.ContentType, Meta: r.Meta, Value: r.Value,
		},
		Minted: p.send,
		Done:   p.stored,
	})
}

// send hands the object to the other owners. It runs on the store's committer, before the
// local commit: encoding here costs that less than waking another goroutine to do it.
func (p *put) send(o vclock.Object) {
	p.mu.Lock()
	if p.out == 0 {
		// A disk that hung came back after the store had given this write up and it was passed
		// on: what is minted now goes nowhere from here, as it belongs to nobody's count.
		p.mu.Unlock()
		return
	}
	p.object, p.minted = o, true
	p.out += len(p.place.owners) - 1
	p.mu.Unlock()
	if len(p.place.owners) == 1 {
		return
	}
	m := Merge{
		Target:  p.place.target,
		Object:  o,
		Encoded: o.Append(make([]byte, 0, o.Size())),
		Budget:  max(time.Until(p.deadline)+budgetSlack, p.c.cfg.FollowUpTimeout),
		Done:    p.vote,
	}
	for _, i := range p.place.owners {
		if i != p.place.view.Self {
			p.place.view.Replicas[i].Merge(m)
		}
	}
}

// stored takes the local replica's vote.
func (p *put) stored(o vclock.Object, w WriteReply) {
	p.mu.Lock()
	if w.Err != nil && !p.minted {
		p.refused(w.Err)
		return
	}
	if w.Err == nil {
		p.object = o
	}
	p.mu.Unlock()
	p.vote(w)
}

// refused ends a put that the local replica did not take. It is called with mu held and
// releases it.
func (p *put) refused(err error) {
	p.out--
	p.timer.Stop()
	late := p.answered
	p.answered = true
	p.mu.Unlock()
	switch {
	case late:
		p.c.stats.late(err)
		p.c.end()
	case isClients(err):
		p.finish(PutResult{Receipt: p.receipt()}, err)
		p.c.end()
	default:
		p.cannotMint(err)
	}
}

// isClients reports whether a refusal would be the same at every replica.
func isClients(err error) bool {
	e, ok := errors.AsType[*RefusedError](err)
	return ok && (e.Reason == TooLarge || e.Reason == TooManySiblings)
}

// cannotMint passes the request on to another owner: this node is none (cause nil) or its
// replica does not take writes now.
func (p *put) cannotMint(cause error) {
	if p.mayForward {
		newForward(p, cause).start()
		return
	}
	if cause == nil {
		cause = &RefusedError{Reason: WrongRing, Text: "quorum: a put was forwarded to a node that does not own its key"}
	}
	p.finish(PutResult{Receipt: p.receipt()}, cause)
	p.c.end()
}

// vote takes a replica's answer, early or late.
func (p *put) vote(w WriteReply) {
	p.mu.Lock()
	p.out--
	if w.Err != nil {
		p.tally.failed++
		p.causes = append(p.causes, w.Err)
	} else {
		p.tally.acks++
		if w.Durable {
			p.tally.durable++
		}
	}
	if p.answered {
		p.c.stats.late(w.Err)
	}
	p.settle(false)
}

// expire is called by the timer: the request's time or its lostGrace has passed.
func (p *put) expire() {
	p.mu.Lock()
	p.settle(true)
}

// settle answers if the votes decide, or at the last moment. It is called with mu held and
// releases it.
func (p *put) settle(timeUp bool) {
	decided, err := false, error(nil)
	if !p.answered {
		decided, err = p.decide(timeUp)
	} else if timeUp {
		p.mu.Unlock()
		return
	}
	var result PutResult
	if decided {
		p.answered = true
		p.timer.Stop()
		result = PutResult{Object: p.object, Receipt: p.receipt()}
	}
	ended := p.answered && p.out == 0
	p.mu.Unlock()
	if decided {
		p.finish(result, err)
	}
	if ended {
		p.c.end()
	}
}

func (p *put) decide(timeUp bool) (decided bool, err error) {
	switch p.tally.outcome() {
	case won:
		return true, nil
	case lost:
		if p.out == 0 || timeUp {
			return true, p.unsatisfied()
		}
		if !p.lost {
			p.lost = true
			p.timer.Reset(min(lostGrace, time.Until(p.deadline)))
		}
		return false, nil
	}
	return timeUp, ErrTimeout
}

func (p *put) unsatisfied() *UnsatisfiedError {
	s := p.tally.shortfall()
	return &UnsatisfiedError{
		Level: s.level, Got: s.got, Want: s.want,
		Written: p.minted, Receipt: p.receipt(), Causes: slices.Clone(p.causes),
	}
}

// finish gives the caller its answer.
func (p *put) finish(result PutResult, err error) {
	p.result, p.err = result, err
	p.c.stats.count(err)
	p.c.answered()
	close(p.done)
}

func (p *put) receipt() Receipt { return p.place.receipt(p.tally.receipt(), p.request.Lossy) }
