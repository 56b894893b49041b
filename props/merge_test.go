package props

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"

	"cartwheel/vclock"
)

// op is one change as the naive oracle sees it: name "" is a reset, value "" the default.
type op struct {
	time              vclock.Time
	node, name, value string
}

func (o op) state() state {
	at := stamp{o.time, o.node}
	if o.name == "" {
		return state{reset: at}
	}
	r := register{stamp: at}
	if o.value != "" {
		r.value = json.RawMessage(o.value)
	}
	return state{props: map[string]register{o.name: r}}
}

// after says whether o is ordered after p, value last.
func (o op) after(p op) bool {
	if o.time != p.time {
		return o.time > p.time
	}
	if o.node != p.node {
		return o.node > p.node
	}
	return o.value > p.value
}

// oracle computes the values of a bucket from all the changes ever made, in any order.
func oracle(ops []op) map[string]string {
	values := make(map[string]string)
	for _, o := range ops {
		wins := o.name != ""
		for _, p := range ops {
			switch p.name {
			case o.name:
				wins = wins && !p.after(o)
			case "":
				wins = wins && (o.time > p.time || o.time == p.time && o.node > p.node)
			}
		}
		if wins && o.value != "" {
			values[o.name] = o.value
		}
	}
	return values
}

func values(s state) map[string]string {
	m := make(map[string]string)
	for name, r := range s.props {
		if r.value != nil {
			m[name] = string(r.value)
		}
	}
	return m
}

// randomOps makes changes from a small space, so that stamps tie and orders cross.
func randomOps(r *rand.Rand, n int) []op {
	ops := make([]op, n)
	for i := range ops {
		ops[i] = op{
			time:  vclock.Time(1 + r.IntN(6)),
			node:  []string{"m", "n"}[r.IntN(2)],
			name:  []string{"", "a", "b", "c"}[r.IntN(4)],
			value: []string{"", "1", "2"}[r.IntN(3)],
		}
	}
	return ops
}

func joined(ops []op) state {
	var s state
	for _, o := range ops {
		s, _ = s.merge(o.state())
	}
	return s
}

// equal compares contents: a nil map is an empty one.
func equal(a, b state) bool {
	return a.reset == b.reset && maps.EqualFunc(a.props, b.props, func(x, y register) bool {
		return x.stamp == y.stamp && bytes.Equal(x.value, y.value) && (x.value == nil) == (y.value == nil)
	})
}

// TestMergeAgreesWithOracle delivers the same changes in different orders, with repeats and
// grouped into documents, and compares with the naive computation over all of them.
func TestMergeAgreesWithOracle(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		ops := randomOps(r, 1+r.IntN(12))
		want := oracle(ops)
		first := joined(ops)
		if got := values(first); !maps.Equal(got, want) {
			t.Fatalf("seed %d: %v\n got %v\nwant %v", seed, ops, got, want)
		}
		shuffled := append([]op(nil), ops...)
		shuffled = append(shuffled, ops[:r.IntN(len(ops))]...)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		cut := r.IntN(len(shuffled))
		second, _ := joined(shuffled[:cut]).merge(joined(shuffled[cut:]))
		if !equal(first, second) {
			t.Fatalf("seed %d: %v\nin order %v\nshuffled %v", seed, ops, first, second)
		}
	}
}

func TestMergeLaws(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 2))
		checkLaws(t, joined(randomOps(r, r.IntN(8))), joined(randomOps(r, r.IntN(8))), joined(randomOps(r, r.IntN(8))))
	}
}

func checkLaws(t *testing.T, a, b, c state) {
	t.Helper()
	before := [2]state{clone(a), clone(b)}
	ab, changed := a.merge(b)
	ba, _ := b.merge(a)
	if !equal(ab, ba) {
		t.Fatalf("not commutative: %v and %v give %v or %v", a, b, ab, ba)
	}
	if changed == equal(ab, a) {
		t.Fatalf("%v and %v give %v: changed is %v", a, b, ab, changed)
	}
	if !reflect.DeepEqual(before, [2]state{clone(a), clone(b)}) {
		t.Fatalf("merge modified its arguments: %v, now %v and %v", before, a, b)
	}
	if again, changed := ab.merge(b); changed || !equal(again, ab) {
		t.Fatalf("not idempotent: %v and %v give %v, then %v", a, b, ab, again)
	}
	bc, _ := b.merge(c)
	left, _ := ab.merge(c)
	right, _ := a.merge(bc)
	if !equal(left, right) {
		t.Fatalf("not associative: %v, %v, %v give %v or %v", a, b, c, left, right)
	}
	for name, r := range ab.props {
		if r.stamp.compare(ab.reset) <= 0 {
			t.Fatalf("%v and %v give %v: %q is not later than the reset", a, b, ab, name)
		}
	}
}

func clone(s state) state { return state{s.reset, maps.Clone(s.props)} }

// FuzzMerge takes byte strings as changes on three nodes.
func FuzzMerge(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{4, 5, 6}, []byte{0, 255})
	f.Add([]byte{}, []byte{0x11, 0x31}, []byte{0x13})
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		var states [3]state
		for i, data := range [][]byte{a, b, c} {
			ops := make([]op, 0, 16)
			for _, x := range data[:min(len(data), 16)] {
				ops = append(ops, op{vclock.Time(1 + x&3), string('m' + rune(x>>2&1)), []string{"", "a", "b", "c"}[x>>3&3], []string{"", "1", "2", "null"}[x>>5&3]})
			}
			states[i] = joined(ops)
		}
		checkLaws(t, states[0], states[1], states[2])
	})
}
