package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"cartwheel/vclock"
)

// walkNames returns the names of a partition from a name on, those of live objects, and those that
// are damaged.
func walkNames(s *Store, partition uint16, from string) (all, live, damaged []string, err error) {
	err = s.Names(false, func(n *Names) error {
		for ok := n.Seek(partition, from); ok; ok = n.Next() {
			name := string(n.Name())
			all = append(all, name)
			if lives, err := n.Live(nil); err != nil {
				if !errors.Is(err, ErrCorrupt) {
					return err
				}
				damaged = append(damaged, name)
			} else if lives {
				live = append(live, name)
			}
			if n.Bytes() < int64(len(name)) {
				return fmt.Errorf("%q: %d bytes", name, n.Bytes())
			}
		}
		return n.Err()
	})
	return all, live, damaged, err
}

// A walk over names finds what a scan finds, from every place on; hints and chunks are none of it.
func TestNamesEqualScan(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, small(dir))
	rnd := rand.New(rand.NewPCG(1, 1))
	sizes := []int{10, 10, 10, 1000, 60_000, 120_000} // the last ones go in chunks
	for i := range 200 {
		k := Key{Partition: uint16(rnd.IntN(3)) * 0x6161, Name: fmt.Sprintf("k%d", rnd.IntN(120))}
		if i%7 == 0 {
			k.Hint = "owner"
		}
		w := vclock.Write{TakeLocal: rnd.IntN(2) == 0, Value: []byte(large(sizes[rnd.IntN(len(sizes))], "v"))}
		if rnd.IntN(3) == 0 {
			w.Value, w.Deleted = nil, true
			w.Meta = []vclock.Pair{{Name: "a", Value: large(rnd.IntN(2)*60_000, "m")}} // tombstones in chunks, too
		}
		mustPut(t, s, k, w)
	}
	for range 2 {
		for _, p := range []uint16{0, 0x6161, 0xc2c2, 5} {
			var want, wantLive []string
			for _, i := range collectScan(t, s, Scan{Partition: p}) {
				want = append(want, i.Key.Name)
				if slices.ContainsFunc(i.Object.Siblings, func(v vclock.Sibling) bool { return !v.Deleted }) {
					wantLive = append(wantLive, i.Key.Name)
				}
			}
			for _, from := range []string{"", "k", "k1", "k17", "k17\x00", "kk"} {
				at, _ := slices.BinarySearch(want, from)
				liveAt, _ := slices.BinarySearch(wantLive, from)
				all, live, damaged, err := walkNames(s, p, from)
				if err != nil || !slices.Equal(all, want[at:]) || !slices.Equal(live, wantLive[liveAt:]) || damaged != nil {
					t.Errorf("partition %d from %q: %v\n got %q\nwant %q\nlive %q\nwant %q", p, from, err, all, want[at:], live, wantLive[liveAt:])
				}
			}
		}
		mustClose(t, s)
		s = mustOpen(t, small(dir)) // and again from tables
	}
}

// A damaged record is told, and the walk goes on behind it.
func TestNamesTellOfDamage(t *testing.T) {
	var told []Key
	cfg := small(t.TempDir())
	cfg.Damaged = func(k Key) { told = append(told, k) }
	s := mustOpen(t, cfg)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		mustPut(t, s, key(name), blind(map[bool]string{true: large(100_000, "v"), false: "v"}[name > "c"]))
	}
	flipBit(t, s, recordKey(key("b")))
	h := readRecord(readTxn(s), key("d")).head
	flipBit(t, s, chunkKey(key("d"), h.generation, 0))
	all, live, damaged, err := walkNames(s, 7, "")
	if err != nil || !slices.Equal(all, []string{"a", "b", "c", "d", "e"}) || !slices.Equal(live, []string{"a", "c", "e"}) ||
		!slices.Equal(damaged, []string{"b", "d"}) {
		t.Errorf("all %q, live %q, damaged %q, %v", all, live, damaged, err)
	}
	if !slices.Equal(told, []Key{key("b"), key("d")}) || s.Stats().Corrupt != 2 {
		t.Errorf("told of %v, %d counted", told, s.Stats().Corrupt)
	}
}

