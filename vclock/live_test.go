package vclock

import (
	"errors"
	"slices"
	"testing"
)

func lives(o Object) bool {
	return slices.ContainsFunc(o.Siblings, func(s Sibling) bool { return !s.Deleted })
}

func TestRecordLive(t *testing.T) {
	ids := NewActors(5)
	dead := Record{}.Put(Write{Deleted: true, RequestID: RequestID{1}, Meta: []Pair{{"a", "b"}}, ContentType: "x"}, ids)
	both, _ := dead.Merge(Record{}.Put(Write{Value: []byte("v")}, NewActors(9)).Object)
	two, _ := dead.Merge(Record{}.Put(Write{Deleted: true, Expiry: 3}, NewActors(9)).Object)
	for what, r := range map[string]Record{
		"missing": {}, "dead": dead, "two tombstones": two, "a value after a tombstone": both, "full": fullRecord(),
	} {
		b := r.Append(nil)
		if live, alone, err := RecordLive(b); err != nil || live != lives(r.Object) || alone != (live && len(r.Object.Siblings) == 1) {
			t.Errorf("%s: %t, %t, %v", what, live, alone, err)
		}
		// The beginning tells the same, or that it does not.
		for n := range b {
			if live, _, err := RecordLive(b[:n]); err == nil && live != lives(r.Object) || err != nil && !errors.Is(err, ErrDecode) {
				t.Errorf("%s: first %d of %d bytes: %t, %v", what, n, len(b), live, err)
			}
		}
		if n := testing.AllocsPerRun(10, func() { RecordLive(b) }); n > 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

// FuzzRecordLive: it agrees with the whole decoder on all that this one accepts.
func FuzzRecordLive(f *testing.F) {
	f.Add(fullRecord().Append(nil))
	f.Add(Record{}.Put(Write{Deleted: true, RequestID: RequestID{1}}, NewActors(1)).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		live, alone, err := RecordLive(b)
		if r, whole := DecodeRecord(b); whole == nil && (err != nil || live != lives(r.Object) || alone != (live && len(r.Object.Siblings) == 1)) {
			t.Errorf("%x: %t, %t, %v; the object is %v", b, live, alone, err, r.Object)
		}
	})
}
