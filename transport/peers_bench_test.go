//go:build unix

package transport

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// peerEnv makes this test's binary the peer of BenchmarkPeer.
const peerEnv = "CARTWHEEL_BENCH_PEER"

func TestMain(m *testing.M) {
	if os.Getenv(peerEnv) != "" {
		servePeer()
		return
	}
	os.Exit(m.Run())
}

// The kinds that the peer serves.
const (
	benchKind Kind = 1 // a request's first two bytes are the size of the answer
	usageKind Kind = 2 // the CPU time of the peer, in nanoseconds
)

func usage() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// servePeer serves calls, from a goroutine each as a store does, until standard input ends.
func servePeer() {
	t, err := New(Config{Listen: "127.0.0.1:0", Node: "server", Cluster: "c", Handler: func(_ Peer, req Request, reply func(Response)) {
		if req.Kind == usageKind {
			reply(Response{Payload: binary.BigEndian.AppendUint64(nil, uint64(usage()))})
			return
		}
		go reply(Response{Payload: make([]byte, binary.BigEndian.Uint16(req.Payload))})
	}})
	if err != nil {
		panic(err)
	}
	t.Start()
	fmt.Println(t.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	t.Close()
}

// BenchmarkPeer is a call between two processes: 1.1 KiB as a replica's write has, or as
// little as a read's digest. cpu-us/call is user and system time of both.
func BenchmarkPeer(b *testing.B) {
	addr := startPeer(b)
	client := benchNode(b, "client", nil)
	for _, size := range []struct {
		name            string
		request, answer int
	}{{"write", 1100, 16}, {"digest", 60, 40}} {
		for _, callers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("call=%s/callers=%d", size.name, callers), func(b *testing.B) {
				payload := make([]byte, size.request)
				binary.BigEndian.PutUint16(payload, uint16(size.answer))
				benchmarkPeer(b, client, addr, payload, callers)
			})
		}
	}
}

func benchmarkPeer(b *testing.B, client *Transport, addr string, payload []byte, callers int) {
	call := func(kind Kind, done chan outcome) outcome {
		client.Call(addr, Request{Kind: kind, Budget: 5 * time.Second, Payload: payload}, func(res Response, err error) { done <- outcome{Response: res, err: err} })
		return <-done
	}
	both := func() time.Duration {
		res := call(usageKind, make(chan outcome, 1))
		if res.err != nil {
			b.Fatal(res.err)
		}
		return usage() + time.Duration(binary.BigEndian.Uint64(res.Payload))
	}
	before, stats := both(), client.Stats()
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			done := make(chan outcome, 1)
			for next.Add(1) <= int64(b.N) {
				if res := call(benchKind, done); res.err != nil {
					b.Error(res.err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	n := float64(b.N)
	b.ReportMetric(float64((both()-before).Nanoseconds())/1000/n, "cpu-us/call")
	if w := client.Stats().Writes - stats.Writes; w > 0 {
		b.ReportMetric(n/float64(w), "calls/write")
	}
}

// startPeer starts the other process and returns its address.
func startPeer(b *testing.B) string {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), peerEnv+"=1")
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
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(addr)
}
