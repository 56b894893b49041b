package vclock

import (
	"sync/atomic"
	"time"
)

// Time is a hybrid time: unix milliseconds in the upper 48 bits, a counter in the lower 16.
// It orders writes only in last-write-wins buckets and property registers; elsewhere it is
// shown and decides nothing.
type Time uint64

const counterBits = 16

// TimeOf returns the first hybrid time of t's millisecond.
func TimeOf(t time.Time) Time { return Time(max(t.UnixMilli(), 0)) << counterBits }

// Wall returns the wall-clock part, in UTC with millisecond resolution.
func (t Time) Wall() time.Time { return time.UnixMilli(int64(t >> counterBits)).UTC() }

// HybridClock gives out increasing hybrid times. The zero HybridClock is ready; it is safe
// for concurrent use.
type HybridClock struct {
	Wall func() time.Time // time.Now if nil; not to be changed after the first Now
	last atomic.Uint64
}

// Now returns a time that is later than every time this clock returned without a floor and
// later than atLeast. A floor that lies ahead of the clock raises only this answer, not the
// clock: a node whose wall clock runs ahead cannot drag the others along.
func (h *HybridClock) Now(atLeast Time) Time {
	now := time.Now
	if h.Wall != nil {
		now = h.Wall
	}
	wall := uint64(TimeOf(now()))
	for {
		last := h.last.Load()
		next := max(wall, last+1)
		if h.last.CompareAndSwap(last, next) {
			return max(Time(next), atLeast+1)
		}
	}
}
