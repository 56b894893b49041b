package storage

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// readTxn returns a transaction at the newest snapshot; the committer may be at work.
func readTxn(s *Store) *badger.Txn {
	s.snapshots.mu.Lock()
	defer s.snapshots.mu.Unlock()
	return s.db.NewTransactionAt(s.snapshots.visible, false)
}

// countKind returns how many database keys of a kind are there.
func countKind(s *Store, kind byte) int {
	txn := readTxn(s)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}})
	defer it.Close()
	n := 0
	for it.Rewind(); it.Valid(); it.Next() {
		n++
	}
	return n
}

// settle waits until the chunks are deleted that the last write replaced: the batch writer does so before
// it takes the next batch.
func settle(t *testing.T, s *Store) {
	t.Helper()
	mustMerge(t, s, key("settle"), vclock.Object{})
}

func large(n int, c string) string { return strings.Repeat(c, n) }

func TestLargeObjects(t *testing.T) {
	t.Parallel()
	for _, memTable := range []int64{1 * mib, 16 * mib} {
		t.Run(fmt.Sprint("memtable=", memTable), func(t *testing.T) {
			dir := t.TempDir()
			cfg := Config{Dir: dir, MemTableBytes: memTable}
			inline := newLimits(memTable).inline
			s := mustOpen(t, cfg)
			check := func(name, want string, chunked bool) {
				t.Helper()
				if got := values(mustGet(t, s, key(name))); got != want {
					t.Fatalf("%s: %d bytes, want %d", name, len(got), len(want))
				}
				txn := readTxn(s)
				defer txn.Discard()
				if h := readRecord(txn, key(name)).head; (h.count > 0) != chunked {
					t.Errorf("%s: %d chunks", name, h.count)
				}
			}
			rewrite := func(name, value string) {
				t.Helper()
				mustPut(t, s, key(name), vclock.Write{TakeLocal: true, Value: []byte(value)})
			}
			rewrite("under", large(inline-200, "a"))
			check("under", large(inline-200, "a"), false)
			rewrite("over", large(inline, "b"))
			check("over", large(inline, "b"), true)
			rewrite("k", large(1*mib, "c"))
			check("k", large(1*mib, "c"), true)
			rewrite("k", large(700_000, "d"))
			check("k", large(700_000, "d"), true)
			settle(t, s)
			if n, want := countKind(s, kindChunk), chunks(inline, inline)+chunks(700_000, inline); n != want {
				t.Errorf("%d chunks, want the %d of two live records", n, want)
			}
			rewrite("k", "small")
			check("k", "small", false)
			rewrite("over", "small")
			settle(t, s)
			if n := countKind(s, kindChunk) + countKind(s, kindGarbage); n != 0 {
				t.Errorf("%d chunks and garbage entries are left", n)
			}

			// An object larger than several transactions, by merging.
			var whole vclock.Object
			for i := range 20 {
				o := vclock.Record{}.Put(blind(large(1*mib, fmt.Sprint(i%10))), vclock.NewActors(uint64(i+1))).Object
				whole, _ = vclock.Merge(whole, o)
			}
			mustMerge(t, s, key("whole"), whole)
			mustClose(t, s)
			s = mustOpen(t, cfg)
			if got := mustGet(t, s, key("whole")); !got.Equal(whole) {
				t.Errorf("%d bytes, want %d", got.Size(), whole.Size())
			}
		})
	}
}

// chunks returns how many chunks a value of n bytes takes, with the record's own bytes around it.
func chunks(n, inline int) int { return (n + 100 + inline - sealBytes - 1) / (inline - sealBytes) }

