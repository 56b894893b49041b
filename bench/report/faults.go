package report

import (
	"fmt"
	"strings"

	"cartwheel/bench/result"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// shades are the faults behind a time line.
type shades struct {
	events []result.Event
	length float64
	labels bool
}

// ends returns when a fault began and ended; one without an end lasts to the end.
func ends(e result.Event, length float64) (begin, end float64) {
	begin, end = e.Begin, e.End
	if !usable(begin) || begin < 0 {
		begin = 0
	}
	if !usable(end) || end <= begin {
		end = length
	}
	return min(begin, length), min(end, length)
}

func (s shades) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	edge := draw.LineStyle{Color: muted.color(), Width: 0.75, Dashes: []vg.Length{2, 2}}
	style := lettering(labelSize, ink, true)
	lane, last := 0, c.Min.X-2*labelSize
	for i, e := range s.events {
		begin, end := ends(e, s.length)
		from, to := x(begin), x(end)
		c.FillPolygon(shade.color(), []vg.Point{{X: from, Y: c.Min.Y}, {X: to, Y: c.Min.Y}, {X: to, Y: c.Max.Y}, {X: from, Y: c.Max.Y}})
		c.StrokeLine2(edge, from, c.Min.Y, from, c.Max.Y)
		c.StrokeLine2(edge, to, c.Min.Y, to, c.Max.Y)
		if !s.labels {
			continue
		}
		label := fmt.Sprint(i + 1)
		if named := label + " " + clip(e.Name, 24); from+style.Width(named)+6 < to && (i+1 == len(s.events) || s.events[i+1].Begin >= end) {
			label = named
		}
		// Labels of faults that begin at the same time stand below each other.
		if lane = (lane + 1) % 5; from-last > 2*labelSize || from < last {
			lane = 0
		}
		last = from
		c.FillText(style, vg.Point{X: from + 3, Y: c.Max.Y - labelSize - vg.Length(lane)*(labelSize+2)}, label)
	}
}

func eventText(e result.Event) string {
	text := clip(e.Name, 24)
	if len(e.Nodes) > 0 {
		text += " " + clip(strings.Join(e.Nodes, ", "), 32)
	}
	if usable(e.End) && e.End > e.Begin {
		return fmt.Sprintf("%s, %s to %s", text, significant(e.Begin), inSeconds(e.End))
	}
	return fmt.Sprintf("%s, from %s", text, inSeconds(e.Begin))
}

func eventsText(events []result.Event) string {
	if len(events) == 0 {
		return "No faults."
	}
	var texts []string
	for _, e := range events {
		texts = append(texts, eventText(e))
	}
	return "Faults: " + strings.Join(texts, "; ") + "."
}

// eventTable has the faults of a cell.
func eventTable(c *result.Cell) table {
	t := table{Caption: cellName(c) + ": faults", Words: true, Head: []string{"fault", "nodes", "begin", "end"}}
	for _, e := range c.Events {
		t.Rows = append(t.Rows, []string{printable(e.Name), printable(strings.Join(e.Nodes, ", ")), inSeconds(e.Begin), inSeconds(e.End)})
	}
	return t
}
