package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// vanished is how many clients go away in each way.
const vanished = 150

// goroutineSlack is by how many goroutines a node may differ from before without having lost
// any: connections of this test, timers, probes of the others.
const goroutineSlack = 12

// TestClientGone has clients go away at every stage of a request. The node must end what they
// began.
func TestClientGone(t *testing.T) {
	nodes := lab.Cluster(t, 3)
	n := nodes[0]
	for i := range 50 { // whatever is started at the first use
		put(t, n, fmt.Sprintf("/buckets/warm/keys/%d", i))
	}
	before := settledGoroutines(t, n)
	head := func(key string, length int, query string) string {
		return fmt.Sprintf("PUT /buckets/gone/keys/%s%s HTTP/1.1\r\nHost: n\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", key, query, length)
	}
	const mebibyte = 1 << 20
	half := strings.Repeat("x", mebibyte/2)

	for _, c := range []struct {
		name, request string
		pause         bool // the third node stands still meanwhile, so that w=3 waits
	}{
		{name: "half a header", request: "PUT /buckets/gone/keys/k HTTP/1.1\r\nHost:"},
		{name: "no body", request: head("k", mebibyte, "")},
		{name: "half a body", request: head("k", mebibyte, "") + half},
		{name: "half a chunk", request: "PUT /buckets/gone/keys/k HTTP/1.1\r\nHost: n\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\nabc"},
		{name: "no interest in the answer", request: "GET /buckets/warm/keys/1 HTTP/1.1\r\nHost: n\r\n\r\n"},
		{name: "a write that waits for a replica", request: head("waits", 1, "?w=3&timeout=30000") + "x", pause: true},
		{name: "a read that waits for a replica", request: "GET /buckets/warm/keys/1?r=3&timeout=30000 HTTP/1.1\r\nHost: n\r\n\r\n", pause: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.pause {
				nodes[2].Pause(t)
				defer nodes[2].Signal(syscall.SIGCONT)
			}
			conns := make([]net.Conn, vanished)
			for i := range conns {
				conns[i] = dial(t, n.HTTP)
				if _, err := io.WriteString(conns[i], c.request); err != nil {
					t.Fatal(err)
				}
			}
			if c.pause {
				Until(t, requestWithin, "the requests wait", func() error {
					if now := n.Metric(t, "cartwheel_requests_in_flight"); now < vanished/2 {
						return fmt.Errorf("%.0f do", now)
					}
					return nil
				})
			}
			if now := n.Metric(t, "go_goroutines"); c.name == "half a body" && now < before+vanished/2 {
				t.Errorf("with %d requests open there are %.0f goroutines, %.0f before: this test would see no leak", vanished, now, before)
			}
			for _, conn := range conns {
				conn.Close()
			}
			Until(t, 15*time.Second, "the goroutines end", func() error {
				if now := n.Metric(t, "go_goroutines"); now > before+goroutineSlack {
					return fmt.Errorf("%.0f, before %.0f", now, before)
				}
				return nil
			})
		})
	}
	nodes[2].AwaitReady(t)
	if status := get(t, n, "/buckets/gone/keys/k"); status != http.StatusNotFound {
		t.Errorf("half a body was stored: %d", status)
	}
	Until(t, readyWithin, "no request is under way", func() error {
		if inFlight := n.Metric(t, "cartwheel_requests_in_flight"); inFlight != 0 {
			return fmt.Errorf("%.0f are", inFlight)
		}
		return nil
	})
}

// settledGoroutines returns the number of goroutines once it has stopped to change much.
func settledGoroutines(t *testing.T, n *Node) float64 {
	t.Helper()
	last, same := -1.0, 0
	Until(t, readyWithin, "the goroutines settle", func() error {
		now := n.Metric(t, "go_goroutines")
		if same++; now > last+1 || now < last-1 {
			last, same = now, 0
		}
		if same < 10 {
			return fmt.Errorf("%.0f", now)
		}
		return nil
	})
	return last
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, requestWithin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(requestWithin)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// put stores a small value.
func put(t *testing.T, n *Node, path string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, "http://"+n.HTTP+path, strings.NewReader("v"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	resp, err := lab.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("put %s: %d", path, resp.StatusCode)
	}
}

// get returns the status of a read.
func get(t *testing.T, n *Node, path string) int {
	t.Helper()
	resp, err := lab.HTTP.Get("http://" + n.HTTP + path)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
