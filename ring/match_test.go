package ring

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// naive is a second implementation of the placement rule, written from the
// package document with no thought of speed: after each step it looks at every
// pair again.
type naive struct {
	d      Document
	owners []map[string]bool // uuids by partition
	load   map[string]int
}

func (v *naive) distance(p int, m Member) uint64 {
	end := uint64(0)
	if v.d.Partitions > 1 {
		end = uint64(p+1) * (1 << 63 / uint64(v.d.Partitions) * 2)
	}
	best := ^uint64(0)
	for i := range v.d.Tokens * m.Weight {
		token := xxhash.Sum64(binary.BigEndian.AppendUint64([]byte(m.UUID), uint64(i)))
		best = min(best, token-end)
	}
	return best
}

// zoneOf makes a zone for whoever has none.
func zoneOf(m Member) string {
	if m.Zone == "" {
		return "only " + m.UUID
	}
	return "zone " + m.Zone
}

func (v *naive) owning() (members []Member, weights int) {
	for _, m := range v.d.Members {
		if m.Status == StatusMember || m.Status == StatusLeaving {
			members = append(members, m)
			weights += m.Weight
		}
	}
	return members, weights
}

// allowed says whether m can be one more owner of p such that the remaining
// slots still suffice for all zones that p could reach.
func (v *naive) allowed(p int, m Member) bool {
	members, _ := v.owning()
	n := min(v.d.N, len(members))
	if len(v.owners[p]) >= n || v.owners[p][m.UUID] {
		return false
	}
	zones, held := make(map[string]bool), make(map[string]bool)
	for _, o := range members {
		zones[zoneOf(o)] = true
		if v.owners[p][o.UUID] {
			held[zoneOf(o)] = true
		}
	}
	held[zoneOf(m)] = true
	return len(held)+n-len(v.owners[p])-1 >= min(n, len(zones))
}

func (v *naive) hasRoom(m Member) bool {
	members, weights := v.owning()
	share := v.d.Partitions * min(v.d.N, len(members)) * m.Weight
	// One more must not exceed 105 % of the share.
	return (v.load[m.UUID]+1)*weights*100 <= share*105
}

// step takes the nearest pair that ok admits, and says whether there was one.
func (v *naive) step(ok func(p int, m Member) bool) bool {
	members, _ := v.owning()
	found, bestP, bestM, best := false, 0, Member{}, uint64(0)
	for p := range v.d.Partitions {
		for _, m := range members {
			if d := v.distance(p, m); ok(p, m) && (!found || d < best) {
				found, bestP, bestM, best = true, p, m, d
			}
		}
	}
	if found {
		v.owners[bestP][bestM.UUID] = true
		v.load[bestM.UUID]++
	}
	return found
}

// list orders all members for p: again and again the best of those left.
func (v *naive) list(p int) []string {
	left := slices.Clone(v.d.Members)
	entries := make(map[string]int) // by zone
	group := func(m Member) int {
		switch {
		case v.owners[p][m.UUID]:
			return 0
		case m.Status == StatusJoining:
			return 2
		}
		return 1
	}
	var list []string
	for len(left) > 0 {
		best := 0
		for i, m := range left {
			b := left[best]
			a := [2]int{group(m), entries[zoneOf(m)]}
			c := [2]int{group(b), entries[zoneOf(b)]}
			if slices.Compare(a[:], c[:]) < 0 || a == c && v.distance(p, m) < v.distance(p, b) {
				best = i
			}
		}
		entries[zoneOf(left[best])]++
		list = append(list, left[best].UUID)
		left = slices.Delete(left, best, best+1)
	}
	return list
}

func naiveLists(d Document) [][]string {
	v := &naive{d: d, load: make(map[string]int)}
	for range d.Partitions {
		v.owners = append(v.owners, make(map[string]bool))
	}
	for v.step(func(p int, m Member) bool { return v.allowed(p, m) && v.hasRoom(m) }) {
	}
	for v.step(v.allowed) {
	}
	var lists [][]string
	for p := range d.Partitions {
		lists = append(lists, v.list(p))
	}
	return lists
}

