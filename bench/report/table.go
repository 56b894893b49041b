package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"cartwheel/bench/result"
)

// bold and red are the only attributes of the terminal's table.
const (
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	reset = "\x1b[0m"
)

// Table writes the summary of a run for a terminal: one line per cell, aligned. With color it
// uses bold for the head and red for cells with errors; what a run's names hold cannot change the
// terminal's state. It returns the error of w.
func Table(w io.Writer, run *result.Run, color bool) error {
	t := summary(run)
	widths := make([]int, len(t.Head))
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	var b strings.Builder
	line := func(row []string, attribute string) {
		var text strings.Builder
		for i, field := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(field))
			if i == 0 {
				text.WriteString(field + pad)
			} else {
				text.WriteString("  " + pad + field)
			}
		}
		whole := strings.TrimRight(text.String(), " ")
		if color && attribute != "" {
			whole = attribute + whole + reset
		}
		b.WriteString(whole + "\n")
	}
	line(t.Head, bold)
	for i, row := range t.Rows {
		attribute := ""
		if o := op(&run.Cells[i], all); o != nil && errorsOf(o) > 0 {
			attribute = red
		}
		line(row, attribute)
	}
	if len(t.Rows) == 0 {
		b.WriteString("no cell was measured\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// summary has one row for each cell. The column of freshness is there if any cell measured it.
func summary(run *result.Run) table {
	t := table{Caption: "All cells", Head: []string{"cell", "ops/s", "p50", "p99", "p99.9", "errors", "CPU/op"}}
	stale := false
	for i := range run.Cells {
		stale = stale || usable(freshAtOnce(&run.Cells[i]))
	}
	if stale {
		t.Head = append(t.Head, "P(fresh at 0)")
	}
	for i := range run.Cells {
		c := &run.Cells[i]
		row := []string{cellName(c), dash, dash, dash, dash, dash, inMicros(cpuPerOp(c, c.Nodes...))}
		if o := op(c, all); o != nil {
			row = []string{row[0], perSecond(o.Rate), inMicros(o.Latency.P50), inMicros(o.Latency.P99), inMicros(o.Latency.P999), thousands(errorsOf(o)), row[6]}
		}
		if stale {
			row = append(row, percent(freshAtOnce(c)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
