package httpapi

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Connections beyond the bound are told so and closed, those within it are served as ever, and
// one that ends makes room. Without the bound idle clients would take the file descriptors that
// the store needs for its next table, and it would take no writes any more.
func TestIdleConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		front := NewListener(l, 2)
		s := NewServer(newCluster(t).server(t), ServerConfig{})
		done := make(chan error, 1)
		go func() { done <- s.Serve(front) }()
		defer func() { s.Close(); <-done }()
		ping := func(c net.Conn) int {
			r, _ := exchangeRaw(t, c, bufio.NewReader(c), "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
			return r.StatusCode
		}
		first, second := l.dial(), l.dial()
		defer first.Close()
		defer second.Close()
		for range 3 {
			third := l.dial()
			answer, err := io.ReadAll(third)
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 503 ") || !strings.HasSuffix(string(answer), "\r\n\r\n"+crowded) {
				t.Errorf("got %q, %v", answer, err)
			}
		}
		mute := l.dial() // reads nothing
		defer mute.Close()
		if a, b := ping(first), ping(second); a != 200 || b != 200 {
			t.Errorf("the first connections get %d and %d", a, b)
		}
		if open, refused := front.Open(), front.Refused(); open != 2 || refused != 4 {
			t.Errorf("%d open, %d refused", open, refused)
		}
		first.Close()
		time.Sleep(2 * time.Second) // one for the mute client, and for the server to see the end
		next := l.dial()
		defer next.Close()
		if got := ping(next); got != 200 {
			t.Errorf("after one has ended: %d", got)
		}
		s.Close()
		synctest.Wait()
		if open := front.Open(); open != 0 {
			t.Errorf("%d open after the server was closed", open)
		}
	})
}
