package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// checkLoad is how long the checker loads the cluster; checkWithin bounds all that it does.
const (
	checkLoad   = "10s"
	checkWithin = 90 * time.Second
)

// checkLoss is what the checker says of the bucket where the last write wins.
var checkLoss = regexp.MustCompile(`lww: where the last write wins, [1-9]\d* of [1-9]\d* acknowledged adds were lost \(\d+\.\d %\)`)

// TestCheckFindsNothing runs the checker on a healthy cluster: no violation, the loss of the
// last-write-wins bucket shown, a history in which every line is what the documents say, and
// that can be judged again.
func TestCheckFindsNothing(t *testing.T) {
	d := startDev(t)
	d.awaitReady(t)
	var endpoints []string
	for i := range 3 {
		endpoints = append(endpoints, "http://"+d.http(i))
	}
	file := filepath.Join(t.TempDir(), "history.ndjson")
	p, code := lab.Run(t, checkWithin, Command{Args: []string{
		"check", "--for", checkLoad, "--seed", "11", "--history", file, "--endpoint", strings.Join(endpoints, ","),
	}})
	out := p.Stdout.String()
	if code != 0 || !strings.Contains(out, "\nclean: no violation in ") {
		t.Fatalf("exit code %d:\n%s%s", code, out, p.Stderr.String())
	}
	if !checkLoss.MatchString(out) {
		t.Errorf("no loss where the last write wins:\n%s", out)
	}
	t.Log(strings.TrimSpace(out))
	seen := readCheckHistory(t, file, endpoints)
	for _, load := range []string{"sets", "register", "counter", "session", "lww"} {
		for _, kind := range []string{"read", "write", "final"} {
			if seen[load+" "+kind] == 0 {
				t.Errorf("the history has no %s of %s", kind, load)
			}
		}
	}
	again, code := lab.Run(t, checkWithin, Command{Args: []string{"check", "--judge", file}})
	if code != 0 || again.Stdout.String() != out {
		t.Errorf("judged again: exit code %d:\n%s", code, again.Stdout.String())
	}
}

// checkLine is a line of a history, as documented.
type checkLine struct {
	Type, Workload, Key, ID, Outcome, Endpoint, Receipt, Level, Digest string
	Client, Seq, Status                                                int
	Start, End                                                         int64
	Final                                                              bool
	Run                                                                *struct{ Seed uint64 }
}

// readCheckHistory checks every line of a history and counts the operations by workload and type.
func readCheckHistory(t *testing.T, path string, endpoints []string) map[string]int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := map[string]int{}
	seq := map[int]int{}
	types := ""
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var l checkLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("line %d: %v", n, err)
		}
		if n == 1 && (l.Type != "run" || l.Run == nil || l.Run.Seed != 11) || strings.HasSuffix(types, "end") {
			t.Fatalf("line %d is out of place: %s", n, lines.Text())
		}
		types = l.Type
		if l.Type != "read" && l.Type != "write" {
			continue
		}
		if err := l.check(endpoints, seq[l.Client]); err != nil {
			t.Fatalf("line %d: %v: %s", n, err, lines.Text())
		}
		seq[l.Client] = l.Seq
		kind := l.Type
		if l.Final {
			kind = "final"
		}
		seen[l.Workload+" "+kind]++
	}
	if err := lines.Err(); err != nil || types != "end" {
		t.Fatalf("the history ends with %q, %v", types, err)
	}
	return seen
}

// check returns what is wrong with a line that follows the client's operation last.
func (l checkLine) check(endpoints []string, last int) error {
	switch {
	case l.Seq <= last:
		return fmt.Errorf("it follows operation %d of the client", last)
	case l.Start <= 0 || l.End < l.Start || l.Key == "" || l.Level == "":
		return fmt.Errorf("a field is missing or impossible")
	case !strings.Contains(strings.Join(endpoints, ","), l.Endpoint) || l.Endpoint == "":
		return fmt.Errorf("the endpoint is not one of %v", endpoints)
	case l.Outcome == "ok" && (l.Status == 0 || !strings.HasPrefix(l.Receipt, "replicas=")):
		return fmt.Errorf("an answer without status or receipt")
	case l.Outcome != "ok" && l.Outcome != "fail" && l.Outcome != "unknown":
		return fmt.Errorf("the outcome is %q", l.Outcome)
	case l.Type == "write" && (l.ID != fmt.Sprintf("%d.%d", l.Client, l.Seq) || l.Digest == ""):
		return fmt.Errorf("a write without its id or digest")
	}
	return nil
}
