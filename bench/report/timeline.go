package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"cartwheel/bench/result"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	maxTimelines = 12
	maxPoints    = 600 // of one time line: more than it has pixels
	maxEvents    = 20  // with a shade of their own
)

// timeSection draws time lines: first those with faults, then those with errors.
func timeSection(run *result.Run) section {
	s := section{ID: "timeline", Title: "Over time"}
	var cells []*result.Cell
	for i := range run.Cells {
		if len(run.Cells[i].Timeline) > 0 {
			cells = append(cells, &run.Cells[i])
		}
	}
	rank := func(c *result.Cell) int {
		if len(c.Events) > 0 {
			return 0
		}
		if slices.ContainsFunc(c.Timeline, func(p result.Point) bool { return p.Errors > 0 }) {
			return 1
		}
		return 2
	}
	slices.SortStableFunc(cells, func(a, b *result.Cell) int { return cmp.Compare(rank(a), rank(b)) })
	if left := len(cells) - maxTimelines; left > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("%d time lines are drawn, those with faults or errors first; the JSON has the other %d.", maxTimelines, left))
		cells = cells[:maxTimelines]
	}
	for _, c := range cells {
		points := merged(c.Timeline)
		if len(points) < len(c.Timeline) {
			s.Notes = append(s.Notes, fmt.Sprintf("%s: %d intervals are merged into %d; their latencies are the worst of those merged.", cellName(c), len(c.Timeline), len(points)))
		}
		s.charts = append(s.charts, timeline(c, points))
		s.Tables = append(s.Tables, timeTable(c, points))
		if len(c.Events) > 0 {
			s.Tables = append(s.Tables, eventTable(c))
		}
	}
	return s
}

// merged returns at most maxPoints intervals without those that have no length or place.
func merged(points []result.Point) []result.Point {
	points = slices.DeleteFunc(slices.Clone(points), func(p result.Point) bool {
		return !usable(p.At) || !usable(p.Seconds) || p.Seconds <= 0
	})
	slices.SortStableFunc(points, func(a, b result.Point) int { return cmp.Compare(a.At, b.At) })
	size := (len(points) + maxPoints - 1) / maxPoints
	if size <= 1 {
		return points
	}
	var out []result.Point
	for part := range slices.Chunk(points, size) {
		sum := part[0]
		for _, p := range part[1:] {
			sum.Seconds += p.Seconds
			sum.Count += p.Count
			sum.Errors += p.Errors
			sum.P50, sum.P99, sum.Max = max(sum.P50, p.P50), max(sum.P99, p.P99), max(sum.Max, p.Max)
		}
		out = append(out, sum)
	}
	return out
}

// timeline draws throughput, latency and errors of one cell above each other.
func timeline(c *result.Cell, points []result.Point) chart {
	rate := pieces(points, func(p result.Point) float64 { return float64(p.Count) / p.Seconds })
	p50 := pieces(points, func(p result.Point) float64 { return logOf(p, p.P50) })
	p99 := pieces(points, func(p result.Point) float64 { return logOf(p, p.P99) })
	failed := pieces(points, func(p result.Point) float64 { return float64(p.Errors) / p.Seconds })
	hasErrors := slices.ContainsFunc(points, func(p result.Point) bool { return p.Errors > 0 })
	styles := [...]*plotter.Line{newLine(nil, series(0), nil), newLine(nil, series(2), dashes(2)), newLine(nil, series(1), nil), newLine(nil, series(7), dashes(1))}
	keys := []key{{"operations/s", styles[0]}, {"p50", styles[1]}, {"p99", styles[2]}}
	rows, high, sub := 2, vg.Length(300), "operations/s and latency (log) over seconds"
	if hasErrors {
		rows, high, sub = 3, 380, "operations/s, latency (log) and errors/s over seconds"
		keys = append(keys, key{"errors/s", styles[3]})
	}
	events := slices.Clone(c.Events[:min(len(c.Events), maxEvents)])
	slices.SortStableFunc(events, func(a, b result.Event) int { return cmp.Compare(a.Begin, b.Begin) })
	for i, e := range events {
		keys = append(keys, key{fmt.Sprintf("%d: %s", i+1, eventText(e)), swatch{shade}})
		if i%3 == 0 {
			high += 16
		}
	}
	length := 0.0
	for _, p := range points {
		length = max(length, p.At+p.Seconds)
	}
	return chart{id: "timeline", title: cellName(c), sub: sub, keys: keys, wide: len(events) > 0, high: high,
		desc: fmt.Sprintf("Time line of %s: throughput, p50 and p99, and errors, over %s. %s", cellName(c), inSeconds(length), eventsText(events)),
		draw: func(canvas draw.Canvas) {
			plots := []*plot.Plot{newPlot(), newPlot(), newPlot()}[:rows]
			for _, p := range plots {
				p.Add(shades{events, length, p == plots[0]})
				addGrid(p, false)
			}
			plots[0].Add(lines(rate, styles[0])...)
			plots[1].Add(append(lines(p50, styles[1]), lines(p99, styles[2])...)...)
			zeroAxis(plots[0], rate, short)
			logAxis(plots[1], p50, p99)
			if hasErrors {
				plots[2].Add(lines(failed, styles[3])...)
				zeroAxis(plots[2], failed, short)
			}
			drawAbove(canvas, plots, length)
		}}
}

