package props

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func applyType(t testing.TB, table *Table, typ, body string) (delta []byte) {
	t.Helper()
	c, err := ParseTypeChange(typ, []byte(body))
	if err == nil {
		delta, err = table.Apply(c)
	}
	if err != nil {
		t.Fatalf("type %s, %s: %v", typ, body, err)
	}
	return delta
}

func applyIn(t testing.TB, table *Table, typ, bucket, body string) (delta []byte) {
	t.Helper()
	c, err := ParseChange(typ, bucket, []byte(body))
	if err == nil {
		delta, err = table.Apply(c)
	}
	if err != nil {
		t.Fatalf("bucket %s of %s, %s: %v", bucket, typ, body, err)
	}
	return delta
}

func TestTypesExist(t *testing.T) {
	table, saved := newTable(t, "n1")
	check := func(step string, want ...string) {
		t.Helper()
		set := table.Set()
		if got := set.Types(); !slices.Equal(got, want) {
			t.Errorf("%s: types %q, want %q", step, got, want)
		}
		for _, typ := range []string{"a", "zoo", "default", "", "none"} {
			if got, exists := set.HasType(typ), typ == "" || slices.Contains(want, typ); got != exists {
				t.Errorf("%s: HasType(%q) is %v", step, typ, got)
			}
		}
		if got := set.Stats().Types; got != len(want)-1 {
			t.Errorf("%s: %d types counted", step, got)
		}
	}
	check("empty", "default")
	applyIn(t, table, "zoo", "b", `{"props":{"r":1}}`)
	check("only a bucket of the type has properties", "default")
	if delta := applyType(t, table, "zoo", `{"props":{}}`); delta == nil {
		t.Error("no delta tells the others of a type without properties")
	}
	check("made without properties", "default", "zoo")
	applyType(t, table, "a", `{"props":{"r":"default","name":"x","active":false}}`)
	check("made with defaults", "a", "default", "zoo")
	again, err := NewTable(config("n1", nil), *saved)
	if err != nil {
		t.Fatal(err)
	}
	table = again
	check("opened again", "a", "default", "zoo")

	// A reset mark makes no type, and what a foreign program gave to the type default means nothing.
	table, _ = newTable(t, "n1")
	merge(t, table, encodeDocument([][]byte{
		encodeBucket(typeKey(""), joined([]op{{5, "z", "r", "1"}, {5, "z", "n_val", "5"}})), encodeBucket(typeKey("zoo"), joined([]op{{5, "z", "", ""}}))}))
	check("a mark", "default")
	if got := table.Set().Bucket("", "b"); got != table.Set().base {
		t.Errorf("the type default was changed: %+v", got)
	}
	if got := table.Set().Levels(); !slices.Equal(got, []int{3}) {
		t.Errorf("the type default was changed: n_vals %v", got)
	}
	if got := string(table.Set().JSON("", "b")["r"]); got != `"quorum"` {
		t.Errorf("r of the type default is shown as %s", got)
	}
	if got := table.Set().Stats(); got.Entries != 2 {
		t.Errorf("what means nothing here is lost: %+v", got)
	}
}

