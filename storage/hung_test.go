package storage

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/vclock"
)

// The disk hangs before an operation is applied. Its writer is told that it failed; when the disk
// comes back it must not be minted after all.
func TestNothingIsMintedAfterAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := defaultHooks()
		hang := make(chan struct{})
		var hanging, minted atomic.Bool
		h.free = func(dir string) (int64, error) {
			if hanging.Load() {
				<-hang
			}
			return freeBytes(dir)
		}
		s := mustOpenHooked(t, small(t.TempDir()), h)
		hanging.Store(true)
		done := make(chan error, 2)
		s.Put(Put{
			Key: key("k"), Write: blind("v"), Minted: func(vclock.Object) { minted.Store(true) },
			Done: func(_ vclock.Object, err error) { done <- err },
		})
		if err := <-done; !errors.Is(err, ErrFenced) {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Second)
		close(hang)
		mustClose(t, s)
		if minted.Load() {
			t.Error("minted after the writer was told that the write failed")
		}
		if len(done) != 0 {
			t.Error("answered twice")
		}
	})
}

// Operations that read large objects and change nothing count toward the size of a batch, too: the
// batch keeps what it read.
func TestBatchBoundsWhatItReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stalled := make(chan struct{})
		var stall atomic.Bool
		cfg := small(t.TempDir())
		cfg.Commit = func(store func() error) error {
			if stall.Load() {
				<-stalled
			}
			return store()
		}
		s := mustOpenAs(t, cfg)
		objects := map[string]vclock.Object{}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			objects[name] = mustPut(t, s, key(name), blind(large(300_000, name)))
		}
		stall.Store(true)
		done := make(chan error, 10)
		s.Put(Put{Key: key("first"), Write: blind("v"), Done: func(_ vclock.Object, err error) { done <- err }})
		synctest.Wait()
		before := s.Stats().Batches
		for name, o := range objects {
			s.Merge(Merge{Key: key(name), Object: o, Done: func(err error) { done <- err }})
		}
		stall.Store(false)
		close(stalled)
		for range len(objects) + 1 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := s.Stats().Batches - before; n != int64(len(objects))+1 {
			t.Errorf("%d batches, want one per object and one before: each object fills a batch", n)
		}
		mustClose(t, s)
	})
}

func mustOpenAs(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
