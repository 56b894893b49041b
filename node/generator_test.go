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
	"sync/atomic"
	"testing"
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
func (g *generator) run(method string, addrs []string, first, n int) error {
	if _, err := fmt.Fprintf(g.in, "%s %s %d %d\n", method, strings.Join(addrs, ","), first, n); err != nil {
		return err
	}
	answer, err := g.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("generator: %w", err)
	}
	if answer = strings.TrimSpace(answer); answer != "ok" {
		return fmt.Errorf("generator: %s", answer)
	}
	return nil
}

// generate is the child's side: one line with an order, one line with its outcome.
func generate(in io.Reader, out io.Writer) error {
	open := map[string][]*rawConn{}
	for lines := bufio.NewScanner(in); ; {
		if !lines.Scan() {
			return lines.Err()
		}
		var method, to string
		var first, n int
		if _, err := fmt.Sscanf(lines.Text(), "%s %s %d %d", &method, &to, &first, &n); err != nil {
			return err
		}
		answer := "ok"
		if err := obey(open, method, to, first, n); err != nil {
			answer = err.Error()
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
}

func obey(open map[string][]*rawConn, method, to string, first, n int) error {
	conns := open[to]
	for addrs := strings.Split(to, ","); len(conns) < benchConns; {
		nc, err := net.Dial("tcp", addrs[len(conns)%len(addrs)])
		if err != nil {
			return err
		}
		conns = append(conns, &rawConn{Conn: nc, r: bufio.NewReaderSize(nc, 8<<10)})
	}
	open[to] = conns
	var next atomic.Int64
	errs := make(chan error, len(conns))
	for _, c := range conns {
		go func() { errs <- c.requests(method, first, n, &next) }()
	}
	var failed error
	for range conns {
		if err := <-errs; failed == nil {
			failed = err
		}
	}
	return failed
}

// rawConn is an HTTP client that knows no more than it needs.
type rawConn struct {
	net.Conn
	r *bufio.Reader
}

const keyMark = "key-000000"

// requests makes every request whose number it draws from next, below n.
func (c *rawConn) requests(method string, first, n int, next *atomic.Int64) error {
	head, want := "GET /buckets/bench/keys/"+keyMark+" HTTP/1.1\r\nHost: a\r\n\r\n", "200"
	if method == "PUT" {
		head, want = "PUT /buckets/bench/keys/"+keyMark+" HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\nContent-Length: "+
			strconv.Itoa(benchBytes)+"\r\n\r\n"+string(benchValue()), "204"
	}
	request := []byte(head)
	digits := request[strings.Index(head, keyMark)+len("key-"):][:6]
	for {
		i := int(next.Add(1)) - 1
		if i >= n {
			return nil
		}
		copy(digits, fmt.Sprintf("%06d", (first+i)%benchKeys))
		if _, err := c.Write(request); err != nil {
			return err
		}
		if err := c.answer(want); err != nil {
			return err
		}
	}
}

// answer reads one answer and checks its status and, of a value, its length.
func (c *rawConn) answer(want string) error {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 || string(line[9:12]) != want {
		return fmt.Errorf("answer %q, want status %s", line, want)
	}
	size := 0
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if rest, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if size, err = strconv.Atoi(string(bytes.TrimSpace(rest))); err != nil {
				return err
			}
		}
	}
	if want == "200" && size != benchBytes {
		return fmt.Errorf("a value of %d bytes", size)
	}
	_, err = c.r.Discard(size)
	return err
}
