package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cartwheel/bench/result"
)

func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{inMicros(0), "0 µs"}, {inMicros(0.456), "0.456 µs"}, {inMicros(12.34), "12.3 µs"}, {inMicros(999.4), "999 µs"}, {inMicros(999.6), "1.00 ms"},
		{inMicros(13_000), "13.0 ms"}, {inMicros(1e6), "1.00 s"}, {inMicros(90e6), "90.0 s"}, {inMicros(math.NaN()), dash}, {inMicros(-1), dash},
		{tickMicros(1000), "1 ms"}, {tickMicros(2500), "2.5 ms"}, {short(27_031), "27k"}, {short(999.96), "1k"}, {short(1.5e6), "1.5M"},
		{inBytes(1024), "1 KiB"}, {inBytes(34359738368), "32 GiB"}, {thousands(1234567), "1,234,567"}, {thousands(-1234), "-1,234"}, {thousands(999), "999"},
		{percent(1), "100 %"}, {percent(0.99999), "> 99.99 %"}, {percent(0.9755), "97.55 %"}, {percent(0.5), "50 %"}, {percent(-1), dash}, {percent(1.1), dash},
		{shareOf(7, 17), "41 %"}, {shareOf(17, 17), "100 %"}, {shareOf(0, 17), "0 %"}, {shareOf(998, 999), "> 99 %"}, {shareOf(1, 999), "< 1 %"}, {shareOf(994, 999), "99 %"},
		{shareOf(1953, 2000), "97.65 %"}, {shareOf(99_999, 100_000), "> 99.99 %"}, {shareOf(0, 0), dash}, {shareOf(3, 2), dash}, {shareText(math.NaN(), 5), dash},
		{Time(1260 * time.Microsecond), "1.26 ms"}, {Time(0), dash}, {Time(999), "0.999 µs"},
		{perSecond(12.345), "12.3"}, {perSecond(49_460.4), "49,460"}, {clip("abcdef", 4), "abc…"}, {clip("ä\nö", 9), `ä\nö`},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// TestMatrices takes a full matrix apart in every way that makes it none.
func TestMatrices(t *testing.T) {
	whole := func() []result.Cell { return slices.Clone(sampleRun().Cells[:9]) }
	for _, c := range []struct {
		name        string
		cells       []result.Cell
		full, other int
	}{
		{"full", whole(), 1, 0},
		{"one is missing", whole()[:8], 0, 8},
		{"another with faults", sampleRun().Cells, 1, 1},
		{"one has faults", func() []result.Cell {
			cells := whole()
			cells[4].Events = []result.Event{{Name: "kill"}}
			return cells
		}(), 0, 9},
		{"one twice", append(whole(), whole()[0]), 1, 1},
		{"one with another PR", func() []result.Cell { cells := whole(); cells[4].Levels.PR = "1"; return cells }(), 0, 9},
		{"two of different N", append(whole(), largeRun().Cells[:25]...), 2, 0},
		{"a row", whole()[:3], 0, 3},
		{"none", nil, 0, 0},
	} {
		full, others := matrices(c.cells)
		if len(full) != c.full || len(others) != c.other {
			t.Errorf("%s: %d matrices and %d others, want %d and %d", c.name, len(full), len(others), c.full, c.other)
		}
	}
	m := matrix{n: 3, rs: []string{"3", "quorum", "one", "", "10"}}
	slices.SortFunc(m.rs, byLevel(3))
	if got := fmt.Sprint(m.rs); got != "[ one quorum 3 10]" {
		t.Errorf("levels in the order %s", got)
	}
}

