package client

import (
	"sync"
	"time"
)

// endpoints hands out base URLs in turn and remembers which ones failed lately. It is safe for
// concurrent use.
type endpoints struct {
	bases    []string
	cooldown time.Duration

	mu    sync.Mutex
	next  int         // where the next turn begins
	rests []time.Time // parallel to bases: until when an endpoint is avoided
}

func newEndpoints(bases []string, cooldown time.Duration) *endpoints {
	return &endpoints{bases: bases, cooldown: cooldown, rests: make([]time.Time, len(bases))}
}

// pick returns the index of an endpoint that the call has not tried: the next in turn that does
// not rest, else the one whose rest ends first. It returns false when all were tried.
func (e *endpoints) pick(now time.Time, tried []bool) (int, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	best := -1
	for k := range e.bases {
		i := (e.next + k) % len(e.bases)
		if tried[i] {
			continue
		}
		if !e.rests[i].After(now) {
			e.next = (i + 1) % len(e.bases)
			return i, true
		}
		if best < 0 || e.rests[i].Before(e.rests[best]) {
			best = i
		}
	}
	return best, best >= 0
}

// failed lets an endpoint rest.
func (e *endpoints) failed(i int, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rests[i] = now.Add(e.cooldown)
}

// answered ends the rest of an endpoint.
func (e *endpoints) answered(i int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rests[i] = time.Time{}
}
