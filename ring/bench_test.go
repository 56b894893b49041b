package ring

import (
	"fmt"
	"testing"
)

func BenchmarkNew(b *testing.B) {
	for _, c := range []struct{ partitions, members int }{{256, 3}, {1024, 32}, {16384, 256}} {
		b.Run(fmt.Sprintf("partitions=%d/members=%d", c.partitions, c.members), func(b *testing.B) {
			d := cluster("bench", c.partitions, 3, c.members)
			b.ReportAllocs()
			for b.Loop() {
				mustNew(b, d)
			}
		})
	}
}

// BenchmarkLookup is what each request does: name to partition to list.
func BenchmarkLookup(b *testing.B) {
	for _, c := range []struct{ partitions, members, name int }{{256, 3, 32}, {1024, 32, 32}, {1024, 32, 256}} {
		b.Run(fmt.Sprintf("partitions=%d/members=%d/name=%d", c.partitions, c.members, c.name), func(b *testing.B) {
			r := mustNew(b, cluster("bench", c.partitions, 3, c.members))
			names := make([]string, 1024)
			for i := range names {
				names[i] = Key{Bucket: "bucket", Key: fmt.Sprintf("%0*d", c.name-15, i)}.Name()
			}
			i, sum := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				sum += r.Preference(r.Partition(names[i%len(names)]))[0]
				i++
			}
			_ = sum
		})
	}
}

func BenchmarkOwns(b *testing.B) {
	r := mustNew(b, cluster("bench", 1024, 3, 32))
	b.ReportAllocs()
	for b.Loop() {
		r.Owns(31, 500, 3)
	}
}

func BenchmarkKeyName(b *testing.B) {
	k := Key{Type: DefaultType, Bucket: "bucket", Key: "key-0123456789"}
	b.ReportAllocs()
	for b.Loop() {
		_ = k.Name()
	}
}

func BenchmarkParseName(b *testing.B) {
	name := Key{Bucket: "bucket", Key: "key-0123456789"}.Name()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseName(name); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	cluster, name := uuidOf("bench", 0), Key{Bucket: "bucket", Key: "key-0123456789"}.Name()
	b.ReportAllocs()
	for b.Loop() {
		Hash(cluster, name)
	}
}

func BenchmarkDecodeDocument(b *testing.B) {
	for _, members := range []int{3, 32} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			doc, err := cluster("bench", 1024, 3, members).Encode()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeDocument(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
