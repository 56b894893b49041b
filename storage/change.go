package storage

import "cartwheel/vclock"

// Change says what a batch made of one own record.
type Change struct {
	Key Key
	// Old and New are the digests of the object before and after, as [vclock.Object.Digest] has
	// them; 0 is that of a missing object.
	Old, New uint64
	// Lost says that the record was corrupt before: Old is 0, whatever was counted for it.
	Lost bool
}

// digest returns the digest of o, 0 if it is missing.
func digest(o vclock.Object) uint64 {
	if o.Missing() {
		return 0
	}
	return o.Digest()
}

// report tells Config.Changed of the records that a batch changed, when it is durable. It stands in the
// way of every write, so it allocates nothing. (The old record is there anyway: the batch keeps what it
// read.)
func (s *Store) report(b *batch) {
	if s.cfg.Changed == nil {
		return
	}
	for _, p := range b.dirty {
		if p.key.Hint != "" {
			continue
		}
		c := Change{Key: p.key, Old: digest(p.old.record.Object), New: digest(p.record.Object), Lost: p.old.err != nil}
		if c.Old != c.New || c.Lost {
			s.cfg.Changed(c)
		}
	}
}

// reportHints counts the hints that a batch changed, when it is durable. The committer does so, as it
// adds what open batches take to what is counted: nothing may be in both.
func (s *Store) reportHints(b *batch) {
	for _, p := range b.dirty {
		if p.key.Hint != "" {
			s.reportHint(p)
		}
	}
}

// reportHint counts what became of a hint.
func (s *Store) reportHint(p *pending) {
	var count int64
	if p.old.size == 0 && p.old.err == nil {
		count++
	}
	if p.record.Object.Missing() {
		count--
	}
	if bytes := p.charge - storedCharge(p.key, p.old); count != 0 || bytes != 0 {
		s.hints.add(p.key.Hint, count, bytes)
	}
}
