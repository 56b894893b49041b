package vclock

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// oracle is the obviously right replica: the set of all dots it has seen and the set of
// those whose values it keeps. No vectors, no sorting, no sharing.
type oracle struct {
	seen map[Dot]bool
	kept map[Dot]string
}

func newOracle() oracle { return oracle{seen: map[Dot]bool{}, kept: map[Dot]string{}} }

func (o oracle) put(read map[Dot]bool, d Dot, value string) oracle {
	n := newOracle()
	for e := range o.seen {
		n.seen[e] = true
	}
	for e := range read {
		n.seen[e] = true
	}
	for e, v := range o.kept {
		if !read[e] {
			n.kept[e] = v
		}
	}
	n.seen[d], n.kept[d] = true, value
	return n
}

func (o oracle) merge(p oracle) oracle {
	n := newOracle()
	for _, q := range []oracle{o, p} {
		for e := range q.seen {
			n.seen[e] = true
		}
	}
	for e, v := range o.kept {
		if _, both := p.kept[e]; both || !p.seen[e] {
			n.kept[e] = v
		}
	}
	for e, v := range p.kept {
		if _, both := o.kept[e]; both || !o.seen[e] {
			n.kept[e] = v
		}
	}
	return n
}

// same reports how o and the real object differ, "" if they do not.
func (o oracle) same(obj Object) string {
	var diff []string
	for d := range o.seen {
		if !obj.Clock.Covers(d) {
			diff = append(diff, fmt.Sprintf("clock lacks %v", d))
		}
	}
	for _, e := range obj.Clock {
		for c := uint64(1); c <= e.Counter; c++ {
			if d := (Dot{e.Actor, c}); !o.seen[d] {
				diff = append(diff, fmt.Sprintf("clock claims %v", d))
			}
		}
	}
	for _, s := range obj.Siblings {
		if v, ok := o.kept[s.Dot]; !ok || v != string(s.Value) {
			diff = append(diff, fmt.Sprintf("sibling %v=%q, want %q", s.Dot, s.Value, v))
		}
	}
	if len(obj.Siblings) != len(o.kept) {
		diff = append(diff, fmt.Sprintf("%d siblings, want %d", len(obj.Siblings), len(o.kept)))
	}
	return strings.Join(diff, "; ")
}

// replica is a real record beside its oracle, and the actors of its present life.
type replica struct {
	rec    Record
	oracle oracle
	ids    *Actors
}

type read struct {
	clock Clock
	seen  map[Dot]bool
}

// history runs a random history of a few replicas that serve blind and informed writes,
// merge, restart, lose their disk and restore old copies, and checks each step against the
// oracle: the same clocks and values, and no dot minted twice.
func history(t testing.TB, seed uint64, steps int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	run := uint64(0)
	life := func() *Actors { run++; return NewActors(run) }
	reps := make([]replica, 3)
	backups := make([]replica, len(reps))
	for i := range reps {
		reps[i] = replica{oracle: newOracle(), ids: life()}
		backups[i] = reps[i]
	}
	reads := []read{{}}
	minted := map[Dot]bool{}
	for step := range steps {
		i := rng.IntN(len(reps))
		r := &reps[i]
		switch op := rng.IntN(100); {
		case op < 45: // a write with something that a client read, or blind
			from := reads[rng.IntN(len(reads))]
			value := fmt.Sprintf("v%d", step)
			next := r.rec.Put(Write{Context: from.clock, Value: []byte(value)}, r.ids)
			var dot Dot
			for _, s := range next.Object.Siblings {
				if string(s.Value) == value {
					dot = s.Dot
				}
			}
			if minted[dot] || dot.Counter == 0 {
				t.Fatalf("seed %d step %d: dot %v minted twice", seed, step, dot)
			}
			minted[dot] = true
			r.rec, r.oracle = next, r.oracle.put(from.seen, dot, value)
		case op < 60: // a client reads
			seen := map[Dot]bool{}
			for d := range r.oracle.seen {
				seen[d] = true
			}
			reads = append(reads, read{r.rec.Object.Clock, seen})
		case op < 85: // a merge from another replica
			from := reps[rng.IntN(len(reps))]
			before := r.rec
			next, changed := r.rec.Merge(from.rec.Object)
			if changed == next.Object.Equal(before.Object) {
				t.Fatalf("seed %d step %d: changed=%v but equal=%v", seed, step, changed, next.Object.Equal(before.Object))
			}
			r.rec, r.oracle = next, r.oracle.merge(from.oracle)
		case op < 90: // restart
			r.ids = life()
		case op < 93: // the disk is lost
			*r = replica{oracle: newOracle(), ids: life()}
		case op < 96: // backup
			backups[i] = *r
		default: // an old copy is restored, as it lay on disk
			*r = replica{rec: backups[i].rec, oracle: backups[i].oracle, ids: life()}
		}
		if diff := r.oracle.same(r.rec.Object); diff != "" {
			t.Fatalf("seed %d step %d: %s", seed, step, diff)
		}
		encoded := r.rec.Append(nil)
		if len(encoded) != 8+uvarintLen(r.rec.Actor.Epoch)+r.rec.Object.Size() {
			t.Fatalf("seed %d step %d: Size is %d, encoding has %d bytes", seed, step, r.rec.Object.Size(), len(encoded))
		}
		back, err := DecodeRecord(encoded)
		if err != nil || back.Actor != r.rec.Actor || !back.Object.Equal(r.rec.Object) {
			t.Fatalf("seed %d step %d: record does not survive its encoding: %v", seed, step, err)
		}
	}
}

