package storage

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"cartwheel/vclock"
)

func drop(s *Store, k Key, digest uint64) (bool, error) {
	type answer struct {
		dropped bool
		err     error
	}
	done := make(chan answer, 1)
	s.Drop(Drop{Key: k, Digest: digest, Done: func(dropped bool, err error) { done <- answer{dropped, err} }})
	a := <-done
	return a.dropped, a.err
}

func mustDrop(t testing.TB, s *Store, k Key, digest uint64, want bool) {
	t.Helper()
	if got, err := drop(s, k, digest); err != nil || got != want {
		t.Fatalf("drop of %s: %t, %v, want %t", k.Name, got, err, want)
	}
}

// hint returns the key of the copy of key(name) that waits for owner.
func hint(owner, name string) Key { return Key{Partition: 7, Name: name, Hint: owner} }

func TestDropComparesAndDeletes(t *testing.T) {
	for _, k := range []Key{key("k"), hint("owner", "k")} {
		for _, size := range []int{10, 300_000} { // inline, and in chunks
			t.Run(fmt.Sprint(k.Hint, size), func(t *testing.T) {
				dir := t.TempDir()
				s := mustOpen(t, small(dir))
				mustDrop(t, s, k, 1, true) // there is none: nothing is left to drop
				seen := mustPut(t, s, k, blind(large(size, "a")))
				now := mustPut(t, s, k, blind("meanwhile"))
				settle(t, s)
				before := s.Stats().Transactions
				mustDrop(t, s, k, seen.Digest(), false)
				mustDrop(t, s, k, 0, false) // sound, so 0 does not name it
				if got := mustGet(t, s, k); !got.Equal(now) || s.Stats().Transactions != before {
					t.Errorf("what was not seen is gone: %d siblings, %d transactions", len(got.Siblings), s.Stats().Transactions-before)
				}
				mustDrop(t, s, k, now.Digest(), true)
				mustDrop(t, s, k, now.Digest(), true) // a repetition
				if got := mustGet(t, s, k); !got.Missing() {
					t.Errorf("still there: %d siblings", len(got.Siblings))
				}
				mustClose(t, s)
				s = mustOpen(t, small(dir))
				if got := mustGet(t, s, k); !got.Missing() {
					t.Errorf("it came back: %d siblings", len(got.Siblings))
				}
				for _, kind := range []byte{kindRecord, kindChunk, kindGarbage, kindQuarantine} {
					if n := countKind(s, kind) + countKind(s, kind|kindHint); n != 0 {
						t.Errorf("%d keys of kind %d are left", n, kind)
					}
				}
				// What was dropped can be merged again, e.g. by a late message of another replica.
				mustMerge(t, s, k, now)
				if got := mustGet(t, s, k); !got.Equal(now) {
					t.Errorf("merged %d siblings", len(got.Siblings))
				}
			})
		}
	}
}

// Copies under other owners, and the own one, do not notice.
func TestDropTakesOneCopy(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	copies := []Key{key("k"), hint("a", "k"), hint("b", "k"), {Partition: 8, Name: "k", Hint: "a"}}
	o := mustPut(t, s, copies[0], blind("v"))
	for _, k := range copies[1:] {
		mustMerge(t, s, k, o)
	}
	mustDrop(t, s, copies[1], o.Digest(), true)
	for i, k := range copies {
		if got := mustGet(t, s, k); got.Missing() != (i == 1) {
			t.Errorf("%+v: missing %t", k, got.Missing())
		}
	}
}

