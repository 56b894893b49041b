package vclock

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"slices"
)

// Actor is who mints dots: one life of a process (Run, random) and one use within it (Epoch,
// counting from 1). The zero Actor means none.
type Actor struct{ Run, Epoch uint64 }

// IsZero reports whether a is no actor.
func (a Actor) IsZero() bool { return a == Actor{} }

// Compare orders actors by run, then epoch.
func (a Actor) Compare(b Actor) int {
	if c := cmp.Compare(a.Run, b.Run); c != 0 {
		return c
	}
	return cmp.Compare(a.Epoch, b.Epoch)
}

// Dot names one event: the Counter-th write of Actor. Counters begin at 1.
type Dot struct {
	Actor   Actor
	Counter uint64
}

// Compare orders dots by actor, then counter. The order has no causal meaning.
func (d Dot) Compare(e Dot) int {
	if c := d.Actor.Compare(e.Actor); c != 0 {
		return c
	}
	return cmp.Compare(d.Counter, e.Counter)
}

// Tag returns the dot as short text of letters, digits, '-' and '_': the name by which
// clients tell siblings apart.
func (d Dot) Tag() string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 28), d.Actor.Run)
	b = binary.AppendUvarint(b, d.Actor.Epoch)
	b = binary.AppendUvarint(b, d.Counter)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Clock is a version vector: for each actor the highest counter seen, which stands for all
// counters up to it. It is sorted by actor, names each actor once, and has no zero counter.
// nil is the empty clock. Clocks are immutable by convention.
type Clock []Dot

func (c Clock) find(a Actor) (int, bool) {
	// Most clocks have one to four entries: a scan beats a binary search there.
	if len(c) <= 8 {
		for i := range c {
			switch o := c[i].Actor.Compare(a); {
			case o == 0:
				return i, true
			case o > 0:
				return i, false
			}
		}
		return len(c), false
	}
	return slices.BinarySearchFunc(c, a, func(d Dot, a Actor) int { return d.Actor.Compare(a) })
}

// Get returns the counter of a, 0 if the clock has not seen it.
func (c Clock) Get(a Actor) uint64 {
	if i, ok := c.find(a); ok {
		return c[i].Counter
	}
	return 0
}

// Covers reports whether the clock has seen d.
func (c Clock) Covers(d Dot) bool { return d.Counter <= c.Get(d.Actor) }

// Descends reports whether c has seen everything that o has seen. Every clock descends
// itself and the empty clock.
func (c Clock) Descends(o Clock) bool {
	for _, d := range o {
		if !c.Covers(d) {
			return false
		}
	}
	return true
}

// Equal reports whether both clocks have seen the same.
func (c Clock) Equal(o Clock) bool { return slices.Equal(c, o) }

// Join returns the least clock that descends both. It returns c or o itself where that is
// the answer.
func (c Clock) Join(o Clock) Clock {
	if c.Descends(o) {
		return c
	}
	if o.Descends(c) {
		return o
	}
	j := make(Clock, 0, len(c)+len(o))
	for len(c) > 0 && len(o) > 0 {
		switch a := c[0].Actor.Compare(o[0].Actor); {
		case a < 0:
			j, c = append(j, c[0]), c[1:]
		case a > 0:
			j, o = append(j, o[0]), o[1:]
		default:
			d := c[0]
			d.Counter = max(d.Counter, o[0].Counter)
			j, c, o = append(j, d), c[1:], o[1:]
		}
	}
	return append(append(j, c...), o...)
}

// with returns a copy of c in which d's actor has d's counter.
func (c Clock) with(d Dot) Clock {
	i, ok := c.find(d.Actor)
	if ok {
		n := slices.Clone(c)
		n[i].Counter = d.Counter
		return n
	}
	n := make(Clock, 0, len(c)+1)
	n = append(n, c[:i]...)
	n = append(n, d)
	return append(n, c[i:]...)
}
