package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// Pipeline sends many requests to one node over a few connections, several ahead of their
// answers on each. It costs the test a small part of what the node's side costs, which counts
// where both share two cores and the test runs under the race detector.
type Pipeline struct {
	Addr  string // host:port
	Lanes int    // connections
	Depth int    // requests ahead on each
	Limit time.Duration
}

// Answer is one answer. Body is valid until the next one of its lane.
type Answer struct {
	Status int
	Body   []byte
}

// Each sends requests 0 to n-1 and gives every answer to take, from several goroutines at once,
// one per lane. request appends the whole request, head and body. It returns the first error of
// each lane.
func (p Pipeline) Each(n int, request func(dst []byte, i int) []byte, take func(i int, a Answer) error) error {
	errs := make([]error, p.Lanes)
	var wg sync.WaitGroup
	for lane := range p.Lanes {
		wg.Go(func() { errs[lane] = p.lane(lane, n, request, take) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// lane sends every p.Lanes-th request.
func (p Pipeline) lane(lane, n int, request func([]byte, int) []byte, take func(int, Answer) error) error {
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(p.Limit)); err != nil {
		return fmt.Errorf("limit the time: %w", err)
	}
	r := bufio.NewReaderSize(conn, 64<<10)
	var out, body []byte
	for first := lane; first < n; first += p.Lanes * p.Depth {
		out = out[:0]
		end := min(n, first+p.Lanes*p.Depth)
		for i := first; i < end; i += p.Lanes {
			out = request(out, i)
		}
		if _, err := conn.Write(out); err != nil {
			return err
		}
		for i := first; i < end; i += p.Lanes {
			a, err := readAnswer(r, body[:0])
			if err == nil {
				err = take(i, a)
			}
			if err != nil {
				return fmt.Errorf("request %d to %s: %w", i, p.Addr, err)
			}
			body = a.Body
		}
	}
	return nil
}

// readAnswer reads one answer of known length.
func readAnswer(r *bufio.Reader, body []byte) (a Answer, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return a, fmt.Errorf("not an answer: %q", line)
	}
	if a.Status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, fmt.Errorf("not an answer: %q", line)
	}
	length := -1
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return a, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return a, fmt.Errorf("length %q", value)
			}
		}
	}
	switch {
	case a.Status == 204 || a.Status == 304:
		length = 0
	case length < 0:
		return a, errors.New("an answer without a length")
	}
	a.Body = append(body, make([]byte, length)...)
	if _, err := io.ReadFull(r, a.Body); err != nil {
		return a, err
	}
	return a, nil
}

// AppendGet appends a GET request without a body.
func AppendGet(dst []byte, path string) []byte {
	dst = append(append(dst, "GET "...), path...)
	return append(dst, " HTTP/1.1\r\nHost: node\r\n\r\n"...)
}

// AppendPut appends a PUT request.
func AppendPut(dst []byte, path string, body []byte) []byte {
	dst = append(append(dst, "PUT "...), path...)
	dst = append(dst, " HTTP/1.1\r\nHost: node\r\nContent-Type: text/plain\r\nContent-Length: "...)
	dst = append(strconv.AppendInt(dst, int64(len(body)), 10), "\r\n\r\n"...)
	return append(dst, body...)
}
