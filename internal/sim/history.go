package sim

import (
	"fmt"
	"sync"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// write is one client write as the clients know it.
type write struct {
	id     vclock.RequestID
	key    ring.Key
	seen   map[vclock.RequestID]bool // the writes whose values its client had read
	start  time.Time
	acked  time.Time // zero: failed, or nobody knows
	quorum bool      // it was acknowledged by a majority of the owners
	what   string    // for messages
}

// read is one answered read.
type read struct {
	key        ring.Key
	found      map[vclock.RequestID]bool
	start, end time.Time
	quorum     bool
	what       string
}

type dotKey struct {
	key ring.Key
	dot vclock.Dot
}

// History collects what the clients of one run did and saw. It is safe for concurrent use.
type History struct {
	mu     sync.Mutex
	writes map[vclock.RequestID]*write
	reads  []read
	dots   map[dotKey]vclock.RequestID
	faults []string // violations found while it ran
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
func (h *History) acknowledge(w *write, quorum bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.acked, w.quorum = time.Now(), quorum
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

// Check returns every violation of the promises. final is the state of each key after all
// healed.
func (h *History) Check(final map[ring.Key]vclock.Object) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	bad := append([]string(nil), h.faults...)
	byKey := map[ring.Key][]*write{}
	for _, w := range h.writes {
		byKey[w.key] = append(byKey[w.key], w)
	}
	for key, writes := range byKey {
		kept := accounted(writes, ids(final[key]), time.Time{})
		for _, w := range writes {
			if !w.acked.IsZero() && !kept[w.id] {
				bad = append(bad, fmt.Sprintf("key %s: acknowledged %s is lost", key.Key, w.what))
			}
		}
	}
	for _, r := range h.reads {
		if !r.quorum {
			continue
		}
		kept := accounted(byKey[r.key], r.found, r.end)
		for _, w := range byKey[r.key] {
			if w.quorum && w.acked.Before(r.start) && !kept[w.id] {
				bad = append(bad, fmt.Sprintf("key %s: %s does not see %s, acknowledged %v before", r.key.Key, r.what, w.what, r.start.Sub(w.acked)))
			}
		}
	}
	return bad
}

// accounted returns the writes whose effect is in found: they are there, or replaced by an
// accounted write whose client had read them. Writes that began after until (if set) cannot
// have replaced anything.
func accounted(writes []*write, found map[vclock.RequestID]bool, until time.Time) map[vclock.RequestID]bool {
	in := map[vclock.RequestID]bool{}
	byID := map[vclock.RequestID]*write{}
	for _, w := range writes {
		byID[w.id] = w
	}
	var add func(id vclock.RequestID)
	add = func(id vclock.RequestID) {
		w := byID[id]
		if w == nil || in[id] || !until.IsZero() && w.start.After(until) {
			return
		}
		in[id] = true
		for s := range w.seen {
			add(s)
		}
	}
	for id := range found {
		add(id)
	}
	return in
}
