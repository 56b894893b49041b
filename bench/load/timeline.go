package load

import (
	"sync/atomic"
	"time"

	"cartwheel/bench/result"
)

// timeline has a sketch for each interval of a run, those of the warm-up first. Many goroutines use
// it at once.
type timeline struct {
	warm     time.Duration // where the measured part begins, from the start
	interval time.Duration
	before   int // intervals of the warm-up
	slots    []atomic.Pointer[sketch]
}

// newTimeline covers the warm-up and length after it. What ends later than that belongs to the
// last interval.
func newTimeline(warm, length, interval time.Duration) *timeline {
	t := &timeline{warm: warm, interval: interval, before: int((warm + interval - 1) / interval)}
	t.slots = make([]atomic.Pointer[sketch], t.before+int((length+interval-1)/interval))
	return t
}

// slot returns the number of the interval that a moment is in. Intervals are aligned with the begin
// of the measured part, so that none lies in both.
func (t *timeline) slot(at time.Duration) int {
	i := t.before + int((at-t.warm)/t.interval)
	if at < t.warm && (at-t.warm)%t.interval != 0 {
		i-- // division rounds towards zero
	}
	return min(max(i, 0), len(t.slots)-1)
}

// at returns the sketch of a moment.
func (t *timeline) at(at time.Duration) *sketch {
	p := &t.slots[t.slot(at)]
	if s := p.Load(); s != nil {
		return s
	}
	p.CompareAndSwap(nil, new(sketch))
	return p.Load()
}

// look returns the figures of an interval.
func (t *timeline) look(i int) figures {
	if s := t.slots[i].Load(); s != nil {
		return s.figures()
	}
	return figures{}
}

// points returns the intervals of the measured part up to end, from the start. The last one may be
// shorter.
func (t *timeline) points(end time.Duration) []result.Point {
	var points []result.Point
	for i := t.before; i < len(t.slots); i++ {
		begin := time.Duration(i-t.before) * t.interval
		length := min(end-t.warm-begin, t.interval)
		if i == len(t.slots)-1 {
			length = end - t.warm - begin
		}
		if length <= 0 {
			break
		}
		f := t.look(i)
		points = append(points, result.Point{
			At: begin.Seconds(), Seconds: length.Seconds(),
			Count: f.count, Errors: f.errors, P50: f.p50, P99: f.p99, Max: f.max,
		})
	}
	return points
}
