package storage

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

const (
	benchWriters = 64
	benchKeys    = 4096
)

func benchKey(i int64) Key {
	return Key{Partition: uint16(i % 256), Name: fmt.Sprintf("default/bucket/key-%06d", i%benchKeys)}
}

// runWriters has benchWriters goroutines share the iterations of a benchmark.
func runWriters(b *testing.B, write func(i int64)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range benchWriters {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				write(i)
			}
		})
	}
	wg.Wait()
}

// BenchmarkPut compares read-modify-writes of 1 KiB values by 64 writers through the committer
// with one Badger transaction and one sync for each. The ratio is the gain of group commit.
func BenchmarkPut(b *testing.B) {
	value := make([]byte, 1024)
	var single float64
	b.Run("update-per-write/writers=64/bytes=1024", func(b *testing.B) {
		o := badgerOptions(Config{Dir: b.TempDir()}.WithDefaults(), nil)
		db, err := badger.Open(o)
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		b.ReportAllocs()
		b.ResetTimer()
		start := time.Now()
		actors := vclock.NewActors(1)
		var mu sync.Mutex
		runWriters(b, func(i int64) {
			err := db.Update(func(txn *badger.Txn) error {
				key := recordKey(benchKey(i))
				var record vclock.Record
				raw, err := getCopy(txn, key)
				if err == nil {
					record, err = vclock.DecodeRecord(raw)
				}
				if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
					return err
				}
				mu.Lock()
				record = record.Put(vclock.Write{TakeLocal: true, Value: value}, actors)
				mu.Unlock()
				return txn.Set(key, record.Append(nil))
			})
			if err != nil {
				b.Error(err)
			}
		})
		single = float64(b.N) / time.Since(start).Seconds()
		b.ReportMetric(single, "writes/s")
	})
	for _, hook := range []bool{false, true} {
		b.Run(fmt.Sprintf("committer/writers=64/bytes=1024/changed=%t", hook), func(b *testing.B) {
			benchmarkCommitter(b, value, single, hook)
		})
	}
}

func benchmarkCommitter(b *testing.B, value []byte, single float64, hook bool) {
	cfg := Config{Dir: b.TempDir()}
	var folded uint64
	if hook {
		cfg.Changed = func(c Change) { folded ^= c.Old ^ c.New }
	}
	s, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	b.ResetTimer()
	start, cpu := time.Now(), cpuTime(b)
	runWriters(b, func(i int64) {
		done := make(chan error, 1)
		s.Put(Put{
			Key: benchKey(i), Write: vclock.Write{TakeLocal: true, Value: value},
			Done: func(_ vclock.Object, err error) { done <- err },
		})
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	rate := float64(b.N) / time.Since(start).Seconds()
	// The processor time is comparable on a machine that has other things to do.
	b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(rate, "writes/s")
	b.ReportMetric(float64(b.N)/float64(s.Stats().Batches), "writes/batch")
	if single > 0 {
		b.ReportMetric(rate/single, "x-of-single")
	}
}

// cpuTime returns what this process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReport measures what following the changes adds to a commit of one record, whoever follows
// left out: two digests and a call. The limit is 500 ns and no allocation.
func BenchmarkReport(b *testing.B) {
	for _, actors := range []int{1, 3, 10} {
		b.Run(fmt.Sprintf("actors=%d", actors), func(b *testing.B) {
			var record vclock.Record
			for i := range actors {
				w := vclock.Write{Context: record.Object.Clock, Value: make([]byte, 1024)}
				record = vclock.Record{Object: record.Object}.Put(w, vclock.NewActors(uint64(i+1)))
			}
			ids := vclock.NewActors(99)
			p := &pending{key: benchKey(1), old: stored{record: record, size: 1}, record: record.Put(vclock.Write{TakeLocal: true}, ids)}
			var folded uint64
			s := &Store{cfg: Config{Changed: func(c Change) { folded ^= c.Old ^ c.New }}}
			batch := &batch{dirty: []*pending{p}}
			b.ReportAllocs()
			cpu := cpuTime(b)
			for b.Loop() {
				s.report(batch)
			}
			b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkScan reads a partition of 1 KiB objects.
func BenchmarkScan(b *testing.B) {
	s, err := Open(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const objects = 4096
	var wg sync.WaitGroup
	for i := range objects {
		wg.Add(1)
		k := Key{Partition: 7, Name: fmt.Sprintf("default/bucket/key-%06d", i)}
		s.Put(Put{Key: k, Write: vclock.Write{Value: make([]byte, 1024)}, Done: func(_ vclock.Object, err error) {
			if err != nil {
				b.Error(err)
			}
			wg.Done()
		}})
	}
	wg.Wait()
	b.ReportAllocs()
	start, n := time.Now(), 0
	for b.Loop() {
		if err := s.Scan(Scan{Partition: 7, Visit: func(Item) bool { n++; return true }}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "objects/s")
}

// BenchmarkGet reads 1 KiB objects that one put made.
func BenchmarkGet(b *testing.B) {
	s, err := Open(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var wg sync.WaitGroup
	for i := range int64(benchKeys) {
		wg.Add(1)
		s.Put(Put{
			Key: benchKey(i), Write: vclock.Write{Value: make([]byte, 1024)},
			Done: func(_ vclock.Object, err error) {
				if err != nil {
					b.Error(err)
				}
				wg.Done()
			},
		})
	}
	wg.Wait()
	b.ReportAllocs()
	i := int64(0)
	for b.Loop() {
		if o, err := s.Get(benchKey(i)); err != nil || o.Missing() {
			b.Fatal(o, err)
		}
		i++
	}
}
