package resolve

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"cartwheel/vclock"
)

// String makes failures readable.
func (h How) String() string {
	return map[How]string{ShowAll: "none", LWW: "lww", Union: "union", Max: "max", JSONMerge: "json_merge"}[h]
}

// sibling is one with the dot and time n, so that a later one is later in both.
func sibling(n uint64, contentType, value string) vclock.Sibling {
	return vclock.Sibling{
		Dot:         vclock.Dot{Actor: vclock.Actor{Run: n, Epoch: 1}, Counter: n},
		Time:        vclock.Time(n) << 16,
		RequestID:   vclock.RequestID{byte(n)},
		ContentType: contentType,
		Meta:        []vclock.Pair{{Name: "x-riak-meta-n", Value: fmt.Sprint(n)}},
		Value:       []byte(value),
	}
}

// jsonSiblings gives each value a later time than the one before.
func jsonSiblings(values ...string) []vclock.Sibling {
	var s []vclock.Sibling
	for i, v := range values {
		s = append(s, sibling(uint64(i+1), "application/json", v))
	}
	return s
}

func TestRules(t *testing.T) {
	const refused = "refused"
	for _, c := range []struct {
		how    How
		values string // separated by " | ", the latest last
		want   string
	}{
		{LWW, `old | new`, `new`},
		{LWW, `[1] | not json`, `not json`},
		{ShowAll, `[1] | [2]`, refused},
		{How(99), `[1] | [2]`, refused},

		{Union, `[1,2] | [2,3]`, `[1,2,3]`},
		{Union, `["milk"] | ["bread","milk"]`, `["bread","milk"]`},
		{Union, `[] | []`, `[]`},
		{Union, `[2,2,1] | []`, `[1,2]`}, // a set, also what was none before
		{Union, ` [ 1 ] | [
 2 ]  `, `[1,2]`},
		{Union, `[{"a":1,"b":[2]}] | [{"b":[2],"a":1}, {"b":[2.0],"a":1}]`, `[{"a":1,"b":[2]}]`}, // equal whatever the order of fields
		{Union, `[[2,1]] | [[1,2]]`, `[[1,2],[2,1]]`},                                            // but not of elements
		{Union, `["A"] | ["\u0041"]`, `["A"]`},
		{Union, `["\/","\ud83d\ude00"] | ["/","😀"]`, `["/","😀"]`},
		{Union, `["\b\f\n\r\t\u0001\"\\"] | []`, `["\b\f\n\r\t\u0001\"\\"]`},
		{Union, `["\u000A\u001f"] | ["\n"]`, `["\n","\n\u001f"]`},
		{Union, `[10,9,-1,1e3,0.5] | ["",null,true,false,{},[]]`, `[null,false,true,-1,0.5,9,10,1e3,"",[],{}]`},
		{Union, `[1.0, 100] | [1, 1e2, 1.00]`, `[1,100]`}, // the shortest spelling, then the first by its bytes
		{Union, `[123456789012345678901234567890] | [123456789012345678901234567891]`,
			`[123456789012345678901234567890,123456789012345678901234567891]`},
		{Union, `[0.1] | [0.1000000000000000055511151231257827]`, `[0.1,0.1000000000000000055511151231257827]`},
		{Union, `[1000] | [1e3]`, `[1e3]`},
		{Union, `[-0] | [0.0]`, `[-0]`},
		{Union, `[1] | {"a":1}`, refused},
		{Union, `[1] | 1`, refused},
		{Union, `[1] | `, refused},
		{Union, `[1] | [1`, refused},
		{Union, `[1] | [1] [2]`, refused},
		{Union, `[1] | [01]`, refused},
		{Union, `[{"a":1,"a":2}] | [1]`, refused},
		{Union, `[{"a":1,"\u0061":2}] | [1]`, refused},
		{Union, `["\ud800"] | [1]`, refused},
		{Union, `["\ud800\ud800"] | [1]`, refused},
		{Union, `["\ud800 \udc00"] | [1]`, refused},
		{Union, `["\udc00"] | [1]`, refused},
		{Union, "[\"\xff\"] | [1]", refused},
		{Union, `[1e1073741824] | [1]`, `[1,1e1073741824]`},
		{Union, `[1e1073741825] | [1]`, refused},
		{Union, `[1e-99999999999999999999] | [1]`, refused},
		{Union, strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + ` | []`, strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)},
		{Union, strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1) + ` | []`, refused},

		{Max, `3 | 2`, `3`},
		{Max, `-3 | -2 | -2.5`, `-2`},
		{Max, `10 | 9`, `10`},
		{Max, `9007199254740993 | 9007199254740992`, `9007199254740993`}, // alike as floating point
		{Max, `-9007199254740993 | -9007199254740992`, `-9007199254740992`},
		{Max, `1e400 | 9e399`, `1e400`},
		{Max, `1E+2 | 99.99`, `1E+2`},
		{Max, `1e-2 | 0.001`, `1e-2`},
		{Max, `0 | -0.0`, `-0.0`}, // equal: the later one
		{Max, `0.0 | -1e-999`, `0.0`},
		{Max, ` 7  | 5`, ` 7 `}, // as it was written
		{Max, `1 | "2"`, refused},
		{Max, `1 | null`, refused},
		{Max, `1 | 0x10`, refused},
		{Max, `1 | NaN`, refused},

		{JSONMerge, `{"a":1} | {"b":2}`, `{"a":1,"b":2}`},
		{JSONMerge, `{"a":1} | {"a":2}`, `{"a":2}`},
		{JSONMerge, `{"a":2} | {"a":1}`, `{"a":1}`},
		{JSONMerge, `{"a":{"x":1,"y":1}} | {"a":{"y":2,"z":2}}`, `{"a":{"x":1,"y":2,"z":2}}`},
		{JSONMerge, `{"a":{"x":1}} | {"a":5}`, `{"a":5}`},
		{JSONMerge, `{"a":5} | {"a":{"x":1}}`, `{"a":{"x":1}}`},
		{JSONMerge, `{"a":{"x":1}} | {"a":5} | {"a":{"y":1}}`, `{"a":{"y":1}}`},
		{JSONMerge, `{"a":[1]} | {"a":[2]}`, `{"a":[2]}`}, // lists are values like others
		{JSONMerge, `{"a":1} | {"a":null}`, `{"a":null}`},
		{JSONMerge, `{"b":1,"a":1,"":0} | {}`, `{"":0,"a":1,"b":1}`},
		{JSONMerge, `{} | []`, refused},
		{JSONMerge, `{} | 1`, refused},
	} {
		values := strings.Split(c.values, " | ")
		s := jsonSiblings(values...)
		one, ok := Siblings(c.how, s)
		if got := string(one.Value); !ok && c.want != refused || ok && got != c.want {
			t.Errorf("%s of %s: %q, %v, want %s", c.how, c.values, got, ok, c.want)
		}
		if !ok && one.Value != nil {
			t.Errorf("%s of %s: refused, and yet a value: %q", c.how, c.values, one.Value)
		}
	}
}

