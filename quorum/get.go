package quorum

import (
	"context"
	"slices"
	"sync"
	"time"

	"cartwheel/vclock"
)

// Get reads an object: the full copy from one owner, digests from as many others as the
// levels need, full copies of those that differ. With Sloppy a fallback is asked in place of
// an owner that failed or is away, as far as the levels need it. Get answers the merge of
// what the counted replicas have. Owners' copies seen to be stale are repaired after the
// answer, or before it with RepairBefore. A key that is missing or deleted is an answer: see [vclock.Object.Missing].
// Get returns when the levels are met, can no longer be met, or time or ctx ran out.
//
// The result's Object is shared with repairs under way: read-only. Its Receipt is set with
// errors as well, as far as anything is known.
func (c *Coordinator) Get(ctx context.Context, r GetRequest) (GetResult, error) {
	if ctx.Err() != nil {
		return GetResult{}, contextError(ctx)
	}
	c.stats.gets.Add(1)
	return c.get(ctx, &r)
}

func (c *Coordinator) get(ctx context.Context, r *GetRequest) (GetResult, error) {
	g := &get{c: c, options: r.Options, request: r.RequestID, done: make(chan struct{})}
	if err := g.prepare(r); err != nil {
		c.stats.count(err)
		return GetResult{Receipt: g.receipt()}, err
	}
	g.start()
	if err := c.await(ctx, g.done); err != nil {
		return GetResult{}, err
	}
	return g.result, g.err
}

// copyState is what is known of one copy.
type copyState uint8

const (
	idle      copyState = iota // not asked
	reading                    // asked; also when its digest is known and the full copy is awaited
	repairing                  // a repair is awaited before the answer
	value                      // has a copy
	missing                    // has none
	failed                     // did not answer with a copy
)

// replicaCopy is one owner of the key as a read sees it, or a fallback in place of one.
type replicaCopy struct {
	member   int32
	slot     int32 // which of the owners it is or stands in for, as an index into get.copies
	state    copyState
	standsIn bool          // it is a fallback's
	doubtful bool          // an owner believed dead: nobody waits for it
	full     bool          // the answer that is awaited or was last given carries the object
	broken   bool          // failed in a way that a repair mends
	digest   uint64        // of a value; 0 else
	sent     uint64        // digest of the last repair sent to it
	since    time.Duration // when it was asked, on the peers' clock
}

// get is one read under way. All decisions are made from copies: each event changes one of
// them, and advance finds what that means.
type get struct {
	c        *Coordinator
	options  Options
	request  vclock.RequestID
	place    place
	levels   readLevels
	deadline time.Duration // as all times here, on the peers' clock
	patience time.Duration // for how long a silent owner is waited for alone
	peers    []*peer

	done   chan struct{} // closed when result and err are set
	result GetResult
	err    error

	mu       sync.Mutex
	now      time.Duration // when the event at hand began: reading the clock costs as much as counting votes
	copies   []replicaCopy // the owners, in the order of asking; then the fallbacks asked
	asked    int           // copies[:asked] have been asked
	live     int           // of the owners, those not doubtful; the first in copies
	fallback int           // place.fallbacks[:fallback] have been asked or passed over
	// object is the merge of all full copies that came, digest its digest. Both are zero
	// before the first value.
	object   vclock.Object
	digest   uint64
	encoded  []byte // of object, made for the first repair; nil after object changed
	out      int    // replica calls that have not come back
	differed bool   // a copy was merged or repaired before the answer
	lost     bool   // answered after lostGrace at the latest
	answered bool
	did      bool // some replica knows the write request
	timer    *time.Timer
	causes   []error

	room [3]replicaCopy // of copies for the usual N
}

// prepare checks the request and admits it.
func (g *get) prepare(r *GetRequest) (err error) {
	if g.place, err = g.c.place(r.Key, r.N); err != nil {
		return err
	}
	members := len(g.place.owners)
	if g.levels, err = r.readLevels(members); err != nil {
		return err
	}
	if t := g.tally(); t.outcome() == lost {
		return g.place.unreachable(t.shortfall(), g.receipt())
	}
	if r.Timeout <= 0 {
		return ErrTimeout
	}
	g.now = g.c.peers.now()
	g.deadline = g.now + r.Timeout
	g.patience = min(g.c.cfg.HintAfter, r.Timeout/2)
	return g.c.begin()
}

