package quorum

// standing is how one slot of a read stands: what its owner said, and what those said that
// stand in for it.
type standing struct {
	owner    copyState
	fallback copyState // value if any has one, else missing, else reading; idle if nobody is asked
	tried    bool      // somebody was asked to stand in
	waits    bool      // the owner may still answer, and is waited for
}

// answered reports whether the owner has looked for its copy.
func (s *standing) answered() bool { return s.owner == value || s.owner == missing }

// standing returns how the i-th slot stands.
func (g *get) standing(i int) standing {
	c := &g.copies[i]
	s := standing{owner: c.state}
	s.waits = !s.answered() && s.owner != failed && !c.doubtful
	for j := len(g.place.owners); j < len(g.copies); j++ {
		c := &g.copies[j]
		if int(c.slot) != i {
			continue
		}
		s.tried = true
		if c.state.says() > s.fallback.says() {
			s.fallback = c.state
		}
	}
	return s
}

// says orders what fallbacks of one slot answer by what it means for the slot.
func (s copyState) says() int {
	switch s {
	case value:
		return 3
	case missing:
		return 2
	case reading:
		return 1
	}
	return 0
}

// tally counts the slots. An answer that was withdrawn, since a full copy or a repair is
// awaited, is no vote. An owner's answer comes before that of a fallback, except that a value
// is a value: no owner's "not found" hides a hint.
func (g *get) tally() readTally {
	t := readTally{
		slots: len(g.place.owners), levels: g.levels,
		notFoundOK: g.options.NotFoundOK, basicQuorum: g.options.BasicQuorum,
	}
	if len(g.copies) == 0 {
		return t
	}
	empty := 0 // slots with nothing on a fallback, and the owner's answer awaited
	left := g.fallback
	for i := range g.place.owners {
		s := g.standing(i)
		switch {
		case s.owner == value, s.owner == missing && s.fallback == value && t.notFoundOK:
			t.values++
		case s.fallback == value:
			t.values++
			t.fallbackValues++
			if s.waits {
				t.awaited++
			}
		case s.owner == missing:
			t.missing++
		case s.fallback == missing && s.waits:
			empty++
		case s.fallback == missing:
			t.missing++
			t.fallbackMissing++
		case s.waits:
		case s.fallback == reading:
			t.standIns++
		default:
			if left = g.place.nextFallback(left, nobody); g.options.Sloppy && left < len(g.place.fallbacks) {
				t.standIns++
				left++
			} else {
				t.failed++
			}
		}
	}
	if t.values > 0 && t.notFoundOK {
		// They count beside the value. Else they say nothing, and the slots stay open.
		t.missing += empty
		t.fallbackMissing += empty
		t.awaited += empty
	}
	return t
}

// hope counts the slots as if all that have been asked will answer with a value.
func (g *get) hope() readTally {
	t := readTally{
		slots: len(g.place.owners), levels: g.levels,
		notFoundOK: g.options.NotFoundOK, basicQuorum: g.options.BasicQuorum,
	}
	for i := range g.place.owners {
		s := g.standing(i)
		standIn := s.fallback == value || s.fallback == reading
		switch {
		case s.owner == value, s.waits && s.owner != idle, s.owner == missing && standIn && t.notFoundOK:
			t.values++
		case standIn:
			t.values++
			t.fallbackValues++
		case s.owner == missing:
			t.missing++
		case s.fallback == missing:
			t.missing++
			t.fallbackMissing++
		}
	}
	return t
}
