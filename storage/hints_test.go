package storage

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// checkHints compares what the store counts with a count of everything, as Open makes it.
func checkHints(t *testing.T, s *Store) {
	t.Helper()
	settle(t, s) // the committer is idle after this
	got := s.Hints()
	again := &Store{cfg: s.cfg, log: s.log, db: s.db, last: s.last}
	again.countHints()
	if want := again.Hints(); !slices.Equal(got, want) {
		t.Errorf("counted %+v\n    there is %+v", got, want)
	}
	st := s.Stats()
	var count, bytes int64
	for _, h := range got {
		count, bytes = count+h.Count, bytes+h.Bytes
	}
	if st.HintCount != count || st.HintBytes != bytes || s.hints.used != bytes {
		t.Errorf("stats %d and %d, space used %d, of owners %d and %d", st.HintCount, st.HintBytes, s.hints.used, count, bytes)
	}
}

func TestHintsAreCounted(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, small(dir))
	if n := len(s.Hints()); n != 0 {
		t.Errorf("%d owners in an empty store", n)
	}
	mustPut(t, s, key("own"), blind("does not count"))
	steps := []func(){
		func() { mustPut(t, s, hint("b", "k"), blind("v")) },
		func() { mustPut(t, s, hint("a", "k"), blind(large(200_000, "v"))) }, // in chunks
		func() { mustPut(t, s, hint("a", "k2"), blind("v")) },
		func() { mustPut(t, s, hint("a", "k2"), blind("sibling")) },
		func() { mustMerge(t, s, hint("a", "k2"), mustGet(t, s, hint("b", "k"))) },
		func() { mustMerge(t, s, hint("a", "k2"), mustGet(t, s, hint("b", "k"))) }, // unchanged
		func() {
			mustPut(t, s, hint("a", "k"), vclock.Write{TakeLocal: true, Value: []byte(large(90_000, "v"))})
		},
		func() { mustDrop(t, s, hint("b", "k"), 1, false) },
		func() { mustDrop(t, s, hint("b", "k"), mustGet(t, s, hint("b", "k")).Digest(), true) },
		func() { mustDrop(t, s, hint("b", "k"), 1, true) },
		// Corrupt, whole and in chunks, replaced and dropped.
		func() { flipBit(t, s, recordKey(hint("a", "k2"))); mustPut(t, s, hint("a", "k2"), blind("new")) },
		func() {
			txn := readTxn(s)
			defer txn.Discard()
			flipBit(t, s, chunkKey(hint("a", "k"), readRecord(txn, hint("a", "k")).head.generation, 0))
			mustDrop(t, s, hint("a", "k"), 0, true)
		},
		func() { mustPut(t, s, hint("a", "k"), vclock.Write{TakeLocal: true, Value: []byte("v")}) },
	}
	for i, step := range steps {
		step()
		if checkHints(t, s); t.Failed() {
			t.Fatalf("after step %d", i)
		}
	}
	if h := s.Hints(); len(h) != 1 || h[0].Owner != "a" || h[0].Count != 2 {
		t.Errorf("hints %+v", h)
	}
	// The head of a hint in chunks is damaged: nobody knows its chunks any more. They stay counted
	// while the store runs.
	mustPut(t, s, hint("a", "k"), vclock.Write{TakeLocal: true, Value: []byte(large(100_000, "w"))})
	flipBit(t, s, recordKey(hint("a", "k")))
	mustPut(t, s, hint("a", "k"), blind("v"))
	if n := s.Stats().HintBytes; n < 100_000 || n > 101_000 {
		t.Errorf("%d bytes counted, want the chunks that nobody knows among them", n)
	}
	mustClose(t, s)
	s = mustOpen(t, small(dir))
	checkHints(t, s)
	want := s.Hints()
	mustClose(t, s)
	s = mustOpen(t, small(dir))
	if got := s.Hints(); !slices.Equal(got, want) {
		t.Errorf("after reopening %+v, want %+v", got, want)
	}
	checkHints(t, s)
}

