package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// checkFenced checks that writes are refused with the reason, and that reads go on.
func checkFenced(t *testing.T, s *Store, reason string) {
	t.Helper()
	_, putErr := put(s, key("later"), blind("v"))
	for what, err := range map[string]error{"put": putErr, "merge": merge(s, key("later"), vclock.Object{}), "Fenced": s.Fenced()} {
		if !errors.Is(err, ErrFenced) || !strings.Contains(err.Error(), reason) || !strings.Contains(err.Error(), "restart") {
			t.Errorf("%s: %v, want a fence that names %q and says what to do", what, err, reason)
		}
	}
	if got := values(mustGet(t, s, key("acknowledged"))); got != "v" {
		t.Errorf("reads %q", got)
	}
	if !s.Stats().Fenced {
		t.Error("stats do not say so")
	}
}

func TestFailedCommitFences(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.EROFS, syscall.ENOSPC, badger.ErrTxnTooBig} {
		t.Run(cause.Error(), func(t *testing.T) {
			h := defaultHooks()
			commit, fail := h.commit, false
			h.commit = func(txn *badger.Txn, at uint64) error {
				if fail {
					fail = false // the disk would work again: the fence must stay all the same
					return cause
				}
				return commit(txn, at)
			}
			dir := t.TempDir()
			s := mustOpenHooked(t, small(dir), h)
			mustPut(t, s, key("acknowledged"), blind("v"))
			if s.Fenced() != nil {
				t.Fatal(s.Fenced())
			}
			fail = true
			if o, err := put(s, key("failed"), blind("v")); !errors.Is(err, ErrFenced) || !errors.Is(err, cause) || !o.Missing() {
				t.Errorf("the write: %v, %v", o, err)
			}
			checkFenced(t, s, cause.Error())
			mustClose(t, s)
			s = mustOpen(t, small(dir))
			mustPut(t, s, key("later"), blind("v"))
		})
	}
}

func TestFullDiskFencesBeforeItIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Int64
		free.Store(1 << 40)
		h := defaultHooks()
		h.free = func(string) (int64, error) { return free.Load(), nil }
		dir := t.TempDir()
		s := mustOpenHooked(t, small(dir), h)
		mustPut(t, s, key("acknowledged"), blind("v"))
		floor := s.Stats().FloorBytes + 10_000 // the next write raises it by its size
		free.Store(floor)
		mustPut(t, s, key("at the floor"), blind("v"))
		minted := false
		free.Store(s.Stats().FloorBytes - 1)
		done := make(chan error, 1)
		s.Put(Put{
			Key: key("under"), Write: blind("v"), Minted: func(vclock.Object) { minted = true },
			Done: func(_ vclock.Object, err error) { done <- err },
		})
		if err := <-done; !errors.Is(err, ErrFenced) || minted {
			t.Errorf("under the floor: %v, minted: %t", err, minted)
		}
		free.Store(1 << 40)
		checkFenced(t, s, "free")
		mustClose(t, s)

		// An idle store notices within a second; it does not start again until there is room.
		s = mustOpenHooked(t, small(dir), h)
		free.Store(floor / 2)
		time.Sleep(watchInterval + time.Millisecond)
		synctest.Wait()
		if s.Fenced() == nil {
			t.Error("an idle store did not notice")
		}
		checkFenced(t, s, "free")
		free.Store(1 << 40)
		mustClose(t, s)
		free.Store(floor / 2)
		if _, err := open(small(dir), h); err == nil || !strings.Contains(err.Error(), "refuses to start") {
			t.Errorf("start on a full disk: %v", err)
		}
		free.Store(1 << 40)
		s = mustOpenHooked(t, small(dir), h)
		mustPut(t, s, key("later"), blind("v"))
		mustClose(t, s)
	})
}

// The disk can fill up faster than the tables are measured.
func TestFloorFollowsWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, small(t.TempDir()))
		before := s.Stats().FloorBytes
		for i := range 5 {
			mustPut(t, s, key(fmt.Sprint(i)), blind(large(1*mib, "v")))
		}
		if after := s.Stats().FloorBytes; after < before+5*mib {
			t.Errorf("floor %s, after 5 MiB %s", megabytes(before), megabytes(after))
		}
		time.Sleep(watchInterval + time.Millisecond)
		synctest.Wait()
		if n := s.unmeasured.Load(); n != 0 {
			t.Errorf("%d bytes count beside the tables after these were measured", n)
		}
		mustClose(t, s)
	})
}

