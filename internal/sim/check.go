package sim

import (
	"fmt"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// Check returns every violation of the promises, and how many pairs of requests it compared for
// the promises of quorum reads. final is the state of each key after all have converged.
func (h *History) Check(final map[ring.Key]vclock.Object) (bad []string, compared int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	bad = append(bad, h.faults...)
	writes, reads := map[ring.Key][]*write{}, map[ring.Key][]*read{}
	for _, w := range h.writes {
		writes[w.key] = append(writes[w.key], w)
	}
	for i := range h.reads {
		r := &h.reads[i]
		reads[r.key] = append(reads[r.key], r)
	}
	for key, ws := range writes {
		kept := accounted(ws, ids(final[key]), time.Time{})
		for _, w := range ws {
			if !w.acked.IsZero() && !kept[w.id] && !h.excused(w) {
				bad = append(bad, fmt.Sprintf("key %s: acknowledged %s is lost (%+v)", key.Key, w.what, w.receipt))
			}
		}
		for _, r := range reads[key] {
			found := accounted(ws, r.found, r.end)
			for _, w := range ws {
				if w.acked.IsZero() || !w.acked.Before(r.start) || w.receipt.Primaries+r.receipt.Primaries <= r.receipt.N {
					continue
				}
				if compared++; !found[w.id] && !h.shaken(w.start, w.acked, r.end, w.receipt.Durable) {
					bad = append(bad, fmt.Sprintf("key %s: %s does not see %s (%+v), acknowledged %v before", key.Key, r.what, w.what, w.receipt, r.start.Sub(w.acked)))
				}
			}
			for _, e := range reads[key] {
				if !e.firm || !e.end.Before(r.start) || e.receipt.Primaries+r.receipt.Primaries <= r.receipt.N {
					continue
				}
				compared++
				for id := range e.found {
					if !found[id] && !h.shaken(e.start, e.end, r.end, e.receipt.Primaries) {
						bad = append(bad, fmt.Sprintf("key %s: %s does not see %x, which %s saw and repaired %v before", key.Key, r.what, id[:4], e.what, r.start.Sub(e.end)))
					}
				}
			}
		}
	}
	return bad, compared
}

// excused reports whether a write may be lost: only one disk had it when it was acknowledged, and
// a disk lost data before all owners had the write.
func (h *History) excused(w *write) bool {
	if w.receipt.Durable >= 2 {
		return false
	}
	for _, l := range h.losses {
		if w.start.Before(l.at) && w.acked.After(l.since) {
			return true
		}
	}
	return false
}

// shaken reports whether what copies disks had stored between start and end need not be seen by a
// quorum read that ended at seen: a disk lost data after it was stored and before all had it, and
// either no other one had it, or a node that then became whole again may have asked none that had
// it, since others were away as well.
func (h *History) shaken(start, end, seen time.Time, copies int) bool {
	for _, l := range h.losses {
		if (!l.calm || copies < 2) && start.Before(l.at) && end.After(l.since) && seen.After(l.at) {
			return true
		}
	}
	return false
}

// accounted returns the writes whose effect is in found: they are there, or replaced by an
// accounted write whose client had read them. Writes that began after until (if set) cannot
// have replaced anything.
func accounted(writes []*write, found map[vclock.RequestID]bool, until time.Time) map[vclock.RequestID]bool {
	in := map[vclock.RequestID]bool{}
	byID := map[vclock.RequestID]*write{}
	for _, w := range writes {
		byID[w.id] = w
	}
	var add func(id vclock.RequestID)
	add = func(id vclock.RequestID) {
		w := byID[id]
		if w == nil || in[id] || !until.IsZero() && w.start.After(until) {
			return
		}
		in[id] = true
		for s := range w.seen {
			add(s)
		}
	}
	for id := range found {
		add(id)
	}
	return in
}
