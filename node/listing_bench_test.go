//go:build unix

package node

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"cartwheel/listing"
	"cartwheel/ring"
	"cartwheel/storage"
	"cartwheel/vclock"
)

// BenchmarkList lists a bucket of three nodes of one process, N=3, over real sockets: 20,000 keys with
// values of 100 bytes, or as many as CARTWHEEL_LIST_KEYS says. first-ms is until the first names
// are there, heap-MiB how much more memory the heap had at most, all three nodes together, than before.
func BenchmarkList(b *testing.B) {
	keys := 20_000
	if s := os.Getenv("CARTWHEEL_LIST_KEYS"); s != "" {
		var err error
		if keys, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	nodes, _ := startBenchCluster(b)
	fillStores(b, nodes, keys)
	for _, c := range []struct {
		name string
		q    listing.Query
		want int64
	}{
		{"keys", listing.Query{Bucket: "list"}, int64(keys)},
		{"sorted", listing.Query{Bucket: "list", Sorted: true}, int64(keys)},
		{"limit100", listing.Query{Bucket: "list", Limit: 100}, 100},
		{"buckets", listing.Query{}, 1},
	} {
		b.Run("what="+c.name, func(b *testing.B) {
			measureList(b, nodes[0], keys, func(first func()) int64 {
				n := int64(0)
				err := nodes[0].lists.List(context.Background(), c.q, func(names []string) error {
					if n == 0 {
						first()
					}
					n += int64(len(names))
					return nil
				})
				if err != nil || n != c.want {
					b.Fatalf("%d names, %v; want %d", n, err, c.want)
				}
				return n
			})
		})
	}
	b.Run("what=count", func(b *testing.B) {
		measureList(b, nodes[0], keys, func(func()) int64 {
			n, err := nodes[0].lists.Count(context.Background(), listing.Query{Bucket: "list"})
			if err != nil || n != int64(keys) {
				b.Fatalf("%d, %v; want %d", n, err, keys)
			}
			return n
		})
	})
}

func measureList(b *testing.B, n *Node, keys int, list func(first func()) int64) {
	b.ReportAllocs()
	var firsts time.Duration
	var names int64
	runtime.GC()
	idle, peak := heapBytes(), uint64(0)
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				peak = max(peak, heapBytes())
			}
		}
	})
	before, start := cpuTime(b), time.Now()
	for b.Loop() {
		began := time.Now()
		names += list(func() { firsts += time.Since(began) })
	}
	took, cpu := time.Since(start), cpuTime(b)-before
	close(stop)
	watching.Wait()
	b.ReportMetric(float64(names)/took.Seconds(), "names/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/1000/float64(names), "cpu-us/name")
	b.ReportMetric(float64(firsts.Microseconds())/1000/float64(b.N), "first-ms")
	b.ReportMetric(float64(int64(peak)-int64(idle))/(1<<20), "heap-MiB")
}

func heapBytes() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// fillStores puts objects into the stores of all nodes, which own everything, as a merge would.
func fillStores(b *testing.B, nodes []*Node, keys int) {
	value := make([]byte, 100)
	ids := vclock.NewActors(12345)
	errs := make(chan error, 1)
	slots := make(chan struct{}, 1024)
	var merging sync.WaitGroup
	for i := range keys {
		name := ring.Key{Bucket: "list", Key: fmt.Sprintf("key-%09d", i)}.Name()
		o := vclock.Record{}.Put(vclock.Write{ContentType: "text/plain", Value: value}, ids).Object
		for _, n := range nodes {
			merging.Add(1)
			slots <- struct{}{}
			n.store.Merge(storage.Merge{
				Key: storage.Key{Partition: n.view.Load().Ring.Partition(name), Name: name}, Object: o,
				Done: func(err error) {
					if err != nil {
						select {
						case errs <- err:
						default:
						}
					}
					<-slots
					merging.Done()
				},
			})
		}
	}
	merging.Wait()
	select {
	case err := <-errs:
		b.Fatal(err)
	default:
	}
}
