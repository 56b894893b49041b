package workload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

// chiSquare compares counts with probabilities, those of small expectation put together. It
// returns how many standard deviations the statistic is above its mean.
func chiSquare(counts []int, probability func(i int) float64, draws int) float64 {
	var statistic, restSeen, restWant float64
	bins := 0
	add := func(seen, want float64) {
		statistic += (seen - want) * (seen - want) / want
		bins++
	}
	for i, n := range counts {
		if want := probability(i) * float64(draws); want >= 20 {
			add(float64(n), want)
		} else if restSeen, restWant = restSeen+float64(n), restWant+want; restWant >= 20 {
			add(restSeen, restWant)
			restSeen, restWant = 0, 0
		}
	}
	free := float64(bins - 1)
	return (statistic - free) / math.Sqrt(2*free)
}

const tooFar = 5 // standard deviations; the seeds are fixed, so a test that passes stays so

func draw(t *testing.T, distribution string, n int64, draws int) []int {
	t.Helper()
	keys, err := ParseKeys(distribution, n)
	if err != nil {
		t.Fatal(err)
	}
	c, r := keys.Open().Chooser(), Rand(11, 0)
	counts := make([]int, n)
	for range draws {
		counts[c.Next(r)]++
	}
	return counts
}

// zetaOf is the sum that the law is normed by: the first terms one by one, and of the others the
// integral with the corrections of Euler and Maclaurin, which leave an error below 1e-12.
func zetaOf(n int64) float64 {
	const exact = 1000
	sum := 0.0
	for i := min(n, exact); i >= 1; i-- { // small ones first
		sum += math.Pow(float64(i), -theta)
	}
	if n <= exact {
		return sum
	}
	f := func(x float64) float64 { return math.Pow(x, -theta) }
	integral := (math.Pow(float64(n), 1-theta) - math.Pow(exact, 1-theta)) / (1 - theta)
	return sum + integral + (f(float64(n))-f(exact))/2 - theta/12*(f(float64(n))/float64(n)-f(exact)/exact)
}

func TestZetaOf(t *testing.T) {
	for _, n := range []int64{1, 1000, 1001, 50_000} {
		sum := 0.0
		for i := n; i >= 1; i-- {
			sum += math.Pow(float64(i), -theta)
		}
		if got := zetaOf(n); math.Abs(got-sum) > 1e-10 {
			t.Errorf("n=%d: %v, want %v", n, got, sum)
		}
	}
}

func TestInverse(t *testing.T) {
	for x := 0.5; x < 1e10; x *= 1.37 {
		if got := inverse(area(x)); math.Abs(got/x-1) > 1e-10 {
			t.Errorf("inverse(area(%v)) = %v", x, got)
		}
	}
}

func TestUniformIsUniform(t *testing.T) {
	for _, n := range []int64{1, 2, 1000} {
		counts := draw(t, Uniform, n, 200_000)
		if n == 1 {
			continue // there was no key outside
		}
		if z := chiSquare(counts, func(int) float64 { return 1 / float64(n) }, 200_000); math.Abs(z) > tooFar {
			t.Errorf("n=%d: %.1f standard deviations from uniform", n, z)
		}
	}
}

// Zipfian and latest follow the exact law, zipfian over scattered keys.
func TestZipfianLaw(t *testing.T) {
	for _, n := range []int64{2, 3, 10, 1000, 100_003} {
		const draws = 200_000
		zeta := zetaOf(n)
		law := func(rank int) float64 { return math.Pow(float64(rank+1), -theta) / zeta }
		step := scatterStep(n)

		byKey, byRank := draw(t, Zipfian, n, draws), make([]int, n)
		for rank := range byRank {
			byRank[rank] = byKey[scatter(int64(rank), step, n)]
		}
		if z := chiSquare(byRank, law, draws); math.Abs(z) > tooFar {
			t.Errorf("zipfian n=%d: %.1f standard deviations from the law", n, z)
		}

		byKey = draw(t, Latest, n, draws)
		for rank := range byRank {
			byRank[rank] = byKey[int(n)-1-rank]
		}
		if z := chiSquare(byRank, law, draws); math.Abs(z) > tooFar {
			t.Errorf("latest n=%d: %.1f standard deviations from the law", n, z)
		}
	}
}

