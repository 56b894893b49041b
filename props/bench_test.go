package props

import (
	"encoding/json"
	"fmt"
	"testing"
)

func TestBucketAllocatesNothing(t *testing.T) {
	table, _ := newTable(t, "n1")
	apply(t, table, "own", `{"props":{"r":1}}`)
	applyType(t, table, "t", `{"props":{"r":1}}`)
	applyIn(t, table, "t", "own", `{"props":{"r":1}}`)
	for _, typ := range []string{"", "t", "no such type"} {
		for _, bucket := range []string{"own", "none"} {
			if n := testing.AllocsPerRun(100, func() { table.Set().HasType(typ); table.Set().Bucket(typ, bucket) }); n != 0 {
				t.Errorf("%s/%s: %v allocations", typ, bucket, n)
			}
		}
	}
}

func filled(b *testing.B, buckets int) *Table {
	states := make(map[bucketKey]state, buckets)
	for i := range buckets {
		states[newKey("", fmt.Sprint("bucket", i))] = joined([]op{{5, "z", "r", "1"}, {5, "z", "allow_mult", "false"}})
	}
	set, _ := newSet(Defaults{N: 3}).merge(states)
	table, err := NewTable(config("n1", nil), set.Encode())
	if err != nil {
		b.Fatal(err)
	}
	return table
}

func BenchmarkBucket(b *testing.B) {
	for _, bucket := range []string{"bucket5", "none"} {
		b.Run("buckets=10000/"+bucket, func(b *testing.B) {
			table := filled(b, 10_000)
			b.ReportAllocs()
			for b.Loop() {
				if table.Set().Bucket("default", bucket).NVal != 3 {
					b.Fatal("wrong n_val")
				}
			}
		})
	}
}

func BenchmarkApply(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("buckets=%d", n), func(b *testing.B) {
			table := filled(b, n)
			c := parse(b, "bucket5", `{"props":{"w":1}}`)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := table.Apply(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMergeDocument(b *testing.B) {
	table := filled(b, 10_000)
	document := table.Set().Encode()
	b.SetBytes(int64(len(document)))
	b.ReportAllocs()
	for b.Loop() {
		if changed, err := table.Merge(document); changed || err != nil {
			b.Fatal(changed, err)
		}
	}
}

func BenchmarkJSON(b *testing.B) {
	set := filled(b, 100).Set()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(set.JSON("", "bucket5")); err != nil {
			b.Fatal(err)
		}
	}
}

// manyTyped is a document with one type and n buckets of it.
func manyTyped(b *testing.B, n int) *Table {
	states := map[bucketKey]state{typeKey("t"): joined([]op{{5, "z", "active", "true"}, {5, "z", "w", "1"}})}
	for i := range n {
		states[newKey("t", fmt.Sprint("bucket", i))] = joined([]op{{5, "z", "r", "1"}, {5, "z", "pw", "1"}})
	}
	set, _ := newSet(Defaults{N: 3}).merge(states)
	table, err := NewTable(config("n1", nil), set.Encode())
	if err != nil {
		b.Fatal(err)
	}
	return table
}

func BenchmarkTypedBucket(b *testing.B) {
	table := manyTyped(b, 10_000)
	for _, bucket := range []string{"bucket5", "none"} {
		b.Run("buckets=10000/"+bucket, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if set := table.Set(); !set.HasType("t") || set.Bucket("t", bucket).W != 1 {
					b.Fatal("wrong properties")
				}
			}
		})
	}
}

// BenchmarkApplyType changes a type with many buckets of their own properties: all of them are
// derived anew.
func BenchmarkApplyType(b *testing.B) {
	table := manyTyped(b, 10_000)
	c, err := ParseTypeChange("t", []byte(`{"props":{"w":1}}`))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := table.Apply(c); err != nil {
			b.Fatal(err)
		}
	}
}
