package staleness

import (
	"context"
	"encoding/json"
	"net/http"
)

// page is what a node answers to GET /cluster/latencies: samples in microseconds, oldest first, and
// how many there were since it began.
type page struct {
	Reads       []float64 `json:"reads_us"`
	Writes      []float64 `json:"writes_us"`
	LocalReads  []float64 `json:"local_reads_us"`
	LocalWrites []float64 `json:"local_writes_us"`
	// Which write each of the two lists' times is of. Older nodes do not say.
	WritesOf      []uint32 `json:"writes_of"`
	LocalWritesOf []uint32 `json:"local_writes_of"`

	Taken struct {
		Reads       uint64 `json:"reads"`
		Writes      uint64 `json:"writes"`
		LocalReads  uint64 `json:"local_reads"`
		LocalWrites uint64 `json:"local_writes"`
	} `json:"taken"`
}

// maxPage bounds the answer: four times 1,024 numbers are some 30 KB.
const maxPage = 4 << 20

// pagesNow asks all targets. Of one that does not answer, or knows of no samples, there is an
// empty page: a prediction then rests on the others.
func (r *run) pagesNow(ctx context.Context) []page {
	pages := make([]page, len(r.cfg.Targets))
	for i, target := range r.cfg.Targets {
		body, status, err := r.fetch(ctx, "http://"+target+"/cluster/latencies", maxPage)
		if err != nil || status != http.StatusOK || json.Unmarshal(body, &pages[i]) != nil {
			pages[i] = page{}
		}
	}
	return pages
}

// samples are the replica answer times of all targets in one part of a run.
type samples struct {
	reads, writes, localReads, localWrites []float64

	// whole are those writes of which all copies were sampled: the coordinator's own first.
	whole [][]float64
}

// between returns the samples taken between two looks at the same targets; whole writes are
// those of n copies.
func between(before, after []page, n int) (s samples) {
	for i := range after {
		b, a := &before[i], &after[i]
		s.reads = append(s.reads, later(a.Reads, b.Taken.Reads, a.Taken.Reads)...)
		s.writes = append(s.writes, later(a.Writes, b.Taken.Writes, a.Taken.Writes)...)
		s.localReads = append(s.localReads, later(a.LocalReads, b.Taken.LocalReads, a.Taken.LocalReads)...)
		s.localWrites = append(s.localWrites, later(a.LocalWrites, b.Taken.LocalWrites, a.Taken.LocalWrites)...)
		if len(a.WritesOf) == len(a.Writes) && len(a.LocalWritesOf) == len(a.LocalWrites) {
			s.whole = append(s.whole, whole(n,
				later(a.LocalWritesOf, b.Taken.LocalWrites, a.Taken.LocalWrites), later(a.LocalWrites, b.Taken.LocalWrites, a.Taken.LocalWrites),
				later(a.WritesOf, b.Taken.Writes, a.Taken.Writes), later(a.Writes, b.Taken.Writes, a.Taken.Writes))...)
		}
	}
	return s
}

// later returns those of the times, newest last, that were taken since there were before. A node
// that counts less than before was started anew.
func later[T any](times []T, before, now uint64) []T {
	if now < before {
		before = 0
	}
	return times[len(times)-int(min(now-before, uint64(len(times)))):]
}

func (s *samples) count() int {
	return len(s.reads) + len(s.writes) + len(s.localReads) + len(s.localWrites)
}

// enough reports whether there is something to predict from: less than that makes no tail.
func (s *samples) enough() bool {
	const least = 16
	return min(len(s.reads), len(s.writes), len(s.localReads), len(s.localWrites)) >= least
}

// whole puts the copies of each write together: the local one, then the others, and leaves out
// writes that have not all of n.
func whole(n int, localOf []uint32, local []float64, remoteOf []uint32, remote []float64) (all [][]float64) {
	byWrite := make(map[uint32][]float64, len(local))
	for i, of := range localOf {
		byWrite[of] = append(byWrite[of], local[i])
	}
	for i, of := range remoteOf {
		if copies := byWrite[of]; len(copies) > 0 {
			byWrite[of] = append(copies, remote[i])
		}
	}
	for _, of := range localOf { // in order: one seed, one prediction
		if copies := byWrite[of]; len(copies) == n {
			all = append(all, copies)
		}
		delete(byWrite, of)
	}
	return all
}
