package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cartwheel/client"
)

// takes answers after a while, unless the request is called off before.
func takes(d time.Duration, code int, node string, calledOff *sync.Map) func(*log) http.HandlerFunc {
	return func(l *log) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			l.add(node, r)
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-time.After(d):
				w.WriteHeader(code)
				_, _ = io.WriteString(w, node)
			case <-r.Context().Done():
				calledOff.Store(node, true)
			}
		}
	}
}

func TestHedgedReads(t *testing.T) {
	type nodes = map[string]func(*log) http.HandlerFunc
	const ms = time.Millisecond
	broken := func(l *log) http.HandlerFunc { return breaksOff(l, "a") }
	for _, tc := range []struct {
		name string
		// what a, b and c do; nil: refuses connections
		a, b  func(off *sync.Map) func(*log) http.HandlerFunc
		seen  string
		value string // the node whose answer counts; empty: an error
		took  time.Duration
		off   string // the node whose request is called off
	}{
		{"the first is fast",
			func(off *sync.Map) func(*log) http.HandlerFunc { return takes(19*ms, 200, "a", off) },
			func(off *sync.Map) func(*log) http.HandlerFunc { return takes(0, 200, "b", off) }, "a", "a", 19 * ms, ""},
		{"the second overtakes",
			func(off *sync.Map) func(*log) http.HandlerFunc { return takes(time.Hour, 200, "a", off) },
			func(off *sync.Map) func(*log) http.HandlerFunc { return takes(5*ms, 200, "b", off) }, "a b", "b", 25 * ms, "a"},
		{"the first answers all the same",
			func(off *sync.Map) func(*log) http.HandlerFunc { return takes(30*ms, 200, "a", off) },
			func(off *sync.Map) func(*log) http.HandlerFunc { return takes(time.Hour, 200, "b", off) }, "a b", "a", 30 * ms, "b"},
		{"not found is an answer",
			func(off *sync.Map) func(*log) http.HandlerFunc { return takes(time.Hour, 200, "a", off) },
			func(off *sync.Map) func(*log) http.HandlerFunc { return takes(5*ms, 404, "b", off) }, "a b", "", 25 * ms, "a"},
		{"too few replicas is not the last word",
			func(off *sync.Map) func(*log) http.HandlerFunc { return takes(50*ms, 200, "a", off) },
			func(off *sync.Map) func(*log) http.HandlerFunc { return takes(5*ms, 503, "b", off) }, "a b", "a", 50 * ms, ""},
		{"the first breaks off, before the second is asked",
			func(*sync.Map) func(*log) http.HandlerFunc { return broken },
			func(off *sync.Map) func(*log) http.HandlerFunc { return takes(5*ms, 200, "b", off) }, "a b", "b", 5 * ms, ""},
		{"the second refuses",
			func(off *sync.Map) func(*log) http.HandlerFunc { return takes(50*ms, 200, "a", off) },
			func(*sync.Map) func(*log) http.HandlerFunc { return nil }, "a", "a", 50 * ms, ""},
	} {
		var off sync.Map
		cluster(t, client.Config{HedgeAfter: 20 * ms, Retries: 1}, nodes{"a": tc.a(&off), "b": tc.b(&off)}, func(t *testing.T, c *client.Client, l *log) {
			start := time.Now()
			obj, err := c.Get(t.Context(), key, client.GetOptions{})
			var value string
			if err == nil {
				value = string(obj.Values[0].Body)
			}
			took := time.Since(start)
			time.Sleep(time.Millisecond) // sleep-ok: in the bubble of cluster
			seen, _ := l.take()
			if seen != tc.seen || value != tc.value || took != tc.took {
				t.Errorf("%s: seen by %q, got %q after %v (%v)", tc.name, seen, value, took, err)
			}
			if _, ok := off.Load(tc.off); ok != (tc.off != "") {
				t.Errorf("%s: the request to %q was called off: %t", tc.name, tc.off, ok)
			}
		})
	}
}

// When neither of the two can answer, it goes on elsewhere, and the server's word is kept.
func TestHedgedReadsGoOn(t *testing.T) {
	const ms = time.Millisecond
	var off sync.Map
	slowlyBroken := func(l *log) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			l.add("a", r)
			<-time.After(50 * ms)
			panic(http.ErrAbortHandler)
		}
	}
	nodes := map[string]func(*log) http.HandlerFunc{"a": takes(50*ms, 503, "a", &off), "b": takes(5*ms, 503, "b", &off), "c": takes(0, 200, "c", &off)}
	cluster(t, client.Config{HedgeAfter: 20 * ms}, nodes, func(t *testing.T, c *client.Client, l *log) {
		if _, err := c.Get(t.Context(), key, client.GetOptions{}); err != nil {
			t.Error(err)
		}
		if seen, _ := l.take(); seen != "a b c" {
			t.Errorf("seen by %s", seen)
		}
	})
	delete(nodes, "c")
	nodes["a"] = slowlyBroken
	cluster(t, client.Config{HedgeAfter: 20 * ms}, nodes, func(t *testing.T, c *client.Client, l *log) {
		_, err := c.Get(t.Context(), key, client.GetOptions{})
		if _, ok := errors.AsType[*client.QuorumError](err); !ok {
			t.Error(err)
		}
		if seen, _ := l.take(); seen != "a b" || c.Health()[0].Failures != 1 {
			t.Errorf("seen by %s, health %+v", seen, c.Health())
		}
	})
}

