package ring

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// slackPercent is how far above its fair share a member may go. Smaller keeps
// the members closer together but moves more when one joins.
const slackPercent = 5

// tokens returns the member's count tokens, sorted. Token i is the hash of the
// uuid followed by i in eight bytes; the fixed width keeps uuid and index apart.
func tokens(uuid string, count int) []uint64 {
	buf := make([]byte, len(uuid)+8)
	copy(buf, uuid)
	ts := make([]uint64, count)
	for i := range ts {
		binary.BigEndian.PutUint64(buf[len(uuid):], uint64(i))
		ts[i] = xxhash.Sum64(buf)
	}
	slices.Sort(ts)
	return ts
}

// hashShift is by how much a 64-bit hash is shifted right to get one of q partitions.
func hashShift(q int) int { return 64 - bits.TrailingZeros(uint(q)) }

// A pair is a partition and a member that may come to own it.
type pair struct {
	distance          uint64 // clockwise, from the end of the partition to the member's nearest token
	partition, member uint16
}

// pairsByDistance returns all pairs of d, nearest first. d is valid and
// canonical, so that ties between members go by uuid.
func pairsByDistance(d Document) []pair {
	pairs := make([]pair, 0, d.Partitions*len(d.Members))
	shift := hashShift(d.Partitions)
	for m, member := range d.Members {
		ts := tokens(member.UUID, d.Tokens*member.Weight)
		next := 0
		for p := range d.Partitions {
			// The last partition ends where the hash space wraps to 0. A shift by
			// 64, of the only partition, gives 0 as well.
			end := uint64(p+1) << shift
			if end == 0 {
				next = 0
			}
			for next < len(ts) && ts[next] < end {
				next++
			}
			// Unsigned subtraction is the clockwise distance across zero, too.
			pairs = append(pairs, pair{ts[next%len(ts)] - end, uint16(p), uint16(m)})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if a.distance != b.distance { // nearly always, and sorting is most of the cost of New
			return cmp.Compare(a.distance, b.distance)
		}
		return cmp.Or(cmp.Compare(a.member, b.member), cmp.Compare(a.partition, b.partition))
	})
	return pairs
}

// A match is the state of one run of the capped match: who owns what so far.
type match struct {
	members []Member
	zones   []int // zone of each member, by number
	room    []int // how many more partitions each member may own; below 0 if it owns more
	owners  [][]uint16
	slots   []int // owners that each partition still needs
	lacking []int // of these, how many are needed for zones that hold no replica; never above slots
}

// runMatch chooses min(N, members that own) distinct owners for each partition
// of d, in no particular order, from all pairs of d, nearest first.
func runMatch(d Document, zones []int, pairs []pair) [][]uint16 {
	m := newMatch(d, zones)
	for _, mayOverflow := range []bool{false, true} {
		for _, pr := range pairs {
			if m.accepts(pr, mayOverflow) {
				m.take(pr)
			}
		}
	}
	return m.owners
}

func newMatch(d Document, zones []int) *match {
	m := &match{
		members: d.Members,
		zones:   zones,
		room:    make([]int, len(d.Members)),
		owners:  make([][]uint16, d.Partitions),
		slots:   make([]int, d.Partitions),
		lacking: make([]int, d.Partitions),
	}
	owning, weights, owningZones := 0, 0, make(map[int]bool)
	for i, member := range d.Members {
		if member.owns() {
			owning++
			weights += member.Weight
			owningZones[zones[i]] = true
		}
	}
	n := min(d.N, owning)
	for i, member := range d.Members {
		if member.owns() {
			m.room[i] = d.Partitions * n * member.Weight * (100 + slackPercent) / (weights * 100)
		}
	}
	all := make([]uint16, d.Partitions*n)
	for p := range m.owners {
		m.owners[p] = all[p*n : p*n : (p+1)*n]
		m.slots[p] = n
		m.lacking[p] = min(n, len(owningZones))
	}
	return m
}

// accepts says whether the pair may be taken now. A pair refused for its zone or
// as owned already is refused for good; only a full member is asked again, when
// overflow is allowed. So two walks over the pairs settle everything: slots
// minus lacking never grows, because only a take changes them, a take into a new
// zone lowers both, and any other lowers slots alone.
func (m *match) accepts(pr pair, mayOverflow bool) bool {
	p, c := pr.partition, pr.member
	if m.slots[p] == 0 || !m.members[c].owns() || m.room[c] <= 0 && !mayOverflow {
		return false
	}
	if slices.Contains(m.owners[p], c) {
		return false
	}
	return m.slots[p] > m.lacking[p] || !m.holdsZone(p, m.zones[c])
}

func (m *match) take(pr pair) {
	p, c := pr.partition, pr.member
	if m.lacking[p] > 0 && !m.holdsZone(p, m.zones[c]) {
		m.lacking[p]--
	}
	m.owners[p] = append(m.owners[p], c)
	m.slots[p]--
	m.room[c]--
}

// holdsZone says whether a member of the zone owns p. Owners are few: a scan
// is faster than a table of partitions and zones.
func (m *match) holdsZone(p uint16, zone int) bool {
	return slices.ContainsFunc(m.owners[p], func(o uint16) bool { return m.zones[o] == zone })
}

// zoneNumbers numbers the zones from 0. A member without a zone gets one of its own.
func zoneNumbers(members []Member) []int {
	numbers, next := make(map[string]int), 0
	zones := make([]int, len(members))
	for i, m := range members {
		z, known := numbers[m.Zone]
		if m.Zone == "" || !known {
			z = next
			next++
			numbers[m.Zone] = z
		}
		zones[i] = z
	}
	return zones
}
