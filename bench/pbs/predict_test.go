package pbs

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

const manyRounds = 10_000

// near says whether a share of manyRounds rounds can be the probability p: within five
// standard deviations and the next whole number of rounds.
func near(got, p float64) bool {
	return math.Abs(got-p) <= 5*math.Sqrt(p*(1-p)/manyRounds)+1./manyRounds
}

// With acknowledgements and requests that take no time, and W exponential of rate 1, what is
// between the first write to arrive and the others is known: the j-th of n is Exp(n-j+1) after
// the one before.
func TestAgainstClosedForms(t *testing.T) {
	legs := Legs{W: Exponential{1}, A: Constant(0), R: Constant(0), S: Exponential{3}}
	for _, c := range []struct {
		n, r, w int
		fresh   func(t float64) float64
	}{
		{1, 1, 1, func(float64) float64 { return 1 }},
		{2, 1, 1, func(t float64) float64 { return 1 - math.Exp(-t)/2 }},
		{2, 1, 2, func(float64) float64 { return 1 }},
		// The replica read is the first, the second or the last of three to have the write.
		{3, 1, 1, func(t float64) float64 {
			return 1 - (math.Exp(-2*t)+1-(1-math.Exp(-t))*(1-math.Exp(-t)))/3
		}},
		{3, 2, 1, func(t float64) float64 { return 1 - math.Exp(-2*t)/3 }}, // stale: the second and the last are read
		{3, 1, 2, func(t float64) float64 { return 1 - math.Exp(-t)/3 }},   // stale: the last is read
		{3, 2, 2, func(float64) float64 { return 1 }},
	} {
		for _, all := range []bool{false, true} {
			p := predict(t, Model{N: c.n, R: c.r, W: c.w, ReadAll: all, Legs: legs}, manyRounds)
			for _, at := range []float64{0, 0.1, 0.5, 1, 3} {
				if got, want := p.Fresh(at), c.fresh(at); !near(got, want) {
					t.Errorf("N=%d R=%d W=%d all=%v: fresh at %v with %.4f, want %.4f", c.n, c.r, c.w, all, at, got, want)
				}
			}
		}
	}
}

// Latencies of constants and exponentials have known distributions: of n the k-th smallest.
func TestLatencyQuantiles(t *testing.T) {
	legs := Legs{W: Exponential{1}, A: Constant(2), R: Exponential{1}, S: Constant(1)}
	for _, q := range []float64{0.1, 0.5, 0.99} {
		first, any := -math.Log(1-q)/3, -math.Log(1-q)
		last := -math.Log(1 - math.Pow(q, 1./3))
		for _, c := range []struct {
			name       string
			m          Model
			read, sent float64
		}{
			{"1 1", Model{N: 3, R: 1, W: 1, Legs: legs}, 1 + any, 2 + first},
			{"1 1 all", Model{N: 3, R: 1, W: 1, Legs: legs, ReadAll: true}, 1 + first, 2 + first},
			{"3 3", Model{N: 3, R: 3, W: 3, Legs: legs}, 1 + last, 2 + last},
		} {
			p := predict(t, c.m, manyRounds)
			if got := share(p.reads, c.read); !near(got, q) {
				t.Errorf("%s: %.4f of the reads took %v, want %v", c.name, got, c.read, q)
			}
			if got := share(p.writes, c.sent); !near(got, q) {
				t.Errorf("%s: %.4f of the writes took %v, want %v", c.name, got, c.sent, q)
			}
			if p.ReadLatency(q) > p.ReadLatency(1) || p.WriteLatency(0) > p.WriteLatency(q) {
				t.Errorf("%s: quantiles fall", c.name)
			}
		}
	}
}

// Every model: more time, more replicas read or more written never make a read less likely
// to be fresh, and overlapping quorums always are. This holds round by round, so exactly.
func TestLaws(t *testing.T) {
	heavy := Mix(0.9, Pareto{1, 1.5}, Exponential{0.01})
	base := Model{Legs: Legs{heavy, Exponential{1}, Exponential{2}, heavy}}
	local := base
	local.Local = &Legs{Exponential{0.5}, Constant(0), Constant(0.1), Constant(0.1)}
	crowd := local
	crowd.Members, crowd.Client = 9, Exponential{4}
	for name, m := range map[string]Model{"plain": base, "local": local, "crowd": crowd} {
		for _, m.ReadAll = range []bool{false, true} {
			for m.N = 1; m.N <= 4; m.N++ {
				checkLaws(t, fmt.Sprint(name, " all=", m.ReadAll, " N=", m.N), m)
			}
		}
	}
}

