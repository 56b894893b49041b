package report

import (
	"fmt"
	"image/color"
	"math"

	"cartwheel/bench/result"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/palette"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// metric is one number of a cell.
type metric struct {
	id, title string
	value     func(*result.Cell) float64 // not a number: the cell has none
	format    func(float64) string
	slower    bool // more is worse
	zoomed    bool // the scale begins at the least value instead of 0
}

// metrics are what the overview shows of the given cells.
func metrics(cells []result.Cell) []metric {
	list := []metric{{id: "throughput", title: "Throughput, operations per second", format: short,
		value: func(c *result.Cell) float64 {
			if o := op(c, all); o != nil {
				return o.Rate
			}
			return math.NaN()
		}}}
	for _, kind := range kinds(cells) {
		for _, q := range []struct {
			name string
			of   func(result.Latency) float64
		}{{"p50", func(l result.Latency) float64 { return l.P50 }}, {"p99", func(l result.Latency) float64 { return l.P99 }}} {
			list = append(list, metric{id: "latency-" + q.name + "-" + slug(kind), title: "Latency of " + clip(kind, 16) + ", " + q.name,
				format: inMicros, slower: true, value: func(c *result.Cell) float64 {
					if o := op(c, kind); o != nil {
						return q.of(o.Latency)
					}
					return math.NaN()
				}})
		}
	}
	if measuredFresh(cells) {
		of := fewestAtOnce(cells)
		format := func(p float64) string { return shareText(p, of) }
		list = append(list, metric{id: "fresh", title: "Fresh reads right after a write", format: format, zoomed: true, value: freshAtOnce})
	}
	return list
}

// values of a matrix as the drawing library wants them.
type values struct {
	m matrix
	f func(*result.Cell) float64
}

func (v values) Dims() (c, r int)   { return len(v.m.rs), len(v.m.ws) }
func (v values) X(c int) float64    { return float64(c) }
func (v values) Y(r int) float64    { return float64(r) }
func (v values) Z(c, r int) float64 { return v.f(v.m.at[[2]string{v.m.rs[c], v.m.ws[r]}]) }

// steps is a palette of the drawing library.
type steps []role

func (s steps) Colors() []color.Color {
	colors := make([]color.Color, len(s))
	for i, r := range s {
		colors[i] = r.color()
	}
	return colors
}

var _ palette.Palette = steps(nil)

// heatMap draws a metric over a matrix: R to the right, W upwards.
func heatMap(m matrix, x metric, id string) chart {
	cols, rows := len(m.rs), len(m.ws)
	grid := values{m, func(c *result.Cell) float64 {
		if v := x.value(c); usable(v) && v >= 0 {
			return v
		}
		return math.NaN()
	}}
	lo, hi, least, most := extremes(m, x, grid)
	more, slower := ramps()
	ramp := more
	if x.slower {
		ramp = slower
	}
	sub := m.name
	boundary := boundary(m)
	if boundary != nil {
		sub += "; beyond the heavy line R + W > N"
	}
	desc := fmt.Sprintf("Heat map of %d by %d cells, R to the right, W upwards. %s", cols, rows, rangeText(least, most, x.format))
	return chart{id: id, title: x.title, sub: sub, desc: desc, high: vg.Length(58 + 26 + min(max(rows*48, 144), 300)),
		draw: func(c draw.Canvas) {
			p := newPlot()
			heat := &plotter.HeatMap{GridXYZ: grid, Palette: steps(ramp), Min: lo, Max: hi, NaN: rule.color()}
			p.Add(heat)
			p.Add(gaps{cols, rows})
			if boundary != nil {
				casing, line := newLine(boundary, paper, nil), newLine(boundary, ink, nil)
				casing.Width, line.Width = 6, 2.5
				p.Add(casing, line)
			}
			p.Add(cellLabels(grid, heat, x.format))
			span(&p.X, -0.501, float64(cols)-0.499, levelTicks("R", m.rs))
			span(&p.Y, -0.501, float64(rows)-0.499, levelTicks("W", m.ws))
			p.X.LineStyle.Width, p.X.Tick.LineStyle.Width = 0, 0
			p.X.Padding, p.Y.Padding = 4, 3
			p.Draw(c)
		}}
}

// extremes returns the ends of the colour scale, which differ, and the least and the most value,
// which are not numbers if there are none. A scale from 0 does not make noise look like a difference.
func extremes(m matrix, x metric, grid values) (lo, hi, least, most float64) {
	least, most = math.Inf(1), math.Inf(-1)
	for i := range m.rs {
		for j := range m.ws {
			if v := grid.Z(i, j); usable(v) {
				least, most = min(least, v), max(most, v)
			}
		}
	}
	if least > most {
		return 0, 1, math.NaN(), math.NaN()
	}
	if hi = most; x.zoomed {
		lo = least
	}
	if hi <= lo {
		lo = hi - 1
	}
	return lo, hi, least, most
}

func rangeText(least, most float64, format func(float64) string) string {
	if !usable(least) {
		return "No cell has a value."
	}
	return fmt.Sprintf("The values lie between %s and %s.", format(least), format(most))
}

func levelTicks(letter string, levels []string) []plot.Tick {
	var ticks []plot.Tick
	for i, l := range levels {
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: levelName(letter, l)})
	}
	return ticks
}

// cellLabels writes its value into each cell, in the colour that can be read on it.
func cellLabels(grid values, heat *plotter.HeatMap, format func(float64) string) *plotter.Labels {
	labels := &plotter.Labels{}
	cols, rows := grid.Dims()
	size := vg.Length(13)
	if cols > 5 {
		size = 10
	}
	for i := range cols {
		for j := range rows {
			z := grid.Z(i, j)
			color, name := ink, dash
			if usable(z) {
				n := float64(len(heat.Palette.Colors()) - 1)
				color, name = over(int((z-heat.Min)/(heat.Max-heat.Min)*n+0.5)), format(z)
			}
			labels.XYs = append(labels.XYs, plotter.XY{X: float64(i), Y: float64(j)})
			labels.Labels = append(labels.Labels, name)
			labels.TextStyle = append(labels.TextStyle, []text.Style{centered(lettering(size, color, false))}...)
		}
	}
	return labels
}

// gaps are lines in the colour of the paper between the cells of a heat map.
type gaps struct{ cols, rows int }

func (g gaps) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	style := draw.LineStyle{Color: paper.color(), Width: 2}
	for i := range g.cols - 1 {
		at := x(float64(i) + 0.5)
		c.StrokeLine2(style, at, c.Min.Y, at, c.Max.Y)
	}
	for j := range g.rows - 1 {
		at := y(float64(j) + 0.5)
		c.StrokeLine2(style, c.Min.X, at, c.Max.X, at)
	}
}

// boundary is the line between the cells whose reads and writes must have a replica in common and
// those where they need not; nil if some level is not a number or all cells are of one kind.
func boundary(m matrix) plotter.XYs {
	var line plotter.XYs
	some, none := false, false
	for i, r := range m.rs {
		height := 0 // rows below the line
		for _, w := range m.ws {
			overlaps, known := overlap(r, w, m.n)
			if !known {
				return nil
			}
			if !overlaps {
				height++
			}
			some, none = some || overlaps, none || !overlaps
		}
		// Where it would run along the edge of the map there is nothing to divide.
		y := float64(height) - 0.5
		if height < len(m.ws) {
			line = append(line, plotter.XY{X: float64(i) - 0.5, Y: y})
		}
		if height > 0 {
			line = append(line, plotter.XY{X: float64(i) + 0.5, Y: y})
		}
	}
	if !some || !none {
		return nil
	}
	return line
}