// In one batch a drop sees what is queued before it, and what follows sees the drop.
func TestDropInABatch(t *testing.T) {
	hold := newHold()
	s := mustOpenHooked(t, small(t.TempDir()), hold.hooks)
	first := mustPutHeld(t, s, hold, key("k"), blind("first"))
	var wg sync.WaitGroup
	var order []string
	wg.Add(6)
	var minted []vclock.Object
	submit := func(value string) {
		s.Put(Put{
			Key: key("k"), Write: blind(value), Minted: func(o vclock.Object) { minted = append(minted, o) },
			Done: func(o vclock.Object, err error) { order = append(order, fmt.Sprint(values(o), err)); wg.Done() },
		})
	}
	dropIt := func(digest uint64) {
		s.Drop(Drop{Key: key("k"), Digest: digest, Done: func(dropped bool, err error) {
			order = append(order, fmt.Sprint(dropped, err))
			wg.Done()
		}})
	}
	dropIt(first.Digest())
	submit("second")
	dropIt(first.Digest()) // another object now
	submit("third")
	dropIt(0)
	dropIt(99)
	hold.release()
	wg.Wait()
	if got, want := strings.Join(order, "; "), "true <nil>; second<nil>; false <nil>; second,third<nil>; false <nil>; false <nil>"; got != want {
		t.Errorf("answers %s\n   want %s", got, want)
	}
	if n := s.Stats().Batches; n != 2 {
		t.Errorf("%d batches, want one before and one with all", n)
	}
	seen := map[vclock.Dot]string{first.Siblings[0].Dot: "first"}
	for _, o := range minted {
		for _, sibling := range o.Siblings {
			if earlier, ok := seen[sibling.Dot]; ok && earlier != string(sibling.Value) {
				t.Errorf("dot %v names %q and %q", sibling.Dot, earlier, sibling.Value)
			}
			seen[sibling.Dot] = string(sibling.Value)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d dots for three writes", len(seen))
	}
}

// A dropped record takes its actor along: kept, the next put would mint the dots of the dropped
// copy again, and a replica that still has them would take the new values for old ones.
func TestNoDotTwiceAfterDrop(t *testing.T) {
	for _, k := range []Key{key("k"), hint("owner", "k")} {
		log := &dotLog{t: t, seen: map[Key]map[vclock.Dot]string{}}
		dir := t.TempDir()
		s := mustOpen(t, small(dir))
		var all vclock.Object // what another replica has collected
		for i := range 12 {
			o := log.mint(s, k, fmt.Sprint(i))
			all, _ = vclock.Merge(all, o)
			switch i % 4 {
			case 1:
				mustDrop(t, s, k, o.Digest(), true)
			case 2:
				mustMerge(t, s, k, all)
			case 3:
				mustDrop(t, s, k, mustGet(t, s, k).Digest(), true)
				mustClose(t, s)
				s = mustOpen(t, small(dir))
			}
		}
		if len(all.Siblings) != 12 {
			t.Errorf("%q: %d of 12 blind writes survive at the other replica", k.Hint, len(all.Siblings))
		}
	}
}

// A retry whose first try was dropped is a write: an answer without one would acknowledge nothing.
func TestRetryOfADroppedWriteIsAWrite(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	w := vclock.Write{RequestID: vclock.RequestID{1}, Value: []byte("v")}
	k := hint("owner", "k")
	first := mustPut(t, s, k, w)
	if o := mustPut(t, s, k, w); !o.Equal(first) {
		t.Errorf("a retry of a hint minted: %q", values(o))
	}
	if o := mustPut(t, s, hint("other", "k"), w); o.Equal(first) {
		t.Error("another owner's hint was taken for a retry")
	}
	// Its own memory is not overwritten by that.
	replaced := mustPut(t, s, k, vclock.Write{TakeLocal: true, Value: []byte("w")})
	if o := mustPut(t, s, k, w); !o.Equal(replaced) {
		t.Errorf("a late retry brought back %q", values(o))
	}
	mustDrop(t, s, k, replaced.Digest(), true)
	if o := mustPut(t, s, k, w); !o.HasRequest(w.RequestID) || o.Siblings[0].Dot == first.Siblings[0].Dot {
		t.Errorf("acknowledged with %q, dot %v", values(o), o.Siblings)
	}
}

func TestDropOfACorruptRecord(t *testing.T) {
	for _, size := range []int{10, 100_000} {
		s := mustOpen(t, small(t.TempDir()))
		k := hint("owner", "k")
		o := mustPut(t, s, k, blind(large(size, "v")))
		flipBit(t, s, recordKey(k))
		damaged := rawValue(t, s, recordKey(k))
		if dropped, err := drop(s, k, o.Digest()); dropped || !errors.Is(err, ErrCorrupt) {
			t.Errorf("dropped %t, %v: nobody knows what it is", dropped, err)
		}
		mustDrop(t, s, k, 0, true)
		if o := mustGet(t, s, k); !o.Missing() {
			t.Errorf("left %q", values(o))
		}
		if kept := rawValue(t, s, appendKey(nil, kindQuarantine, k)); string(kept) != string(damaged) {
			t.Errorf("%d bytes in quarantine, want the %d damaged ones", len(kept), len(damaged))
		}
		if h := s.Hints(); len(h) != 0 {
			t.Errorf("hints %+v", h)
		}
	}
}
