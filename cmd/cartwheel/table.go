package main

import (
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"cartwheel/client"

	"github.com/fatih/color"
)

// palette holds the colours for one output. On anything but a terminal, or when NO_COLOR is
// set, they change nothing.
type palette struct{ head, good, warn, bad *color.Color }

func newPalette(w io.Writer) palette { return makePalette(coloured(w)) }

func coloured(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func makePalette(on bool) palette {
	paint := func(a ...color.Attribute) *color.Color {
		c := color.New(a...)
		if c.DisableColor(); on {
			c.EnableColor()
		}
		return c
	}
	return palette{head: paint(color.Bold), good: paint(color.FgGreen), warn: paint(color.FgYellow), bad: paint(color.FgRed, color.Bold)}
}

// cell is one field of a table; paint may be nil.
type cell struct {
	text  string
	paint *color.Color
}

// cells makes a row without colours.
func cells(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, t := range texts {
		row[i].text = t
	}
	return row
}

// appendTable appends rows with aligned columns. Widths are counted before colours are added,
// whose codes have no width.
func appendTable(b *strings.Builder, rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(printable(c.text)))
		}
	}
	for _, row := range rows {
		for i, c := range row {
			text := printable(c.text)
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+2)
			if i == len(row)-1 {
				pad = ""
			}
			if c.paint != nil {
				text = c.paint.Sprint(text)
			}
			b.WriteString(text + pad)
		}
		b.WriteByte('\n')
	}
}

// printable escapes what would change the terminal's state: names come from other people.
func printable(s string) string {
	if !strings.ContainsFunc(s, unprintable) && utf8.ValidString(s) {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// receiptFields splits a receipt into its fields, as the server sent them.
func receiptFields(r client.Receipt) map[string]string {
	fields := map[string]string{}
	for field := range strings.FieldsSeq(r.String()) {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	return fields
}

// short returns the beginning of a long identifier.
func short(id string) string {
	const enough = 8
	if len(id) <= enough {
		return id
	}
	return id[:enough]
}
