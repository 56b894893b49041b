package resolve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"cartwheel/vclock"
)

// randomJSON writes a JSON text with few different values, so that they often meet again.
func randomJSON(r *rand.Rand, b *strings.Builder, depth int) {
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	space := func() { b.WriteString([]string{"", "", " ", "\n\t"}[r.IntN(4)]) }
	space()
	switch r.IntN(kinds) {
	case 0:
		b.WriteString([]string{"null", "true", "false"}[r.IntN(3)])
	case 1, 2:
		b.WriteString([]string{"0", "-0", "1", "1.0", "1e0", "10E-1", "-1", "0.1", "1e-1", "10", "9007199254740993", "9007199254740992.0", "1e21"}[r.IntN(13)])
	case 3:
		b.WriteString([]string{`""`, `"a"`, `"\u0061"`, `"\u00e9"`, `"é"`, `"\ud83d\ude00"`, `"😀"`, `"\n"`, `"\u000A"`, `"\\\""`}[r.IntN(10)])
	case 4:
		randomArray(r, b, depth-1)
	default:
		randomObject(r, b, depth-1)
	}
	space()
}

func randomArray(r *rand.Rand, b *strings.Builder, depth int) {
	b.WriteByte('[')
	for i := range r.IntN(5) {
		if i > 0 {
			b.WriteByte(',')
		}
		randomJSON(r, b, depth)
	}
	b.WriteByte(']')
}

func randomObject(r *rand.Rand, b *strings.Builder, depth int) {
	b.WriteByte('{')
	names := []string{`"a"`, `"b"`, `"c"`, `"\u0064"`, `""`}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for i, name := range names[:r.IntN(len(names)+1)] {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name + ":")
		randomJSON(r, b, depth)
	}
	b.WriteByte('}')
}

// randomSiblings returns some with values that the rule takes, times that sometimes are equal,
// and distinct dots.
func randomSiblings(r *rand.Rand, how How) []vclock.Sibling {
	s := make([]vclock.Sibling, 1+r.IntN(5))
	for i := range s {
		var b strings.Builder
		switch how {
		case Union:
			randomArray(r, &b, 3)
		case JSONMerge:
			randomObject(r, &b, 3)
		case Max:
			fmt.Fprintf(&b, "%d.%de%d", r.IntN(5)-2, r.IntN(20), r.IntN(3))
		default:
			randomJSON(r, &b, 2)
		}
		s[i] = sibling(uint64(i+1), "application/json", b.String())
		s[i].Time = vclock.Time(r.IntN(4))
	}
	return s
}

// tree parses JSON with the standard library, numbers as exact fractions in text, so that equal
// values are equal as Go values.
func tree(t testing.TB, b []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return exact(v)
}

type fraction string

func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		r, ok := new(big.Rat).SetString(v.String())
		if !ok {
			return fraction(v)
		}
		return fraction(r.String())
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = exact(v[k])
		}
	}
	return v
}

// same is a text that is equal for equal trees: maps are printed sorted.
func same(v any) string { return fmt.Sprintf("%#v", v) }

// naive resolves with the standard library, in the plainest way.
func naive(t testing.TB, how How, s []vclock.Sibling) any {
	t.Helper()
	s = slices.Clone(s)
	slices.SortFunc(s, func(a, b vclock.Sibling) int {
		if a.Time != b.Time {
			return int(a.Time) - int(b.Time)
		}
		return a.Dot.Compare(b.Dot)
	})
	switch how {
	case Union:
		set := map[string]bool{}
		for i := range s {
			for _, e := range tree(t, s[i].Value).([]any) {
				set[same(e)] = true
			}
		}
		return slices.Sorted(maps.Keys(set))
	case Max:
		var best *big.Rat
		for i := range s {
			n, _ := new(big.Rat).SetString(strings.TrimSpace(string(s[i].Value)))
			if best == nil || n.Cmp(best) > 0 {
				best = n
			}
		}
		return fraction(best.String())
	case JSONMerge:
		merged := map[string]any{}
		for i := range s {
			assign(merged, tree(t, s[i].Value).(map[string]any))
		}
		return merged
	}
	return tree(t, s[len(s)-1].Value)
}

// assign sets the fields of from in to.
func assign(to, from map[string]any) {
	for name, v := range from {
		below, a := to[name].(map[string]any)
		above, b := v.(map[string]any)
		if a && b {
			assign(below, above)
		} else {
			to[name] = v
		}
	}
}

