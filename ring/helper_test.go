package ring

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// uuidOf returns a fixed uuid for number i of a family of members.
func uuidOf(family string, i int) string {
	h := xxhash.Sum64String(fmt.Sprintf("%s/%d", family, i))
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", uint32(h), uint16(h>>32), uint16(h>>48)&0xfff, i&0xfff, h>>16)
}

// cluster returns a document with q partitions and members full members of
// weight 1 without zones. Different families have different uuids.
func cluster(family string, q, n, members int) Document {
	d := Document{Cluster: "c-" + family, Version: 1, Partitions: q, N: n, Tokens: DefaultTokens}
	for i := range members {
		d.Members = append(d.Members, Member{
			UUID: uuidOf(family, i), Name: fmt.Sprintf("node%d", i), Weight: 1, Status: StatusMember,
		})
	}
	return d
}

func mustNew(tb testing.TB, d Document) *Ring {
	tb.Helper()
	r, err := New(d)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// randomDocument returns a small valid document with anything that may vary.
func randomDocument(rnd *rand.Rand) Document {
	d := Document{
		Cluster:    "c",
		Version:    1,
		Partitions: 1 << rnd.IntN(6),
		N:          1 + rnd.IntN(6),
		Tokens:     1 + rnd.IntN(6),
	}
	zones := []string{"", "a", "b", "c", "d"}[rnd.IntN(5):]
	zones = zones[:1+rnd.IntN(len(zones))]
	for i := range 1 + rnd.IntN(9) {
		m := Member{
			UUID:   fmt.Sprintf("%016x", rnd.Uint64()),
			Name:   fmt.Sprint("m", i),
			Zone:   zones[rnd.IntN(len(zones))],
			Weight: 1,
			Status: StatusMember,
		}
		if rnd.IntN(4) == 0 {
			m.Weight = 1 + rnd.IntN(5)
		}
		// The first one stays a member: somebody must own the data.
		if i > 0 && rnd.IntN(4) == 0 {
			m.Status = []Status{StatusJoining, StatusLeaving}[rnd.IntN(2)]
		}
		d.Members = append(d.Members, m)
	}
	for range rnd.IntN(3) {
		d.Removed = append(d.Removed, fmt.Sprintf("%016x", rnd.Uint64()))
	}
	return d
}

// owners returns the uuids of the members that own p at the cluster's N.
func owners(r *Ring, p int) map[string]bool {
	set := make(map[string]bool)
	for _, m := range r.Preference(uint16(p))[:r.EffectiveN(0)] {
		set[r.Members()[m].UUID] = true
	}
	return set
}

// moved counts the replicas of b that are not where a has one: what must be copied.
func moved(a, b *Ring) int {
	count := 0
	for p := range b.Partitions() {
		before := owners(a, p)
		for uuid := range owners(b, p) {
			if !before[uuid] {
				count++
			}
		}
	}
	return count
}

// fullest returns the largest number of replicas relative to the weight, and the
// mean, over the members that may own.
func fullest(r *Ring) (most, mean float64) {
	weights := 0
	for i, m := range r.Members() {
		if m.owns() {
			weights += m.Weight
			most = max(most, float64(r.Replicas(i))/float64(m.Weight))
		}
	}
	return most, float64(r.Partitions()*r.EffectiveN(0)) / float64(weights)
}

// distinctZones counts the zones of members, each without one counting alone.
func distinctZones(r *Ring, members []int) int {
	zones, alone := make(map[string]bool), 0
	for _, m := range members {
		if z := r.Members()[m].Zone; z != "" {
			zones[z] = true
		} else {
			alone++
		}
	}
	return len(zones) + alone
}
