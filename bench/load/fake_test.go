package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cartwheel/bench/workload"
)

// reply is what a fake node does with a request.
type reply struct {
	raw   string        // the answer; empty: that of a node in good health; drop: the connection is closed
	after time.Duration // before that
	hang  bool          // no answer, ever
	last  bool          // the connection is closed after the answer
}

const (
	okGet = "HTTP/1.1 200 OK\r\nX-Riak-Vclock: abc=\r\nContent-Length: 5\r\n\r\nvalue"
	okPut = "HTTP/1.1 204 No Content\r\n\r\n"
)

func status(code int) string {
	return fmt.Sprintf("HTTP/1.1 %d Text\r\nContent-Length: 4\r\n\r\ntext", code)
}

// request is what a fake node has received.
type request struct {
	*http.Request
	body  string
	begun time.Time
}

// fakes are nodes on in-memory connections. All of it works in a bubble.
type fakes struct {
	answer func(addr string, seq int, r request) reply

	mu    sync.Mutex
	seq   int               // requests, counted from 1
	down  map[string]bool   // refuse connections
	dials map[string]int    // attempts
	conns map[net.Conn]bool // the nodes' ends
	wg    sync.WaitGroup
}

func newFakes(answer func(addr string, seq int, r request) reply) *fakes {
	return &fakes{answer: answer, down: map[string]bool{}, dials: map[string]int{}, conns: map[net.Conn]bool{}}
}

// always answers as a node in good health.
func always(string, int, request) reply { return reply{} }

func (f *fakes) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials[addr]++
	if f.down[addr] {
		return nil, fmt.Errorf("dial %s: refused", addr)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	near, far := net.Pipe()
	f.conns[far] = true
	f.wg.Go(func() { f.serve(addr, far) })
	return near, nil
}

func (f *fakes) serve(addr string, c net.Conn) {
	defer func() {
		c.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.conns, c)
	}()
	for in := bufio.NewReader(c); ; {
		hr, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		begun := time.Now()
		body, err := io.ReadAll(hr.Body)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.seq++
		seq := f.seq
		f.mu.Unlock()
		p := f.answer(addr, seq, request{hr, string(body), begun})
		if p.hang {
			io.Copy(io.Discard, in) // until the client has gone
			return
		}
		if p.after > 0 {
			time.Sleep(p.after) // sleep-ok: in the bubble of the test that made the fakes
		}
		if p == (reply{after: p.after}) {
			if p.raw = okPut; hr.Method == http.MethodGet {
				p.raw = okGet
			}
		}
		if p.raw == drop {
			return
		}
		if _, err := io.WriteString(c, p.raw); err != nil || p.last {
			return
		}
	}
}

// drop closes the connection instead of an answer.
const drop = "drop"

// kill makes a node refuse connections, and ends those it has.
func (f *fakes) kill(addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down[addr] = true
	for c := range f.conns {
		c.Close()
	}
}

// run makes a run on the fakes and waits until these have ended too.
func (f *fakes) run(t *testing.T, ctx context.Context, c Config) (*Run, *Outcome) {
	t.Helper()
	r := f.newRun(t, c)
	o, err := r.Do(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f.wg.Wait()
	return r, o
}

func (f *fakes) newRun(t *testing.T, c Config) *Run {
	t.Helper()
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.places.dial = f.dial
	r.newAlarm = newTimerAlarm // the other one waits in the kernel, which a bubble knows nothing of
	return r
}

// testLoad returns a load of a workload on targets, with values of 1 KiB.
func testLoad(tb testing.TB, name string, targets ...string) Config {
	tb.Helper()
	w, err := workload.Parse(name)
	if err != nil {
		tb.Fatal(err)
	}
	keys, err := workload.ParseKeys(w.Distribution(), 10_000)
	if err != nil {
		tb.Fatal(err)
	}
	return Config{Targets: targets, Bucket: "b", Workload: w, Keys: keys, Sizes: workload.Sizes{Min: 1024, Max: 1024}}
}

// errorsOf writes the errors of an operation in one line.
func errorsOf(m map[string]int64) string {
	return strings.TrimPrefix(fmt.Sprint(m), "map")
}

// canned is a connection that always has one answer.
type canned struct {
	net.Conn
	answer []byte
}

func (c *canned) Write(p []byte) (int, error) { return len(p), nil }
func (c *canned) Read(p []byte) (int, error)  { return copy(p, c.answer), nil }
func (c *canned) SetDeadline(time.Time) error { return nil }
func (c *canned) Close() error                { return nil }
