package storage

import (
	"testing"

	"cartwheel/vclock"
)

func TestHasPrefix(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir(), MemTableBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, k := range []Key{{Partition: 0, Name: "a/1"}, {Partition: 7, Name: "b/1"}, {Partition: 7, Name: "d/1"}, {Partition: 65535, Name: "c/1"}} {
		done := make(chan error, 1)
		s.Put(Put{Key: k, Write: vclock.Write{Value: []byte("v")}, Done: func(_ vclock.Object, err error) { done <- err }})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for prefix, want := range map[string]bool{"a/": true, "b/": true, "c/": true, "d/": true, "c/1": true, "c/2": false, "e": false, "aa": false, "0": false} {
		if got, err := s.HasPrefix(prefix); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", prefix, got, err, want)
		}
	}
}