// checkLaws checks one set of siblings that the rule can resolve.
func checkLaws(t testing.TB, r *rand.Rand, how How, s []vclock.Sibling) {
	t.Helper()
	one, ok := Siblings(how, s)
	if !ok {
		t.Fatalf("%s refuses %s", how, show(s))
	}
	want, got := naive(t, how, s), tree(t, one.Value)
	if how == Union {
		var elements []string
		for _, e := range got.([]any) {
			elements = append(elements, same(e))
		}
		slices.Sort(elements)
		if distinct := slices.Compact(slices.Clone(elements)); len(s) > 1 && len(distinct) != len(elements) {
			t.Fatalf("%s of %s: %s has an element twice", how, show(s), one.Value)
		}
		got = slices.Compact(elements)
	}
	if same(got) != same(want) {
		t.Fatalf("%s of %s: %s, want %s", how, show(s), same(got), same(want))
	}

	more := append(slices.Clone(s), s[r.IntN(len(s))]) // commutative and idempotent
	r.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
	if again, ok := Siblings(how, more); !ok || !bytes.Equal(again.Value, one.Value) || again.Dot != one.Dot {
		t.Fatalf("%s of %s: %q, shuffled and with one twice %q, %v", how, show(s), one.Value, again.Value, ok)
	}
	if len(s) > 1 || how != Union { // one array alone is shown as it is, and need not be a set
		if again, ok := Siblings(how, append(slices.Clone(s), one)); !ok || !bytes.Equal(again.Value, one.Value) {
			t.Fatalf("%s of %s: %q, with the result among them %q, %v", how, show(s), one.Value, again.Value, ok)
		}
	}
	if how == Union || how == Max { // values alone decide: in any order of times, and step by step
		for i := range more {
			more[i].Time = vclock.Time(r.IntN(4))
		}
		again, _ := Siblings(how, more)
		if a, b := tree(t, again.Value), tree(t, one.Value); len(s) > 1 && same(a) != same(b) {
			t.Fatalf("%s of %s: %q, at other times %q", how, show(s), one.Value, again.Value)
		}
		if len(s) > 2 {
			part, _ := Siblings(how, s[1:])
			part.Dot = vclock.Dot{Actor: vclock.Actor{Run: 99}, Counter: 1}
			again, _ := Siblings(how, []vclock.Sibling{part, s[0]})
			if a, b := tree(t, again.Value), tree(t, one.Value); same(a) != same(b) {
				t.Fatalf("%s of %s: %q, in two steps %q", how, show(s), one.Value, again.Value)
			}
		}
	}
}

func show(s []vclock.Sibling) string {
	var b strings.Builder
	for i := range s {
		fmt.Fprintf(&b, "\n  %d/%d %q", s[i].Time, s[i].Dot.Counter, s[i].Value)
	}
	return b.String()
}

func TestLaws(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 700 {
		for _, how := range []How{LWW, Union, Max, JSONMerge} {
			checkLaws(t, r, how, randomSiblings(r, how))
		}
	}
}

// FuzzLaws checks the laws on siblings that a seed makes.
func FuzzLaws(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		how := LWW + How(r.IntN(4))
		checkLaws(t, r, how, randomSiblings(r, how))
	})
}

// FuzzParse compares the parser with the standard library's.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`[1,-0.5e+3,"\ud83d\ude00\n"]`, `{"a":{"b":[null,true,false]},"c":""}`, "[\"\xff\"]", `"\ud800"`, `{"a":1,"a":2}`, " 1 ", "[", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := parser{left: 1000}
		v, ok := p.parse(b)
		if !ok {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q is no JSON", b)
		}
		out := v.append(nil)
		if len(out) > len(b) {
			t.Fatalf("%q became longer: %q", b, out)
		}
		again, ok := (&parser{left: 1000}).parse(out)
		if !ok || compare(&v, &again) != 0 || compareSpelling(&v, &again) != 0 || !bytes.Equal(again.append(nil), out) {
			t.Fatalf("%q became %q and then %q", b, out, again.append(nil))
		}
		if bytes.ContainsAny(b, "eE") {
			return // exact fractions of large exponents take long
		}
		if got, want := tree(t, out), tree(t, b); same(got) != same(want) {
			t.Fatalf("%q became %q", b, out)
		}
	})
}

// FuzzCompareNumbers compares with exact fractions.
func FuzzCompareNumbers(f *testing.F) {
	f.Add("1e3", "1000.0")
	f.Add("-0.001", "-1e-3")
	f.Add("123456789012345678901234567890", "123456789012345678901234567891")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, okX := small(a)
		y, okY := small(b)
		if !okX || !okY {
			return
		}
		m, _ := parseDecimal(a)
		n, _ := parseDecimal(b)
		if got, want := m.compare(&n), x.Cmp(y); got != want {
			t.Fatalf("%s and %s: %d, want %d", a, b, got, want)
		}
	})
}

// small returns a JSON number that is cheap to compute with.
func small(s string) (*big.Rat, bool) {
	d := strings.TrimLeft(s, "-")
	if d == "" || d[0] < '0' || d[0] > '9' || strings.TrimSpace(s) != s || !json.Valid([]byte(s)) || len(s) > 100 {
		return nil, false
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 && len(strings.TrimLeft(s[i+1:], "+-0")) > 3 {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func BenchmarkSiblings(b *testing.B) {
	var items, fields []string
	for i := range 100 {
		items = append(items, fmt.Sprintf(`"item number %d"`, i))
		fields = append(fields, fmt.Sprintf(`"field%d":{"n":%d}`, i, i))
	}
	list, set := "["+strings.Join(items, ",")+"]", "{"+strings.Join(fields, ",")+"}"
	for how, s := range map[How][]vclock.Sibling{
		LWW: jsonSiblings(list, list), Union: jsonSiblings(list, list), Max: jsonSiblings("17", "23"), JSONMerge: jsonSiblings(set, set),
	} {
		b.Run(fmt.Sprintf("%s/bytes=%d", how, len(s[0].Value)+len(s[1].Value)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := Siblings(how, s); !ok {
					b.Fatal("refused")
				}
			}
		})
	}
}
