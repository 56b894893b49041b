package storage

import (
	"errors"
	"sync"
	"testing"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// Every replica remembers the writes with a lasting id whose values were replaced there, whoever
// minted them and in whatever order it heard of them; and a put of such a write mints nothing.
func TestReplacedWritesAreRemembered(t *testing.T) {
	minter := mustOpen(t, small(t.TempDir()))
	k, id := key("k"), vclock.RequestID{2: 7}.Lasting()
	w := vclock.Write{RequestID: id, Value: []byte("one")}
	first := mustPut(t, minter, k, w)
	second := mustPut(t, minter, k, vclock.Write{Context: first.Clock, Value: []byte("two")})
	for name, how := range map[string]struct {
		before, after []vclock.Object // a restart of the store
		want          bool
	}{
		"in order":               {after: []vclock.Object{first, second}, want: true},
		"the newer first":        {after: []vclock.Object{second, first}, want: true},
		"replaced later":         {before: []vclock.Object{first}, after: []vclock.Object{second}, want: true},
		"heard of again":         {before: []vclock.Object{first, second}, after: []vclock.Object{first}, want: true},
		"never heard of":         {after: []vclock.Object{second}},
		"forgotten by a restart": {before: []vclock.Object{first, second}},
	} {
		dir := t.TempDir()
		s := mustOpen(t, small(dir))
		for _, o := range how.before {
			mustMerge(t, s, k, o)
		}
		mustClose(t, s)
		s = mustOpen(t, small(dir))
		for _, o := range how.after {
			mustMerge(t, s, k, o)
		}
		if got := s.Did(k, id, second); got != how.want {
			t.Errorf("%s: known %v", name, got)
		}
		if how.want {
			if o := mustPut(t, s, k, w); !o.Equal(second) {
				t.Errorf("%s: a retry left %q", name, values(o))
			}
		}
	}
}

func TestDid(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	k, id := key("k"), vclock.RequestID{2: 7}.Lasting()
	first := mustPut(t, s, k, vclock.Write{RequestID: id, Value: []byte("one")})
	if !s.Did(k, id, first) || s.Did(k, vclock.RequestID{2: 8}.Lasting(), first) || s.Did(k, vclock.RequestID{}, first) {
		t.Error("a sibling was not found, or found under another id")
	}
	mustPut(t, s, k, blind("beside"))
	mustMerge(t, s, k, first)
	if n := len(s.replaced.younger); n != 0 {
		t.Errorf("%d siblings take room among the replaced ones", n)
	}
	second := mustPut(t, s, k, vclock.Write{Context: first.Clock, RequestID: vclock.RequestID{9}, Value: []byte("two")})
	third := mustPut(t, s, k, vclock.Write{Context: second.Clock, Value: []byte("three")})
	if !s.Did(k, id, third) || s.Did(k, vclock.RequestID{9}, third) {
		t.Error("other ids than the lasting ones are remembered")
	}
	if s.Did(key("other"), id, third) || s.Did(hint("owner", k.Name), id, third) {
		t.Error("known under another key")
	}
	if s.Did(k, id, vclock.Object{}) {
		t.Error("known to an object that lacks it")
	}
	// A hint that has gone home takes its memory along.
	kept := hint("owner", k.Name)
	mustMerge(t, s, kept, first)
	mustMerge(t, s, kept, third)
	if !s.Did(kept, id, third) {
		t.Error("unknown to the hint")
	}
	mustDrop(t, s, kept, third.Digest(), true)
	if o := mustPut(t, s, kept, vclock.Write{RequestID: id, Value: []byte("one")}); values(o) != "one" {
		t.Errorf("a retry was taken for known where nothing is: %q", values(o))
	}
}

// What a commit that failed would have replaced is not taken for replaced.
func TestDidAfterFailedCommit(t *testing.T) {
	k, id, other := key("k"), vclock.RequestID{2: 1}.Lasting(), vclock.RequestID{2: 2}.Lasting()
	h, fails := defaultHooks(), false
	commit := h.commit
	h.commit = func(txn *badger.Txn, at uint64) error {
		if fails {
			return errors.New("the disk is gone")
		}
		return commit(txn, at)
	}
	s := mustOpenHooked(t, small(t.TempDir()), h)
	first := mustPut(t, s, k, vclock.Write{RequestID: id, Value: []byte("one")})
	fails = true // the batch writer sees it: the put comes after
	if _, err := put(s, k, vclock.Write{Context: first.Clock, RequestID: other, Value: []byte("two")}); !errors.Is(err, ErrFenced) {
		t.Fatal(err)
	}
	if o, err := s.Get(k); err != nil || s.Did(k, other, o) || !s.Did(k, id, o) {
		t.Errorf("%q, %v: not as before", values(o), err)
	}
}

func TestDidWhileWritten(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	k := key("k")
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for i := byte(0); ; i++ {
				select {
				case <-stop:
					return
				default:
					s.Did(k, vclock.RequestID{15: i}.Lasting(), vclock.Object{})
				}
			}
		})
	}
	var o vclock.Object
	for i := range byte(50) {
		o = mustPut(t, s, k, vclock.Write{Context: o.Clock, RequestID: vclock.RequestID{15: i}.Lasting(), Value: []byte("v")})
	}
	close(stop)
}
