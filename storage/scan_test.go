package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// collectScan runs a scan and returns its items.
func collectScan(t testing.TB, s *Store, r Scan) (items []Item) {
	t.Helper()
	r.Visit = func(i Item) bool { items = append(items, i); return true }
	if err := s.Scan(r); err != nil {
		t.Fatal(err)
	}
	return items
}

func scanKeys(items []Item) []Key {
	var keys []Key
	for _, i := range items {
		keys = append(keys, i.Key)
	}
	return keys
}

func TestScanRanges(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, small(dir))
	// Owners of which one begins like the other, partitions whose bytes look like a name's.
	owners := []string{"", "a", "aa", "b", strings.Repeat("o", maxHintBytes)}
	partitions := []uint16{0, 1, 7, 0x0161, 65535}
	names := []string{"\x00", "a", "a\x00", "aa", "b", "\xff\xff"}
	for _, owner := range owners {
		for _, p := range partitions {
			for _, name := range names {
				value := fmt.Sprint(owner, p, name)
				if name == "aa" {
					value += large(100_000, "x") // in chunks
				}
				mustPut(t, s, Key{Partition: p, Name: name, Hint: owner}, blind(value))
			}
		}
	}
	keys := func(owner string, ps []uint16, after Key) (want []Key) {
		for _, p := range ps {
			for _, name := range names {
				if k := (Key{Partition: p, Name: name, Hint: owner}); after == (Key{}) ||
					p > after.Partition || p == after.Partition && name > after.Name {
					want = append(want, k)
				}
			}
		}
		return want
	}
	check := func(r Scan, ps []uint16) {
		t.Helper()
		items := collectScan(t, s, r)
		if got, want := scanKeys(items), keys(r.Hint, ps, r.After); !slices.Equal(got, want) {
			t.Errorf("%q partition %d after %v:\n got %v\nwant %v", r.Hint, r.Partition, r.After, got, want)
		}
		for _, i := range items {
			if want := mustGet(t, s, i.Key); i.Err != nil || !i.Object.Equal(want) {
				t.Errorf("%v: %d bytes, %v", i.Key, i.Object.Size(), i.Err)
			}
		}
	}
	for range 2 {
		for _, owner := range owners {
			for _, p := range partitions {
				check(Scan{Hint: owner, Partition: p}, []uint16{p})
				check(Scan{Hint: owner, Partition: p, After: Key{Partition: p, Name: "a", Hint: owner}}, []uint16{p})
				check(Scan{Hint: owner, Partition: p, After: Key{Partition: p, Name: "aaa", Hint: owner}}, []uint16{p})
				if owner != "" {
					check(Scan{Hint: owner, AllPartitions: true, After: Key{Partition: p, Name: "b", Hint: owner}}, partitions)
				}
			}
			check(Scan{Hint: owner, Partition: 2}, nil)
			if owner != "" {
				check(Scan{Hint: owner, AllPartitions: true}, partitions)
			}
		}
		check(Scan{Hint: "nobody", AllPartitions: true}, nil)
		mustClose(t, s)
		s = mustOpen(t, small(dir)) // and again from tables
	}
	for prefix, want := range map[string]bool{"a": true, "zz": false} {
		if got, err := s.HasPrefix(prefix); err != nil || got != want {
			t.Errorf("own name with prefix %q: %t, %v", prefix, got, err)
		}
	}
}

func TestHasPrefixLooksAtOwnRecordsOnly(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	mustPut(t, s, hint("owner", "bucket/k"), blind("v"))
	if got, err := s.HasPrefix("bucket/"); got || err != nil {
		t.Errorf("a hint counts as the node's own: %t, %v", got, err)
	}
}

