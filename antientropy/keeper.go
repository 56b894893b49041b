package antientropy

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// maxPartitions is the largest number of partitions of a ring.
const maxPartitions = 1 << 16

// Keeper keeps the trees of one node and makes its replicas equal to those of the other owners.
// Make it with New, Run it once, Close it. All methods are safe for concurrent use.
type Keeper struct {
	cfg   Config
	log   *slog.Logger
	stats counters

	planned atomic.Pointer[plan]   // of the view last seen
	parts   atomic.Pointer[[]part] // by partition; nil before Load or the first view
	unsure  [maxPartitions / 64]atomic.Uint64

	kick     chan struct{} // a token: there may be something to exchange
	building chan struct{} // a token: there may be something to scan

	serving sync.WaitGroup
	telling sync.Mutex // held while the node is told which partitions are unsure; taken before mu

	// mu may be held while a part's lock is taken, never the other way round.
	mu struct {
		sync.Mutex
		closed    bool
		ring      *plan                // whose partitions the parts are; nil before the first
		seq       uint64               // of marks and exchanges, in the order they were begun
		marks     map[uint16]uint64    // unsure partitions: seq of the latest mark
		markedAll uint64               // the same for all partitions
		unsureNew bool                 // UnsureChanged is to be called
		dirty     map[place]mark       // owners that lack something, with what
		verified  map[place]verified   // last exchange of a partition with a member
		deadSince map[string]time.Time // by member: since when it is seen not alive
		peers     map[string]*peer     // schedule, by member
		sessions  map[string]*session  // exchanges that are served, by member
		phantoms  map[phantom]leafSet  // leaves that differed although no key did
	}
}

// A place is one partition at one other member.
type place struct {
	member    string
	partition uint16
}

// verified says when two replicas were last found or made equal.
type verified struct {
	at    time.Time // zero if never
	heard uint64    // seq of the last exchange, drawn as it began, after which this one lacked nothing of the other
}

// New returns a keeper that does nothing yet but take in updates and marks.
func New(cfg Config) (*Keeper, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	k := &Keeper{
		cfg: cfg, log: cfg.Logger,
		kick: make(chan struct{}, 1), building: make(chan struct{}, 1),
	}
	k.mu.marks = make(map[uint16]uint64)
	k.mu.dirty = make(map[place]mark)
	k.mu.verified = make(map[place]verified)
	k.mu.deadSince = make(map[string]time.Time)
	k.mu.peers = make(map[string]*peer)
	k.mu.sessions = make(map[string]*session)
	k.mu.phantoms = make(map[phantom]leafSet)
	return k, nil
}

// errClosed is the answer to everything after Close.
var errClosed = errors.New("antientropy: closed")

// Close refuses further messages and waits for those being served; each ends within seconds.
// Updates and Save are not affected, so it may come before the store's Close. It always returns
// nil and may be called again. Run ends with its context, not with Close.
func (k *Keeper) Close() error {
	k.mu.Lock()
	k.mu.closed = true
	k.mu.Unlock()
	k.serving.Wait()
	return nil
}

// Update takes in that a commit gave an own record a new digest; 0 is a missing object. lost says
// that the record was corrupt, so that before is unknown. It is to be called by the store for
// each changed record, in the order of the commits; it neither blocks nor allocates (save for the
// first key of a branch).
func (k *Keeper) Update(partition uint16, name string, before, after uint64, lost bool) {
	p := k.part(partition)
	if p == nil {
		return
	}
	if p.update(name, k.cfg.N(name), hashOf(name), before, after, lost) {
		if lost {
			k.stats.lost.Add(1)
		} else {
			k.stats.drift.Add(1)
		}
		wake(k.building)
	}
}

// Rebuild has all trees built anew from the store, one after the other, while the old ones go on
// answering. It is for a change of the n_val of buckets.
func (k *Keeper) Rebuild() {
	for _, p := range k.currentPlan().ownedOrNone() {
		if part := k.part(p); part != nil {
			part.rescan()
		}
	}
	wake(k.building)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// part returns nil if there is no such partition, or none yet.
func (k *Keeper) part(partition uint16) *part {
	parts := k.parts.Load()
	if parts == nil || int(partition) >= len(*parts) {
		return nil
	}
	return &(*parts)[partition]
}

// currentPlan returns nil before the ring is known, and while this node is no member of it.
func (k *Keeper) currentPlan() *plan {
	old := k.planned.Load()
	v := k.cfg.View()
	if old != nil && old.view == v {
		return old
	}
	p := newPlan(v, old)
	if p != nil {
		// Whoever stores last, it is a plan of some recent view, and is replaced at the next look.
		k.planned.Store(p)
	}
	return p
}

// ownedOrNone returns the partitions of the plan, none if it is nil.
func (p *plan) ownedOrNone() []uint16 {
	if p == nil {
		return nil
	}
	return p.owned
}

// follow makes the parts those of the present ring. It returns the present plan, which may be nil.
func (k *Keeper) follow() *plan {
	p := k.currentPlan()
	if p == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if old := k.mu.ring; old != nil && old.view.Ring == p.view.Ring && old.n == p.n {
		return p
	}
	k.mu.ring = p
	parts := k.parts.Load()
	if q := p.view.Ring.Partitions(); parts == nil || len(*parts) != q {
		// The number of partitions never changes: what was loaded is not of this cluster.
		made := make([]part, q)
		parts = &made
		k.parts.Store(parts)
	}
	owned := make([]bool, len(*parts))
	for _, i := range p.owned {
		owned[i] = true
	}
	for i := range *parts {
		(*parts)[i].own(owned[i])
	}
	k.forgetLocked(p)
	wake(k.building)
	return p
}

// forgetLocked drops what is known of places that the ring no longer has.
func (k *Keeper) forgetLocked(p *plan) {
	known := make(map[place]bool)
	for member, pairs := range p.shared {
		for _, q := range pairs {
			known[place{member, q.partition}] = true
		}
	}
	for at := range k.mu.verified {
		if !known[at] {
			delete(k.mu.verified, at)
		}
	}
	for ph := range k.mu.phantoms {
		if !known[ph.place] {
			delete(k.mu.phantoms, ph)
		}
	}
	for member, s := range k.mu.peers {
		if _, ok := p.view.Ring.Index(member); !ok && !s.active {
			delete(k.mu.peers, member)
		}
	}
}
