package pbs

import (
	"math"
	"testing"
)

// The fits that the paper gives for its three systems, in milliseconds.
var (
	ssdLeg = Mix(0.9122, Pareto{0.235, 10}, Exponential{1.66})
	ssd    = Legs{ssdLeg, ssdLeg, ssdLeg, ssdLeg}
	disk   = Legs{Mix(0.38, Pareto{1.05, 1.51}, Exponential{0.183}), ssdLeg, ssdLeg, ssdLeg}
	ymmr   = Mix(0.982, Pareto{1.5, 3.8}, Exponential{0.0217})
	yammer = Legs{Mix(0.939, Pareto{3, 3.35}, Exponential{0.0028}), ymmr, ymmr, ymmr}
)

// TestPublishedTable holds the model against the paper's systems at N=3, as computed with
// 60,000 rounds by another program. Both probabilities are of that many draws, so the
// difference of two correct ones has the standard deviation
// sqrt(p*(1-p)*2/60,000); four of these are allowed, and half a unit of the last
// digit printed. A quantile is compared by the probability that we give the time printed: so
// the tolerance needs no density of the tail, and is the same binomial one.
func TestPublishedTable(t *testing.T) {
	const published, rounds = 60_000, 60_000
	noise := func(p float64) float64 { return 4 * math.Sqrt(p*(1-p)*(1./published+1./rounds)) }
	type printed struct{ value, half float64 } // half a unit of the last digit; 0, 0: at once
	for _, row := range []struct {
		name                     string
		legs                     Legs
		r, w                     int
		fresh, within, get, sent printed // P(t=0); t for 99.9 %; p99.9 of reads and of writes
	}{
		{"ssd", ssd, 1, 1, printed{.974, .0005}, printed{2.1, .05}, printed{.64, .005}, printed{.65, .005}},
		{"ssd", ssd, 2, 1, printed{.9994, .00005}, printed{}, printed{1.58, .005}, printed{.64, .005}},
		{"disk", disk, 1, 1, printed{.438, .0005}, printed{48, .5}, printed{.64, .005}, printed{10.9, .05}},
		{"disk", disk, 2, 1, printed{.764, .0005}, printed{13.9, .05}, printed{1.67, .005}, printed{10.7, .05}},
		{"yammer", yammer, 1, 1, printed{.885, .0005}, printed{1500, 50}, printed{5.6, .05}, printed{11.1, .05}},
		{"yammer", yammer, 2, 1, printed{.990, .0005}, printed{202, .5}, printed{37, .5}, printed{10.6, .05}},
		{"yammer", yammer, 2, 2, printed{1, 0}, printed{}, printed{34, .5}, printed{452, .5}},
	} {
		p := predict(t, Model{N: 3, R: row.r, W: row.w, ReadAll: true, Legs: row.legs}, rounds)
		t.Logf("%s R=%d W=%d: P(0) %.4f, 99.9%% after %.3g ms, p99.9 %.3g / %.3g ms", row.name, row.r, row.w,
			p.Fresh(0), p.Within(.999), p.ReadLatency(.999), p.WriteLatency(.999))
		if got, slack := p.Fresh(0), noise(row.fresh.value)+row.fresh.half; math.Abs(got-row.fresh.value) > slack {
			t.Errorf("%s R=%d W=%d: P(0) is %.4f, published %.4f, tolerance %.4f", row.name, row.r, row.w, got, row.fresh.value, slack)
		}
		for _, q := range []struct {
			name  string
			want  printed
			share func(float64) float64
		}{
			{"fresh", row.within, p.Fresh},
			{"read", row.get, func(v float64) float64 { return share(p.reads, v) }},
			{"write", row.sent, func(v float64) float64 { return share(p.writes, v) }},
		} {
			low, high := q.share(q.want.value-q.want.half), q.share(q.want.value+q.want.half)
			if q.want.value == 0 {
				low = 0 // fresh at once means at least 99.9 %
			}
			if low > .999+noise(.999) || high < .999-noise(.999) {
				t.Errorf("%s R=%d W=%d: a share of %.5f to %.5f has %s within %v, want .999 +- %.5f",
					row.name, row.r, row.w, low, high, q.name, q.want.value, noise(.999))
			}
		}
	}
}

func predict(t testing.TB, m Model, rounds int) *Prediction {
	t.Helper()
	p, err := Predict(m, rounds, 1)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
