package ring

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// seeds is how many sets of uuids each size of cluster is measured with. Ring
// computation is pure, so the figures never change and the bounds need no room
// for chance.
const seeds = 5

// plainWalk counts what each member would own without caps: strategy 1 of §6.2,
// the first N distinct members clockwise, here from the end of each partition.
func plainWalk(d Document) []int {
	d = d.canonical()
	load, taken := make([]int, len(d.Members)), make([]int, d.Partitions)
	for _, pr := range pairsByDistance(d) {
		if taken[pr.partition] < d.N {
			taken[pr.partition]++
			load[pr.member]++
		}
	}
	return load
}

// Dynamo §6.2, strategy 3: partitions of equal size, so that owning equally many
// is owning equally much, and a change of members moves little more than the
// share of the one who came or went.
func TestDynamo62BalanceAndMovement(t *testing.T) {
	const q, n = 1024, 3
	var table strings.Builder
	fmt.Fprintf(&table, "Q=%d N=%d tokens=%d, mean (worst) of %d sets of uuids\n", q, n, DefaultTokens, seeds)
	table.WriteString("members  plain max/mean  capped max/mean  join: moved/ideal  leave: moved/ideal\n")
	for _, members := range []int{4, 8, 16, 32} {
		var plain, balance, join, leave []float64
		for seed := range seeds {
			d := cluster(fmt.Sprintf("dynamo-%d-%d", members, seed), q, n, members+1)
			large := mustNew(t, d)
			d.Members = d.Members[:members]
			small := mustNew(t, d)

			most, mean := fullest(small)
			if limit := math.Floor(mean * 1.05); most > limit {
				t.Errorf("%d members, seed %d: fullest owns %.0f, mean %.1f, cap %.0f", members, seed, most, mean, limit)
			}
			plain = append(plain, float64(slices.Max(plainWalk(d)))/mean)
			balance = append(balance, most/mean)

			// The one who joins has to receive its share, the ones who stay
			// after a leave have to receive the share of the one who went.
			ideal := float64(q*n) / float64(members+1)
			join = append(join, float64(moved(small, large))/ideal)
			leave = append(leave, float64(moved(large, small))/ideal)
		}
		for what, v := range map[string][]float64{"joins": join, "leaves": leave} {
			if mean := average(v); mean > 1.25 || slices.Max(v) > 1.3 {
				t.Errorf("%d members: when one %s, %.3f of the ideal moves on average, %.3f at worst, want <= 1.25, 1.3", members, what, mean, slices.Max(v))
			}
		}
		fmt.Fprintf(&table, "%7d  %s    %s     %s       %s\n", members, show(plain), show(balance), show(join), show(leave))
	}
	t.Log("\n" + table.String())
}

