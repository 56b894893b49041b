package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// How many records TestLoadWhileNodeIsKilled loads unless CARTWHEEL_E2E_RECORDS says otherwise.
const (
	loadRecords     = 20_000
	loadRecordsLong = 60_000
)

// loadWithin bounds the load of all records and, separately, each round of reading them, on a
// machine that has other things to do.
const loadWithin = 3 * time.Minute

// TestLoadWhileNodeIsKilled loads records with "cartwheel load" while one of three nodes is
// killed and comes back later. Every record is then read from every node at r=2, and in the end
// from the node that was away while the others are stopped: reads have brought it all that it
// missed.
func TestLoadWhileNodeIsKilled(t *testing.T) {
	total := loadRecords
	if Long() {
		total = loadRecordsLong
	}
	if v := os.Getenv("CARTWHEEL_E2E_RECORDS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1000 {
			t.Fatalf("CARTWHEEL_E2E_RECORDS=%q: give a number from 1000", v)
		}
		total = n
	}
	changed := total / 20 // records that the third node has in an old version when it comes back
	old, present := Records{"load", 1}, Records{"load", 2}
	nodes := lab.Cluster(t, 3)
	third := nodes[2]

	load(t, nodes, lines(t, old, 0, changed), changed)
	whole := loadInBackground(t, nodes, lines(t, present, changed, total))
	awaitPuts(t, nodes, changed+(total-changed)/4)
	third.Kill()
	if !whole.Running() {
		t.Fatal("the load ended before the node was killed: the test proves nothing, load more records")
	}
	load(t, nodes, lines(t, present, 0, changed), changed, "--replace")
	awaitPuts(t, nodes[:2], (total-changed)/2)
	third.Start(t)
	third.AwaitReady(t)
	finishLoad(t, whole, total-changed)
	for _, n := range nodes {
		n.AwaitAlive(t, len(nodes))
	}

	stale := staleCopies(t, nodes[0], third.Name, present, total)
	if stale == 0 {
		t.Fatal("the node that was away lacks nothing: the test proves nothing")
	}
	began := time.Now()
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() { readAll(t, n, present, total, "?r=2") })
	}
	wg.Wait()
	t.Logf("%d reads at r=2: %v", len(nodes)*total, time.Since(began).Round(time.Millisecond))
	if t.Failed() {
		return
	}
	awaitRepairs(t, nodes)
	left := staleCopies(t, nodes[0], third.Name, present, total)
	t.Logf("of %d copies looked at on the node that was away, %d were stale, and %d after all were read", sampled, stale, left)
	if left > stale/2 {
		t.Error("reads have repaired too little")
	}
	// Repairs that follow an answer are bounded, so a flood of reads may leave some out. Those
	// that a read waits for are not.
	readAll(t, third, present, total, "?r=2&read_repair=before")
	for _, n := range nodes[:2] {
		if code := n.Stop(t, syscall.SIGTERM); code != 0 {
			t.Errorf("%s stopped with exit code %d:\n%s", n.Name, code, n.Stderr.String())
		}
	}
	readAll(t, third, present, total, "?r=1")
	t.Attr("records_read_from_every_node", strconv.Itoa(total))
}

// lines writes records to a file as load reads them.
func lines(t *testing.T, r Records, first, end int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "records.ndjson")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := r.WriteLines(f, first, end); err != nil {
		t.Fatal(err)
	}
	return path
}

func loadInBackground(t *testing.T, nodes []*Node, file string, flags ...string) *Process {
	t.Helper()
	var endpoints []string
	for _, n := range nodes {
		endpoints = append(endpoints, "http://"+n.HTTP)
	}
	args := append([]string{"load", "load", file, "--endpoint", strings.Join(endpoints, ",")}, flags...)
	return lab.Start(t, Command{Args: args})
}

