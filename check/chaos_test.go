package check

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cartwheel/chaos/control"
)

// fakeControl is a "cartwheel dev --chaos" that only keeps account.
type fakeControl struct {
	mu       sync.Mutex
	requests []string
	down     map[string]bool // killed or stopped
	paused   map[string]bool
	cuts     int
	broken   bool // answers 500 to a fault
}

func (c *fakeControl) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Server", control.Server)
	if r.Method == http.MethodGet && r.URL.Path == "/chaos" {
		state := func(n string) string {
			return map[bool]string{true: "dead"}[c.down[n]] + map[bool]string{true: "paused"}[c.paused[n]]
		}
		fmt.Fprintf(w, `{"nodes":[{"name":"n2","state":"%s"},{"name":"n1","state":"%s"},{"name":"n3","state":"%s"}],"cuts":[]}`, state("n2"), state("n1"), state("n3"))
		return
	}
	var body struct {
		Node, From, To string
		Oneway         bool
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	action := strings.TrimPrefix(r.URL.Path, "/chaos/")
	c.requests = append(c.requests, strings.TrimSpace(fmt.Sprintf("%s %s%s %s", action, body.Node, body.From, body.To)))
	if c.broken && action != "heal" && action != "resume" && action != "start" {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	switch action {
	case "kill", "stop":
		c.down[body.Node] = true
	case "start":
		if !c.down[body.Node] {
			w.WriteHeader(http.StatusConflict)
			return
		}
		delete(c.down, body.Node)
	case "restart":
	case "pause":
		c.paused[body.Node] = true
	case "resume":
		if !c.paused[body.Node] {
			w.WriteHeader(http.StatusConflict)
			return
		}
		delete(c.paused, body.Node)
	case "cut":
		if body.From == body.To || body.From == "" || body.To == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.cuts++
	case "heal":
		c.cuts = 0
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func startControl(t *testing.T) (*fakeControl, *Run) {
	t.Helper()
	c := &fakeControl{down: map[string]bool{}, paused: map[string]bool{}}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	history, err := newRecorder(filepath.Join(t.TempDir(), "h.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { history.close() })
	return c, &Run{cfg: Config{Chaos: srv.URL + "/", Seed: 3}, began: time.Now(), history: history}
}

func (c *fakeControl) healthy(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.down)+len(c.paused)+c.cuts > 0 {
		t.Errorf("left behind: down %v, paused %v, %d cuts", c.down, c.paused, c.cuts)
	}
}

// Every kind of fault is undone by its own end.
func TestFaultsAreUndone(t *testing.T) {
	c, r := startControl(t)
	driver, err := newChaos(t.Context(), r)
	if err != nil || !slices.Equal(driver.nodes, []string{"n1", "n2", "n3"}) {
		t.Fatalf("nodes %v, %v", driver.nodes, err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for i, kind := range faultKinds {
		f := kind.make(rng, driver.nodes)
		if len(f.nodes) == 0 || len(f.begin) == 0 {
			t.Errorf("kind %d does nothing: %+v", i, f)
		}
		f.lasts = time.Millisecond
		before := len(c.requests)
		if err := driver.inflict(t.Context(), f); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
		if len(c.requests) != before+len(f.begin)+len(f.end) {
			t.Errorf("%s: requests %v", f.name, c.requests[before:])
		}
		c.healthy(t)
	}
	if err := r.history.close(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for op, err := range ReadHistory(r.history.path) {
		if err != nil || op.Type != typeFault || len(op.Nodes) == 0 || op.End <= op.Start || op.Error != "" {
			t.Errorf("%+v, %v", op, err)
		}
		names = append(names, op.Fault)
	}
	if want := []string{"kill", "kill all", "stop", "restart", "pause", "cut", "cut one way", "isolate"}; !slices.Equal(names, want) {
		t.Errorf("history %v, want %v", names, want)
	}
}

// A schedule that is broken off, or cannot go on, leaves the cluster whole.
func TestChaosLeavesNothingBehind(t *testing.T) {
	t.Run("broken off", func(t *testing.T) {
		c, r := startControl(t)
		driver, err := newChaos(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		c.down["n1"], c.paused["n2"], c.cuts = true, true, 3
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := driver.drive(ctx, time.Now().Add(time.Hour)); err != nil {
			t.Error(err)
		}
		c.healthy(t)
	})
	t.Run("in a fault", func(t *testing.T) {
		c, r := startControl(t)
		driver, err := newChaos(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		if err := driver.inflict(ctx, fault{name: "kill", nodes: []string{"n1"}, begin: []command{node("kill", "n1")}, lasts: time.Hour}); err != nil || !c.down["n1"] {
			t.Errorf("%v, down %v", err, c.down)
		}
		if err := driver.undo(t.Context()); err != nil {
			t.Error(err)
		}
		c.healthy(t)
	})
	t.Run("control fails", func(t *testing.T) {
		c, r := startControl(t)
		driver, err := newChaos(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		c.broken = true
		if err := driver.drive(t.Context(), time.Now().Add(maxCalm+time.Second)); err == nil || !strings.Contains(err.Error(), "answered 500") {
			t.Errorf("got %v", err)
		}
		c.healthy(t)
	})
}

// The same seed gives the same faults; all kinds come, and none is endless.
func TestScheduleIsSeeded(t *testing.T) {
	nodes := []string{"n1", "n2"}
	draws := func(seed uint64, wipe bool) (out []string) {
		rng := rand.New(rand.NewPCG(seed, chaosStream))
		for range 200 {
			f := draw(rng, nodes, kinds(wipe))
			if f.lasts < minFault || f.lasts > maxFault {
				t.Errorf("%s lasts %v", f.name, f.lasts)
			}
			out = append(out, f.name)
		}
		return out
	}
	if !slices.Equal(draws(4, false), draws(4, false)) || slices.Equal(draws(4, true), draws(5, true)) {
		t.Error("the seed does not decide")
	}
	for _, wipe := range []bool{false, true} {
		came := map[string]bool{}
		for _, name := range draws(1, wipe) {
			came[name] = true
		}
		if len(came) != len(kinds(wipe)) || came["wipe"] != wipe {
			t.Errorf("wipe %v: only %v", wipe, came)
		}
	}
}

func TestChaosNeedsNodes(t *testing.T) {
	for _, answer := range []string{`{"nodes":[{"name":"n1"}]}`, `{}`, `no`} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", control.Server)
			_, _ = io.WriteString(w, answer)
		}))
		if c, err := newChaos(t.Context(), &Run{cfg: Config{Chaos: srv.URL}}); err == nil {
			t.Errorf("%s: %v", answer, c.nodes)
		}
		srv.Close()
	}
}
