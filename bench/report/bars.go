package report

import (
	"fmt"
	"math"
	"slices"

	"cartwheel/bench/result"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	// maxBars is how many cells one chart of bars has; more continue in the next.
	maxBars   = 15
	barRow    = 36
	barWidth  = 13
	maxStacks = 8 // nodes with a segment of their own; the rest share the last
)

// bars is a chart of horizontal bars: names above them, values behind them.
type bars struct {
	names  []string
	stacks []stack
	format func(float64) string
}

// stack is one segment of every bar.
type stack struct {
	name   string
	values []float64 // by bar; usable and not negative
}

// total is the length of a bar.
func (b bars) total(i int) float64 {
	sum := 0.0
	for _, s := range b.stacks {
		sum += s.values[i]
	}
	return sum
}

func (b bars) height() vg.Length { return vg.Length(len(b.names) * barRow) }

// draw draws the bars, the first on top.
func (b bars) draw(c draw.Canvas) {
	p := newPlot()
	n := len(b.names)
	most := 0.0
	for i := range n {
		most = max(most, b.total(i))
	}
	if most == 0 {
		most = 1
	}
	place := func(i int) float64 { return float64(n - 1 - i) }
	style := lettering(labelSize, ink, false)
	names := &plotter.Labels{Offset: vg.Point{Y: barWidth/2 + 4}}
	ends := &plotter.Labels{Offset: vg.Point{X: 5, Y: -4}}
	for i, name := range b.names {
		names.XYs = append(names.XYs, plotter.XY{X: 0, Y: place(i)})
		names.Labels = append(names.Labels, fit(style, name, c.Size().X-10))
		names.TextStyle = append(names.TextStyle, style)
		ends.XYs = append(ends.XYs, plotter.XY{X: b.total(i), Y: place(i)})
		ends.Labels = append(ends.Labels, b.format(b.total(i)))
		ends.TextStyle = append(ends.TextStyle, lettering(labelSize, muted, false))
	}
	room := vg.Length(0)
	for _, s := range ends.Labels {
		room = max(room, style.Width(s)+10)
	}
	span(&p.X, 0, most/float64((c.Size().X-room)/c.Size().X), nil)
	span(&p.Y, -0.45, float64(n)-1+0.85, nil)
	hide(&p.X)
	hide(&p.Y)
	p.Y.Min, p.Y.Max = -0.45, float64(n)-0.15
	var below *plotter.BarChart
	for s := range b.stacks {
		below = b.segment(s, below, p, place, most, c)
	}
	p.Add(fixed{names}, fixed{ends})
	p.Draw(c)
}

// segment adds one segment of every bar, with its number where it has room for it.
func (b bars) segment(s int, below *plotter.BarChart, p *plot.Plot, place func(int) float64, most float64, c draw.Canvas) *plotter.BarChart {
	values := slices.Clone(b.stacks[s].values)
	slices.Reverse(values)
	bar := &plotter.BarChart{Values: values, Width: barWidth, Color: series(s).color(), Horizontal: true,
		LineStyle: draw.LineStyle{Color: paper.color(), Width: 0.75}}
	if below != nil {
		bar.StackOn(below)
	}
	p.Add(fixed{bar})
	if len(b.stacks) < 2 {
		return bar
	}
	numbers := &plotter.Labels{}
	for i := range b.names {
		if share := b.stacks[s].values[i] / most; share < float64(22/c.Size().X) {
			continue
		}
		before := bars{names: b.names, stacks: b.stacks[:s]}.total(i)
		numbers.XYs = append(numbers.XYs, plotter.XY{X: before + b.stacks[s].values[i]/2, Y: place(i)})
		numbers.Labels = append(numbers.Labels, fmt.Sprint(s+1))
		numbers.TextStyle = append(numbers.TextStyle, []text.Style{centered(lettering(9.5, paper, true))}...)
	}
	p.Add(fixed{numbers})
	return bar
}

// fixed is a plotter that changes neither the axes nor the margins of its plot.
type fixed struct{ plot.Plotter }

// metricBars draws a metric for cells that form no matrix; nil if no cell has a value.
func metricBars(cells []*result.Cell, x metric) []chart {
	var charts []chart
	for part := range slices.Chunk(cells, maxBars) {
		b := bars{format: x.format, stacks: []stack{{}}}
		least, most := math.Inf(1), math.Inf(-1)
		for _, c := range part {
			v := x.value(c)
			if !usable(v) || v < 0 {
				continue
			}
			b.names = append(b.names, cellName(c))
			b.stacks[0].values = append(b.stacks[0].values, v)
			least, most = min(least, v), max(most, v)
		}
		if len(b.names) == 0 {
			continue
		}
		charts = append(charts, chart{id: "bars-" + x.id, title: x.title, sub: "cells that form no matrix", high: 62 + b.height(), draw: b.draw,
			desc: fmt.Sprintf("Bars of %d cells. %s", len(b.names), rangeText(least, most, x.format))})
	}
	return charts
}

// cpuCharts draws the processor time per operation of each node, stacked.
func cpuCharts(cells []result.Cell) []chart {
	var known []*result.Cell
	for i := range cells {
		if usable(cpuPerOp(&cells[i], cells[i].Nodes...)) {
			known = append(known, &cells[i])
		}
	}
	nodes := nodeNames(cells)
	var charts []chart
	for part := range slices.Chunk(known, maxBars) {
		b := bars{format: inMicros, stacks: make([]stack, min(len(nodes), maxStacks))}
		for i := range b.stacks {
			b.stacks[i] = stack{name: nodes[i], values: make([]float64, len(part))}
		}
		if len(nodes) > maxStacks {
			b.stacks[maxStacks-1].name = fmt.Sprintf("the other %d", len(nodes)-maxStacks+1)
		}
		for i, c := range part {
			b.names = append(b.names, cellName(c))
			for _, u := range c.Nodes {
				if v := cpuPerOp(c, u); usable(v) {
					b.stacks[min(slices.Index(nodes, u.Name), maxStacks-1)].values[i] += v
				}
			}
		}
		var keys []key
		for i, s := range b.stacks {
			keys = append(keys, key{fmt.Sprintf("%d: %s", i+1, s.name), swatch{series(i)}})
		}
		charts = append(charts, chart{id: "cpu", title: "Processor time per operation", sub: "µs of user and system time, by node", keys: keys,
			high: vg.Length(62+18*((len(keys)+2)/3)) + b.height(), draw: b.draw,
			desc: fmt.Sprintf("Stacked bars of %d cells, one segment for each of %d nodes.", len(part), len(nodes))})
	}
	return charts
}

// nodeNames returns the nodes of all cells in the order of their appearance.
func nodeNames(cells []result.Cell) []string {
	var names []string
	for i := range cells {
		for _, u := range cells[i].Nodes {
			names = insert(names, u.Name)
		}
	}
	return names
}
