package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestBare: concurrent writers of many keys; what was acknowledged is read at once and after another
// opening, the last value of each key. A store that the others are measured by must not cheat.
func TestBare(t *testing.T) {
	dir := t.TempDir()
	b, err := OpenBare(dir)
	if err != nil {
		t.Fatal(err)
	}
	const writers, rounds, each, limit = 32, 5, 8, 5
	b.Limit(limit) // so that some wait for the batch after the next one
	key := func(writer, k int) []byte { return fmt.Appendf(nil, "key-%d-%d", writer, k) }
	value := func(writer, k, round int) []byte {
		return bytes.Repeat(fmt.Appendf(nil, "%d,%d,%d;", writer, k, round), 100)
	}
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for round := range rounds {
				for k := range each {
					done := make(chan error, 1)
					b.Put(key(w, k), value(w, k, round), func(err error) { done <- err })
					select {
					case err := <-done:
						if err != nil {
							t.Error(err)
							return
						}
					case <-time.After(20 * time.Second):
						t.Errorf("the write of %s has no answer", key(w, k))
						return
					}
					if got, err := b.Get(key(w, k)); err != nil || !bytes.Equal(got, value(w, k, round)) {
						t.Errorf("%s is %.20q, %v, want that of round %d", key(w, k), got, err, round)
						return
					}
				}
			}
		})
	}
	running.Wait()
	batches, writes := b.Batches()
	if writes != writers*rounds*each || batches >= writes || batches*limit < writes {
		t.Errorf("%d writes in %d batches, want %d writes, several but at most %d in a batch", writes, batches, writers*rounds*each, limit)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err = OpenBare(dir); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for w := range writers {
		for k := range each {
			if got, err := b.Get(key(w, k)); err != nil || !bytes.Equal(got, value(w, k, rounds-1)) {
				t.Fatalf("opened again, %s is %.20q, %v", key(w, k), got, err)
			}
		}
	}
	if got, err := b.Get([]byte("another")); got != nil || err != nil {
		t.Errorf("a key that was never written is %q, %v", got, err)
	}
}

// TestBareSyncs: when a write is answered, no page of the log is dirty. Without syncs it would be.
func TestBareSyncs(t *testing.T) {
	dir := t.TempDir()
	b, err := OpenBare(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for i := range 20 {
		done := make(chan error, 1)
		b.Put(fmt.Appendf(nil, "key-%d", i), make([]byte, 1024), func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	n, err := Unsynced(dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		t.Skip("what is dirty cannot be told here: ", err)
	case err != nil:
		t.Fatal(err)
	case n != 0:
		t.Errorf("%d bytes of acknowledged writes are not on the disk", n)
	}
}

// TestBareRefuses: after Close a write is answered with an error, once.
func TestBareRefuses(t *testing.T) {
	b, err := OpenBare(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	var got []error
	b.Put([]byte("key"), nil, func(err error) { got = append(got, err) })
	if len(got) != 1 || !errors.Is(got[0], errBareClosed) {
		t.Errorf("a write after the end got %v", got)
	}
}
