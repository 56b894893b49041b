package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/client"
)

var key = client.Key{Bucket: "b", Key: "k"}

// log records which node saw which request id.
type log struct {
	mu    sync.Mutex
	nodes []string
	ids   []string
}

func (l *log) add(node string, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes = append(l.nodes, node)
	l.ids = append(l.ids, r.Header.Get("X-Cartwheel-Request-Id"))
}

func (l *log) take() (nodes string, ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	nodes, ids = strings.Join(l.nodes, " "), l.ids
	l.nodes, l.ids = nil, nil
	return nodes, ids
}

// What a node may do with a request.
func answers(l *log, node string, status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l.add(node, r)
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func breaksOff(l *log, node string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l.add(node, r)
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}
}

func hangs(l *log, node string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l.add(node, r)
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
}

// cluster runs f in a bubble with a client of the nodes a, b, c...; a nil handler is a node that
// refuses connections.
func cluster(t *testing.T, cfg client.Config, nodes map[string]func(*log) http.HandlerFunc, f func(t *testing.T, c *client.Client, l *log)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var (
			network pipeNet
			l       log
		)
		for name, h := range nodes {
			cfg.Endpoints = append(cfg.Endpoints, "http://"+name+":1")
			if h != nil {
				defer network.serve(name+":1", h(&l))()
			}
		}
		slices.Sort(cfg.Endpoints)
		var closeIdle func()
		cfg.HTTPClient, closeIdle = network.client()
		defer closeIdle()
		c, err := client.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		f(t, c, &l)
	})
}

func status(code int, body string) func(node string) func(*log) http.HandlerFunc {
	return func(node string) func(*log) http.HandlerFunc {
		return func(l *log) http.HandlerFunc { return answers(l, node, code, body) }
	}
}

func TestAttempts(t *testing.T) {
	type nodes = map[string]func(*log) http.HandlerFunc
	ok, busy, unmet, late := status(204, ""), status(503, "overloaded\n"), status(503, "PW-value unsatisfied: 1/2\n"), status(503, "request timed out\n")
	bad, gateway := status(400, "no\n"), status(502, "")
	broken := func(n string) func(*log) http.HandlerFunc {
		return func(l *log) http.HandlerFunc { return breaksOff(l, n) }
	}
	for _, tc := range []struct {
		name    string
		retries int
		nodes   nodes
		seen    string // nodes that saw the put, in order
		want    string // part of the error; empty: stored
	}{
		{"the first answers", 0, nodes{"a": ok("a"), "b": ok("b")}, "a", ""},
		{"a refused connection goes on to the next", 0, nodes{"a": nil, "b": ok("b")}, "b", ""},
		{"a broken connection goes on to the next", 0, nodes{"a": broken("a"), "b": ok("b")}, "a b", ""},
		{"a gateway's failure counts as a broken connection", 0, nodes{"a": gateway("a"), "b": ok("b")}, "a b", ""},
		{"a busy node: another may have room", 0, nodes{"a": busy("a"), "b": nil, "c": ok("c")}, "a c", ""},
		{"a missed quorum: another may see more", 0, nodes{"a": unmet("a"), "b": ok("b")}, "a b", ""},
		{"each endpoint is asked once about a quorum", 0, nodes{"a": unmet("a"), "b": unmet("b")}, "a b", "PW-value"},
		{"one endpoint is not pressed", 0, nodes{"a": unmet("a")}, "a", "PW-value"},
		{"an answer beats a refused connection", 0, nodes{"a": unmet("a"), "b": nil}, "a", "PW-value"},
		{"a timeout is final", 0, nodes{"a": late("a"), "b": ok("b")}, "a", "timed out"},
		{"a refusal is final", 0, nodes{"a": bad("a"), "b": ok("b")}, "a", "400"},
		{"three further attempts at one endpoint", 0, nodes{"a": broken("a")}, "a a a a", "may or may not"},
		{"no retries", -1, nodes{"a": broken("a"), "b": ok("b")}, "a", "may or may not"},
		{"never sent is certain", 0, nodes{"a": nil, "b": nil}, "", "no endpoint answered"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cluster(t, client.Config{Retries: tc.retries}, tc.nodes, func(t *testing.T, c *client.Client, l *log) {
				_, err := c.Put(t.Context(), key, client.Value{Body: []byte("v")}, client.PutOptions{})
				if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got error %v, want one with %q", err, tc.want)
				}
				seen, ids := l.take()
				if seen != tc.seen {
					t.Errorf("the put was seen by %q, want %q", seen, tc.seen)
				}
				if slices.Sort(ids); len(slices.Compact(ids)) > 1 {
					t.Errorf("attempts of one put had different request ids: %q", ids)
				}
				if _, ok := errors.AsType[*client.IndeterminateError](err); ok != strings.Contains(tc.want, "may or may not") {
					t.Errorf("indeterminate: %t for %v", ok, err)
				}
			})
		})
	}
}

