package transfer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// The errors of a Send beside those of the call itself. Match them with errors.Is.
var (
	// ErrBusy: the member had too much under way, several times in a row.
	ErrBusy = errors.New("transfer: the member is busy")
	// ErrRing: the member's ring has another version than the sender's.
	ErrRing = errors.New("transfer: the member's ring has another version")
)

// RefusedError says that the member answered but has not taken some of the items.
type RefusedError struct {
	Member  string
	Refused int    // items that it does not own
	Failed  int    // items that its store did not take
	Text    string // its words for the first of them
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("transfer: member %s does not own %d items and failed to store %d: %s", e.Member, e.Refused, e.Failed, e.Text)
}

// Answered returns true: what was not acknowledged was looked at, and other items may fare
// better.
func (e *RefusedError) Answered() bool { return true }

// SenderConfig connects a Sender. All fields but Timeout are required.
type SenderConfig struct {
	// Call asks a member, named by its uuid, and waits for the answer until ctx ends. Neither
	// side changes the payload afterwards.
	Call func(ctx context.Context, member string, kind uint8, payload []byte) ([]byte, error)
	// Version returns the version of this node's ring.
	Version func() uint64
	// Wait blocks until n more objects may be sent; its error ends the Send.
	Wait func(ctx context.Context, n int) error
	// Timeout bounds one call, which gets a second more per MiB. 10 s.
	Timeout time.Duration
}

// SenderStats count what a Sender did since it was made.
type SenderStats struct {
	Batches uint64 // that were answered, busy ones not counted
	Acked   uint64 // items that the receivers stored
	Busy    uint64 // batches that were turned away for now
	Failed  uint64 // calls without a usable answer
}

// Sender sends items to members. It is safe for concurrent use.
type Sender struct {
	cfg   SenderConfig
	stats struct{ batches, acked, busy, failed atomic.Uint64 }

	mu     sync.Mutex
	paused map[string]time.Time // until when a member wants nothing; an entry lives as long as that
}

// NewSender returns a Sender.
func NewSender(cfg SenderConfig) *Sender {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	return &Sender{cfg: cfg, paused: make(map[string]time.Time)}
}

// maxBusy is how often a batch is offered to a busy member before the Send fails.
const maxBusy = 8

// Send sends the items to the member in batches, one after the other, each when the member's
// pause is over and the sender's pace allows it. acked is aligned with items: true where the
// member has answered that its store has the item.
//
// The error is nil if and only if all items are acknowledged. A *[RefusedError] means that all
// were answered but not all taken. After any other error (the call's, [ErrBusy], [ErrRing],
// [ErrMalformed], ctx's) the items of the batch that met it, and those after them, are not
// acknowledged; the member may have stored those of that batch nevertheless.
func (s *Sender) Send(ctx context.Context, member string, items []Item) (acked []bool, err error) {
	acked = make([]bool, len(items))
	var partial *RefusedError
	for from := 0; from < len(items); {
		n, size := cut(items[from:])
		a, err := s.batch(ctx, member, items[from:from+n], size)
		if err != nil {
			return acked, fmt.Errorf("send %d objects to member %s: %w", n, member, err)
		}
		partial = a.apply(acked[from:from+n], member, partial)
		from += n
	}
	if partial != nil {
		return acked, partial // not as a nil *RefusedError, which would be an error
	}
	return acked, nil
}

// count returns how many items ended as o.
func (a answer) count(o outcome) uint64 {
	n := uint64(0)
	for _, item := range a.items {
		if item == o {
			n++
		}
	}
	return n
}

// apply marks what the answer acknowledges and adds the rest to partial.
func (a answer) apply(acked []bool, member string, partial *RefusedError) *RefusedError {
	for i, o := range a.items {
		acked[i] = o == stored
		if acked[i] {
			continue
		}
		if partial == nil {
			partial = &RefusedError{Member: member, Text: a.text}
		}
		if o == refused {
			partial.Refused++
		} else {
			partial.Failed++
		}
	}
	return partial
}

// batch sends one batch until it is taken.
func (s *Sender) batch(ctx context.Context, member string, items []Item, size int) (answer, error) {
	if err := s.cfg.Wait(ctx, cost(len(items), size)); err != nil {
		return answer{}, err
	}
	payload := encodeBatch(s.cfg.Version(), items, size)
	for try := 1; ; try++ {
		if err := s.ready(ctx, member); err != nil {
			return answer{}, err
		}
		a, err := s.call(ctx, member, payload, len(items))
		if err != nil {
			s.stats.failed.Add(1)
			return answer{}, err
		}
		if a.verdict == busy {
			// Not all of those who were turned away come back at the same time.
			a.pause += rand.N(a.pause + time.Millisecond)
		}
		s.pause(member, a.pause)
		switch {
		case a.verdict == otherRing:
			return answer{}, fmt.Errorf("%w: %d, %s", ErrRing, a.version, a.text)
		case a.verdict == taken:
			s.stats.batches.Add(1)
			s.stats.acked.Add(a.count(stored))
			return a, nil
		case try == maxBusy:
			return answer{}, fmt.Errorf("%w: %s", ErrBusy, a.text)
		}
		s.stats.busy.Add(1)
	}
}

func (s *Sender) call(ctx context.Context, member string, payload []byte, items int) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout+time.Duration(len(payload)>>20)*time.Second)
	defer cancel()
	b, err := s.cfg.Call(ctx, member, Kind, payload)
	if err != nil {
		return answer{}, err
	}
	return decodeAnswer(b, items)
}

// pause notes that the member wants nothing for so long.
func (s *Sender) pause(member string, d time.Duration) {
	if d <= 0 {
		return
	}
	until := time.Now().Add(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if until.After(s.paused[member]) {
		s.paused[member] = until
	}
}

// ready waits until the member's pause is over, also when it is prolonged meanwhile.
func (s *Sender) ready(ctx context.Context, member string) error {
	for {
		s.mu.Lock()
		left := time.Until(s.paused[member])
		if left <= 0 {
			delete(s.paused, member)
		}
		s.mu.Unlock()
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// Stats returns the counters.
func (s *Sender) Stats() SenderStats {
	return SenderStats{
		Batches: s.stats.batches.Load(), Acked: s.stats.acked.Load(),
		Busy: s.stats.busy.Load(), Failed: s.stats.failed.Load(),
	}
}
