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

// hintState is what a writer knows of a hint: its value after the last acknowledged operation, and
// after the one under way; "" is none.
type hintState struct{ acknowledged, next string }

// hintWriters puts and drops hints until stop is closed. Keys are a writer's own.
type hintWriters struct {
	s     *Store
	mu    sync.Mutex
	state map[Key]hintState
	stop  chan struct{}
	group sync.WaitGroup
}

func (w *hintWriters) note(k Key, change func(*hintState)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := w.state[k]
	change(&st)
	w.state[k] = st
}

func (w *hintWriters) write(g int) error {
	random := rand.New(rand.NewPCG(uint64(g), 1))
	for i := 0; ; i++ {
		select {
		case <-w.stop:
			return nil
		default:
		}
		k := Key{Partition: 3, Hint: fmt.Sprint("owner", random.IntN(2)), Name: fmt.Sprint(g, "-", random.IntN(20))}
		o, err := w.s.Get(k)
		if err != nil {
			return err
		}
		if !o.Missing() && random.IntN(2) == 0 {
			w.note(k, func(st *hintState) { st.next = "" })
			if dropped, err := drop(w.s, k, o.Digest()); err != nil || !dropped {
				return fmt.Errorf("drop: %t, %w", dropped, err)
			}
		} else {
			size := random.IntN(2000)
			if random.IntN(50) == 0 {
				size = 100_000
			}
			value := fmt.Sprint(i, ":", strings.Repeat("x", size))
			w.note(k, func(st *hintState) { st.next = value })
			if _, err := put(w.s, k, vclock.Write{TakeLocal: true, Value: []byte(value)}); err != nil {
				return err
			}
		}
		w.note(k, func(st *hintState) { st.acknowledged = st.next })
	}
}

// hintPowerCuts is powerCuts for hints that come and go. It returns how many hints are neither
// what was acknowledged nor what was being written: lost, or back after they were dropped.
func hintPowerCuts(t *testing.T, durability Durability, cuts int) (checked, wrong int) {
	t.Helper()
	type copied struct {
		dir   string
		state map[Key]hintState
	}
	w := &hintWriters{state: map[Key]hintState{}, stop: make(chan struct{})}
	var (
		dir    = t.TempDir()
		copies []copied
		failed error
		seed   = rand.Uint64()
		h      = defaultHooks()
		commit = h.commit
		count  = 0
	)
	t.Logf("seed %d", seed)
	h.commit = func(txn *badger.Txn, at uint64) error {
		if count++; count%60 != 0 || len(copies) >= cuts || failed != nil {
			return commit(txn, at)
		}
		w.mu.Lock()
		c := copied{dir: filepath.Join(t.TempDir(), "cut"), state: maps.Clone(w.state)}
		w.mu.Unlock()
		copying := make(chan error, 1)
		go func() { copying <- storagetest.CrashCopy(dir, c.dir, seed+uint64(count)) }()
		err := commit(txn, at)
		failed = <-copying
		if copies = append(copies, c); len(copies) == cuts || failed != nil {
			close(w.stop)
		}
		return err
	}
	cfg := small(dir)
	cfg.Durability = durability
	w.s = mustOpenHooked(t, cfg, h)
	for g := range 8 {
		w.group.Go(func() {
			if err := w.write(g); err != nil {
				t.Error(err)
			}
		})
	}
	w.group.Wait()
	if errors.Is(failed, errors.ErrUnsupported) {
		t.Skip(failed)
	}
	if failed != nil {
		t.Fatal(failed)
	}
	mustClose(t, w.s)
	for _, c := range copies {
		s := mustOpen(t, small(c.dir))
		for k, st := range c.state {
			checked++
			o, err := s.Get(k)
			if err != nil {
				t.Fatalf("%s: %v", k.Name, err)
			}
			if got := values(o); got != st.acknowledged && got != st.next {
				wrong++
			}
		}
		checkHints(t, s)
		if n := countKind(s, kindGarbage|kindHint); n != 0 {
			t.Errorf("%d garbage entries are left", n)
		}
		mustClose(t, s)
	}
	return checked, wrong
}

func TestPowerCutKeepsHintsAndDrops(t *testing.T) {
	checked, wrong := hintPowerCuts(t, Fsync, 6)
	t.Logf("%d hints in 6 copies", checked)
	if wrong != 0 || checked == 0 {
		t.Errorf("%d of %d hints are not what was acknowledged", wrong, checked)
	}
}

// The test above can fail: without syncs it does.
func TestPowerCutTakesHintsWithoutSync(t *testing.T) {
	if _, wrong := hintPowerCuts(t, OS, 4); wrong == 0 {
		t.Error("nothing was lost without syncs")
	}
}
