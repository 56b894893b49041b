package props

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestSavedBeforeSeen: a reader never sees what is not saved, and a failed save changes nothing.
func TestSavedBeforeSeen(t *testing.T) {
	var table *Table
	var fail error
	var seen []Quorum
	var saved []byte
	table, err := NewTable(config("n1", func(b []byte) error {
		seen = append(seen, table.Set().Bucket("", "b").R)
		saved = b
		return fail
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	delta := apply(t, table, "b", `{"props":{"r":1}}`)
	if !slices.Equal(seen, []Quorum{Majority}) {
		t.Errorf("while saving, readers saw r %v", seen)
	}
	again, err := NewTable(config("n1", nil), saved)
	if err != nil || again.Set().Digest() != table.Set().Digest() {
		t.Errorf("opened again: %v, digest %x, want %x", err, again.Set().Digest(), table.Set().Digest())
	}

	fail = errors.New("disk full")
	before := table.Set()
	if delta, err := table.Apply(parse(t, "b", `{"props":{"r":2}}`)); !errors.Is(err, fail) || delta != nil {
		t.Errorf("failed save: got %s, %v", delta, err)
	}
	foreign := encodeDocument([][]byte{encodeBucket(newKey("", "c"), joined([]op{{5, "z", "r", "1"}}))})
	if changed, err := table.Merge(foreign); !errors.Is(err, fail) || changed {
		t.Errorf("failed save of a merge: got %v, %v", changed, err)
	}
	if table.Set() != before {
		t.Error("a failed save changed the set")
	}
	calls := len(seen)
	if merge(t, table, delta) || len(seen) != calls {
		t.Error("merging what is known already counts as a change or is saved")
	}
	fail = nil
	if !merge(t, table, foreign) {
		t.Error("the merge repeated after the failure changed nothing")
	}
}

// TestOldSetStays: a set in use by a request does not change under it.
func TestOldSetStays(t *testing.T) {
	table, _ := newTable(t, "n1")
	apply(t, table, "b", `{"props":{"r":1,"x":1}}`)
	old := table.Set()
	encoded, digest := string(old.Encode()), old.Digest()
	apply(t, table, "b", `{"props":{"r":2}}`)
	apply(t, table, "c", `{"props":{"r":2}}`)
	if old.Bucket("", "b").R != 1 || old.Bucket("", "c").R != Majority || string(old.Encode()) != encoded || old.Digest() != digest {
		t.Error("a set changed after it was read")
	}
	shown := string(marshal(old.JSON("", "b")))
	clear(old.JSON("", "b"))
	if got := string(marshal(old.JSON("", "b"))); got != shown {
		t.Errorf("the map returned by JSON is shared with the set: %s, was %s", got, shown)
	}
}

func TestLimits(t *testing.T) {
	table, _ := newTable(t, "n1")
	table.limits = limits{buckets: 2, bucketBytes: 400, totalBytes: 900}
	refused := func(what string, c Change, want error) {
		t.Helper()
		before := table.Set()
		if _, err := table.Apply(c); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
		if table.Set() != before {
			t.Errorf("%s: a refused change was applied", what)
		}
	}
	long := func(n int) string { return `{"props":{"x":"` + strings.Repeat("y", n) + `"}}` }

	refused("one bucket too large", parse(t, "a", long(400)), ErrTooLarge)
	apply(t, table, "a", long(200))
	apply(t, table, "b", long(100))
	refused("a third bucket", parse(t, "c", long(1)), ErrFull)
	if _, err := table.Apply(ResetChange("", "b")); err != nil {
		t.Fatal(err)
	}
	apply(t, table, "c", long(100))

	// Merges pass every limit; then a change may shrink, not grow.
	states := make(map[bucketKey]state)
	for i := range 3 {
		states[newKey("", fmt.Sprint("m", i))] = joined([]op{{5, "z", "x", `"` + strings.Repeat("z", 600) + `"`}})
	}
	foreign, _ := newSet(Defaults{N: 1}).merge(states)
	if !merge(t, table, foreign.Encode()) {
		t.Fatal("a merge beyond the limits was not taken")
	}
	refused("growing a bucket beyond its limit", parse(t, "m0", `{"props":{"y":1}}`), ErrTooLarge)
	refused("growing the document", parse(t, "a", long(201)), ErrFull)
	refused("a new mark", ResetChange("", "new"), ErrFull)
	apply(t, table, "a", long(10))
	apply(t, table, "m0", long(500))
	for _, k := range slices.Collect(maps.Keys(table.Set().buckets)) {
		if _, err := table.Apply(ResetChange("", k.bucket)); err != nil {
			t.Errorf("reset of %s: %v", k.bucket, err)
		}
	}
	if got := table.Set().Stats().Buckets; got != 0 {
		t.Errorf("%d buckets have properties after all were reset", got)
	}
}

func TestNewTableRefuses(t *testing.T) {
	good := config("n1", nil)
	for what, change := range map[string]func(*Config){
		"no node": func(c *Config) { c.Node = "" },
		"no save": func(c *Config) { c.Save = nil },
		"N 0":     func(c *Config) { c.Defaults.N = 0 },
	} {
		cfg := good
		change(&cfg)
		if _, err := NewTable(cfg, nil); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if _, err := NewTable(good, []byte("{}")); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged document: got %v", err)
	}
	table, _ := newTable(t, "n1")
	if _, err := table.Merge([]byte("{}")); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged delta: got %v", err)
	}
}

// TestConcurrentUse is for the race detector: no change is lost, none is saved at the same
// time as another, readers see whole sets.
func TestConcurrentUse(t *testing.T) {
	var saving atomic.Int32
	table, err := NewTable(config("n1", func([]byte) error {
		if saving.Add(1) != 1 {
			t.Error("two saves at a time")
		}
		saving.Add(-1)
		return nil
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	for w := range 4 {
		writers.Go(func() {
			for i := range 25 {
				body := fmt.Sprintf(`{"props":{"w%d":%d,"r":%d,"w":%d}}`, w, i, i+1, i+1)
				if _, err := table.Apply(parse(t, "b", body)); err != nil {
					t.Error(err)
				}
			}
		})
		readers.Go(func() {
			for !done.Load() {
				if p := table.Set().Bucket("", "b"); p.R != p.W {
					t.Errorf("half a change is visible: %+v", p)
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
	shown := table.Set().JSON("", "b")
	for w := range 4 {
		if got := string(shown[fmt.Sprint("w", w)]); got != "24" {
			t.Errorf("writer %d's last change: got %s, want 24", w, got)
		}
	}
}
