package props

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// layered is the naive reading of a bucket's property: the last change of the bucket, else of
// the type, else the default.
func layered(docs map[bucketKey][]op, k bucketKey, name, byDefault string) string {
	if v, ok := oracle(docs[k])[name]; ok {
		return v
	}
	if v, ok := oracle(docs[typeKey(k.typ)])[name]; ok && k.typ != defaultType {
		return v
	}
	return byDefault
}

// TestLayersAgreeWithOracle gives the changes of types and buckets in different orders and
// groups to two nodes. Both must read as the naive computation says, at every step, and a set
// read before must stay as it was.
func TestLayersAgreeWithOracle(t *testing.T) {
	keys := []bucketKey{typeKey("t"), typeKey("u"), newKey("t", "b"), newKey("t", "c"), newKey("u", "b"), newKey("", "b")}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		given := make(map[bucketKey][]op)
		table, _ := newTable(t, "n1")
		var deltas [][]byte
		for range 1 + r.IntN(15) {
			k := keys[r.IntN(len(keys))]
			o := randomOps(r, 1)[0]
			if o.name != "" {
				o.name = []string{"r", "pw", "x"}[r.IntN(3)]
			}
			given[k] = append(given[k], o)
			delta := encodeDocument([][]byte{encodeBucket(k, o.state())})
			deltas = append(deltas, delta)
			before := table.Set()
			was := fmt.Sprint(before.Bucket("t", "b"), before.Bucket("u", "b"), before.Bucket("", "b"), before.Placement())
			merge(t, table, delta)
			if now := fmt.Sprint(before.Bucket("t", "b"), before.Bucket("u", "b"), before.Bucket("", "b"), before.Placement()); now != was {
				t.Fatalf("seed %d: a set in use changed from %s to %s", seed, was, now)
			}
			for _, k := range keys[2:] {
				shown, p := table.Set().JSON(k.typ, k.bucket), table.Set().Bucket(k.typ, k.bucket)
				for name, byDefault := range map[string]string{"r": `"quorum"`, "pw": "0", "x": ""} {
					if got, want := string(shown[name]), layered(given, k, name, byDefault); got != want {
						t.Fatalf("seed %d: %s of %v is %s, want %s after %v", seed, name, k, got, want, given)
					}
				}
				if want := layered(given, k, "pw", "0"); fmt.Sprint(int(p.PW)) != want {
					t.Fatalf("seed %d: pw of %v is %d, want %s", seed, k, p.PW, want)
				}
			}
		}
		other, _ := newTable(t, "n2")
		r.Shuffle(len(deltas), func(i, j int) { deltas[i], deltas[j] = deltas[j], deltas[i] })
		cut := r.IntN(len(deltas))
		for _, d := range deltas[:cut] {
			merge(t, other, d)
		}
		merge(t, other, table.Set().Encode())
		if other.Set().Digest() != table.Set().Digest() || other.Set().Stats() != table.Set().Stats() {
			t.Fatalf("seed %d: two nodes differ", seed)
		}
		for _, k := range keys {
			if a, b := other.Set().Bucket(k.typ, k.bucket), table.Set().Bucket(k.typ, k.bucket); a != b {
				t.Fatalf("seed %d: %v reads as %+v or %+v", seed, k, a, b)
			}
		}
	}
}

func TestTypesChangeNVal(t *testing.T) {
	table, _ := newTable(t, "n1")
	applyType(t, table, "five", `{"props":{"n_val":5}}`)
	applyIn(t, table, "five", "two", `{"props":{"n_val":2}}`)
	for _, c := range []struct {
		typ, bucket, body string // bucket "" is the type, body "" a reset
		n                 int
		changed           bool
	}{
		{"five", "fresh", `{"props":{"r":1}}`, 5, false},
		{"five", "fresh", `{"props":{"n_val":3}}`, 3, true},
		{"five", "fresh", "", 5, false},
		{"five", "two", "", 5, true},
		{"five", "two", `{"props":{"n_val":2}}`, 2, false},
		{"five", "", `{"props":{"n_val":5}}`, 5, false},
		{"five", "", `{"props":{"n_val":3}}`, 3, true},
		{"new", "", `{"props":{}}`, 3, false},
		{"new", "", `{"props":{"n_val":3}}`, 3, false},
		{"new", "", `{"props":{"n_val":1}}`, 1, true},
	} {
		change, err := ResetChange(c.typ, c.bucket), error(nil)
		switch {
		case c.bucket == "":
			change, err = ParseTypeChange(c.typ, []byte(c.body))
		case c.body != "":
			change, err = ParseChange(c.typ, c.bucket, []byte(c.body))
		}
		if err != nil {
			t.Fatal(err)
		}
		if n, changed := change.NVal(table.Set()); n != c.n || changed != c.changed {
			t.Errorf("%s/%s %q: got %d, %v, want %d, %v", c.typ, c.bucket, c.body, n, changed, c.n, c.changed)
		}
	}
}

func TestTypesLevelsAndPlacement(t *testing.T) {
	table, _ := newTable(t, "n1")
	seen := map[uint64]string{table.Set().Placement(): "empty"}
	// same names the step whose placement this one has; "" is one that was never there.
	check := func(step, same string, want ...int) {
		t.Helper()
		if got := table.Set().Levels(); !slices.Equal(got, want) {
			t.Errorf("%s: levels %v, want %v", step, got, want)
		}
		p := table.Set().Placement()
		if seen[p] != same {
			t.Errorf("%s: the placement is that of %q, want that of %q", step, seen[p], same)
		}
		if same == "" {
			seen[p] = step
		}
	}
	applyType(t, table, "t", `{"props":{"r":1}}`)
	check("no n_val", "empty", 3)
	applyType(t, table, "t", `{"props":{"n_val":5}}`)
	check("type 5", "", 3, 5)
	applyIn(t, table, "t", "b", `{"props":{"r":2}}`)
	check("type 5, bucket with another property", "type 5", 3, 5)
	applyIn(t, table, "t", "b", `{"props":{"n_val":3}}`)
	check("type 5, bucket as the default", "", 3, 5)
	applyIn(t, table, "t", "c", `{"props":{"n_val":5}}`)
	check("type 5, another bucket as its type", "type 5, bucket as the default", 3, 5)
	applyType(t, table, "t", `{"props":{"n_val":2}}`)
	check("type 2, buckets 3 and 5", "", 2, 3, 5)
	applyType(t, table, "u", `{"props":{"n_val":2}}`)
	check("two types", "", 2, 3, 5)
}
