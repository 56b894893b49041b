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
//	storage  Badger alone: a PUT's batched commits in three databases, each with the read before
//	         the write; the reads of a GET in two
//
// GET1 is a GET with r=1: no call, one read. cpu-us/op is user and system time of the servers; the
// generator is another process. The cluster's line has the sum of the parts and how often the cluster
// costs it; writes/batch is how many writes of a replica became durable together. A commit costs much
// the same whatever is in it, and writers that do nothing else come in larger crowds: so part
// storage-same-batch is Badger with batches as small as the cluster's were, and its x-of-parts is
// what the cluster's would be with it.
func BenchmarkCluster(b *testing.B) {
	g := startGenerator(b)
	nodes, cluster := startBenchCluster(b)
	if err := g.run("PUT", cluster, 0, benchKeys); err != nil {
		b.Fatal(err)
	}
	bare := startBareHTTP(b)
	peers := startBareCalls(b)
	stores := startBareStores(b)
	for _, op := range []struct {
		name           string
		calls, storage func(worker, i int) error
	}{
		{"PUT", peers.put, stores.put},
		{"GET", peers.get, stores.get},
		{"GET1", nil, stores.get1},
	} {
		part := func(name string, p benchPart) benchPart {
			b.Run(fmt.Sprintf("op=%s/part=%s", op.name, name), p.measure)
			return p
		}
		web := part("http", benchPart{run: func(n int) error { return g.run(op.name, bare, 0, n) }, cost: new(benchCost)})
		others := web.cost.cpu
		if op.calls != nil {
			calls := part("calls", benchPart{run: func(n int) error { return inParallel(n, op.calls) }, cost: new(benchCost)})
			others += calls.cost.cpu
		}
		badger := benchPart{run: func(n int) error { return inParallel(n, op.storage) }, batches: stores.batches, cost: new(benchCost)}
		part("storage", badger)
		whole := part("cluster", benchPart{
			run:     func(n int) error { return g.run(op.name, cluster, 0, n) },
			batches: batchesOf(nodes), cost: new(benchCost),
			parts: func(own time.Duration) (sum, all time.Duration) { return others + badger.cost.cpu, own },
		})
		if batch := whole.cost.batch; batch > 0 {
			stores.limit(int(batch + 0.5))
			badger.cost = new(benchCost)
			badger.parts = func(own time.Duration) (sum, all time.Duration) { return others + own, whole.cost.cpu }
			part("storage-same-batch", badger)
		}
	}
}

// benchPart is the whole of a request or a part of it.
type benchPart struct {
	run     func(n int) error
	batches func() (batches, writes int64) // so far; may be nil
	// parts, if not nil, returns the sum of the parts and what it is compared with; own is what this
	// part took.
	parts func(own time.Duration) (sum, all time.Duration)
	cost  *benchCost // of the last run
}

// benchCost is what one operation took.
type benchCost struct {
	cpu   time.Duration
	batch float64 // writes in one, 0 without any
}

func (p benchPart) measure(b *testing.B) {
	b.ReportAllocs()
	batches := p.batches
	if batches == nil {
		batches = func() (int64, int64) { return 0, 0 }
	}
	batches0, writes0 := batches()
	before, start := cpuTime(b), time.Now()
	if err := p.run(b.N); err != nil {
		b.Fatal(err)
	}
	*p.cost = benchCost{cpu: (cpuTime(b) - before) / time.Duration(b.N)}
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "ops/s")
	b.ReportMetric(microseconds(p.cost.cpu), "cpu-us/op")
	if n, writes := batches(); n > batches0 {
		p.cost.batch = float64(writes-writes0) / float64(n-batches0)
		b.ReportMetric(p.cost.batch, "writes/batch")
	}
	if p.parts != nil {
		sum, all := p.parts(p.cost.cpu)
		b.ReportMetric(microseconds(sum), "parts-us/op")
		b.ReportMetric(float64(all)/float64(max(sum, 1)), "x-of-parts")
	}
}

// batchesOf returns a count of the batches of all nodes, and of the writes in them.
func batchesOf(nodes []*Node) func() (batches, writes int64) {
	return func() (batches, writes int64) {
		for _, n := range nodes {
			s := n.store.Stats()
			batches, writes = batches+s.Batches, writes+s.Puts+s.Merges
		}
		return batches, writes
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

// startBenchCluster returns three nodes that serve and their HTTP addresses.
func startBenchCluster(b *testing.B) ([]*Node, []string) {
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
	setBenchProps(b, addrs[0], "bench", `{"props":{"last_write_wins":true}}`)
	return nodes, addrs
}

func setBenchProps(b *testing.B, addr, bucket, props string) {
	req, err := http.NewRequest("PUT", "http://"+addr+"/buckets/"+bucket+"/props", strings.NewReader(props))
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
