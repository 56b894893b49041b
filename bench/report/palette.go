package report

import (
	"fmt"
	"image/color"
	"regexp"
	"strings"
)

// role is a colour by what it is for. In a picture it is the light one; in the page it is a
// variable of the style, which has another value on dark screens.
type role struct {
	name        string
	light, dark uint32
}

// The light colours differ from each other: by them a drawing's colours are told apart when they
// become variables. None is black, which the drawing library leaves out of the SVG.
var (
	paper = role{"paper", 0xffffff, 0x0d1117}
	ink   = role{"ink", 0x1b1f24, 0xe6edf3}
	muted = role{"muted", 0x57606a, 0x9aa6b2}
	rule  = role{"rule", 0xd5dbe1, 0x30363d}
	shade = role{"shade", 0xf6dcc8, 0x4d3320}
)

// series are for lines and segments: derived from the palette of Okabe and Ito, which colour-blind
// people can tell apart, darkened and lightened to at least 4.5:1 against the paper.
func series(i int) role {
	all := [...]role{
		{"s0", 0x0063a6, 0x6cb6ff},
		{"s1", 0xb84a00, 0xff9b5e},
		{"s2", 0x00775a, 0x4fd1a5},
		{"s3", 0xa8487f, 0xf0a3d0},
		{"s4", 0x7d5c00, 0xe3c04f},
		{"s5", 0x4a5568, 0xb8c1cc},
		{"s6", 0x5b3fa8, 0xb3a4ff},
		{"s7", 0x8c2d2d, 0xff9c94},
	}
	return all[i%len(all)]
}

// ramps are scales of one hue: more is further from the paper, on light and on dark screens.
func ramps() (more, slower []role) {
	return []role{
			{"b0", 0xe9f1f9, 0x16202c}, {"b1", 0xcfe1f2, 0x182f4a}, {"b2", 0xa9cbe8, 0x1d4268}, {"b3", 0x78aeda, 0x255a8d},
			{"b4", 0x3f82bd, 0x4f92d0}, {"b5", 0x1f629f, 0x80b8ea}, {"b6", 0x0b4076, 0xb5d8f8},
		}, []role{
			{"o0", 0xfbefe4, 0x281d14}, {"o1", 0xf8dcc1, 0x45290f}, {"o2", 0xf3bf90, 0x663a10}, {"o3", 0xe99a58, 0x864c14},
			{"o4", 0xb5601c, 0xcf8440}, {"o5", 0x934809, 0xefaf74}, {"o6", 0x6a3102, 0xfbd5b0},
		}
}

// over is the colour of text on the given step of a ramp.
func over(step int) role {
	if step >= 4 {
		return paper
	}
	return ink
}

func (r role) color() color.NRGBA {
	return color.NRGBA{R: uint8(r.light >> 16), G: uint8(r.light >> 8), B: uint8(r.light), A: 0xff}
}

// roles are all colours of the charts.
func roles() []role {
	all := []role{paper, ink, muted, rule, shade}
	for i := range 8 {
		all = append(all, series(i))
	}
	more, slower := ramps()
	return append(append(all, more...), slower...)
}

// variables returns the declarations of all colours for the page's style.
func variables(dark bool) string {
	var b strings.Builder
	for _, r := range roles() {
		value := r.light
		if dark {
			value = r.dark
		}
		fmt.Fprintf(&b, "--%s:#%06x;", r.name, value)
	}
	return b.String()
}

// styles finds the style attributes of an SVG. Text cannot look like one: its quotes are escaped.
var styles = regexp.MustCompile(`style="[^"]*"`)

// withVariables replaces the colours in an SVG by the variables of the page's style.
func withVariables(svg string) string {
	var pairs []string
	for _, r := range roles() {
		variable := "var(--" + r.name + ")"
		pairs = append(pairs, fmt.Sprintf("#%06X", r.light), variable, fmt.Sprintf("#%06x", r.light), variable)
	}
	replacer := strings.NewReplacer(pairs...)
	return styles.ReplaceAllStringFunc(svg, replacer.Replace)
}
