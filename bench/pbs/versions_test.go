package pbs

import (
	"math"
	"math/rand/v2"
	"testing"
)

// With constant legs the answer can be counted by hand: writes every 10, visible at the other
// node 25 after their acknowledgement: a read finds 2 or 3 missing, half of them each.
func TestVersionsByHand(t *testing.T) {
	m := Model{N: 2, R: 1, W: 1,
		Legs:  Legs{W: Constant(27), A: Constant(0), R: Constant(0), S: Constant(0)},
		Local: &Legs{W: Constant(2), A: Constant(0), R: Constant(0), S: Constant(0)},
	}
	got := versions(t, m, Constant(8), 4)
	for k, want := range []float64{0, 0, 0.5, 1, 1} {
		if !near(got[k], want) {
			t.Errorf("at most %d missing with %v, want %v", k, got[k], want)
		}
	}
	// A read that takes 5 more to get there finds 1 version less in half of its cases.
	m.Client = Constant(2.5)
	got = versions(t, m, Constant(3), 4) // writes still every 10: 2 there, 5 for the client
	for k, want := range []float64{0, 0, 1, 1, 1} {
		if !near(got[k], want) {
			t.Errorf("with clients: at most %d missing with %v, want %v", k, got[k], want)
		}
	}
}

// A naive second implementation: one long time line of writes, and reads thrown onto it.
func TestVersionsAgainstTimeline(t *testing.T) {
	const writes, per = 60, 40
	heavy := Mix(0.8, Exponential{1}, Exponential{0.05})
	pause := Mix(0.8, Constant(0.1), Exponential{0.05}) // most reads fall into the few long ones
	for _, m := range []Model{
		{N: 3, R: 1, W: 1, Legs: Legs{heavy, Exponential{2}, Exponential{1}, Exponential{1}}},
		{N: 3, R: 2, W: 1, ReadAll: true, Legs: Legs{heavy, Exponential{2}, Exponential{1}, Exponential{1}}},
		{N: 3, R: 1, W: 2, Legs: Legs{heavy, Exponential{2}, Exponential{1}, Exponential{1}}, Local: &Legs{heavy, Constant(0), Constant(.1), Constant(.1)}},
	} {
		const most = 5
		counts, reads := [most + 2]float64{}, 0.0
		rng := rand.New(rand.NewPCG(3, 3))
		for range manyRounds / per {
			d := round{m: &m, rng: rng}
			d.place()
			var sent, acked [writes]float64
			var visible [writes][maxReplicas]float64
			now := 0.0
			for j := range writes {
				d.write()
				sent[j], visible[j] = now, d.visible
				acked[j] = now + d.commit()
				now = acked[j] + pause.Sample(rng)
			}
			for range per {
				at := acked[writes/2] + rng.Float64()*(acked[writes-2]-acked[writes/2])
				d.read()
				known, seen := -1, -1
				for j := range writes {
					if acked[j] <= at {
						known = j
					}
					for _, i := range d.order[:m.R] {
						if sent[j]+visible[j][i] <= at+d.looked[i] {
							seen = j
						}
					}
				}
				counts[min(max(known-seen, 0), most+1)]++
				reads++
			}
		}
		sum := 0.0
		for k, p := range versions(t, m, pause, most) {
			sum += counts[k]
			// The reads of one line are not independent, so its noise is that of fewer.
			if naive := sum / reads; math.Abs(naive-p) > 0.025 {
				t.Errorf("R=%d W=%d: at most %d missing with %.4f, on the line %.4f", m.R, m.W, k, p, naive)
			}
		}
	}
}

func TestVersionsLaws(t *testing.T) {
	for _, m := range []Model{{N: 3, R: 2, W: 2, Legs: disk}, {N: 3, R: 1, W: 3, Legs: yammer}, {N: 1, R: 1, W: 1, Legs: disk}} {
		if p := versions(t, m, Constant(0), 0); p[0] != 1 {
			t.Errorf("N=%d R=%d W=%d: quorums overlap, and %v miss nothing", m.N, m.R, m.W, p[0])
		}
	}
	m := Model{N: 3, R: 1, W: 1, Legs: yammer}
	last := -1.0
	for k, p := range versions(t, m, Constant(1), 10) {
		if p < last || p > 1 {
			t.Errorf("at most %d with %v after %v", k, p, last)
		}
		last = p
	}
	if slow := versions(t, m, Constant(1e9), 0); slow[0] < 0.9999 {
		t.Errorf("between writes far apart %v miss nothing", slow[0])
	}
}

func versions(t *testing.T, m Model, pause Sampler, most int) []float64 {
	t.Helper()
	p, err := Versions(m, pause, most, manyRounds, 1)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
