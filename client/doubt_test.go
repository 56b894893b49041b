package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cartwheel/client"
)

// A node carries out a part of a batch and dies; whatever comes of the repetition, the rest may
// have been carried out.
func TestRepeatedBatchStaysInDoubt(t *testing.T) {
	for name, then := range map[string]func(w http.ResponseWriter){
		"no room":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"a refusal":   func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
		"unreachable": nil,
	} {
		t.Run(name, func(t *testing.T) {
			first := &batchNode{ids: map[string]int{}, breakAfter: 1}
			var requests atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests.Load() == 1 {
					first.ServeHTTP(w, r)
				} else {
					then(w)
				}
			}))
			defer srv.Close()
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			c := newClient(t, client.Config{Endpoints: []string{srv.URL}, HTTPClient: &http.Client{
				Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
					if requests.Add(1) > 1 && then == nil {
						return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
					}
					return transport.RoundTrip(r)
				}),
			}})
			got, err := c.BatchDo(t.Context(), client.Bucket{Name: "b"}, puts(3), client.BatchOptions{})
			if _, doubt := errors.AsType[*client.IndeterminateError](err); !doubt || requests.Load() < 2 {
				t.Errorf("%v leaves no doubt", err)
			}
			if got[0].Err != nil || got[1].Err != err || got[2].Err != err {
				t.Errorf("%v, %v, %v", got[0].Err, got[1].Err, got[2].Err)
			}
		})
	}
}

