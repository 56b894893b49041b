package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"cartwheel/bench/result"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
)

const (
	maxStale    = 12
	maxVersions = 10 // k of the chart; the table has all
)

// staleSection draws how fresh answers were: for cells in which some were not, or were not
// expected to be.
func staleSection(run *result.Run) section {
	s := section{ID: "staleness", Title: "Staleness"}
	var cells []*result.Cell
	fresh, measured := 0, false
	for i := range run.Cells {
		c := &run.Cells[i]
		if c.Staleness == nil {
			continue
		}
		measured = true
		if leastFresh(c) < 1 {
			cells = append(cells, c)
		} else {
			fresh++
		}
		s.Tables = append(s.Tables, freshTable(c), ageTable(c))
	}
	if !measured {
		return s
	}
	slices.SortStableFunc(cells, func(a, b *result.Cell) int { return cmp.Compare(leastFresh(a), leastFresh(b)) })
	s.Notes = append(s.Notes, "How likely a read is to see an acknowledged write, by the time since the acknowledgement: measured, with the 95 % interval of the estimate, beside what probabilistically bounded staleness (PBS) predicts from replica latencies of the same run.")
	s.Notes = append(s.Notes, probeErrors(run.Cells)...)
	if fresh > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("%d cells are not drawn: every read was fresh.", fresh))
	}
	if left := len(cells) - maxStale; left > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("The %d stalest cells are drawn; the table has the other %d.", maxStale, left))
		cells = cells[:maxStale]
	}
	if len(cells) == 0 {
		return s
	}
	var without []string
	for _, c := range cells {
		if !predictedAll(c) {
			without = append(without, cellName(c))
		}
	}
	if len(without) > 0 {
		s.Notes = append(s.Notes, "A chart has no predicted line where there were too few replica latencies to predict from; measure longer (--staleness-for). So it is with "+listed(without)+".")
	}
	least := leastFresh(cells[0])
	for _, c := range cells {
		s.charts = append(s.charts, freshChart(c, least))
	}
	for _, c := range cells {
		if slices.ContainsFunc(c.Staleness.Versions, func(a result.Age) bool { return a.Reads > 0 }) {
			s.charts = append(s.charts, ageChart(c))
		}
	}
	return s
}

// predictedAll reports whether both charts of a cell have a predicted line.
func predictedAll(c *result.Cell) bool {
	st := c.Staleness
	return slices.ContainsFunc(st.Times, func(f result.Freshness) bool { return f.Predicted >= 0 }) &&
		(len(st.Versions) == 0 || slices.ContainsFunc(st.Versions, func(a result.Age) bool { return a.Predicted >= 0 }))
}

// probeErrors says of which cells probes had no answer.
func probeErrors(cells []result.Cell) (list []string) {
	for i := range cells {
		c := &cells[i]
		if c.Staleness == nil || len(c.Staleness.Errors) == 0 {
			continue
		}
		if len(list) == maxErrorNotes {
			return append(list, "More cells had requests of probes without an answer; the JSON has them.")
		}
		list = append(list, "Requests of probes without an answer, neither fresh nor stale, of "+cellName(c)+": "+errorKinds(c.Staleness.Errors)+".")
	}
	return list
}

// share is one probability, observed and predicted.
type share struct {
	value, x     float64 // what it belongs to, and where that is drawn
	observed     float64 // not a number: no reads
	below, above float64 // to the ends of the 95 % interval
	predicted    float64 // not a number: no prediction
	reads, hits  int64
}

func newShare(value float64, reads, hits int64, predicted float64) share {
	s := share{value: value, reads: reads, hits: hits, predicted: predicted, observed: math.NaN()}
	if reads > 0 && hits >= 0 && hits <= reads {
		s.observed = float64(hits) / float64(reads)
		lo, hi := wilson(hits, reads)
		s.below, s.above = s.observed-lo, hi-s.observed
	}
	if !usable(predicted) || predicted < 0 || predicted > 1 {
		s.predicted = math.NaN()
	}
	return s
}

// wilson returns the interval that Wilson's score gives for a share with 95 % confidence. Unlike
// the normal approximation it is never empty at 0 or 1.
func wilson(hits, of int64) (lo, hi float64) {
	const z = 1.96
	n, p := float64(of), float64(hits)/float64(of)
	middle := p + z*z/(2*n)
	half := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	scale := 1 + z*z/n
	return min(max((middle-half)/scale, 0), p), max(min((middle+half)/scale, 1), p)
}

func freshness(c *result.Cell) []share {
	var shares []share
	for _, f := range c.Staleness.Times {
		if usable(f.Delay) && f.Delay >= 0 {
			shares = append(shares, newShare(f.Delay, f.Reads, f.Fresh, f.Predicted))
		}
	}
	slices.SortStableFunc(shares, func(a, b share) int { return cmp.Compare(a.value, b.value) })
	return shares
}

// leastFresh is the smallest probability of a cell, observed or predicted.
func leastFresh(c *result.Cell) float64 {
	least := 1.0
	for _, s := range freshness(c) {
		for _, v := range []float64{s.observed, s.predicted} {
			if usable(v) {
				least = min(least, v)
			}
		}
	}
	return least
}

