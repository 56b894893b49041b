package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// plant is a bug and a scenario in which the checker finds it.
type plant struct {
	name  string
	edits []Edit
	kinds []string // of violations, any of which names the bug

	nodes     int
	endpoints []int    // of the checker: numbers of nodes
	load      string   // for how long
	flags     []string // further ones of the checker
	// faults are lines "SECONDS OPERATION NODE...": when after the beginning of the load the
	// control of "dev --chaos" is told to do what.
	faults string
}

const (
	// plantSeeds is how often a scenario is tried with a bug planted, each time with another
	// seed: chance decides which key meets the fault, and one find is enough. The right binary
	// has one try.
	plantSeeds = 3
	// plantWithin bounds one run of a scenario.
	plantWithin = 90 * time.Second
)

// TestCheckFindsPlantedBugs proves that "cartwheel check" is able to fail: of each bug it finds
// the violations, and none in the same scenario without the bug.
func TestCheckFindsPlantedBugs(t *testing.T) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, p := range plants {
		// All at once, however many tests run in parallel by default: they wait most of the time.
		wg.Go(func() { t.Run(p.name, p.isFound) })
		wg.Go(func() {
			t.Run(p.name+"-not-planted", func(t *testing.T) {
				v := p.run(t, lab, 1)
				t.Attr("not_planted_"+p.name, v.String())
				if v.code != 0 || !v.Clean {
					t.Errorf("accused without the bug: %s\n%s", v, v.accusations())
				}
			})
		})
	}
}

// isFound plants the bug and lets the checker look for it.
func (p plant) isFound(t *testing.T) {
	planted, err := lab.Planted(p.name, p.edits...)
	if err != nil {
		t.Fatal(err)
	}
	for seed := 1; seed <= plantSeeds; seed++ {
		v := p.run(t, planted, seed)
		if v.code == 1 && slices.ContainsFunc(p.kinds, func(kind string) bool { return v.Kinds[kind] > 0 }) {
			t.Attr("planted_"+p.name, v.String())
			return
		}
		t.Logf("not found with seed %d: %s", seed, v)
	}
	t.Errorf("no violation of the kinds %v with %d seeds", p.kinds, plantSeeds)
}

// TestPlantedFits refuses edits that do not fit the sources: a bug that is planted nowhere would
// be one that is never found, or worse, a test that says nothing.
func TestPlantedFits(t *testing.T) {
	t.Parallel()
	for _, e := range []Edit{
		{File: "vclock/record.go", Old: "text that does not stand there"},
		{File: "vclock/record.go", Old: "func "}, // more than once
		{File: "vclock/nowhere.go", Old: "func "},
	} {
		if _, err := lab.Planted("misfit", e); err == nil || !strings.Contains(err.Error(), e.File) {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

// verdict is what the checker says with --json, and its exit code.
type verdict struct {
	Clean      bool
	Kinds      map[string]int `json:"violation_kinds"`
	Violations []struct{ Kind, Workload, Key, Text string }
	Workloads  []struct{ Operations, Unknown int }
	code       int
}

// String is the verdict in a line, with the number of violations by kind.
func (v verdict) String() string {
	found := "clean"
	if !v.Clean {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(v.Kinds)) {
			kinds = append(kinds, fmt.Sprintf("%d %s", v.Kinds[kind], kind))
		}
		found = strings.Join(kinds, ", ")
	}
	operations, unknown := 0, 0
	for _, w := range v.Workloads {
		operations, unknown = operations+w.Operations, unknown+w.Unknown
	}
	return fmt.Sprintf("%s, exit code %d, %d operations (%d unknown)", found, v.code, operations, unknown)
}

// accusations are the first violations, one in a line.
func (v verdict) accusations() string {
	const enough = 20
	var b strings.Builder
	for _, a := range v.Violations[:min(enough, len(v.Violations))] {
		fmt.Fprintf(&b, "%s: %s/%s: %s\n", a.Kind, a.Workload, a.Key, a.Text)
	}
	return b.String()
}

// run makes the scenario happen to a cluster of the lab's binary, and returns what the checker,
// which is always the right one, says of it. The history is an artifact of the test.
func (p plant) run(t *testing.T, of *Lab, seed int) (v verdict) {
	t.Helper()
	d := startPlant(t, of, p.nodes)
	history := filepath.Join(t.ArtifactDir(), fmt.Sprintf("history-%d.ndjson", seed))
	args := []string{
		"check", "--json", "--seed", strconv.Itoa(seed), "--history", history, "--endpoint", d.endpoints(p.endpoints),
		"--for", p.load, "--clients", "8", "--settle", "20s",
	}
	check := lab.Start(t, Command{Args: append(args, p.flags...)})
	Until(t, readyWithin, "the load begins", func() error {
		if !check.Running() {
			t.Fatalf("check has ended:\n%s", check.Stderr.String())
		}
		_, err := os.Stat(history)
		return err
	})
	began := time.Now()
	for line := range strings.Lines(p.faults) {
		words := strings.Fields(line)
		after, err := strconv.ParseFloat(words[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		pause(t.Context(), time.Until(began.Add(time.Duration(after*float64(time.Second)))))
		if err := d.tell(words[1], words[2:]...); err != nil {
			t.Fatalf("%s: %v", strings.TrimSpace(line), err)
		}
	}
	v.code = check.Wait(t, plantWithin)
	if err := json.Unmarshal([]byte(check.Stdout.String()), &v); err != nil {
		t.Fatalf("check: exit code %d: %v\n%s", v.code, err, check.Stderr.String())
	}
	if code := d.Stop(t, os.Interrupt); code != 0 {
		t.Errorf("dev: exit code %d:\n%s", code, d.Stderr.String())
	}
	return v
}

// startPlant starts "dev --chaos" with so many nodes and waits until they serve.
func startPlant(t *testing.T, of *Lab, nodes int) *dev {
	t.Helper()
	offsets := []int{chaosOffset}
	for i := range nodes {
		offsets = append(offsets, 10*i, 10*i+1)
	}
	d := &dev{port: lab.Port(t, offsets...), temp: t.TempDir()}
	t.Cleanup(func() { d.awaitGone(t) }) // after dev itself has ended or was killed
	d.Process = of.Start(t, Command{
		Args: []string{"dev", "--chaos", "--nodes", strconv.Itoa(nodes), "--port", strconv.Itoa(d.port)}, Env: []string{"TMPDIR=" + d.temp},
	})
	Until(t, readyWithin, "dev is ready", func() error {
		if !d.Running() {
			t.Fatalf("dev has ended:\n%s", d.Stderr.String())
		}
		return d.Stdout.Has("\nready")
	})
	return d
}

// endpoints returns the URLs of the numbered nodes, as --endpoint takes them.
func (d *dev) endpoints(nodes []int) string {
	var urls []string
	for _, n := range nodes {
		urls = append(urls, "http://"+d.http(n-1))
	}
	return strings.Join(urls, ",")
}

// tell has the control of "dev --chaos" do something to a node, or to the link from one to another.
func (d *dev) tell(operation string, names ...string) error {
	request := map[string]any{}
	switch len(names) {
	case 1:
		request["node"] = names[0]
	case 2:
		request["from"], request["to"] = names[0], names[1]
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	resp, err := lab.HTTP.Post("http://"+Addr(d.port+chaosOffset)+"/chaos/"+operation, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s (%v)", resp.StatusCode, bytes.TrimSpace(answer), err)
	}
	return nil
}
