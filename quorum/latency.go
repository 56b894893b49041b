package quorum

import (
	"math/bits"
	"time"
)

// Bounds of what a latency estimate says. Below a millisecond a second request costs more
// than it saves; above a second the estimate is of a peer that gossip will soon call down.
const (
	minHedgeDelay = time.Millisecond
	maxHedgeDelay = time.Second

	// unknownHedgeDelay is assumed of a peer that was not measured yet: a round trip across
	// a continent and a read from a disk.
	unknownHedgeDelay = 50 * time.Millisecond
	// enoughSamples make an estimate; with fewer, one slow first read would be the p95.
	enoughSamples = 16
	// latencyWindow is how many samples are counted before all counts are halved, so that
	// the estimate follows a change within a few hundred reads.
	latencyWindow = 512
	// latencyAge is for how long an average holds without new samples. After it the peer
	// counts as unknown, and so as good as any: a peer once slow is tried again.
	latencyAge = 10 * time.Second

	latencyUnit  = 64 * time.Microsecond // width of the finest classes
	latencySteps = 4                     // classes per doubling: estimates are at most 25 % too high
	latencySlots = latencySteps * 13     // up to 64 us * 2^14, a little more than a second
)

// latency estimates how long one peer takes to answer a read: a histogram of recent answers
// in classes that grow by a quarter to a fifth, and a moving average. It is pure and not safe
// for concurrent use.
type latency struct {
	counts  [latencySlots]uint16
	total   int
	average time.Duration
	last    time.Duration // when the last sample was taken, on the caller's clock
}

// latencyClass returns the class of d. Classes 0 to latencySteps-1 are latencyUnit wide;
// then each doubling is cut into latencySteps classes of one width.
func latencyClass(d time.Duration) int {
	units := uint64(max(d, 0) / latencyUnit)
	if units < latencySteps {
		return int(units)
	}
	shift := bits.Len64(units) - bits.Len64(latencySteps) // so that units>>shift is in [steps, 2*steps)
	return min(latencySteps*(shift+1)+int(units>>shift)-latencySteps, latencySlots-1)
}

// latencyCeiling returns the exclusive upper end of a class.
func latencyCeiling(class int) time.Duration {
	if class < latencySteps {
		return time.Duration(class+1) * latencyUnit
	}
	shift := class/latencySteps - 1
	return time.Duration(class%latencySteps+latencySteps+1) << shift * latencyUnit
}

// add takes the sample d at the time now.
func (l *latency) add(d, now time.Duration) {
	if l.total == 0 || now-l.last > latencyAge {
		l.average = d
	}
	l.average += (d - l.average) / 8
	l.last = now
	l.counts[latencyClass(d)]++
	if l.total++; l.total < latencyWindow {
		return
	}
	l.total = 0
	for i := range l.counts {
		l.counts[i] /= 2
		l.total += int(l.counts[i])
	}
}

// penalize makes the peer the last choice until the next samples: it did not answer at all.
func (l *latency) penalize(now time.Duration) {
	l.average = max(l.average, maxHedgeDelay)
	l.last = now
}

// p95 returns a time that 95 of 100 recent answers did not exceed, within minHedgeDelay and
// maxHedgeDelay.
func (l *latency) p95() time.Duration {
	if l.total < enoughSamples {
		return unknownHedgeDelay
	}
	slower := l.total / 20 // samples that may lie above the answer
	for class := latencySlots - 1; class >= 0; class-- {
		if slower -= int(l.counts[class]); slower < 0 {
			return min(max(latencyCeiling(class), minHedgeDelay), maxHedgeDelay)
		}
	}
	return minHedgeDelay
}

// rank orders peers by their average, coarsely: 0 for unknown and for up to 256 us, then one
// more per doubling. Peers of about one speed rank alike, so that the ring's order, which
// spreads the load, decides among them.
func (l *latency) rank(now time.Duration) int {
	if now-l.last > latencyAge {
		return 0
	}
	return bits.Len64(uint64(l.average / (4 * latencyUnit)))
}
