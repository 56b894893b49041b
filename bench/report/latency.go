package report

import (
	"fmt"
	"math"
	"slices"

	"cartwheel/bench/result"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
)

// maxLines is how many distributions one panel has.
const maxLines = 5

// panel is a set of cells whose distributions are drawn over each other.
type panel struct {
	title string
	cells []*result.Cell
	names []string
}

// panels divides the cells: those of a matrix so that what decides about the kind, R for
// reads and W for writes, differs within a panel; the rest in groups.
func panels(kind string, full []matrix, others []*result.Cell) []panel {
	var found []panel
	for _, m := range full {
		if kind == "get" || kind == all {
			for _, w := range m.ws {
				p := panel{title: m.name + " " + levelName("W", w)}
				for _, r := range m.rs {
					p.cells, p.names = append(p.cells, m.at[[2]string{r, w}]), append(p.names, levelName("R", r))
				}
				found = append(found, p)
			}
			continue
		}
		for _, r := range m.rs {
			p := panel{title: m.name + " " + levelName("R", r)}
			for _, w := range m.ws {
				p.cells, p.names = append(p.cells, m.at[[2]string{r, w}]), append(p.names, levelName("W", w))
			}
			found = append(found, p)
		}
	}
	for part := range slices.Chunk(others, maxLines) {
		p := panel{title: "other cells", cells: part}
		for _, c := range part {
			p.names = append(p.names, cellName(c))
		}
		found = append(found, p)
	}
	return found
}

// curve returns the distribution of an operation as points: the quantile as the number of nines,
// so that 90 %, 99 % and 99.9 % lie at the same distance, and the logarithm of the time. The fastest
// tenth is left out: nobody waits for it, and it would take most of the axis.
func curve(o *result.Op) plotter.XYs {
	quantiles := o.Latency.Curve
	if len(quantiles) == 0 {
		l := o.Latency
		quantiles = []result.Quantile{{Q: 0.5, Micros: l.P50}, {Q: 0.9, Micros: l.P90}, {Q: 0.99, Micros: l.P99}, {Q: 0.999, Micros: l.P999}}
	}
	var points plotter.XYs
	for _, q := range quantiles {
		if q.Q >= 0.1 && q.Q < 1 && usable(q.Micros) && q.Micros > 0 {
			points = append(points, plotter.XY{X: -math.Log10(1 - q.Q), Y: math.Log10(q.Micros)})
		}
	}
	slices.SortStableFunc(points, func(a, b plotter.XY) int {
		switch {
		case a.X < b.X:
			return -1
		case a.X > b.X:
			return 1
		}
		return 0
	})
	return points
}

// latencySection draws the distributions of each kind of operation, all on the same axes.
func latencySection(run *result.Run) section {
	s := section{ID: "distribution", Title: "Latency distribution",
		Notes: []string{"To the right are the slower requests: at 99 % is the time that one request in a hundred exceeds. The time axis is logarithmic, and the same in all charts of one kind of operation."}}
	full, others := matrices(run.Cells)
	for _, kind := range kinds(run.Cells) {
		var charts []chart
		lo, hi, right := math.Inf(1), math.Inf(-1), 1.0
		groups := panels(kind, full, others)
		for _, p := range groups {
			for _, c := range p.cells {
				if o := op(c, kind); o != nil {
					for _, xy := range curve(o) {
						lo, hi, right = min(lo, xy.Y), max(hi, xy.Y), max(right, xy.X)
					}
				}
			}
		}
		if lo > hi {
			continue
		}
		for _, p := range groups {
			if c, ok := p.chart(kind, lo, hi, min(right, 6)); ok {
				charts = append(charts, c)
			}
		}
		s.charts = append(s.charts, charts...)
	}
	s.Tables = []table{latencyTable(run)}
	return s
}

// chart draws a panel on axes of the given range; ok is false if none of its cells has a
// distribution.
func (p panel) chart(kind string, lo, hi, right float64) (c chart, ok bool) {
	var lines []plot.Plotter
	var keys []key
	for i, cell := range p.cells {
		o := op(cell, kind)
		if o == nil {
			continue
		}
		points := curve(o)
		if len(points) == 0 {
			continue
		}
		line, marks := newLine(points, series(i), dashes(i)), newMarks(atNines(points), i, series(i))
		lines = append(lines, line, marks)
		keys = append(keys, key{p.names[i], thumbs{line, marks}})
	}
	return chart{id: "distribution-" + slug(kind), title: "Latency of " + clip(kind, 16) + ", " + p.title,
		sub: "time (log) by share of requests that took no longer", keys: keys, high: 300,
		desc: fmt.Sprintf("Lines of %d cells: time over the share of requests that took at most that long.", len(keys)),
		draw: func(c draw.Canvas) {
			p := newPlot()
			addGrid(p, true)
			p.Add(lines...)
			from, to, ticks := decades(math.Pow(10, lo), math.Pow(10, hi), tickMicros)
			span(&p.Y, from, to, ticks)
			span(&p.X, 0, right*1.02, []plot.Tick{{Value: 0, Label: ""}, {Value: -math.Log10(0.5), Label: "50 %"}, {Value: 1, Label: "90 %"},
				{Value: 2, Label: "99 %"}, {Value: 3, Label: "99.9 %"}, {Value: 4, Label: "99.99 %"}, {Value: 5, Label: "99.999 %"}, {Value: 6, Label: "99.9999 %"}})
			p.Draw(c)
		}}, len(lines) > 0
}

// atNines returns the points that are nearest to the quantiles with a tick: marks on every point
// of a curve would hide it.
func atNines(points plotter.XYs) plotter.XYs {
	var found plotter.XYs
	for _, tick := range []float64{-math.Log10(0.5), 1, 2, 3, 4, 5, 6} {
		best := points[0]
		for _, p := range points {
			if math.Abs(p.X-tick) < math.Abs(best.X-tick) {
				best = p
			}
		}
		if math.Abs(best.X-tick) < 0.1 {
			found = append(found, best)
		}
	}
	return found
}

// latencyTable has one row for each cell and kind of operation.
func latencyTable(run *result.Run) table {
	t := table{Caption: "Latency by cell and kind of operation",
		Head: []string{"cell", "operation", "count", "not found", "errors", "operations/s", "mean", "min", "p50", "p90", "p99", "p99.9", "max"}}
	for i := range run.Cells {
		c := &run.Cells[i]
		for _, o := range c.Ops {
			l := o.Latency
			t.Rows = append(t.Rows, []string{cellName(c), printable(o.Kind), thousands(o.Count), thousands(o.NotFound), errorText(&o), perSecond(o.Rate),
				inMicros(l.Mean), inMicros(l.Min), inMicros(l.P50), inMicros(l.P90), inMicros(l.P99), inMicros(l.P999), inMicros(l.Max)})
		}
	}
	return t
}
