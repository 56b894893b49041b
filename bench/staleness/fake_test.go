package staleness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cartwheel/bench/load"
	"cartwheel/bench/result"
)

// cluster is some nodes in one map. A write is at once at the node that took it, and after a
// planted delay at the others. In a bubble it is reached without sockets, in oneWay each way.
type cluster struct {
	targets []string

	spread   func(*rand.Rand) time.Duration // from the answer to the write until the others have it
	putTakes time.Duration
	status   func(node int, r *http.Request) int // other than 0: the answer
	siblings bool                                // the last three versions that a node has are shown
	pages    page                                // of /cluster/latencies, grown at every look
	all      atomic.Int64                        // reads with r=all

	mu     sync.Mutex
	rng    *rand.Rand
	values map[string][]version
}

type version struct {
	value string
	tag   string
	node  int       // that took it
	there time.Time // from when on the others have it
}

const oneWay = 100 * time.Microsecond

func newCluster(nodes int) *cluster {
	c := &cluster{rng: rand.New(rand.NewPCG(1, 1)), values: map[string][]version{}}
	for i := range nodes {
		c.targets = append(c.targets, fmt.Sprint(i))
	}
	return c
}

// listen serves the cluster on real sockets.
func (c *cluster) listen(t *testing.T) {
	for i := range c.targets {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, i) }))
		t.Cleanup(s.Close)
		c.targets[i] = strings.TrimPrefix(s.URL, "http://")
	}
}

// run measures the cluster in the bubble.
func (c *cluster) run(ctx context.Context, cfg Config) (*result.Staleness, error) {
	r := newRun(cfg.WithDefaults())
	r.pages = &http.Client{Transport: c}
	r.dial = func(_ context.Context, target, query string) (conn, error) { return &memConn{c, target, query}, nil }
	r.wait = func(ctx context.Context, d time.Duration) bool {
		if d <= 0 {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(d):
			return true
		}
	}
	return r.measure(ctx)
}

// RoundTrip implements http.RoundTripper: the host is the node's number.
func (c *cluster) RoundTrip(r *http.Request) (*http.Response, error) {
	<-time.After(oneWay)
	w := httptest.NewRecorder()
	node, _ := strconv.Atoi(r.URL.Host)
	c.serve(w, r, node)
	<-time.After(oneWay)
	return w.Result(), nil
}

// memConn is a conn to one node.
type memConn struct {
	c             *cluster
	target, query string
}

func (m *memConn) Get(key string) (load.Answer, error) { return m.do(http.MethodGet, key, nil) }
func (m *memConn) Put(key string, value, _ []byte) (load.Answer, error) {
	return m.do(http.MethodPut, key, value)
}
func (m *memConn) Usable() bool { return true }
func (m *memConn) Close() error { return nil }

func (m *memConn) do(method, key string, body []byte) (load.Answer, error) {
	r := httptest.NewRequest(method, "http://"+m.target+"/buckets/b/keys/"+key+"?"+m.query, bytes.NewReader(body))
	w, err := m.c.RoundTrip(r)
	if err != nil {
		return load.Answer{}, err
	}
	answer, err := io.ReadAll(w.Body)
	return load.Answer{Status: w.StatusCode, Body: answer}, err
}

func (c *cluster) serve(w http.ResponseWriter, r *http.Request, node int) {
	if c.status != nil {
		if s := c.status(node, r); s != 0 {
			w.WriteHeader(s)
			return
		}
	}
	key := path.Base(r.URL.Path)
	switch {
	case key == "latencies":
		c.mu.Lock()
		defer c.mu.Unlock()
		p := &c.pages
		p.Taken.Reads += uint64(len(p.Reads))
		p.Taken.Writes += uint64(len(p.Writes))
		p.Taken.LocalReads += uint64(len(p.LocalReads))
		p.Taken.LocalWrites += uint64(len(p.LocalWrites))
		json.NewEncoder(w).Encode(p)
	case r.Method == http.MethodPut:
		value, _ := io.ReadAll(r.Body)
		// A timer that is due at once is run by who receives from it, and when two do so in a bubble
		// at a time the race detector crashes (Go 1.26).
		if c.putTakes > 0 {
			<-time.After(c.putTakes)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		var d time.Duration
		if c.spread != nil {
			d = c.spread(c.rng)
		}
		c.values[key] = append(c.values[key], version{string(value), fmt.Sprint("tag", len(c.values[key])), node, time.Now().Add(d)})
		w.WriteHeader(http.StatusNoContent)
	default:
		c.get(w, r, key, node)
	}
}

func (c *cluster) get(w http.ResponseWriter, r *http.Request, key string, node int) {
	if r.URL.RawQuery == "r=all" {
		c.all.Add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all, shown := c.values[key], 1
	if c.siblings {
		shown = 3
	}
	if r.URL.Query().Has("vtag") {
		shown = len(all) + 1
	}
	var found []version // newest first
	for i := len(all) - 1; i >= 0 && len(found) < shown; i-- {
		v := all[i]
		if v.node != node && time.Now().Before(v.there) {
			continue
		}
		found = append(found, v)
		if r.URL.Query().Get("vtag") == v.tag {
			io.WriteString(w, v.value)
			return
		}
	}
	switch len(found) {
	case 0:
		w.WriteHeader(http.StatusNotFound)
	case 1:
		io.WriteString(w, found[0].value)
	default:
		w.WriteHeader(http.StatusMultipleChoices)
		io.WriteString(w, "Siblings:\n"+found[1].tag+"\n"+found[0].tag+"\n"+found[len(found)-1].tag+"\n") // the newest between the others
	}
}

// samplesOf returns a page with these times, in milliseconds, a hundred of each.
func samplesOf(read, localRead, localWrite float64, write func() float64) (p page) {
	for range 100 {
		p.Reads = append(p.Reads, 1000*read)
		p.LocalReads = append(p.LocalReads, 1000*localRead)
		p.LocalWrites = append(p.LocalWrites, 1000*localWrite)
	}
	for range 1000 {
		p.Writes = append(p.Writes, 1000*write())
	}
	return p
}
