package quorum

// outcome is what the votes so far mean for the answer.
type outcome uint8

const (
	pending outcome = iota // it depends on the votes still open
	won                    // every level is met
	lost                   // whatever the open votes will be, a level is missed
)

func (o outcome) String() string { return [...]string{"pending", "won", "lost"}[o] }

// shortfall is a level that was missed.
type shortfall struct {
	level     string
	got, want int
}

// readTally counts the votes of one read. A slot is one owner of the key, and later the
// nodes that may stand in for it; it votes once. The tally knows no time and no order: only
// how many slots voted what.
type readTally struct {
	slots       int // owners of the key
	levels      readLevels
	notFoundOK  bool
	basicQuorum bool

	values, missing, failed         int // slots by vote: has a copy, has none, no answer
	fallbackValues, fallbackMissing int // of them by a node that is not the owner
	standIns                        int // of the open slots: only a fallback can still fill them
	awaited                         int // of those filled by a fallback: the owner may still answer, and then counts instead
}

// open is how many slots have not voted.
func (t *readTally) open() int { return t.slots - t.values - t.missing - t.failed }

// counted returns how many votes count toward R, and of them those of owners toward PR.
// A fallback has nothing before the first hint, so that its "not found" says nothing about
// the key: it counts only once a value was found elsewhere.
func (t *readTally) counted() (all, primaries int) {
	all, primaries = t.values, t.values-t.fallbackValues
	if t.notFoundOK {
		ownersMissing := t.missing - t.fallbackMissing
		primaries += ownersMissing
		all += ownersMissing
		if t.values > 0 {
			all += t.fallbackMissing
		}
	}
	return all, primaries
}

// found reports whether the levels are met with a value.
func (t *readTally) found() bool { return t.foundWith(0) }

// foundWith is found with so many more primaries in place of fallbacks.
func (t *readTally) foundWith(owners int) bool {
	all, primaries := t.counted()
	return t.values > 0 && all >= t.levels.r && all >= t.levels.confirms && primaries+owners >= t.levels.pr
}

// absent reports whether the levels are met by owners that do not have the key. With
// notfound_ok=false only all owners together can say so, or with basic_quorum a majority.
func (t *readTally) absent() bool {
	owners := t.missing - t.fallbackMissing
	need := max(t.levels.r, t.levels.pr, t.levels.confirms)
	switch {
	case t.values > 0:
		return false
	case t.notFoundOK:
		return owners >= need
	case t.basicQuorum:
		need = max(need, t.slots/2+1)
		return owners >= need
	}
	return owners == t.slots && owners >= need
}

func (t *readTally) outcome() outcome {
	if t.found() || t.absent() {
		return won
	}
	asValues, asMissing := *t, *t
	asValues.values += t.open()
	asValues.fallbackValues += t.standIns
	asMissing.missing += t.open()
	asMissing.fallbackMissing += t.standIns
	if asValues.foundWith(t.awaited) || asMissing.absent() {
		return pending
	}
	return lost
}

// shortfall names the level that a lost read missed: PR and node_confirms before R, unless
// they ask for less than an R that was missed too.
func (t *readTally) shortfall() shortfall {
	all, primaries := t.counted()
	rMissed := all+t.open() < t.levels.r
	if primaries+t.open()-t.standIns+t.awaited < t.levels.pr && (t.levels.pr >= t.levels.r || !rMissed) {
		return shortfall{"PR", primaries, t.levels.pr}
	}
	if all+t.open() < t.levels.confirms && (t.levels.confirms >= t.levels.r || !rMissed) {
		return shortfall{"node_confirms", all, t.levels.confirms}
	}
	return shortfall{"R", all, t.levels.r}
}

func (t *readTally) receipt() Receipt {
	fallbacks := t.fallbackValues + t.fallbackMissing
	all := t.values + t.missing
	return Receipt{Replicas: all, Primaries: all - fallbacks, Fallbacks: fallbacks, N: t.slots}
}

// writeTally counts the votes of one write, as readTally does for a read. A replica that
// acknowledges has the write in its store, so that W and DW count the same votes; how many
// of them are fsynced is for the receipt.
type writeTally struct {
	slots  int
	levels writeLevels

	acks, failed int // slots by vote
	fallbacks    int // of acks by a node that is not the owner
	durable      int // of acks fsynced
	standIns     int // of the open slots: only a fallback can still fill them
	awaited      int // of fallbacks: the owner may still acknowledge, and then counts instead
}

func (t *writeTally) open() int { return t.slots - t.acks - t.failed }

// primaries is how many owners acknowledged.
func (t *writeTally) primaries() int { return t.acks - t.fallbacks }

func (t *writeTally) met() bool {
	l := &t.levels
	return t.acks >= l.w && t.acks >= l.dw && t.acks >= l.confirms && t.primaries() >= l.pw
}

func (t *writeTally) outcome() outcome {
	if t.met() {
		return won
	}
	best := *t
	best.acks += t.open()
	best.fallbacks += t.standIns - t.awaited
	if best.met() {
		return pending
	}
	return lost
}

// shortfall names the level that a lost write missed: PW before node_confirms before DW
// before W.
func (t *writeTally) shortfall() shortfall {
	l, primaries := &t.levels, t.primaries()
	switch {
	case primaries+t.open()-t.standIns+t.awaited < l.pw:
		return shortfall{"PW", primaries, l.pw}
	case t.acks+t.open() < l.confirms:
		return shortfall{"node_confirms", t.acks, l.confirms}
	case t.acks+t.open() < l.dw:
		return shortfall{"DW", t.acks, l.dw}
	}
	return shortfall{"W", t.acks, l.w}
}

func (t *writeTally) receipt() Receipt {
	return Receipt{
		Replicas: t.acks, Primaries: t.primaries(), Fallbacks: t.fallbacks,
		Durable: t.durable, N: t.slots,
	}
}
