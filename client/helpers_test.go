package client_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"cartwheel/client"
)

// newClient returns a client that is closed with the test.
func newClient(t testing.TB, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatalf("New(%+v): %v", cfg, err)
	}
	t.Cleanup(c.Close)
	return c
}

// serve starts a server and returns a client of it.
func serve(t testing.TB, h http.HandlerFunc) *client.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return newClient(t, client.Config{Endpoints: []string{srv.URL}, Retries: -1})
}

// multipartBody writes siblings as the interface describes: each part preceded by a line break
// and the boundary, values raw.
func multipartBody(boundary string, parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "\r\n--%s\r\n%s", boundary, p)
	}
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.String()
}

// pipeNet connects HTTP clients and servers in memory, so that they can run in a synctest
// bubble. Addresses without a listener refuse connections.
type pipeNet struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
}

type pipeListener struct {
	addr  pipeAddr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

type pipeAddr string

func (a pipeAddr) Network() string { return "pipe" }
func (a pipeAddr) String() string  { return string(a) }

func (l *pipeListener) Addr() net.Addr { return l.addr }
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// serve starts an HTTP server at addr ("host:port") and returns a function that stops it.
func (n *pipeNet) serve(addr string, h http.HandlerFunc) (stop func()) {
	l := &pipeListener{addr: pipeAddr(addr), conns: make(chan net.Conn), done: make(chan struct{})}
	n.mu.Lock()
	if n.listeners == nil {
		n.listeners = map[string]*pipeListener{}
	}
	n.listeners[addr] = l
	n.mu.Unlock()
	srv := &http.Server{Handler: h}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = srv.Serve(l) }()
	return func() {
		_ = srv.Close()
		<-ended
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.listeners[addr] == l {
			delete(n.listeners, addr)
		}
	}
}

func (n *pipeNet) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[addr]
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: network, Addr: pipeAddr(addr), Err: fmt.Errorf("connection refused")}
	if l == nil {
		return nil, refused
	}
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// client returns an HTTP client over the network and a function that ends it.
func (n *pipeNet) client() (*http.Client, func()) {
	tr := &http.Transport{DialContext: n.dial}
	return &http.Client{Transport: tr}, tr.CloseIdleConnections
}
