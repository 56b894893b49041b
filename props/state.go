package props

import (
	"bytes"
	"cmp"
	"encoding/json"

	"cartwheel/vclock"
)

// stamp orders changes: by hybrid time, then by the uuid of the node that made the change.
// The zero stamp is before every other.
type stamp struct {
	time vclock.Time
	node string
}

func (s stamp) compare(o stamp) int {
	return cmp.Or(cmp.Compare(s.time, o.time), cmp.Compare(s.node, o.node))
}

// register is the last write of one property. A nil value means the default.
type register struct {
	stamp
	value json.RawMessage
}

// compare orders registers. One node stamps no two changes alike, but a restored or cloned
// one might: the value decides then, so that all nodes still agree.
func (r register) compare(o register) int {
	return cmp.Or(r.stamp.compare(o.stamp), bytes.Compare(r.value, o.value))
}

// state is the document of one bucket. Every register is later than reset. It is immutable
// once it is part of a Set.
type state struct {
	reset stamp
	props map[string]register
}

// merge joins what two nodes know of a bucket; changed says that the result differs from s.
// Neither argument is modified; the result may share s's map.
func (s state) merge(o state) (m state, changed bool) {
	m.reset = s.reset
	if o.reset.compare(s.reset) > 0 {
		m.reset, changed = o.reset, true
	}
	var newer []string
	for name, r := range o.props {
		old, known := s.props[name]
		if r.stamp.compare(m.reset) > 0 && (!known || r.compare(old) > 0) {
			newer = append(newer, name)
		}
	}
	if !changed && len(newer) == 0 {
		return s, false
	}
	m.props = make(map[string]register, len(s.props)+len(newer))
	for name, r := range s.props {
		if r.stamp.compare(m.reset) > 0 {
			m.props[name] = r
		}
	}
	for _, name := range newer {
		m.props[name] = o.props[name]
	}
	return m, true
}

// latest returns the latest time in the state.
func (s state) latest() vclock.Time {
	t := s.reset.time
	for _, r := range s.props {
		t = max(t, r.time)
	}
	return t
}

// own counts the properties that have a value of their own.
func (s state) own() int {
	n := 0
	for _, r := range s.props {
		if r.value != nil {
			n++
		}
	}
	return n
}
