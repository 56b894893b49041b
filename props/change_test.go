package props

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// TestParseChangeValues lists, per kind of property, what is taken (as stored, "" for "back
// to the default") and what is refused.
func TestParseChangeValues(t *testing.T) {
	const huge = "99999999999999999999"
	cases := []struct{ name, value, stored, problem string }{
		{"allow_mult", `true`, `true`, ""},
		{"allow_mult", `"false"`, `false`, ""},
		{"basic_quorum", `"true"`, `true`, ""},
		{"last_write_wins", `7`, `true`, ""},
		{"notfound_ok", `0`, `false`, ""},
		{"stat_tracked", `-1`, `false`, ""},
		{"allow_mult", `"True"`, "", notBoolean},
		{"allow_mult", `1.5`, "", notBoolean},
		{"allow_mult", `null`, "", notBoolean},
		{"sloppy_quorum", `[]`, "", notBoolean},
		{"dvv_enabled", `"x"`, "", notBoolean},

		{"n_val", `5`, `5`, ""},
		{"n_val", `0`, "", notInteger},
		{"n_val", `-1`, "", notInteger},
		{"n_val", `3.0`, "", notInteger},
		{"n_val", `1e1`, "", notInteger},
		{"n_val", `"3"`, "", notInteger},
		{"n_val", `"default"`, "", notInteger},
		{"n_val", huge, "", notInteger},
		{"n_val", `2147483648`, "", notInteger},
		{"n_val", `64`, `64`, ""},
		{"n_val", `65`, "", notReplicas},
		{"n_val", `2147483647`, "", notReplicas},
		{"big_vclock", `0`, "", notInteger},
		{"small_vclock", `1`, `1`, ""},
		{"old_vclock", `true`, "", notInteger},
		{"young_vclock", `"any"`, `"any"`, ""},

		{"r", `1`, `1`, ""},
		{"r", `"one"`, `"one"`, ""},
		{"w", `"quorum"`, `"quorum"`, ""},
		{"rw", `"all"`, `"all"`, ""},
		{"r", `"default"`, "", ""},
		{"r", `0`, "", notQuorum},
		{"w", `0`, "", notQuorum},
		{"rw", `0`, "", notQuorum},
		{"r", `-1`, "", notQuorum},
		{"r", `"2"`, "", notQuorum},
		{"r", `"most"`, "", notQuorum},
		{"r", `"backend"`, "", notQuorum},
		{"r", `1.0`, "", notQuorum},
		{"r", huge, "", notQuorum},
		{"r", `true`, "", notQuorum},
		{"dw", `0`, `0`, ""},
		{"pr", `0`, `0`, ""},
		{"pw", `2`, `2`, ""},
		{"node_confirms", `0`, `0`, ""},
		{"node_confirms", `-1`, "", notQuorum},
		{"pw", `{}`, "", notQuorum},

		{"sync_on_write", `"one"`, `"one"`, ""},
		{"sync_on_write", `"default"`, "", ""},
		{"sync_on_write", `"none"`, "", notSync},
		{"sync_on_write", `1`, "", notSync},
		{"read_repair", `"before"`, `"before"`, ""},
		{"read_repair", `true`, "", notRepair},
		{"require_context", `true`, `true`, ""},
		{"require_context", `"x"`, "", notBoolean},
		{"resolve", `"siblings"`, `"siblings"`, ""},
		{"resolve", `"json_merge"`, `"json_merge"`, ""},
		{"resolve", `"default"`, "", ""},
		{"resolve", `"last"`, "", notResolve},
		{"resolve", `1`, "", notResolve},

		{"consistent", `false`, `false`, ""},
		{"consistent", `true`, "", notAvailable},
		{"write_once", `1`, "", notAvailable},
		{"write_once", `"no"`, "", notBoolean},
		{"datatype", `"counter"`, "", notSettable},
		{"precommit", `[]`, `[]`, ""},
		{"precommit", `[{"mod":"m","fun":"f"}]`, "", notAvailable},
		{"postcommit", `{}`, "", notAvailable},

		{"backend", `"multi"`, `"multi"`, ""},
		{"search", `null`, `null`, ""},
		{"repl", `{"b": 1.50, "a": [2e3, "<"]}`, `{"a":[2e3,"\u003c"],"b":1.50}`, ""},
		{"", `"no name"`, `"no name"`, ""},
	}
	for _, c := range cases {
		body := `{"props":{` + string(marshal(c.name)) + ":" + c.value + `}}`
		change, err := ParseChange("", "b", []byte(body))
		if c.problem != "" {
			invalid, ok := errors.AsType[*InvalidError](err)
			if !ok || len(invalid.Messages) != 1 || invalid.Messages[c.name] != c.problem {
				t.Errorf("%s: got %v, want %s", body, err, c.problem)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		stored, given := change.values[c.name]
		if !given || string(stored) != c.stored || (stored == nil) != (c.stored == "") {
			t.Errorf("%s: stored %q (given %v), want %q", body, stored, given, c.stored)
		}
	}
}

func TestParseChangeForm(t *testing.T) {
	const text = "bucket PUT must be a JSON object of the form:\n{\"props\":{...bucket properties...}}"
	bodies := []string{"", "{}", "[]", "nope", "null", `{"props":1}`, `{"props":null}`, `{"props":[]}`, `{"Props":{}}`,
		`{"props":{}}x`, `{"props":{"r":}}`, "{\"props\":{\"a\":\"\xff\"}}"}
	for _, body := range bodies {
		if _, err := ParseChange("", "b", []byte(body)); !errors.Is(err, ErrForm) || err.Error() != text {
			t.Errorf("%q: got %v, want ErrForm", body, err)
		}
	}
	for _, body := range []string{`{"props":{}}`, ` {"other":1,"props":{"name":"elsewhere","active":false}} `} {
		if c, err := ParseChange("", "b", []byte(body)); err != nil || len(c.values) != 0 {
			t.Errorf("%q: got %v, %v, want an empty change", body, c.values, err)
		}
	}
	body := `{"props":{"x":"` + strings.Repeat("y", maxBucketBytes) + `"}}`
	if _, err := ParseChange("", "b", []byte(body)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("large body: got %v, want ErrTooLarge", err)
	}
}

// TestInvalidErrorNamesAll: one bad value refuses the change, and every bad one is named.
func TestInvalidErrorNamesAll(t *testing.T) {
	c, err := ParseChange("", "b", []byte(`{"props":{"r":"x","n_val":0,"w":1}}`))
	invalid, ok := errors.AsType[*InvalidError](err)
	if !ok || len(invalid.Messages) != 2 {
		t.Fatalf("got %v, want two messages", err)
	}
	if got, want := err.Error(), `props: invalid "n_val": not_integer "r": not_valid_quorum`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(c.values) != 0 {
		t.Errorf("a refused change carries %v", c.values)
	}
}

func TestChangeNVal(t *testing.T) {
	table, _ := newTable(t, "n1")
	apply(t, table, "five", `{"props":{"n_val":5}}`)
	for _, c := range []struct {
		bucket, body string // body "" is a reset
		n            int
		changed      bool
	}{
		{"fresh", `{"props":{"n_val":3}}`, 3, false},
		{"fresh", `{"props":{"n_val":2}}`, 2, true},
		{"fresh", `{"props":{"r":1}}`, 3, false},
		{"fresh", "", 3, false},
		{"five", `{"props":{"n_val":5}}`, 5, false},
		{"five", `{"props":{"r":1}}`, 5, false},
		{"five", "", 3, true},
	} {
		change := ResetChange("", c.bucket)
		if c.body != "" {
			change = parse(t, c.bucket, c.body)
		}
		if n, changed := change.NVal(table.Set()); n != c.n || changed != c.changed {
			t.Errorf("%s %q: got %d, %v, want %d, %v", c.bucket, c.body, n, changed, c.n, c.changed)
		}
	}
}

func TestParseQuorum(t *testing.T) {
	for s, want := range map[string]Quorum{"0": 0, "1": 1, "one": 1, "quorum": Majority, "all": All, "7": 7} {
		if q, ok := ParseQuorum(s); !ok || q != want {
			t.Errorf("%q: got %d, %v, want %d", s, q, ok, want)
		}
	}
	for _, s := range []string{"", "default", "-1", "+1", "1.0", "ONE", "2147483648", "99999999999999999999", " 1"} {
		if q, ok := ParseQuorum(s); ok {
			t.Errorf("%q: got %d, want a refusal", s, q)
		}
	}
}

// TestSchemaDefaults: each default is valid for its own property and spelled as it would be
// stored, so that what is shown of a fresh bucket can be sent back.
func TestSchemaDefaults(t *testing.T) {
	for name, p := range schema {
		if p.value == "" {
			continue
		}
		stored, problem := normalizeRaw(p.kind, []byte(p.value))
		if problem != "" || string(stored) != p.value {
			t.Errorf("%s: default %s is stored as %q, problem %q", name, p.value, stored, problem)
		}
	}
	table, _ := newTable(t, "n1")
	shown := table.Set().JSON("", "b")
	body, err := json.Marshal(map[string]any{"props": shown})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, table, "b", string(body))
	if got, want := string(marshal(table.Set().JSON("", "b"))), string(marshal(shown)); got != want {
		t.Errorf("after sending back what was shown:\n got %s\nwant %s", got, want)
	}
}

// A value that only the document around it makes too deep for a decoder must not get into the
// document: no node could read it again.
func TestDeepValuesStayOutOfTheDocument(t *testing.T) {
	for _, nest := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`{"a":1,"b":`, `,"c":[]}`}} {
		for depth, taken := range map[int]bool{1: true, maxDepth - 1: true, maxDepth + 1: false, 3000: false, 9996: false} {
			body := `{"props":{"x":` + strings.Repeat(nest[0], depth) + "1" + strings.Repeat(nest[1], depth) + `}}`
			if len(body) > maxBucketBytes {
				continue
			}
			change, err := ParseChange("", "b", []byte(body))
			var invalid *InvalidError
			if !taken {
				if !errors.As(err, &invalid) || invalid.Messages["x"] != nestedTooFar {
					t.Errorf("%d levels of %s: %v", depth, nest[0], err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%d levels of %s: %v", depth, nest[0], err)
				continue
			}
			table, saved := newTable(t, "n1")
			delta, err := table.Apply(change)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := NewTable(config("n1", nil), *saved); err != nil {
				t.Errorf("%d levels of %s: the saved document: %v", depth, nest[0], err)
			}
			other, _ := newTable(t, "n2")
			merge(t, other, delta)
		}
	}
}
