package listing

import (
	"fmt"
	"slices"
)

// A group is partitions that one member is to be asked about.
type group struct {
	member     int
	partitions []uint16 // ascending
}

// plan chooses for each partition, given in ascending order, one of its owners at n: one that can be asked, is not
// behind, and has not been tried for it; among those the one with the least to do so
// far, so that all work at once. missing are partitions without such an owner. Groups are by member, and hold
// each partition once.
func plan(v *View, behind func(int, uint16) bool, n int, partitions []uint16, tried map[uint16][]int) (groups []group, missing []uint16) {
	load := make([][]uint16, len(v.Ring.Members()))
	for _, p := range partitions {
		best, bestRank := -1, 0
		for _, m := range owners(v, n, p) {
			if !v.Usable(m) || behind(m, p) || slices.Contains(tried[p], m) {
				continue
			}
			rank := 2 * len(load[m])
			if m == v.Self {
				rank-- // of two alike, the one that is not asked over the network
			}
			if best < 0 || rank < bestRank {
				best, bestRank = m, rank
			}
		}
		if best < 0 {
			missing = append(missing, p)
			continue
		}
		load[best] = append(load[best], p)
	}
	for m, list := range load {
		if len(list) > 0 {
			groups = append(groups, group{m, list})
		}
	}
	return groups, missing
}

// owners returns the owners of a partition, nearest first, as indices of members. Shared, read-only.
func owners(v *View, n int, partition uint16) []int {
	list := v.Ring.Preference(partition)
	return list[:min(len(list), v.Ring.EffectiveN(n))]
}

// left says which owners of the partitions were not even asked, for people.
func left(v *View, behind func(int, uint16) bool, n int, partitions []uint16) (why []string) {
	for m, member := range v.Ring.Members() {
		owned := slices.DeleteFunc(slices.Clone(partitions), func(p uint16) bool { return !slices.Contains(owners(v, n, p), m) })
		switch {
		case len(owned) > 0 && !v.Usable(m):
			why = append(why, fmt.Sprintf("member %s is away", member.Name))
		case slices.ContainsFunc(owned, func(p uint16) bool { return behind(m, p) }):
			why = append(why, fmt.Sprintf("member %s lacks writes that others keep for it or have to send it", member.Name))
		}
	}
	return why
}
