package workload

import (
	"math"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	cases := []struct {
		name         string
		mix          map[string]float64
		distribution string
	}{
		{"put", map[string]float64{"put": 1}, Uniform},
		{"get", map[string]float64{"get": 1}, Uniform},
		{"mixed:0.75", map[string]float64{"get": .75, "put": .25}, Uniform},
		{"mixed:0", map[string]float64{"put": 1}, Uniform},
		{"mixed:1", map[string]float64{"get": 1}, Uniform},
		// The table of the YCSB paper.
		{"ycsb-a", map[string]float64{"get": .5, "put": .5}, Zipfian},
		{"ycsb-b", map[string]float64{"get": .95, "put": .05}, Zipfian},
		{"ycsb-c", map[string]float64{"get": 1}, Zipfian},
		{"ycsb-d", map[string]float64{"get": .95, "insert": .05}, Latest},
		{"ycsb-f", map[string]float64{"get": .5, "update": .5}, Zipfian},
	}
	for _, c := range cases {
		w, err := Parse(c.name)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.name, err)
			continue
		}
		mix := w.Mix()
		if len(mix) != len(c.mix) {
			t.Errorf("%s: mix %v, want %v", c.name, mix, c.mix)
		}
		for kind, share := range c.mix {
			if mix[kind] != share {
				t.Errorf("%s: mix %v, want %v", c.name, mix, c.mix)
			}
		}
		if w.String() != c.name || w.Distribution() != c.distribution || !w.Valid() {
			t.Errorf("%s: name %q, distribution %q", c.name, w, w.Distribution())
		}
	}
	for _, name := range Names() {
		if _, err := Parse(name); err != nil {
			t.Errorf("a name of Names: %v", err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, want := range map[string]string{
		"":            "there are put, get",
		"Put":         "there are put, get",
		"ycsb-e":      "scans ranges",
		"mixed":       "there are",
		"mixed:":      "from 0 to 1",
		"mixed:1.01":  "from 0 to 1",
		"mixed:-0.1":  "from 0 to 1",
		"mixed:NaN":   "from 0 to 1",
		"mixed:0.5x":  "from 0 to 1",
		"mixed:+Inf ": "from 0 to 1",
	} {
		if w, err := Parse(name); err == nil || !strings.Contains(err.Error(), want) || w.Valid() {
			t.Errorf("Parse(%q) = %v, %v; want an error with %q", name, w, err, want)
		}
	}
}

// The kinds occur as often as the mix says.
func TestStreamKeepsTheMix(t *testing.T) {
	const draws = 100_000
	for _, name := range append(Names(), "mixed:0.01", "mixed:0.999") {
		w, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		s := testStream(t, w, Uniform, 1000, 7, 0)
		seen := map[string]float64{}
		for range draws {
			op := s.Next()
			seen[op.Kind.String()]++
			if (op.Value == nil) != (op.Kind == Get) {
				t.Fatalf("%s: a %s with %d bytes", name, op.Kind, len(op.Value))
			}
			s.Done(op)
		}
		for kind, n := range seen {
			p := w.Mix()[kind]
			if off := math.Abs(n - p*draws); off > 5*math.Sqrt(p*(1-p)*draws) {
				t.Errorf("%s: %v of %d are %s, want a share of %v", name, n, draws, kind, p)
			}
		}
	}
}

// So it is with a mix of all four kinds, which has no name.
func TestPickOfFourKinds(t *testing.T) {
	w := Workload{"four", [Kinds]float64{.1, .2, .3, .4}, Uniform}
	r, counts := Rand(1, 0), make([]int, Kinds)
	for range 50_000 {
		counts[w.pick(r)]++
	}
	if z := chiSquare(counts, func(k int) float64 { return w.Share(Kind(k)) }, 50_000); z > tooFar {
		t.Errorf("%.1f standard deviations from the mix: %v", z, counts)
	}
}

func TestStreamIsDeterministic(t *testing.T) {
	for _, distribution := range Distributions() {
		w, err := Parse("ycsb-f")
		if err != nil {
			t.Fatal(err)
		}
		run := func(seed uint64, client int) []Op {
			s := testStream(t, w, distribution, 10_000, seed, client)
			var ops []Op
			for range 200 {
				op := s.Next()
				s.Done(op)
				ops = append(ops, op)
			}
			return ops
		}
		equal := func(a, b []Op) bool {
			for i := range a {
				if a[i].Kind != b[i].Kind || a[i].Key != b[i].Key || string(a[i].Value) != string(b[i].Value) {
					return false
				}
			}
			return true
		}
		if !equal(run(1, 3), run(1, 3)) {
			t.Errorf("%s: one seed and client gave two streams", distribution)
		}
		if equal(run(1, 3), run(1, 4)) || equal(run(1, 3), run(2, 3)) {
			t.Errorf("%s: another seed or client gave the same stream", distribution)
		}
	}
}

func testStream(tb testing.TB, w Workload, distribution string, n int64, seed uint64, client int) *Stream {
	tb.Helper()
	keys, err := ParseKeys(distribution, n)
	if err != nil {
		tb.Fatal(err)
	}
	return NewStream(w, keys.Open(), Sizes{100, 400}.Values(seed), seed, client)
}

func FuzzParse(f *testing.F) {
	for _, name := range append(Names(), "ycsb-e", "mixed:1e-3", "mixed:0x1p-2", "mixed:nan", "") {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		w, err := Parse(name)
		if err != nil {
			return
		}
		var sum float64
		for _, share := range w.Mix() {
			sum += share
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("Parse(%q): shares sum to %v", name, sum)
		}
		if again, err := Parse(w.String()); err != nil || again != w {
			t.Errorf("Parse(%q) = %v, and of its name %v, %v", name, w, again, err)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	for _, name := range []string{"put", "ycsb-a", "ycsb-d"} {
		b.Run(name, func(b *testing.B) {
			w, err := Parse(name)
			if err != nil {
				b.Fatal(err)
			}
			s := testStream(b, w, w.Distribution(), 10_000_000, 1, 0)
			b.ReportAllocs()
			for b.Loop() {
				s.Done(s.Next())
			}
		})
	}
}
