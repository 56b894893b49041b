package quorum

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestLatencyClasses(t *testing.T) {
	last := -1
	for d := time.Duration(0); d < 2*maxHedgeDelay; d = d + d/50 + time.Microsecond {
		c := latencyClass(d)
		if c < last || c >= latencySlots {
			t.Fatalf("%v is in class %d after %d", d, c, last)
		}
		last = c
		if ceiling := latencyCeiling(c); c < latencySlots-1 && (d >= ceiling || d > 4*latencyUnit && ceiling > d+d/4+1) {
			t.Fatalf("%v is in class %d, which ends at %v", d, c, ceiling)
		}
	}
	if latencyCeiling(latencySlots-1) < maxHedgeDelay || latencyClass(-1) != 0 {
		t.Error("the classes do not span the range")
	}
}

// The estimate lies between the true p95 of a window and a quarter above it.
func TestLatencyP95AgainstNaive(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var l latency
		var all []time.Duration
		scale := time.Millisecond * time.Duration(1+rnd.IntN(200))
		for range enoughSamples + rnd.IntN(latencyWindow-enoughSamples-1) {
			d := time.Duration(rnd.ExpFloat64() * float64(scale))
			l.add(d, 0)
			all = append(all, d)
		}
		slices.Sort(all)
		exact := all[len(all)-1-len(all)/20]
		low := min(max(exact, minHedgeDelay), maxHedgeDelay)
		high := min(max(exact+exact/4+latencyUnit, minHedgeDelay), maxHedgeDelay)
		if got := l.p95(); got < low || got > high {
			t.Fatalf("p95 of %d samples is %v, want %v to %v", len(all), got, low, high)
		}
	}
}

func TestLatencyBounds(t *testing.T) {
	var l latency
	for range enoughSamples {
		if got := l.p95(); got != unknownHedgeDelay {
			t.Fatalf("unknown: %v", got)
		}
		l.add(0, 0)
	}
	if got := l.p95(); got != minHedgeDelay {
		t.Errorf("fast: %v", got)
	}
	for range latencyWindow {
		l.add(time.Hour, 0)
	}
	if got := l.p95(); got != maxHedgeDelay {
		t.Errorf("slow: %v", got)
	}
}

// A change shows within a few hundred samples, in both directions.
func TestLatencyFollows(t *testing.T) {
	var l latency
	for _, d := range []time.Duration{2 * time.Millisecond, 100 * time.Millisecond, 2 * time.Millisecond} {
		for range 3 * latencyWindow {
			l.add(d, 0)
		}
		if got := l.p95(); got < d || got > d+d/4 {
			t.Errorf("after many of %v: %v", d, got)
		}
	}
}

func TestLatencyRank(t *testing.T) {
	at := func(d, now time.Duration) int {
		var l latency
		l.add(d, 0)
		return l.rank(now)
	}
	if at(200*time.Microsecond, 0) != 0 || at(300*time.Microsecond, 0) != 1 || at(30*time.Millisecond, 0) <= at(3*time.Millisecond, 0) {
		t.Error("ranks do not follow the averages")
	}
	if at(time.Millisecond, 0) != at(1010*time.Microsecond, 0) {
		t.Error("ranks are not coarse")
	}
	if at(30*time.Millisecond, latencyAge+1) != 0 {
		t.Error("an old average is not forgotten")
	}
	var l latency
	l.add(time.Millisecond, 0)
	l.penalize(0)
	if l.rank(0) <= at(500*time.Millisecond, 0) {
		t.Error("one that failed is not the last choice")
	}
	l.add(time.Millisecond, latencyAge+1)
	if l.rank(latencyAge+1) != at(time.Millisecond, 0) {
		t.Error("tried again, it keeps its old average")
	}
}

// What is known of a member outlives a change of the ring; what is known of a former member
// does not.
func TestPeersAcrossRings(t *testing.T) {
	small, large := newCluster(t, 3, 3, Config{}).ring, newCluster(t, 5, 3, Config{}).ring
	p := newPeers()
	p.of(large)[1].answered(30*time.Millisecond, 0)
	p.of(large)[4].answered(30*time.Millisecond, 0)
	if p.of(small)[1].rank(0) == 0 || p.of(small)[0].rank(0) != 0 {
		t.Error("the change lost a latency, or mixed them up")
	}
	if back := p.of(large); len(back) != 5 || back[1].rank(0) == 0 || back[4].rank(0) != 0 {
		t.Error("a former member is remembered, or a present one is not")
	}
}