// With ten million keys the most popular ranks have their exact shares.
func TestZipfianTenMillionKeys(t *testing.T) {
	const n, draws, top = 10_000_000, 500_000, 50
	zeta := zetaOf(n)
	var z zipf
	z.resize(n)
	r := Rand(5, 0)
	counts := make([]int, top)
	tail := 0 // above the middle rank
	for range draws {
		rank := z.draw(r)
		if rank < 0 || rank >= n {
			t.Fatalf("rank %d", rank)
		}
		if rank < top {
			counts[rank]++
		}
		if rank >= n/2 {
			tail++
		}
	}
	check := func(what string, seen int, p float64) {
		if off := math.Abs(float64(seen) - p*draws); off > tooFar*math.Sqrt(p*draws) {
			t.Errorf("%s: %d of %d, want %.0f", what, seen, draws, p*draws)
		}
	}
	for rank, seen := range counts {
		check(fmt.Sprintf("rank %d", rank), seen, math.Pow(float64(rank+1), -theta)/zeta)
	}
	check("the upper half", tail, (zeta-zetaOf(n/2))/zeta)
}

// Every rank has a key of its own.
func TestScatterIsAPermutation(t *testing.T) {
	sizes := []int64{65_536, 100_003}
	for n := int64(1); n <= 300; n++ {
		sizes = append(sizes, n)
	}
	for _, n := range sizes {
		seen, step := make([]bool, n), scatterStep(n)
		for rank := range n {
			key := scatter(rank, step, n)
			if key < 0 || key >= n || seen[key] {
				t.Fatalf("n=%d: rank %d has key %d, outside or taken", n, rank, key)
			}
			seen[key] = true
		}
	}
	// The largest space does not overflow.
	if key := scatter(MaxKeys-1, scatterStep(MaxKeys), MaxKeys); key < 0 || key >= MaxKeys {
		t.Errorf("key %d", key)
	}
}

// The limit of a space is that of a naive one, whatever the order in which inserts end.
func TestSpaceLimit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	keys, err := ParseKeys(Latest, 5)
	if err != nil {
		t.Fatal(err)
	}
	s := keys.Open()
	open, next := map[int64]bool{}, int64(5)
	for range 5000 {
		if r.IntN(2) == 0 {
			i := s.Insert()
			if i != next {
				t.Fatalf("insert gives %d, want %d", i, next)
			}
			open[i] = true
			next++
		} else {
			for i := range open { // any of them
				s.Inserted(i)
				delete(open, i)
				break
			}
		}
		want := next
		for i := range open {
			want = min(want, i)
		}
		s.Inserted(-1) // nobody's, and ignored
		if s.Limit() > want {
			t.Fatalf("limit %d, but %d is not there", s.Limit(), want)
		}
	}
	for i := range open {
		s.Inserted(i)
	}
	if s.Limit() != next {
		t.Errorf("limit %d after all inserts ended, want %d", s.Limit(), next)
	}
}

// While clients insert, latest reads only what is there, and mostly what is new.
func TestLatestFollowsInserts(t *testing.T) {
	const clients, each, n = 8, 2000, 100
	keys, err := ParseKeys(Latest, n)
	if err != nil {
		t.Fatal(err)
	}
	w, err := Parse("ycsb-d")
	if err != nil {
		t.Fatal(err)
	}
	space, values := keys.Open(), Sizes{10, 10}.Values(1)
	var mu sync.Mutex
	there := map[int64]bool{}
	for i := range int64(n) {
		there[i] = true
	}
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			s := NewStream(w, space, values, 3, client)
			for range each {
				op := s.Next()
				mu.Lock()
				if op.Kind == Insert {
					there[op.Key] = true
				} else if !there[op.Key] {
					t.Errorf("read of key %d, which is not there", op.Key)
				}
				mu.Unlock()
				s.Done(op)
			}
		})
	}
	wg.Wait()
	if got := space.Limit(); got != int64(len(there)) || got == n {
		t.Errorf("limit %d, want %d", got, len(there))
	}
	c, r, newest := space.Chooser(), Rand(1, 1), 0
	for range 1000 {
		if c.Next(r) >= space.Limit()-10 {
			newest++
		}
	}
	if want := 1000 * zetaOf(10) / zetaOf(space.Limit()); math.Abs(float64(newest)-want) > 100 {
		t.Errorf("%d of 1000 reads are of the ten newest keys, want about %.0f", newest, want)
	}
}

func TestParseKeysRefuses(t *testing.T) {
	for _, c := range []struct {
		distribution string
		n            int64
	}{{"", 1}, {"zipf", 1}, {Uniform, 0}, {Uniform, -1}, {Uniform, MaxKeys + 1}} {
		if k, err := ParseKeys(c.distribution, c.n); err == nil || k.Valid() {
			t.Errorf("ParseKeys(%q, %d) = %v, nil", c.distribution, c.n, k)
		}
	}
}

func BenchmarkChooser(b *testing.B) {
	for _, distribution := range Distributions() {
		b.Run(distribution+"/keys=10000000", func(b *testing.B) {
			keys, err := ParseKeys(distribution, 10_000_000)
			if err != nil {
				b.Fatal(err)
			}
			c, r := keys.Open().Chooser(), Rand(1, 1)
			b.ReportAllocs()
			for b.Loop() {
				c.Next(r)
			}
		})
	}
}