func TestParseTypeChangeRefuses(t *testing.T) {
	const good = `{"props":{}}`
	for _, name := range []string{"a", "A b", "ä", "%2F", "日本", strings.Repeat("x", 255)} {
		if _, err := ParseTypeChange(name, []byte(good)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "/", ".", "..", "a/b", "a\x00", "a\nb", "\x7f", "\xff", "a\u200b", "\u00a0", strings.Repeat("x", 256), strings.Repeat("ä", 128)} {
		if _, err := ParseTypeChange(name, []byte(good)); !errors.Is(err, ErrTypeName) {
			t.Errorf("%q: got %v, want ErrTypeName", name, err)
		}
	}
	if _, err := ParseTypeChange("default", []byte(good)); !errors.Is(err, ErrDefaultType) {
		t.Errorf("default: %v", err)
	}
	for _, body := range []string{"", "{}", "[]", `{"props":[]}`} {
		if _, err := ParseTypeChange("t", []byte(body)); !errors.Is(err, ErrTypeForm) || !strings.HasPrefix(err.Error(), "bucket type PUT must") {
			t.Errorf("%q: got %v, want ErrTypeForm", body, err)
		}
	}
	_, err := ParseTypeChange("t", []byte(`{"props":{"datatype":"counter","consistent":true,"r":1}}`))
	if invalid, ok := errors.AsType[*InvalidError](err); !ok || len(invalid.Messages) != 2 {
		t.Errorf("got %v, want two messages", err)
	}
	if _, err := ParseTypeChange("t", []byte(`{"props":{"x":"`+strings.Repeat("y", maxBucketBytes)+`"}}`)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a large body: %v", err)
	}
}

// TestTypesShowThrough: a bucket has its own properties, else its type's, else the defaults,
// whatever came first.
func TestTypesShowThrough(t *testing.T) {
	cfg := config("n1", nil)
	cfg.Defaults = Defaults{AllowMult: false, N: 3}
	table, err := NewTable(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	check := func(step, typ, bucket string, want map[string]string) {
		t.Helper()
		shown := table.Set().JSON(typ, bucket)
		for name, value := range want {
			if got := string(shown[name]); got != value {
				t.Errorf("%s: %s of %s/%s is %s, want %s", step, name, typ, bucket, got, value)
			}
		}
		p, q := table.Set().Bucket(typ, bucket), Properties{}
		for name, value := range shown {
			q.assign(name, value)
		}
		if p != q {
			t.Errorf("%s: %s/%s is\n%+v, shown as\n%+v", step, typ, bucket, p, q)
		}
	}
	check("type default", "", "b", map[string]string{"allow_mult": "false", "r": `"quorum"`})
	check("no such type", "t", "b", map[string]string{"allow_mult": "true"})
	applyIn(t, table, "t", "own", `{"props":{"pw":1}}`)
	applyType(t, table, "t", `{"props":{"pw":2,"r":1,"x":"y","resolve":"lww"}}`)
	check("the type is changed", "t", "own", map[string]string{"pw": "1", "r": "1", "x": `"y"`, "allow_mult": "true", "name": `"own"`, "resolve": `"lww"`})
	check("the type is changed", "t", "other", map[string]string{"pw": "2", "r": "1"})
	check("another type", "u", "own", map[string]string{"pw": "0", "r": `"quorum"`})
	check("the type default", "", "own", map[string]string{"pw": "0", "allow_mult": "false"})
	applyType(t, table, "t", `{"props":{"pw":3,"r":"default","allow_mult":false}}`)
	check("the type is changed again", "t", "own", map[string]string{"pw": "1", "r": `"quorum"`, "allow_mult": "false"})
	applyIn(t, table, "t", "own", `{"props":{"r":2,"allow_mult":true}}`)
	check("the bucket is changed", "t", "own", map[string]string{"pw": "1", "r": "2", "allow_mult": "true"})
	if _, err := table.Apply(ResetChange("t", "own")); err != nil {
		t.Fatal(err)
	}
	check("the bucket is reset", "t", "own", map[string]string{"pw": "3", "r": `"quorum"`, "allow_mult": "false"})

	shown := table.Set().TypeJSON("t")
	if string(shown["pw"]) != "3" || string(shown["active"]) != "true" || shown["name"] != nil {
		t.Errorf("shown of the type: %s", marshal(shown))
	}
	clear(shown)
	if got := table.Set().TypeJSON("t"); string(got["pw"]) != "3" {
		t.Error("the map returned by TypeJSON is shared with the set")
	}
	if got, want := string(marshal(table.Set().TypeJSON(""))), string(marshal(table.Set().shown)); got != want {
		t.Errorf("shown of the type default: %s, want %s", got, want)
	}
	body := string(marshal(map[string]any{"props": table.Set().TypeJSON("t")}))
	before := string(marshal(table.Set().TypeJSON("t")))
	applyType(t, table, "t", body)
	if got := string(marshal(table.Set().TypeJSON("t"))); got != before {
		t.Errorf("after sending back what was shown: %s, want %s", got, before)
	}
}

func TestTypeLimits(t *testing.T) {
	table, _ := newTable(t, "n1")
	table.limits = limits{buckets: 1, types: 2, bucketBytes: 400, totalBytes: 2000}
	refused := func(want error, words, typ, body string) {
		t.Helper()
		c, err := ParseTypeChange(typ, []byte(body))
		if err == nil {
			_, err = table.Apply(c)
		}
		if !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want %v with %q", typ, err, want, words)
		}
	}
	refused(ErrTooLarge, `bucket type "a"`, "a", `{"props":{"x":"`+strings.Repeat("y", 400)+`"}}`)
	applyType(t, table, "a", `{"props":{}}`)
	applyType(t, table, "b", `{"props":{}}`)
	refused(ErrFull, "2 bucket types", "c", `{"props":{}}`)
	applyType(t, table, "b", `{"props":{"r":1}}`)
	applyIn(t, table, "a", "b", `{"props":{"r":1}}`) // types are no buckets
	// Merges pass the limit, and what exists may still change.
	merge(t, table, encodeDocument([][]byte{encodeBucket(typeKey("c"), joined([]op{{5, "z", "r", "1"}}))}))
	applyType(t, table, "c", `{"props":{"r":2}}`)
	refused(ErrFull, "3 bucket types", "d", `{"props":{}}`)
}

// FuzzParseTypeChange: no name and no body panics, and what is accepted makes the type
// everywhere.
func FuzzParseTypeChange(f *testing.F) {
	f.Add("t", "b", []byte(`{"props":{"r":"one","n_val":5,"resolve":"max","require_context":true}}`))
	f.Add("\u00e4 %", "\xff", []byte(`{"props":{"active":null}}`))
	f.Add("/", "", []byte(`{"props":{}}`))
	f.Fuzz(func(t *testing.T, typ, bucket string, body []byte) {
		c, err := ParseTypeChange(typ, body)
		if err != nil || bucket == "" {
			return
		}
		table, saved := newTable(t, "n1")
		delta, err := table.Apply(c)
		if err != nil {
			if errors.Is(err, ErrTooLarge) {
				return
			}
			t.Fatal(err)
		}
		other, _ := newTable(t, "n2")
		merge(t, other, delta)
		again, err := NewTable(config("n1", nil), *saved)
		if err != nil {
			t.Fatalf("%q cannot be opened again: %v", *saved, err)
		}
		for _, set := range []*Set{table.Set(), other.Set(), again.Set()} {
			if !set.HasType(typ) || set.Bucket(typ, bucket) != table.Set().Bucket(typ, bucket) {
				t.Fatalf("%q of type %q reads differently on another node", body, typ)
			}
			var p Properties
			for name, value := range set.TypeJSON(typ) {
				p.assign(name, value)
			}
			if p != set.Bucket(typ, bucket) {
				t.Fatalf("%q of type %q is shown as %+v and read as %+v", body, typ, p, set.Bucket(typ, bucket))
			}
		}
	})
}

func TestResolveWords(t *testing.T) {
	for word, want := range map[string]Resolve{
		"siblings": ResolveSiblings, "lww": ResolveLWW, "union": ResolveUnion, "max": ResolveMax, "json_merge": ResolveJSONMerge,
	} {
		if r, ok := ParseResolve(word); !ok || r != want || r.String() != word {
			t.Errorf("%s: %v, %v", word, r, ok)
		}
	}
	for _, word := range []string{"", "LWW", "default", "last"} {
		if r, ok := ParseResolve(word); ok || r != ResolveSiblings {
			t.Errorf("%q: %v, %v", word, r, ok)
		}
	}
	if got := Resolve(200).String(); got != "Resolve(200)" {
		t.Errorf("got %s", got)
	}
}