func TestPutsHaveDifferentRequestIDs(t *testing.T) {
	cluster(t, client.Config{}, map[string]func(*log) http.HandlerFunc{"a": status(204, "")("a")}, func(t *testing.T, c *client.Client, l *log) {
		for range 3 {
			_, _ = c.Put(t.Context(), key, client.Value{}, client.PutOptions{})
			_, _ = c.Delete(t.Context(), key, client.DeleteOptions{})
		}
		_, ids := l.take()
		if slices.Sort(ids); len(slices.Compact(ids)) != 6 || len(ids[0]) != 32 {
			t.Errorf("six writes had the ids %q", ids)
		}
	})
}

func TestIndeterminateErrorCanBeRepeated(t *testing.T) {
	nodes := map[string]func(*log) http.HandlerFunc{"a": func(l *log) http.HandlerFunc { return breaksOff(l, "a") }}
	cluster(t, client.Config{Retries: -1}, nodes, func(t *testing.T, c *client.Client, l *log) {
		_, err := c.Put(t.Context(), key, client.Value{}, client.PutOptions{})
		doubt, ok := errors.AsType[*client.IndeterminateError](err)
		if !ok || !errors.Is(err, client.ErrUnreachable) {
			t.Fatalf("got %v", err)
		}
		_, _ = c.Put(t.Context(), key, client.Value{}, client.PutOptions{RequestID: doubt.RequestID})
		if _, ids := l.take(); len(ids) != 2 || ids[0] != ids[1] || ids[0] == "" {
			t.Errorf("ids %q", ids)
		}
		if _, err := c.Get(t.Context(), key, client.GetOptions{}); errors.As(err, &doubt) || !errors.Is(err, client.ErrUnreachable) {
			t.Errorf("a read is never indeterminate: %v", err)
		}
	})
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Only a connection that was never made proves that nothing was stored.
func TestWhatLeavesAWriteInDoubt(t *testing.T) {
	reset := errors.New("connection reset by peer")
	for name, tc := range map[string]struct {
		err   error
		doubt bool
	}{
		"refused":    {&net.OpError{Op: "dial", Err: errors.New("connection refused")}, false},
		"no name":    {&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host"}}, false},
		"read":       {&net.OpError{Op: "read", Err: reset}, true},
		"write":      {&net.OpError{Op: "write", Err: reset}, true},
		"closed":     {io.ErrUnexpectedEOF, true},
		"handshake":  {errors.New("tls: bad certificate"), true},
		"timed out":  {context.DeadlineExceeded, true},
		"sent twice": {errors.Join(&net.OpError{Op: "write", Err: reset}, io.EOF), true},
	} {
		c := newClient(t, client.Config{Retries: -1, HTTPClient: &http.Client{
			Transport: transportFunc(func(*http.Request) (*http.Response, error) { return nil, tc.err }),
		}})
		_, err := c.Put(t.Context(), key, client.Value{}, client.PutOptions{})
		if _, doubt := errors.AsType[*client.IndeterminateError](err); doubt != tc.doubt || !errors.Is(err, tc.err) {
			t.Errorf("%s: in doubt: %t, want %t (%v)", name, doubt, tc.doubt, err)
		}
	}
}

// A delete without context whose first attempt may have worked finds the tombstone at the second.
func TestRepeatedDeleteFindsItsOwnTombstone(t *testing.T) {
	tombstone := func(l *log) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			l.add("b", r)
			w.Header().Set("X-Riak-Vclock", "c")
			w.Header().Set("X-Riak-Deleted", "true")
			w.WriteHeader(404)
			_, _ = io.WriteString(w, "not found\n")
		}
	}
	for _, first := range []func(*log) http.HandlerFunc{
		func(l *log) http.HandlerFunc { return breaksOff(l, "a") },
		status(503, "W-value unsatisfied: 1/2\n")("a"),
		nil,
	} {
		cluster(t, client.Config{}, map[string]func(*log) http.HandlerFunc{"a": first, "b": tombstone}, func(t *testing.T, c *client.Client, l *log) {
			_, err := c.Delete(t.Context(), key, client.DeleteOptions{})
			if seen, _ := l.take(); seen == "a b" && err != nil {
				t.Errorf("after a doubtful attempt: %v, want success", err)
			} else if seen == "b" && !errors.Is(err, client.ErrNotFound) {
				t.Errorf("after a refused connection: %v, want not found", err)
			}
		})
	}
}