func average(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

func show(v []float64) string { return fmt.Sprintf("%.3f (%.3f)", average(v), slices.Max(v)) }

// Dynamo §6.2, figure 8: load balancing efficiency, mean over maximum, with 30
// nodes and N=3; the paper finds strategy 3 the best and shows it above 0.9.
func TestDynamo62Efficiency(t *testing.T) {
	most, mean := fullest(mustNew(t, cluster("figure8", 1024, 3, 30)))
	if efficiency := mean / most; efficiency < 0.95 {
		t.Errorf("efficiency with 30 members is %.3f, want 0.95", efficiency)
	}
}

// Dynamo §4.2: a node may take more tokens if it has more capacity.
func TestDynamo42Weights(t *testing.T) {
	d := cluster("weights", 1024, 3, 9)
	for i := range d.Members {
		d.Members[i].Weight = 1 + i%3
	}
	r := mustNew(t, d)
	most, mean := fullest(r)
	if most > mean*1.05 {
		t.Errorf("fullest owns %.1f per weight, mean %.1f", most, mean)
	}
	for i, m := range r.Members() {
		if share := float64(r.Replicas(i)) / float64(m.Weight) / mean; share < 0.8 {
			t.Errorf("weight %d owns only %.2f of its share", m.Weight, share)
		}
	}
}

// A weight that asks for more than every partition gets every partition, and
// the rest is shared by the others.
func TestHugeWeight(t *testing.T) {
	d := cluster("huge", 1024, 3, 5)
	d.Members[2].Weight = maxWeight
	r := mustNew(t, d)
	for i, m := range r.Members() {
		want := 1024.0
		if m.Weight == 1 {
			want = 1024 * 2 / 4
		}
		if got := float64(r.Replicas(i)); got < want*0.85 || got > want*1.15 {
			t.Errorf("weight %d owns %.0f of 1024 partitions, want about %.0f", m.Weight, got, want)
		}
	}
}

// zoned is a cluster whose zone z has sizes[z] members.
func zoned(family string, q, n int, sizes ...int) Document {
	d := cluster(family, q, n, 0)
	for z, size := range sizes {
		for range size {
			one := cluster(family, q, n, len(d.Members)+1).Members[len(d.Members)]
			one.Zone = fmt.Sprint("zone", z)
			d.Members = append(d.Members, one)
		}
	}
	return d
}

// Dynamo §4.6: each object is replicated across data centres, here zones.
func TestDynamo46Zones(t *testing.T) {
	for _, c := range []struct {
		what   string
		n      int
		sizes  []int
		zones  int     // that each partition must reach
		excess float64 // of the fullest over the mean, where zones allow balance
	}{
		{"three of two", 3, []int{2, 2, 2}, 3, 1.05},
		{"three of one", 3, []int{1, 1, 1}, 3, 1.05},
		{"three of four", 3, []int{4, 4, 4}, 3, 1.05},
		{"five of two, more zones than replicas", 3, []int{2, 2, 2, 2, 2}, 3, 1.05},
		{"two of three, fewer zones than replicas", 3, []int{3, 3}, 2, 1.05},
		{"one of five", 3, []int{5}, 1, 1.05},
		{"more zones than replicas, one small", 3, []int{4, 4, 4, 3}, 3, 1.06},
		{"zones near to their limit, where the greedy walk gets stuck", 3, []int{3, 2, 3, 2}, 3, 1.2},
		{"one zone too small for its share", 3, []int{2, 2, 1}, 3, 5.0 / 3},
		{"one zone too large for its share", 3, []int{4, 1, 1}, 3, 2},
		{"small zone, fewer zones than replicas", 3, []int{5, 1}, 2, 2},
		{"two replicas", 2, []int{3, 3, 3}, 2, 1.05},
	} {
		r := mustNew(t, zoned("zones", 256, c.n, c.sizes...))
		for p := range r.Partitions() {
			own := r.Preference(uint16(p))[:r.EffectiveN(0)]
			if got := distinctZones(r, own); got != c.zones {
				t.Fatalf("%s: partition %d has replicas in %d zones, want %d", c.what, p, got, c.zones)
			}
		}
		if most, mean := fullest(r); most > mean*c.excess+0.001 {
			t.Errorf("%s: fullest owns %.0f, mean %.1f, want a ratio of at most %.2f", c.what, most, mean, c.excess)
		}
	}
}

// A bucket with its own n_val also gets as many zones as it can.
func TestZonesOfOtherN(t *testing.T) {
	r := mustNew(t, zoned("zones-n", 256, 3, 3, 3))
	for p := range r.Partitions() {
		list := r.Preference(uint16(p))
		if distinctZones(r, list[:2]) != 2 {
			t.Fatalf("partition %d: n_val 2 keeps both replicas in one of two zones", p)
		}
	}
	r = mustNew(t, zoned("zones-n", 256, 3, 2, 2, 2, 2, 2))
	for p := range r.Partitions() {
		list := r.Preference(uint16(p))
		if distinctZones(r, list[:5]) != 5 {
			t.Fatalf("partition %d: n_val 5 reaches %d of 5 zones", p, distinctZones(r, list[:5]))
		}
	}
}

// Members get their zones one at a time while a cluster runs. Were "no zone" a
// place, the first one labelled would have to hold everything, three times its
// share here; the bound is what uneven zones cost on the way.
func TestZonesOneAtATime(t *testing.T) {
	d := cluster("label", 256, 3, 9)
	for i := range d.Members {
		d.Members[i].Zone = fmt.Sprint("zone", i%3)
		most, mean := fullest(mustNew(t, d))
		if most > mean*1.25 {
			t.Errorf("after %d of 9 members: fullest owns %.0f, mean %.1f", i+1, most, mean)
		}
		checkLaws(t, d)
	}
}

// One member more in a zoned cluster also moves little.
func TestZonedMovement(t *testing.T) {
	d := zoned("zones-move", 1024, 3, 4, 4, 4)
	before := mustNew(t, d)
	d.Members = append(d.Members, zoned("zones-move", 1024, 3, 4, 4, 5).Members[12])
	after := mustNew(t, d)
	got, ideal := moved(before, after), float64(after.Replicas(indexOf(t, after, d.Members[12].UUID)))
	t.Logf("moved %d, the new member owns %.0f", got, ideal)
	if float64(got) > 1.5*ideal {
		t.Errorf("%d replicas move for a member that owns %.0f", got, ideal)
	}
}

func indexOf(t *testing.T, r *Ring, uuid string) int {
	t.Helper()
	i, ok := r.Index(uuid)
	if !ok {
		t.Fatalf("no member %s", uuid)
	}
	return i
}