// One operation can take more room than the floor leaves: the space is checked for each of its
// transactions.
func TestFullDiskFencesInTheMiddleOfALargeWrite(t *testing.T) {
	h := defaultHooks()
	commit, commits, full := h.commit, 0, false
	h.commit = func(txn *badger.Txn, at uint64) error {
		commits++
		return commit(txn, at)
	}
	h.free = func(dir string) (int64, error) {
		if full && commits >= 2 {
			return 1, nil
		}
		return freeBytes(dir)
	}
	dir := t.TempDir()
	s := mustOpenHooked(t, small(dir), h)
	mustPut(t, s, key("acknowledged"), blind("v"))
	full, commits = true, 0
	if _, err := put(s, key("large"), blind(large(900_000, "v"))); !errors.Is(err, ErrFenced) || commits != 2 {
		t.Errorf("%v after %d transactions", err, commits)
	}
	checkFenced(t, s, "free")
	full = false
	mustClose(t, s)
	s = mustOpen(t, small(dir))
	if o := mustGet(t, s, key("large")); !o.Missing() || countKind(s, kindChunk) != 0 {
		t.Errorf("read %d bytes, %d chunks are left", o.Size(), countKind(s, kindChunk))
	}
}

func TestUnknownFreeSpaceFences(t *testing.T) {
	h := defaultHooks()
	var fail atomic.Bool
	h.free = func(dir string) (int64, error) {
		if fail.Load() {
			return 0, syscall.EIO
		}
		return freeBytes(dir)
	}
	s := mustOpenHooked(t, small(t.TempDir()), h)
	mustPut(t, s, key("acknowledged"), blind("v"))
	fail.Store(true)
	checkFenced(t, s, syscall.EIO.Error())
	fail.Store(false)
}

func TestBadgersErrorsFence(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	mustPut(t, s, key("acknowledged"), blind("v"))
	for range 3 { // more than the channel holds must not block
		badgerLogger{s.log, s.noteFailure}.Errorf("error flushing memtable to disk: %v, retrying", syscall.EIO)
	}
	for s.Fenced() == nil {
		if _, err := put(s, key("k"), blind("v")); err != nil && !errors.Is(err, ErrFenced) {
			t.Fatal(err)
		}
	}
	checkFenced(t, s, "flushing memtable")
}

// A commit hangs. Whoever waits is answered after the timeout, reads go on all the while, Close
// gives up after a while, and when the commit comes back nothing is answered twice.
func TestHungCommitFences(t *testing.T) {
	for _, comesBack := range []bool{true, false} {
		t.Run(fmt.Sprint("comes back=", comesBack), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				h := defaultHooks()
				commit := h.commit
				hang := make(chan struct{})
				var hanging atomic.Bool
				h.commit = func(txn *badger.Txn, at uint64) error {
					if hanging.Load() {
						<-hang
					}
					return commit(txn, at)
				}
				s := mustOpenHooked(t, small(dir), h)
				mustPut(t, s, key("acknowledged"), blind("v"))
				hanging.Store(true)
				answers := make(chan error, 10)
				submit := func(name string) {
					s.Put(Put{Key: key(name), Write: blind("v"), Done: func(_ vclock.Object, err error) { answers <- err }})
				}
				start := time.Now()
				submit("hanging")
				synctest.Wait()
				submit("waiting")
				time.Sleep(20 * time.Second)
				if got := values(mustGet(t, s, key("acknowledged"))); got != "v" {
					t.Errorf("a read beside the hanging commit: %q", got)
				}
				if len(answers) != 0 {
					t.Fatalf("answered after %v: %v", time.Since(start), <-answers)
				}
				for range 2 {
					if err := <-answers; !errors.Is(err, ErrFenced) {
						t.Errorf("got %v", err)
					}
				}
				if took := time.Since(start); took < 30*time.Second || took > 32*time.Second {
					t.Errorf("fenced after %v", took)
				}
				checkFenced(t, s, "not finished a batch")
				if comesBack {
					close(hang)
					mustClose(t, s)
				} else {
					if err := s.Close(); err == nil || !strings.Contains(err.Error(), "hangs") {
						t.Errorf("close: %v", err)
					}
					// Only so that the bubble can end; a real disk would keep these goroutines.
					close(hang)
					<-s.done
					s.db.Close()
				}
				synctest.Wait()
				if n := len(answers); n != 0 {
					t.Errorf("%d operations were answered twice", n)
				}
			})
		})
	}
}

// The store is fenced for another reason while a batch is under way: that one ends well, the one on top
// of it fails. If the disk is found too full when that begins, nothing of it is minted.
func TestFenceBetweenTwoBatches(t *testing.T) {
	for _, full := range []bool{false, true} {
		cfg := small(t.TempDir())
		var free atomic.Int64
		free.Store(1 << 40)
		cfg.FreeBytes = free.Load
		f := newTraffic(t, cfg)
		held := place(f.before)
		f.put("first", key("k"), blind("v"))
		<-held.met
		if full {
			free.Store(1)
			f.send("second", key("k"))
		} else {
			f.put("second", key("k"), blind("w"))
			f.s.fence(syscall.EIO, false)
		}
		held.verdict <- nil
		f.under.Wait()
		free.Store(1 << 40)
		mustClose(t, f.s)
		slices.Sort(f.notes) // if it was in no batch yet, the second may be told first
		f.want("changed k", "durable", "first", "second: fenced")
		if got := values(mustGet(t, mustOpen(t, small(cfg.Dir)), key("k"))); got != "v" {
			t.Errorf("full=%t: reads %q", full, got)
		}
	}
}
