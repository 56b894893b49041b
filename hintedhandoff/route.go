package hintedhandoff

import "slices"

// targets returns the members, as indices, that are to get a hint of owner for a key: the owner
// alone if it is an owner of the key, else all present owners. The slice is the caller's.
func (v *View) targets(owner string, partition uint16, n int) []int {
	if i, ok := v.Ring.Index(owner); ok && v.Ring.Owns(i, partition, n) {
		return []int{i}
	}
	list := v.Ring.Preference(partition)
	return slices.Clone(list[:min(len(list), v.Ring.EffectiveN(n))])
}

func (v *View) uuid(member int) string { return v.Ring.Members()[member].UUID }

// reachable reports whether the member can be given something now.
func (v *View) reachable(member int) bool { return member == v.Self || v.Alive(member) }

// reachableUUID is the same for a uuid; false if it is no member.
func (v *View) reachableUUID(uuid string) bool {
	i, ok := v.Ring.Index(uuid)
	return ok && v.reachable(i)
}

// worthwhile says whether a pass could deliver anything: always under a ring under which no pass
// has seen all of the owner's hints; later if one of those is alive that some of them wait for, or
// if there are more hints than that pass left behind. Hints that come while their owner is known
// to be away are not worth one: they grow with every write, and reading all of them again and
// again would find nothing that can be sent.
func worthwhile(o *owner, count int64, v *View) bool {
	if o.seen != v.Ring.Version() || slices.ContainsFunc(o.waiting, v.reachableUUID) {
		return true
	}
	more := count > o.left || o.cursor != position{}
	return more && (len(o.waiting) == 0 || v.reachableUUID(o.uuid))
}
