package report

import (
	"bytes"
	"fmt"
	"html"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	// panelWidth is the natural width of a chart: about that of a phone, and a third of a
	// desktop's window, so that text has a readable size on both.
	panelWidth = 380
	// wideWidth is that of charts that are better wide where there is room.
	wideWidth = 1120
	// pictureDPI makes two pixels of a point, for screens with a high density.
	pictureDPI = 144
)

// chart is one drawing.
type chart struct {
	id    string // of letters, digits and dashes; also the name of the picture
	title string
	sub   string // what the axes show
	desc  string // for those who do not see it
	keys  []key
	wide  bool // drawn twice, the wide one for wide screens
	high  vg.Length
	draw  func(draw.Canvas)
}

// key is one entry of a legend.
type key struct {
	name  string
	thumb plot.Thumbnailer
}

// section is a heading of the page with charts and their values.
type section struct {
	ID, Title string
	Notes     []string
	charts    []chart
	Tables    []table
}

// table is the values of charts in text.
type table struct {
	Caption string
	Head    []string
	Rows    [][]string
	Words   bool // mostly words: aligned left
}

// SVG returns the drawings of a chart for the page: one, or a wide and a narrow one.
func (c chart) SVG() (string, error) {
	if !c.wide {
		return c.svg(panelWidth, "", "")
	}
	wide, err := c.svg(wideWidth, "wide", "")
	if err != nil {
		return "", err
	}
	narrow, err := c.svg(panelWidth, "narrow", "-n")
	return wide + narrow, err
}

// svg draws a chart as a part of an HTML page, in the colours of its style.
func (c chart) svg(width vg.Length, class, suffix string) (string, error) {
	canvas := vgsvg.New(width, c.high)
	c.paint(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", fmt.Errorf("draw chart %s: %w", c.id, err)
	}
	_, body, found := strings.Cut(b.String(), "<svg")
	_, body, closed := strings.Cut(body, ">")
	if !found || !closed {
		return "", fmt.Errorf("draw chart %s: the drawing library wrote no SVG element", c.id)
	}
	id := c.id + suffix
	head := fmt.Sprintf(`<svg class="%s" viewBox="0 0 %g %g" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>`,
		class, width.Points(), c.high.Points(), id, id, id, html.EscapeString(c.title), id, html.EscapeString(c.desc))
	return head + withVariables(body), nil
}

// picture draws a chart as PNG, in the light colours.
func (c chart) picture() ([]byte, error) {
	width := vg.Length(panelWidth)
	if c.wide {
		width = wideWidth
	}
	const margin = 12
	canvas := vgimg.NewWith(vgimg.UseWH(width+2*margin, c.high+2*margin), vgimg.UseDPI(pictureDPI), vgimg.UseBackgroundColor(paper.color()))
	c.paint(draw.Crop(draw.New(canvas), margin, -margin, margin, -margin))
	var b bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(&b); err != nil {
		return nil, fmt.Errorf("draw picture %s: %w", c.id, err)
	}
	return b.Bytes(), nil
}

// paint draws title, legend and chart below each other.
func (c chart) paint(canvas draw.Canvas) {
	heading := lettering(titleSize, ink, true)
	canvas.FillText(heading, vg.Point{X: canvas.Min.X, Y: canvas.Max.Y - titleSize}, fit(heading, c.title, canvas.Size().X))
	canvas.Max.Y -= titleSize + 5
	if c.sub != "" {
		below := lettering(labelSize, muted, false)
		canvas.FillText(below, vg.Point{X: canvas.Min.X, Y: canvas.Max.Y - labelSize}, fit(below, c.sub, canvas.Size().X))
		canvas.Max.Y -= labelSize + 5
	}
	canvas.Max.Y -= drawKeys(canvas, c.keys)
	canvas.Max.Y -= 8
	c.draw(canvas)
}

// drawKeys draws a legend in rows from the top of the canvas and returns its height.
func drawKeys(canvas draw.Canvas, keys []key) vg.Length {
	if len(keys) == 0 {
		return 0
	}
	const row, thumb, gap = 16, 26, 14
	x, y := canvas.Min.X, canvas.Max.Y
	for _, k := range keys {
		l := plot.NewLegend()
		l.TextStyle = lettering(labelSize, ink, false)
		l.Left, l.Top, l.ThumbnailWidth = true, true, thumb
		name := fit(l.TextStyle, k.name, canvas.Size().X-thumb-gap)
		l.Add(name, k.thumb)
		width := thumb + l.TextStyle.Width(" "+name) + gap
		if x > canvas.Min.X && x+width-gap > canvas.Max.X {
			x, y = canvas.Min.X, y-row
		}
		part := canvas
		part.Min.X, part.Max.Y = x, y-2
		l.Draw(part)
		x += width
	}
	return canvas.Max.Y - y + row
}

// thumbs draws several thumbnails over each other, such as a line and its marks.
type thumbs []plot.Thumbnailer

func (t thumbs) Thumbnail(c *draw.Canvas) {
	for _, one := range t {
		one.Thumbnail(c)
	}
}

// swatch is the thumbnail of an area.
type swatch struct{ fill role }

func (s swatch) Thumbnail(c *draw.Canvas) {
	points := []vg.Point{{X: c.Min.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Max.Y}, {X: c.Min.X, Y: c.Max.Y}}
	c.FillPolygon(s.fill.color(), points)
}
