package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/quorum"
)

// pipes is a listener whose connections are in memory.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial() net.Conn {
	near, far := net.Pipe()
	p.accept <- far
	return near
}

// serve runs a server in the present bubble until the test ends.
func serve(t *testing.T, h http.Handler, cfg ServerConfig) *pipes {
	t.Helper()
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	s := NewServer(h, cfg)
	done := make(chan error, 1)
	go func() { done <- s.Serve(NewListener(l, 0)) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l
}

// exchangeRaw writes raw bytes and reads one answer. The writer goes on beside the reader,
// as the server may answer before it has read everything.
func exchangeRaw(t *testing.T, c net.Conn, in *bufio.Reader, raw string) (*http.Response, string) {
	t.Helper()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(c, raw) // fails when the server has closed, which the reader sees
	}()
	r, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := text(t, r)
	if !r.Close {
		<-sent
	}
	return r, body
}

func putRequest(extra, body string) string {
	return "PUT " + at + " HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\n" + extra + "\r\n" + body
}

func chunked(chunk string, times int) string {
	return strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", len(chunk), chunk), times) + "0\r\n\r\n"
}

// A value that is too large is 413, whether the length is known or not, and the connection
// afterwards either serves the next request or is closed.
func TestValueLimit(t *testing.T) {
	kib := strings.Repeat("x", 1<<10)
	for name, test := range map[string]struct {
		request string
		status  int
		closed  bool
	}{
		"exactly the limit":       {putRequest("Content-Length: 1048576\r\n", strings.Repeat(kib, 1024)), 204, false},
		"chunks, the limit":       {putRequest("Transfer-Encoding: chunked\r\n", chunked(kib, 1024)), 204, false},
		"one byte more":           {putRequest("Content-Length: 1048577\r\n", strings.Repeat(kib, 1024)+"x"), 413, true},
		"announced, never sent":   {putRequest("Content-Length: 1099511627776\r\n", ""), 413, true},
		"a little more in chunks": {putRequest("Transfer-Encoding: chunked\r\n", chunked(kib, 1025)), 413, true},
		"endless chunks":          {putRequest("Transfer-Encoding: chunked\r\n", chunked(kib, 1<<14)), 413, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t)
				c := serve(t, cl.server(t), ServerConfig{}).dial()
				defer c.Close()
				in := bufio.NewReader(c)
				r, _ := exchangeRaw(t, c, in, test.request)
				if r.StatusCode != test.status || r.Close != test.closed {
					t.Fatalf("status %d, close %v", r.StatusCode, r.Close)
				}
				if len(cl.puts) > 0 != (test.status == 204) {
					t.Error("stored or not?")
				}
				if test.closed {
					if _, err := in.ReadByte(); err != io.EOF {
						t.Errorf("the connection is not closed: %v", err)
					}
					return
				}
				if r, _ := exchangeRaw(t, c, in, "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"); r.StatusCode != 200 {
					t.Errorf("the next request: %d", r.StatusCode)
				}
			})
		})
	}
}

// Slow and silent clients are cut off, each after its time.
func TestTimeouts(t *testing.T) {
	for name, test := range map[string]struct {
		request string
		status  string // "" for a closed connection without an answer
		after   time.Duration
	}{
		"header that stops":    {"GET / HTTP/1.1\r\nHost:", "408", 10 * time.Second},
		"no request":           {"", "", 10 * time.Second},
		"body that stops":      {putRequest("Content-Length: 10\r\n", "x"), "408", time.Minute},
		"chunk that stops":     {putRequest("Transfer-Encoding: chunked\r\n", "5\r\nx"), "408", time.Minute},
		"properties that stop": {"PUT /buckets/b/props HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{", "408", time.Minute},
		"a type that stops":    {"PUT /types/t/props HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{", "408", time.Minute},
		"a batch that stops":   {"POST /buckets/b/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 10\r\n\r\n{", "408", time.Minute},
		"no further request":   {"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n", "200", 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t)
				c := serve(t, cl.server(t), ServerConfig{}).dial()
				defer c.Close()
				start := time.Now()
				go func() { _, _ = io.WriteString(c, test.request) }()
				answer, err := io.ReadAll(c)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < test.after || took > test.after+5*time.Second {
					t.Errorf("cut off after %v, want %v", took, test.after)
				}
				if status, _, _ := strings.Cut(strings.TrimPrefix(string(answer), "HTTP/1.1 "), " "); status != test.status {
					t.Errorf("answer %q, want %s", answer, test.status)
				}
				if n := strings.Count(string(answer), "HTTP/1.1 "); n > 1 {
					t.Errorf("%d answers: %q", n, answer)
				}
				if len(cl.puts) > 0 {
					t.Error("half a body was stored")
				}
			})
		})
	}
}

func TestTruncatedBody(t *testing.T) {
	cl := newCluster(t)
	a := cl.server(t)
	r := httptest.NewRequest("PUT", at, strings.NewReader("short"))
	r.ContentLength = 10
	r.Header.Set("Content-Type", "a/b")
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	want(t, w.Result(), 400, "the body cannot be read to its end\n")
	if len(cl.puts) > 0 || w.Header().Get("Connection") != "close" {
		t.Error("half a body was stored, or the connection is kept")
	}
}

func TestHeaderLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, newCluster(t).server(t), ServerConfig{}).dial()
		defer c.Close()
		r, _ := exchangeRaw(t, c, bufio.NewReader(c), "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 300<<10)+"\r\n\r\n")
		if r.StatusCode != 431 {
			t.Errorf("status %d", r.StatusCode)
		}
	})
}

// A client that goes away ends its request: the coordinator's context is cancelled, and
// nothing of the request stays (the bubble would not end).
func TestClientGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t)
		cancelled := make(chan struct{})
		a, err := New(Config{Coordinator: waiting{cl, cancelled}, Properties: cl, Node: cl})
		if err != nil {
			t.Fatal(err)
		}
		c := serve(t, a, ServerConfig{}).dial()
		if _, err := io.WriteString(c, "GET "+at+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.Close()
		<-cancelled
		synctest.Wait()
		if page := text(t, do(a, "GET", "/metrics", "")); !strings.Contains(page, `cartwheel_requests_total{code="499",op="get"} 1`) {
			t.Error("the request was not counted as given up by its client")
		}
	})
}

// waiting is a coordinator that answers reads when their client is gone.
type waiting struct {
	*cluster
	cancelled chan struct{}
}

func (w waiting) Get(ctx context.Context, _ quorum.GetRequest) (quorum.GetResult, error) {
	<-ctx.Done()
	close(w.cancelled)
	return quorum.GetResult{}, ctx.Err()
}

// A panic is answered with 500, logged, and costs no other request. After the header is out
// the connection is cut.
func TestPanic(t *testing.T) {
	cl := newCluster(t)
	var out bytes.Buffer
	a, err := New(Config{Coordinator: cl, Properties: cl, Node: cl, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	cl.get = func(quorum.GetRequest) (quorum.GetResult, error) { panic("planted") }
	want(t, do(a, "GET", at, ""), 500, "Error:\ninternal error\n")
	if !strings.Contains(out.String(), "planted") {
		t.Errorf("log: %s", out.String())
	}
	cl.get = nil
	want(t, do(a, "GET", at, ""), 404, "not found\n")
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("after the header: %v", v)
		}
	}()
	put(t, a, at, "x")
	a.ServeHTTP(brokenWriter{httptest.NewRecorder()}, httptest.NewRequest("GET", at, nil))
}

// brokenWriter panics when the body is written.
type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Write([]byte) (int, error) { panic("planted") }