func uuidLists(r *Ring) [][]string {
	var lists [][]string
	for p := range r.Partitions() {
		var list []string
		for _, m := range r.Preference(uint16(p)) {
			list = append(list, r.Members()[m].UUID)
		}
		lists = append(lists, list)
	}
	return lists
}

func TestPlacementEqualsNaive(t *testing.T) {
	for seed := range uint64(60) {
		d := randomDocument(rand.New(rand.NewPCG(seed, 0)))
		d.Partitions = min(d.Partitions, 16)
		got, want := uuidLists(mustNew(t, d)), naiveLists(d)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: %+v\ngot  %v\nwant %v", seed, d, got, want)
		}
	}
}

// checkLaws fails the test if the ring of d breaks what the package promises of every document.
func checkLaws(t *testing.T, d Document) {
	t.Helper()
	r := mustNew(t, d)
	n, members := r.EffectiveN(0), r.Members()
	owning, weights, load := []int(nil), 0, make([]int, len(members))
	for i, m := range members {
		if m.Status != StatusJoining {
			owning = append(owning, i)
			weights += m.Weight
		}
	}
	if n != min(d.N, len(owning)) {
		t.Fatalf("effective N is %d with N %d and %d members that own: %+v", n, d.N, len(owning), d)
	}
	for p := range d.Partitions {
		list := r.Preference(uint16(p))
		sorted := slices.Sorted(slices.Values(list))
		if len(list) != len(members) || len(slices.Compact(sorted)) != len(members) {
			t.Fatalf("partition %d: list %v is not every one of %d members once: %+v", p, list, len(members), d)
		}
		for i, m := range list {
			if members[m].Status == StatusJoining && i < len(owning) {
				t.Fatalf("partition %d: list %v has joining %d before one that may own: %+v", p, list, m, d)
			}
			if i < n {
				load[m]++
			}
		}
		// As many zones as there can be, and so for each n up to N.
		for k := 1; k <= n; k++ {
			got, want := distinctZones(r, list[:k]), min(k, distinctZones(r, owning))
			if got != want {
				t.Fatalf("partition %d: first %d of %v lie in %d zones, want %d: %+v", p, k, list, got, want, d)
			}
		}
	}
	checkCaps(t, r, owning, load, weights)
}

// checkCaps fails the test if a member is above its cap without need.
func checkCaps(t *testing.T, r *Ring, owning, load []int, weights int) {
	t.Helper()
	n := r.EffectiveN(0)
	limit := func(m int) int { return r.Partitions() * n * r.Members()[m].Weight * 105 / (weights * 100) }
	for _, m := range owning {
		if load[m] != r.Replicas(m) {
			t.Fatalf("Replicas(%d) = %d, the lists say %d: %+v", m, r.Replicas(m), load[m], r.Document())
		}
		if excess := load[m] - limit(m); excess > forced(r, m, n, load, limit) {
			t.Fatalf("member %d owns %d, %d above its cap, though others had room: %+v", m, load[m], excess, r.Document())
		}
	}
}

// forced counts the partitions of m that no other member could have taken from
// it in the end: each is full, an owner too, or in a zone that would not do.
func forced(r *Ring, m, n int, load []int, limit func(int) int) int {
	count := 0
	for p := range r.Partitions() {
		list := r.Preference(uint16(p))
		own := list[:n]
		if !slices.Contains(own, m) {
			continue
		}
		taker := slices.ContainsFunc(list[n:], func(o int) bool {
			if r.Members()[o].Status == StatusJoining || load[o] >= limit(o) {
				return false
			}
			swapped := slices.Clone(own)
			swapped[slices.Index(own, m)] = o
			return distinctZones(r, swapped) >= distinctZones(r, own)
		})
		if !taker {
			count++
		}
	}
	return count
}

