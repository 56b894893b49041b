package antientropy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// A result is what an exchange found out about a pair. The later ones prove more.
type result uint8

const (
	pending result = iota // not yet, or the exchange ended before it knew
	skipped               // one side has no tree, or repairs it with somebody else
	failed                // something could not be repaired
	suspect               // the trees differ, but no key does
	heard                 // this side has all that the peer had; the peer's store has not taken what it lacks
	same                  // equal at a moment since the exchange began, or made so, durable on both sides
)

// A work is one pair in an exchange.
type work struct {
	pair
	part     *part
	gen      uint64 // of the partition when the exchange began
	result   result
	count    uint64 // keys here, at the latest comparison
	peerHash uint64 // root of the peer, at the latest comparison
	peer     uint64 // keys there
	leaves   leafSet
	whole    bool // all leaves are taken to differ: one side lacks most
	pull     bool // ask for objects at once: it is this side
}

// An exchange compares the pairs that this node shares with one peer and repairs what differs.
type exchange struct {
	k       *Keeper
	plan    *plan
	peer    string
	version uint64
	begun   uint64 // seq
	works   []*work
	rescan  []uint16    // partitions in which a difference was seen twice that no key shows; guarded by k.mu
	deaf    atomic.Bool // the peer's store takes nothing
}

var errActive = errors.New("antientropy: an exchange with this member is under way")

// Exchange compares all partitions that are shared with a member (by uuid) and repairs both sides.
// It blocks for two pauses and the repair. nil means that every partition was verified.
func (k *Keeper) Exchange(ctx context.Context, member string) error {
	k.mu.Lock()
	s := k.peerLocked(member)
	taken := s.active
	s.active = true
	k.mu.Unlock()
	if taken {
		return errActive
	}
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		s.active = false
	}()
	return k.exchange(ctx, member, nil)
}

// exchange is Exchange for some partitions, ascending; nil is all. The caller has made the peer
// active: a second exchange with it at the same time would find the same and do it again.
func (k *Keeper) exchange(ctx context.Context, member string, only []uint16) error {
	p := k.follow()
	if p == nil {
		return errors.New("antientropy: there is no ring yet")
	}
	x := &exchange{k: k, plan: p, peer: member, version: p.view.Ring.Version()}
	for _, q := range p.shared[member] {
		if only != nil {
			if _, wanted := slices.BinarySearch(only, q.partition); !wanted {
				continue
			}
		}
		x.works = append(x.works, &work{pair: q, part: k.part(q.partition)})
	}
	if len(x.works) == 0 {
		return fmt.Errorf("antientropy: no such partitions are shared with %q", member)
	}
	k.mu.Lock()
	k.mu.seq++
	x.begun = k.mu.seq
	k.mu.Unlock()
	began := time.Now()
	here, there := k.stats.here.Load(), k.stats.there.Load()
	err := x.run(ctx)
	left := k.conclude(x)
	k.log.Debug("exchange", "peer", member, "pairs", len(x.works), "left", left, "repaired here", k.stats.here.Load()-here,
		"repaired there", k.stats.there.Load()-there, "took", time.Since(began), "err", err)
	switch {
	case err != nil:
		return fmt.Errorf("exchange with %s: %w", member, err)
	case left > 0:
		return fmt.Errorf("exchange with %s: %d partitions could not be verified", member, left)
	}
	return nil
}

// conclude records what the exchange proved and returns how many partitions it did not verify.
func (k *Keeper) conclude(x *exchange) (left int) {
	proven := make(map[uint16]result) // the least of a partition's pairs
	for _, w := range x.works {
		r := w.result
		if gen, ready := w.part.state(); !ready || gen != w.gen {
			r = pending
		}
		if before, seen := proven[w.partition]; seen {
			r = min(r, before)
		}
		proven[w.partition] = r
	}
	now := time.Now()
	k.mu.Lock()
	for partition, r := range proven {
		at := place{x.peer, partition}
		v := k.mu.verified[at]
		if r < same {
			left++
		} else {
			v.at = now
			if m, ok := k.mu.dirty[at]; ok && m.seq < x.begun {
				delete(k.mu.dirty, at)
			}
		}
		if r >= heard {
			v.heard = x.begun
			k.mu.verified[at] = v
		}
	}
	k.mu.Unlock()
	if p := k.currentPlan(); p != nil {
		k.settle(p, now)
	}
	return left
}

// run goes through the steps. What it returns ended the exchange as a whole.
func (x *exchange) run(ctx context.Context) error {
	var open []*work
	for _, w := range x.works {
		var ready bool
		if w.gen, ready = w.part.state(); !ready {
			w.result = skipped
			continue
		}
		open = append(open, w)
	}
	open, err := x.compareRoots(ctx, open)
	x.k.stats.count(err)
	if err != nil {
		return err
	}
	defer x.end(ctx)
	if len(open) > 0 {
		// A write that was on its way differs no more after a pause; a busy partition differs by
		// another write then, which the leaves tell apart.
		sleep(ctx, x.k.cfg.Pause)
		if open, err = x.compareRoots(ctx, open); err != nil {
			return err
		}
	}
	var fine, repair []*work
	for _, w := range open {
		w.pull = w.count*4 < w.peer
		w.whole = w.pull || w.peer*4 < w.count
		if w.whole {
			w.leaves = allLeaves()
			repair = append(repair, w)
		} else {
			fine = append(fine, w)
		}
	}
	if fine, err = x.compareLeaves(ctx, fine); err != nil {
		return err
	}
	return x.repair(ctx, append(repair, fine...))
}

// end tells the peer what it needs to know afterwards. Without it the peer would notice by the
// silence, or find the same difference itself; so an error is of no consequence.
func (x *exchange) end(ctx context.Context) {
	x.k.mu.Lock()
	rescan := x.rescan
	x.k.mu.Unlock()
	if len(rescan) > 0 {
		if _, err := x.call(ctx, kindRescan, encodeRescan(x.version, rescan)); err != nil {
			x.k.log.Debug("the peer was not asked to scan partitions again", "peer", x.peer, "err", err)
		}
	}
	if _, err := x.call(ctx, kindEnd, request(x.version)); err != nil {
		x.k.log.Debug("the peer was not told of the end of an exchange", "peer", x.peer, "err", err)
	}
}

// call sends a message of this exchange.
func (x *exchange) call(ctx context.Context, kind uint8, payload []byte) ([]byte, error) {
	return x.k.call(ctx, x.peer, kind, payload)
}

// call sends a message and returns the answer without its outcome, or a refusal or an error.
func (k *Keeper) call(ctx context.Context, member string, kind uint8, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.CallTimeout)
	defer cancel()
	k.stats.bytesOut.Add(uint64(len(payload)))
	answer, err := k.cfg.Call(ctx, member, kind, payload)
	k.stats.bytesIn.Add(uint64(len(answer)))
	if err != nil {
		return nil, err
	}
	if len(answer) == 0 || answer[0] > byte(claimed) {
		return nil, fmt.Errorf("%w: bad outcome", errMalformed)
	}
	if o := outcome(answer[0]); o != answered {
		return nil, &refusal{o, fmt.Sprintf("%s answers: %s", member, answer[1:])}
	}
	return answer[1:], nil
}
