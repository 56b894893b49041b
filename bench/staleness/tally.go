package staleness

import (
	"math/rand/v2"
	"slices"
	"sort"
	"time"
)

// keptTimes of each delay and kind are remembered.
const keptTimes = 4096

// reservoir keeps some of many times, each with the same probability.
type reservoir struct {
	limit int
	seen  int
	kept  []float64 // microseconds
}

func (r *reservoir) add(rng *rand.Rand, d time.Duration) {
	r.seen++
	us := float64(d) / float64(time.Microsecond)
	if len(r.kept) < r.limit {
		r.kept = append(r.kept, us)
	} else if i := rng.IntN(r.seen); i < r.limit {
		r.kept[i] = us
	}
}

// bin is what became of the reads after about one delay.
type bin struct {
	reads, fresh int64
	waited       time.Duration // sum
	delays       reservoir     // those that really passed
}

// tally is what one client saw. It is not safe for concurrent use; tallies of several clients
// are merged when these have ended.
type tally struct {
	writes int64
	bins   []bin   // by delay
	missed []int64 // reads by how many versions they missed; the last element: more
	errors map[string]int64
	gets   reservoir // how long requests took
	puts   reservoir
}

func newTally(cfg *Config) *tally {
	limit := keptTimes/cfg.Clients + 1
	t := &tally{
		bins: make([]bin, len(cfg.Delays)), missed: make([]int64, cfg.Versions+2), errors: map[string]int64{},
		gets: reservoir{limit: limit}, puts: reservoir{limit: limit},
	}
	for i := range t.bins {
		t.bins[i].delays.limit = limit
	}
	return t
}

// nearest returns the bin for a wait that was meant to be one of the delays and became passed.
func nearest(delays []time.Duration, passed time.Duration) int {
	i := sort.Search(len(delays), func(i int) bool { return delays[i] >= passed })
	if i == len(delays) || i > 0 && passed-delays[i-1] < delays[i]-passed {
		i--
	}
	return i
}

func (b *bin) add(rng *rand.Rand, passed time.Duration, fresh bool) {
	b.reads++
	if fresh {
		b.fresh++
	}
	b.waited += passed
	b.delays.add(rng, passed)
}

func (t *tally) merge(o *tally) {
	t.writes += o.writes
	for i := range t.bins {
		b, c := &t.bins[i], &o.bins[i]
		b.reads += c.reads
		b.fresh += c.fresh
		b.waited += c.waited
		b.delays.kept = append(b.delays.kept, c.delays.kept...)
	}
	for i, n := range o.missed {
		t.missed[i] += n
	}
	for kind, n := range o.errors {
		t.errors[kind] += n
	}
	t.gets.kept = append(t.gets.kept, o.gets.kept...)
	t.puts.kept = append(t.puts.kept, o.puts.kept...)
}

// median of some times; 0 of none.
func median(times []float64) float64 {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}
