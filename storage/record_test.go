package storage

import (
	"bytes"
	"errors"
	"testing"

	"cartwheel/vclock"
)

func FuzzSeal(f *testing.F) {
	f.Add([]byte("key"), formRecord, []byte("body"), uint(3))
	f.Add([]byte(""), formHead, []byte(""), uint(0))
	f.Fuzz(func(t *testing.T, key []byte, form byte, body []byte, flip uint) {
		value := seal(key, append(newValue(form, len(body)), body...))
		gotForm, gotBody, err := unseal(key, value)
		if err != nil || gotForm != form || !bytes.Equal(gotBody, body) {
			t.Fatalf("unseal(seal(%d, %q)) = %d, %q, %v", form, body, gotForm, gotBody, err)
		}
		// One flipped bit is always found, in the value and in the key.
		flip %= uint(len(value)+len(key)) * 8
		if at := flip / 8; at < uint(len(value)) {
			value[at] ^= 1 << (flip % 8)
		} else {
			key[at-uint(len(value))] ^= 1 << (flip % 8)
		}
		if _, _, err := unseal(key, value); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d flipped: %v", flip, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	record := vclock.Record{}.Put(vclock.Write{Value: []byte("v")}, vclock.NewActors(1)).Append(nil)
	f.Add([]byte("k"), record)
	f.Add([]byte("k"), head{generation: 1, count: 2, length: 3, sum: 4}.append(nil))
	f.Add([]byte("k"), note([]byte("k"), 7))
	f.Add(garbageKey(Key{3, "name"}, 9), []byte{})
	f.Fuzz(func(t *testing.T, key, b []byte) {
		if h, err := decodeHead(b); err == nil && !bytes.Equal(h.append(nil), b) {
			t.Errorf("head %v has two encodings", h)
		}
		if n, err := decodeNote(key, b); err == nil && !bytes.Equal(note(key, n), b) {
			t.Errorf("note %d has two encodings", n)
		}
		if _, body, err := unseal(key, b); err == nil && len(body)+sealBytes != len(b) {
			t.Errorf("%d bytes of body in %d", len(body), len(b))
		}
		if k, generation, ok := parseGarbageKey(key); ok && !bytes.Equal(garbageKey(k, generation), key) {
			t.Errorf("garbage key %q is read as %v, %d", key, k, generation)
		}
	})
}

// Database keys of different records differ, and those of a partition are one range.
func TestKeysAreOneToOne(t *testing.T) {
	keys := []Key{{0, "a"}, {0, "aa"}, {1, "a"}, {256, "a"}, {0, "a\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"}}
	seen := map[string]Key{}
	for _, k := range keys {
		for _, b := range [][]byte{recordKey(k), chunkKey(k, 1, 0), chunkKey(k, 1, 1), chunkKey(k, 2, 0), garbageKey(k, 1)} {
			if earlier, ok := seen[string(b)]; ok {
				t.Errorf("%v and %v share %q", earlier, k, b)
			}
			seen[string(b)] = k
		}
	}
	below, within, above := recordKey(Key{1, "\xff"}), recordKey(Key{2, "\x00"}), recordKey(Key{3, ""})
	if bytes.Compare(below, within) >= 0 || bytes.Compare(within, above) >= 0 {
		t.Error("partitions are not in order")
	}
}

func TestRoomGrowsWithTheDatabase(t *testing.T) {
	s := &Store{cfg: Config{Dir: "x"}.WithDefaults(), limits: newLimits(16 * mib)}
	cases := []struct{ tables, least, most int64 }{
		{0, 80 * mib, 85 * mib},           // four tables of 20 MiB and a transaction
		{100 * mib, 180 * mib, 185 * mib}, // and one copy of a small database
		{10 << 30, 700 * mib, 2 << 30},    // parts of a large one
		{1 << 40, 2 << 30, 20 << 30},      // tables double with each level
	}
	for _, c := range cases {
		if got := s.floorFor(c.tables); got < c.least || got > c.most {
			t.Errorf("floor for %s is %s, want %s to %s", megabytes(c.tables), megabytes(got), megabytes(c.least), megabytes(c.most))
		}
	}
	s.cfg.MinFreeBytes = 1 << 40
	if got := s.floorFor(0); got != 1<<40 {
		t.Errorf("a raised floor is %s", megabytes(got))
	}
}
