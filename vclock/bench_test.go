package vclock

import "testing"

func single(run uint64) Object {
	return Record{}.Put(Write{Value: make([]byte, 1024), ContentType: "text/plain"}, NewActors(run)).Object
}

func BenchmarkMerge(b *testing.B) {
	one, two := single(1), single(2)
	newer := Record{Object: one}.Put(Write{Context: one.Clock, Value: make([]byte, 1024)}, NewActors(3)).Object
	for _, c := range []struct {
		name string
		x, y Object
	}{{"same", one, one}, {"concurrent", one, two}, {"newer", one, newer}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Merge(c.x, c.y)
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	b.ReportAllocs()
	ids, r := NewActors(1), Record{Object: single(2)}
	w := Write{Context: r.Object.Clock, Value: make([]byte, 1024)}
	for b.Loop() {
		r.Put(w, ids)
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	b.ReportAllocs()
	enc := Record{Object: single(1)}.Append(nil)
	for b.Loop() {
		DecodeRecord(enc)
	}
}

func BenchmarkDigest(b *testing.B) {
	b.ReportAllocs()
	o := single(1)
	for b.Loop() {
		o.Digest()
	}
}