func logOf(p result.Point, micros float64) float64 {
	if p.Count <= 0 || !usable(micros) || micros <= 0 {
		return math.NaN()
	}
	return math.Log10(micros)
}

// drawAbove draws plots above each other with one axis of seconds.
func drawAbove(canvas draw.Canvas, plots []*plot.Plot, length float64) {
	grid := make([][]*plot.Plot, len(plots))
	for i, p := range plots {
		end, ticks := upTo(length, 6, significant)
		if i < len(plots)-1 {
			for t := range ticks {
				ticks[t].Label = ""
			}
		}
		span(&p.X, 0, max(min(end, length), 1e-9), ticks)
		grid[i] = []*plot.Plot{p}
	}
	tiles := plot.Align(grid, draw.Tiles{Rows: len(plots), Cols: 1, PadY: 10, PadRight: 6}, canvas)
	for i, p := range plots {
		p.Draw(tiles[i][0])
	}
}

// pieces returns the lines through the values of intervals, each at its middle, broken where there
// is no value.
func pieces(points []result.Point, value func(result.Point) float64) []plotter.XYs {
	var lines []plotter.XYs
	broken := true
	for _, p := range points {
		v := value(p)
		if !usable(v) {
			broken = true
			continue
		}
		if broken {
			lines = append(lines, nil)
			broken = false
		}
		last := &lines[len(lines)-1]
		*last = append(*last, plotter.XY{X: p.At + p.Seconds/2, Y: v})
	}
	return lines
}

// lines draws pieces in the style of a line; a single point as a mark.
func lines(pieces []plotter.XYs, like *plotter.Line) []plot.Plotter {
	var list []plot.Plotter
	for _, xys := range pieces {
		if len(xys) == 1 {
			list = append(list, &plotter.Scatter{XYs: xys, GlyphStyle: draw.GlyphStyle{Color: like.Color, Radius: 2, Shape: draw.CircleGlyph{}}})
			continue
		}
		line := *like
		line.XYs = xys
		list = append(list, &line)
	}
	return list
}

func zeroAxis(p *plot.Plot, pieces []plotter.XYs, format func(float64) string) {
	most := 0.0
	for _, xys := range pieces {
		for _, xy := range xys {
			most = max(most, xy.Y)
		}
	}
	end, ticks := upTo(most, 3, format)
	span(&p.Y, 0, end, ticks)
}

func logAxis(p *plot.Plot, lines ...[]plotter.XYs) {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, pieces := range lines {
		for _, xys := range pieces {
			for _, xy := range xys {
				lo, hi = min(lo, xy.Y), max(hi, xy.Y)
			}
		}
	}
	if lo > hi {
		lo, hi = 3, 4
	}
	from, to, ticks := decades(math.Pow(10, lo), math.Pow(10, hi), tickMicros)
	const enough = 4 // labels that fit in a low panel
	if len(ticks) > enough+1 {
		from, to = math.Floor(lo), math.Ceil(hi)
		ticks = nil
		every := math.Ceil((to - from) / enough)
		for v := from; v <= to; v += max(every, 1) {
			ticks = append(ticks, plot.Tick{Value: v, Label: tickMicros(math.Pow(10, v))})
		}
	}
	span(&p.Y, from, to, ticks)
}

// timeTable has the intervals of a time line.
func timeTable(c *result.Cell, points []result.Point) table {
	t := table{Caption: cellName(c), Head: []string{"from", "length", "operations", "errors", "p50", "p99", "max"}}
	for _, p := range points {
		t.Rows = append(t.Rows, []string{inSeconds(p.At), inSeconds(p.Seconds), thousands(p.Count), thousands(p.Errors), inMicros(p.P50), inMicros(p.P99), inMicros(p.Max)})
	}
	return t
}
