package quorum

import (
	"slices"
	"time"
)

// circuit is implemented by replicas that know how their peer has answered lately.
type circuit interface {
	Usable() bool // a call would be made now, rather than fail at once
	Closed() bool // and it would not be a trial
}

// The ranks of owners that are not asked while others can be.
const (
	rankUnusable = 1 << 9
	rankDoubtful = 1 << 10
)

// order puts this node first and owners believed dead last, before them those to which calls
// fail; those that answer fast come first.
func (g *get) order() {
	view := g.place.view
	var room [3]int
	ranks := room[:0]
	for i, c := range g.copies {
		rank := g.peers[c.member].rank(g.now)
		switch {
		case int(c.member) == view.Self:
			rank = -1
		case c.doubtful:
			rank += rankDoubtful
		default:
			if r, ok := view.Replicas[c.member].(circuit); ok && !r.Usable() {
				rank += rankUnusable
			}
		}
		if !c.doubtful {
			g.live++
		}
		// Insertion keeps the ring's order among equals.
		at := i
		for ; at > 0 && ranks[at-1] > rank; at-- {
			g.copies[at] = g.copies[at-1]
		}
		g.copies[at] = c
		ranks = slices.Insert(ranks, at, rank)
	}
	for i := range g.copies {
		g.copies[i].slot = int32(i)
	}
}

// widen asks further owners, and fallbacks for owners that failed or are away, as long as
// those already asked cannot meet the levels.
func (g *get) widen(calls []call) []call {
	best := g.hope()
	found := best.found()
	for g.asked < g.live && !found {
		g.asked++
		calls = append(calls, g.read(g.asked-1, g.nextKind()))
		best.values++
		found = best.found()
	}
	if found && len(g.copies) == len(g.place.owners) {
		return calls
	}
	for i := range g.place.owners {
		s := g.standing(i)
		// Who was asked in place of a silent owner and failed is replaced at once.
		wanted := !s.waits && !best.found() || s.waits && s.tried
		if s.answered() || s.fallback != idle || !wanted || !g.fallbackLeft() {
			continue
		}
		calls = g.askFallback(calls, i)
		if !s.waits {
			best.values++
			best.fallbackValues++
		}
	}
	return calls
}

// nextKind is what to ask of one more node: the full copy, unless one is here or on its way.
func (g *get) nextKind() callKind {
	if g.object.Missing() && !g.awaitsFull() {
		return readFull
	}
	return readDigest
}

// fallbackLeft reports whether there is a fallback to ask.
func (g *get) fallbackLeft() bool {
	if !g.options.Sloppy {
		return false
	}
	g.fallback = g.place.nextFallback(g.fallback, nobody)
	return g.fallback < len(g.place.fallbacks)
}

// askFallback asks the next fallback, for that slot and no other: a node counts once.
func (g *get) askFallback(calls []call, slot int) []call {
	g.copies = append(g.copies, replicaCopy{member: int32(g.place.fallbacks[g.fallback]), slot: int32(slot), standsIn: true})
	g.fallback++
	return append(calls, g.read(len(g.copies)-1, g.nextKind()))
}

// askRest asks all owners that were not asked, also those believed dead. It is the last resort
// of a read that is lost as things stand, and does not wait for them longer than for other
// late answers.
func (g *get) askRest(calls []call) []call {
	for i := range g.place.owners {
		if g.copies[i].state == idle {
			calls = append(calls, g.read(i, g.nextKind()))
		}
	}
	g.asked = g.live
	return calls
}

// read returns the call that reads a copy, whose earlier vote is withdrawn.
func (g *get) read(i int, kind callKind) call {
	c := &g.copies[i]
	c.state, c.full, c.since = reading, kind == readFull, g.now
	return g.call(i, kind)
}

// call returns a call for a copy. It names the member, as copies may move before it is made.
func (g *get) call(i int, kind callKind) call {
	c := &g.copies[i]
	owner := int32(nobody)
	if c.standsIn {
		owner = g.copies[c.slot].member
	}
	return call{copy: int32(i), member: c.member, owner: owner, kind: kind}
}

// wait returns for how long the timer is to sleep: until the next node is asked as well,
// until a lost read answers, or until the time is up.
func (g *get) wait() time.Duration {
	left := g.deadline - g.now
	switch {
	case g.lost:
		return min(left, lostGrace)
	case g.asked < g.live:
		return min(left, g.hedge())
	case !g.fallbackLeft():
		return left
	}
	for i := range g.place.owners {
		if s := g.standing(i); s.waits && s.fallback == idle {
			left = min(left, max(g.copies[i].since+g.patience-g.now, minHedgeDelay))
		}
	}
	return left
}

// hedge returns for how long the owners awaited are waited for alone: as long as the slowest
// of them usually takes; but if the next one is faster than that, as long as that one takes.
func (g *get) hedge() time.Duration {
	var delay time.Duration
	for i := range g.copies {
		if s := g.copies[i].state; s == reading || s == repairing {
			delay = max(delay, g.peers[g.copies[i].member].p95())
		}
	}
	return max(min(delay, g.peers[g.copies[g.asked].member].p95()), minHedgeDelay)
}

// tick is called by the timer.
func (g *get) tick() {
	now := g.c.peers.now()
	g.mu.Lock()
	g.now = now
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
	case g.deadline <= g.now:
		g.conclude(calls, true, ErrTimeout)
		return
	case g.asked < g.live:
		g.c.stats.hedges.Add(1)
		g.slow()
		g.asked++
		kind := readDigest
		if g.object.Missing() {
			kind = readFull // the one on its way may be what is slow
		}
		calls = append(calls, g.read(g.asked-1, kind))
	default:
		calls = g.replaceSilent(calls)
	}
	g.timer.Reset(g.wait())
	g.conclude(calls, false, nil)
}

// replaceSilent asks a fallback for an owner that has been silent, when all owners have been
// asked. One at a time: where the next is needed too, the timer comes again.
func (g *get) replaceSilent(calls []call) []call {
	for i := range g.place.owners {
		s := g.standing(i)
		if s.waits && s.fallback == idle && g.now-g.copies[i].since >= g.patience && g.fallbackLeft() {
			g.c.stats.hedges.Add(1)
			g.slow()
			return g.askFallback(calls, i)
		}
	}
	return calls
}

// slow tells the estimates of those awaited that they take at least this long.
func (g *get) slow() {
	for i := range g.copies {
		if c := &g.copies[i]; c.state == reading {
			g.peers[c.member].answered(g.now-c.since, g.now)
		}
	}
}