func TestObjectFollowsOracle(t *testing.T) {
	for seed := range uint64(2000) {
		history(t, seed, 60)
	}
}

func FuzzHistory(f *testing.F) {
	f.Add(uint64(1), 50)
	f.Add(uint64(77), 200)
	f.Fuzz(func(t *testing.T, seed uint64, steps int) { history(t, seed, min(max(steps, 0), 300)) })
}

// randomObject returns one of the objects of a random history, so that clocks and siblings
// fit together, sometimes with a corrupted sibling.
func randomObjects(seed uint64) []Object {
	rng := rand.New(rand.NewPCG(seed, 2))
	ids := []*Actors{NewActors(7), NewActors(8), NewActors(9)}
	recs := make([]Record, 3)
	for range 2 + rng.IntN(12) {
		i := rng.IntN(3)
		if rng.IntN(3) == 0 {
			recs[i], _ = recs[i].Merge(recs[rng.IntN(3)].Object)
			continue
		}
		recs[i] = recs[i].Put(Write{
			Context: recs[rng.IntN(3)].Object.Clock,
			Deleted: rng.IntN(5) == 0,
			Time:    Time(rng.IntN(4)),
		}, ids[i])
	}
	out := make([]Object, 3)
	for i := range recs {
		out[i] = recs[i].Object
		if n := len(out[i].Siblings); n > 0 && rng.IntN(4) == 0 {
			s := slices.Clone(out[i].Siblings)
			s[rng.IntN(n)].ContentType = fmt.Sprint("corrupt", rng.IntN(2))
			out[i].Siblings = s
		}
	}
	return out
}

func merged(a, b Object) Object { m, _ := Merge(a, b); return m }

func TestMergeLaws(t *testing.T) {
	conflicts := 0
	for seed := range uint64(5000) {
		o := randomObjects(seed)
		a, b, c := o[0], o[1], o[2]
		if x, y := merged(a, b), merged(b, a); !x.Equal(y) {
			t.Fatalf("seed %d: not commutative:\n%+v\n%+v", seed, x, y)
		}
		if x, y := merged(a, merged(b, c)), merged(merged(a, b), c); !x.Equal(y) {
			t.Fatalf("seed %d: not associative:\n%+v\n%+v", seed, x, y)
		}
		ab := merged(a, b)
		for _, x := range []Object{a, b, ab} {
			if m, changed := Merge(ab, x); changed || !m.Equal(ab) {
				t.Fatalf("seed %d: not idempotent: %+v, changed %v", seed, m, changed)
			}
		}
		if !slices.IsSortedFunc(ab.Siblings, func(s, t Sibling) int { return s.compare(&t) }) {
			t.Fatalf("seed %d: siblings out of order: %+v", seed, ab.Siblings)
		}
		conflicts += ab.Conflicts()
	}
	if conflicts == 0 {
		t.Fatal("no history had a corrupted sibling: the laws were not tried on them")
	}
}