// The process dies before the n-th transaction of a large write, for every n: the next life finds
// the old object or the new one, whole, and no chunks that nobody names.
func TestCrashBetweenChunkTransactions(t *testing.T) {
	t.Parallel()
	const size = 600_000 // about 15 chunks, 3 in a transaction
	old, replacement := large(size, "o"), large(size+1, "n")
	sawOld, sawNew := false, false
	for _, first := range []string{"", "small", old} {
		for crashAt := 1; ; crashAt++ {
			dir := t.TempDir()
			h := defaultHooks()
			commit := h.commit
			var crashed string
			countdown := 0
			h.commit = func(txn *badger.Txn, at uint64) error {
				if countdown--; countdown == 0 {
					crashed = copyDir(t, dir)
					return errors.New("crashed here")
				}
				return commit(txn, at)
			}
			s := mustOpenHooked(t, small(dir), h)
			if first != "" {
				mustPut(t, s, key("k"), blind(first))
				settle(t, s)
			}
			countdown = crashAt
			_, err := put(s, key("k"), vclock.Write{TakeLocal: true, Value: []byte(replacement)})
			if err == nil {
				settleOrFence(s)
			}
			mustClose(t, s)
			if crashed == "" {
				if crashAt < 6 {
					t.Errorf("only %d transactions", crashAt-1)
				}
				break
			}
			s = mustOpen(t, small(crashed))
			got := values(mustGet(t, s, key("k")))
			switch {
			case got == replacement:
				sawNew = true
			case got == first && err != nil:
				sawOld = true
			default:
				t.Errorf("crash at %d after %d bytes: %d bytes, put answered %v", crashAt, len(first), len(got), err)
			}
			want := 0
			if len(got) > 1000 {
				want = chunks(len(got), s.limits.inline)
			}
			if n := countKind(s, kindChunk); n != want || countKind(s, kindGarbage) != 0 {
				t.Errorf("crash at %d after %d bytes: %d chunks, want %d; %d garbage entries", crashAt, len(first), n, want, countKind(s, kindGarbage))
			}
			mustPut(t, s, key("k"), vclock.Write{TakeLocal: true, Value: []byte(old)})
			if got := values(mustGet(t, s, key("k"))); got != old {
				t.Errorf("crash at %d: the next write reads %d bytes", crashAt, len(got))
			}
			mustClose(t, s)
		}
	}
	if !sawOld || !sawNew {
		t.Errorf("saw the old object: %t, the new one: %t", sawOld, sawNew)
	}
}

func settleOrFence(s *Store) { merge(s, key("settle"), vclock.Object{}) }

// Readers beside a writer of one large object see one version of it, whole.
func TestReadersSeeOneVersionOfALargeObject(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, small(t.TempDir()))
	mustPut(t, s, key("k"), blind(large(300_000, "0")))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				o, err := s.Get(key("k"))
				if err != nil {
					t.Error(err)
					return
				}
				v := o.Siblings[0].Value
				if len(v) != 300_000 || strings.Trim(string(v), string(v[:1])) != "" {
					t.Errorf("%d bytes, mixed", len(v))
					return
				}
			}
		})
	}
	for i := range 15 {
		mustPut(t, s, key("k"), vclock.Write{TakeLocal: true, Value: []byte(large(300_000, fmt.Sprint(i%10)))})
	}
	close(stop)
	wg.Wait()
}

// A reader that is slower than compaction still reads its version.
func TestSnapshotsOutliveCompaction(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	mustPut(t, s, key("k"), blind("first"))
	at, _ := s.snapshots.acquire()
	for i := range 60 {
		mustPut(t, s, key("k"), vclock.Write{TakeLocal: true, Value: []byte("later")})
		mustPut(t, s, key(fmt.Sprint("fill", i)), blind(large(200_000, "f")))
	}
	if err := s.db.Flatten(2); err != nil {
		t.Fatal(err)
	}
	txn := s.db.NewTransactionAt(at, false)
	if got := values(readRecord(txn, key("k")).record.Object); got != "first" {
		t.Errorf("the old snapshot reads %q", got)
	}
	txn.Discard()
	s.snapshots.release(at)
}

func TestSnapshots(t *testing.T) {
	s := newSnapshots(5)
	a, _ := s.acquire()
	b, _ := s.acquire()
	if got := s.publish(6); a != 5 || b != 5 || got != 5 {
		t.Errorf("acquired %d and %d, oldest %d, want 5", a, b, got)
	}
	c, _ := s.acquire()
	s.release(a)
	if got := s.publish(7); c != 6 || got != 5 {
		t.Errorf("acquired %d, oldest %d, want 6 and 5", c, got)
	}
	s.release(b)
	if got := s.publish(8); got != 6 {
		t.Errorf("oldest %d, want 6", got)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSnapshots(1)
		at, _ := s.acquire()
		closed := false
		go func() { s.close(); closed = true }()
		synctest.Wait()
		if _, ok := s.acquire(); ok || closed {
			t.Errorf("acquired after close: %t, close returned under a reader: %t", ok, closed)
		}
		s.release(at)
		synctest.Wait()
		if !closed {
			t.Error("close waits for nobody")
		}
	})
}

// What a failed batch would have replaced stays, with its chunks.
func TestFailedBatchDeletesNoChunks(t *testing.T) {
	dir := t.TempDir()
	f := newTraffic(t, small(dir))
	o := mustPut(t, f.s, key("k"), blind(large(200_000, "v")))
	settle(t, f.s)
	held := place(f.before)
	f.put("replaced", key("k"), vclock.Write{TakeLocal: true})
	held.verdict <- syscall.EIO
	f.under.Wait()
	for range 2 {
		if got := mustGet(t, f.s, key("k")); !got.Equal(o) {
			t.Errorf("reads %d bytes, want %d", got.Size(), o.Size())
		}
		mustClose(t, f.s)
		f.s = mustOpen(t, small(dir))
	}
}