// Close lets a walk end at its next step and waits for it.
func TestNamesEndWithClose(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	for i := range 10 {
		mustPut(t, s, key(fmt.Sprint(i)), blind("v"))
	}
	closed := make(chan struct{})
	err := s.Names(false, func(n *Names) error {
		if !n.Seek(7, "") || !n.Next() {
			t.Error("nothing there")
		}
		go func() {
			s.Close()
			close(closed)
		}()
		for !s.snapshots.closing() {
		}
		if n.Next() || n.Seek(7, "") {
			t.Error("the walk goes on")
		}
		select {
		case <-closed:
			t.Error("Close did not wait")
		default:
		}
		return n.Err()
	})
	if !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	<-closed
	if err := s.Names(false, func(*Names) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func BenchmarkNames(b *testing.B) {
	s := mustOpen(b, Config{Dir: b.TempDir(), Durability: OS})
	for i := range 5000 {
		mustPut(b, s, key(fmt.Sprintf("key-%09d", i)), blind(large(100, "v")))
	}
	b.ReportAllocs()
	for b.Loop() {
		if all, _, _, err := walkNames(s, 7, ""); err != nil || len(all) != 5000 {
			b.Fatal(len(all), err)
		}
	}
}

// A settled walk has the writes that were given to the store before it, which may still wait for their
// commit. A store that takes no writes is walked as it is.
func TestSettledNamesHaveWhatWasGiven(t *testing.T) {
	h := newHold()
	s := mustOpenHooked(t, small(t.TempDir()), h.hooks)
	mustPutHeld(t, s, h, key("first"), blind("v"))
	s.Put(Put{Key: key("second"), Write: blind("v"), Done: func(_ vclock.Object, err error) {
		if err != nil {
			t.Error(err)
		}
	}})
	names := func(settled bool) (n int) {
		err := s.Names(settled, func(n2 *Names) error {
			for ok := n2.Seek(key("").Partition, ""); ok; ok = n2.Next() {
				n++
			}
			return n2.Err()
		})
		if err != nil {
			t.Error(err)
		}
		return n
	}
	if n := names(false); n > 1 {
		t.Errorf("%d names are there before the second write is durable", n)
	}
	settled := make(chan int)
	go func() { settled <- names(true) }()
	h.release()
	if n := <-settled; n != 2 {
		t.Errorf("%d names after the second write was given to the store, want 2", n)
	}
	s.fence(errors.New("planted"), false)
	if n := names(true); n != 2 {
		t.Errorf("%d names of a fenced store, want 2", n)
	}
	mustClose(t, s)
}

// Where the last write wins, what was deleted last is not there, however large its siblings are; elsewhere it is.
func TestNamesWhereTheLastWins(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	at := func(run uint64, time vclock.Time, value string) vclock.Object {
		w := vclock.Write{Time: time, Deleted: value == "", Value: []byte(value)}
		return vclock.Record{}.Put(w, vclock.NewActors(run)).Object
	}
	for name, o := range map[string][2]vclock.Object{
		"alone":           {at(9, 1, "v"), vclock.Object{}},
		"deleted":         {at(1, 10, "v"), at(2, 20, "")},
		"deleted-large":   {at(1, 10, large(120_000, "v")), at(2, 20, "")},
		"kept":            {at(1, 30, "v"), at(2, 20, "")},
		"kept-large":      {at(2, 30, large(120_000, "v")), at(1, 20, "")},
		"tombstones":      {at(1, 30, ""), at(2, 20, "")},
		"values":          {at(1, 30, "v"), at(2, 20, "v")},
		"deleted-by-dot":  {at(1, 10, "v"), at(2, 10, "")},
		"kept-by-the-dot": {at(1, 10, ""), at(2, 10, "v")},
	} {
		whole, _ := vclock.Merge(o[0], o[1])
		mustMerge(t, s, key(name), whole)
	}
	asked := 0
	live := func(lossy func([]byte) bool) (names []string) {
		err := s.Names(true, func(n *Names) error {
			for ok := n.Seek(key("").Partition, ""); ok; ok = n.Next() {
				lives, err := n.Live(lossy)
				if err != nil {
					return err
				}
				if lives {
					names = append(names, string(n.Name()))
				}
			}
			return n.Err()
		})
		if err != nil {
			t.Error(err)
		}
		return names
	}
	all := []string{"alone", "deleted", "deleted-by-dot", "deleted-large", "kept", "kept-by-the-dot", "kept-large", "values"}
	if got := live(nil); !slices.Equal(got, all) {
		t.Errorf("got %q, want %q", got, all)
	}
	want := []string{"alone", "kept", "kept-by-the-dot", "kept-large", "values"}
	if got := live(func(name []byte) bool { asked++; return string(name) != "alone" }); !slices.Equal(got, want) {
		t.Errorf("where the last write wins: %q, want %q", got, want)
	}
	if asked < 7 {
		t.Errorf("asked about %d records", asked)
	}
}
