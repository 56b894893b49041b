package report

import (
	"fmt"
	"io"
	"math"
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

// Table writes the summary of a run for a terminal: one line per cell, aligned, and below them what
// explains it. With color it
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
	for _, note := range notes(run) {
		b.WriteString(note + "\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// maxKinds is how many kinds of operations have columns of their own: a line must fit a terminal.
const maxKinds = 2

// summary has one row for each cell. Different kinds of operations have their latencies apart, since
// those of all together say little. The column of freshness is there if any cell measured it.
func summary(run *result.Run) table {
	t := table{Caption: "All cells", Head: []string{"cell", "ops/s"}}
	apart := kinds(run.Cells)
	if len(apart) < 2 || len(apart) > maxKinds {
		apart = nil
		t.Head = append(t.Head, "p50", "p99", "p99.9")
	}
	for _, kind := range apart {
		t.Head = append(t.Head, clip(kind, 8)+" p50", clip(kind, 8)+" p99")
	}
	t.Head = append(t.Head, "errors", "CPU/op")
	stale := measuredFresh(run.Cells)
	if stale {
		t.Head = append(t.Head, freshColumn)
	}
	for i := range run.Cells {
		c := &run.Cells[i]
		row := []string{cellName(c), dash}
		latencies, errs := []string{dash, dash, dash}, dash
		if o := op(c, all); o != nil {
			row[1], errs = perSecond(o.Rate), thousands(errorsOf(o))
			latencies = []string{inMicros(o.Latency.P50), inMicros(o.Latency.P99), inMicros(o.Latency.P999)}
		}
		if len(apart) > 0 {
			latencies = nil
		}
		for _, kind := range apart {
			l := result.Latency{P50: math.NaN(), P99: math.NaN()}
			if o := op(c, kind); o != nil {
				l = o.Latency
			}
			latencies = append(latencies, inMicros(l.P50), inMicros(l.P99))
		}
		row = append(append(row, latencies...), errs, inMicros(cpuPerOp(c, c.Nodes...)))
		if stale {
			row = append(row, shareOf(readsAtOnce(c)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// freshColumn is the column that needs words.
const freshColumn = "P(fresh at 0)"

// maxErrorNotes bounds the lines below the table.
const maxErrorNotes = 10

// notes explain the summary, each on one line.
func notes(run *result.Run) []string {
	var list []string
	if measuredFresh(run.Cells) {
		list = append(list, freshColumn+": share of reads that saw a write just acknowledged; of "+thousands(fewestAtOnce(run.Cells))+" or more")
	}
	if _, why := unknownCPU(run.Cells); why != "" {
		list = append(list, "CPU/op "+dash+": "+why)
	}
	left := 0
	for i := range run.Cells {
		c := &run.Cells[i]
		o := op(c, all)
		switch {
		case o == nil || errorsOf(o) == 0:
		case len(list) >= maxErrorNotes:
			left++
		default:
			list = append(list, "errors of "+cellName(c)+": "+errorKinds(o.Errors))
		}
	}
	if left > 0 {
		list = append(list, fmt.Sprintf("errors of %s more: see the JSON", plural(left, "cell")))
	}
	return list
}