// The comparison with the naive match is of small rings; that nearest comes
// first also holds where the distances lie close together.
func TestPairsAreNearestFirst(t *testing.T) {
	d := cluster("pairs", 1024, 3, 32).canonical()
	pairs, v := pairsByDistance(d), naive{d: d}
	seen := make(map[[2]uint16]bool)
	for i, pr := range pairs {
		seen[[2]uint16{pr.partition, pr.member}] = true
		if i > 0 && pairs[i-1].distance > pr.distance {
			t.Fatalf("pair %d: distance %d after %d", i, pr.distance, pairs[i-1].distance)
		}
		if i%97 == 0 {
			if want := v.distance(int(pr.partition), d.Members[pr.member]); pr.distance != want {
				t.Fatalf("partition %d, member %d: distance %d, want %d", pr.partition, pr.member, pr.distance, want)
			}
		}
	}
	if len(seen) != 1024*32 || len(pairs) != 1024*32 {
		t.Errorf("%d pairs, %d different, want %d", len(pairs), len(seen), 1024*32)
	}
}

func TestPlacementLaws(t *testing.T) {
	for seed := range uint64(500) {
		checkLaws(t, randomDocument(rand.New(rand.NewPCG(seed, 1))))
	}
}

func TestPlacementIgnoresOrder(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		d := randomDocument(rnd)
		want := mustNew(t, d)
		rnd.Shuffle(len(d.Members), func(i, j int) { d.Members[i], d.Members[j] = d.Members[j], d.Members[i] })
		if got := mustNew(t, d); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: the order of members changes the ring: %+v", seed, d)
		}
	}
}

// Names, addresses, version and removed uuids say nothing about placement.
func TestPlacementDependsOnWhatItShould(t *testing.T) {
	d := cluster("depends", 64, 3, 5)
	want := uuidLists(mustNew(t, d))
	other := cluster("depends", 64, 3, 5)
	other.Version, other.Parent, other.Cluster, other.Removed = 2, d.Hash(), "x", []string{"r"}
	for i := range other.Members {
		other.Members[i].Name, other.Members[i].Peer = fmt.Sprint("other", i), "p:1"
	}
	if !reflect.DeepEqual(uuidLists(mustNew(t, other)), want) {
		t.Error("placement depends on more than uuids, zones, weights and statuses")
	}
	// One zone for all is as good as none.
	for i := range other.Members {
		other.Members[i].Zone = "a"
	}
	if !reflect.DeepEqual(uuidLists(mustNew(t, other)), want) {
		t.Error("one zone for all changes the placement")
	}
	// A leaving member owns what it owned as a member.
	other.Members[2].Status = StatusLeaving
	if !reflect.DeepEqual(uuidLists(mustNew(t, other)), want) {
		t.Error("leaving changes the placement")
	}
}

// A joining member owns nothing, stands last, and moves nothing.
func TestJoiningChangesNothing(t *testing.T) {
	d := cluster("joining", 64, 3, 6)
	d.Members[4].Status = StatusJoining
	without := d
	without.Members = slices.Delete(slices.Clone(d.Members), 4, 5)
	with, before := uuidLists(mustNew(t, d)), uuidLists(mustNew(t, without))
	for p := range with {
		if want := append(before[p], d.Members[4].UUID); !slices.Equal(with[p], want) {
			t.Fatalf("partition %d: %v, want %v", p, with[p], want)
		}
	}
}

func FuzzPlacement(f *testing.F) {
	f.Add(uint64(0), uint64(0), uint8(4), uint8(3))
	f.Add(uint64(7), uint64(9), uint8(0), uint8(1))
	f.Add(uint64(1), uint64(2), uint8(5), uint8(64))
	f.Fuzz(func(t *testing.T, a, b uint64, logQ, n uint8) {
		d := randomDocument(rand.New(rand.NewPCG(a, b)))
		d.Partitions, d.N = 1<<(logQ%5), 1+int(n)%maxN
		checkLaws(t, d)
		if got, want := uuidLists(mustNew(t, d)), naiveLists(d); !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v\ngot  %v\nwant %v", d, got, want)
		}
	})
}