func TestScanRefuses(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	visit := func(Item) bool { t.Error("visited"); return true }
	for name, r := range map[string]Scan{
		"all own records":       {AllPartitions: true},
		"another owner's key":   {Hint: "a", After: Key{Name: "k", Hint: "b"}},
		"another partition":     {Partition: 1, After: Key{Partition: 2, Name: "k"}},
		"an owner of 65 bytes":  {Hint: strings.Repeat("o", 65)},
		"own key after a hint":  {After: Key{Name: "k", Hint: "b"}},
		"hint after an own key": {Hint: "a", AllPartitions: true, After: Key{Name: "k"}},
	} {
		r.Visit = visit
		if err := s.Scan(r); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestScanStopsAndReadsOneSnapshot(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	for i := range 5 {
		mustPut(t, s, key(fmt.Sprint(i)), blind("old"))
	}
	var got []string
	err := s.Scan(Scan{Partition: 7, Visit: func(i Item) bool {
		got = append(got, i.Key.Name+values(i.Object))
		mustPut(t, s, key("3"), vclock.Write{TakeLocal: true, Value: []byte("new")})
		mustPut(t, s, key("2"+i.Key.Name), blind("between"))
		return i.Key.Name != "3"
	}})
	if err != nil || fmt.Sprint(got) != "[0old 1old 2old 3old]" {
		t.Errorf("got %v, %v", got, err)
	}
	if n := len(s.snapshots.open); n != 0 {
		t.Errorf("%d snapshots are still in use", n)
	}
}

func TestScanDeliversDamage(t *testing.T) {
	var damaged []Key
	cfg := small(t.TempDir())
	cfg.Damaged = func(k Key) { damaged = append(damaged, k) }
	s := mustOpen(t, cfg)
	for _, owner := range []string{"", "owner"} {
		for _, name := range []string{"a", "b", "c", "d"} {
			mustPut(t, s, hint(owner, name), blind(large(100_000, name)))
		}
		mustPut(t, s, hint(owner, "e"), blind("e"))
		flipBit(t, s, recordKey(hint(owner, "b"))) // a head
		txn := readTxn(s)
		h := readRecord(txn, hint(owner, "c")).head
		txn.Discard()
		flipBit(t, s, chunkKey(hint(owner, "c"), h.generation, 1))
		flipBit(t, s, recordKey(hint(owner, "e")))
		// A key that the store never writes.
		overwrite(t, s, recordKey(hint(owner, strings.Repeat("n", maxNameBytes+1))), []byte("x"))

		before := s.Stats().Corrupt
		var got []string
		for _, i := range collectScan(t, s, Scan{Hint: owner, Partition: 7}) {
			if i.Key.Hint != owner || i.Key.Partition != 7 || (i.Err != nil) != i.Object.Missing() || i.Err != nil && !errors.Is(i.Err, ErrCorrupt) {
				t.Errorf("item %+v", i.Key)
			}
			got = append(got, fmt.Sprint(i.Key.Name, i.Err == nil))
		}
		if want := "[atrue bfalse cfalse dtrue efalse false]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
		if n := s.Stats().Corrupt - before; n != 4 {
			t.Errorf("%d counted", n)
		}
	}
	if want := []Key{key("b"), key("c"), key("e"), {Partition: 7}}; !slices.Equal(damaged, want) {
		t.Errorf("told of %v, want the own ones %v", damaged, want)
	}
}

// Damage on the disk below Badger: its blocks are not verified, and its iterator trips over some.
// Opening (which looks for garbage and counts hints), scanning and looking for a prefix go on or end
// with an error; the process lives.
func TestScanSurvivesDamagedBlocks(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, small(dir))
	for i := range 200 {
		for _, owner := range []string{"", "owner"} {
			mustPut(t, s, hint(owner, fmt.Sprintf("%s%03d", strings.Repeat("k", i%7), i)), blind(large(200, "v")))
		}
	}
	mustClose(t, s)
	random := rand.New(rand.NewPCG(3, 4))
	stopped, delivered := 0, 0
	for range 15 {
		damaged := copyDir(t, dir)
		damageTables(t, damaged, random)
		var told atomic.Int64
		cfg := small(damaged)
		cfg.Damaged = func(k Key) { told.Add(1) }
		s, err := Open(cfg)
		if err != nil {
			continue // Badger itself noticed
		}
		if found, err := s.HasPrefix("none"); err != nil && (found || !errors.Is(err, ErrCorrupt)) {
			t.Errorf("looking for a prefix: %t, %v", found, err)
		}
		for _, owner := range []string{"", "owner"} {
			before := told.Load()
			items := 0
			err := s.Scan(Scan{Partition: 7, Hint: owner, Visit: func(i Item) bool {
				if items++; i.Err != nil {
					delivered++
				}
				return true
			}})
			if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Errorf("the scan ended with %v", err)
			}
			if err != nil {
				stopped++
				if owner == "" && told.Load() == before {
					t.Error("nobody was told of the damage that ended the scan")
				}
			}
			if items > 1000 {
				t.Errorf("%d items of 200", items)
			}
		}
		if n := len(s.snapshots.open); n != 0 {
			t.Errorf("%d snapshots are in use", n)
		}
		s.Close()
	}
	t.Logf("%d scans were stopped, %d items delivered as damaged", stopped, delivered)
	if stopped == 0 || delivered == 0 {
		t.Errorf("%d scans were stopped and %d items delivered as damaged: the damage is too small", stopped, delivered)
	}
}

