package report

import (
	"math"
	"strconv"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Sizes of text in points, which are pixels of the page where a chart has its natural width.
const (
	titleSize = 13
	labelSize = 11
	tickSize  = 10.5
)

// lettering returns a style of text, aligned left on its base line. The page shows it in a face
// of the same widths: Liberation Sans, Arial or Helvetica.
func lettering(size vg.Length, r role, bold bool) text.Style {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return text.Style{Color: r.color(), Font: f, Handler: plot.DefaultTextHandler}
}

func centered(s text.Style) text.Style {
	s.XAlign, s.YAlign = draw.XCenter, draw.YCenter
	return s
}

// newPlot returns an empty plot in the style of the report, without a background: the page has
// one. Its title and legend are drawn outside of it.
func newPlot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		align := a.Tick.Label
		a.Tick.Label = lettering(tickSize, muted, false)
		a.Tick.Label.XAlign, a.Tick.Label.YAlign = align.XAlign, align.YAlign
		align = a.Label.TextStyle
		a.Label.TextStyle = lettering(labelSize, muted, false)
		a.Label.TextStyle.XAlign, a.Label.TextStyle.YAlign = align.XAlign, align.YAlign
		a.LineStyle = draw.LineStyle{Color: muted.color(), Width: 0.75}
		a.Tick.LineStyle = draw.LineStyle{Color: muted.color(), Width: 0.75}
		a.Tick.Length = 4
		a.Padding = 0
	}
	p.Y.LineStyle.Width = 0
	p.Y.Tick.LineStyle.Width = 0
	p.Legend.TextStyle = lettering(labelSize, ink, false)
	return p
}

// hide takes an axis away.
func hide(a *plot.Axis) {
	a.Tick.Marker = plot.ConstantTicks{}
	a.LineStyle.Width, a.Tick.LineStyle.Width, a.Tick.Length = 0, 0, 0
}

// addGrid adds grid lines at the labelled ticks.
func addGrid(p *plot.Plot, vertical bool) {
	g := plotter.NewGrid()
	g.Horizontal = draw.LineStyle{Color: rule.color(), Width: 0.75}
	g.Vertical = draw.LineStyle{Width: 0}
	if vertical {
		g.Vertical = g.Horizontal
	}
	p.Add(g)
}

// dashes and marks tell lines apart where colours do not.
func dashes(i int) []vg.Length {
	all := [...][]vg.Length{nil, {6, 3}, {2, 2.5}, {8, 3, 2, 3}, {12, 4}, {4, 2, 1, 2}, {1, 2}, {10, 2, 4, 2}}
	return all[i%len(all)]
}

func mark(i int) draw.GlyphDrawer {
	all := [...]draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.CrossGlyph{},
		draw.RingGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.PlusGlyph{}}
	return all[i%len(all)]
}

// newLine returns a line through points, which must be usable.
func newLine(points plotter.XYs, r role, dash []vg.Length) *plotter.Line {
	return &plotter.Line{XYs: points, LineStyle: draw.LineStyle{Color: r.color(), Width: 1.75, Dashes: dash}}
}

// newMarks returns marks at points.
func newMarks(points plotter.XYs, i int, r role) *plotter.Scatter {
	return &plotter.Scatter{XYs: points, GlyphStyle: draw.GlyphStyle{Color: r.color(), Radius: 3, Shape: mark(i)}}
}

// span sets the range and the ticks of an axis.
func span(a *plot.Axis, lo, hi float64, ticks []plot.Tick) {
	a.Min, a.Max, a.Tick.Marker = lo, hi, plot.ConstantTicks(ticks)
}

// upTo returns the end of an axis from 0 that has room for most, and about n round ticks on it.
func upTo(most float64, n int, format func(float64) string) (float64, []plot.Tick) {
	if !usable(most) || most <= 0 {
		most = 1
	}
	step := roundUp(most / float64(n))
	var ticks []plot.Tick
	for i := 0; ; i++ {
		v := float64(i) * step
		ticks = append(ticks, plot.Tick{Value: v, Label: format(v)})
		if v >= most {
			return v, ticks
		}
	}
}

// roundUp returns the next of 1, 2, 2.5, 5 and 10 times a power of ten.
func roundUp(v float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 2.5, 5} {
		if f*base >= v*(1-1e-9) {
			return f * base
		}
	}
	return 10 * base
}

// decades returns the range of a logarithmic axis from lo to hi, both above 0, and its ticks. The
// axis is linear in the logarithm to base ten: the drawing library's own panics at 0.
func decades(lo, hi float64, format func(float64) string) (from, to float64, ticks []plot.Tick) {
	steps := []float64{1, 2, 5}
	if math.Log10(hi/lo) > 3 {
		steps = steps[:1]
	}
	var all []float64
	for e := math.Floor(math.Log10(lo)); e <= math.Ceil(math.Log10(hi)); e++ {
		for _, s := range steps {
			all = append(all, s*math.Pow(10, e))
		}
	}
	first, last := 0, len(all)-1
	for first+1 < last && all[first+1] <= lo {
		first++
	}
	for last-1 > first && all[last-1] >= hi {
		last--
	}
	for _, v := range all[first : last+1] {
		ticks = append(ticks, plot.Tick{Value: math.Log10(v), Label: format(v)})
	}
	return math.Log10(all[first]), math.Log10(all[last]), ticks
}

// percentAxis sets an axis that ends at 100 % and begins at a round value below least, so that
// what happens between 99 % and 100 % can be seen where nothing lies lower.
func percentAxis(a *plot.Axis, least float64) {
	lo := 0.0
	for _, v := range []float64{0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999} {
		if v < least {
			lo = v
		}
	}
	step := (1 - lo) / 5
	if lo == 0.8 || lo == 0.98 || lo == 0.998 {
		step = (1 - lo) / 4
	}
	var ticks []plot.Tick
	for i := 0; ; i++ {
		v := lo + float64(i)*step
		if v > 1+step/2 {
			break
		}
		ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(math.Round(v*1e5)/1e3, 'f', -1, 64) + " %"})
	}
	span(a, lo, 1, ticks)
}

// fit shortens a text to a width.
func fit(s text.Style, text string, width vg.Length) string {
	// No letter is narrower than a fifth of its size, so this bounds the work for any text.
	text = clip(text, max(int(width/s.Font.Size*5), 1))
	for n := len([]rune(text)) - 1; n > 0 && s.Width(text) > width; n-- {
		text = clip(text, n)
	}
	return text
}
