package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cartwheel/chaos/control"
)

// fakeCluster is some nodes in memory that share their objects. What is not under a lock is set before
// the nodes are asked.
type fakeCluster struct {
	nodes []*fakeNode

	mu      sync.Mutex
	objects map[string][]byte // by path
	props   map[string]string // bodies by path
	queries map[string]int    // requests for objects, by method and query
	refuse  func(method, query string) int
}

type fakeNode struct {
	cluster  *fakeCluster
	url      string
	said     map[string]any // of /cluster, beside the members
	metrics  string         // instead of its own
	cpu      atomic.Int64   // seconds
	requests atomic.Int64   // for objects
}

func (n *fakeNode) address() string { return strings.TrimPrefix(n.url, "http://") }

// startCluster starts nodes n1, n2, ... with N=3.
func startCluster(t *testing.T, count int) *fakeCluster {
	t.Helper()
	c := &fakeCluster{objects: map[string][]byte{}, props: map[string]string{}, queries: map[string]int{}}
	for i := range count {
		n := &fakeNode{cluster: c}
		n.said = map[string]any{
			"cluster": "c", "node": fmt.Sprintf("n%d", i+1), "ready": true, "partitions": 64, "n": 3,
			"version": "v1", "durability": "fsync", "cores": 2,
		}
		srv := httptest.NewServer(n)
		t.Cleanup(srv.Close)
		n.url = srv.URL
		c.nodes = append(c.nodes, n)
	}
	return c
}

func (c *fakeCluster) urls() (urls []string) {
	for _, n := range c.nodes {
		urls = append(urls, n.url)
	}
	return urls
}

func (n *fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch path := r.URL.Path; {
	case path == "/cluster":
		n.view(w)
	case path == "/metrics":
		text := n.metrics
		if text == "" {
			text = fmt.Sprintf("# HELP x y\nprocess_cpu_seconds_total %d\nprocess_resident_memory_bytes 1.048576e+06\nprocess_start_time_seconds 5\n", n.cpu.Add(1))
		}
		_, _ = io.WriteString(w, text)
	case strings.HasSuffix(path, "/props"):
		n.cluster.properties(w, r, body)
	case strings.HasPrefix(path, "/buckets/"):
		n.requests.Add(1)
		n.cluster.object(w, r, body)
	default:
		http.NotFound(w, r)
	}
}

func (n *fakeNode) view(w http.ResponseWriter) {
	members := []map[string]any{}
	for _, m := range n.cluster.nodes {
		members = append(members, map[string]any{"name": m.said["node"], "alive": true, "zone": "z-" + m.said["node"].(string), "http": m.address()})
	}
	v := map[string]any{"members": members}
	for name, value := range n.said {
		v[name] = value
	}
	_ = json.NewEncoder(w).Encode(v)
}

func (c *fakeCluster) properties(w http.ResponseWriter, r *http.Request, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Method == http.MethodPut {
		c.props[r.URL.Path] = string(body)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	_, _ = io.WriteString(w, c.props[r.URL.Path])
}

func (c *fakeCluster) object(w http.ResponseWriter, r *http.Request, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queries[r.Method+" "+r.URL.RawQuery]++
	if c.refuse != nil {
		if status := c.refuse(r.Method, r.URL.RawQuery); status != 0 {
			http.Error(w, "no", status)
			return
		}
	}
	w.Header().Set("X-Cartwheel-Receipt", "replicas=2 primaries=2 fallbacks=0 durable=2 n=3 ring=1")
	if r.Method == http.MethodPut {
		c.objects[r.URL.Path] = body
		w.WriteHeader(http.StatusNoContent)
		return
	}
	value, ok := c.objects[r.URL.Path]
	if !ok {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Riak-Vclock", "AA")
	_, _ = w.Write(value)
}

// fakeControl is a "cartwheel dev --chaos" that only keeps account.
type fakeControl struct {
	url string

	mu       sync.Mutex
	state    map[string]string // by node
	cuts     []control.Cut
	requests []string
	broken   string // the operation that fails
}

func startControl(t *testing.T) *fakeControl {
	t.Helper()
	c := &fakeControl{state: map[string]string{"n1": control.Running, "n2": control.Running, "n3": control.Running}}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

func (c *fakeControl) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Server", control.Server)
	if operation, ok := strings.CutPrefix(r.URL.Path, "/chaos/"); ok {
		var q control.Request
		_ = json.NewDecoder(r.Body).Decode(&q)
		c.requests = append(c.requests, strings.TrimSpace(fmt.Sprintf("%s %s%s %s", operation, q.Node, q.From, q.To)))
		if operation == c.broken {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		switch operation {
		case "kill":
			c.state[q.Node] = control.Dead
		case "pause":
			c.state[q.Node] = control.Paused
		case "start", "resume":
			c.state[q.Node] = control.Running
		case "cut":
			c.cuts = append(c.cuts, control.Cut{From: q.From, To: q.To})
		case "heal":
			c.cuts = nil
		}
	}
	s := control.State{Cuts: c.cuts}
	for _, name := range []string{"n1", "n2", "n3"} {
		s.Nodes = append(s.Nodes, control.Node{Name: name, State: c.state[name]})
	}
	_ = json.NewEncoder(w).Encode(s)
}

// whole fails the test if anything is left broken.
func (c *fakeControl) whole(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, state := range c.state {
		if state != control.Running {
			t.Errorf("%s is left %s", name, state)
		}
	}
	if len(c.cuts) > 0 {
		t.Errorf("cuts are left: %v", c.cuts)
	}
}

func (c *fakeControl) asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}