// Only reads are sent twice, and only to an endpoint that is well.
func TestWhatIsNotHedged(t *testing.T) {
	var off sync.Map
	nodes := map[string]func(*log) http.HandlerFunc{"a": takes(time.Second, 204, "a", &off), "b": takes(time.Second, 204, "b", &off)}
	cfg := client.Config{HedgeAfter: time.Millisecond}
	cluster(t, cfg, nodes, func(t *testing.T, c *client.Client, l *log) {
		_, _ = c.Put(t.Context(), key, client.Value{}, client.PutOptions{})
		_, _ = c.Delete(t.Context(), key, client.DeleteOptions{})
		_ = c.SetProperties(t.Context(), client.Bucket{Name: "b"}, nil)
		if seen, _ := l.take(); len(strings.Fields(seen)) != 3 {
			t.Errorf("seen by %s", seen)
		}
	})
	nodes["b"] = nil
	cluster(t, cfg, nodes, func(t *testing.T, c *client.Client, l *log) {
		for range 3 { // the second finds b refusing
			_, _ = c.Get(t.Context(), key, client.GetOptions{})
		}
		start := time.Now()
		_, err := c.Get(t.Context(), key, client.GetOptions{})
		if h := c.Health(); err != nil || time.Since(start) != time.Second || h[1].RestsUntil.IsZero() {
			t.Errorf("%v after %v, health %+v", err, time.Since(start), h)
		}
	})
	cluster(t, cfg, map[string]func(*log) http.HandlerFunc{"a": takes(time.Second, 200, "a", &off)}, func(t *testing.T, c *client.Client, _ *log) {
		if _, err := c.Get(t.Context(), key, client.GetOptions{}); err != nil {
			t.Errorf("one endpoint: %v", err)
		}
	})
}

func TestHedgedReadsEndWithTheirContext(t *testing.T) {
	var off sync.Map
	nodes := map[string]func(*log) http.HandlerFunc{"a": takes(time.Hour, 200, "a", &off), "b": takes(time.Hour, 200, "b", &off)}
	cluster(t, client.Config{HedgeAfter: time.Millisecond}, nodes, func(t *testing.T, c *client.Client, _ *log) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Get(ctx, key, client.GetOptions{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		for _, h := range c.Health() {
			if h.Failures != 0 {
				t.Errorf("an endpoint is blamed for the caller's deadline: %+v", h)
			}
		}
	})
}

// An endpoint that keeps losing is left alone: with it the delay would be part of every second read.
func TestHangingEndpointIsLeftAloneByHedgedReads(t *testing.T) {
	var off sync.Map
	nodes := map[string]func(*log) http.HandlerFunc{"a": takes(time.Hour, 200, "a", &off), "b": takes(0, 200, "b", &off)}
	cluster(t, client.Config{HedgeAfter: 10 * time.Millisecond, Cooldown: time.Minute}, nodes, func(t *testing.T, c *client.Client, l *log) {
		for range 30 {
			if _, err := c.Get(t.Context(), key, client.GetOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		seen, _ := l.take()
		if n := strings.Count(seen, "a"); n != 3 {
			t.Errorf("a was asked %d times: %s", n, seen)
		}
	})
}

// When a rest ends one caller finds out how things are; the others do not wait with it.
func TestOneCallerTriesAnEndpointAgain(t *testing.T) {
	var off sync.Map
	nodes := map[string]func(*log) http.HandlerFunc{"a": takes(time.Hour, 204, "a", &off), "b": takes(0, 204, "b", &off)}
	cluster(t, client.Config{Timeout: time.Second, Cooldown: 10 * time.Second}, nodes, func(t *testing.T, c *client.Client, l *log) {
		put := func() { _, _ = c.Put(t.Context(), key, client.Value{}, client.PutOptions{}) }
		put() // a hangs, b stores
		if h := c.Health(); h[0].Failures != 1 || h[0].URL != "http://a:1" || time.Until(h[0].RestsUntil) != 10*time.Second || h[1].Failures != 0 {
			t.Errorf("health %+v", h)
		}
		time.Sleep(11 * time.Second) // sleep-ok: in the bubble of cluster
		l.take()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(put)
		}
		wg.Wait()
		if seen, _ := l.take(); strings.Count(seen, "a") != 1 || strings.Count(seen, "b") != 10 {
			t.Errorf("seen by %s", seen)
		}
	})
}

// A node that starts or stops answers at once, but takes no requests for a while.
func TestNodeThatIsNotReadyRests(t *testing.T) {
	nodes := map[string]func(*log) http.HandlerFunc{
		"a": status(503, "this node is not ready: it has no ring yet; wait until /readyz answers 200\n")("a"), "b": status(204, "")("b"),
	}
	cluster(t, client.Config{}, nodes, func(t *testing.T, c *client.Client, l *log) {
		for range 5 {
			if _, err := c.Put(t.Context(), key, client.Value{}, client.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if seen, _ := l.take(); seen != "a b b b b b" {
			t.Errorf("seen by %s", seen)
		}
	})
}