func checkLaws(t *testing.T, name string, m Model) {
	const rounds = 500
	made := map[[2]int]*Prediction{}
	got := func(r, w int, at float64) float64 {
		return made[[2]int{r, w}].Fresh(at)
	}
	for m.R = 1; m.R <= m.N; m.R++ {
		for m.W = 1; m.W <= m.N; m.W++ {
			made[[2]int{m.R, m.W}] = predict(t, m, rounds)
			r, w := m.R, m.W
			for i, at := range []float64{0, 0.3, 2, 20} {
				p := got(r, w, at)
				switch {
				case r+w > m.N && p != 1:
					t.Errorf("%s R=%d W=%d: quorums overlap, fresh at %v with %v", name, r, w, at, p)
				case r > 1 && p < got(r-1, w, at), w > 1 && p < got(r, w-1, at):
					t.Errorf("%s R=%d W=%d: a smaller quorum is fresher than %v", name, r, w, p)
				case i > 0 && p < got(r, w, at/20):
					t.Errorf("%s R=%d W=%d: falls before %v", name, r, w, at)
				}
			}
		}
	}
}

// Fresh and Within are each other's inverse.
func TestWithin(t *testing.T) {
	p := predict(t, Model{N: 3, R: 1, W: 1, Legs: disk}, 5000)
	for _, q := range []float64{0.01, 0.3, 0.5, 0.9, 0.999, 1} {
		at := p.Within(q)
		if p.Fresh(at) < q || at > 0 && p.Fresh(math.Nextafter(at, 0)) >= q {
			t.Errorf("fresh with %v after %v, where it is %v", q, at, p.Fresh(at))
		}
	}
}

// The coordinator's own replica: a store that takes long beside a fast network is the one that
// a read through another node need not wait for, and a slow network makes that node's own
// replica stale.
func TestLocal(t *testing.T) {
	legs := Legs{W: Constant(10), A: Constant(10), R: Constant(10), S: Constant(10)}
	own := &Legs{W: Constant(1), A: Constant(0), R: Constant(0), S: Constant(0)}
	m := Model{N: 3, R: 1, W: 1, Legs: legs, Local: own}
	p := predict(t, m, 1000)
	if p.WriteLatency(1) != 1 || p.ReadLatency(1) != 0 || p.Fresh(8.99) != 0 || p.Fresh(9) != 1 {
		t.Errorf("own replicas: write %v, read %v, fresh at 8.99 %v and at 9 %v", p.WriteLatency(1), p.ReadLatency(1), p.Fresh(8.99), p.Fresh(9))
	}
	m.W = 2
	if p = predict(t, m, 1000); p.WriteLatency(0) != 20 || p.Fresh(0) != 1 {
		t.Errorf("W=2: write %v, fresh %v", p.WriteLatency(0), p.Fresh(0))
	}
	m.W, m.R, m.Legs.R = 1, 2, Constant(1) // besides the own copy, the writer's or the third one is read
	if p = predict(t, m, manyRounds); !near(p.Fresh(0), 0.5) || p.Fresh(8) != 1 {
		t.Errorf("R=2: fresh at once with %v, at 8 with %v", p.Fresh(0), p.Fresh(8))
	}
	// What takes the client 3 to learn, and a request 3 to arrive, is 6 later at the node.
	m.R, m.Client = 1, Constant(3)
	if p = predict(t, m, 1000); p.Fresh(2.99) != 0 || p.Fresh(3) != 1 {
		t.Errorf("with clients: fresh at 2.99 with %v, at 3 with %v", p.Fresh(2.99), p.Fresh(3))
	}
}

// Measured writes are drawn as a whole: where all copies of one are slow together, fewer reads
// are stale than from the same times drawn apart.
func TestWritesTogether(t *testing.T) {
	none := Constant(0)
	m := Model{N: 3, R: 1, W: 1, Legs: Legs{W: Empirical{1, 9}, A: none, R: none, S: none}, Writes: [][]float64{{1, 1, 1}, {9, 9, 9}}}
	if p := predict(t, m, manyRounds); p.Fresh(0) != 1 || !near(share(p.writes, 1), 0.5) || p.WriteLatency(1) != 9 {
		t.Errorf("together: fresh with %v", p.Fresh(0))
	}
	m.Writes = nil
	if p := predict(t, m, manyRounds); !near(p.Fresh(0), 1-6./8/2) { // of eight cases six are mixed, with half of the replicas slow on average
		t.Errorf("apart: fresh with %v", p.Fresh(0))
	}
	// The first is the coordinator's own; the reader has one of the two others, either of them.
	m.Local = &Legs{none, none, none, none}
	m.Legs.A = Constant(2)
	m.Writes = [][]float64{{1, 5, 8}}
	p := predict(t, m, manyRounds)
	for _, c := range []struct{ at, want float64 }{{1.99, 0}, {2, 0.5}, {4.99, 0.5}, {5, 1}} { // 5-2-1 and 8-2-1
		if got := p.Fresh(c.at); !near(got, c.want) {
			t.Errorf("fresh at %v with %v, want %v", c.at, got, c.want)
		}
	}
	if p.WriteLatency(0) != 1 || p.WriteLatency(1) != 1 {
		t.Errorf("the write took %v", p.WriteLatency(1))
	}
}

