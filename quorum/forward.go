package quorum

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"
)

// maxForwardShare and forwardShares bound how long one node has for a forwarded put before
// the next is asked as well: a second, some times what it waits itself before it asks
// fallbacks; or a third of the request's time, since three owners are usual, and less where a
// fallback comes after them.
const (
	maxForwardShare = time.Second
	forwardShares   = 3
)

// forward is one put on its way to a node that can mint it: an owner or, where the put allows
// it, a fallback in place of one. They are asked one after the other with one request id: when
// one did not take the put, or was silent for its share of the time. One that was silent may
// have minted; the id keeps a second owner that has heard of it from minting again, and if
// none has, the two siblings are shown as one value.
type forward struct {
	put   *put
	order []int // members; owners among them do not stand in
	share time.Duration

	mu       sync.Mutex
	next     int // order[:next] have been asked
	out      int // of them have not answered
	answered bool
	timer    *time.Timer
	written  bool // some node may have minted
	causes   []error
}

// newForward takes over a put that this node cannot mint. cause is its own replica's, nil if
// it has none. Owners believed alive come first; then fallbacks, of which this node is the
// nearest; owners believed dead come last, as they may be alive all the same.
func newForward(p *put, cause error) *forward {
	f := &forward{put: p}
	if cause != nil {
		f.causes = append(f.causes, cause)
	}
	self := p.place.view.Self
	f.addOwners(true)
	// A put is no trial for a peer that has not answered lately: its client would wait for it.
	slices.SortStableFunc(f.order, func(a, b int) int {
		return cmp.Compare(trial(p.place.view.Replicas[a]), trial(p.place.view.Replicas[b]))
	})
	shares := forwardShares
	if p.mayStandIn() && len(p.place.fallbacks) > 0 {
		shares = max(shares, len(f.order)+1)
		if slices.Contains(p.place.fallbacks, self) {
			f.order = append(f.order, self)
		}
		for i := p.place.nextFallback(0, self); i < len(p.place.fallbacks); i = p.place.nextFallback(i+1, self) {
			f.order = append(f.order, p.place.fallbacks[i])
		}
	}
	f.addOwners(false)
	f.share = min(maxForwardShare, p.request.Timeout/time.Duration(shares))
	return f
}

// trial is 1 for a replica that has not answered lately, 0 for others.
func trial(r Replica) int {
	if r, ok := r.(circuit); ok && !r.Closed() {
		return 1
	}
	return 0
}

// addOwners adds the owners that are believed to be alive, or those that are not.
func (f *forward) addOwners(alive bool) {
	view := f.put.place.view
	for _, i := range f.put.place.owners {
		if i != view.Self && view.Alive[i] == alive {
			f.order = append(f.order, i)
		}
	}
}

func (f *forward) start() {
	f.mu.Lock()
	f.timer = time.AfterFunc(f.wait(), f.tick)
	f.advance()
}

// wait returns for how long the node asked last is waited for alone.
func (f *forward) wait() time.Duration {
	left := f.put.deadline - f.put.c.peers.now()
	if f.next >= len(f.order)-1 {
		return left
	}
	return min(f.share, left)
}

// advance asks the next node, or gives up if all have refused. It is called with mu held
// and releases it.
func (f *forward) advance() {
	if f.next == len(f.order) {
		if f.out > 0 {
			f.mu.Unlock()
			return
		}
		f.answer(PutResult{Receipt: f.put.receipt()}, f.unsatisfied())
		return
	}
	member := f.order[f.next]
	f.timer.Reset(f.wait())
	f.next++
	f.out++
	first := f.next == 1
	f.mu.Unlock()
	f.ask(member, first)
}

// ask hands the put to a member, which may be this node as a fallback.
func (f *forward) ask(member int, first bool) {
	p := f.put
	left := p.deadline - p.c.peers.now()
	r := p.request
	r.Timeout = left
	if member == p.place.view.Self {
		p.c.open.Add(1) // it has its own calls, and no place of its own among those waiting
		here := &put{c: p.c, request: r, standIn: true, place: p.place, levels: p.levels, deadline: p.deadline, report: f.done}
		here.start()
		return
	}
	p.c.stats.forwarded.Add(1)
	if !first {
		p.c.stats.reforwarded.Add(1)
	}
	p.place.view.Replicas[member].Forward(Forward{
		Request: r, Ring: p.place.target.Ring, StandIn: slices.Contains(p.place.fallbacks, member),
		Budget: left + budgetSlack, Done: f.done,
	})
}

// done takes a node's answer.
func (f *forward) done(result PutResult, err error) {
	f.mu.Lock()
	f.out--
	switch {
	case f.answered:
		f.put.c.stats.late(err)
		ended := f.out == 0
		f.mu.Unlock()
		if ended {
			f.put.c.end()
		}
	case err == nil:
		f.answer(result, nil)
	case f.finalLocked(err):
		if e, ok := errors.AsType[*UnsatisfiedError](err); ok {
			result.Receipt = e.Receipt
		}
		f.answer(result, err)
	default:
		f.causes = append(f.causes, err)
		if e, ok := errors.AsType[*RefusedError](err); ok && e.Reason == Unreachable || errors.Is(err, ErrClosed) {
			f.written = true // no answer is not a no, and an owner that stops answers so whatever it had begun
		}
		f.advance()
	}
}

// finalLocked reports whether a node's error is the answer to the request. A refusal that is
// the client's to mend says that nothing was written, so it is the answer only if no other
// node may have minted.
func (f *forward) finalLocked(err error) bool {
	// Not by errors.AsType: a refusal among the causes of an owner's shortfall is another thing.
	if _, refused := err.(*RefusedError); refused && isClients(err) {
		return !f.written && f.out == 0
	}
	return !passes(err)
}

// passes reports whether another node may still take a put that ended with err. One that
// coordinated and missed a level ends it: its write is out.
func passes(err error) bool {
	if _, ok := errors.AsType[*UnsatisfiedError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*RefusedError](err); ok {
		return !isClients(err)
	}
	return errors.Is(err, ErrOverloaded) || errors.Is(err, ErrNotReady) || errors.Is(err, ErrClosed)
}

// tick is called by the timer: the node asked last had its share, or the time is up.
func (f *forward) tick() {
	f.mu.Lock()
	switch {
	case f.answered:
		f.mu.Unlock()
	case f.put.deadline <= f.put.c.peers.now():
		f.answer(PutResult{Receipt: f.put.receipt()}, ErrTimeout)
	default:
		f.advance()
	}
}

// answer ends the request. It is called with mu held and releases it.
func (f *forward) answer(result PutResult, err error) {
	f.answered = true
	f.timer.Stop()
	ended := f.out == 0
	f.mu.Unlock()
	f.put.finish(result, err)
	if ended {
		f.put.c.end()
	}
}

// unsatisfied is the error when no node took the put.
func (f *forward) unsatisfied() *UnsatisfiedError {
	t := writeTally{slots: len(f.put.place.owners), levels: f.put.levels, failed: len(f.put.place.owners)}
	s := t.shortfall()
	return &UnsatisfiedError{
		Level: s.level, Got: s.got, Want: s.want,
		Written: f.written, Receipt: f.put.receipt(), Causes: slices.Clone(f.causes),
	}
}