// damageTables overwrites some bytes in the blocks of each table, and leaves the index behind them.
func damageTables(t *testing.T, dir string, random *rand.Rand) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %v, %v", tables, err)
	}
	for _, path := range tables {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			b[random.IntN(len(b)*8/10)] = byte(random.Uint32())
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Began has its place among the writes: what is queued before it is in the scan and was reported,
// what is queued after it is neither. All of them wait in one queue here.
func TestBeganStandsBetweenBatches(t *testing.T) {
	hold := newHold()
	cfg := small(t.TempDir())
	var events []string
	cfg.Changed = func(c Change) { events = append(events, c.Key.Name) }
	s := mustOpenHooked(t, cfg, hold.hooks)
	mustPutHeld(t, s, hold, key("0"), blind("v"))
	var wg sync.WaitGroup
	submit := func(name string) {
		wg.Add(1)
		s.Put(Put{Key: key(name), Write: blind(name), Done: func(vclock.Object, error) { wg.Done() }})
	}
	scans := make([][]string, 3)
	scan := func(n int) {
		wg.Add(1)
		before, _ := s.queue.load()
		go func() {
			defer wg.Done()
			r := Scan{Partition: 7, Began: func() { events = append(events, fmt.Sprint("scan", n)) }}
			for _, i := range collectScan(t, s, r) {
				scans[n] = append(scans[n], i.Key.Name)
			}
		}()
		for now := before; now == before; now, _ = s.queue.load() {
			time.Sleep(time.Millisecond) // sleep-ok: the scan's place in the queue is the point, and nothing tells of it
		}
	}
	scan(0)
	submit("1")
	submit("2")
	scan(1)
	scan(2)
	submit("3")
	hold.release()
	wg.Wait()
	if got, want := fmt.Sprint(events), "[0 scan0 1 2 scan1 scan2 3]"; got != want && got != "[0 scan0 2 1 scan1 scan2 3]" {
		t.Errorf("events %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(scans), "[[0] [0 1 2] [0 1 2]]"; got != want {
		t.Errorf("scans read %s, want %s", got, want)
	}
	if n := len(s.snapshots.open); n != 0 {
		t.Errorf("%d snapshots are still in use", n)
	}
}

func TestScanOfAFencedStore(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	mustPut(t, s, key("acknowledged"), blind("v"))
	s.fence(errors.New("the disk is on fire"), false)
	if items := collectScan(t, s, Scan{Partition: 7}); len(items) != 1 {
		t.Errorf("%d items", len(items))
	}
	began := false
	err := s.Scan(Scan{Partition: 7, Began: func() { began = true }, Visit: func(Item) bool { return true }})
	if !errors.Is(err, ErrFenced) || began {
		t.Errorf("with Began: %v, began: %t", err, began)
	}
	if dropped, err := drop(s, key("acknowledged"), 1); dropped || !errors.Is(err, ErrFenced) {
		t.Errorf("a drop: %t, %v", dropped, err)
	}
	mustClose(t, s)
	for _, r := range []Scan{{}, {Began: func() { began = true }}} {
		if err := s.Scan(r); !errors.Is(err, ErrClosed) || began {
			t.Errorf("after Close: %v, began: %t", err, began)
		}
	}
}

// A scan with Began waits behind a batch that hangs. Its caller is told when the store fences, and
// when the disk comes back the scan does not begin after all.
func TestScanBehindAHungCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := defaultHooks()
		commit, hang := h.commit, make(chan struct{})
		var hanging, began atomic.Bool
		h.commit = func(txn *badger.Txn, at uint64) error {
			if hanging.Load() {
				<-hang
			}
			return commit(txn, at)
		}
		var changes atomic.Int64
		cfg := small(t.TempDir())
		cfg.Changed = func(Change) { changes.Add(1) }
		s := mustOpenHooked(t, cfg, h)
		hanging.Store(true)
		done := make(chan error, 1)
		s.Put(Put{Key: key("k"), Write: blind("v"), Done: func(_ vclock.Object, err error) { done <- err }})
		err := s.Scan(Scan{Partition: 7, Began: func() { began.Store(true) }, Visit: func(Item) bool { return true }})
		if !errors.Is(err, ErrFenced) || !errors.Is(<-done, ErrFenced) || changes.Load() != 0 {
			t.Errorf("got %v, %d changes", err, changes.Load())
		}
		close(hang)
		mustClose(t, s)
		if began.Load() || len(s.snapshots.open) != 0 {
			t.Errorf("began: %t, %d snapshots in use", began.Load(), len(s.snapshots.open))
		}
		// The record is there after all, so who follows the changes was told.
		if changes.Load() != 1 {
			t.Errorf("%d changes reported, want the one that became durable late", changes.Load())
		}
	})
}