// Of more members than replicas, some coordinate without one.
func TestMembers(t *testing.T) {
	legs := Legs{W: Constant(10), A: Constant(5), R: Constant(2), S: Constant(2)}
	own := &Legs{W: Constant(1), A: Constant(0), R: Constant(0), S: Constant(0)}
	p := predict(t, Model{N: 3, R: 1, W: 1, Legs: legs, Local: own, Members: 9}, manyRounds)
	// The reader owns a replica in three of nine cases.
	if got := share(p.reads, 0); !near(got, 1./3) {
		t.Errorf("%v of the reads are local, want a third", got)
	}
	// Fresh at once: if the replica of the writer is read. It is the reader's own in one of nine
	// cases: the write was forwarded (6/9) and the reader is that owner (1/8). Else the reader must
	// own none, and ask that one of three: of 2/3, a third.
	if got, want := p.Fresh(0), 6./9/8+2./9; !near(got, want) {
		t.Errorf("fresh at once with %v, want %v", got, want)
	}
}

func TestValidate(t *testing.T) {
	ok := Model{N: 3, R: 2, W: 2, Legs: ssd}
	for name, change := range map[string]func(*Model){
		"no replica": func(m *Model) { m.N = 0 }, "too many": func(m *Model) { m.N = 33 }, "R": func(m *Model) { m.R = 4 },
		"W": func(m *Model) { m.W = 0 }, "members": func(m *Model) { m.Members = 2 }, "leg": func(m *Model) { m.Legs.A = nil },
		"local": func(m *Model) { m.Local = &Legs{} }, "writes": func(m *Model) { m.Writes = [][]float64{{1, 2, 3}, {1, 2}} }, "empty": func(m *Model) { m.Legs.W = Empirical{} },
	} {
		m := ok
		change(&m)
		if _, err := Predict(m, 10, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, rounds := range []int{0, -1, maxRounds + 1} {
		if _, err := Predict(ok, rounds, 1); err == nil {
			t.Errorf("%d rounds: no error", rounds)
		}
	}
	if _, err := Versions(ok, nil, 3, 10, 1); err == nil {
		t.Error("no pause: no error")
	}
	if _, err := Versions(ok, Constant(1), -1, 10, 1); err == nil {
		t.Error("-1 versions: no error")
	}
}

func TestSameSeedSameResult(t *testing.T) {
	m := Model{N: 3, R: 1, W: 1, Legs: yammer}
	a, b := predict(t, m, 500), predict(t, m, 500)
	if !slices.Equal(a.fresh, b.fresh) || !slices.Equal(a.reads, b.reads) {
		t.Error("one seed, two results")
	}
	if c, _ := Predict(m, 500, 2); slices.Equal(a.fresh, c.fresh) {
		t.Error("two seeds, one result")
	}
}

// Samplers have the means that they should have.
func TestSamplers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name       string
		s          Sampler
		mean, near float64
	}{
		{"pareto", Pareto{2, 5}, 2.5, 0.02}, {"exponential", Exponential{0.25}, 4, 0.1}, {"constant", Constant(7), 7, 0},
		{"empirical", Empirical{1, 2, 6}, 3, 0.05}, {"mix", Mix(0.75, Constant(1), Constant(5)), 2, 0.05},
		{"half", Scaled(0.5, Constant(7)), 3.5, 0}, {"less", Less(Constant(5), Constant(2)), 3, 0}, {"not below 0", Less(Constant(1), Constant(2)), 0, 0},
	} {
		sum := 0.0
		for range manyRounds {
			sum += c.s.Sample(rng)
		}
		if got := sum / manyRounds; math.Abs(got-c.mean) > c.near {
			t.Errorf("%s: mean %v, want %v", c.name, got, c.mean)
		}
	}
}

func BenchmarkPredict(b *testing.B) {
	m := Model{N: 3, R: 2, W: 2, ReadAll: true, Legs: yammer}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Predict(m, 10_000, 1); err != nil {
			b.Fatal(err)
		}
	}
}