// freshChart draws the probability of a fresh answer over the logarithm of the delay. No delay
// at all has a place of its own, left of the smallest.
func freshChart(c *result.Cell, least float64) chart {
	shares := freshness(c)
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, s := range shares {
		if s.value > 0 {
			lo, hi = min(lo, math.Log10(s.value)), max(hi, math.Log10(s.value))
		}
	}
	if lo > hi {
		lo, hi = 3, 4
	}
	zero := lo - max((hi-lo)*0.15, 0.3)
	ticks := []plot.Tick{{Value: zero, Label: "0"}}
	every := math.Ceil((hi - lo) / 5)
	for e := math.Ceil(lo - 1e-9); e <= hi+1e-9; e += max(every, 1) {
		ticks = append(ticks, plot.Tick{Value: e, Label: tickMicros(math.Pow(10, math.Round(e)))})
	}
	for i := range shares {
		shares[i].x = zero
		if shares[i].value > 0 {
			shares[i].x = math.Log10(shares[i].value)
		}
	}
	return shareChart("fresh-time", cellName(c), "reads that saw the write, by time since its acknowledgement (log)",
		fmt.Sprintf("Probability of a fresh answer over time, measured with %s writes and predicted. At once: %s measured.", thousands(c.Staleness.Writes), shareOf(readsAtOnce(c))),
		shares, func(p *plot.Plot) {
			margin := (hi - zero) * 0.03
			span(&p.X, zero-margin, hi+margin, ticks)
			percentAxis(&p.Y, least)
		})
}

// ageChart draws the probability of an answer that is at most k versions old.
func ageChart(c *result.Cell) chart {
	var shares []share
	least := 1.0
	var ticks []plot.Tick
	for _, a := range c.Staleness.Versions {
		if a.K < 0 || a.K > maxVersions {
			continue
		}
		s := newShare(float64(a.K), a.Reads, a.Fresh, a.Predicted)
		s.x = s.value
		for _, v := range []float64{s.observed, s.predicted} {
			if usable(v) {
				least = min(least, v)
			}
		}
		shares = append(shares, s)
		ticks = append(ticks, plot.Tick{Value: s.x, Label: fmt.Sprint(a.K)})
	}
	last := 1.0
	for _, s := range shares {
		last = max(last, s.x)
	}
	return shareChart("fresh-versions", cellName(c)+", k versions", "reads that missed at most k acknowledged writes, by k",
		fmt.Sprintf("Probability of an answer that is at most k versions old, for %d values of k.", len(shares)),
		shares, func(p *plot.Plot) {
			span(&p.X, -0.3, last+0.3, ticks)
			percentAxis(&p.Y, least)
		})
}

// shareChart draws observed shares as marks with their intervals and predicted ones as a line.
func shareChart(id, title, sub, desc string, shares []share, axes func(*plot.Plot)) chart {
	var observed, predicted plotter.XYs
	var intervals plotter.YErrors
	for _, s := range shares {
		if usable(s.observed) {
			observed = append(observed, plotter.XY{X: s.x, Y: s.observed})
			intervals = append(intervals, struct{ Low, High float64 }{s.below, s.above})
		}
		if usable(s.predicted) {
			predicted = append(predicted, plotter.XY{X: s.x, Y: s.predicted})
		}
	}
	marks, line := newMarks(observed, 0, series(0)), newLine(predicted, series(1), dashes(1))
	keys := []key{{"measured", marks}}
	if len(predicted) > 0 {
		keys = append(keys, key{"predicted (PBS)", line})
	}
	return chart{id: id, title: title, sub: sub, desc: desc, keys: keys, high: 260, draw: func(c draw.Canvas) {
		p := newPlot()
		addGrid(p, false)
		if len(predicted) > 0 {
			p.Add(fixed{line})
		}
		if len(observed) > 0 {
			bars := &plotter.YErrorBars{XYs: observed, YErrors: intervals, CapWidth: 6, LineStyle: draw.LineStyle{Color: series(0).color(), Width: 1}}
			p.Add(fixed{bars}, marks)
		}
		axes(p)
		p.Draw(c)
	}}
}

func freshTable(c *result.Cell) table {
	t := table{Caption: fmt.Sprintf("%s: fresh answers by time since the acknowledgement; %s writes, prediction from %s latencies", cellName(c), thousands(c.Staleness.Writes), thousands(c.Staleness.Samples)),
		Head: []string{"delay", "reads", "fresh", "measured", "predicted"}}
	for _, s := range freshness(c) {
		t.Rows = append(t.Rows, []string{tickMicros(s.value), thousands(s.reads), thousands(s.hits), shareText(s.observed, s.reads), percent(s.predicted)})
	}
	return t
}

func ageTable(c *result.Cell) table {
	t := table{Caption: cellName(c) + ": answers that missed at most k versions", Head: []string{"k", "reads", "at most k", "measured", "predicted"}}
	for _, a := range c.Staleness.Versions {
		s := newShare(float64(a.K), a.Reads, a.Fresh, a.Predicted)
		t.Rows = append(t.Rows, []string{fmt.Sprint(a.K), thousands(a.Reads), thousands(a.Fresh), shareText(s.observed, s.reads), percent(s.predicted)})
	}
	return t
}