// The guard has fenced the store just when a scan began: the caller has its answer, so nobody would
// release the snapshot.
func TestSnapshotOfAnAbandonedScanIsReleased(t *testing.T) {
	s := &Store{queue: newQueue(1, 1), snapshots: newSnapshots(5)}
	o := &op{kind: opMark, began: func() {}, doneMark: func(uint64, error) { t.Error("answered twice") }}
	if err := s.mark(o); err != nil || o.at != 5 {
		t.Fatalf("snapshot %d, %v", o.at, err)
	}
	s.finish([]*op{o}, nil) // nothing is in flight any more
	if n := len(s.snapshots.open); n != 0 {
		t.Errorf("%d snapshots are in use", n)
	}
}

// A scan reads the snapshot that the committer took when it called Began, however late it comes to it.
func TestScanReadsTheSnapshotOfBegan(t *testing.T) {
	s := &Store{queue: newQueue(1, 1), snapshots: newSnapshots(5)}
	got := make(chan uint64, 1)
	go func() {
		at, err := s.snapshotFor(func() {})
		if err != nil {
			t.Error(err)
		}
		got <- at
	}()
	ops, _, _ := s.queue.take(1, true)
	if err := s.mark(ops[0]); err != nil {
		t.Error(err)
	}
	if oldest := s.snapshots.publish(6); oldest != 5 { // as the next batch would
		t.Errorf("compaction may drop what is older than %d", oldest)
	}
	s.finish(ops, nil)
	if at := <-got; at != 5 {
		t.Errorf("reads at %d, Began was called at 5", at)
	}
}

// Close ends a scan at its next item, and waits for it.
func TestCloseEndsScans(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, small(dir))
		for i := range 10 {
			mustPut(t, s, key(fmt.Sprint(i)), blind("v"))
		}
		visits, closed := 0, false
		resume, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- s.Scan(Scan{Partition: 7, Visit: func(Item) bool {
				visits++
				<-resume
				return true
			}})
		}()
		synctest.Wait()
		go func() { mustClose(t, s); closed = true }()
		synctest.Wait()
		if closed {
			t.Error("Close returned under a scan")
		}
		close(resume)
		if err := <-ended; !errors.Is(err, ErrClosed) || visits != 1 {
			t.Errorf("the scan ended with %v after %d items", err, visits)
		}
		synctest.Wait()
		if !closed {
			t.Error("Close still waits")
		}
	})
}

// While a scan takes long, other readers come and go at many timestamps. The registry must not grow
// by them: every later release would search it.
func TestSnapshotsStayFewBesideALongReader(t *testing.T) {
	s := newSnapshots(1)
	long, _ := s.acquire()
	for at := uint64(2); at < 1000; at++ {
		if got := s.publish(at); got != long {
			t.Fatalf("oldest %d, want %d", got, long)
		}
		short, _ := s.acquire()
		other, _ := s.acquire()
		s.release(short)
		s.release(other)
		if n := len(s.open); n != 1 {
			t.Fatalf("%d entries after %d short readers", n, at)
		}
	}
	s.release(long)
	if got := s.publish(1000); got != 1000 || len(s.open) != 0 {
		t.Errorf("oldest %d, %d entries", got, len(s.open))
	}
}

// A disk that goes away leaves Badger without a memtable once it needs the next one: making an
// iterator panics then, and so does discarding the transaction that counts it.
func TestReadsAfterTheDiskIsGone(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "objects")
	cfg := small(dir)
	cfg.FreeBytes = func() int64 { return 1 << 40 } // or the question for it would fence the store
	cfg.CommitTimeout = time.Second
	s := mustOpenAs(t, cfg)
	mustPut(t, s, key("a"), blind("v"))
	if err := os.Rename(dir, filepath.Join(parent, "gone")); err != nil {
		t.Fatal(err)
	}
	for i := 0; s.Fenced() == nil && i < 100; i++ {
		_, _ = put(s, key(fmt.Sprint("b", i)), blind(large(200_000, "v"))) // one of them must fail
	}
	if s.Fenced() == nil {
		t.Fatal("the store goes on without its disk")
	}
	err := s.Scan(Scan{Partition: key("a").Partition, Visit: func(Item) bool { return true }})
	if err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("scan: %v", err)
	}
	if _, err := s.HasPrefix("a"); err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("looking for a prefix: %v", err)
	}
	if _, err := s.Get(key("a")); err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("get: %v", err)
	}
	if n := len(s.snapshots.open); n != 0 {
		t.Errorf("%d snapshots are in use", n)
	}
	// Badger's Close waits until it can flush.
	if err := os.Rename(filepath.Join(parent, "gone"), dir); err != nil {
		t.Fatal(err)
	}
	_ = s.Close() // of a store that failed
}
