package httpapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// accepted returns a connection as a Listener makes them, over one end of a pipe, and the other end.
func accepted(t *testing.T) (c, far net.Conn) {
	t.Helper()
	l := &pipes{make(chan net.Conn, 1), make(chan struct{})}
	far = l.dial()
	c, err := NewListener(l, 0).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); far.Close() })
	return c, far
}

// A connection times out when the plain one does, whatever deadlines were set before and
// while it waited, and works again after the next one.
func TestDeadlines(t *testing.T) {
	step := func(rng *rand.Rand) time.Time {
		switch rng.IntN(5) {
		case 0:
			return time.Time{}
		case 1:
			return time.Unix(1, 0)
		}
		return time.Now().Add(time.Duration(rng.IntN(40)) * time.Second)
	}
	// timeouts returns when, since the start, each of some reads or writes timed out.
	timeouts := func(t *testing.T, c, far net.Conn, seed uint64, set func(time.Time) error, act func([]byte) (int, error)) (at []time.Duration) {
		rng, start := rand.New(rand.NewPCG(seed, 1)), time.Now()
		for range 10 {
			for range rng.IntN(4) {
				if err := set(step(rng)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(rng.IntN(10)) * time.Second)
			}
			done := make(chan error, 1)
			size := 1 + rng.IntN(3)
			go func() { _, err := act(make([]byte, size)); done <- err }()
			time.Sleep(time.Duration(rng.IntN(20))*time.Second + time.Millisecond)
			if err := set(step(rng)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if err := set(time.Now().Add(time.Second)); err != nil { // what still waits waits no longer
				t.Fatal(err)
			}
			if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("got %v", err)
			}
			at = append(at, time.Since(start))
		}
		return at
	}
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			c, far := accepted(t)
			near, end := net.Pipe()
			defer near.Close()
			defer end.Close()
			set, act, plainSet, plainAct := c.SetReadDeadline, c.Read, near.SetReadDeadline, near.Read
			switch seed % 3 {
			case 1:
				set, act, plainSet, plainAct = c.SetWriteDeadline, c.Write, near.SetWriteDeadline, near.Write
			case 2:
				set, plainSet = c.SetDeadline, near.SetDeadline
			}
			got := timeouts(t, c, far, seed, set, act)
			want := timeouts(t, near, end, seed, plainSet, plainAct)
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("seed %d: timed out at %v, the plain one at %v", seed, got, want)
				}
			}
		})
	}
}

// A write that an outdated deadline interrupts goes on where it was.
func TestWriteGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := accepted(t)
		if err := c.SetWriteDeadline(time.Now().Add(3 * time.Second)); err != nil {
			t.Fatal(err)
		}
		go func() {
			if _, err := io.ReadFull(far, make([]byte, 1)); err != nil {
				t.Error(err)
			}
			for i := range 3 {
				time.Sleep(2 * time.Second)
				b := make([]byte, 2)
				if _, err := io.ReadFull(far, b); err != nil || string(b) != "abcdef"[2*i:2*i+2] {
					t.Errorf("got %q, %v", b, err)
				}
			}
		}()
		if _, err := c.Write([]byte("-")); err != nil {
			t.Fatal(err)
		}
		if err := c.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Write([]byte("abcdef")); n != 6 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
	})
}

// counted counts what reaches the connection below.
type counted struct {
	net.Conn
	bytes, deadlines *atomic.Int64 // reads of one byte; deadlines set
}

func (c counted) Read(p []byte) (int, error) {
	if len(p) == 1 {
		c.bytes.Add(1)
	}
	return c.Conn.Read(p)
}

func (c counted) SetReadDeadline(t time.Time) error {
	c.deadlines.Add(1)
	return c.Conn.SetReadDeadline(t)
}

func (c counted) SetWriteDeadline(t time.Time) error {
	c.deadlines.Add(1)
	return c.Conn.SetWriteDeadline(t)
}

// Requests that are over soon cost the connection below no watch and no deadline, but for the
// first of each. Should a new net/http watch its clients in another way, this tells.
func TestFastRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bytes, deadlines atomic.Int64
		took := 10 * time.Millisecond
		slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { time.Sleep(took) })
		l := serve(t, slow, ServerConfig{})
		near, far := net.Pipe()
		defer near.Close()
		l.accept <- counted{far, &bytes, &deadlines}
		in := bufio.NewReader(near)
		for range 100 {
			exchangeRaw(t, near, in, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			exchangeRaw(t, near, in, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		}
		if b, d := bytes.Load(), deadlines.Load(); b > 0 || d > 2 {
			t.Errorf("%d watches and %d deadlines reached the connection", b, d)
		}
		took = time.Second
		exchangeRaw(t, near, in, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if bytes.Load() == 0 {
			t.Error("the client of a slow request is not watched")
		}
		took = 10 * time.Millisecond
		exchangeRaw(t, near, in, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	})
}

// A client may send its next request while the first one is slow, and none of it is lost.
func TestPipelined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			_, _ = io.WriteString(w, r.URL.Path)
		}), ServerConfig{})
		c := l.dial()
		defer c.Close()
		go func() {
			_, _ = io.WriteString(c, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
			time.Sleep(200 * time.Millisecond)
			_, _ = io.WriteString(c, "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
		}()
		in := bufio.NewReader(c)
		for _, path := range []string{"/1", "/2"} {
			r, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			want(t, r, 200, path)
		}
	})
}

// A request whose client goes away, or whose server is closed, learns of it in time, whether
// its client is watched already or not.
func TestWatch(t *testing.T) {
	for name, test := range map[string]struct {
		after time.Duration
		close bool // the server, else the client goes
		in    time.Duration
	}{
		"client, at once": {0, false, 2 * patience},
		"client, later":   {time.Second, false, 0},
		"server, at once": {0, true, 0},
		"server, later":   {time.Second, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gone := make(chan time.Time, 1)
				s := NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					<-r.Context().Done()
					gone <- time.Now()
					if r.Context().Err() != context.Canceled {
						t.Error(r.Context().Err())
					}
				}), ServerConfig{})
				l := &pipes{make(chan net.Conn), make(chan struct{})}
				done := make(chan error, 1)
				go func() { done <- s.Serve(NewListener(l, 0)) }()
				c := l.dial()
				if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(test.after)
				synctest.Wait()
				start := time.Now()
				if test.close {
					s.Close()
				} else {
					c.Close()
				}
				if took := (<-gone).Sub(start); took > test.in {
					t.Errorf("noticed after %v, want %v", took, test.in)
				}
				s.Close()
				<-done
			})
		})
	}
}
