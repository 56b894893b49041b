package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// readyWithin bounds the start of a node on a machine that is busy with other tests.
const readyWithin = 30 * time.Second

// Node is one node and the process that runs it, if one does.
type Node struct {
	*Process
	Name, Dir  string
	HTTP, Peer string // host:port

	lab       *Lab
	args      []string
	namespace string // in which it runs; "" for the test's own
}

// Cluster starts n nodes, named n1, n2, ..., that form a ring, and waits until all serve. The
// flags are added to those of each node.
func (l *Lab) Cluster(tb testing.TB, n int, flags ...string) []*Node {
	tb.Helper()
	dir := tb.TempDir()
	nodes := make([]*Node, n)
	for i := range nodes {
		args := append([]string{"--expect", strconv.Itoa(n)}, flags...)
		if i > 0 {
			args = append(args, "--join", nodes[0].Peer)
		}
		name := "n" + strconv.Itoa(i+1)
		nodes[i] = l.Node(tb, name, filepath.Join(dir, name), args...)
		nodes[i].Start(tb)
	}
	for _, node := range nodes {
		node.AwaitReady(tb)
	}
	for _, node := range nodes {
		node.AwaitAlive(tb, n)
	}
	return nodes
}

// Node returns a node with ports of its own that is not started yet.
func (l *Lab) Node(tb testing.TB, name, dir string, flags ...string) *Node {
	tb.Helper()
	port := l.Port(tb, 0, 1)
	n := &Node{Name: name, Dir: dir, HTTP: Addr(port), Peer: Addr(port + 1), lab: l}
	n.args = append([]string{"serve", "--name", name, "--data", dir, "--http", n.HTTP, "--peer", n.Peer}, flags...)
	return n
}

// Start starts the node's process, again if an earlier one has ended. The flags are for this
// process alone.
func (n *Node) Start(tb testing.TB, flags ...string) {
	tb.Helper()
	n.Process = n.lab.Start(tb, Command{Args: append(n.args[:len(n.args):len(n.args)], flags...), Namespace: n.namespace})
}

// AwaitReady waits until the node serves.
func (n *Node) AwaitReady(tb testing.TB) {
	tb.Helper()
	Until(tb, readyWithin, n.Name+" is ready", func() error {
		if !n.Running() {
			tb.Fatalf("%s has ended:\n%s", n.Name, n.Stderr.String())
		}
		return n.Ready()
	})
}

// Ready returns nil if the node serves.
func (n *Node) Ready() error {
	_, err := n.lab.Get("http://" + n.HTTP + "/readyz")
	return err
}

// View is what a node says of its cluster.
type View struct {
	Cluster string
	Members []struct {
		Name, UUID string
		Alive      bool
	}
}

// Alive counts the members that are alive.
func (v View) Alive() (alive int) {
	for _, m := range v.Members {
		if m.Alive {
			alive++
		}
	}
	return alive
}

// View asks the node for its view of the cluster.
func (n *Node) View(tb testing.TB) (v View) {
	tb.Helper()
	n.JSON(tb, "/cluster", &v)
	return v
}

// AwaitAlive waits until the node sees that many members alive.
func (n *Node) AwaitAlive(tb testing.TB, count int) {
	tb.Helper()
	Until(tb, readyWithin, fmt.Sprintf("%s sees %d members", n.Name, count), func() error {
		if v := n.View(tb); v.Alive() != count {
			return fmt.Errorf("it sees %+v", v)
		}
		return nil
	})
}

// JSON reads a resource of the node into v.
func (n *Node) JSON(tb testing.TB, path string, v any) {
	tb.Helper()
	body, err := n.lab.Get("http://" + n.HTTP + path)
	if err == nil {
		err = json.Unmarshal(body, v)
	}
	if err != nil {
		tb.Fatalf("%s: read %s: %v", n.Name, path, err)
	}
}

// Metric returns a sample of the node's metrics by its name, labels included.
func (n *Node) Metric(tb testing.TB, name string) float64 {
	tb.Helper()
	body, err := n.lab.Get("http://" + n.HTTP + "/metrics")
	if err != nil {
		tb.Fatalf("%s: %v", n.Name, err)
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				tb.Fatalf("%s: metric %s: %v", n.Name, name, err)
			}
			return v
		}
	}
	tb.Fatalf("%s has no metric %s", n.Name, name)
	return 0
}

// Get returns the body of an answer with status 200; anything else is an error.
func (l *Lab) Get(url string) ([]byte, error) {
	resp, err := l.HTTP.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d: %s", url, resp.StatusCode, body)
	}
	return body, nil
}
