package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cartwheel/bench/peers/system"
	"cartwheel/bench/result"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{3, 1}, Spread{2, 1, 3}},
		{[]float64{9, 1, 4}, Spread{4, 1, 9}},
		{[]float64{4, 3, 2, 1}, Spread{2.5, 1, 4}},
	} {
		in := append([]float64(nil), c.values...)
		if got := spread(in); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
		for i := range in {
			if in[i] != c.values[i] {
				t.Errorf("%v was reordered", c.values)
			}
		}
	}
}

// sample has a rate; its latencies and times per operation follow from it.
func sample(round int, name, op, phase string, rate float64) Sample {
	return Sample{Round: round, System: name, Op: op, Label: op, Phase: phase, Rate: rate,
		P50: 1e6 / rate, P99: 2e6 / rate, P999: 4e6 / rate, ServerCPU: 1e5 / rate, GeneratorCPU: 1e4 / rate}
}

// samples are three rounds in which the machine gets slower: within each round, Cartwheel does
// three times as much as etcd, which no ratio of medians over different rounds would show.
func samples() []Sample {
	var all []Sample
	for i, pace := range []float64{1000, 500, 100} {
		all = append(all,
			sample(i+1, "cartwheel", system.Put, phaseMax, 3*pace),
			sample(i+1, "etcd", system.Put, phaseMax, pace),
			sample(i+1, "cartwheel", system.Put, phaseTail, pace),
			sample(i+1, "cartwheel", system.GetOne, phaseMax, 10*pace))
	}
	// A round in which only Cartwheel was measured counts for its own figures alone.
	return append(all, sample(4, "cartwheel", system.Put, phaseMax, 1))
}

func skeleton() []Row {
	var all []Row
	for _, phase := range []string{phaseMax, phaseTail} {
		for _, op := range []string{system.Put, system.GetOne} {
			for _, name := range []string{"cartwheel", "etcd", "redis"} {
				all = append(all, Row{System: name, Op: op, Label: op, Phase: phase, Promises: name + " promises"})
			}
		}
	}
	return all
}

func TestRowsCompareWithinRounds(t *testing.T) {
	got := rows(samples(), skeleton())
	if len(got) != 4 {
		t.Fatalf("%d rows, want the 4 that have samples: %+v", len(got), got)
	}
	put := got[0]
	if put.System != "cartwheel" || put.Rounds != 4 || put.Rate != (Spread{900, 1, 3000}) {
		t.Errorf("row %+v", put)
	}
	if len(put.Against) != 1 || put.Against[0].System != "etcd" {
		t.Fatalf("compared with %+v", put.Against)
	}
	a := put.Against[0]
	for name, c := range map[string]struct {
		got  Spread
		want float64
	}{"rate": {a.Rate, 3}, "p99": {a.P99, 1.0 / 3}, "p999": {a.P999, 1.0 / 3}, "cpu": {a.ServerCPU, 1.0 / 3}} {
		for _, v := range []float64{c.got.Median, c.got.Min, c.got.Max} {
			if v < c.want*0.999 || v > c.want*1.001 {
				t.Errorf("%s is %v, want %v in every round", name, c.got, c.want)
			}
		}
	}
	for _, r := range got[1:] {
		if len(r.Against) != 0 {
			t.Errorf("%s %s %s is compared with %+v", r.System, r.Op, r.Phase, r.Against)
		}
	}
}

func report() *Report {
	s := samples()
	s[0].Errors = 2
	return &Report{
		Schema: reportSchema, Began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 61, Command: "peers --rounds 3",
		Machine: result.Machine{CPU: "Some CPU", Cores: 2, MemoryBytes: 8 << 30}, FileSystem: "ext4", FsyncMicros: 840,
		Load:    Settings{Clients: 64, Keys: 10_000, Bytes: 1024, WarmUp: 3, For: 10, Tail: 20, Rounds: 3},
		Systems: []SystemReport{{"cartwheel", "cartwheel 1", "3 nodes", []string{"cartwheel serve --name n1"}}, {"etcd", "etcd 3", "3 members", nil}},
		Rows:    rows(s, skeleton()), Samples: s, Missing: []string{"redis: redis-server is not installed"},
	}
}

func TestTables(t *testing.T) {
	r := report()
	var text, markdown bytes.Buffer
	if err := errors.Join(r.text(&text), r.markdown(&markdown)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		got  string
		want []string
	}{
		"text": {text.String(), []string{"made by: peers --rounds 3", "2026-01-02 03:04 UTC", "2 cores (Some CPU)", "0.84 ms", "ext4", "cartwheel serve --name n1",
			"900 (1-3000)", "3.00", "0.33", "cartwheel promises", "2 errors", "redis-server is not installed", "open loop"}},
		"markdown": {markdown.String(), []string{"| operation | system | ops/s |", "| put | cartwheel | 900 (1-3000) |", "| cartwheel | put | cartwheel promises |",
			"- made by: peers", "- redis: redis-server is not installed", "x etcd: rate"}},
	} {
		for _, want := range c.want {
			if !strings.Contains(c.got, want) {
				t.Errorf("%s has no %q:\n%s", name, want, c.got)
			}
		}
		if strings.Contains(c.got, "x etcd-shared") {
			t.Errorf("%s compares with a system that was not measured", name)
		}
	}
	width := 0
	for line := range strings.Lines(markdown.String()) {
		if !strings.HasPrefix(line, "|") {
			width = 0
			continue
		}
		if n := strings.Count(line, "|"); width == 0 {
			width = n
		} else if n != width {
			t.Errorf("a row of %d bars below one of %d: %s", n, width, line)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestTablesReportWriteErrors(t *testing.T) {
	r := report()
	if err := r.text(broken{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("text: %v", err)
	}
	if err := r.markdown(broken{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("markdown: %v", err)
	}
}

func TestWriteKeepsTheFigures(t *testing.T) {
	r := report()
	o := options{json: filepath.Join(t.TempDir(), "a.json"), markdown: filepath.Join(t.TempDir(), "a.md")}
	if err := o.write(r, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(o.json)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(&back, "", "  ")
	if err != nil || !bytes.Equal(append(again, '\n'), text) {
		t.Errorf("the file says something else than the report (%v):\n%s", err, text)
	}
	if fi, err := os.Stat(o.markdown); err != nil || fi.Size() == 0 {
		t.Errorf("no markdown: %v", err)
	}
}
