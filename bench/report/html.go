package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"cartwheel/bench/result"
)

//go:embed page.gohtml
var pageSource string

// page is what the template shows.
type page struct {
	Title       string
	Command     string
	Light, Dark template.CSS
	Facts       []fact
	Summary     table
	Notes       []string // of the summary
	Nodes       table
	Sections    []drawnSection
	Schema      string
}

// drawnSection is a section with its charts as SVG.
type drawnSection struct {
	section
	Figures []figure
}

type figure struct {
	ID   string
	Wide bool
	SVG  template.HTML
}

// HTML writes a run as one page that needs nothing else: no file, no server, no script. It returns
// the error of w, or of a chart that cannot be drawn; then nothing was written.
func HTML(w io.Writer, run *result.Run) error {
	t, err := template.New("page").Parse(pageSource)
	if err != nil {
		return fmt.Errorf("parse page: %w", err)
	}
	p := page{Title: title(run), Command: printable(run.Command), Facts: facts(run), Summary: summary(run), Notes: notes(run), Nodes: nodeTable(run.Cluster),
		Light: template.CSS(variables(false)), Dark: template.CSS(variables(true)), Schema: run.Schema}
	for _, s := range sections(run) {
		d := drawnSection{section: s}
		for _, c := range s.charts {
			svg, err := c.SVG()
			if err != nil {
				return err
			}
			// The drawing library and svg escape all text.
			d.Figures = append(d.Figures, figure{ID: c.id, Wide: c.wide, SVG: template.HTML(svg)})
		}
		p.Sections = append(p.Sections, d)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return fmt.Errorf("fill page: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

func title(run *result.Run) string {
	name := "Cartwheel benchmark"
	if run.Load.Workload != "" {
		name += ": " + clip(run.Load.Workload, 40)
	}
	return name
}

// sections returns all headings that have something to show, with charts whose ids differ.
func sections(run *result.Run) []section {
	var list []section
	seen := map[string]int{}
	for _, s := range []section{overview(run), latencySection(run), timeSection(run), staleSection(run), cpuSection(run)} {
		if len(s.charts) == 0 && len(s.Tables) == 0 {
			continue
		}
		for i := range s.charts {
			c := &s.charts[i]
			seen[c.id]++
			if n := seen[c.id]; n > 1 {
				c.id += fmt.Sprintf("-%d", n)
			}
		}
		list = append(list, s)
	}
	return list
}

// overview shows what the cells differ in: heat maps of matrices, and bars of what is left.
func overview(run *result.Run) section {
	s := section{ID: "cells", Title: "Cells compared"}
	full, others := matrices(run.Cells)
	for _, m := range full {
		for _, x := range metrics(run.Cells) {
			s.charts = append(s.charts, heatMap(m, x, x.id+"-"+slug(m.name)))
		}
	}
	if len(full) > 0 {
		s.Notes = append(s.Notes, "Each field is one choice of R (to the right) and W (upwards). Stronger blue is more, stronger orange is slower; colours begin at 0 (those of fresh reads at the least value), so that small differences look small. Beyond the heavy line every read hears at least one replica that took the last acknowledged write.")
	}
	others = slices.DeleteFunc(others, func(c *result.Cell) bool { return len(c.Events) > 0 })
	if len(full) == 0 || len(others) > 1 {
		for _, x := range metrics(run.Cells) {
			s.charts = append(s.charts, metricBars(others, x)...)
		}
	}
	return s
}

// cpuSection shows what the nodes and the generator used.
func cpuSection(run *result.Run) section {
	s := section{ID: "cpu", Title: "Processor time", charts: cpuCharts(run.Cells)}
	if of, why := unknownCPU(run.Cells); why != "" {
		s.Notes = append(s.Notes, "Not drawn: "+listed(of)+": "+why+".")
	}
	t := table{Caption: "Processes by cell", Head: []string{"cell", "process", "CPU time", "CPU per operation", "memory at the end"}}
	for i := range run.Cells {
		c := &run.Cells[i]
		for j, u := range append(append([]result.Use{}, c.Nodes...), c.Generator) {
			name := printable(u.Name)
			if j == len(c.Nodes) {
				name = "load generator"
			}
			cpu, memory := dash, dash
			if usable(u.CPUSeconds) && u.CPUSeconds > 0 {
				cpu = inSeconds(u.CPUSeconds)
			}
			if u.RSSBytes > 0 {
				memory = inBytes(u.RSSBytes)
			}
			t.Rows = append(t.Rows, []string{cellName(c), name, cpu, inMicros(cpuPerOp(c, u)), memory})
		}
	}
	if len(t.Rows) > 0 {
		s.Tables = []table{t}
	}
	return s
}

// slug returns letters and digits of a name, for an id and the name of a file.
func slug(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
		if b.Len() >= 24 {
			break
		}
	}
	return b.String()
}
