package antientropy

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// A bigStore makes its objects up: keys of 100 bytes that differ from others only where it was
// told. Only one partition's names are looked at by one goroutine at a time, as a scan of a real
// store would.
type bigStore struct {
	mu      sync.Mutex
	names   [][]string // by partition, sorted; shared between stores
	empty   bool       // has nothing but what was merged
	own     []map[string]vclock.Object
	changed func(partition uint16, name string, before, after uint64, lost bool)
}

var bigValue = make([]byte, 100)

// bigObject is what every store has under a name unless it was told otherwise.
func bigObject(name string) vclock.Object {
	dot := vclock.Dot{Actor: vclock.Actor{Run: hashOf(name) | 1, Epoch: 1}, Counter: 1}
	return vclock.Object{Clock: vclock.Clock{dot}, Siblings: []vclock.Sibling{{Dot: dot, Time: 1, ContentType: "text/plain", Value: bigValue}}}
}

func (s *bigStore) get(partition uint16, name string) vclock.Object {
	s.mu.Lock()
	o, ok := s.own[partition][name]
	s.mu.Unlock()
	if !ok && !s.empty {
		return bigObject(name)
	}
	return o
}

func (s *bigStore) Scan(partition uint16, after string, began func(), visit func(string, vclock.Object, error) bool) error {
	if began != nil {
		began()
	}
	names := s.names[partition]
	at, found := slices.BinarySearch(names, after)
	if found {
		at++
	}
	for _, name := range names[at:] {
		if o := s.get(partition, name); !o.Missing() && !visit(name, o, nil) {
			break
		}
	}
	return nil
}

func (s *bigStore) Get(partition uint16, name string) (vclock.Object, error) {
	return s.get(partition, name), nil
}

func (s *bigStore) Merge(partition uint16, name string, o vclock.Object, done func(error)) {
	before := s.get(partition, name)
	merged, _ := vclock.Merge(before, o)
	s.mu.Lock()
	s.own[partition][name] = merged
	s.changed(partition, name, digestOf(before), digestOf(merged), false)
	s.mu.Unlock()
	done(nil)
}

// bigPair returns two nodes with the same keys, and their cluster. The trees are built.
func bigPair(tb testing.TB, keys int, empty bool) (*fakeCluster, []*bigStore) {
	const partitions = 256
	c := newCluster(tb, 2, partitions)
	names := make([][]string, partitions)
	for i := range keys {
		name := ring.Key{Bucket: "bucket", Key: fmt.Sprintf("key-%020d", i)}.Name()
		p := c.ring.Partition(name)
		names[p] = append(names[p], name)
	}
	for p := range names {
		slices.Sort(names[p])
	}
	var stores []*bigStore
	for i, n := range c.nodes {
		s := &bigStore{names: names, own: make([]map[string]vclock.Object, partitions), empty: empty && i == 0}
		for p := range s.own {
			s.own[p] = make(map[string]vclock.Object)
		}
		stores = append(stores, s)
		k := n.k()
		k.cfg.Store, k.cfg.Pause = s, time.Nanosecond
		k.cfg.N = func(string) int { return 3 }
		k.cfg.Sender = senderFunc(func(_ context.Context, member string, items []Item) ([]bool, error) {
			at, _ := c.ring.Index(member)
			acked := make([]bool, len(items))
			for j, it := range items {
				c.mu.Lock()
				c.bytes[0] += len(it.Name) + it.Object.Size()
				c.mu.Unlock()
				stores[at].Merge(it.Partition, it.Name, it.Object, func(err error) { acked[j] = err == nil })
			}
			return acked, nil
		})
		s.changed = k.Update
	}
	c.build()
	return c, stores
}

func (c *fakeCluster) traffic() (total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.bytes {
		total += n
	}
	clear(c.bytes)
	return total
}

