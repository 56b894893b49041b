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
// forwarded. For an owner that fails, is silent or believed dead a fallback takes a hint.
// Put returns when the levels are met, can no longer be met, or time or ctx ran out. What
// was sent goes on in every case: after an error the write may still become visible, except
// after *LevelError, *RefusedError, ErrNotReady, ErrOverloaded, ErrClosed before the request
// began, and an *UnsatisfiedError that is not Written.
//
// The result's Receipt is set with errors as well, as far as anything is known.
func (c *Coordinator) Put(ctx context.Context, r PutRequest) (PutResult, error) {
	if ctx.Err() != nil {
		return PutResult{}, contextError(ctx)
	}
	c.stats.puts.Add(1)
	return c.put(ctx, &put{request: r, mayForward: true})
}

// Coordinate runs a put that another node forwarded to this one. It is Put, but never
// forwards again: if this node cannot mint, the error is a *RefusedError, and the sender
// asks another node. With standIn it mints also as a fallback, in place of one owner, if the
// put is sloppy and asks for no primary: with PW an owner must be reached anyway, and then
// it can mint.
func (c *Coordinator) Coordinate(ctx context.Context, r PutRequest, standIn bool) (PutResult, error) {
	c.stats.coordinated.Add(1)
	return c.put(ctx, &put{request: r, standIn: standIn})
}

func (c *Coordinator) put(ctx context.Context, p *put) (PutResult, error) {
	p.c, p.done = c, make(chan struct{})
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
	request    PutRequest
	mayForward bool
	standIn    bool // may mint without owning the key
	place      place
	levels     writeLevels
	deadline   time.Duration // as all times here, on the peers' clock
	hintAfter  time.Duration
	minter     int // the slot that this node's mint is for

	done   chan struct{} // closed when result and err are set
	result PutResult
	err    error
	report func(PutResult, error) // if set, is given the answer instead: the put is part of another

	mu       sync.Mutex
	slots    []slot // the owners, nearest first; empty before this node mints
	fallback int    // place.fallbacks[:fallback] have been asked or passed over
	object   vclock.Object
	encoded  []byte // of object as minted
	minted   bool
	out      int           // replica calls that have not come back
	until    time.Duration // when what follows the answer ends
	answerBy time.Duration // the deadline; earlier once a level is out of reach
	answered bool
	ticked   bool // the timer has been here: hintAfter is over
	timer    *time.Timer
	causes   []error

	room [3]slot // of slots for the usual N
}

// prepare checks the request and admits it.
func (p *put) prepare() error {
	if err := p.check(); err != nil {
		return err
	}
	if p.request.Timeout <= 0 {
		return ErrTimeout
	}
	p.deadline = p.c.peers.now() + p.request.Timeout
	return p.c.begin()
}

// check finds the key's owners and whether they can meet the levels at all.
func (p *put) check() (err error) {
	r := &p.request
	if p.place, err = p.c.place(r.Key, r.N); err != nil {
		return err
	}
	if p.levels, err = r.writeLevels(len(p.place.owners)); err != nil {
		return err
	}
	if t := p.count(); t.outcome() == lost {
		return p.place.unreachable(t.shortfall(), p.receipt())
	}
	return nil
}

// mayStandIn reports whether the request lets a node mint that does not own the key.
func (p *put) mayStandIn() bool { return p.request.Sloppy && p.levels.pw == 0 }

// minterSlot returns the slot that this node may mint for: its own, or, standing in, that of
// the first owner believed dead, since the others may well get the object; -1 for none.
func (p *put) minterSlot() int {
	self := p.place.view.Self
	if self < 0 {
		return -1
	}
	if i := slices.Index(p.place.owners, self); i >= 0 || !p.standIn || !p.mayStandIn() {
		return i
	}
	return max(0, slices.IndexFunc(p.place.owners, func(owner int) bool { return !p.place.alive(owner) }))
}

// start lets this node mint if it may, else forwards.
func (p *put) start() {
	if p.minter = p.minterSlot(); p.minter < 0 {
		p.cannotMint(nil)
		return
	}
	r := &p.request
	p.mu.Lock()
	p.out = 1
	p.slots = p.room[:0]
	for _, owner := range p.place.owners {
		p.slots = append(p.slots, slot{owner: owner})
	}
	target := p.place.target
	if s := &p.slots[p.minter]; s.owner == p.place.view.Self {
		s.primary = asked
	} else {
		s.hints = 1
		target = p.place.standFor(s.owner)
		p.c.stats.fallbackMints.Add(1)
	}
	p.hintAfter = min(p.c.cfg.HintAfter, r.Timeout/2)
	p.answerBy = p.deadline
	wait := r.Timeout // the deadline, as it was reckoned just before
	if len(p.place.fallbacks) > 0 {
		wait = p.hintAfter
	}
	p.timer = time.AfterFunc(wait, p.tick)
	p.mu.Unlock()
	p.place.view.Local.Mint(Mint{
		Target: target,
		Write: vclock.Write{
			Context: r.Context, TakeLocal: r.Lossy, RequestID: r.RequestID, Expiry: r.Expiry, Deleted: r.Deleted,
			ContentType: r.ContentType, Meta: r.Meta, Value: r.Value,
		},
		Minted: p.send,
		Done:   p.stored,
	})
}

