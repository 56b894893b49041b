package memnet

import (
	"sync"
	"time"
)

// signal wakes those who wait for a change of something that a mutex guards. A
// sync.Cond would not do: it has no time limit.
type signal struct {
	ch      chan struct{}
	waiters int
}

// broadcast wakes all who wait. The mutex is held.
func (s *signal) broadcast() {
	if s.waiters > 0 {
		close(s.ch)
		s.ch, s.waiters = nil, 0
	}
}

// wait releases mu until the next broadcast, the given time (zero: never), or
// until stop (may be nil) is closed.
func (s *signal) wait(mu *sync.Mutex, until time.Time, stop <-chan struct{}) {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	ch := s.ch
	s.waiters++
	mu.Unlock()
	defer mu.Lock()
	var over <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		over = t.C
	}
	select {
	case <-ch:
	case <-over:
	case <-stop:
	}
}

// earliest returns the earlier of two times, of which zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// passed reports whether a deadline, zero for none, has passed.
func passed(deadline, now time.Time) bool { return !deadline.IsZero() && !now.Before(deadline) }

// mix hashes two numbers into one (the finalizer of splitmix64).
func mix(a, b uint64) uint64 {
	x := a ^ b*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hashString is FNV-1a.
func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// chance reports true with probability p, as roll decides.
func chance(roll uint64, p float64) bool { return float64(roll>>11)/(1<<53) < p }
