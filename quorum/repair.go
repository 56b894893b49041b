package quorum

import (
	"errors"
	"time"

	"cartwheel/vclock"
)

// callKind is what a read asks of a replica.
type callKind uint8

const (
	readDigest callKind = iota
	readFull
	repairCopy
)

// call is one replica call of a read, to be made once the lock is released.
type call struct {
	copy     int32 // index into get.copies
	member   int32
	owner    int32 // the member that it stands in for, or nobody
	kind     callKind
	followUp bool   // holds one of MaxFollowUps places
	digest   uint64 // repairCopy: of the object sent
}

// send makes a call. object and encoded are what a repair sends, left is the request's time.
func (g *get) send(c call, object vclock.Object, encoded []byte, left time.Duration) {
	to := g.place.view.Replicas[c.member]
	budget := left + budgetSlack
	if c.followUp {
		budget = g.c.cfg.FollowUpTimeout
	}
	if c.kind == repairCopy {
		g.c.stats.readRepairs.Add(1)
		to.Merge(Merge{Target: g.place.target, Object: object, Encoded: encoded, Budget: budget, Done: func(w WriteReply) {
			g.repaired(c, w)
		}})
		return
	}
	q := Read{Target: g.place.target, Digest: c.kind == readDigest, Did: g.request, Budget: budget, Done: func(r ReadReply) {
		g.answer(c, r)
	}}
	if c.owner != nobody {
		g.c.stats.fallbackReads.Add(1)
		q.Target = g.place.standFor(int(c.owner))
		q.Owners = g.place.view.Owners(q.Target)
	}
	to.Read(q)
}

// answer takes a replica's copy or digest, early or late.
func (g *get) answer(c call, r ReadReply) {
	now := g.c.peers.now()
	g.finishFollowUp(c)
	g.mu.Lock()
	g.now = now
	g.out--
	one := &g.copies[c.copy]
	peer := g.peers[one.member]
	g.c.samples.read(r.Err, int(one.member) == g.place.view.Self, one.since, now)
	switch {
	case r.Err != nil:
		if g.fail(one, r.Err); !one.broken {
			peer.failed(now)
		}
	case r.Missing:
		peer.answered(now-one.since, now)
		one.state, one.digest, one.doubtful = missing, 0, false
	default:
		peer.answered(now-one.since, now)
		one.state, one.digest, one.full, one.doubtful = value, r.Digest, c.kind == readFull, false
		if one.full {
			g.join(r.Object, r.Digest)
		}
	}
	g.did = g.did || r.Did
	if g.answered {
		g.c.stats.late(r.Err)
	}
	g.advance()
}

// fail marks a copy as failed. One that cannot be read, unlike one that cannot be reached,
// is mended by writing it anew.
func (g *get) fail(one *replicaCopy, err error) {
	one.state, one.digest = failed, 0
	if e, ok := errors.AsType[*RefusedError](err); ok {
		one.broken = e.Reason == Corrupt || e.Reason == Failed || e.Reason == Unsure
	}
	g.causes = append(g.causes, err)
}

// join merges a full copy into the object.
func (g *get) join(o vclock.Object, digest uint64) {
	switch {
	case g.object.Missing():
		g.object, g.digest = o, digest
	case digest != g.digest:
		g.differed = true
		merged, changed := vclock.Merge(g.object, o)
		if changed {
			g.object, g.digest = merged, merged.Digest()
		}
	default:
		return
	}
	g.encoded = nil
}

// stale reports whether an owner's copy lacks something of the object, as far as is known,
// and has not been sent it. A fallback is not mended: what it lacks its owner gets anyway.
func (g *get) stale(c *replicaCopy) bool {
	if g.object.Missing() || c.sent == g.digest || c.standsIn {
		return false
	}
	return c.state == value && c.digest != g.digest || c.state == missing || c.state == failed && c.broken
}

// repair returns the call that sends the object to a stale copy.
func (g *get) repair(i int) call {
	if g.encoded == nil {
		g.encoded = g.object.Append(make([]byte, 0, g.object.Size()))
	}
	g.copies[i].sent = g.digest
	c := g.call(i, repairCopy)
	c.digest = g.digest
	return c
}

// repairFirst sends repairs whose acknowledgements count before the answer: until then the
// copies have no vote. With them all, the object is on as many replicas as the levels ask
// for, so that no later read at the same levels can miss it.
func (g *get) repairFirst(calls []call) []call {
	for i := range g.copies {
		if c := &g.copies[i]; c.state != failed && g.stale(c) {
			calls = append(calls, g.repair(i))
			c.state, g.differed = repairing, true
		}
	}
	return calls
}

// followUp returns the calls for which the answer does not wait: repairs of stale copies,
// and full copies of late digests that the object may lack.
func (g *get) followUp(calls []call) []call {
	for i := range g.copies {
		c := &g.copies[i]
		unread := c.state == value && !g.holds(c.digest)
		if !unread && !g.stale(c) {
			continue
		}
		if !g.c.startFollowUp() {
			c.state = idle // this read asks it for nothing more
			continue
		}
		var next call
		if unread {
			next = g.read(i, readFull)
		} else {
			next = g.repair(i)
		}
		next.followUp = true
		calls = append(calls, next)
	}
	return calls
}

// repaired takes the answer to a repair.
func (g *get) repaired(c call, w WriteReply) {
	g.finishFollowUp(c)
	if w.Err != nil {
		g.c.stats.repairsFailed.Add(1)
	}
	now := g.c.peers.now()
	g.mu.Lock()
	g.now = now
	g.out--
	one := &g.copies[c.copy]
	switch {
	case g.answered: // counted above; the copy is as known before, and marked as sent to
	case w.Err != nil:
		g.fail(one, w.Err)
	default:
		one.state, one.digest, one.full = value, c.digest, true
	}
	g.advance()
}

// finishFollowUp gives back the place of a call.
func (g *get) finishFollowUp(c call) {
	if c.followUp {
		g.c.followUps.Add(-1)
	}
}