func TestEndpointsTakeTurnsAndRest(t *testing.T) {
	nodes := map[string]func(*log) http.HandlerFunc{
		"a": status(204, "")("a"),
		"b": func(l *log) http.HandlerFunc { return breaksOff(l, "b") },
		"c": status(204, "")("c"),
	}
	cluster(t, client.Config{Cooldown: 10 * time.Second}, nodes, func(t *testing.T, c *client.Client, l *log) {
		puts := func(n int) string {
			for range n {
				if _, err := c.Put(t.Context(), key, client.Value{}, client.PutOptions{}); err != nil {
					t.Errorf("put: %v", err)
				}
			}
			nodes, _ := l.take()
			return nodes
		}
		if got := puts(6); got != "a b c a c a c" {
			t.Errorf("while b rests: %s", got)
		}
		time.Sleep(9 * time.Second)
		if got := puts(2); strings.Contains(got, "b") {
			t.Errorf("after 9 s b should still rest: %s", got)
		}
		time.Sleep(2 * time.Second)
		if got := puts(3); !strings.Contains(got, "b") {
			t.Errorf("after 11 s b should be tried again: %s", got)
		}
	})
}

// A rest is no ban: when every endpoint rests, they are tried all the same.
func TestAllEndpointsRestingAreStillTried(t *testing.T) {
	nodes := map[string]func(*log) http.HandlerFunc{"a": nil, "b": nil}
	cluster(t, client.Config{Retries: -1, Cooldown: time.Hour}, nodes, func(t *testing.T, c *client.Client, _ *log) {
		for range 5 {
			if _, err := c.Get(t.Context(), key, client.GetOptions{}); !errors.Is(err, client.ErrUnreachable) {
				t.Fatalf("got %v", err)
			}
		}
	})
}

func TestHangingEndpointIsGivenUp(t *testing.T) {
	nodes := map[string]func(*log) http.HandlerFunc{
		"a": func(l *log) http.HandlerFunc { return hangs(l, "a") },
		"b": status(204, "")("b"),
	}
	cluster(t, client.Config{Timeout: 4 * time.Second}, nodes, func(t *testing.T, c *client.Client, l *log) {
		start := time.Now()
		_, err := c.Put(t.Context(), key, client.Value{}, client.PutOptions{})
		seen, ids := l.take()
		// The server's limit plus the grace for its answer.
		if took := time.Since(start); err != nil || seen != "a b" || took != 6*time.Second {
			t.Errorf("seen by %q after %v, error %v", seen, took, err)
		}
		if ids[0] != ids[1] {
			t.Errorf("ids differ: %q", ids)
		}
	})
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	nodes := map[string]func(*log) http.HandlerFunc{"a": nil}
	cluster(t, client.Config{Retries: 20}, nodes, func(t *testing.T, c *client.Client, _ *log) {
		start := time.Now()
		_, _ = c.Get(t.Context(), key, client.GetOptions{})
		// 50, 100, ... ms up to 1 s, sixteen of them at the bound, each at least half.
		if took := time.Since(start); took < 8*time.Second || took > 18*time.Second {
			t.Errorf("20 retries took %v", took)
		}
	})
}

