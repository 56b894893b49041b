package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fake is a control of three nodes that only keeps account.
type fake struct {
	mu       sync.Mutex
	state    State
	requests []string
	refuse   string // the operation on n1 that it refuses
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Server", Server)
	if r.Method == http.MethodGet && r.URL.Path == "/chaos" {
		_ = json.NewEncoder(w).Encode(f.state) // the client may be gone
		return
	}
	body, _ := io.ReadAll(r.Body)
	operation := strings.TrimPrefix(r.URL.Path, "/chaos/")
	f.requests = append(f.requests, operation+" "+string(body))
	if operation == f.refuse && strings.Contains(string(body), `"n1"`) {
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"error":"n1 is as it is"}`)
	}
}

func start(t *testing.T, h http.Handler) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := New(srv.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRestore(t *testing.T) {
	f := &fake{refuse: "resume", state: State{Nodes: []Node{{Name: "n1", State: Paused}, {Name: "n2", State: Running}, {Name: "n3", State: Dead}}}}
	c := start(t, f)
	err := c.Restore(t.Context())
	refusal, ok := errors.AsType[*Error](err)
	if !ok || refusal.Status != http.StatusConflict || refusal.Text != "n1 is as it is" {
		t.Errorf("the refusal is %v", err)
	}
	if want := []string{`heal {}`, `resume {"node":"n1"}`, `start {"node":"n3"}`}; !slices.Equal(f.requests, want) {
		t.Errorf("requests %q, want %q", f.requests, want)
	}
	f.refuse = ""
	if err := c.Restore(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRequests(t *testing.T) {
	f := &fake{state: State{Nodes: []Node{{Name: "n1", State: Running, PID: 7, HTTP: "h:1", Peer: "h:2"}}, Cuts: []Cut{{From: "n1", To: "n2"}}}}
	c := start(t, f)
	for _, step := range []struct {
		operation string
		request   Request
		want      string
	}{
		{"kill", Request{Node: "n1"}, `kill {"node":"n1"}`},
		{"cut", Request{From: "n1", To: "n2"}, `cut {"from":"n1","to":"n2"}`},
		{"cut", Request{From: "n1", To: "n2", OneWay: true}, `cut {"from":"n1","to":"n2","oneway":true}`},
		{"heal", Request{}, `heal {}`},
	} {
		if err := c.Do(t.Context(), step.operation, step.request); err != nil || f.requests[len(f.requests)-1] != step.want {
			t.Errorf("%v, %q, want %q", err, f.requests, step.want)
		}
	}
	s, err := c.State(t.Context())
	if err != nil || !slices.Equal(s.Nodes, f.state.Nodes) || !slices.Equal(s.Cuts, f.state.Cuts) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestErrors(t *testing.T) {
	for _, address := range []string{"", "localhost:1", "https://h:1", "http://", "http://h:x", "\x00"} {
		if _, err := New(address); err == nil || !strings.Contains(err.Error(), "use http://HOST:PORT") {
			t.Errorf("%q: %v", address, err)
		}
	}
	answer := func(status int, server, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", server)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
	for body, h := range map[string]http.Handler{
		"is not what \"cartwheel dev": answer(404, "other", ""),
		"answered 500: no JSON":       answer(500, Server, " no JSON\n"),
		"answered 500: words":         answer(500, Server, `{"error":"words"}`),
		"read the answer of":          answer(200, Server, "no JSON"),
		"unexpected end of JSON":      answer(200, Server, `{"nodes":[`+strings.Repeat(" ", maxAnswer)+`]}`),
	} {
		if _, err := start(t, h).State(t.Context()); err == nil || !strings.Contains(strings.Replace(err.Error(), "but is not", "is not", 1), body) {
			t.Errorf("%v, want %s", err, body)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := start(t, &fake{}).Do(ctx, "heal", Request{}); !errors.Is(err, ErrNoAnswer) || !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}
