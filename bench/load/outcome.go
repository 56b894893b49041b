package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"cartwheel/bench/result"
	"cartwheel/bench/workload"
)

// Outcome is what a run found.
type Outcome struct {
	// Ops has "all" first, then one entry for each kind that occurred, in the order get, put,
	// update, insert. Count includes failed operations; Rate counts the successful ones that
	// ended in the measured time. "unsent" stands among the errors of "all" only, and not in Count:
	// what was not sent had no kind yet.
	Ops      []result.Op
	Timeline []result.Point
	// Seconds is the length of the measured part: Config.For, unless Operations or the context
	// ended it before.
	Seconds float64
	// Interrupted says that the context ended the run.
	Interrupted bool
	// Reconnects counts connections made after the first one of each client, DialErrors attempts
	// that failed.
	Reconnects, DialErrors int64
	// All and ByKind are the latencies of successful operations in microseconds. ByKind has nil
	// for kinds that did not occur.
	All    *hdrhistogram.Histogram
	ByKind [workload.Kinds]*hdrhistogram.Histogram
}

// Phases of a run.
const (
	Connecting = "connecting"
	WarmingUp  = "warm-up"
	Measuring  = "measuring"
	Ended      = "ended"
)

// Snapshot is a look at a run, for a live line.
type Snapshot struct {
	Phase   string
	Elapsed time.Duration // since the phase began
	Length  time.Duration // of the phase; 0: not known
	Ops     int64         // successful so far: in the warm-up those of the warm-up, then measured ones
	Errors  int64         // likewise
	Total   int64         // of Ops and Errors to come, when the run is limited by operations; else 0
	// Of the last full interval (Config.Interval), or of what there is while there is none:
	Rate     float64 // successful operations per second
	P50, P99 float64 // microseconds
	Behind   int64   // operations that are due and not sent, in an open loop
}

// outcome sums up a run whose measured part lasted until end, from the start.
func (r *Run) outcome(end time.Duration) *Outcome {
	l := &r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	length := max(end-r.config.WarmUp, 0)
	o := &Outcome{
		Seconds:     length.Seconds(),
		Interrupted: r.interrupted.Load(),
		Timeline:    r.timeline.points(end),
		Reconnects:  l.redials,
		DialErrors:  l.dialFail,
		All:         newHistogram(),
		ByKind:      l.latency,
	}
	all := result.Op{Kind: "all"}
	var kinds []result.Op
	for k := range workload.Kinds {
		op, inTime := l.op(k, o.Seconds)
		if op.Count == 0 {
			continue
		}
		kinds = append(kinds, op)
		all.Count += op.Count
		all.NotFound += op.NotFound
		all.Rate += perSecond(inTime, o.Seconds)
		for name, n := range op.Errors {
			count(&all, name, n)
		}
		if h := l.latency[k]; h != nil {
			o.All.Merge(h)
		}
	}
	count(&all, "unsent", l.unsent)
	all.Latency = Summary(o.All)
	o.Ops = append([]result.Op{all}, kinds...)
	return o
}

// op returns what became of one kind, and how many succeeded in the measured time.
func (l *ledger) op(k workload.Kind, seconds float64) (result.Op, int64) {
	op := result.Op{Kind: k.String(), NotFound: l.counts[k][notFound], Rate: perSecond(l.inTime[k], seconds)}
	for f, n := range l.counts[k] {
		op.Count += n
		if !fate(f).success() {
			count(&op, fate(f).String(), n)
		}
	}
	op.Latency = Summary(l.latency[k])
	return op, l.inTime[k]
}

// count adds n errors of a name.
func count(op *result.Op, name string, n int64) {
	if n == 0 {
		return
	}
	if op.Errors == nil {
		op.Errors = map[string]int64{}
	}
	op.Errors[name] += n
}

func perSecond(n int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(n) / seconds
}

// Summary returns the figures of a histogram of microseconds, with a curve of at most some hundred
// points; zero if it is nil or empty.
func Summary(h *hdrhistogram.Histogram) result.Latency {
	if h == nil || h.TotalCount() == 0 {
		return result.Latency{}
	}
	at := func(percent float64) float64 { return float64(h.ValueAtPercentile(percent)) }
	l := result.Latency{
		Mean: h.Mean(), Min: float64(h.Min()), Max: float64(h.Max()),
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
	}
	// Ten points for each halving of what is above, so that the tail has as many as the middle.
	for _, b := range h.CumulativeDistributionWithTicks(10) {
		l.Curve = append(l.Curve, result.Quantile{Q: b.Quantile / 100, Micros: float64(b.ValueAt)})
	}
	return l
}