func TestContextEndsACall(t *testing.T) {
	hang := map[string]func(*log) http.HandlerFunc{"a": func(l *log) http.HandlerFunc { return hangs(l, "a") }}
	refuse := map[string]func(*log) http.HandlerFunc{"a": nil}
	for name, nodes := range map[string]map[string]func(*log) http.HandlerFunc{"in flight": hang, "between attempts": refuse} {
		cluster(t, client.Config{Retries: 1000}, nodes, func(t *testing.T, c *client.Client, l *log) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			start := time.Now()
			_, err := c.Put(ctx, key, client.Value{}, client.PutOptions{})
			_, doubt := errors.AsType[*client.IndeterminateError](err)
			if took := time.Since(start); took != 3*time.Second || !errors.Is(err, context.DeadlineExceeded) || doubt != (name == "in flight") {
				t.Errorf("%s: %v after %v", name, err, took)
			}
			canceled, cancelNow := context.WithCancel(t.Context())
			cancelNow()
			l.take()
			_, err = c.Put(canceled, key, client.Value{}, client.PutOptions{})
			if _, doubt := errors.AsType[*client.IndeterminateError](err); !errors.Is(err, context.Canceled) || doubt {
				t.Errorf("%s: canceled before the start: %v", name, err)
			}
			if seen, _ := l.take(); seen != "" {
				t.Errorf("%s: a canceled put was sent to %s", name, seen)
			}
		})
	}
}

func TestDeadlineTravelsToTheServer(t *testing.T) {
	var got string
	node := func(*log) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			got = r.URL.Query().Get("timeout")
			w.WriteHeader(204)
		}
	}
	cluster(t, client.Config{Timeout: 9 * time.Second}, map[string]func(*log) http.HandlerFunc{"a": node}, func(t *testing.T, c *client.Client, _ *log) {
		for _, tc := range []struct {
			deadline, option time.Duration
			want             string
		}{
			{0, 0, "9000"}, {2 * time.Second, 0, "2000"}, {0, 500 * time.Millisecond, "500"}, {time.Second, 20 * time.Second, "1000"},
			{0, 20 * time.Second, "20000"}, {0, time.Microsecond, "1"},
		} {
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if tc.deadline != 0 {
				ctx, cancel = context.WithTimeout(ctx, tc.deadline)
			}
			_, err := c.Put(ctx, key, client.Value{}, client.PutOptions{Quorum: client.Quorum{Timeout: tc.option}})
			if cancel(); err != nil || got != tc.want {
				t.Errorf("deadline %v, option %v: timeout=%s, want %s (%v)", tc.deadline, tc.option, got, tc.want, err)
			}
		}
	})
}

// Many callers at once, half of them giving up: the bubble ends only when no goroutine is left.
func TestConcurrentCallersLeaveNothingBehind(t *testing.T) {
	node := func(l *log) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				<-r.Context().Done()
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(204)
		}
	}
	cluster(t, client.Config{}, map[string]func(*log) http.HandlerFunc{"a": node, "b": node}, func(t *testing.T, c *client.Client, _ *log) {
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				for range 5 {
					if _, err := c.Put(t.Context(), client.Key{Bucket: "b", Key: fmt.Sprint(i)}, client.Value{Body: []byte("v")}, client.PutOptions{}); err != nil {
						t.Errorf("put: %v", err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer cancel()
				if _, err := c.Get(ctx, key, client.GetOptions{}); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("get: %v", err)
				}
			})
		}
		wg.Wait()
		c.Close()
		c.Close()
	})
}

func BenchmarkClient(b *testing.B) {
	value := make([]byte, 1024)
	c := serve(b, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Riak-Vclock", "Y29udGV4dA==")
		w.Header().Set("X-Cartwheel-Receipt", "replicas=2 primaries=2 fallbacks=0 durable=2 n=3 ring=17")
		if r.Method == http.MethodPut {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(204)
			return
		}
		_, _ = w.Write(value)
	})
	b.Run("put/bytes=1024", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Put(b.Context(), key, client.Value{Body: value}, client.PutOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get/bytes=1024", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Get(b.Context(), key, client.GetOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
