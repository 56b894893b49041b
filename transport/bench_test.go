//go:build unix

package transport

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// cpu is the processor time that this process has used so far.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCall is one replica write as the transport sees it. cpu-us/call is
// user and system time of both ends together; calls/write tells how well frames
// coalesce.
func BenchmarkCall(b *testing.B) {
	for _, mode := range []string{"inline", "goroutine"} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("reply=%s/callers=%d", mode, callers), func(b *testing.B) {
				benchmarkCall(b, mode == "inline", callers)
			})
		}
	}
}

func benchmarkCall(b *testing.B, inline bool, callers int) {
	answer := make([]byte, 16)
	server := benchNode(b, "server", func(_ Peer, _ Request, reply func(Response)) {
		if inline {
			reply(Response{Payload: answer})
		} else {
			go reply(Response{Payload: answer})
		}
	})
	client := benchNode(b, "client", nil)
	addr := server.Addr().String()
	payload := make([]byte, 1100)
	call := func(done chan error) error {
		client.Call(addr, Request{Kind: 1, Budget: 5 * time.Second, Payload: payload}, func(_ Response, err error) { done <- err })
		return <-done
	}
	if err := call(make(chan error, 1)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	tickets := make(chan struct{}, callers)
	ended := make(chan error, callers)
	for range callers {
		go func() {
			var failed error
			for done := make(chan error, 1); ; {
				if _, ok := <-tickets; !ok {
					break
				}
				for range 16 { // so that handing out tickets costs little beside the calls
					if err := call(done); err != nil {
						failed = err
					}
				}
			}
			ended <- failed
		}()
	}
	before, writes := cpu(b), client.Stats().Writes
	calls := 0
	for b.Loop() {
		if calls++; calls%16 == 0 {
			tickets <- struct{}{}
		}
	}
	close(tickets)
	for range callers {
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}
	used := cpu(b) - before
	b.ReportMetric(float64(used.Nanoseconds())/1000/float64(calls), "cpu-us/call")
	if w := client.Stats().Writes - writes; w > 0 {
		b.ReportMetric(float64(calls)/float64(w), "calls/write")
	}
}

func benchNode(b *testing.B, node string, h Handler) *Transport {
	b.Helper()
	t, err := New(Config{Listen: "127.0.0.1:0", Node: node, Cluster: "c", Handler: h})
	if err != nil {
		b.Fatal(err)
	}
	t.Start()
	b.Cleanup(func() { t.Close() })
	return t
}

func BenchmarkFrame(b *testing.B) {
	payload := make([]byte, 1100)
	var buf []byte
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		buf = appendFrame(buf[:0], header{id: 1}, payload)
	}
}
