package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// column of a table: what stands above it, and what it says of a row.
type column struct {
	head string
	cell func(Row) string
}

// columns returns those of a phase. Ratios stand beside each base that was measured.
func columns(phase string, measured []Row) []column {
	milliseconds := func(of func(Row) Spread) func(Row) string {
		return func(r Row) string { return fmt.Sprintf("%.2f", of(r).Median/1000) }
	}
	all := []column{
		{"operation", func(r Row) string { return r.Label }},
		{"system", func(r Row) string { return r.System }},
		{"ops/s", func(r Row) string { return r.Rate.text("%.0f") }},
		{"p50 ms", milliseconds(func(r Row) Spread { return r.P50 })},
		{"p99 ms", milliseconds(func(r Row) Spread { return r.P99 })},
		{"p99.9 ms", milliseconds(func(r Row) Spread { return r.P999 })},
		{"CPU us/op", func(r Row) string { return r.ServerCPU.text("%.0f") }},
		{"generator us/op", func(r Row) string { return r.GeneratorCPU.text("%.0f") }},
	}
	for _, base := range bases() {
		if !slices.ContainsFunc(measured, func(r Row) bool { return r.System == base }) {
			continue
		}
		against := func(of func(Against) Spread) func(Row) string {
			return func(r Row) string {
				for _, a := range r.Against {
					if a.System == base {
						return of(a).text("%.2f")
					}
				}
				return "-"
			}
		}
		if phase == phaseTail { // their rates are chosen, not reached
			all = append(all, column{"x " + base + ": p99", against(func(a Against) Spread { return a.P99 })},
				column{"p99.9", against(func(a Against) Spread { return a.P999 })})
			continue
		}
		all = append(all, column{"x " + base + ": rate", against(func(a Against) Spread { return a.Rate })},
			column{"p99", against(func(a Against) Spread { return a.P99 })},
			column{"CPU", against(func(a Against) Spread { return a.ServerCPU })})
	}
	return all
}

func heads(all []column) []string {
	var texts []string
	for _, c := range all {
		texts = append(texts, c.head)
	}
	return texts
}

func cells(all []column, r Row) []string {
	var texts []string
	for _, c := range all {
		texts = append(texts, c.cell(r))
	}
	return texts
}

// text is the median, and the least and the most where they differ from it. A figure that is 0
// could not be read.
func (s Spread) text(format string) string {
	if s == (Spread{}) {
		return "-"
	}
	median, low, high := fmt.Sprintf(format, s.Median), fmt.Sprintf(format, s.Min), fmt.Sprintf(format, s.Max)
	if low == high {
		return median
	}
	return median + " (" + low + "-" + high + ")"
}

// title says what a phase measures.
func title(phase string) string {
	if phase == phaseTail {
		return "Tail: open loop at half of each system's own highest rate, latency from the intended start"
	}
	return "Highest rate: closed loop, one request outstanding per client"
}

const notes = "Figures are medians of the rounds, with the least and the most. x SYSTEM: this row divided by that system's " +
	"for the same kind of operation, round by round, then the median: above 1 is better for rates, below 1 for latency and CPU. " +
	"CPU: of all three servers; generator: of the client side, which runs on the same cores, so a costly client lowers its system's rate. " +
	"Compare only beside what each promises."

// text writes the tables for a terminal.
func (r *Report) text(out io.Writer) error {
	w := &sticky{w: out}
	r.head(w, "")
	for _, phase := range []string{phaseMax, phaseTail} {
		mine := r.phase(phase)
		if len(mine) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", title(phase))
		t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
		all := columns(phase, mine)
		fmt.Fprintln(t, strings.Join(heads(all), "\t")+"\t")
		for _, row := range mine {
			fmt.Fprintln(t, strings.Join(cells(all, row), "\t")+"\t")
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\n%s\n\nWhat each promises\n", notes)
	for _, p := range r.promises() {
		fmt.Fprintf(w, "  %s (%s): %s\n", p.label, p.systems, p.text)
	}
	r.problems(w, "  ")
	return w.err
}

// markdown writes the tables for a document.
func (r *Report) markdown(out io.Writer) error {
	w := &sticky{w: out}
	r.head(w, "- ")
	for _, phase := range []string{phaseMax, phaseTail} {
		mine := r.phase(phase)
		if len(mine) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n### %s\n\n", title(phase))
		all := columns(phase, mine)
		fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(heads(all), " | "), strings.Repeat("---|", len(all)))
		for _, row := range mine {
			fmt.Fprintf(w, "| %s |\n", strings.Join(cells(all, row), " | "))
		}
	}
	fmt.Fprintf(w, "\n%s\n\n| system | operation | what it promises |\n|---|---|---|\n", notes)
	for _, p := range r.promises() {
		fmt.Fprintf(w, "| %s | %s | %s |\n", p.systems, p.label, p.text)
	}
	r.problems(w, "- ")
	return w.err
}

// promise is what an operation means, and of which systems.
type promise struct{ systems, label, text string }

// promises returns those of the highest rates; systems that promise the same share one.
func (r *Report) promises() []promise {
	var all []promise
	for _, row := range r.phase(phaseMax) {
		i := slices.IndexFunc(all, func(p promise) bool { return p.label == row.Label && p.text == row.Promises })
		if i < 0 {
			all = append(all, promise{row.System, row.Label, row.Promises})
		} else {
			all[i].systems += ", " + row.System
		}
	}
	return all
}

// head says how the figures came about.
func (r *Report) head(w io.Writer, bullet string) {
	p := func(format string, args ...any) { fmt.Fprintf(w, bullet+format+"\n", args...) }
	p("made by: %s", r.Command)
	p("on %s UTC, in %.0f s", r.Began.UTC().Format("2006-01-02 15:04"), r.Seconds)
	p("machine: %d cores (%s), %.1f GiB, data on %s, where one fsync takes %s; servers and generator on the same machine, one system at a time",
		r.Machine.Cores, r.Machine.CPU, float64(r.Machine.MemoryBytes)/(1<<30), r.FileSystem, millis(r.FsyncMicros))
	p("load: %d clients, %d keys uniform, values of %d bytes, %g s after %g s warm-up per operation, %d rounds, order rotated",
		r.Load.Clients, r.Load.Keys, r.Load.Bytes, r.Load.For, r.Load.WarmUp, r.Load.Rounds)
	for _, s := range r.Systems {
		p("%s: %s; %s", s.Name, s.Version, s.Setting)
		for _, c := range s.Commands {
			fmt.Fprintf(w, "    %s\n", c)
		}
	}
}

func (r *Report) problems(w io.Writer, bullet string) {
	for _, row := range r.Rows {
		if row.Errors+row.Unfinished > 0 {
			fmt.Fprintf(w, "%s%s, %s, %s: %d errors, %d unfinished\n", bullet, row.System, row.Label, row.Phase, row.Errors, row.Unfinished)
		}
	}
	for _, m := range r.Missing {
		fmt.Fprintf(w, "%s%s\n", bullet, m)
	}
}

func (r *Report) phase(name string) []Row {
	var mine []Row
	for _, row := range r.Rows {
		if row.Phase == name {
			mine = append(mine, row)
		}
	}
	return mine
}

// sticky keeps the first error of a writer, and writes nothing after it.
type sticky struct {
	w   io.Writer
	err error
}

func (s *sticky) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	var n int
	n, s.err = s.w.Write(b)
	return n, s.err
}
