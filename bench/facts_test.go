package bench

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"cartwheel/bench/result"
)

func names(nodes []result.Node) string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	return strings.Join(out, " ")
}

func TestLook(t *testing.T) {
	c := startCluster(t, 4)
	c.nodes[1].said["durability"] = "os"
	c.nodes[2].said["version"], c.nodes[2].said["cores"] = "", 0
	c.nodes[3].said["cluster"] = "another" // something else listens at n4's address
	s, err := look(t.Context(), []string{c.nodes[1].url, c.nodes[0].url, c.nodes[0].url})
	if err != nil {
		t.Fatal(err)
	}
	if names(s.cluster.Nodes) != "n2 n1" || names(s.watched) != "n2 n1 n3" || s.cluster.Members != 4 || s.cluster.N != 3 || s.cluster.Partitions != 64 {
		t.Errorf("targets %s, watched %s, %+v", names(s.cluster.Nodes), names(s.watched), s.cluster)
	}
	if s.cluster.Durability != "fsync,os,unknown" {
		t.Errorf("durability %q", s.cluster.Durability)
	}
	if want := (result.Node{Name: "n2", URL: c.nodes[1].url, Version: "v1", Durability: "os", Cores: 2, Zone: "z-n2"}); s.watched[0] != want {
		t.Errorf("%+v, want %+v", s.watched[0], want)
	}
}

func TestLookErrors(t *testing.T) {
	c := startCluster(t, 3)
	c.nodes[1].said["cluster"] = "another"
	c.nodes[2].said["ready"], c.nodes[2].said["not_ready"] = false, "it waits for 2 more nodes"
	_, err := look(t.Context(), append(c.urls(), "http://127.0.0.1:1"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"are of different clusters", "does not serve yet (it waits for 2 more nodes)", "ask http://127.0.0.1:1 for its cluster",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

func TestDurability(t *testing.T) {
	for _, tc := range []struct {
		nodes   string // durability of each
		members int
		want    string
	}{
		{"fsync fsync fsync", 3, "fsync"},
		{"os", 1, "os"},
		{"os fsync os", 3, "fsync,os"},
		{"fsync fsync", 3, "fsync,unknown"},
		{"fsync -", 2, "fsync,unknown"},
		{"- -", 2, ""}, // never assumed
	} {
		var nodes []result.Node
		for word := range strings.FieldsSeq(tc.nodes) {
			nodes = append(nodes, result.Node{Durability: strings.Trim(word, "-")})
		}
		if got := durability(nodes, tc.members); got != tc.want {
			t.Errorf("%s of %d: %q, want %q", tc.nodes, tc.members, got, tc.want)
		}
	}
}

func TestMachine(t *testing.T) {
	m := machine()
	if m.Cores != runtime.NumCPU() || m.Procs < 1 || m.MemoryBytes < 0 {
		t.Errorf("%+v", m)
	}
	path := filepath.Join(t.TempDir(), "info")
	if err := os.WriteFile(path, []byte("processor\t: 0\nmodel name\t: A: fast one\nmodel name : other\n\nMemTotal:  16 kB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := procField(path, "model name"); got != "A: fast one" {
		t.Errorf("model %q", got)
	}
	if got := procField(path, "none") + procField(path+"x", "model name"); got != "" {
		t.Errorf("from nowhere: %q", got)
	}
	for text, want := range map[string]int64{"16 kB": 16384, "16": 0, "-1 kB": 0, "x kB": 0, "": 0} {
		if got := kilobytes(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}

func TestReadMetrics(t *testing.T) {
	const page = `# HELP process_cpu_seconds_total x
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.5
process_cpu_seconds_total_other 99
process_resident_memory_bytes 1.5e+06 1700000000
process_start_time_seconds{label="x"} 7
`
	got, err := readMetrics(strings.NewReader(page), metricCPU, metricRSS, metricStart)
	if err != nil || len(got) != 2 || got[metricCPU] != 12.5 || got[metricRSS] != 1.5e6 {
		t.Errorf("%v, %v", got, err)
	}
	for _, value := range []string{"x", "NaN", "+Inf", "-1"} {
		if got, err := readMetrics(strings.NewReader(metricCPU+" "+value+"\n"), metricCPU); err == nil {
			t.Errorf("%s: %v", value, got)
		}
	}
	if got, err := readMetrics(strings.NewReader("<html>"), metricCPU); err != nil || len(got) != 0 {
		t.Errorf("no metrics: %v, %v", got, err)
	}
}

// What is not known of a node is 0, and never a figure that is not its own.
func TestMeter(t *testing.T) {
	c := startCluster(t, 5)
	c.nodes[1].metrics = "nothing 1\n"
	c.nodes[2].metrics = metricCPU + " x\n"
	s, err := look(t.Context(), c.urls())
	if err != nil {
		t.Fatal(err)
	}
	s.watched[3].URL = "http://127.0.0.1:1"
	m := newMeter(s.watched)
	defer m.close()
	before := m.read(t.Context())
	c.nodes[0].cpu.Add(40)
	c.nodes[4].metrics = metricCPU + " 1000\n" + metricStart + " 6\n" // another process
	busy := time.Now().Add(20 * time.Millisecond)
	for time.Now().Before(busy) { // processor time of our own
	}
	nodes, own := m.between(before, m.read(t.Context()))
	want := []result.Use{{Name: "n1", CPUSeconds: 41, RSSBytes: 1 << 20}, {Name: "n2"}, {Name: "n3"}, {Name: "n4"}, {Name: "n5"}}
	for i, u := range nodes {
		if u != want[i] {
			t.Errorf("%+v, want %+v", u, want[i])
		}
	}
	if own.Name != "generator" || own.CPUSeconds <= 0 || own.CPUSeconds > 60 || runtime.GOOS == "linux" && own.RSSBytes < 1<<20 {
		t.Errorf("%+v", own)
	}
}

func TestSpent(t *testing.T) {
	at := func(cpu, start float64) map[string]float64 {
		return map[string]float64{metricCPU: cpu, metricStart: start}
	}
	for _, tc := range []struct {
		from, to map[string]float64
		want     float64
	}{
		{at(1, 5), at(3.5, 5), 2.5},
		{at(1, 5), at(3.5, 6), 0},
		{at(3, 5), at(1, 5), 0},
		{nil, at(1, 5), 0},
		{at(1, 5), nil, 0},
		{at(1, 5), map[string]float64{metricCPU: 3}, 0},
		{map[string]float64{metricCPU: 1}, map[string]float64{metricCPU: 3}, 2},
	} {
		if got := spent(tc.from, tc.to); got != tc.want {
			t.Errorf("%v to %v: %v, want %v", tc.from, tc.to, got, tc.want)
		}
	}
}
