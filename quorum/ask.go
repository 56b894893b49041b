package quorum

import (
	"slices"
	"time"
)

// order puts this node first and owners believed dead last; between them those that answer
// fast come first.
func (g *get) order() {
	now := g.c.peers.now()
	view := g.place.view
	var room [3]int
	ranks := room[:0]
	for i, c := range g.copies {
		r := g.peers[c.member].rank(now)
		switch {
		case c.member == view.Self:
			r = -1
		case !view.Alive[c.member]:
			r += 1 << 10
		}
		// Insertion keeps the ring's order among equals.
		at := i
		for ; at > 0 && ranks[at-1] > r; at-- {
			g.copies[at] = g.copies[at-1]
		}
		g.copies[at] = c
		ranks = slices.Insert(ranks, at, r)
	}
}

// widen asks further owners as long as those already asked cannot meet the levels.
func (g *get) widen(calls []call, t readTally) []call {
	best := t
	for i := range g.copies {
		if s := g.copies[i].state; s == reading || s == repairing {
			best.values++
		}
	}
	for g.asked < len(g.copies) && !best.found() {
		calls = g.ask(calls, g.object.Missing() && !g.awaitsFull())
		best.values++
	}
	return calls
}

// ask asks the next owner.
func (g *get) ask(calls []call, full bool) []call {
	kind := readDigest
	if full {
		kind = readFull
	}
	g.asked++
	return append(calls, g.read(g.asked-1, kind))
}

// read returns the call that reads a copy, whose earlier vote is withdrawn.
func (g *get) read(i int, kind callKind) call {
	c := &g.copies[i]
	c.state, c.full, c.since = reading, kind == readFull, g.c.peers.now()
	return call{copy: i, kind: kind}
}

// wait returns for how long the timer is to sleep: until the next owner is asked as well,
// until a lost read answers, or until the time is up.
func (g *get) wait() time.Duration {
	left := time.Until(g.deadline)
	switch {
	case g.lost:
		return min(left, lostGrace)
	case g.asked == len(g.copies):
		return left
	}
	// As long as the slowest of those awaited usually takes; but if the next one is faster
	// than that, as long as that one takes.
	var delay time.Duration
	for i := range g.copies {
		if s := g.copies[i].state; s == reading || s == repairing {
			delay = max(delay, g.peers[g.copies[i].member].p95())
		}
	}
	return min(left, max(min(delay, g.peers[g.copies[g.asked].member].p95()), minHedgeDelay))
}

// tick is called by the timer.
func (g *get) tick() {
	g.mu.Lock()
	var room [1]call
	calls := room[:0]
	switch {
	case g.answered:
		g.mu.Unlock()
		return
	case g.lost:
		t := g.tally()
		g.conclude(calls, true, g.unsatisfied(&t))
		return
	case time.Until(g.deadline) <= 0:
		g.conclude(calls, true, ErrTimeout)
		return
	}
	if g.asked < len(g.copies) {
		g.c.stats.hedges.Add(1)
		g.slow()
		calls = g.ask(calls, g.object.Missing())
	}
	g.timer.Reset(g.wait())
	g.conclude(calls, false, nil)
}

// slow tells the estimates of those awaited that they take at least this long.
func (g *get) slow() {
	now := g.c.peers.now()
	for i := range g.copies {
		if c := &g.copies[i]; c.state == reading {
			g.peers[c.member].answered(now-c.since, now)
		}
	}
}
