package workload

import (
	"bytes"
	"compress/flate"
	"strconv"
	"testing"
)

func TestParseSizes(t *testing.T) {
	for text, want := range map[string]Sizes{
		"1024": {1024, 1024}, "0": {0, 0}, "100-4096": {100, 4096}, "7-7": {7, 7}, "33554432": {MaxValueBytes, MaxValueBytes},
	} {
		if got, err := ParseSizes(text); err != nil || got != want {
			t.Errorf("ParseSizes(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", "1-", "-1", "5-4", "1k", "+1", "1-2-3", "33554433", "99999999999999999999", " 1", "1_0"} {
		if got, err := ParseSizes(text); err == nil {
			t.Errorf("ParseSizes(%q) = %v", text, got)
		}
	}
}

func FuzzParseSizes(f *testing.F) {
	for _, text := range []string{"1024", "100-4096", "7-7", "5-4", "1-", "-1", "1e3", "0x10"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSizes(text)
		if err != nil {
			return
		}
		if !s.Valid() {
			t.Errorf("ParseSizes(%q) = %v", text, s)
		}
		if again, err := ParseSizes(s.String()); err != nil || again != s {
			t.Errorf("ParseSizes(%q) = %v, and of its text %v, %v", text, s, again, err)
		}
	})
}

// Lengths are those asked for, each equally often.
func TestValueSizes(t *testing.T) {
	r, v := Rand(1, 0), Sizes{10, 29}.Values(1)
	counts := make([]int, 20)
	const draws = 50_000
	for range draws {
		counts[len(v.Next(r))-10]++ // panics if it is outside
	}
	if z := chiSquare(counts, func(int) float64 { return 1.0 / 20 }, draws); z > tooFar {
		t.Errorf("%.1f standard deviations from uniform: %v", z, counts)
	}
	for _, size := range []int{0, 1, 1024, MaxValueBytes} {
		value := Sizes{size, size}.Values(1).Next(r)
		if len(value) != size || cap(value) != size {
			t.Errorf("%d bytes with room for %d, want %d", len(value), cap(value), size)
		}
	}
}

// A value cannot be compressed, and is not the one before.
func TestValuesAreIncompressible(t *testing.T) {
	r, v := Rand(2, 0), Sizes{1024, 1024}.Values(9)
	var last []byte
	for range 20 {
		value := v.Next(r)
		if bytes.Equal(value, last) {
			t.Error("one value twice")
		}
		last = value
		var packed bytes.Buffer
		w, err := flate.NewWriter(&packed, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(value); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if packed.Len() < len(value) {
			t.Errorf("%d bytes became %d", len(value), packed.Len())
		}
	}
}

func BenchmarkValue(b *testing.B) {
	for _, size := range []int{100, 1024, 65536} {
		b.Run("bytes="+strconv.Itoa(size), func(b *testing.B) {
			r, v := Rand(1, 0), Sizes{size, size}.Values(1)
			into := make([]byte, size)
			b.ReportAllocs()
			for b.Loop() {
				copy(into, v.Next(r))
			}
		})
	}
}
