package node

// sleep-ok: every test runs in the bubble of inPlace.

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cartwheel/quorum"
)

// silent is a replica that never answers, as one whose disk hangs.
type silent struct{}

func (silent) Read(quorum.Read)       {}
func (silent) Merge(quorum.Merge)     {}
func (silent) Forward(quorum.Forward) {}

func TestStopAnswersEverything(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		n := nodes[0]
		view := *n.View()
		view.Replicas = slices.Clone(view.Replicas)
		for i := range view.Replicas {
			if i != view.Self {
				view.Replicas[i] = silent{}
			}
		}
		n.view.Store(&view)
		var wg sync.WaitGroup
		var answered atomic.Int32
		for i := range 20 {
			wg.Go(func() {
				method := []string{"GET", "PUT", "DELETE"}[i%3]
				a, err := n.ask(method, "/buckets/b/keys/slow?r=all&w=all&timeout=60000", "v", "Content-Type", "text/plain")
				if err != nil || a.status != http.StatusServiceUnavailable {
					t.Errorf("a request under way got %v, %v; want 503", a, err)
				}
				answered.Add(1)
			})
		}
		// A client that never sends the rest must not hold up the stop for long.
		half, err := p.net.Host("10.0.9.8").Dial(t.Context(), n.Self().HTTP)
		if err != nil {
			t.Fatal(err)
		}
		defer half.Close()
		if _, err := half.Write([]byte("PUT /buckets/b/keys/k HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		if answered.Load() != 0 {
			t.Fatal("the requests do not wait")
		}
		start := time.Now()
		n.stop()
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("the stop took %v", took)
		}
		wg.Wait()
		if _, err := n.ask("GET", "/ping", ""); err == nil {
			t.Error("a stopped node answers")
		}
	})
}

// Clients that do not read what they have asked for get a minute for each piece of it, but not
// from a node that stops.
func TestStopDoesNotWaitForStalledReaders(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		n := p.cluster(1)[0]
		var lines strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&lines, `{"op":"put","key":"%04d%s","value":"v"}`+"\n", i, strings.Repeat("k", 4000))
		}
		n.want(http.StatusOK, "POST", "/buckets/b/batch", lines.String(), "Content-Type", "application/x-ndjson")
		for _, path := range []string{"/buckets/b/keys?keys=stream", "/buckets/b/keys?keys=true"} {
			conn, err := p.net.Host("10.0.9.8").Dial(t.Context(), n.Self().HTTP)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		start := time.Now()
		n.stop()
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("the stop took %v", took)
		}
	})
}

func TestCloseWaitsForWhatTheNodeBegan(t *testing.T) {
	for name, begin := range map[string]func(m *machine, slow func()){
		"a client's request": func(m *machine, slow func()) {
			m.http.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { slow() })
			time.AfterFunc(time.Second, func() { m.ask("GET", "/", "") })
		},
		"a member's request": func(m *machine, slow func()) { m.requests.Go(slow) },
	} {
		t.Run(name, func(t *testing.T) {
			inPlace(t, func(t *testing.T, p *place) {
				n, err := New(p.config("n1", 1, 1))
				if err != nil {
					t.Fatal(err)
				}
				var begun, ended atomic.Bool
				begin(&machine{Node: n, p: p}, func() {
					begun.Store(true)
					time.Sleep(30 * time.Second) // longer than the stop waits for answers
					ended.Store(true)
				})
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(2*time.Second, cancel)
				if err := n.Run(ctx); err != nil {
					t.Error(err)
				}
				if !begun.Load() || !ended.Load() {
					t.Errorf("begun: %v, ended: %v", begun.Load(), ended.Load())
				}
			})
		})
	}
}

func TestStopUnderLoad(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var acked []string
		answered := uint64(0)
		for c := range 8 {
			wg.Go(func() {
				for i := 0; ; i++ {
					key := fmt.Sprintf("%d-%d", c, i)
					a, err := nodes[0].ask("PUT", "/buckets/b/keys/"+key, key, "Content-Type", "text/plain")
					if err != nil {
						return // not accepted any more, or so we shall see
					}
					if a.status != http.StatusNoContent && a.status != http.StatusServiceUnavailable {
						t.Errorf("answer %v", a)
					}
					mu.Lock()
					answered++
					if a.status == http.StatusNoContent {
						acked = append(acked, key)
					}
					mu.Unlock()
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		nodes[0].stop()
		wg.Wait()
		if len(acked) == 0 {
			t.Error("nothing was acknowledged")
		}
		if begun := nodes[0].Coordinator().Stats().Puts; answered < begun {
			t.Errorf("%d requests were begun and %d answered", begun, answered)
		}
		for _, key := range acked {
			nodes[1].get(key, key)
		}
	})
}

func TestCloseTwiceAndRunOnce(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		n, err := New(p.config("n1", 1, 1))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := n.Run(t.Context()); err == nil {
			t.Error("a closed node runs")
		}
		m := p.cluster(1)[0]
		if err := m.Run(t.Context()); err == nil {
			t.Error("a node runs twice")
		}
		m.put("k", "v")
		m.stop()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestFailedStartReleasesEverything(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		good := p.config("n1", 1, 1)
		for what, spoil := range map[string]func(*Config) (mend func()){
			"http address in use": func(c *Config) func() {
				ln, err := c.Network.Listen(c.HTTP)
				if err != nil {
					t.Fatal(err)
				}
				return func() { ln.Close() }
			},
			"peer address in use": func(c *Config) func() {
				ln, err := c.Network.Listen(c.Peer)
				if err != nil {
					t.Fatal(err)
				}
				return func() { ln.Close() }
			},
			"storage settings": func(c *Config) func() {
				old := c.Storage.MaxSiblings
				c.Storage.MaxSiblings = -1
				return func() { c.Storage.MaxSiblings = old }
			},
			"damaged properties": func(c *Config) func() {
				file := filepath.Join(c.DataDir, propsFile)
				if err := os.WriteFile(file, []byte("?"), 0o600); err != nil {
					t.Fatal(err)
				}
				return func() { os.Remove(file) }
			},
			"damaged ring": func(c *Config) func() {
				file := filepath.Join(c.DataDir, "ring.json")
				if err := os.WriteFile(file, []byte("?"), 0o600); err != nil {
					t.Fatal(err)
				}
				return func() { os.Remove(file) }
			},
		} {
			n, err := New(good) // makes the directory
			if err != nil {
				t.Fatalf("before %s: %v", what, err)
			}
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
			bad := good
			mend := spoil(&bad)
			n, err = New(bad)
			if err == nil {
				t.Errorf("%s: the start succeeded", what)
				n.Close()
			}
			mend()
		}
		p.start(good)
	})
}
