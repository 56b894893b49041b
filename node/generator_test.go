//go:build unix

package node

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	benchConns = 64
	benchKeys  = 2048
	benchBytes = 1024

	// generatorEnv makes the test binary a load generator: its processor time must not count
	// as the servers'.
	generatorEnv = "CARTWHEEL_TEST_GENERATOR"
)

func benchValue() []byte { return bytes.Repeat([]byte("0123456789abcdef"), benchBytes/16) }

func TestMain(m *testing.M) {
	if os.Getenv(generatorEnv) != "" {
		if err := generate(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// generator is the child process.
type generator struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func startGenerator(b *testing.B) *generator {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), generatorEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	return &generator{in, bufio.NewReader(out)}
}

// run makes n requests, for the keys from first on, over connections to the addresses in turn.
func (g *generator) run(op string, addrs []string, first, n int) error {
	_, err := g.timed(op, addrs, first, benchKeys, n)
	return err
}

// timed makes n requests for the span keys from first on, again and again, and returns how long they
// took on average.
func (g *generator) timed(op string, addrs []string, first, span, n int) (mean time.Duration, err error) {
	if _, err := fmt.Fprintf(g.in, "%s %s %d %d %d\n", op, strings.Join(addrs, ","), first, span, n); err != nil {
		return 0, err
	}
	answer, err := g.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("generator: %w", err)
	}
	if _, err := fmt.Sscanf(answer, "ok %d", &mean); err != nil {
		return 0, fmt.Errorf("generator: %s", strings.TrimSpace(answer))
	}
	return mean, nil
}

// load is the child's side.
type load struct {
	conns    map[string][]*rawConn // by the list of addresses
	mu       sync.Mutex
	contexts map[int]string // of objects that were read for it, by key
}

// generate obeys: one line with an order, one line with its outcome.
func generate(in io.Reader, out io.Writer) error {
	l := &load{conns: map[string][]*rawConn{}, contexts: map[int]string{}}
	for lines := bufio.NewScanner(in); ; {
		if !lines.Scan() {
			return lines.Err()
		}
		var o order
		var op, to string
		if _, err := fmt.Sscanf(lines.Text(), "%s %s %d %d %d", &op, &to, &o.first, &o.span, &o.n); err != nil {
			return err
		}
		o.request = benchRequests[op]
		answer := ""
		if err := l.obey(&o, to); err != nil {
			answer = err.Error()
		} else {
			answer = fmt.Sprintf("ok %d", o.took.Load()/int64(max(1, o.n)))
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
}

// order is a number of requests that the connections share.
type order struct {
	request        benchRequest
	first, span, n int
	next           atomic.Int64
	took           atomic.Int64 // nanoseconds of all requests together
}

func (l *load) obey(o *order, to string) error {
	conns := l.conns[to]
	for addrs := strings.Split(to, ","); len(conns) < benchConns; {
		nc, err := net.Dial("tcp", addrs[len(conns)%len(addrs)])
		if err != nil {
			return err
		}
		conns = append(conns, &rawConn{Conn: nc, r: bufio.NewReaderSize(nc, 8<<10), load: l})
	}
	l.conns[to] = conns
	errs := make(chan error, len(conns))
	for _, c := range conns {
		go func() { errs <- c.requests(o) }()
	}
	var failed error
	for range conns {
		if err := <-errs; failed == nil {
			failed = err
		}
	}
	if failed != nil { // answers may be left in them
		for _, c := range conns {
			c.Close()
		}
		delete(l.conns, to)
	}
	return failed
}

// benchRequest is one kind of request.
type benchRequest struct {
	method, bucket, query, header string

	want  string // status
	least int    // bytes of the answer's body
	most  int

	learns, knows bool // the answer's context is kept for the key; the request sends the one kept
}

const (
	accept      = "Accept: multipart/mixed, */*;q=0.5\r\n"
	benchParts  = benchSiblings * benchBytes
	partHeaders = 400 // of one value, at most
)

// benchRequests has the kinds by their names. In the bucket "many" objects keep all values.
var benchRequests = map[string]benchRequest{
	"PUT":  {method: "PUT", bucket: "bench", want: "204"},
	"GET":  {method: "GET", bucket: "bench", want: "200", least: benchBytes, most: benchBytes},
	"GET1": {method: "GET", bucket: "bench", query: "?r=1", want: "200", least: benchBytes, most: benchBytes},

	"ADD":      {method: "PUT", bucket: "many", want: "204"},
	"PLAIN":    {method: "GET", bucket: "many", query: "?r=2", header: accept, want: "200", least: benchBytes, most: benchBytes, learns: true},
	"SIBLINGS": {method: "GET", bucket: "many", query: "?r=2", header: accept, want: "300", least: benchParts, most: benchParts + benchSiblings*partHeaders, learns: true},
	"RESOLVE":  {method: "PUT", bucket: "many", query: "?w=2", want: "204", knows: true},
}

// append appends the request for a key.
func (r benchRequest) append(b []byte, key int, context string) []byte {
	b = fmt.Appendf(b, "%s /buckets/%s/keys/key-%06d%s HTTP/1.1\r\nHost: a\r\n%s", r.method, r.bucket, key, r.query, r.header)
	if r.knows {
		b = fmt.Appendf(b, "X-Riak-Vclock: %s\r\n", context)
	}
	if r.method == "PUT" {
		b = fmt.Appendf(b, "Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", benchBytes)
		return append(b, benchBody...)
	}
	return append(b, "\r\n"...)
}

var benchBody = benchValue()

// rawConn is an HTTP client that knows no more than it needs.
type rawConn struct {
	net.Conn
	r    *bufio.Reader
	load *load
}

// requests makes every request whose number it draws from the order.
func (c *rawConn) requests(o *order) error {
	var request []byte
	for {
		i := int(o.next.Add(1)) - 1
		if i >= o.n {
			return nil
		}
		key, context := o.first+i%o.span, ""
		if o.request.knows {
			if context = c.load.context(key, ""); context == "" {
				return fmt.Errorf("key %d has no context: it was not read before", key)
			}
		}
		request = o.request.append(request[:0], key, context)
		start := time.Now()
		if _, err := c.Write(request); err != nil {
			return err
		}
		learnt, err := c.answer(o.request)
		if err != nil {
			return err
		}
		o.took.Add(int64(time.Since(start)))
		if o.request.learns {
			c.load.context(key, learnt)
		}
	}
}

// context returns what is kept for a key, or keeps what is new.
func (l *load) context(key int, learnt string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if learnt != "" {
		l.contexts[key] = learnt
	}
	return l.contexts[key]
}

// answer reads one answer, checks its status and length, and returns its context if that is wanted.
func (c *rawConn) answer(r benchRequest) (context string, err error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	if len(line) < 12 || string(line[9:12]) != r.want {
		return "", fmt.Errorf("answer %q, want status %s", line, r.want)
	}
	size := 0
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		if len(line) <= 2 {
			break
		}
		if rest, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if size, err = strconv.Atoi(string(bytes.TrimSpace(rest))); err != nil {
				return "", err
			}
		}
		if rest, ok := bytes.CutPrefix(line, []byte("X-Riak-Vclock: ")); ok && r.learns {
			context = string(bytes.TrimSpace(rest))
		}
	}
	if size < r.least || size > r.most {
		return "", fmt.Errorf("a body of %d bytes, want %d to %d", size, r.least, r.most)
	}
	_, err = c.r.Discard(size)
	return context, err
}
