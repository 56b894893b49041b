package httpapi

import (
	"net/http"
	"time"

	"cartwheel/quorum"
)

// latenciesView is the answer of /cluster/latencies: how long replicas took lately, as the
// coordinator of this node saw them, in microseconds, oldest first.
type latenciesView struct {
	Node        string    `json:"node"`
	Reads       []float64 `json:"reads_us"`
	Writes      []float64 `json:"writes_us"`
	LocalReads  []float64 `json:"local_reads_us"`
	LocalWrites []float64 `json:"local_writes_us"`
	// Which write each of the two lists' times is of: equal numbers, one write.
	WritesOf      []uint32 `json:"writes_of"`
	LocalWritesOf []uint32 `json:"local_writes_of"`

	Taken takenView `json:"taken"`
}

// takenView is how many samples there were since the node's start. From two answers a client
// knows which samples lie between them.
type takenView struct {
	Reads       uint64 `json:"reads"`
	Writes      uint64 `json:"writes"`
	LocalReads  uint64 `json:"local_reads"`
	LocalWrites uint64 `json:"local_writes"`
}

// getLatencies shows the samples.
func (a *API) getLatencies(x *exchange, _ *http.Request) {
	l := a.cfg.Coordinator.Latencies()
	x.json(http.StatusOK, latenciesView{
		Node:  a.cfg.Node.Status().Name,
		Reads: micros(l.Reads), Writes: micros(l.Writes), LocalReads: micros(l.LocalReads), LocalWrites: micros(l.LocalWrites),
		WritesOf: numbers(l.Writes), LocalWritesOf: numbers(l.LocalWrites),
		Taken: takenView{l.Reads.Taken, l.Writes.Taken, l.LocalReads.Taken, l.LocalWrites.Taken},
	})
}

// micros returns the times in microseconds, to a tenth: what lies below is the clock's noise.
func micros(s quorum.Sampled) []float64 {
	us := make([]float64, len(s.Times))
	for i, d := range s.Times {
		us[i] = float64(d.Round(100*time.Nanosecond)) / float64(time.Microsecond)
	}
	return us
}

// numbers returns the operations of the times: none, not nil, if there are no times.
func numbers(s quorum.Sampled) []uint32 { return append([]uint32{}, s.Of...) }
