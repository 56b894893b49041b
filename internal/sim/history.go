package sim

import (
	"fmt"
	"sync"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// write is one client write as the clients know it.
type write struct {
	id      vclock.RequestID
	key     ring.Key
	seen    map[vclock.RequestID]bool // the writes whose values its client had read
	start   time.Time
	acked   time.Time // zero: failed, or nobody knows
	receipt quorum.Receipt
	what    string // for messages
}

// read is one answered read.
type read struct {
	key        ring.Key
	found      map[vclock.RequestID]bool
	start, end time.Time
	receipt    quorum.Receipt
	firm       bool // what it found was brought to all that it counted before it answered
	what       string
}

// loss is a moment at which a disk lost what it had stored.
type loss struct {
	at    time.Time
	since time.Time // all had converged then; zero: never before
	end   time.Time // all had converged again; zero: not yet
	calm  bool      // all others were there until the node was whole again
}

type dotKey struct {
	key ring.Key
	dot vclock.Dot
}

// History collects what the clients of one run did and saw. It is safe for concurrent use.
type History struct {
	mu        sync.Mutex
	writes    map[vclock.RequestID]*write
	reads     []read
	dots      map[dotKey]vclock.RequestID
	faults    []string // violations found while it ran
	losses    []loss
	converged time.Time
}

func newHistory() *History {
	return &History{writes: map[vclock.RequestID]*write{}, dots: map[dotKey]vclock.RequestID{}}
}

func ids(o vclock.Object) map[vclock.RequestID]bool {
	m := map[vclock.RequestID]bool{}
	for i := range o.Siblings {
		m[o.Siblings[i].RequestID] = true
	}
	return m
}

// begin notes a write before it is sent; whoever reads its value later finds it here.
func (h *History) begin(w write) *write {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := &w
	h.writes[w.id] = p
	return p
}

// acknowledge notes that the write was acknowledged now.
func (h *History) acknowledge(w *write, r quorum.Receipt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.acked, w.receipt = time.Now(), r
}

// acknowledged returns how many writes were acknowledged.
func (h *History) acknowledged() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.writes {
		if !w.acked.IsZero() {
			n++
		}
	}
	return n
}

// observe notes the dots of an object that anybody saw.
func (h *History) observe(key ring.Key, o vclock.Object) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := o.Conflicts(); n > 0 {
		h.faults = append(h.faults, fmt.Sprintf("key %s: %d siblings share a dot with another", key.Key, n))
	}
	for _, s := range o.Siblings {
		k := dotKey{key, s.Dot}
		if id, ok := h.dots[k]; ok && id != s.RequestID {
			h.faults = append(h.faults, fmt.Sprintf("key %s: dot %v was used for two writes, %x and %x", key.Key, s.Dot, id[:4], s.RequestID[:4]))
		}
		h.dots[k] = s.RequestID
		if h.writes[s.RequestID] == nil {
			h.faults = append(h.faults, fmt.Sprintf("key %s: a value that nobody wrote: %x", key.Key, s.RequestID))
		}
	}
}

func (h *History) read(r read) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads = append(h.reads, r)
}

// lose notes that a stopped node's disk loses data now.
func (h *History) lose(calm bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.losses = append(h.losses, loss{at: time.Now(), since: h.converged, calm: calm})
}

// converge notes that all owners have everything now.
func (h *History) converge() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.converged = time.Now()
	for i := range h.losses {
		if l := &h.losses[i]; l.end.IsZero() {
			l.end = h.converged
		}
	}
}
