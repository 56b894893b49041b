package storage

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
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
	f.Add(garbageKey(Key{Partition: 3, Name: "name"}, 9), []byte{})
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

// The layout is on users' disks: it must not change.
func TestKeysAreWhatIsOnDisks(t *testing.T) {
	own := Key{Partition: 0x0102, Name: "name"}
	hint := Key{Partition: 0x0102, Name: "name", Hint: "owner"}
	for want, got := range map[string][]byte{
		"\x01\x00\x00run":           appendKey(nil, kindMeta, Key{Name: "run"}),
		"\x02\x01\x02name":          recordKey(own),
		"\x05\x01\x02name":          appendKey(nil, kindQuarantine, own),
		"\x82\x05owner\x01\x02name": recordKey(hint),
		"\x85\x05owner\x01\x02name": appendKey(nil, kindQuarantine, hint),
		"\x03\x01\x02name\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x09":          chunkKey(own, 7, 9),
		"\x83\x05owner\x01\x02name\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x09": chunkKey(hint, 7, 9),
		"\x04\x01\x02name\x00\x00\x00\x00\x00\x00\x00\x07":                          garbageKey(own, 7),
		"\x84\x05owner\x01\x02name\x00\x00\x00\x00\x00\x00\x00\x07":                 garbageKey(hint, 7),
	} {
		if string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, k := range []Key{{Name: "n"}, {Partition: 3, Name: "n", Hint: "owner"}, {Name: "n", Hint: strings.Repeat("o", maxHintBytes)}} {
		f.Add(recordKey(k), uint8(0))
		f.Add(chunkKey(k, 1, 2), uint8(chunkSuffixBytes))
		f.Add(garbageKey(k, 1), uint8(garbageSuffixBytes))
	}
	f.Add([]byte("\x82\x85\x00owner\x00\x01n"), uint8(0)) // a length with two encodings
	f.Add([]byte("\x82\x00\x00\x01n"), uint8(0))          // a hint for nobody
	f.Add([]byte("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01n"), uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, suffixBytes uint8) {
		for _, kind := range []byte{kindRecord, kindChunk, kindGarbage, kindQuarantine} {
			k, suffix, ok := parseKey(b, kind, int(suffixBytes))
			if !ok {
				continue
			}
			if back := append(appendKey(nil, kind, k), suffix...); !bytes.Equal(back, b) {
				t.Errorf("%q is read as %+v with suffix %q, which is %q", b, k, suffix, back)
			}
			if len(suffix) != int(suffixBytes) || checkOp(&op{kind: opDrop, key: k}) != nil || len(appendKey(nil, kind, k)) != keyBytes(k) {
				t.Errorf("%q is read as %+v with suffix %q", b, k, suffix)
			}
		}
	})
}

// Database keys of different records differ, and those of a partition are one range.
func TestKeysAreOneToOne(t *testing.T) {
	long := Key{Name: "a\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"}
	keys := []Key{{Name: "a"}, {Name: "aa"}, {Partition: 1, Name: "a"}, {Partition: 256, Name: "a"}, long,
		{Name: "a", Hint: "a"}, {Name: "aa", Hint: "a"}, {Name: "a", Hint: "aa"}, {Partition: 0x6161, Name: "a", Hint: "a"},
		{Partition: 1, Name: "a", Hint: "\x00\x01"}}
	seen := map[string]Key{}
	for _, k := range keys {
		for _, b := range [][]byte{recordKey(k), chunkKey(k, 1, 0), chunkKey(k, 1, 1), chunkKey(k, 2, 0), garbageKey(k, 1)} {
			if earlier, ok := seen[string(b)]; ok {
				t.Errorf("%v and %v share %q", earlier, k, b)
			}
			seen[string(b)] = k
		}
	}
	below, within, above := recordKey(Key{Partition: 1, Name: "\xff"}), recordKey(Key{Partition: 2, Name: "\x00"}), recordKey(Key{Partition: 3, Name: ""})
	if bytes.Compare(below, within) >= 0 || bytes.Compare(within, above) >= 0 {
		t.Error("partitions are not in order")
	}
}

func TestRoomGrowsWithTheDatabase(t *testing.T) {
	s := &Store{cfg: Config{Dir: "x"}.WithDefaults(), limits: newLimits(defaultMemTableBytes)}
	cases := []struct{ tables, least, most int64 }{
		{0, 70 * mib, 80 * mib},           // five tables of 15 MiB and a transaction
		{100 * mib, 170 * mib, 180 * mib}, // and one copy of a small database
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

// Replicas that flush at the same moment stop all of a quorum: each owner has a size of memtables.
func TestMemTablesDifferByOwner(t *testing.T) {
	seen := map[int64]bool{}
	for i := range 1000 {
		owner := fmt.Sprint("node ", i)
		n := spreadMemTable(defaultMemTableBytes, owner)
		if n < defaultMemTableBytes || n >= largestMemTable(defaultMemTableBytes) {
			t.Fatalf("%s has memtables of %s", owner, megabytes(n))
		}
		seen[n/mib] = true
	}
	if len(seen) != 4 {
		t.Errorf("memtables have %v MiB", seen)
	}
}
