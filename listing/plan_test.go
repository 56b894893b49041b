package listing

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"cartwheel/ring"
)

// Each partition is asked of one owner that can be asked and was not tried; all have about the same
// to do; who is behind is not asked.
func TestPlan(t *testing.T) {
	t.Parallel()
	r := testRing(t, 5, 64, 3)
	all := make([]uint16, 64)
	for p := range all {
		all[p] = uint16(p)
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		away := rnd.IntN(32)
		behind := rnd.IntN(7) - 1
		tried := map[uint16][]int{}
		for range rnd.IntN(40) {
			p := all[rnd.IntN(len(all))]
			tried[p] = append(tried[p], rnd.IntN(5))
		}
		n := rnd.IntN(4)
		v := &View{Ring: r, Self: 2, Usable: func(m int) bool { return away>>m&1 == 0 }}
		lacks := func(m int, p uint16) bool { return m == behind && p%3 > 0 }
		groups, missing := plan(v, lacks, n, all, tried)
		able := func(m int, p uint16) bool {
			return r.Owns(m, p, n) && away>>m&1 == 0 && !lacks(m, p) && !slices.Contains(tried[p], m)
		}
		var seen []uint16
		for _, g := range groups {
			for _, p := range g.partitions {
				seen = append(seen, p)
				if !able(g.member, p) {
					t.Errorf("member %d is asked about %d", g.member, p)
				}
			}
		}
		for _, p := range missing {
			seen = append(seen, p)
			for m := range 5 {
				if able(m, p) {
					t.Errorf("nobody is asked about %d, which %d owns", p, m)
				}
			}
		}
		slices.Sort(seen)
		if !slices.Equal(seen, all) {
			t.Errorf("partitions %v", seen)
		}
	}
	groups, _ := plan(&View{Ring: r, Self: 2, Usable: func(int) bool { return true }}, func(int, uint16) bool { return false }, 3, all, nil)
	for _, g := range groups {
		if n := len(g.partitions); n < 11 || n > 15 {
			t.Errorf("member %d has %d of 64 partitions", g.member, n)
		}
	}
}

// FuzzStep: stepping through the records of a partition finds what a look at each one finds.
func FuzzStep(f *testing.F) {
	f.Add("a\x00b\x00ab\x00abc", "a", "ab")
	f.Add("\xff\x00\xff\xff\x00"+strings.Repeat("x", 130)+"\x00", "\xff", "")
	f.Fuzz(func(t *testing.T, all, prefix, start string) {
		var names []string
		for i, bucket := range strings.Split(all, "\x00") {
			for _, typ := range []string{"", "d", "t"} {
				names = append(names, ring.Key{Type: typ, Bucket: bucket, Key: string(rune('a' + i%3))}.Name())
			}
		}
		slices.Sort(names)
		s := newSpace(buckets, "", "", prefix, start)
		var want, got []string
		for _, name := range names {
			if k, _ := ring.ParseName(name); k.Type == "default" && strings.HasPrefix(k.Bucket, prefix) && k.Bucket >= start {
				want = append(want, k.Bucket)
			}
		}
		want = slices.Compact(want)
		seek := func(bound string) int { at, _ := slices.BinarySearch(names, s.base+bound); return at }
		for at := seek(s.first()); at < len(names) && strings.HasPrefix(names[at], s.base); {
			do, entry, next, err := s.step([]byte(names[at][len(s.base):]))
			if err != nil || do == stop {
				t.Fatalf("at %q: %v, %v", names[at], do, err)
			}
			if do == take {
				got = append(got, bucketOf(string(entry)))
				next = s.past(string(entry))
			}
			if to := seek(next); to <= at {
				t.Fatalf("at %q: on to %q", names[at], next)
			} else {
				at = to
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("buckets of %q with prefix %q from %q: %q, want %q", names, prefix, start, got, want)
		}
	})
}

func TestSmallest(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		k := smallest{limit: rnd.IntN(10), bytes: rnd.IntN(400)}
		var all []string
		for range rnd.IntN(40) {
			all = append(all, randomName(rnd, 8))
		}
		slices.Sort(all)
		all = slices.Compact(all)
		for _, i := range rnd.Perm(len(all)) {
			k.add(all[i])
		}
		got := k.sorted()
		if !slices.Equal(got, all[:len(got)]) || k.dropped != (len(got) < len(all)) || len(got) == 0 && len(all) > 0 ||
			k.limit > 0 && len(got) > k.limit {
			t.Errorf("%+v of %q: %q", k, all, got)
		}
	}
}
