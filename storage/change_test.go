package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// TestChangedSaysWhatABatchDid: one change for each own record that became another one, in front of
// the answers, when readers see it.
func TestChangedSaysWhatABatchDid(t *testing.T) {
	hold := newHold()
	cfg := small(t.TempDir())
	var events []string
	var changes []Change
	var s *Store
	cfg.Changed = func(c Change) {
		changes = append(changes, c)
		events = append(events, "changed "+c.Key.Name)
		if o, err := s.Get(c.Key); err != nil || digest(o) != c.New {
			t.Errorf("%s: told of %x, read %x, %v", c.Key.Name, c.New, digest(o), err)
		}
	}
	s = mustOpenHooked(t, cfg, hold.hooks)
	first := mustPutHeld(t, s, hold, key("k"), blind("1"))
	events, changes = nil, nil
	var wg sync.WaitGroup
	var seen [3]vclock.Object
	answered := func(name string) { events = append(events, name); wg.Done() }
	wg.Add(7)
	s.Put(Put{Key: key("k"), Write: blind("2"), Done: func(vclock.Object, error) { answered("put") }})
	s.Put(Put{Key: key("k"), Write: blind("3"), Done: func(o vclock.Object, err error) { seen[0] = o; answered("put") }})
	s.Put(Put{Key: hint("owner", "k"), Write: blind("4"), Done: func(vclock.Object, error) { answered("hint") }})
	// Known already: no change.
	s.Merge(Merge{Key: key("k"), Object: first, Done: func(error) { answered("merge") }})
	s.Merge(Merge{Key: key("none"), Done: func(error) { answered("merge") }})
	// Made and dropped in one batch: no change.
	other := vclock.Record{}.Put(blind("brief"), vclock.NewActors(9)).Object
	s.Merge(Merge{Key: key("brief"), Object: other, Done: func(error) { answered("merge") }})
	s.Drop(Drop{Key: key("brief"), Digest: other.Digest(), Done: func(dropped bool, err error) {
		if !dropped {
			t.Errorf("dropped %t, %v", dropped, err)
		}
		answered("drop")
	}})
	hold.release()
	wg.Wait()
	if got, want := fmt.Sprint(events), "[changed k put put hint merge merge merge drop]"; got != want {
		t.Errorf("events %s, want %s", got, want)
	}
	if want := (Change{Key: key("k"), Old: first.Digest(), New: seen[0].Digest()}); len(changes) != 1 || changes[0] != want {
		t.Errorf("changes %+v, want %+v", changes, want)
	}

	changes = nil
	mustDrop(t, s, key("k"), 99, false)
	mustDrop(t, s, key("k"), seen[0].Digest(), true)
	if want := (Change{Key: key("k"), Old: seen[0].Digest()}); len(changes) != 1 || changes[0] != want {
		t.Errorf("changes %+v, want %+v", changes, want)
	}
}

// A failed batch says nothing: when its only transaction fails, and when a part of it is durable.
func TestChangedIsSilentAboutAFailedBatch(t *testing.T) {
	for size, succeeding := range map[int]int{10: 0, 500_000: 1} {
		h := defaultHooks()
		commit, left := h.commit, 100
		h.commit = func(txn *badger.Txn, at uint64) error {
			if left--; left < 0 {
				return errors.New("injected")
			}
			return commit(txn, at)
		}
		cfg := small(t.TempDir())
		cfg.Changed = func(c Change) { t.Errorf("%d bytes: told of %+v", size, c) }
		s := mustOpenHooked(t, cfg, h)
		left = succeeding
		if _, err := put(s, key("k"), blind(large(size, "v"))); !errors.Is(err, ErrFenced) || left != -1 {
			t.Errorf("%d bytes: %v, %d transactions left", size, err, left)
		}
	}
}

// Damaged comes before the answer, Lost with the write that replaces what nobody can read.
func TestDamageIsToldBeforeTheAnswer(t *testing.T) {
	elsewhere := vclock.Record{}.Put(blind("elsewhere"), vclock.NewActors(3)).Object
	for name, write := range map[string]func(s *Store, k Key) (uint64, error){
		"put":   func(s *Store, k Key) (uint64, error) { o, err := put(s, k, blind("new")); return digest(o), err },
		"merge": func(s *Store, k Key) (uint64, error) { return digest(elsewhere), merge(s, k, elsewhere) },
		"drop":  func(s *Store, k Key) (uint64, error) { _, err := drop(s, k, 0); return 0, err },
		"get": func(s *Store, k Key) (uint64, error) {
			if _, err := s.Get(k); !errors.Is(err, ErrCorrupt) {
				return 0, fmt.Errorf("read %w", err)
			}
			return 0, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := small(t.TempDir())
			var mu sync.Mutex
			var damaged []Key
			var changes []Change
			cfg.Damaged = func(k Key) { mu.Lock(); damaged = append(damaged, k); mu.Unlock() }
			cfg.Changed = func(c Change) { changes = append(changes, c) }
			s := mustOpen(t, cfg)
			for _, k := range []Key{key("k"), hint("owner", "k")} {
				mustPut(t, s, k, blind("v"))
				settle(t, s)
				flipBit(t, s, recordKey(k))
				changes = nil
				want, err := write(s, k)
				if err != nil {
					t.Error(err)
				}
				if k.Hint != "" {
					if len(changes) != 0 || len(damaged) != 1 {
						t.Errorf("a hint: %+v, %v", changes, damaged)
					}
					continue
				}
				if len(damaged) != 1 || damaged[0] != k {
					t.Errorf("told of %v when the answer came", damaged)
				}
				if name != "get" && (len(changes) != 1 || changes[0] != Change{Key: k, New: want, Lost: true}) {
					t.Errorf("changes %+v, want lost and now %x", changes, want)
				}
			}
		})
	}
}