// cpuTime is what the process has used of all processors: on a busy machine the clock tells more
// about the neighbours.
func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkExchange runs both sides in one process, so the time is the CPU time of both. The goal
// with 1,000,000 keys: below 64 KiB and 50 ms if nothing differs, 512 KiB and 2 s if 10 keys do.
func BenchmarkExchange(b *testing.B) {
	const keys = 1_000_000
	var c *fakeCluster
	var stores []*bigStore
	for _, differing := range []int{0, 10} {
		b.Run(fmt.Sprintf("keys=%d/differing=%d", keys, differing), func(b *testing.B) {
			if c == nil {
				c, stores = bigPair(b, keys, false)
			}
			b.ReportAllocs()
			c.traffic()
			round := 0
			var used time.Duration
			for b.Loop() {
				b.StopTimer()
				for i := range differing {
					p := (round*7 + i*25) % 256
					name := stores[0].names[p][(round*13+i)%1000]
					old := vclock.Record{Object: stores[i%2].get(uint16(p), name)}
					o := old.Put(vclock.Write{Value: bigValue, TakeLocal: true}, vclock.NewActors(uint64(round+2)))
					stores[i%2].Merge(uint16(p), name, o.Object, func(error) {})
				}
				round++
				before := c.nodes[0].k().Stats()
				b.StartTimer()
				began := cpuTime(b)
				if err := c.nodes[0].k().Exchange(context.Background(), "node-1"); err != nil {
					b.Fatal(err)
				}
				used += cpuTime(b) - began
				after := c.nodes[0].k().Stats()
				if got := after.RepairedHere + after.RepairedThere - before.RepairedHere - before.RepairedThere; got != uint64(differing) {
					b.Fatalf("%d objects repaired, want %d", got, differing)
				}
			}
			b.ReportMetric(float64(c.traffic())/float64(round)/1024, "KiB/op")
			b.ReportMetric(float64(used.Microseconds())/1000/float64(round), "cpu-ms/op")
		})
	}
}

// BenchmarkWiped fills an empty node from a full one; the objects' way into a real store comes on
// top. One operation is 100,000 objects.
func BenchmarkWiped(b *testing.B) {
	const keys = 100_000
	c, stores := bigPair(b, keys, true)
	b.ReportAllocs()
	c.traffic()
	rounds := 0
	var used time.Duration
	for b.Loop() {
		began := cpuTime(b)
		if err := c.nodes[0].k().Exchange(context.Background(), "node-1"); err != nil {
			b.Fatal(err)
		}
		used += cpuTime(b) - began
		rounds++
		b.StopTimer()
		for p := range stores[0].own {
			if len(stores[0].own[p]) != len(stores[0].names[p]) {
				b.Fatalf("partition %d has %d of %d keys", p, len(stores[0].own[p]), len(stores[0].names[p]))
			}
			clear(stores[0].own[p])
		}
		c.nodes[0].k().Rebuild()
		c.nodes[0].build()
		b.StartTimer()
	}
	b.ReportMetric(float64(c.traffic())/float64(rounds)/keys, "B/object")
	b.ReportMetric(float64(used.Microseconds())/float64(rounds)/keys, "cpu-us/object")
}

// BenchmarkUpdate is what a commit pays; the goal is 500 ns and no allocation.
func BenchmarkUpdate(b *testing.B) {
	c := newCluster(b, 1, 256)
	k := c.nodes[0].k()
	c.build()
	k.cfg.N = func(string) int { return 3 }
	names := make([]string, 1<<16)
	for i := range names {
		names[i] = ring.Key{Bucket: "bucket", Key: fmt.Sprintf("key-%020d", i)}.Name()
		k.Update(c.ring.Partition(names[i]), names[i], 0, 1, false)
	}
	b.ReportAllocs()
	i, digest, began := 0, uint64(1), cpuTime(b)
	for b.Loop() {
		name := names[i]
		k.Update(c.ring.Partition(name), name, digest, digest+1, false)
		if i++; i == len(names) {
			i, digest = 0, digest+1
		}
	}
	b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N), "cpu-ns/op")
}

func BenchmarkUnsure(b *testing.B) {
	k := newCluster(b, 1, 256).nodes[0].k()
	b.ReportAllocs()
	for b.Loop() {
		k.Unsure(77)
	}
}

// BenchmarkTreeMemory reports what the trees of 256 partitions take.
func BenchmarkTreeMemory(b *testing.B) {
	for _, keys := range []int{0, 256, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			heap := func() uint64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			r := testRing(b, 1, 256)
			var used uint64
			for b.Loop() {
				before := heap()
				parts := make([]part, 256)
				name := make([]byte, 0, 64)
				for i := range keys {
					name = fmt.Appendf(name[:0], "key-%020d", i)
					h := hashOf(string(name))
					treeOf(&parts[r.Partition(string(name))].trees, 3).change(h, 0, 1)
				}
				used = heap() - before
				runtime.KeepAlive(parts)
			}
			b.ReportMetric(float64(used)/1024, "KiB")
		})
	}
}
