package ring

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// A Ring answers where keys live under one document. It is immutable and safe
// for concurrent use; it holds no resource and needs no closing.
type Ring struct {
	doc      Document // canonical: members by uuid
	shift    int      // of a hash, to its partition
	owning   int      // members that may own partitions
	lists    [][]int  // preference list of each partition
	replicas []int    // partitions that each member owns
	index    map[string]int
}

// New computes the ring of d, which it does not keep. It returns the error of
// d.Validate if d is not valid. The cost grows with partitions times members:
// some 10 ms for 1024 times 32, a second for the largest documents that are valid.
func New(d Document) (*Ring, error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("ring: document version %d: %w", d.Version, err)
	}
	d = d.canonical()
	zones := zoneNumbers(d.Members)
	pairs := pairsByDistance(d)
	owners := runMatch(d, zones, pairs)
	r := &Ring{
		doc:      d,
		shift:    hashShift(d.Partitions),
		lists:    preferenceLists(d, zones, pairs, owners),
		replicas: make([]int, len(d.Members)),
		index:    make(map[string]int, len(d.Members)),
	}
	for i, m := range d.Members {
		r.index[m.UUID] = i
		if m.owns() {
			r.owning++
		}
	}
	for _, os := range owners {
		for _, o := range os {
			r.replicas[o]++
		}
	}
	return r, nil
}

// An entry of a preference list under construction, with what orders it:
// owners, others that may own, joining; within a group by round, the number of
// entries of the same zone before it; then clockwise.
type entry struct {
	member, group, round int
}

// preferenceLists orders all members for each partition. pairs are nearest first.
func preferenceLists(d Document, zones []int, pairs []pair, owners [][]uint16) [][]int {
	size := len(d.Members)
	clockwise := make([][]int, d.Partitions)
	all := make([]int, d.Partitions*size)
	for p := range clockwise {
		clockwise[p] = all[p*size : p*size : (p+1)*size]
	}
	for _, pr := range pairs {
		clockwise[pr.partition] = append(clockwise[pr.partition], int(pr.member))
	}
	entries := make([]entry, size)
	inZone := make([]int, size) // there are at most as many zones as members
	for p, list := range clockwise {
		for i, m := range list {
			group := 1
			switch {
			case !d.Members[m].owns():
				group = 2
			case slices.Contains(owners[p], uint16(m)):
				group = 0
			}
			entries[i] = entry{member: m, group: group}
		}
		slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.group, b.group) })
		clear(inZone)
		for i := range entries {
			z := zones[entries[i].member]
			entries[i].round = inZone[z]
			inZone[z]++
		}
		slices.SortStableFunc(entries, func(a, b entry) int {
			return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.round, b.round))
		})
		for i, e := range entries {
			list[i] = e.member
		}
	}
	return clockwise
}

// Document returns the document that the ring was computed from, in canonical
// order. The copy is the caller's.
func (r *Ring) Document() Document { return r.doc.canonical() }

// Version returns the version of the document.
func (r *Ring) Version() uint64 { return r.doc.Version }

// Cluster returns the uuid of the cluster.
func (r *Ring) Cluster() string { return r.doc.Cluster }

// N returns the cluster's number of replicas as configured; see EffectiveN.
func (r *Ring) N() int { return r.doc.N }

// EffectiveN returns how many replicas keys of a bucket with n_val n have: n, or
// the number of members that may own (member or leaving) if that is smaller. An
// n of 0 or less stands for N.
func (r *Ring) EffectiveN(n int) int {
	if n <= 0 {
		n = r.doc.N
	}
	return min(n, r.owning)
}

// Members returns all members, also joining ones, sorted by uuid. Indices into
// this slice stand for members in all other methods. Shared, read-only.
func (r *Ring) Members() []Member { return r.doc.Members }

// Index returns the place in Members of the member with that uuid, and false if there is none.
func (r *Ring) Index(uuid string) (int, bool) {
	i, ok := r.index[uuid]
	return i, ok
}

// Partitions returns the number of partitions, Q.
func (r *Ring) Partitions() int { return len(r.lists) }

// Partition returns the partition, below Partitions, of the key with that Key.Name.
func (r *Ring) Partition(name string) uint16 {
	return uint16(xxhash.Sum64String(name) >> r.shift)
}

// Preference returns the preference list of partition p: each member once, as an
// index into Members; first the EffectiveN(0) owners, then the others that may
// own, then the joining. The first EffectiveN(n) entries hold the keys of a
// bucket with n_val n. Shared, read-only; nil if there is no partition p.
func (r *Ring) Preference(p uint16) []int {
	if int(p) >= len(r.lists) {
		return nil
	}
	return r.lists[p]
}

// Owns says whether the member is one of the EffectiveN(n) owners of partition p
// for buckets with n_val n. False if there is no such member or partition.
func (r *Ring) Owns(member int, p uint16, n int) bool {
	list := r.Preference(p)
	return slices.Contains(list[:min(len(list), r.EffectiveN(n))], member)
}

// Replicas returns how many partitions the member owns, counted at the cluster's
// N. All members together own Partitions() * EffectiveN(0).
func (r *Ring) Replicas(member int) int { return r.replicas[member] }
