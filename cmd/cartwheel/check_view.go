package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"cartwheel/check"

	"github.com/schollz/progressbar/v3"
)

// shownViolations is how many violations of each kind are printed; --json prints them all.
const shownViolations = 10

// renderCheck is a report for people.
func renderCheck(p palette, r *check.Report, path string) string {
	var b strings.Builder
	head := cells("WORKLOAD", "OPERATIONS", "OK", "UNKNOWN", "FAILED", "WRITES", "ACKNOWLEDGED", "KEYS", "VIOLATIONS")
	for i := range head {
		head[i].paint = p.head
	}
	rows := [][]cell{head}
	operations := 0
	for _, w := range r.Workloads {
		operations += w.Operations
		row := cells(w.Name, number(w.Operations), number(w.OK), number(w.Unknown), number(w.Failed),
			number(w.Writes), number(w.Acknowledged), number(w.Keys), number(w.Violations))
		if w.Violations > 0 {
			row[len(row)-1].paint = p.bad
		}
		rows = append(rows, row)
	}
	appendTable(&b, rows)
	for _, w := range r.Workloads {
		if w.Lossy && w.Acknowledged > 0 {
			b.WriteString(p.warn.Sprintf("%s: where the last write wins, %d of %d acknowledged adds were lost (%.1f %%)",
				w.Name, w.Lost, w.Acknowledged, 100*float64(w.Lost)/float64(w.Acknowledged)) + "\n")
		}
	}
	appendViolations(&b, r)
	b.WriteString(checkVerdict(p, r, operations))
	if path != "" {
		b.WriteString("; history in " + path)
	}
	b.WriteByte('\n')
	return b.String()
}

// appendViolations prints the violations by kind: one bad read may repeat itself many times, and
// must not hide what was lost.
func appendViolations(b *strings.Builder, r *check.Report) {
	shown := map[string]int{}
	for _, v := range r.Violations {
		if shown[v.Kind]++; shown[v.Kind] <= shownViolations {
			b.WriteString(printable(v.String()) + "\n")
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Kinds)) {
		if more := r.Kinds[kind] - shownViolations; more > 0 {
			fmt.Fprintf(b, "and %d more %s; --json lists them, also of a saved history with --judge\n", more, kind)
		}
	}
}

func checkVerdict(p palette, r *check.Report, operations int) string {
	what := fmt.Sprintf(" in %d operations of %d clients, %d faults, seed %d", operations, r.Info.Clients, r.Faults, r.Info.Seed)
	if r.Clean {
		return p.good.Sprint("clean: no violation") + what
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(r.Kinds)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", r.Kinds[kind], kind))
	}
	return p.bad.Sprintf("not clean: %s", strings.Join(kinds, ", ")) + what
}

func number(n int) string { return strconv.Itoa(n) }

// showCheckProgress shows how far a run is until the returned function is called.
func showCheckProgress(w io.Writer, progress func() check.Progress) (stop func()) {
	line := func(p check.Progress) { warn(w, "%s", checkLine(p)) }
	return follow(w, line, func() (func(check.Progress), func()) { return checkBar(w) }, progress)
}

// checkBar draws a bar over the time of the load, then over the final reads. That it cannot be
// drawn is no reason to end a run.
func checkBar(w io.Writer) (show func(check.Progress), finish func()) {
	const whole = 1000
	bar := progressbar.NewOptions64(whole,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetSpinnerChangeInterval(0), // or it starts a goroutine of its own
		progressbar.OptionClearOnFinish(),
	)
	show = func(p check.Progress) {
		bar.Describe(checkLine(p))
		_ = bar.Set64(min(int64(whole*checkShare(p)), whole-1)) // a full bar would clear itself
	}
	return show, func() { _ = bar.Clear() }
}

// checkShare is how much of the present phase is done, 0 to 1.
func checkShare(p check.Progress) float64 {
	if p.Keys > 0 {
		return float64(p.Final) / float64(p.Keys)
	}
	if p.For <= 0 {
		return 0
	}
	return min(1, float64(p.Took)/float64(p.For))
}

// checkLine is the progress in one line.
func checkLine(p check.Progress) string {
	line := fmt.Sprintf("%s: %d ok, %d unknown, %d failed", p.Phase, p.OK, p.Unknown, p.Failed)
	if p.Keys > 0 {
		line += fmt.Sprintf(", %d of %d keys", p.Final, p.Keys)
	} else if p.Took > 0 {
		line += fmt.Sprintf(", %v of %v", p.Took.Round(time.Second), p.For)
	}
	if p.Fault != "" {
		line += ", fault: " + p.Fault
	}
	return line
}