// finishLoad waits for a load and checks that it has stored every line.
func finishLoad(t *testing.T, p *Process, want int) {
	t.Helper()
	code := p.Wait(t, loadWithin)
	if code != 0 {
		t.Fatalf("load: exit code %d:\n%s%s", code, p.Stdout.String(), p.Stderr.String())
	}
	if err := p.Stdout.Has(fmt.Sprintf("stored %d, failed 0 ", want)); err != nil {
		t.Fatal(err)
	}
	t.Log(strings.TrimSpace(p.Stdout.String()))
}

func load(t *testing.T, nodes []*Node, file string, want int, flags ...string) {
	t.Helper()
	finishLoad(t, loadInBackground(t, nodes, file, flags...), want)
}

// awaitPuts waits until the nodes together have coordinated that many writes.
func awaitPuts(t *testing.T, nodes []*Node, want int) {
	t.Helper()
	Until(t, loadWithin, fmt.Sprintf("%d writes", want), func() error {
		puts := 0
		for _, n := range nodes {
			var s struct {
				Puts int `json:"node_puts_total"`
			}
			n.JSON(t, "/stats", &s)
			puts += s.Puts
		}
		if puts < want {
			return fmt.Errorf("%d so far", puts)
		}
		return nil
	})
}

// sampled is how many records staleCopies looks at.
const sampled = 200

// staleCopies returns how many of the sampled records the named node has in another form than
// the node that is asked, or not at all.
func staleCopies(t *testing.T, n *Node, name string, r Records, total int) (stale int) {
	t.Helper()
	for k := range sampled {
		i := k * total / sampled
		var e struct {
			Owners []struct{ Name, Digest, Error string }
		}
		n.JSON(t, "/cluster/explain?bucket="+url.QueryEscape(r.Bucket)+"&key="+url.QueryEscape(r.Key(i)), &e)
		digests := map[string]string{}
		for _, o := range e.Owners {
			if o.Error != "" {
				t.Fatalf("explain %s: %s: %s", r.Key(i), o.Name, o.Error)
			}
			digests[o.Name] = o.Digest
		}
		if digests[name] != digests[n.Name] {
			stale++
		}
	}
	return stale
}

// readAll reads every record from a node and checks that it is there, once, with its value.
func readAll(t *testing.T, n *Node, r Records, total int, query string) {
	t.Helper()
	all := make([]int, total)
	for i := range all {
		all[i] = i
	}
	if wrong := readRecords(t, n, r, all, query); wrong > 0 {
		t.Errorf("%d of %d records are missing or wrong at %s with %s", wrong, total, n.Name, query)
	}
}

// awaitRepairs waits until the nodes repair nothing any more.
func awaitRepairs(t *testing.T, nodes []*Node) {
	t.Helper()
	last, quiet := -1.0, 0
	Until(t, loadWithin, "the repairs end", func() error {
		sum := 0.0
		for _, n := range nodes {
			sum += n.Metric(t, "cartwheel_read_repairs_total") + n.Metric(t, "cartwheel_requests_in_flight")
		}
		if sum == last {
			quiet++
		} else {
			last, quiet = sum, 0
		}
		if quiet < 10 {
			return fmt.Errorf("%.0f repairs", sum)
		}
		return nil
	})
	t.Logf("%.0f repairs", last)
	if last == 0 {
		t.Error("reads have repaired nothing")
	}
}

// TestRecords holds the generator to what the tests rely on: lines that load reads, values
// that differ from record to record and from version to version.
func TestRecords(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	r := Records{"b", 1}
	if err := r.WriteLines(&b, 7, 9); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, line := range strings.Split(strings.TrimSpace(b.String()), "\n") {
		var rec struct{ Key, Value string }
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatal(err)
		}
		if rec.Key != r.Key(7+i) || rec.Value != string(r.Value(nil, 7+i)) || len(rec.Value) != valueBytes {
			t.Errorf("line %d: %.80s", i, line)
		}
		seen[rec.Value] = true
		seen[string(Records{"b", 2}.Value(nil, 7+i))] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d different values, want 4", len(seen))
	}
}
