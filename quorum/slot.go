package quorum

import "time"

// vote is where a node's answer stands.
type vote uint8

const (
	unasked vote = iota
	asked
	acked
	refused
)

// slot is one owner of the key as a write sees it: the owner's own copy, and the hint that
// a fallback takes for it.
type slot struct {
	owner    int           // member
	since    time.Duration // when somebody was last asked for it
	last     int           // the member asked then
	hints    int16         // fallbacks asked for a hint that have not answered
	primary  vote          // of the owner
	hinted   bool          // a fallback has taken the hint
	doubtful bool          // the owner is believed dead: nobody waits for it
	closed   bool          // no further fallback is asked: what was refused once would be again
	missed   bool          // Config.Missed was told
	durable  bool          // somebody who acknowledged has it fsynced
}

// lacking reports whether neither the owner nor a fallback has the write, as far as is known.
func (s *slot) lacking() bool { return s.primary != acked && !s.hinted }

// answer takes the answer of the owner or of a fallback.
func (s *slot) answer(hint bool, w WriteReply) {
	switch {
	case hint:
		s.hints--
		s.hinted = s.hinted || w.Err == nil
	case w.Err == nil:
		s.primary = acked
	default:
		s.primary = refused
	}
	s.durable = s.durable || w.Err == nil && w.Durable
	s.closed = s.closed || w.Err != nil && isClients(w.Err)
}

// delivery is one call of a put, to be made once the lock is released: the object for the
// slot's owner, or as a hint for another member; or, to nobody, the news that the slot stays
// without.
type delivery struct {
	slot, member int
	hint         bool
	at           time.Duration // when it was decided
}

const nobody = -1

// count returns the tally of the slots. Before the object is out every slot is open.
func (p *put) count() writeTally {
	t := writeTally{slots: len(p.place.owners), levels: p.levels}
	if !p.minted {
		return t
	}
	for i := range p.slots {
		s := &p.slots[i]
		waits := s.primary == asked && !s.doubtful
		switch {
		case s.primary == acked:
			t.acks++
		case s.hinted && p.request.Sloppy:
			t.acks++
			t.fallbacks++
			if waits {
				t.awaited++
			}
		case waits:
			continue
		case s.hints > 0 && p.request.Sloppy:
			t.standIns++
			continue
		default:
			t.failed++
			continue
		}
		if s.durable {
			t.durable++
		}
	}
	return t
}

// askOwners adds the calls that send the object to the owners. One that is believed dead is
// passed over where a fallback does as well.
func (p *put) askOwners(calls []delivery, now time.Duration) []delivery {
	for i := range p.slots {
		s := &p.slots[i]
		s.since, s.last = now, s.owner
		s.doubtful = !p.place.alive(s.owner)
		if i == p.minter || s.doubtful && p.request.Sloppy && p.levels.pw == 0 {
			continue
		}
		s.primary = asked
		calls = append(calls, delivery{slot: i, member: s.owner, at: now})
	}
	return calls
}

// askFallbacks adds the calls for slots whose owner failed, is believed dead or is silent,
// unless a fallback has the hint, or has been asked and is not silent either. With no
// fallback left the owner is asked after all, or missed.
func (p *put) askFallbacks(calls []delivery, now time.Duration) []delivery {
	for i := range p.slots {
		s := &p.slots[i]
		if !s.lacking() {
			continue
		}
		alone := s.hints == 0 && (s.primary == refused || s.primary == unasked || s.doubtful && p.request.Sloppy)
		if !alone && now < p.silentAt(s, now) {
			continue
		}
		next := len(p.place.fallbacks)
		if !s.closed && now < p.until {
			next = p.place.nextFallback(p.fallback, p.place.view.Self)
		}
		switch {
		case next < len(p.place.fallbacks):
			p.fallback = next + 1 // for no other owner: a node counts once
			s.hints++
			s.since, s.last = now, p.place.fallbacks[next]
			calls = append(calls, delivery{slot: i, member: s.last, hint: true, at: now})
		case s.primary == unasked:
			s.primary = asked
			calls = append(calls, delivery{slot: i, member: s.owner, at: now})
		case s.primary == refused && s.hints == 0 && !s.missed:
			s.missed = true
			calls = append(calls, delivery{slot: i, member: nobody})
		}
	}
	return calls
}

// calling returns how many of the deliveries are replica calls.
func calling(calls []delivery) (n int) {
	for _, d := range calls {
		if d.member != nobody {
			n++
		}
	}
	return n
}

// deliver makes calls that are counted already.
func (p *put) deliver(calls []delivery) {
	if len(calls) == 0 {
		return
	}
	m := Merge{Object: p.object, Encoded: p.encoded}
	for _, d := range calls {
		owner := p.place.owners[d.slot]
		if d.member == nobody {
			p.c.stats.missed.Add(1)
			p.c.cfg.Missed(p.place.view.Ring.Members()[owner].UUID, p.place.target.Partition)
			continue
		}
		m.Target, m.Budget = p.place.target, p.until-d.at
		if d.hint {
			p.c.stats.hintsSent.Add(1)
			m.Target = p.place.standFor(owner)
		}
		m.Done = func(w WriteReply) { p.vote(d, w) }
		p.place.view.Replicas[d.member].Merge(m)
	}
}

// silentAt returns when whoever was asked for the slot last counts as silent. This node's own
// store does not: it says itself when it fails, and a hint would only add to its load.
func (p *put) silentAt(s *slot, now time.Duration) time.Duration {
	if s.owner == p.place.view.Self && s.hints == 0 {
		return p.until
	}
	if now < s.since+p.hintAfter {
		return s.since + p.hintAfter // soon enough to look whether it is known to be slow
	}
	patience := p.peer(s.last).patience(p.hintAfter, now)
	return s.since + min(patience, max(p.hintAfter, p.request.Timeout/2))
}

// peer returns what is remembered of a member.
func (p *put) peer(member int) *peer { return p.c.peers.of(p.place.view.Ring)[member] }

// wake returns when the put has something to do though nobody answers; false if never.
func (p *put) wake(now time.Duration) (at time.Duration, ok bool) {
	if !p.answered {
		at, ok = p.answerBy, true
	}
	if !p.minted || now >= p.until {
		return at, ok
	}
	left := p.place.nextFallback(p.fallback, p.place.view.Self) < len(p.place.fallbacks)
	for i := range p.slots {
		s := &p.slots[i]
		if !s.lacking() || s.closed || !left && s.primary != unasked {
			continue
		}
		if t := p.silentAt(s, now); t < p.until && (!ok || t < at) {
			at, ok = t, true
		}
	}
	return at, ok
}
