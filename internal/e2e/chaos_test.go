package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// chaosOffset is the control's port above the first node's.
const chaosOffset = 9

// chaosDev is a running "cartwheel dev --chaos" of three nodes.
type chaosDev struct{ *dev }

func startChaos(t *testing.T) chaosDev {
	t.Helper()
	d := chaosDev{startDevAt(t, lab.Port(t, append([]int{chaosOffset}, devOffsets...)...), "--chaos")}
	d.awaitReady(t)
	if err := d.Stdout.Has("\nchaos  " + d.control() + "\n"); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d chaosDev) control() string { return "http://" + Addr(d.port+chaosOffset) }

// do runs "cartwheel chaos" with the words, which must succeed.
func (d chaosDev) do(t *testing.T, words string) {
	t.Helper()
	args := append([]string{"chaos", "--chaos-url", d.control()}, strings.Fields(words)...)
	if p, code := lab.Run(t, endsWithin, Command{Args: args}); code != 0 || p.Stdout.String() != "" {
		t.Fatalf("chaos %s: exit code %d: %s%s", words, code, p.Stdout.String(), p.Stderr.String())
	}
}

// chaosNode is what the control says of a node.
type chaosNode struct {
	Name, State string
	PID         int
}

func (d chaosDev) nodes(t *testing.T) []chaosNode {
	t.Helper()
	var s struct{ Nodes []chaosNode }
	body, err := lab.Get(d.control() + "/chaos")
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	if err != nil || len(s.Nodes) != 3 {
		t.Fatalf("%v: %s", err, body)
	}
	return s.Nodes
}

// awaitAlive waits until the i-th node sees exactly these members alive.
func (d chaosDev) awaitAlive(t *testing.T, i int, want ...string) {
	t.Helper()
	Until(t, readyWithin, fmt.Sprintf("n%d sees %v", i+1, want), func() error {
		body, err := lab.Get("http://" + d.http(i) + "/cluster")
		if err != nil {
			return err
		}
		var v View
		if err := json.Unmarshal(body, &v); err != nil {
			return err
		}
		alive := map[string]bool{}
		for _, m := range v.Members {
			if m.Alive {
				alive[m.Name] = true
			}
		}
		for _, name := range want {
			if !alive[name] {
				return fmt.Errorf("it sees %v", alive)
			}
		}
		if len(alive) != len(want) {
			return fmt.Errorf("it sees %v", alive)
		}
		return nil
	})
}

// put writes a key at the i-th node; an error is a status other than success.
func (d chaosDev) put(i int, key, query string) error {
	req, err := http.NewRequest(http.MethodPut, "http://"+d.http(i)+"/buckets/b/keys/"+key+"?"+query, strings.NewReader(key))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/plain")
	resp, err := lab.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode/100 != 2 {
		return fmt.Errorf("status %d: %s (%v)", resp.StatusCode, bytes.TrimSpace(body), err)
	}
	return nil
}

// has returns nil if the i-th node finds the key in one replica, which is its own where it
// reaches no other.
func (d chaosDev) has(i int, key string) error {
	_, err := lab.Get("http://" + d.http(i) + "/buckets/b/keys/" + key + "?r=1&timeout=1000")
	return err
}

// putFails writes to all replicas and wants that to fail.
func (d chaosDev) putFails(t *testing.T, i int, key string) {
	t.Helper()
	if err := d.put(i, key, "w=all&timeout=1000"); err == nil || !strings.Contains(err.Error(), "status 50") {
		t.Errorf("w=all at n%d across a cut: %v", i+1, err)
	}
}

// putWorks writes to all replicas, which succeeds once the nodes have found each other.
func (d chaosDev) putWorks(t *testing.T, i int, key string) {
	t.Helper()
	Until(t, readyWithin, fmt.Sprintf("w=all at n%d", i+1), func() error { return d.put(i, key, "w=all&timeout=1000") })
}

