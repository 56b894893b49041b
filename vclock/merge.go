package vclock

// Merge joins two replicas of one key. A sibling survives if its dot is in both, or if the
// other clock does not cover it; the clocks join. Two siblings with one dot but different
// content (a corruption) are both kept and show in [Object.Conflicts].
//
// Merge is commutative, associative and idempotent. changed reports whether m differs from
// a. The result may share memory with both.
func Merge(a, b Object) (m Object, changed bool) {
	clock := a.Clock.Join(b.Clock)
	changed = len(clock) != len(a.Clock) || !clock.Equal(a.Clock)
	if len(b.Siblings) == 0 && len(a.Siblings) == 0 {
		return Object{Clock: clock}, changed
	}
	out := make([]Sibling, 0, len(a.Siblings)+len(b.Siblings))
	as, bs := a.Siblings, b.Siblings
	for len(as) > 0 || len(bs) > 0 {
		switch {
		case len(bs) == 0 || len(as) > 0 && as[0].Dot.Compare(bs[0].Dot) < 0:
			// Only in a. Siblings that share a dot stand or fall together.
			if !b.Clock.Covers(as[0].Dot) {
				out = append(out, as[0])
			} else {
				changed = true
			}
			as = as[1:]
		case len(as) == 0 || bs[0].Dot.Compare(as[0].Dot) < 0:
			if !a.Clock.Covers(bs[0].Dot) {
				out = append(out, bs[0])
				changed = true
			}
			bs = bs[1:]
		default:
			n := len(out)
			out, as, bs = mergeDot(out, as, bs)
			// a had exactly the siblings of this dot that are not new.
			if len(out)-n != sameDot(a.Siblings, out[n].Dot) {
				changed = true
			}
		}
	}
	if !changed {
		return a, false
	}
	return Object{Clock: clock, Siblings: out}, true
}

// mergeDot appends the union of the siblings that as and bs hold under their common first
// dot and returns what is left of both.
func mergeDot(out, as, bs []Sibling) (o, restA, restB []Sibling) {
	d := as[0].Dot
	for {
		inA := len(as) > 0 && as[0].Dot == d
		inB := len(bs) > 0 && bs[0].Dot == d
		switch {
		case inA && inB:
			c := as[0].compare(&bs[0])
			if c <= 0 {
				out, as = append(out, as[0]), as[1:]
			} else {
				out = append(out, bs[0])
			}
			if c >= 0 {
				bs = bs[1:]
			}
		case inA:
			out, as = append(out, as[0]), as[1:]
		case inB:
			out, bs = append(out, bs[0]), bs[1:]
		default:
			return out, as, bs
		}
	}
}

func sameDot(s []Sibling, d Dot) int {
	n := 0
	for i := range s {
		if s[i].Dot == d {
			n++
		}
	}
	return n
}
