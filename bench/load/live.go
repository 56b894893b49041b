package load

import "time"

// Elapsed returns the time since the measured part began, 0 before. It stands still when the run has
// ended.
func (r *Run) Elapsed() time.Duration {
	if r.start.Load() == nil {
		return 0
	}
	now := r.now()
	if ended := r.ended.Load(); ended > 0 {
		now = time.Duration(ended)
	}
	return max(now-r.config.WarmUp, 0)
}

// Snapshot says how the run is doing. It costs some microseconds.
func (r *Run) Snapshot() Snapshot {
	if r.start.Load() == nil {
		return Snapshot{Phase: Connecting}
	}
	now, phase := r.now(), Measuring
	if ended := r.ended.Load(); ended > 0 {
		now, phase = time.Duration(ended), Ended
	}
	s := Snapshot{Phase: phase, Elapsed: now - r.config.WarmUp, Length: r.config.For, Total: r.config.Operations}
	part := measured
	if now < r.config.WarmUp {
		s = Snapshot{Phase: WarmingUp, Elapsed: now, Length: r.config.WarmUp}
		part = warm
	}
	s.Ops, s.Errors = r.succeeded[part].Load(), r.failed[part].Load()
	if r.config.Rate > 0 && phase != Ended {
		due := schedule{rate: r.config.Rate}.allBefore(min(now, r.end))
		s.Behind = max(due-r.begun.Load(), 0)
	}
	r.recent(&s, now, part)
	return s
}

// recent fills in the figures of the last full interval of a part, or of the first one as far as it
// has come.
func (r *Run) recent(s *Snapshot, now time.Duration, part int) {
	t := r.timeline
	first, begin := 0, time.Duration(0)
	if part == measured {
		first, begin = t.before, t.warm
	}
	i, seconds := t.slot(now)-1, t.interval.Seconds()
	if i < first {
		i, seconds = first, min(now-begin, t.interval).Seconds()
	}
	f := t.look(min(i, len(t.slots)-1))
	s.Rate, s.P50, s.P99 = perSecond(f.count, seconds), f.p50, f.p99
}
