package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cartwheel/bench/result"
)

// short is a run that takes little time.
func short(c *fakeCluster) Config {
	return Config{
		Targets: c.urls(), Workload: "mixed:0.5", Keys: 50, Value: "10-20", Clients: 4,
		WarmUp: 20 * time.Millisecond, For: 200 * time.Millisecond, Seed: 7, Command: "the command", Version: "v9",
	}
}

func do(t *testing.T, cfg Config) (*result.Run, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return newRun(t, cfg).Do(ctx)
}

// newRun may have cells that are too short for faults, as far as users go.
func newRun(t *testing.T, cfg Config) *Run {
	t.Helper()
	length := cfg.For
	if len(cfg.During) > 0 {
		cfg.For = time.Minute
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.cfg.For = length
	return r
}

func TestRun(t *testing.T) {
	c := startCluster(t, 3)
	cfg := short(c)
	cfg.N = []int{2, 3}
	cfg.Matrix = "r=1,w=1 r=2,w=2,sloppy=false r=3,n=3"
	run, err := do(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var cells []string
	for _, cell := range run.Cells {
		cells = append(cells, cell.Name)
		checkCell(t, cell)
	}
	want := []string{"N=2 R=1 W=1", "N=2 R=2 W=2 strict", "N=3 R=1 W=1", "N=3 R=2 W=2 strict", "N=3 R=3"}
	if !slices.Equal(cells, want) {
		t.Errorf("cells %q, want %q", cells, want)
	}
	if err := Barren(run); err != nil {
		t.Error(err)
	}
	checkDescription(t, run)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, sent := range []string{
		"GET r=1", "PUT dw=1&w=1", "GET r=2&sloppy_quorum=false", "PUT dw=2&sloppy_quorum=false&w=2", "GET r=3", "PUT ",
	} {
		if c.queries[sent] == 0 {
			t.Errorf("nothing was sent with %q: %v", sent, c.queries)
		}
	}
	props := map[string]bool{}
	for path, body := range c.props {
		props[path[len(path)-len("-n3/props"):]+" "+body] = true
	}
	for _, want := range []string{
		`-n2/props {"props":{"allow_mult":false,"n_val":2}}`, `-n3/props {"props":{"allow_mult":false,"n_val":3}}`,
	} {
		if !props[want] || len(props) != 2 {
			t.Errorf("buckets %v, want %s", props, want)
		}
	}
	if keys := len(c.objects); keys != 2*50 {
		t.Errorf("%d objects, want 50 in each of two buckets", keys)
	}
	for i, n := range c.nodes {
		if n.requests.Load() == 0 {
			t.Errorf("n%d got no request", i+1)
		}
	}
}

func checkCell(t *testing.T, c result.Cell) {
	t.Helper()
	if len(c.Ops) != 3 || c.Ops[0].Kind != "all" || c.Ops[0].Count == 0 || c.Ops[0].Count != c.Ops[1].Count+c.Ops[2].Count || len(c.Ops[0].Errors) > 0 || c.Ops[0].NotFound > 0 {
		t.Errorf("%s: %+v", c.Name, c.Ops)
	}
	if c.Seconds < .19 || c.Seconds > 2 || len(c.Timeline) == 0 || c.Staleness != nil || len(c.Events) > 0 {
		t.Errorf("%s: %v s, %v", c.Name, c.Seconds, c.Timeline)
	}
	if len(c.Nodes) != 3 || c.Nodes[2].Name != "n3" || c.Nodes[2].CPUSeconds != 1 || c.Nodes[2].RSSBytes != 1<<20 || c.Generator.CPUSeconds <= 0 {
		t.Errorf("%s: %+v, %+v", c.Name, c.Nodes, c.Generator)
	}
}

func checkDescription(t *testing.T, run *result.Run) {
	t.Helper()
	if run.Schema != result.Schema || run.Command != "the command" || run.Software.Version != "v9" || run.Seconds < 1 || time.Since(run.Began) < time.Second {
		t.Errorf("%+v", run)
	}
	l := run.Load
	l.Bucket = ""
	want := result.Load{
		Workload: "mixed:0.5", Mix: map[string]float64{"get": .5, "put": .5}, Properties: map[string]any{"allow_mult": false, "n_val": []int{2, 3}},
		Keys: 50, Distribution: "uniform", ValueMin: 10, ValueMax: 20, Clients: 4, WarmUp: .02, For: .2, Seed: 7,
	}
	if fmt.Sprint(l) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", l, want)
	}
	if run.Cluster.Durability != "fsync" || run.Cluster.Members != 3 || len(run.Cluster.Nodes) != 3 {
		t.Errorf("%+v", run.Cluster)
	}
	if _, err := json.Marshal(run); err != nil {
		t.Error(err)
	}
}

// A single load that only writes needs no keys before; without --n the bucket keeps the cluster's n.
func TestRunPut(t *testing.T) {
	c := startCluster(t, 2)
	cfg := short(c)
	cfg.Workload, cfg.Rate = "put", 100
	run, err := do(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if cell := run.Cells[0]; cell.Name != "N=2 default" || cell.Levels != (result.Levels{N: 2, Sloppy: true}) || cell.Ops[0].Count > 40 {
		t.Errorf("%+v", cell)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for path, body := range c.props {
		if body != `{"props":{"allow_mult":false}}` {
			t.Errorf("%s: %s", path, body)
		}
	}
	if len(c.objects) > 40 || len(c.queries) != 1 {
		t.Errorf("%d objects, %v", len(c.objects), c.queries)
	}
}

func TestRunWithFaults(t *testing.T) {
	c, chaos := startCluster(t, 3), startControl(t)
	cfg := short(c)
	cfg.Matrix, cfg.Chaos, cfg.During, cfg.For = "r=1,w=1 r=2,w=2", chaos.url, []string{"pause"}, 600*time.Millisecond
	run, err := do(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	chaos.whole(t)
	if got := chaos.asked(); !slices.Equal(got, []string{"pause n3", "resume n3", "pause n3", "resume n3"}) {
		t.Errorf("asked %q", got)
	}
	for _, cell := range run.Cells {
		if len(cell.Events) != 1 || cell.Events[0].Name != "pause" || cell.Events[0].Begin < .2 || cell.Events[0].End < .4 || cell.Events[0].End > .6 {
			t.Errorf("%s: %+v", cell.Name, cell.Events)
		}
	}
}

// A fault that cannot be made ends the run: without it the figures would say something else.
func TestRunEndsWithoutItsFaults(t *testing.T) {
	c, chaos := startCluster(t, 3), startControl(t)
	chaos.broken = "kill"
	cfg := short(c)
	cfg.Chaos, cfg.During, cfg.For = chaos.url, []string{"kill"}, 300*time.Millisecond
	r := newRun(t, cfg)
	began := time.Now()
	if run, err := r.Do(t.Context()); err == nil || run != nil || !strings.Contains(err.Error(), "make a fault: kill") {
		t.Errorf("%v, %v", run, err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A run that is broken off returns what was complete, undoes the faults, and says that it was.
func TestRunBrokenOff(t *testing.T) {
	c, chaos := startCluster(t, 3), startControl(t)
	cfg := short(c)
	cfg.Matrix, cfg.Chaos, cfg.During, cfg.For = "r=1 r=2 r=3", chaos.url, []string{"kill"}, 600*time.Millisecond
	r := newRun(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for len(chaos.asked()) < 3 || r.Progress().Fault != "kill n3" { // the second cell's
			if sleep(ctx, time.Millisecond) != nil {
				return
			}
		}
		cancel()
	})
	run, err := r.Do(ctx)
	cancel()
	wg.Wait()
	if err == nil || !strings.Contains(err.Error(), "canceled") || run == nil || len(run.Cells) != 1 || run.Seconds == 0 {
		t.Errorf("%+v, %v", run, err)
	}
	if got := chaos.asked(); len(got) < 4 || got[2] != "kill n3" {
		t.Errorf("asked %q", got)
	}
	chaos.whole(t)
}

// The progress moves forward, and names what is under way.
func TestProgress(t *testing.T) {
	c := startCluster(t, 3)
	cfg := short(c)
	cfg.Matrix = "r=1,w=1 r=2,w=2"
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	last := r.Progress() // before the run, whose first phase may be short
	phases := map[string]bool{last.Phase: true}
	done := make(chan error, 1)
	go func() {
		_, err := r.Do(t.Context())
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			if p := r.Progress(); p.Cell != 2 || p.Cells != 2 || p.Share != 1 || p.Left != 0 {
				t.Errorf("in the end %+v", p)
			}
			if !phases["measuring"] || !phases["asking the nodes"] {
				t.Errorf("phases %v", phases)
			}
			return
		case <-time.After(2 * time.Millisecond):
		}
		p := r.Progress()
		phases[p.Phase] = true
		if p.Share < last.Share || p.Cell < last.Cell || p.Share > 1 || p.Left < 0 || p.Cell > 0 && p.Name == "" {
			t.Fatalf("%+v after %+v", p, last)
		}
		last = p
	}
}

// Figures of a cell in which nothing succeeded are none.
func TestBarren(t *testing.T) {
	c := startCluster(t, 3)
	c.refuse = func(method, query string) int {
		if query == "r=3" {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	cfg := short(c)
	cfg.Workload, cfg.Matrix = "get", "r=1 r=3"
	run, err := do(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if all := run.Cells[0].Ops[0]; all.NotFound > 0 || all.Count == 0 {
		t.Errorf("reads of keys that nobody has written: %+v", all)
	}
	err = Barren(run)
	if err == nil || !strings.HasPrefix(err.Error(), "no operation succeeded in the cell N=3 R=3: ") || !strings.HasSuffix(err.Error(), " x 503") {
		t.Errorf("got %v", err)
	}
	ops := func(count int64, errs map[string]int64) *result.Run {
		return &result.Run{Cells: []result.Cell{{Name: "c", Ops: []result.Op{{Kind: "all", Count: count, Errors: errs}}}}}
	}
	for want, run := range map[string]*result.Run{
		"":                             ops(2, map[string]int64{"503": 1, "unsent": 9}),
		"no operation was made in the": {Cells: []result.Cell{{Name: "c"}}},
		"c: 2 x timeout, 1 x 503, 1 x connection": ops(4, map[string]int64{"connection": 1, "503": 1, "timeout": 2}),
	} {
		if err := Barren(run); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestRunErrors(t *testing.T) {
	for want, change := range map[string]func(*Config, *fakeCluster){
		"n=5 needs 5 members, the cluster has 3": func(cfg *Config, _ *fakeCluster) { cfg.N = []int{3, 5} },
		"r=4 is above n=3":                       func(cfg *Config, _ *fakeCluster) { cfg.Matrix = "r=4" },
		"no cell of the matrix is for n=3":       func(cfg *Config, _ *fakeCluster) { cfg.Matrix = "r=1,n=2" },
		"ask the chaos control": func(cfg *Config, c *fakeCluster) {
			cfg.Chaos, cfg.During, cfg.For = c.nodes[0].url, []string{"kill"}, 2*time.Second
		},
		"write the keys": func(_ *Config, c *fakeCluster) { c.refuse = func(string, string) int { return http.StatusBadRequest } },
	} {
		c := startCluster(t, 3)
		cfg := short(c)
		change(&cfg, c)
		if run, err := do(t, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", want, run, err)
		}
	}
	if _, err := New(Config{Workload: "x"}); err == nil {
		t.Error("a wrong configuration is taken")
	}
}

func TestInterval(t *testing.T) {
	for length, want := range map[time.Duration]time.Duration{
		10 * time.Millisecond: 100 * time.Millisecond, time.Second: 100 * time.Millisecond, 10 * time.Second: 200 * time.Millisecond,
		time.Minute: time.Second, time.Hour: time.Minute, longest: 30 * time.Minute,
	} {
		if got := interval(length); got != want {
			t.Errorf("%v: %v, want %v", length, got, want)
		}
	}
}

func TestEffective(t *testing.T) {
	for text, want := range map[string][2]int{
		"default": {2, 2}, "r=1,w=1": {1, 1}, "r=1": {1, 2}, "w=1": {2, 1}, "r=1,pr=2,w=1,pw=3": {2, 3}, "w=1,dw=2": {2, 2}, "w=3,dw=1": {2, 3},
		"dw=1": {2, 2}, "dw=3": {2, 3}, "r=all,w=one": {3, 1},
	} {
		m, err := ParseMatrix(text)
		if err != nil {
			t.Fatal(err)
		}
		cells, err := m.Cells(3)
		if err != nil {
			t.Fatal(err)
		}
		if r, w := effective(cells[0]); [2]int{r, w} != want {
			t.Errorf("%s: R=%d W=%d, want %v", text, r, w, want)
		}
	}
}