// follower does what a tree does: a scan that began at a known place in the stream of changes, and
// the changes after it.
type follower struct {
	partition uint16
	from      int // changes before it are in the scan
	state     map[Key]uint64
	err       error
}

// TestSnapshotAndChangesAreTheTruth: whatever writers do meanwhile, each scan with Began together
// with the changes after it is what the store holds in the end; by digests of each key, and by
// the XOR of all. Many records are large, so that batches take several transactions, and a snapshot
// within one would show.
func TestSnapshotAndChangesAreTheTruth(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const writers, scans, rounds = 8, 12, 40
	var log []Change // only the batch writer appends; the committer reads its length in Began
	cfg := small(t.TempDir())
	cfg.MaxSiblings = 1000
	cfg.Changed = func(c Change) { log = append(log, c) }
	s := mustOpen(t, cfg)
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(g)))
			ids := vclock.NewActors(uint64(g) + 100)
			for range rounds {
				k := Key{Partition: uint16(random.IntN(2)), Name: fmt.Sprint("k", random.IntN(12))}
				if random.IntN(4) == 0 {
					k.Hint = "owner"
				}
				w := vclock.Write{TakeLocal: random.IntN(2) == 0, Value: make([]byte, random.IntN(3)*30_000)}
				var err error
				switch random.IntN(4) {
				case 0:
					err = merge(s, k, vclock.Record{}.Put(w, ids).Object)
				case 1:
					var o vclock.Object
					if o, err = s.Get(k); err == nil {
						_, err = drop(s, k, digest(o))
					}
				default:
					_, err = put(s, k, w)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	followers := make([]follower, scans)
	for i := range followers {
		f := &followers[i]
		f.partition, f.state = uint16(i%2), map[Key]uint64{}
		wg.Go(func() {
			for range i { // some later than others
				merge(s, key("wait"), vclock.Object{})
			}
			f.err = s.Scan(Scan{
				Partition: f.partition, Began: func() { f.from = len(log) },
				Visit: func(item Item) bool { f.state[item.Key] = digest(item.Object); return true },
			})
		})
	}
	wg.Wait()
	mustMerge(t, s, key("wait"), vclock.Object{}) // the log is complete and ours
	began := map[int]bool{}
	for i, f := range followers {
		began[f.from] = true
		checkFollower(t, s, i, f, log)
	}
	if len(began) < 3 {
		t.Errorf("the scans began at %d places in the stream: too few to prove anything", len(began))
	}
}

func checkFollower(t *testing.T, s *Store, i int, f follower, log []Change) {
	t.Helper()
	if f.err != nil {
		t.Fatal(f.err)
	}
	var folded uint64
	for k, d := range f.state {
		folded ^= foldDigest(k, d)
	}
	for n, c := range log[f.from:] {
		if c.Key.Partition != f.partition {
			continue
		}
		if f.state[c.Key] != c.Old || c.Key.Hint != "" || c.Lost {
			t.Fatalf("scan %d, change %d after it: %+v, but the state before was %x", i, n, c, f.state[c.Key])
		}
		folded ^= foldDigest(c.Key, c.Old) ^ foldDigest(c.Key, c.New)
		if f.state[c.Key] = c.New; c.New == 0 {
			delete(f.state, c.Key)
		}
	}
	items := collectScan(t, s, Scan{Partition: f.partition})
	for _, item := range items {
		if f.state[item.Key] != digest(item.Object) {
			t.Errorf("scan %d: %s is %x, the store has %x", i, item.Key.Name, f.state[item.Key], digest(item.Object))
		}
		folded ^= foldDigest(item.Key, digest(item.Object))
	}
	if len(items) != len(f.state) || folded != 0 {
		t.Errorf("scan %d: %d keys and %x left over, the store has %d", i, len(f.state), folded, len(items))
	}
}

// foldDigest stands for the hash of a tree's entry; a missing record has none.
func foldDigest(k Key, d uint64) uint64 {
	if d == 0 {
		return 0
	}
	for _, b := range []byte(k.Name) {
		d = (d ^ uint64(b)) * 0x100000001b3
	}
	return d
}