// send hands the object to the other owners, or to fallbacks. It runs on the store's
// committer, before the local commit: encoding here costs that less than waking another
// goroutine to do it.
func (p *put) send(o vclock.Object) {
	now := p.c.peers.now()
	p.mu.Lock()
	if p.out == 0 {
		// A disk that hung came back after the store had given this write up and it was passed
		// on: what is minted now goes nowhere from here, as it belongs to nobody's count.
		p.mu.Unlock()
		return
	}
	p.object, p.minted = o, true
	p.until = max(p.deadline+budgetSlack, now+p.c.cfg.FollowUpTimeout)
	if len(p.place.owners)+len(p.place.fallbacks) > 1 {
		p.encoded = o.Append(make([]byte, 0, o.Size()))
	}
	var room [3]delivery
	calls := p.askFallbacks(p.askOwners(room[:0], now), now)
	p.out += calling(calls)
	p.mu.Unlock()
	p.deliver(calls)
}

// stored takes the local replica's vote.
func (p *put) stored(o vclock.Object, w WriteReply) {
	p.mu.Lock()
	if w.Err != nil && !p.minted {
		p.refused(w.Err)
		return
	}
	hint, at := p.slots[p.minter].owner != p.place.view.Self, p.slots[p.minter].since
	p.mu.Unlock()
	p.vote(delivery{slot: p.minter, member: p.place.view.Self, hint: hint, at: at}, w)
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

// cannotMint passes the request on to another node: this one may not mint (cause nil) or its
// replica does not take the write now.
func (p *put) cannotMint(cause error) {
	if p.mayForward {
		newForward(p, cause).start()
		return
	}
	if cause == nil {
		cause = &RefusedError{Reason: WrongRing, Text: "quorum: a put was forwarded to a node that may not mint it"}
	}
	p.finish(PutResult{Receipt: p.receipt()}, cause)
	p.c.end()
}

// vote takes an answer for a slot, early or late, of its owner or of a fallback.
func (p *put) vote(d delivery, w WriteReply) {
	p.c.samples.write(w, d.hint, d.member == p.place.view.Self, d.at, p.c.peers)
	p.mu.Lock()
	p.out--
	p.slots[d.slot].answer(d.hint, w)
	switch {
	case w.Err != nil:
		p.causes = append(p.causes, w.Err)
		if d.hint {
			p.c.stats.hintsRefused.Add(1)
		}
	case p.ticked && d.member != p.place.view.Self:
		if now := p.c.peers.now(); now-d.at > p.hintAfter {
			p.peer(d.member).ackedLate(now-d.at, now)
		}
	}
	if p.answered {
		p.c.stats.late(w.Err)
	}
	p.settle(w.Err != nil, false)
}

// tick is called by the timer: somebody has been silent for long, or the answer is due.
func (p *put) tick() {
	p.mu.Lock()
	if p.answered && p.out == 0 {
		p.mu.Unlock()
		return
	}
	p.ticked = true
	p.settle(true, true)
}

// settle does what the slots call for: it asks fallbacks if one may be needed, and answers
// if the votes decide, or at the last moment. It is called with mu held and releases it.
func (p *put) settle(ask, timer bool) {
	var room [3]delivery
	var calls []delivery
	var now time.Duration
	if ask {
		now = p.c.peers.now()
		if p.minted {
			calls = p.askFallbacks(room[:0], now)
			p.out += calling(calls)
		}
	}
	decided, err := false, error(nil)
	if !p.answered {
		due := p.answerBy
		decided, err = p.decide(now, timer && now >= due)
		timer = timer || p.answerBy != due
	}
	var result PutResult
	if decided {
		p.answered = true
		result = PutResult{Object: p.object, Receipt: p.receipt()}
	}
	ended := p.answered && p.out == 0
	switch {
	case ended:
		p.timer.Stop()
	case timer || len(calls) > 0:
		now := p.c.peers.now()
		if at, ok := p.wake(now); ok {
			p.timer.Reset(at - now)
		}
	}
	p.mu.Unlock()
	if decided {
		p.finish(result, err)
	}
	p.deliver(calls)
	if ended {
		p.c.end()
	}
}

// decide returns whether the put has its answer. now is needed after refusals only.
func (p *put) decide(now time.Duration, timeUp bool) (decided bool, err error) {
	t := p.count()
	switch t.outcome() {
	case won:
		return true, nil
	case lost:
		if p.answerBy == p.deadline && now >= p.deadline {
			return true, ErrTimeout // replicas' budgets ended before the timer was served
		}
		if p.out == 0 || timeUp {
			return true, p.unsatisfied(&t)
		}
		p.answerBy = min(p.answerBy, p.c.peers.now()+lostGrace)
		return false, nil
	}
	p.answerBy = p.deadline // an owner that was not waited for may have made up for what was lost
	return timeUp, ErrTimeout
}

func (p *put) unsatisfied(t *writeTally) *UnsatisfiedError {
	s := t.shortfall()
	return &UnsatisfiedError{
		Level: s.level, Got: s.got, Want: s.want,
		Written: p.minted, Receipt: p.receipt(), Causes: slices.Clone(p.causes),
	}
}

// finish gives the caller its answer.
func (p *put) finish(result PutResult, err error) {
	if p.report != nil {
		p.report(result, err)
		return
	}
	p.result, p.err = result, err
	p.c.stats.count(err)
	p.c.answered()
	close(p.done)
}

func (p *put) receipt() Receipt {
	t := p.count()
	return p.place.receipt(t.receipt(), p.request.Lossy)
}
