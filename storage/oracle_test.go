package storage

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"cartwheel/vclock"
)

// oracle is the naive store: a map. It says what each operation must answer and leave; only the dots
// of puts come from the store, and must be new.
type oracle struct {
	t       *testing.T
	objects map[Key]vclock.Object
	dots    map[string]map[vclock.Dot]bool // by partition and name: copies of one object must not share dots
	digests map[Key]uint64                 // as Config.Changed tells
}

func (m *oracle) change(c Change) {
	if c.Lost || c.Key.Hint != "" || m.digests[c.Key] != c.Old || c.Old == c.New {
		m.t.Errorf("change %+v of a record with digest %x", c, m.digests[c.Key])
	}
	if m.digests[c.Key] = c.New; c.New == 0 {
		delete(m.digests, c.Key)
	}
}

// put checks the object that a put left against the rules of vclock, with the values for the dots.
func (m *oracle) put(k Key, w vclock.Write, got vclock.Object) {
	before := m.objects[k]
	context := w.Context
	if w.TakeLocal {
		context = context.Join(before.Clock)
	}
	var want []string
	for _, sibling := range before.Siblings {
		if !context.Covers(sibling.Dot) {
			want = append(want, string(sibling.Value))
		}
	}
	want = append(want, string(w.Value))
	name := fmt.Sprint(k.Partition, k.Name)
	if m.dots[name] == nil {
		m.dots[name] = map[vclock.Dot]bool{}
	}
	var values []string
	minted := 0
	for _, sibling := range got.Siblings {
		values = append(values, string(sibling.Value))
		if string(sibling.Value) == string(w.Value) {
			minted++
			if m.dots[name][sibling.Dot] {
				m.t.Errorf("%+v: dot %v was used before", k, sibling.Dot)
			}
			m.dots[name][sibling.Dot] = true
		}
	}
	slices.Sort(values)
	slices.Sort(want)
	if !slices.Equal(values, want) || minted != 1 {
		m.t.Errorf("%+v: a put left %d siblings, want %d", k, len(values), len(want))
	}
	m.objects[k] = got
}

func (m *oracle) check(s *Store) {
	m.t.Helper()
	for _, owner := range []string{"", "a", "b"} {
		for p := range uint16(3) {
			r := Scan{Hint: owner, Partition: p}
			if owner != "" && p == 2 {
				r = Scan{Hint: owner, AllPartitions: true}
			}
			var want []Key
			for k := range m.objects {
				if k.Hint == owner && (r.AllPartitions || k.Partition == p) {
					want = append(want, k)
				}
			}
			slices.SortFunc(want, func(a, b Key) int {
				return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Name, b.Name))
			})
			items := collectScan(m.t, s, r)
			if !slices.Equal(scanKeys(items), want) {
				m.t.Errorf("%+v: %d keys, want %d", r, len(items), len(want))
			}
			for _, i := range items {
				if !i.Object.Equal(m.objects[i.Key]) || i.Err != nil {
					m.t.Errorf("%+v: %d siblings, want %d; %v", i.Key, len(i.Object.Siblings), len(m.objects[i.Key].Siblings), i.Err)
				}
			}
		}
	}
	own := map[Key]uint64{}
	for k, o := range m.objects {
		if k.Hint == "" {
			own[k] = digest(o)
		}
	}
	if !maps.Equal(own, m.digests) {
		m.t.Errorf("the changes tell of %d own records, there are %d", len(m.digests), len(own))
	}
	checkHints(m.t, s)
}

// TestAgainstAMap runs random histories of one client against the store and a map.
func TestAgainstAMap(t *testing.T) {
	for range 4 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { playAgainstMap(t, seed) })
	}
}

