package vclock

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func actor(n uint64) Actor { return Actor{Run: n, Epoch: 1} }

func values(o Object) string {
	var v []string
	for _, s := range o.Siblings {
		v = append(v, string(s.Value))
	}
	return strings.Join(v, ",")
}

func put(r Record, ids *Actors, context Clock, value string) Record {
	return r.Put(Write{Context: context, Value: []byte(value)}, ids)
}

// A replica loses a key on which it had minted, a client writes blindly, and the copy that
// survived elsewhere comes back: both values are acknowledged, both must be there.
func TestPutAfterLossKeepsSurvivor(t *testing.T) {
	ids := NewActors(1)
	var r Record
	for i := range 500 {
		r = put(r, ids, r.Object.Clock, fmt.Sprint("a", i))
	}
	survivor := r.Object
	lost := put(Record{}, ids, nil, "new") // the same process: only the record is gone
	m, _ := Merge(lost.Object, survivor)
	if got := values(m); got != "a499,new" {
		t.Fatalf("after the merge: %q, want a499,new", got)
	}
}

// The record itself went back in time (a restored disk under a running process cannot be,
// but a corrupt record replaced by an older replica can): a context or a merge that knows a
// later dot of the record's actor must end the use of that actor.
func TestStaleRecordOpensNewActor(t *testing.T) {
	ids := NewActors(1)
	old := put(Record{}, ids, nil, "v1")
	now := put(old, ids, old.Object.Clock, "v2")

	byContext := put(old, ids, now.Object.Clock, "v3")
	if byContext.Actor == old.Actor {
		t.Errorf("a context from the future of the record: actor kept")
	}
	byMerge, _ := old.Merge(now.Object)
	if !byMerge.Actor.IsZero() {
		t.Errorf("a merge from the future of the record: actor kept")
	}
	back := put(byMerge, ids, byMerge.Object.Clock, "v4")
	m, _ := Merge(back.Object, put(now, ids, nil, "v5").Object)
	if got := values(m); !strings.Contains(got, "v4") || !strings.Contains(got, "v5") {
		t.Errorf("concurrent writes of the two copies: %q, want v4 and v5", got)
	}
	other, _ := now.Merge(put(Record{}, NewActors(2), nil, "w").Object)
	if other.Actor != now.Actor {
		t.Errorf("a merge without news of the actor cleared it")
	}
}

