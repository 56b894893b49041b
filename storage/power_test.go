package storage

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cartwheel/storage/storagetest"
	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// powerCuts lets many writers run, takes copies of the directory as power cuts in the middle of
// commits would leave them, opens each, and returns how many acknowledged writes are missing in them.
//
// What counts as lost in a power cut is not what the store says but what the kernel says: see
// package storagetest. So the same run without syncs must lose writes, and does: the test below it.
func powerCuts(t *testing.T, durability Durability, cuts int) (acknowledged, lost int) {
	t.Helper()
	type copied struct {
		dir  string
		acks map[Key]string
	}
	var (
		dir    = t.TempDir()
		mu     sync.Mutex
		acks   = map[Key]string{} // by key, the value of the last acknowledged write
		copies []copied
		failed error
		stop   = make(chan struct{})
		seed   = rand.Uint64()
		h      = defaultHooks()
		commit = h.commit
		count  = 0
	)
	t.Logf("seed %d", seed)
	h.commit = func(txn *badger.Txn, at uint64) error {
		if count++; count%50 != 0 || len(copies) >= cuts || failed != nil {
			return commit(txn, at)
		}
		mu.Lock()
		c := copied{dir: filepath.Join(t.TempDir(), "cut"), acks: maps.Clone(acks)}
		mu.Unlock()
		// Beside the commit: some copies have none, some a part, some all of it.
		copying := make(chan error, 1)
		go func() { copying <- storagetest.CrashCopy(dir, c.dir, seed+uint64(count)) }()
		err := commit(txn, at)
		failed = <-copying
		if copies = append(copies, c); len(copies) == cuts || failed != nil {
			close(stop)
		}
		return err
	}
	cfg := small(dir)
	cfg.Durability = durability
	s := mustOpenHooked(t, cfg, h)
	var writers sync.WaitGroup
	for g := range 16 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 0))
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				// Keys are a writer's own, so the order of its acknowledgements is the order of its
				// writes; many are overwritten, some large.
				k := key(fmt.Sprintf("%d-%d", g, random.IntN(min(i/2+1, 100))))
				size := 200 + random.IntN(2000)
				if random.IntN(200) == 0 {
					size = 100_000
				}
				value := fmt.Sprint(i, ":", strings.Repeat("x", size))
				if _, err := put(s, k, vclock.Write{TakeLocal: true, Value: []byte(value)}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acks[k] = value
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	if errors.Is(failed, errors.ErrUnsupported) {
		t.Skip(failed)
	}
	if failed != nil {
		t.Fatal(failed)
	}
	mustClose(t, s)
	for _, c := range copies {
		s := mustOpen(t, small(c.dir))
		for k, want := range c.acks {
			acknowledged++
			o, err := s.Get(k)
			if err != nil {
				t.Fatalf("%s: %v", k.Name, err)
			}
			if o.Missing() || older(values(o), want) {
				lost++
			}
		}
		mustClose(t, s)
	}
	return acknowledged, lost
}

// older reports whether value a was written before value b: both begin with their number.
func older(a, b string) bool {
	var i, j int
	fmt.Sscan(strings.SplitN(a, ":", 2)[0], &i)
	fmt.Sscan(strings.SplitN(b, ":", 2)[0], &j)
	return i < j
}

func TestPowerCutLosesNothingAcknowledged(t *testing.T) {
	acknowledged, lost := powerCuts(t, Fsync, 8)
	t.Logf("%d acknowledged writes in 8 copies", acknowledged)
	if lost != 0 || acknowledged == 0 {
		t.Errorf("%d of %d acknowledged writes are lost", lost, acknowledged)
	}
}

// The test above can fail: without syncs, power cuts lose acknowledged writes. That is what
// durability "os" says it does.
func TestPowerCutLosesWritesWithoutSync(t *testing.T) {
	if _, lost := powerCuts(t, OS, 4); lost == 0 {
		t.Error("nothing was lost without syncs: the power cut cuts nothing")
	}
}

// Whenever a write is acknowledged, no page of any log is dirty.
func TestAcknowledgedMeansSynced(t *testing.T) {
	dir := t.TempDir()
	h := defaultHooks()
	unsynced, checks := int64(0), 0
	var failed error
	h.synced = func() {
		n, err := storagetest.Unsynced(dir)
		unsynced, failed, checks = unsynced+n, errors.Join(failed, err), checks+1
	}
	s := mustOpenHooked(t, small(dir), h)
	for i := range 40 {
		mustPut(t, s, key(fmt.Sprint(i)), blind(large(60_000, "v")))
	}
	if errors.Is(failed, errors.ErrUnsupported) {
		t.Skip(failed)
	}
	if failed != nil || unsynced != 0 || checks < 40 {
		t.Errorf("%d bytes were not synced at %d acknowledgements, %v", unsynced, checks, failed)
	}
}
