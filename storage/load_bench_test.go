package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// loadBatch is how many writes of 64 clients one commit takes in a cluster of three.
const loadBatch = 25

// BenchmarkLoad is what a node of a cluster of three does for writes of 1 KiB over random keys: one
// in three is a put, two are merges of what the other nodes minted, and objects know three actors.
// Beside it the parts alone: Badger, reading each key and writing it in batches, and what the
// benchmark itself costs.
func BenchmarkLoad(b *testing.B) {
	for _, keys := range []int64{10_000, 200_000} {
		b.Run(fmt.Sprintf("store/keys=%d", keys), func(b *testing.B) { benchmarkLoad(b, keys, false) })
		b.Run(fmt.Sprintf("badger/keys=%d", keys), func(b *testing.B) { benchmarkBare(b, keys) })
	}
	b.Run("get/keys=10000", func(b *testing.B) { benchmarkLoad(b, 10_000, true) })
	b.Run("generator", func(b *testing.B) { benchmarkGenerator(b, 10_000) })
}

func loadKey(i int64) Key {
	return Key{Partition: uint16(i % 64), Name: "default\x00bucket\x00key-" + strconv.FormatInt(i, 10)}
}

// loadGen makes the operations of one client.
type loadGen struct {
	value []byte
	rng   *rand.Rand
	seq   *atomic.Uint64
	keys  int64
}

func (g *loadGen) next() (k Key, merge bool, o vclock.Object) {
	i := g.rng.Int64N(g.keys)
	k = loadKey(i)
	n := g.seq.Add(1)
	value := append([]byte(nil), g.value...)
	if i%3 == 0 {
		o.Siblings = []vclock.Sibling{{Value: value}}
		return k, false, o
	}
	o.Clock = vclock.Clock{
		{Actor: vclock.Actor{Run: 0x1234567812345678, Epoch: uint64(i) + 1}, Counter: 1},
		{Actor: vclock.Actor{Run: 0x2234567812345678, Epoch: uint64(i) + 1}, Counter: 1},
		{Actor: vclock.Actor{Run: 0x3234567812345678, Epoch: uint64(i) + 1}, Counter: n},
	}
	o.Siblings = []vclock.Sibling{{
		Dot: o.Clock[2], RequestID: vclock.RequestID{1, 2, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)},
		Time: vclock.Time(n), ContentType: "application/octet-stream", Value: value,
	}}
	return k, true, o
}

func (g *loadGen) do(s *Store, done chan error) error {
	k, merge, o := g.next()
	if merge {
		s.Merge(Merge{Key: k, Object: o, Done: func(err error) { done <- err }})
		return <-done
	}
	n := g.seq.Load()
	s.Put(Put{Key: k, Write: vclock.Write{
		TakeLocal: true, Value: o.Siblings[0].Value, ContentType: "application/octet-stream",
		RequestID: vclock.RequestID{1, 3, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)},
	}, Minted: func(vclock.Object) {}, Done: func(_ vclock.Object, err error) { done <- err }})
	return <-done
}

// reportCPU tells the processor time per operation, comparable on a machine that has other things to do.
func reportCPU(b *testing.B, start time.Time, cpu time.Duration) {
	b.StopTimer()
	b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "ops/s")
}

func loadValue() []byte {
	value := make([]byte, 1024)
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	return value
}

func benchmarkLoad(b *testing.B, keys int64, get bool) {
	s, err := Open(Config{Dir: b.TempDir(), Changed: func(Change) {}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var seq atomic.Uint64
	value := loadValue()
	run := func(n int64, work func(g *loadGen, done chan error) error) {
		var next atomic.Int64
		var wg sync.WaitGroup
		for w := range benchWriters {
			wg.Go(func() {
				g := loadGen{value: value, rng: rand.New(rand.NewPCG(1, uint64(w))), seq: &seq, keys: keys}
				done := make(chan error, 1)
				for next.Add(1) <= n {
					if err := work(&g, done); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	work := func(g *loadGen, done chan error) error { return g.do(s, done) }
	if get {
		run(keys, work)
		work = func(g *loadGen, _ chan error) error {
			_, err := s.Get(loadKey(g.rng.Int64N(keys)))
			return err
		}
	}
	batches := s.Stats().Batches
	b.ReportAllocs()
	b.ResetTimer()
	start, cpu := time.Now(), cpuTime(b)
	run(int64(b.N), work)
	reportCPU(b, start, cpu)
	if !get {
		b.ReportMetric(float64(b.N)/float64(s.Stats().Batches-batches), "ops/batch")
	}
}

func benchmarkGenerator(b *testing.B, keys int64) {
	var seq atomic.Uint64
	g := loadGen{value: loadValue(), rng: rand.New(rand.NewPCG(1, 1)), seq: &seq, keys: keys}
	b.ReportAllocs()
	start, cpu, sum := time.Now(), cpuTime(b), 0
	for b.Loop() {
		k, _, o := g.next()
		sum += len(k.Name) + len(o.Siblings)
	}
	reportCPU(b, start, cpu)
}

func benchmarkBare(b *testing.B, keys int64) {
	s, err := Open(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	value := append(loadValue(), make([]byte, 130)...) // as large as a record
	rng := rand.New(rand.NewPCG(1, 2))
	at := s.last
	b.ReportAllocs()
	b.ResetTimer()
	start, cpu := time.Now(), cpuTime(b)
	for n := 0; n < b.N; n += loadBatch {
		txn := s.db.NewTransactionAt(at, true)
		for range loadBatch {
			key := recordKey(loadKey(rng.Int64N(keys)))
			if _, err := getCopy(txn, key); err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
				b.Fatal(err)
			}
			if err := txn.Set(key, value); err != nil {
				b.Fatal(err)
			}
		}
		at++
		if err := txn.CommitAt(at, nil); err != nil {
			b.Fatal(err)
		}
		s.db.SetDiscardTs(at)
	}
	reportCPU(b, start, cpu)
}
