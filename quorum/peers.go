package quorum

import (
	"sync"
	"time"

	"cartwheel/ring"
)

// peer is what the coordinator remembers of one member. It is safe for concurrent use.
type peer struct {
	mu      sync.Mutex
	latency latency       // of reads
	late    time.Duration // how long its last late acknowledgement of a write took
	lateAt  time.Duration // when that came; 0 never
}

// peers holds the members' latencies across ring versions. For each ring it keeps a table
// aligned with its members, so that a request finds a peer by index.
type peers struct {
	start time.Time // zero of the latencies' clock

	mu     sync.RWMutex
	byUUID map[string]*peer
	ring   *ring.Ring // of table
	table  []*peer
}

func newPeers() *peers { return &peers{start: time.Now(), byUUID: make(map[string]*peer)} }

// of returns the peers of r's members, in their order.
func (p *peers) of(r *ring.Ring) []*peer {
	p.mu.RLock()
	table, known := p.table, p.ring == r
	p.mu.RUnlock()
	if known {
		return table
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ring == r {
		return p.table
	}
	// Members that left go, so that the map does not grow with the cluster's history.
	next := make(map[string]*peer)
	table = nil
	for _, m := range r.Members() {
		one := p.byUUID[m.UUID]
		if one == nil {
			one = new(peer)
		}
		next[m.UUID] = one
		table = append(table, one)
	}
	p.byUUID, p.ring, p.table = next, r, table
	return table
}

// now is the time on the latencies' clock.
func (p *peers) now() time.Duration { return time.Since(p.start) }

func (p *peer) answered(took, now time.Duration) {
	p.mu.Lock()
	p.latency.add(took, now)
	p.mu.Unlock()
}

func (p *peer) failed(now time.Duration) {
	p.mu.Lock()
	p.latency.penalize(now)
	p.mu.Unlock()
}

// ackedLate says that the peer acknowledged a write after it had been taken for silent.
func (p *peer) ackedLate(took, now time.Duration) {
	p.mu.Lock()
	p.late, p.lateAt = took, now
	p.mu.Unlock()
}

// patience returns for how long the peer may take for a write before it counts as silent:
// least, or while it is known to be slow, twice what it took, up to a second. When all disks are
// slow, hints in the place of acknowledgements that come anyway would double what they have to
// write, and keep them slow.
func (p *peer) patience(least, now time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lateAt == 0 || now-p.lateAt > latencyAge {
		return least
	}
	return max(least, min(2*p.late, maxHedgeDelay))
}

func (p *peer) rank(now time.Duration) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latency.rank(now)
}

func (p *peer) p95() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latency.p95()
}