// start asks the first owners.
func (g *get) start() {
	g.peers = g.c.peers.of(g.place.view.Ring)
	g.copies = g.room[:0]
	for _, i := range g.place.owners {
		g.copies = append(g.copies, replicaCopy{member: int32(i), doubtful: !g.place.alive(i)})
	}
	g.order()
	g.mu.Lock()
	g.advance()

	g.mu.Lock()
	if !g.answered {
		g.timer = time.AfterFunc(g.wait(), g.tick)
	}
	g.mu.Unlock()
}

// advance does what the copies call for. It is called with mu held after every event and
// releases it.
func (g *get) advance() {
	var room [4]call
	calls := room[:0]
	decided, err := false, error(nil)
	if !g.answered {
		calls, decided, err = g.decide(calls)
	}
	g.conclude(calls, decided, err)
}

// conclude makes the calls and, if decided, answers; then come the repairs. It is called
// with mu held and releases it.
func (g *get) conclude(calls []call, decided bool, err error) {
	var result GetResult
	if decided {
		g.answered = true
		if g.timer != nil {
			g.timer.Stop()
		}
		result.Receipt = g.receipt()
		if err == nil {
			result.Object, result.Did = g.object, g.did
		}
		if g.differed || slices.ContainsFunc(g.copies, func(c replicaCopy) bool { return c.state != failed && g.stale(&c) }) {
			g.c.stats.mismatches.Add(1)
		}
	}
	if g.answered {
		calls = g.followUp(calls)
	}
	g.out += len(calls)
	ended := g.answered && g.out == 0
	encoded, object, left := g.encoded, g.object, g.deadline-g.now
	g.mu.Unlock()
	if decided {
		g.finish(result, err)
	}
	for _, c := range calls {
		g.send(c, object, encoded, left)
	}
	if ended {
		g.c.end()
	}
}

// finish gives the caller its answer.
func (g *get) finish(result GetResult, err error) {
	g.result, g.err = result, err
	g.c.stats.count(err)
	g.c.answered()
	close(g.done)
}

// decide returns the calls that bring the read on, or that it is decided.
func (g *get) decide(calls []call) (_ []call, decided bool, err error) {
	t := g.tally()
	result := t.outcome()
	if result != lost {
		calls = g.fetch(calls, result)
		t = g.tally()
		result = t.outcome()
	}
	if result == won {
		// The object holds every copy that counted: fetch withdrew the votes of the others.
		if !g.options.RepairBefore || g.object.Missing() {
			return calls, true, nil
		}
		calls = g.repairFirst(calls)
		t = g.tally()
		if result = t.outcome(); result == won {
			return calls, true, nil
		}
	}
	if result == lost {
		if !g.lost && g.now >= g.deadline {
			return calls, true, ErrTimeout // replicas' budgets ended before the timer was served
		}
		calls = g.askRest(calls)
		if g.out+len(calls) == 0 {
			return calls, true, g.unsatisfied(&t)
		}
		if !g.lost {
			g.lost = true
			if g.timer != nil {
				g.timer.Reset(g.wait())
			}
		}
		return calls, false, nil
	}
	return g.widen(calls), false, nil
}

// holds reports whether a copy with that digest is part of the object.
func (g *get) holds(digest uint64) bool {
	return digest == g.digest || slices.ContainsFunc(g.copies, func(c replicaCopy) bool {
		return c.state == value && c.full && c.digest == digest
	})
}

// fetch asks for the full copies of digests that no full copy has. Before the first full
// copy is here it waits for one under way, which probably has the digest, unless it is the
// only thing that the read still lacks.
func (g *get) fetch(calls []call, result outcome) []call {
	if result != won && g.object.Missing() && g.awaitsFull() {
		return calls
	}
	for i := range g.copies {
		if c := &g.copies[i]; c.state == value && !g.holds(c.digest) {
			calls = append(calls, g.read(i, readFull))
		}
	}
	return calls
}

func (g *get) awaitsFull() bool {
	return slices.ContainsFunc(g.copies, func(c replicaCopy) bool { return c.state == reading && c.full })
}

func (g *get) unsatisfied(t *readTally) *UnsatisfiedError {
	s := t.shortfall()
	return &UnsatisfiedError{
		Level: s.level, Got: s.got, Want: s.want,
		Receipt: g.receipt(), Causes: slices.Clone(g.causes),
	}
}

func (g *get) receipt() Receipt {
	t := g.tally()
	return g.place.receipt(t.receipt(), g.options.Lossy)
}