func playAgainstMap(t *testing.T, seed uint64) {
	t.Parallel()
	random := rand.New(rand.NewPCG(seed, 0))
	m := &oracle{t: t, objects: map[Key]vclock.Object{}, dots: map[string]map[vclock.Dot]bool{}, digests: map[Key]uint64{}}
	cfg := small(t.TempDir())
	cfg.Changed = m.change
	s := mustOpen(t, cfg)
	var collected []vclock.Object // what other replicas may send, and what was seen to be dropped
	for step := range 300 {
		k := Key{
			Partition: uint16(random.IntN(2)), Name: fmt.Sprint("k", random.IntN(3)),
			Hint: []string{"", "a", "b"}[random.IntN(3)],
		}
		switch random.IntN(10) {
		case 0, 1, 2, 3:
			w := vclock.Write{TakeLocal: random.IntN(3) == 0, Value: []byte(fmt.Sprint(step))}
			if random.IntN(10) == 0 {
				w.Value = append(w.Value, large(60_000+random.IntN(100_000), "v")...)
			}
			if len(m.objects[k].Siblings) > 0 && random.IntN(3) == 0 {
				w.Context = m.objects[k].Clock
			}
			m.put(k, w, mustPut(t, s, k, w))
			collected = append(collected, m.objects[k])
		case 4, 5:
			// Objects of the same name only: a dot belongs to one.
			o := vclock.Record{}.Put(vclock.Write{Value: []byte(fmt.Sprint(step))}, vclock.NewActors(random.Uint64()|1)).Object
			if other := (Key{Partition: k.Partition, Name: k.Name, Hint: "a"}); random.IntN(2) == 0 {
				o = m.objects[other]
			}
			mustMerge(t, s, k, o)
			if merged, _ := vclock.Merge(m.objects[k], o); !merged.Missing() {
				m.objects[k] = merged
			}
		case 6, 7, 8:
			want := digest(m.objects[k])
			if len(collected) > 0 && random.IntN(3) == 0 {
				want = digest(collected[random.IntN(len(collected))])
			}
			_, there := m.objects[k]
			same := there && want == digest(m.objects[k])
			mustDrop(t, s, k, want, !there || same)
			if same {
				delete(m.objects, k)
			}
		case 9:
			if o, err := s.Get(k); err != nil || !o.Equal(m.objects[k]) {
				t.Errorf("%+v: %d siblings, %v", k, len(o.Siblings), err)
			}
			if random.IntN(5) == 0 {
				mustClose(t, s)
				s = mustOpen(t, cfg)
			}
		}
		if step%50 == 49 {
			m.check(s)
		}
		if t.Failed() {
			t.Fatalf("at step %d", step)
		}
	}
	mustClose(t, s)
	s = mustOpen(t, cfg)
	m.check(s)
	if err := s.Fenced(); errors.Is(err, ErrFenced) {
		t.Error(err)
	}
}

// TestBurstsAgainstAMap is TestAgainstAMap with many operations under way.
func TestBurstsAgainstAMap(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	// The answers come one after the other, in the order of the operations: no lock is needed.
	m := &oracle{t: t, objects: map[Key]vclock.Object{}, dots: map[string]map[vclock.Dot]bool{}, digests: map[Key]uint64{}}
	cfg := small(t.TempDir())
	cfg.Changed = m.change
	s := mustOpen(t, cfg)
	for round := range 20 {
		var under sync.WaitGroup
		for i := range 60 {
			under.Add(2)
			k := Key{Partition: uint16(random.IntN(2)), Name: fmt.Sprint("k", random.IntN(3)), Hint: []string{"", "a", "b"}[random.IntN(3)]}
			w := vclock.Write{TakeLocal: random.IntN(2) == 0, Value: []byte(fmt.Sprint(round, i))}
			if random.IntN(10) == 0 {
				w.Value = append(w.Value, large(30_000+random.IntN(50_000), "v")...)
			}
			follow := random.IntN(3)
			// The second operation follows when the first is minted: it is in the same batch, in the next one or in
			// a later one, and knows what may not be durable yet.
			minted := func(o vclock.Object) {
				if follow == 0 {
					s.Drop(Drop{Key: k, Digest: o.Digest(), Done: func(dropped bool, err error) {
						now, there := m.objects[k]
						if same := digest(now) == o.Digest(); err != nil || dropped != (same || !there) {
							t.Errorf("drop: %t, %v", dropped, err)
						} else if same {
							delete(m.objects, k)
						}
						under.Done()
					}})
					return
				}
				k := k
				if follow == 2 {
					k.Hint = "a"
				}
				s.Merge(Merge{Key: k, Object: o, Done: func(err error) {
					if m.objects[k], _ = vclock.Merge(m.objects[k], o); err != nil {
						t.Error(err)
					}
					under.Done()
				}})
			}
			s.Put(Put{Key: k, Write: w, Minted: minted, Done: func(o vclock.Object, err error) {
				if m.put(k, w, o); err != nil {
					t.Error(err)
				}
				under.Done()
			}})
		}
		under.Wait()
		m.check(s)
		if n := countKind(s, kindGarbage) + countKind(s, kindGarbage|kindHint); n != 0 {
			t.Errorf("%d garbage entries are left", n)
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
		if round%5 == 4 {
			mustClose(t, s)
			s = mustOpen(t, cfg)
		}
	}
}