// TestBoundary compares the line with the cells beside it: it divides those with R + W > N from the
// others, and no two of one kind.
func TestBoundary(t *testing.T) {
	for n := 2; n <= 7; n++ {
		m := matrix{n: n}
		for i := 1; i <= n; i++ {
			m.rs, m.ws = append(m.rs, fmt.Sprint(i)), append(m.ws, fmt.Sprint(i))
		}
		line := boundary(m)
		var heights []string
		for i := range n {
			heights = append(heights, fmt.Sprint(n-1-i)) // rows of R=i+1 with R + W <= N
		}
		for i := 0; i+1 < len(line); i++ {
			a, b := line[i], line[i+1]
			if a.Y == b.Y {
				if column := int(a.X + 0.5); heights[column] != fmt.Sprint(a.Y+0.5) {
					t.Errorf("N=%d: the line is %v above column %d, want %s", n, a.Y+0.5, column, heights[column])
				}
			} else if a.X != b.X {
				t.Errorf("N=%d: the line is not straight between %v and %v", n, a, b)
			}
		}
		if len(line) != 2*n-1 {
			t.Errorf("N=%d: the line has %d points, want %d", n, len(line), 2*n-1)
		}
	}
	if line := boundary(matrix{n: 3, rs: []string{"", "1"}, ws: []string{"1", "2"}}); line != nil {
		t.Errorf("a level that is not known has a boundary: %v", line)
	}
}

// TestWilson holds the interval to its meaning: of many draws of a known share, about 95 % have
// it inside of their interval.
func TestWilson(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, p := range []float64{0.5, 0.9, 0.99} {
		inside, draws := 0, 2000
		for range draws {
			hits := int64(0)
			for range 300 {
				if rng.Float64() < p {
					hits++
				}
			}
			if lo, hi := wilson(hits, 300); lo <= p && p <= hi {
				inside++
			}
		}
		if share := float64(inside) / float64(draws); share < 0.92 || share > 0.98 {
			t.Errorf("p=%v lies in %.3f of the intervals, want about 0.95", p, share)
		}
	}
	if lo, hi := wilson(100, 100); hi != 1 || lo < 0.95 || lo > 0.97 {
		t.Errorf("100 of 100: %v to %v", lo, hi)
	}
}

func TestMerged(t *testing.T) {
	points := sampleTimeline(5000, 1000, sampleLatency(500, 0.5), nil)
	points[77].Errors, points[77].P99 = 9, 1e6
	out := merged(points)
	var before, after, errs int64
	length, worst := 0.0, 0.0
	for _, p := range points {
		before += p.Count
	}
	for _, p := range out {
		after, errs, length, worst = after+p.Count, errs+p.Errors, length+p.Seconds, max(worst, p.P99)
	}
	if len(out) > maxPoints || before != after || errs != 9 || length != 5000 || worst != 1e6 {
		t.Errorf("%d points with %d operations of %d, %d errors, %v s, worst %v", len(out), after, before, errs, length, worst)
	}
}

// TestAxes asks for axes of any range: the data is on them, and there are some ticks, not many.
func TestAxes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		lo := math.Pow(10, rng.Float64()*12-4)
		hi := lo * math.Pow(10, rng.Float64()*5)
		from, to, ticks := decades(lo, hi, tickMicros)
		if from > math.Log10(lo)+1e-9 || to < math.Log10(hi)-1e-9 || len(ticks) < 2 || len(ticks) > 12 {
			t.Fatalf("decades(%v, %v) is %v to %v with %d ticks", lo, hi, from, to, len(ticks))
		}
		if end, ticks := upTo(hi, 5, short); end < hi || end > hi*2.6 || len(ticks) < 2 || len(ticks) > 7 {
			t.Fatalf("upTo(%v) is %v with %d ticks", hi, end, len(ticks))
		}
	}
	if _, _, ticks := decades(1000, 1000, tickMicros); len(ticks) < 2 {
		t.Errorf("one value has %d ticks", len(ticks))
	}
}

// TestLimits draws more cells than a page has room for: it says what it leaves out.
func TestLimits(t *testing.T) {
	run := largeRun()
	page := pageOf(t, run)
	for _, want := range []string{"12 time lines are drawn", "the JSON has the other 16", "18 cells are not drawn: every read was fresh"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, s := range sections(run) {
		if s.ID == "timeline" && (len(s.charts) != maxTimelines || !s.charts[0].wide) {
			t.Errorf("%d time lines, the first wide: %v", len(s.charts), s.charts[0].wide)
		}
	}
}