// What is shown with a resolved value must not depend on anything but the siblings.
func TestWhoseMetadata(t *testing.T) {
	s := jsonSiblings(`[1]`, `[2]`)
	one, ok := Siblings(Union, s)
	if !ok || one.Dot != s[1].Dot || one.Time != s[1].Time || one.Meta[0].Value != "2" || one.RequestID != (vclock.RequestID{}) {
		t.Errorf("union: %+v, %v, want all but the value from the latest", one, ok)
	}
	s = jsonSiblings(`9`, `2`)
	if one, ok := Siblings(Max, s); !ok || one.Dot != s[0].Dot || one.Meta[0].Value != "1" {
		t.Errorf("max: %+v, %v, want the first sibling", one, ok)
	}
	s = jsonSiblings(`{"a":1}`, `{"a":2}`)
	s[0].Time, s[1].Time = 9, 9 // then the dot decides
	if one, ok := Siblings(JSONMerge, s); !ok || string(one.Value) != `{"a":2}` {
		t.Errorf("equal times: %s, %v", one.Value, ok)
	}
	s[1].Dot, s[1].Meta = s[0].Dot, s[0].Meta // a corruption: then the content
	a, _ := Siblings(JSONMerge, s)
	s[0], s[1] = s[1], s[0]
	if b, ok := Siblings(JSONMerge, s); !ok || !bytes.Equal(a.Value, b.Value) {
		t.Errorf("equal dots: %s and %s", a.Value, b.Value)
	}
}

