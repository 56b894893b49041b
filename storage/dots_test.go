package storage

import (
	"errors"
	"testing"

	"cartwheel/storage/storagetest"
	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// dotLog fails the test when a dot is minted for a second time.
type dotLog struct {
	t    *testing.T
	seen map[Key]map[vclock.Dot]string
}

// mint writes blindly and notes the dot under the value, be the write acknowledged or not.
func (l *dotLog) mint(s *Store, k Key, value string) vclock.Object {
	l.t.Helper()
	var minted vclock.Object
	done := make(chan error, 1)
	s.Put(Put{
		Key: k, Write: vclock.Write{Value: []byte(value)},
		Minted: func(o vclock.Object) { minted = o },
		Done:   func(_ vclock.Object, err error) { done <- err },
	})
	err := <-done
	if l.seen[k] == nil {
		l.seen[k] = map[vclock.Dot]string{}
	}
	for _, sibling := range minted.Siblings {
		if string(sibling.Value) != value {
			continue
		}
		if earlier, ok := l.seen[k][sibling.Dot]; ok {
			l.t.Errorf("%s: dot %v names %q and %q", k.Name, sibling.Dot, earlier, value)
		}
		l.seen[k][sibling.Dot] = value
	}
	if err != nil && !errors.Is(err, ErrFenced) {
		l.t.Error(err)
	}
	return minted
}

func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	// Not Fatal: this may run on the committer's goroutine.
	if err := storagetest.KillCopy(dir, to); err != nil {
		t.Error(err)
	}
	return to
}

func TestNoDotTwiceOverRestarts(t *testing.T) {
	log := &dotLog{t: t, seen: map[Key]map[vclock.Dot]string{}}
	dir := t.TempDir()
	for _, life := range []string{"a", "b", "c"} {
		s := mustOpen(t, small(dir))
		for _, n := range []string{"1", "2", "3"} {
			log.mint(s, key("k"), life+n)
		}
		log.mint(s, key(life), life)
		mustClose(t, s)
	}
	s := mustOpen(t, small(dir))
	o := mustGet(t, s, key("k"))
	if len(o.Siblings) != 9 || len(o.Clock) != 3 {
		t.Errorf("%d siblings and %d clock entries after three lives", len(o.Siblings), len(o.Clock))
	}
}

// A commit fails after the dot was sent to other replicas. The next life finds the record as it was
// before and mints again.
func TestNoDotTwiceAfterAFailedCommit(t *testing.T) {
	log := &dotLog{t: t, seen: map[Key]map[vclock.Dot]string{}}
	dir := t.TempDir()
	h := defaultHooks()
	commit, fail := h.commit, false
	h.commit = func(txn *badger.Txn, at uint64) error {
		if fail {
			return errors.New("injected")
		}
		return commit(txn, at)
	}
	s := mustOpenHooked(t, small(dir), h)
	log.mint(s, key("k"), "before")
	fail = true
	log.mint(s, key("k"), "lost")
	fail = false
	log.mint(s, key("k"), "refused") // fenced: nothing is minted
	mustClose(t, s)
	s = mustOpen(t, small(dir))
	log.mint(s, key("k"), "after")
	if got := values(mustGet(t, s, key("k"))); got != "before,after" {
		t.Errorf("stored %q", got)
	}
	if n := len(log.seen[key("k")]); n != 3 {
		t.Errorf("%d dots minted, want 3: the fenced store minted, or a retry reused one", n)
	}
}

// A data directory is copied, and both copies go on: two nodes that believe they are one.
func TestNoDotTwiceInAClone(t *testing.T) {
	log := &dotLog{t: t, seen: map[Key]map[vclock.Dot]string{}}
	dir := t.TempDir()
	s := mustOpen(t, small(dir))
	log.mint(s, key("k"), "before")
	mustClose(t, s)
	one, two := mustOpen(t, small(dir)), mustOpen(t, small(copyDir(t, dir)))
	for _, n := range []string{"1", "2"} {
		log.mint(one, key("k"), "one"+n)
		log.mint(two, key("k"), "two"+n)
	}
	mustMerge(t, one, key("k"), mustGet(t, two, key("k")))
	if o := mustGet(t, one, key("k")); len(o.Siblings) != 5 {
		t.Errorf("merged %q, want all five", values(o))
	}
}

// A backup is restored under the running node: the record's history is gone, its actor with it.
func TestNoDotTwiceAfterRestoringABackup(t *testing.T) {
	log := &dotLog{t: t, seen: map[Key]map[vclock.Dot]string{}}
	dir := t.TempDir()
	s := mustOpen(t, small(dir))
	log.mint(s, key("k"), "before")
	mustClose(t, s)
	backup := copyDir(t, dir)
	s = mustOpen(t, small(dir))
	peer := log.mint(s, key("k"), "after the backup")
	mustClose(t, s)
	s = mustOpen(t, small(backup))
	log.mint(s, key("k"), "restored")
	mustMerge(t, s, key("k"), peer)
	log.mint(s, key("k"), "merged")
	if o := mustGet(t, s, key("k")); len(o.Siblings) != 4 {
		t.Errorf("stored %q, want all four", values(o))
	}
}

// A replica loses its copy of k, whose last dot was a:500; another replica still has the value.
// The blind write that comes next must not cover it: both values are siblings in the end.
func TestLostCopyDoesNotCoverSurvivors(t *testing.T) {
	lose := map[string]func(t *testing.T, s *Store){
		"record deleted": func(t *testing.T, s *Store) {
			w := writer{s: s}
			if err := errors.Join(w.add(entry{recordKey(key("k")), nil}), w.commit()); err != nil {
				t.Fatal(err)
			}
		},
		"record corrupt": func(t *testing.T, s *Store) { flipBit(t, s, recordKey(key("k"))) },
	}
	for name, lose := range lose {
		for _, restart := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				s := mustOpen(t, small(dir))
				for range 499 {
					mustPut(t, s, key("k"), vclock.Write{TakeLocal: true, Value: []byte("old")})
				}
				survivor := mustPut(t, s, key("k"), vclock.Write{TakeLocal: true, Value: []byte("a:500")})
				if n := survivor.Siblings[0].Dot.Counter; n != 500 {
					t.Fatalf("counter is %d", n)
				}
				if restart {
					mustClose(t, s)
					s = mustOpen(t, small(dir))
				}
				lose(t, s)
				mustPut(t, s, key("k"), vclock.Write{TakeLocal: true, Value: []byte("new")})
				mustMerge(t, s, key("k"), survivor)
				if got := values(mustGet(t, s, key("k"))); got != "a:500,new" {
					t.Errorf("after the merge: %q, want both values", got)
				}
				// And the other way round, at the surviving replica.
				if m, _ := vclock.Merge(survivor, mustGet(t, s, key("k"))); len(m.Siblings) != 2 {
					t.Errorf("at the survivor: %q", values(m))
				}
			})
		}
	}
}
