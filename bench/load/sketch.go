package load

import (
	"math/bits"
	"sync/atomic"
)

const (
	// Values below exact have a counter each. Above, each doubling has half as many, so a
	// counter is at most 1/32 of its values wide, and its middle within 1/64 of each.
	exactBits = 6
	exact     = 1 << exactBits
	half      = exact / 2
	// topBits bounds values: an hour in microseconds has 32 bits.
	topBits  = 32
	counters = exact + (topBits-exactBits)*half
)

// sketch counts the operations that ended in one interval. Many goroutines record and read at the
// same time; what is read is complete when no more is recorded. It is coarser than a histogram of
// three digits, and forty times smaller.
type sketch struct {
	errors atomic.Int64
	max    atomic.Int64 // microseconds
	counts [counters]atomic.Uint32
}

// slot returns the counter of a value.
func slot(micros int64) int {
	v := uint64(min(max(micros, 0), 1<<topBits-1))
	if v < exact {
		return int(v)
	}
	shift := bits.Len64(v) - exactBits
	return shift*half + int(v>>shift)
}

// middle returns the value in the middle of a counter.
func middle(i int) float64 {
	if i < exact {
		return float64(i)
	}
	shift := i/half - 1
	low := int64(i-shift*half) << shift
	return float64(low) + float64(int64(1)<<shift-1)/2
}

// success records the latency of an operation.
func (s *sketch) success(micros int64) {
	s.counts[slot(micros)].Add(1)
	for {
		old := s.max.Load()
		if micros <= old || s.max.CompareAndSwap(old, micros) {
			return
		}
	}
}

// figures are what is told of a sketch.
type figures struct {
	count, errors int64
	p50, p99, max float64
}

func (s *sketch) figures() figures {
	f := figures{errors: s.errors.Load(), max: float64(s.max.Load())}
	var counts [counters]int64
	for i := range s.counts {
		counts[i] = int64(s.counts[i].Load())
		f.count += counts[i]
	}
	quantile := func(q float64) float64 {
		rank := int64(q*float64(f.count)+0.5) - 1 // the nearest rank, from 0
		for i, n := range counts {
			if rank -= n; rank < 0 && n > 0 {
				return min(middle(i), f.max)
			}
		}
		return 0
	}
	if f.count > 0 {
		f.p50, f.p99 = quantile(.50), quantile(.99)
	}
	return f
}