// What the caller calls off says nothing about the endpoint.
func TestCalledOffBatchBlamesNoEndpoint(t *testing.T) {
	halfAnAnswer := func(*log) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"key":"0","status":204}`+"\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}
	cluster(t, client.Config{}, map[string]func(*log) http.HandlerFunc{"a": halfAnAnswer}, func(t *testing.T, c *client.Client, _ *log) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got, err := c.BatchDo(ctx, client.Bucket{Name: "b"}, puts(2), client.BatchOptions{})
		if _, doubt := errors.AsType[*client.IndeterminateError](err); !doubt || got[0].Err != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("called off: %+v, %v", got[0], err)
		}
		if h := c.Health()[0]; h.Failures != 0 || !h.RestsUntil.IsZero() {
			t.Errorf("the endpoint answered, and yet %+v", h)
		}
	})
}

// A node that serves nobody knows nothing of what another one may have stored.
func TestNotReadyHidesNothing(t *testing.T) {
	const starting = "this node is not ready: it has no ring yet; wait until /readyz answers 200\n"
	type nodes = map[string]func(*log) http.HandlerFunc
	notReady, unmet := status(503, starting), status(503, "DW-value unsatisfied: 1/2\nThe write may have been stored on fewer replicas than asked for and may still become visible.\n")
	for _, tc := range []struct {
		name  string
		nodes nodes
		says  string
		doubt bool
	}{
		{"a missed quorum", nodes{"a": unmet("a"), "b": notReady("b")}, "DW-value unsatisfied: 1/2", false},
		{"a missed quorum after it", nodes{"a": notReady("a"), "b": unmet("b")}, "DW-value unsatisfied: 1/2", false},
		{"an answer that broke off", nodes{"a": func(l *log) http.HandlerFunc { return breaksOff(l, "a") }, "b": notReady("b")}, "EOF", true},
		{"nothing", nodes{"a": nil, "b": notReady("b")}, "not ready", false},
		{"nothing of two", nodes{"a": notReady("a"), "b": notReady("b")}, "not ready", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cluster(t, client.Config{}, tc.nodes, func(t *testing.T, c *client.Client, _ *log) {
				_, err := c.Put(t.Context(), key, client.Value{}, client.PutOptions{})
				_, doubt := errors.AsType[*client.IndeterminateError](err)
				if doubt != tc.doubt || err == nil || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("%v: in doubt %t, want %t and %q", err, doubt, tc.doubt, tc.says)
				}
			})
		})
	}
}

// A node that refuses a repetition does not know what came of the first attempt elsewhere.
func TestRefusedRepetitionStaysInDoubt(t *testing.T) {
	broken := func(l *log) http.HandlerFunc { return breaksOff(l, "a") }
	condition := client.Conditions{IfNoneMatch: "*"}
	for _, tc := range []struct {
		name       string
		first      func(*log) http.HandlerFunc
		status     int
		body       string
		conditions client.Conditions
		doubt      bool
	}{
		{"a type that it does not know yet", broken, 404, "Unknown bucket type: t", client.Conditions{}, true},
		{"too many siblings", broken, 409, "the object has too many siblings\n", client.Conditions{}, true},
		{"a context is required", broken, 428, "\n", client.Conditions{}, true},
		{"a condition, which it judges for both", broken, 412, "\n", condition, false},
		{"nothing was sent before", nil, 404, "Unknown bucket type: t", client.Conditions{}, false},
		{"nobody executed anything", status(503, "this node is not ready: it has no ring yet\n")("a"), 409, "\n", client.Conditions{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nodes := map[string]func(*log) http.HandlerFunc{"a": tc.first, "b": status(tc.status, tc.body)("b")}
			cluster(t, client.Config{}, nodes, func(t *testing.T, c *client.Client, _ *log) {
				for _, write := range []func() error{
					func() error {
						_, err := c.Put(t.Context(), key, client.Value{}, client.PutOptions{Conditions: tc.conditions})
						return err
					},
					func() error {
						_, err := c.Delete(t.Context(), key, client.DeleteOptions{Conditions: tc.conditions})
						return err
					},
				} {
					err := write()
					if h := c.Health()[0]; !h.RestsUntil.IsZero() {
						time.Sleep(time.Until(h.RestsUntil)) // sleep-ok: in the bubble of cluster; the next one begins there again
					}
					_, doubt := errors.AsType[*client.IndeterminateError](err)
					if _, refused := errors.AsType[*client.StatusError](err); doubt != tc.doubt || !refused {
						t.Errorf("%v: in doubt %t, want %t", err, doubt, tc.doubt)
					}
				}
			})
		})
	}
}

// A request id names a write of a key. Where the server chooses the key, it would choose another
// one at the second attempt.
func TestCreateUnderARequestIDIsDoneOnce(t *testing.T) {
	const id = "00112233445566778899aabbccddeeff"
	created := map[string]bool{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get("Idempotency-Key")
		if name == "" {
			name = fmt.Sprint("random", len(created))
		}
		created[name] = true
		w.Header().Set("Location", "/buckets/b/keys/"+name)
		w.WriteHeader(http.StatusCreated)
	})
	for range 2 {
		if _, _, err := c.Create(t.Context(), client.Bucket{Name: "b"}, client.Value{}, client.PutOptions{RequestID: id}); err != nil {
			t.Fatal(err)
		}
	}
	if len(created) != 1 {
		t.Errorf("one write has made the keys %v", created)
	}
	_, _, err := c.Create(t.Context(), client.Bucket{Name: "b"}, client.Value{}, client.PutOptions{RequestID: id, IdempotencyKey: "x"})
	if !errors.Is(err, client.ErrBadRequest) {
		t.Errorf("two names: %v", err)
	}
}

// Requests that follow each other need one connection.
func TestConnectionsAreKept(t *testing.T) {
	streamed := func(w http.ResponseWriter, lines ...string) {
		for _, line := range lines {
			_, _ = io.WriteString(w, line+"\n")
			_ = http.NewResponseController(w).Flush()
		}
	}
	var connections atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch {
		case strings.HasSuffix(r.URL.Path, "/batch"):
			streamed(w, `{"key":"0","status":204}`, `{"key":"1","status":204}`)
		case r.URL.Query().Has("keys"):
			streamed(w, `{"keys":["a"]}`, `{"keys":[]}`)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
		<-time.After(time.Millisecond) // the end of the body comes for itself
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	c := newClient(t, client.Config{Endpoints: []string{srv.URL}})
	for name, request := range map[string]func() error{
		"batch": func() error {
			_, err := c.BatchDo(t.Context(), client.Bucket{Name: "b"}, puts(2), client.BatchOptions{})
			return err
		},
		"list": func() error {
			_, err := collect(c.Keys(t.Context(), client.Bucket{Name: "b"}, client.ListOptions{}))
			return err
		},
		"put": func() error {
			_, err := c.Put(t.Context(), key, client.Value{}, client.PutOptions{})
			return err
		},
	} {
		connections.Store(0)
		for range 5 {
			if err := request(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if n := connections.Load(); n > 1 {
			t.Errorf("%s: five requests took %d new connections", name, n)
		}
	}
}
