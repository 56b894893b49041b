package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// benchWithin bounds a benchmark on a machine that is busy with other tests.
const benchWithin = 90 * time.Second

// benchRun is the part of a result, as documented, that is looked at here.
type benchRun struct {
	Schema  string
	Seconds float64
	Command string
	Cluster struct {
		Members, N int
		Durability string
		Nodes      []struct {
			Name, Version, Durability string
			Cores                     int
		}
	}
	Load struct {
		Workload, Bucket, Distribution string
		Properties                     map[string]any
		Keys, Clients                  int
		Seed                           uint64
	}
	Cells []benchCell
}

type benchCell struct {
	Name     string
	Levels   struct{ R, W string }
	Seconds  float64
	Ops      []benchOp
	Timeline []struct {
		At            float64 `json:"at_seconds"`
		Count, Errors int64
	}
	Events []struct {
		Name  string
		Nodes []string
		Begin float64 `json:"begin_seconds"`
		End   float64 `json:"end_seconds"`
	}
	Nodes     []benchUse
	Generator benchUse
	Staleness *struct {
		Writes          int64
		Times, Versions []struct {
			Reads, Fresh int64
			Predicted    float64
		}
	}
}

type benchOp struct {
	Kind     string
	Count    int64
	Rate     float64
	NotFound int64 `json:"not_found"`
	Errors   map[string]int64
	Latency  struct {
		Min float64 `json:"min_us"`
		P50 float64 `json:"p50_us"`
		P90 float64 `json:"p90_us"`
		P99 float64 `json:"p99_us"`
		Max float64 `json:"max_us"`
	}
}

type benchUse struct {
	Name string
	CPU  float64 `json:"cpu_seconds"`
	RSS  int64   `json:"rss_bytes"`
}

// bench runs the benchmark with further flags and returns its result and what it printed.
func bench(t *testing.T, endpoints []string, flags ...string) (benchRun, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "run.json")
	args := append([]string{"bench", "--endpoint", strings.Join(endpoints, ","), "--seed", "11", "--json", file}, flags...)
	p, code := lab.Run(t, benchWithin, Command{Args: args})
	if code != 0 {
		t.Fatalf("exit code %d:\n%s%s", code, p.Stdout.String(), p.Stderr.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var run benchRun
	if err := json.Unmarshal(text, &run); err != nil {
		t.Fatal(err)
	}
	if run.Schema != "cartwheel-bench/1" || run.Load.Seed != 11 || !strings.HasPrefix(run.Command, "cartwheel bench --") || run.Seconds <= 0 {
		t.Errorf("%+v", run)
	}
	return run, p.Stdout.String()
}

// TestBench measures two cells of a matrix on a real cluster: plausible figures, nothing assumed.
func TestBench(t *testing.T) {
	var endpoints []string
	for _, n := range lab.Cluster(t, 3) {
		endpoints = append(endpoints, "http://"+n.HTTP)
	}
	page := filepath.Join(t.TempDir(), "report.html")
	run, table := bench(t, endpoints, "--matrix", "r=1,w=1 r=2,w=2", "--workload", "mixed:0.5", "--keys", "500", "--clients", "16",
		"--for", "1s", "--warm-up", "200ms", "--staleness", "--staleness-for", "1s", "--report", page)
	for _, want := range []string{"N=3 R=1 W=1", "N=3 R=2 W=2"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has no %s:\n%s", want, table)
		}
	}
	if html, err := os.ReadFile(page); err != nil || !strings.Contains(string(html), "</html>") || !strings.Contains(string(html), "<svg") {
		t.Errorf("the report: %v, %d bytes", err, len(html))
	}
	c := run.Cluster
	if c.Durability != "fsync" || c.Members != 3 || c.N != 3 || len(c.Nodes) != 3 || c.Nodes[2].Version != "e2e" || c.Nodes[2].Cores < 1 {
		t.Errorf("cluster: %+v", c)
	}
	if run.Load.Keys != 500 || run.Load.Clients != 16 || run.Load.Distribution != "uniform" || run.Load.Properties["allow_mult"] != false {
		t.Errorf("load: %+v", run.Load)
	}
	if len(run.Cells) != 2 || run.Cells[0].Levels.R != "1" || run.Cells[1].Levels.W != "2" {
		t.Fatalf("cells: %+v", run.Cells)
	}
	for _, cell := range run.Cells {
		cell.check(t)
		for _, o := range cell.Ops {
			if len(o.Errors) > 0 || o.NotFound > 0 {
				t.Errorf("%s: %s: %v, %d not found", cell.Name, o.Kind, o.Errors, o.NotFound)
			}
		}
		for _, u := range append(cell.Nodes, cell.Generator) {
			if hasProc() && (u.CPU <= 0 || u.RSS < 1<<20) {
				t.Errorf("%s: %+v", cell.Name, u)
			}
		}
		cell.checkStaleness(t, cell.Levels.R == "2")
	}
	t.Log("\n" + strings.TrimSpace(table))
}