func TestPut(t *testing.T) {
	ids := NewActors(1)
	a := put(Record{}, ids, nil, "a")
	ab := put(a, ids, nil, "b")
	for _, c := range []struct {
		name, want string
		rec        Record
	}{
		{"blind writes are siblings", "a,b", ab},
		{"a write with the context of both resolves", "c", put(ab, ids, ab.Object.Clock, "c")},
		{"a write with the context of one leaves the other", "b,c", put(ab, ids, a.Object.Clock, "c")},
		{"a lossy bucket takes the local clock as read", "c", ab.Put(Write{TakeLocal: true, Value: []byte("c")}, ids)},
	} {
		if got := values(c.rec.Object); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestShown(t *testing.T) {
	sib := func(n uint64, v string, f func(*Sibling)) Sibling {
		s := Sibling{Dot: Dot{actor(n), 1}, Value: []byte(v), Time: Time(n)}
		if f != nil {
			f(&s)
		}
		return s
	}
	dead := func(s *Sibling) { s.Deleted, s.Value = true, nil }
	req := func(s *Sibling) { s.RequestID = RequestID{9} }
	for _, c := range []struct {
		name, want string
		in         []Sibling
		winner     uint64
	}{
		{"nothing", "", nil, 0},
		{"siblings", "a,b", []Sibling{sib(1, "a", nil), sib(2, "b", nil)}, 2},
		{"a tombstone beside a value is hidden", "a", []Sibling{sib(1, "a", nil), sib(2, "", dead)}, 2},
		{"only tombstones: the newest", "", []Sibling{sib(1, "", dead), sib(2, "", dead)}, 2},
		{"one request minted twice is one value", "a,c", []Sibling{sib(1, "a", req), sib(2, "b", req), sib(3, "c", nil)}, 3},
	} {
		o := Object{Siblings: c.in}
		if got := values(Object{Siblings: o.Shown()}); got != c.want {
			t.Errorf("%s: shown %q, want %q", c.name, got, c.want)
		}
		if w, ok := o.Winner(); ok != (c.winner > 0) || ok && w.Dot.Actor.Run != c.winner {
			t.Errorf("%s: winner %v %v, want %d", c.name, w.Dot, ok, c.winner)
		}
	}
	two := Object{Siblings: []Sibling{sib(1, "", dead), sib(2, "", dead)}}
	if s := two.Shown(); len(s) != 1 || s[0].Dot.Actor.Run != 2 {
		t.Errorf("two tombstones: shown %v", s)
	}
}

func TestDigestTellsHistoriesApart(t *testing.T) {
	seen := map[uint64]Object{}
	for seed := range uint64(500) {
		for _, o := range randomObjects(seed) {
			d := o.Digest()
			if p, ok := seen[d]; ok && (!p.Clock.Equal(o.Clock) || len(p.Siblings) != len(o.Siblings)) {
				t.Fatalf("one digest for %+v and %+v", p, o)
			}
			seen[d] = o
		}
	}
	// The same clock with and without a sibling's dot.
	o := randomObjects(3)[0]
	if o.Digest() == (Object{Clock: o.Clock}).Digest() && len(o.Siblings) > 0 {
		t.Fatal("the digest does not depend on the siblings")
	}
}

func TestClock(t *testing.T) {
	// Long clocks are searched, short ones scanned: both must agree.
	for _, n := range []uint64{0, 1, 3, 8, 9, 40} {
		var c Clock
		for i := range n {
			c = c.with(Dot{actor(2*i + 2), i + 1})
		}
		for i := range 2*n + 3 {
			want := uint64(0)
			if i >= 2 && i%2 == 0 && i/2 <= n {
				want = i / 2
			}
			if got := c.Get(actor(i)); got != want {
				t.Fatalf("%d entries: Get(%d) = %d, want %d", n, i, got, want)
			}
		}
		if !c.Descends(nil) || !c.Descends(c) || n > 0 && (Clock)(nil).Descends(c) {
			t.Fatalf("%d entries: Descends is wrong", n)
		}
	}
}

func TestHybridClock(t *testing.T) {
	var h HybridClock
	last := h.Now(0)
	for range 1000 {
		if next := h.Now(0); next <= last {
			t.Fatalf("%d after %d", next, last)
		} else {
			last = next
		}
	}
	ahead := TimeOf(time.Now().Add(24 * time.Hour))
	if got := h.Now(ahead); got <= ahead {
		t.Errorf("Now(%d) = %d", ahead, got)
	}
	if got := h.Now(0); got >= ahead {
		t.Errorf("a floor far ahead dragged the clock along: %v", got.Wall())
	}
}

// A wall clock that is set back does not make hybrid times repeat or fall.
func TestHybridClockSetBack(t *testing.T) {
	wall := time.UnixMilli(5_000_000)
	h := HybridClock{Wall: func() time.Time { return wall }}
	last := h.Now(0)
	for _, jump := range []time.Duration{-time.Hour, time.Second, -time.Minute, 2 * time.Hour, -24 * time.Hour} {
		wall = wall.Add(jump)
		if next := h.Now(0); next <= last {
			t.Errorf("%v after a jump by %v", next, jump)
		} else {
			last = next
		}
	}
}

// A context can be made up: it is checksummed, not signed. Whatever it or, through it, the clock
// claims to have seen of actors to come, the new dot is one that nobody has seen, and the record
// can be decoded again.
func TestPutWithMadeUpContext(t *testing.T) {
	const last = ^uint64(0)
	future := Clock{{Actor{7, 1}, last}, {Actor{7, 2}, 5}}
	for name, c := range map[string]struct{ context, clock Clock }{
		"in the context": {context: future},
		"in the clock":   {clock: future},
	} {
		rec := Record{Object: Object{Clock: c.clock}}.Put(Write{Context: c.context, Value: []byte("v")}, NewActors(7))
		if d := rec.Object.Siblings[0].Dot; d.Counter != 1 || future.Get(d.Actor) != 0 {
			t.Errorf("%s: minted %v", name, d)
		}
		if _, err := DecodeRecord(rec.Append(nil)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