func TestHintSpaceIsBounded(t *testing.T) {
	dir := t.TempDir()
	cfg := small(dir)
	cfg.MaxHintBytes = 300_000
	s := mustOpen(t, cfg)
	objects := map[Key]vclock.Object{}
	refused := 0
	try := func(n int, owner string, size int) {
		t.Helper()
		k := hint(owner, fmt.Sprint(n))
		minted := false
		done := make(chan error, 1)
		if n%2 == 0 {
			s.Put(Put{
				Key: k, Write: blind(large(size, "v")), Minted: func(vclock.Object) { minted = true },
				Done: func(_ vclock.Object, err error) { done <- err },
			})
		} else {
			o := vclock.Record{}.Put(blind(large(size, "v")), vclock.NewActors(uint64(n)+1)).Object
			s.Merge(Merge{Key: k, Object: o, Done: func(err error) { done <- err }})
		}
		err := <-done
		switch {
		case errors.Is(err, ErrHintsFull):
			refused++
			if minted || !mustGet(t, s, k).Equal(objects[k]) {
				t.Errorf("refused, but minted %t or stored", minted)
			}
		case err != nil:
			t.Error(err)
		default:
			objects[k] = mustGet(t, s, k)
		}
		if st := s.Stats(); st.HintBytes > cfg.MaxHintBytes || st.HintsRefused != int64(refused) {
			t.Errorf("%d bytes of at most %d, %d refusals counted of %d", st.HintBytes, cfg.MaxHintBytes, st.HintsRefused, refused)
		}
	}
	for n := range 20 {
		try(n, []string{"a", "b"}[n/2%2], 20_000)
	}
	if refused < 4 || refused > 8 {
		t.Fatalf("%d of 20 refused", refused)
	}
	checkHints(t, s)
	try(40, "a", 200_000) // in chunks
	if n := s.Stats().HintCount; n != int64(len(objects)) {
		t.Errorf("%d hints counted, %d stored", n, len(objects))
	}
	// Full, but what is there can be written anew as long as it does not grow, own records always.
	before := refused
	for k, o := range objects {
		mustMerge(t, s, k, o)
		mustPut(t, s, k, vclock.Write{TakeLocal: true, Value: []byte(large(10_000, "v"))})
		objects[k] = mustGet(t, s, k)
		break
	}
	mustPut(t, s, key("own"), blind(large(400_000, "v")))
	mustMerge(t, s, key("own2"), mustGet(t, s, key("own")))
	if refused != before {
		t.Errorf("%d refused", refused-before)
	}
	// The bound outlives a restart, and drops make room.
	mustClose(t, s)
	s = mustOpen(t, cfg)
	refused = 0
	try(100, "c", 30_000)
	if refused != 1 {
		t.Error("after a restart there is room")
	}
	for k, o := range objects {
		mustDrop(t, s, k, o.Digest(), true)
	}
	if st := s.Stats(); st.HintCount != 0 || st.HintBytes != 0 {
		t.Errorf("%d hints, %d bytes after the last drop", st.HintCount, st.HintBytes)
	}
	if try(100, "c", 200_000); refused != 1 {
		t.Error("no room after everything was dropped")
	}
	checkHints(t, s)
}

// The bound holds within one batch: each operation sees what those before it take.
func TestHintSpaceIsBoundedWithinABatch(t *testing.T) {
	hold := newHold()
	cfg := small(t.TempDir())
	cfg.MaxHintBytes = 10_000
	s := mustOpenHooked(t, cfg, hold.hooks)
	mustPutHeld(t, s, hold, key("k"), blind("v"))
	o := vclock.Record{}.Put(blind(large(3000, "v")), vclock.NewActors(1)).Object
	answers := make(chan error, 10)
	for i := range 6 {
		s.Merge(Merge{Key: hint("a", fmt.Sprint(i)), Object: o, Done: func(err error) { answers <- err }})
	}
	s.Drop(Drop{Key: hint("a", "0"), Digest: o.Digest(), Done: func(_ bool, err error) { answers <- err }})
	s.Merge(Merge{Key: hint("a", "6"), Object: o, Done: func(err error) { answers <- err }})
	hold.release()
	var got []bool
	for range 8 {
		err := <-answers
		if err != nil && !errors.Is(err, ErrHintsFull) {
			t.Error(err)
		}
		got = append(got, err == nil)
	}
	if want := "[true true true false false false true true]"; fmt.Sprint(got) != want {
		t.Errorf("admitted %v, want %s", got, want)
	}
	checkHints(t, s)
}

// One crash between the transactions of a large hint: see TestCrashBetweenChunkTransactions for own
// records. Its chunks are found by the garbage entries of hints.
func TestCrashedHintLeavesNoChunks(t *testing.T) {
	dir := t.TempDir()
	h := defaultHooks()
	commit, left, crashed := h.commit, -1, ""
	h.commit = func(txn *badger.Txn, at uint64) error {
		if left--; left == 0 {
			crashed = copyDir(t, dir)
			return errors.New("crashed here")
		}
		return commit(txn, at)
	}
	s := mustOpenHooked(t, small(dir), h)
	left = 3
	if err := merge(s, hint("a", "k"), vclock.Record{}.Put(blind(large(600_000, "v")), vclock.NewActors(1)).Object); !errors.Is(err, ErrFenced) {
		t.Fatal(err)
	}
	mustClose(t, s)
	s = mustOpen(t, small(crashed))
	if n := countKind(s, kindChunk|kindHint) + countKind(s, kindGarbage|kindHint); n != 0 || len(s.Hints()) != 0 {
		t.Errorf("%d chunks and garbage entries are left, hints %+v", n, s.Hints())
	}
}

func TestOwnersOfHints(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	if _, err := put(s, hint(large(maxHintBytes+1, "o"), "k"), blind("v")); err == nil {
		t.Error("an owner of 65 bytes was accepted")
	}
	mustPut(t, s, hint(large(maxHintBytes, "o"), large(maxNameBytes, "n")), blind(large(100_000, "v")))
	if got := mustGet(t, s, hint(large(maxHintBytes, "o"), large(maxNameBytes, "n"))); len(got.Siblings) != 1 {
		t.Errorf("the longest key has %d siblings", len(got.Siblings))
	}
	checkHints(t, s)
}

func TestRuns(t *testing.T) {
	cfg := small(t.TempDir())
	former := uint64(0)
	for i := range 3 {
		s := mustOpen(t, cfg)
		if s.FormerRun() != former || s.Run() == former || s.Run() == 0 {
			t.Errorf("life %d: run %x after %x, want after %x", i, s.Run(), s.FormerRun(), former)
		}
		former = s.Run()
		mustClose(t, s)
	}
	// A damaged note is none.
	s := mustOpen(t, cfg)
	overwrite(t, s, appendKey(nil, kindMeta, Key{Name: "run"}), []byte("damaged"))
	mustClose(t, s)
	s = mustOpen(t, cfg)
	if s.FormerRun() != 0 {
		t.Errorf("run %x from a damaged note", s.FormerRun())
	}
}