// check checks what is true of every cell in which anything succeeded.
func (c benchCell) check(t *testing.T) {
	t.Helper()
	var sum, points int64
	for i, o := range c.Ops {
		if want := []string{"all", "get", "put"}; i >= len(want) || o.Kind != want[i] || o.Count == 0 || o.Rate <= 0 {
			t.Errorf("%s: operations %+v", c.Name, o)
		}
		if i > 0 {
			sum += o.Count
		}
		l := o.Latency
		if order := []float64{l.Min, l.P50, l.P90, l.P99, l.Max}; l.Min <= 0 || !slices.IsSorted(order) {
			t.Errorf("%s: %s took %v", c.Name, o.Kind, order)
		}
	}
	for _, p := range c.Timeline {
		points += p.Count + p.Errors
	}
	if len(c.Ops) != 3 || c.Ops[0].Count != sum || points == 0 || points > sum || c.Seconds < .9 {
		t.Errorf("%s: %v s, %d operations, %d in the time line, %+v", c.Name, c.Seconds, sum, points, c.Ops)
	}
}

// checkStaleness checks the probabilities: they are some, and sure where quorums overlap.
func (c benchCell) checkStaleness(t *testing.T, sure bool) {
	t.Helper()
	s := c.Staleness
	if s == nil || s.Writes == 0 || len(s.Times) == 0 || len(s.Versions) == 0 {
		t.Errorf("%s: staleness %+v", c.Name, s)
		return
	}
	for _, p := range append(s.Times, s.Versions...) {
		if p.Reads < p.Fresh || p.Fresh < 0 || p.Predicted > 1 || p.Predicted < 0 && p.Predicted != -1 {
			t.Errorf("%s: %+v", c.Name, p)
		}
		// No node fails here, so that every quorum is one of owners, unless one is slow enough to be taken for dead.
		if sure && (p.Fresh < p.Reads*99/100 || p.Predicted != 1) {
			t.Errorf("%s: quorums overlap, and %d of %d reads are fresh, predicted %v", c.Name, p.Fresh, p.Reads, p.Predicted)
		}
	}
}

// TestBenchDuringKill measures while a node is killed and started again.
func TestBenchDuringKill(t *testing.T) {
	d := startChaos(t)
	var endpoints []string
	for i := range 3 {
		endpoints = append(endpoints, "http://"+d.http(i))
	}
	run, table := bench(t, endpoints, "--workload", "mixed:0.5", "--keys", "200", "--clients", "12", "--warm-up", "0s", "--for", "3s",
		"--chaos", d.control(), "--during", "kill")
	if len(run.Cells) != 1 {
		t.Fatalf("cells: %+v", run.Cells)
	}
	cell := run.Cells[0]
	cell.check(t)
	if len(cell.Events) != 1 {
		t.Fatalf("events: %+v", cell.Events)
	}
	e := cell.Events[0]
	if e.Name != "kill" || !slices.Equal(e.Nodes, []string{"n3"}) || e.Begin < 1 || e.Begin > 2 || e.End < 2 || e.End > cell.Seconds+1 {
		t.Errorf("the fault %+v", e)
	}
	if hasProc() && (cell.Nodes[2].Name != "n3" || cell.Nodes[2].CPU != 0 || cell.Nodes[0].CPU <= 0) {
		t.Errorf("n3's processor time is not known, as its process ended: %+v", cell.Nodes)
	}
	for _, n := range d.nodes(t) {
		if n.State != "running" {
			t.Errorf("%s is left %s", n.Name, n.State)
		}
	}
	t.Log("\n" + strings.TrimSpace(table))
}