// TestChaosNodes kills, restarts, pauses and resumes nodes and looks at them from outside.
func TestChaosNodes(t *testing.T) {
	t.Parallel()
	d := startChaos(t)
	before := d.nodes(t)
	d.putWorks(t, 0, "k")

	d.do(t, "kill n2")
	if runs(before[1].PID) {
		t.Error("n2 runs after it was killed")
	}
	d.do(t, "pause n3")
	checkStopped(t, before[2].PID, true)
	d.awaitAlive(t, 0, "n1")
	now := d.nodes(t)
	if now[1] != (chaosNode{Name: "n2", State: "dead"}) || now[2] != (chaosNode{"n3", "paused", before[2].PID}) {
		t.Errorf("the control says %+v", now)
	}
	if err := d.Stdout.Has("n2 pid="); err == nil {
		t.Error("a wanted death is reported as one")
	}

	d.do(t, "start n2")
	d.do(t, "resume n3")
	checkStopped(t, before[2].PID, false)
	for i := range 3 {
		d.awaitAlive(t, i, "n1", "n2", "n3")
	}
	d.putWorks(t, 1, "k2")
	if err := d.has(1, "k"); err != nil {
		t.Errorf("n2 has lost its data: %v", err)
	}

	d.do(t, "restart n1")
	after := d.nodes(t)
	if after[0].PID == before[0].PID || after[1].PID == before[1].PID || runs(before[0].PID) {
		t.Errorf("before %+v, after %+v", before, after)
	}
	d.do(t, "pause n2") // the end has to stop it all the same
	if code := d.Stop(t, os.Interrupt); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.Stderr.String())
	}
	for _, n := range after {
		if runs(n.PID) {
			t.Errorf("%+v is left", n)
		}
	}
}

// checkStopped looks at the process itself, where the system shows it.
func checkStopped(t *testing.T, pid int, want bool) {
	t.Helper()
	if !hasProc() {
		return
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "T") != want {
		t.Errorf("process %d is in state %.1s", pid, state)
	}
}

func TestChaosPortTaken(t *testing.T) {
	t.Parallel()
	port := lab.Port(t, append([]int{chaosOffset}, devOffsets...)...)
	l, err := net.Listen("tcp", Addr(port+chaosOffset))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	refuses(t, Command{Args: []string{"dev", "--chaos", "--port", strconv.Itoa(port)}}, 1, strconv.Itoa(port+chaosOffset))
}

// TestChaosLinks cuts links and looks at what still gets through.
func TestChaosLinks(t *testing.T) {
	t.Parallel()
	d := startChaos(t)
	d.putWorks(t, 0, "k")

	// One link in both directions: who is on neither end reaches all.
	d.do(t, "cut n1 n3")
	d.putFails(t, 0, "a")
	d.putFails(t, 2, "a")
	d.putWorks(t, 1, "a")
	d.do(t, "heal")
	d.putWorks(t, 0, "a")
	d.putWorks(t, 2, "a")

	// Only the direction from n3 to n1 is left; the answers have no way back.
	d.do(t, "cut n1 n2")
	d.do(t, "cut n2 n3")
	d.do(t, "cut n1 n3 --one-way")
	for _, i := range []int{2, 0} { // n3 at once: it gives the connection up when it hears nothing for 2 s
		if err := d.put(i, fmt.Sprintf("from-n%d", i+1), "w=1&dw=1&timeout=1000"); err != nil {
			t.Errorf("w=1 at n%d: %v", i+1, err)
		}
	}
	Until(t, 5*time.Second, "what n3 has sent is at n1", func() error { return d.has(0, "from-n3") })
	d.putFails(t, 0, "b")
	d.putFails(t, 2, "b")

	// No packet gets through either, so each is alone.
	for i, self := range []string{"n1", "n2", "n3"} {
		d.awaitAlive(t, i, self)
	}
	if err := d.has(2, "from-n1"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("what n1 has sent is at n3: %v", err)
	}
	d.do(t, "restart n2") // comes back behind its cuts
	Until(t, readyWithin, "n2 answers", func() error { _, err := lab.Get("http://" + d.http(1) + "/ping"); return err })
	d.putFails(t, 0, "b")
	d.awaitAlive(t, 0, "n1")
	d.do(t, "heal")
	for i := range 3 {
		d.awaitAlive(t, i, "n1", "n2", "n3")
		d.putWorks(t, i, "b")
	}
	if code := d.Stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.Stderr.String())
	}
}