func TestTombstonesAreAbsent(t *testing.T) {
	s := jsonSiblings(`[1]`, ``, `[2]`, ``)
	s[1].Deleted, s[3].Deleted = true, true
	if one, ok := Siblings(Union, s); !ok || string(one.Value) != `[1,2]` {
		t.Errorf("beside live ones: %q, %v", one.Value, ok)
	}
	if one, ok := Siblings(LWW, s); !ok || string(one.Value) != `[2]` {
		t.Errorf("lww: %q, %v", one.Value, ok)
	}
	if one, ok := Siblings(Union, s[:2]); !ok || string(one.Value) != `[1]` || one.RequestID != s[0].RequestID {
		t.Errorf("one live sibling is itself: %+v, %v", one, ok)
	}
	if _, ok := Siblings(LWW, s[1:2]); ok {
		t.Error("a tombstone alone was resolved")
	}
	if _, ok := Siblings(LWW, nil); ok {
		t.Error("nothing was resolved")
	}
}

func TestContentTypes(t *testing.T) {
	for _, c := range []struct {
		a, b string
		ok   bool
	}{
		{"application/json", "application/json", true},
		{"application/json", "Application/JSON; charset=UTF-8", true},
		{"application/json", `application/json; x=y; charset="utf-8"`, true},
		{"application/vnd.cart+json", "application/vnd.cart+JSON", true},
		{"application/json", "application/vnd.cart+json", false}, // not the same kind of thing
		{"application/json", "text/plain", false},
		{"application/json", "application/json; charset=latin1", false},
		{"text/plain", "text/plain", false},
		{"application/json-seq", "application/json-seq", false},
		{"+json", "+json", false},
		{"", "", false},
	} {
		s := []vclock.Sibling{sibling(1, c.a, "[1]"), sibling(2, c.b, "[2]")}
		if _, ok := Siblings(Union, s); ok != c.ok {
			t.Errorf("%q and %q: %v, want %v", c.a, c.b, ok, c.ok)
		}
		if _, ok := Siblings(LWW, s); !ok {
			t.Errorf("lww of %q and %q: refused", c.a, c.b)
		}
	}
}

func TestBounds(t *testing.T) {
	half := "[" + strings.Repeat("1,", MaxValues/2-3) + "1]" // 1 for the array, MaxValues/2-2 for its elements
	for _, c := range []struct {
		name   string
		values []string
		ok     bool
	}{
		{"as many values as allowed", []string{half, half, "[]", "[]"}, true},
		{"one more", []string{half, half, "[]", "[]", "[]"}, false},
		{"as many bytes as allowed", []string{`["` + strings.Repeat("x", MaxBytes-6) + `"]`, "[]"}, true},
		{"one more byte", []string{`["` + strings.Repeat("x", MaxBytes-5) + `"]`, "[]"}, false},
	} {
		one, ok := Siblings(Union, jsonSiblings(c.values...))
		if ok != c.ok || len(one.Value) > MaxBytes {
			t.Errorf("%s: %v and %d bytes, want %v", c.name, ok, len(one.Value), c.ok)
		}
	}
}

func TestSiblingsAreOnlyRead(t *testing.T) {
	s := jsonSiblings(`[3,1]`, `[2]`, `[1]`)
	before := fmt.Sprintf("%+v", s)
	one, _ := Siblings(Union, s)
	for i := range one.Value {
		one.Value[i] = 'x'
	}
	if after := fmt.Sprintf("%+v", s); after != before {
		t.Errorf("from %s to %s", before, after)
	}
}

// TestManySiblingsAreMergedAtOnce: one large object among many small ones must not be copied for
// each of them, or a read of some bytes more costs the node a hundred times the memory.
func TestManySiblingsAreMergedAtOnce(t *testing.T) {
	var large strings.Builder
	large.WriteString(`{"a":0`)
	for i := range 15_000 {
		fmt.Fprintf(&large, `,"k%05d":1`, i)
	}
	values := []string{large.String() + "}"}
	for i := range 99 {
		values = append(values, fmt.Sprintf(`{"k%05d":2}`, 100*i))
	}
	cost := func(values ...string) uint64 {
		s := jsonSiblings(values...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, ok := Siblings(JSONMerge, s); !ok {
			t.Fatal("refused")
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if two, all := cost(values[:2]...), cost(values...); all > 2*two {
		t.Errorf("two siblings take %d bytes, with 98 small ones more it is %d", two, all)
	}
}
