package storage

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cartwheel/vclock"
)

// overwrite replaces the raw value of a database key; the committer must be idle.
func overwrite(t *testing.T, s *Store, key, value []byte) {
	t.Helper()
	w := writer{s: s}
	if err := errors.Join(w.add(entry{key, value}), w.commit()); err != nil {
		t.Fatal(err)
	}
}

func rawValue(t *testing.T, s *Store, key []byte) []byte {
	t.Helper()
	txn := readTxn(s)
	defer txn.Discard()
	value, err := getCopy(txn, key)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func flipBit(t *testing.T, s *Store, key []byte) {
	t.Helper()
	value := rawValue(t, s, key)
	value[len(value)/2] ^= 4
	overwrite(t, s, key, value)
}

func TestCorruptRecordIsFound(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	mustPut(t, s, key("k"), blind("value"))
	mustPut(t, s, key("moved"), blind("value"))
	good := rawValue(t, s, recordKey(key("k")))
	cases := map[string][]byte{
		"another key's":  rawValue(t, s, recordKey(key("moved"))),
		"empty":          {},
		"short":          good[:4],
		"cut":            good[:len(good)-1],
		"unknown form":   seal(recordKey(key("k")), newValue(99, 0)),
		"chunk":          seal(recordKey(key("k")), append(newValue(formChunk, 1), 1)),
		"no record":      seal(recordKey(key("k")), append(newValue(formRecord, 1), 1)),
		"short head":     seal(recordKey(key("k")), append(newValue(formHead, 1), 1)),
		"head of zeros":  seal(recordKey(key("k")), head{}.append(newValue(formHead, headBytes))),
		"head of nobody": seal(recordKey(key("k")), head{generation: 1, count: 1 << 31, length: 1 << 62}.append(newValue(formHead, headBytes))),
	}
	for i := range good {
		flipped := bytes.Clone(good)
		flipped[i] ^= 1 << (i % 8)
		cases[fmt.Sprint("bit of byte ", i)] = flipped
	}
	count := int64(0)
	for name, value := range cases {
		overwrite(t, s, recordKey(key("k")), value)
		if o, err := s.Get(key("k")); !errors.Is(err, ErrCorrupt) || !o.Missing() {
			t.Errorf("%s: read %v, %v", name, o, err)
		}
		if count++; s.Stats().Corrupt != count {
			t.Errorf("%s: %d counted, want %d", name, s.Stats().Corrupt, count)
		}
	}
	overwrite(t, s, recordKey(key("k")), good)
	if got := values(mustGet(t, s, key("k"))); got != "value" {
		t.Errorf("the sound record reads %q", got)
	}
}

// Writes to a corrupt record replace it and keep the damaged bytes aside. See the package document
// for why, and for what that does not promise.
func TestWritesReplaceACorruptRecord(t *testing.T) {
	elsewhere := vclock.Record{}.Put(blind("elsewhere"), vclock.NewActors(3)).Object
	writes := map[string]func(t *testing.T, s *Store) string{
		"put": func(t *testing.T, s *Store) string {
			o := mustPut(t, s, key("k"), blind("new"))
			if n := o.Siblings[0].Dot.Actor.Epoch; n != 2 {
				t.Errorf("minted with epoch %d, want a fresh actor", n)
			}
			return "new"
		},
		"merge": func(t *testing.T, s *Store) string { mustMerge(t, s, key("k"), elsewhere); return "elsewhere" },
	}
	for name, write := range writes {
		for _, size := range []int{10, 100_000} {
			t.Run(fmt.Sprint(name, size), func(t *testing.T) {
				s := mustOpen(t, small(t.TempDir()))
				mustPut(t, s, key("k"), blind(strings.Repeat("v", size)))
				if size == 10 {
					flipBit(t, s, recordKey(key("k")))
				} else {
					h := readRecord(readTxn(s), key("k")).head
					if h.count < 2 {
						t.Fatalf("%d chunks", h.count)
					}
					flipBit(t, s, chunkKey(key("k"), h.generation, 1))
				}
				damaged := rawValue(t, s, recordKey(key("k")))
				want := write(t, s)
				if got := values(mustGet(t, s, key("k"))); got != want {
					t.Errorf("stored %q, want %q", got, want)
				}
				if kept := rawValue(t, s, appendKey(nil, kindQuarantine, key("k"))); !bytes.Equal(kept, damaged) {
					t.Errorf("%d bytes in quarantine, want the %d damaged ones", len(kept), len(damaged))
				}
			})
		}
	}
}

// The memory of request ids outlives the record. A retry is one only as long as the object has what
// the first try wrote, or was seen to replace it.
func TestRetryOfALostWriteIsAWrite(t *testing.T) {
	id := vclock.RequestID{1}
	for _, replaced := range []bool{false, true} {
		t.Run(fmt.Sprint("replaced=", replaced), func(t *testing.T) {
			s := mustOpen(t, small(t.TempDir()))
			w := vclock.Write{RequestID: id, Value: []byte("v")}
			mustPut(t, s, key("k"), w)
			flipBit(t, s, recordKey(key("k")))
			if replaced {
				mustPut(t, s, key("k"), blind("other"))
			}
			if o := mustPut(t, s, key("k"), w); !o.HasRequest(id) {
				t.Errorf("acknowledged with %q", values(o))
			}
			if o := mustGet(t, s, key("k")); !o.HasRequest(id) {
				t.Errorf("stored %q", values(o))
			}
		})
	}
}

func TestCorruptChunks(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	value := strings.Repeat("0123456789", 20_000)
	mustPut(t, s, key("k"), blind(value))
	txn := readTxn(s)
	h := readRecord(txn, key("k")).head
	txn.Discard()
	first, second := chunkKey(key("k"), h.generation, 0), chunkKey(key("k"), h.generation, 1)
	good, other := rawValue(t, s, first), rawValue(t, s, second)
	resealed := seal(first, append(append(newValue(formChunk, 0), good[sealBytes:]...), 'x'))
	altered := bytes.Clone(good)
	altered[len(altered)-1]++ // in the value: the record decodes all the same
	altered = seal(first, altered)
	cases := map[string][]byte{
		"another version of it": altered,
		"another chunk":         other, "missing": nil, "empty": {}, "longer": resealed,
		"a record": seal(first, append(newValue(formRecord, 0), good[sealBytes:]...)),
	}
	for name, value := range cases {
		overwrite(t, s, first, value)
		if o, err := s.Get(key("k")); !errors.Is(err, ErrCorrupt) || !o.Missing() {
			t.Errorf("%s: read %d siblings, %v", name, len(o.Siblings), err)
		}
	}
	overwrite(t, s, first, good)
	if got := values(mustGet(t, s, key("k"))); got != value {
		t.Errorf("the sound record reads %d bytes", len(got))
	}
}
