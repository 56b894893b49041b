//go:build unix

package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkCluster runs requests against three nodes of one process, N=3, R=W=2, fsync on,
// over real sockets, and next to them, in the same run, the bare parts that such a request
// cannot do without:
//
//	http     net/http with a gorilla/mux route that does nothing else
//	calls    the transport's calls to the other replicas: two of a PUT, one of a GET
//	storage  the commits of a PUT in three stores, the reads of a GET in two
//
// cpu-us/op is user and system time of the servers; the generator is another process. The
// cluster's line has the sum of the parts and how often the cluster costs it.
func BenchmarkCluster(b *testing.B) {
	g := startGenerator(b)
	cluster := startBenchCluster(b)
	if err := g.run("PUT", cluster, 0, benchKeys); err != nil {
		b.Fatal(err)
	}
	bare := startBareHTTP(b)
	peers := startBareCalls(b)
	stores := startBareStores(b)
	for _, op := range []struct {
		method         string
		calls, storage func(worker, i int) error
	}{
		{"PUT", peers.put, stores.put},
		{"GET", peers.get, stores.get},
	} {
		var sum time.Duration
		part := func(name string, run func(n int) error) (each time.Duration) {
			b.Run(fmt.Sprintf("op=%s/part=%s", op.method, name), func(b *testing.B) {
				b.ReportAllocs()
				before, start := cpuTime(b), time.Now()
				if err := run(b.N); err != nil {
					b.Fatal(err)
				}
				used := cpuTime(b) - before
				each = used / time.Duration(b.N)
				b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "ops/s")
				b.ReportMetric(microseconds(each), "cpu-us/op")
				if name == "cluster" && sum > 0 {
					b.ReportMetric(microseconds(sum), "parts-us/op")
					b.ReportMetric(float64(each)/float64(sum), "x-of-parts")
				}
			})
			return each
		}
		sum += part("http", func(n int) error { return g.run(op.method, bare, 0, n) })
		sum += part("calls", func(n int) error { return inParallel(n, op.calls) })
		sum += part("storage", func(n int) error { return inParallel(n, op.storage) })
		part("cluster", func(n int) error { return g.run(op.method, cluster, 0, n) })
	}
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// cpuTime is the processor time that this process has used so far.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// inParallel shares n operations between as many workers as the generator has connections.
func inParallel(n int, do func(worker, i int) error) error {
	var next atomic.Int64
	errs := make(chan error, benchConns)
	for worker := range benchConns {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					errs <- nil
					return
				}
				if err := do(worker, i); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	var first error
	for range benchConns {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

// startBenchCluster returns the HTTP addresses of three nodes that serve.
func startBenchCluster(b *testing.B) []string {
	dir := b.TempDir() // its removal is the last thing to happen
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	b.Cleanup(func() { cancel(); running.Wait() })
	var nodes []*Node
	var addrs []string
	for i := range 3 {
		cfg := Config{
			Name: fmt.Sprintf("n%d", i+1), DataDir: filepath.Join(dir, fmt.Sprint(i)),
			HTTP: "127.0.0.1:0", Peer: "127.0.0.1:0", Expect: 3, Logger: slog.New(slog.DiscardHandler),
		}
		for _, other := range nodes {
			cfg.Join = append(cfg.Join, other.Self().Peer)
		}
		n, err := New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		running.Go(func() {
			if err := n.Run(ctx); err != nil {
				b.Error(err)
			}
		})
		nodes, addrs = append(nodes, n), append(addrs, n.Self().HTTP)
	}
	for _, addr := range addrs {
		awaitReady(b, addr)
	}
	// One value per key, so that objects keep their size.
	req, err := http.NewRequest("PUT", "http://"+addrs[0]+"/buckets/bench/props", strings.NewReader(`{"props":{"last_write_wins":true}}`))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		b.Fatalf("set properties: %s", resp.Status)
	}
	return addrs
}

func awaitReady(b *testing.B, addr string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); <-tick.C {
		if resp, err := http.Get("http://" + addr + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
	}
	b.Fatalf("%s is not ready", addr)
}
