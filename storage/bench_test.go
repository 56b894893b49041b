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
		o := badgerOptions(Config{Dir: b.TempDir()}.WithDefaults(), newLimits(16*mib), nil)
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
	b.Run("committer/writers=64/bytes=1024", func(b *testing.B) {
		s, err := Open(Config{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		b.ReportAllocs()
		b.ResetTimer()
		start := time.Now()
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
		b.ReportMetric(rate, "writes/s")
		b.ReportMetric(float64(b.N)/float64(s.Stats().Batches), "writes/batch")
		if single > 0 {
			b.ReportMetric(rate/single, "x-of-single")
		}
	})
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
