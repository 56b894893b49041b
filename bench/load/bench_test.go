//go:build unix

package load

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkRun says what the generator costs: processor time of its own process, kernel included,
// for each operation. The server is a bare net/http handler in another process.
func BenchmarkRun(b *testing.B) {
	addr := startServer(b)
	for _, name := range []string{"get", "put", "ycsb-a", "ycsb-f"} {
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", name, clients), func(b *testing.B) {
				benchRun(b, addr, name, clients, 0)
			})
		}
	}
	b.Run("put/clients=64/rate=5000", func(b *testing.B) { benchRun(b, addr, "put", 64, 5000) })
}

func benchRun(b *testing.B, addr, name string, clients int, rate float64) {
	config := testLoad(b, name, addr)
	config.Clients, config.Operations, config.Rate = clients, int64(b.N), rate
	r, err := New(config)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := processorTime(b)
	outcome, err := r.Do(b.Context())
	used := processorTime(b) - before
	if err != nil {
		b.Fatal(err)
	}
	if all := outcome.Ops[0]; all.Count != int64(b.N) || len(all.Errors) > 0 {
		b.Fatalf("%d of %d operations, errors %v", all.Count, b.N, all.Errors)
	}
	b.ReportMetric(float64(used)/float64(time.Microsecond)/float64(b.N), "cpu-us/op")
	b.ReportMetric(outcome.Ops[0].Latency.P50, "p50-us")
}
