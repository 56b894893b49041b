package antientropy

import (
	"slices"
)

// A pair is one tree's place: a partition and the n_val of its keys' buckets. Replicas of a pair
// hold the same keys.
type pair struct {
	partition uint16
	n         int
}

// A plan is what follows from a view for this node. It is immutable.
type plan struct {
	view   *View
	self   string
	n      int // owners of a partition at the highest level
	owned  []uint16
	shared map[string][]pair // by member: the pairs that both own, ascending
}

// newPlan returns nil if the node is no member of the ring. old, if not nil, lends what has not
// changed: only the ring and the levels matter here.
func newPlan(v *View, old *plan) *plan {
	if v == nil || v.Ring == nil || v.Self < 0 || len(v.Levels) == 0 {
		return nil
	}
	if old != nil && old.view.Ring == v.Ring && old.view.Self == v.Self && slices.Equal(old.view.Levels, v.Levels) {
		reused := *old
		reused.view = v
		return &reused
	}
	members := v.Ring.Members()
	p := &plan{
		view: v, self: members[v.Self].UUID, n: v.Ring.EffectiveN(slices.Max(v.Levels)),
		shared: make(map[string][]pair),
	}
	for i := range v.Ring.Partitions() {
		partition := uint16(i)
		if !slices.Contains(p.owners(partition), v.Self) {
			continue
		}
		p.owned = append(p.owned, partition)
		for _, n := range v.Levels {
			if !v.Ring.Owns(v.Self, partition, n) {
				continue
			}
			for _, m := range v.Ring.Preference(partition)[:v.Ring.EffectiveN(n)] {
				if m != v.Self {
					p.shared[members[m].UUID] = append(p.shared[members[m].UUID], pair{partition, n})
				}
			}
		}
	}
	return p
}

// owners returns the owners of a partition at the highest level, as indices of members: they own
// it at every level that the first of them own.
func (p *plan) owners(partition uint16) []int {
	list := p.view.Ring.Preference(partition)
	return list[:min(p.n, len(list))]
}

// owns says whether this node has trees for the partition.
func (p *plan) owns(partition uint16) bool {
	return slices.Contains(p.owners(partition), p.view.Self)
}

// shares says whether both this node and the member of that index own the pair.
func (p *plan) shares(member int, q pair) bool {
	r := p.view.Ring
	return slices.Contains(p.view.Levels, q.n) && r.Owns(p.view.Self, q.partition, q.n) && r.Owns(member, q.partition, q.n)
}

// others returns the uuids of the other owners of a partition.
func (p *plan) others(partition uint16) []string {
	var uuids []string
	for _, m := range p.owners(partition) {
		if m != p.view.Self {
			uuids = append(uuids, p.view.Ring.Members()[m].UUID)
		}
	}
	return uuids
}

// alive says whether the member is a live one.
func (p *plan) alive(uuid string) bool {
	i, ok := p.view.Ring.Index(uuid)
	return ok && i < len(p.view.Alive) && p.view.Alive[i]
}
