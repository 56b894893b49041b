package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// changeProps sends a change of properties to a node and fails the test unless it is answered so.
func changeProps(t *testing.T, n *Node, path, props string, status int) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPut, "http://"+n.HTTP+path, strings.NewReader(`{"props":`+props+`}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := lab.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); answer.StatusCode != status || err != nil {
		t.Fatalf("PUT %s at %s: %d %s, %v", path, n.Name, answer.StatusCode, body, err)
	}
}

// shows returns nil if the properties at a path have what is wanted, as JSON texts.
func shows(n *Node, path string, want ...string) error {
	body, err := lab.Get("http://" + n.HTTP + path)
	for _, text := range want {
		if err == nil && !strings.Contains(string(body), text) {
			err = fmt.Errorf("%s at %s has no %s: %s", path, n.Name, text, body)
		}
	}
	return err
}

// TestTypesSurviveKills kills every node right after the answer to a change of a bucket type and of a
// bucket of it. Each node has it afterwards, on its own. Then the type changes while one node is away,
// and who took the change is killed right after its answer: the first node learns it from the third.
func TestTypesSurviveKills(t *testing.T) {
	t.Parallel()
	nodes := lab.Cluster(t, 3)
	const typ, bucket = "/types/kept/props", "/types/kept/buckets/b/props"
	changeProps(t, nodes[0], typ, `{"pw":1,"resolve":"union"}`, http.StatusNoContent)
	changeProps(t, nodes[1], bucket, `{"r":1}`, http.StatusNoContent)
	for _, n := range nodes {
		n.Signal(syscall.SIGKILL) // all before any is waited for
	}
	for _, n := range nodes {
		n.Kill()
	}
	for _, n := range nodes {
		n.Start(t)
		n.AwaitReady(t)
		if err := shows(n, bucket, `"active":true`, `"pw":1`, `"resolve":"union"`, `"r":1`); err != nil {
			t.Error(err)
		}
		n.Kill()
	}

	Restart(t, nodes[:2], nodes[:2]...)
	changeProps(t, nodes[0], typ, `{"pw":2}`, http.StatusNoContent)
	changeProps(t, nodes[0], "/types/late/props", `{}`, http.StatusNoContent)
	nodes[0].Kill()
	nodes[2].Start(t)
	nodes[2].AwaitReady(t)
	Until(t, readyWithin, "the node that was away has the change", func() error { return shows(nodes[2], bucket, `"pw":2`, `"r":1`) })
	Until(t, readyWithin, "it has the new type", func() error { return shows(nodes[2], "/types/late/buckets/b/props", `"active":true`) })
}
