package quorum

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"
)

// maxForwardShare and forwardShares bound how long one owner has for a forwarded put before
// the next is asked as well: a third of the request's time, since three owners are usual.
const (
	maxForwardShare = 3 * time.Second
	forwardShares   = 3
)

// forward is one put on its way to an owner that can mint it. Owners are asked one after the
// other with one request id: when one did not take the put, or was silent for its share of
// the time. An owner that was silent may have minted; the id keeps a second owner that has
// heard of it from minting again, and if none has, the two siblings are shown as one value.
type forward struct {
	put   *put
	order []int // owners but this node, those believed alive first
	share time.Duration

	mu       sync.Mutex
	next     int // order[:next] have been asked
	out      int // of them have not answered
	answered bool
	timer    *time.Timer
	written  bool // some owner may have minted
	causes   []error
}

// newForward takes over a put that this node cannot mint. cause is its own replica's, nil if
// it has none.
func newForward(p *put, cause error) *forward {
	f := &forward{put: p, share: min(maxForwardShare, p.request.Timeout/forwardShares)}
	if cause != nil {
		f.causes = append(f.causes, cause)
	}
	view := p.place.view
	for _, i := range p.place.owners {
		if i != view.Self {
			f.order = append(f.order, i)
		}
	}
	slices.SortStableFunc(f.order, func(a, b int) int { return cmp.Compare(rank(view.Alive[a]), rank(view.Alive[b])) })
	return f
}

// rank sorts members believed alive before the others.
func rank(alive bool) int {
	if alive {
		return 0
	}
	return 1
}

func (f *forward) start() {
	f.mu.Lock()
	f.timer = time.AfterFunc(f.wait(), f.tick)
	f.advance()
}

// wait returns for how long the owner asked last is waited for alone.
func (f *forward) wait() time.Duration {
	left := time.Until(f.put.deadline)
	if f.next >= len(f.order)-1 {
		return left
	}
	return min(f.share, left)
}

// advance asks the next owner, or gives up if all have refused. It is called with mu held
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
	to := f.put.place.view.Replicas[f.order[f.next]]
	f.timer.Reset(f.wait())
	f.next++
	f.out++
	f.put.c.stats.forwarded.Add(1)
	if f.next > 1 {
		f.put.c.stats.reforwarded.Add(1)
	}
	f.mu.Unlock()

	left := time.Until(f.put.deadline)
	r := *f.put.request
	r.Timeout = left
	to.Forward(Forward{Request: r, Ring: f.put.place.target.Ring, Budget: left + budgetSlack, Done: f.done})
}

// done takes an owner's answer.
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

// finalLocked reports whether an owner's error is the answer to the request. A refusal that is
// the client's to mend says that nothing was written, so it is the answer only if no other
// owner may have minted.
func (f *forward) finalLocked(err error) bool {
	// Not by errors.AsType: a refusal among the causes of an owner's shortfall is another thing.
	if _, refused := err.(*RefusedError); refused && isClients(err) {
		return !f.written && f.out == 0
	}
	return !passes(err)
}

// passes reports whether another owner may still take a put that ended with err. An owner
// that coordinated and missed a level is not one: its write is out.
func passes(err error) bool {
	if _, ok := errors.AsType[*UnsatisfiedError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*RefusedError](err); ok {
		return !isClients(err)
	}
	return errors.Is(err, ErrOverloaded) || errors.Is(err, ErrNotReady) || errors.Is(err, ErrClosed)
}

// tick is called by the timer: the owner asked last had its share, or the time is up.
func (f *forward) tick() {
	f.mu.Lock()
	switch {
	case f.answered:
		f.mu.Unlock()
	case time.Until(f.put.deadline) <= 0:
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

// unsatisfied is the error when no owner took the put.
func (f *forward) unsatisfied() *UnsatisfiedError {
	t := f.put.tally
	t.failed = t.slots
	s := t.shortfall()
	return &UnsatisfiedError{
		Level: s.level, Got: s.got, Want: s.want,
		Written: f.written, Receipt: f.put.receipt(), Causes: slices.Clone(f.causes),
	}
}
