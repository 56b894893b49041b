package client

import (
	"sync"
	"time"
)

// slowLimit is how many hedged reads in a row an endpoint may lose before it is left alone: it
// hangs, and every read that begins there costs the delay.
const slowLimit = 3

// endpoints hands out base URLs in turn and remembers which ones failed lately. It is safe for
// concurrent use.
type endpoints struct {
	bases    []string
	cooldown time.Duration

	mu     sync.Mutex
	next   int              // where the next turn begins
	states []endpointHealth // parallel to bases
}

// endpointHealth is what lately came of the requests to one endpoint.
type endpointHealth struct {
	rests    time.Time // until when it is avoided; zero: it answered since it last failed
	failures int       // since its last answer
	slow     int       // hedged reads that another endpoint won, since its last answer
}

// EndpointHealth is what a client knows of one endpoint.
type EndpointHealth struct {
	URL        string
	Failures   int       // requests in a row that it did not answer
	RestsUntil time.Time // until then others are preferred; zero if it answered last
}

func newEndpoints(bases []string, cooldown time.Duration) *endpoints {
	return &endpoints{bases: bases, cooldown: cooldown, states: make([]endpointHealth, len(bases))}
}

// Health returns what the client knows of its endpoints from the requests it made, in the order
// of Config.Endpoints.
func (c *Client) Health() []EndpointHealth {
	e := c.endpoints
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]EndpointHealth, len(e.bases))
	for i, s := range e.states {
		out[i] = EndpointHealth{URL: e.bases[i], Failures: s.failures, RestsUntil: s.rests}
	}
	return out
}

// pick returns the index of an endpoint that the call has not tried: the next in turn that does
// not rest, else the one whose rest ends first. It returns false when all were tried.
func (e *endpoints) pick(now time.Time, tried []bool) (int, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i, ok := e.healthyLocked(now, tried); ok {
		return i, true
	}
	best := -1
	for k := range e.bases {
		i := (e.next + k) % len(e.bases)
		if !tried[i] && (best < 0 || e.states[i].rests.Before(e.states[best].rests)) {
			best = i
		}
	}
	return best, best >= 0
}

// pickHealthy returns the next endpoint in turn that the call has not tried and that does not
// rest, if there is one.
func (e *endpoints) pickHealthy(now time.Time, tried []bool) (int, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.healthyLocked(now, tried)
}

func (e *endpoints) healthyLocked(now time.Time, tried []bool) (int, bool) {
	for k := range e.bases {
		i := (e.next + k) % len(e.bases)
		s := &e.states[i]
		if tried[i] || s.rests.After(now) {
			continue
		}
		if !s.rests.IsZero() {
			// Its rest is over, but nobody knows whether it is back: one caller finds out, and the
			// others do not run into the same silence meanwhile.
			s.rests = now.Add(e.cooldown)
		}
		e.next = (i + 1) % len(e.bases)
		return i, true
	}
	return -1, false
}

// failed lets an endpoint rest.
func (e *endpoints) failed(i int, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.states[i].failures++
	e.states[i].rests = now.Add(e.cooldown)
}

// overtaken notes that another endpoint answered a hedged read first.
func (e *endpoints) overtaken(i int, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &e.states[i]
	if s.slow++; s.slow >= slowLimit {
		s.slow, s.rests = 0, now.Add(e.cooldown)
	}
}

// answered ends the rest of an endpoint.
func (e *endpoints) answered(i int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.states[i] = endpointHealth{}
}
