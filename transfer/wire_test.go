package transfer

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestBatchRoundTrip(t *testing.T) {
	items := itemsOf(20, 100)
	items[3].N, items[4].Name = 0, strings.Repeat("n", 4096)
	b := encodeBatch(42, items, 0)
	version, got, err := decodeBatch(b)
	if err != nil || version != 42 || len(got) != len(items) {
		t.Fatalf("version %d, %d items, %v", version, len(got), err)
	}
	for i := range items {
		if got[i].Partition != items[i].Partition || got[i].N != items[i].N || got[i].Name != items[i].Name || !got[i].Object.Equal(items[i].Object) {
			t.Errorf("item %d: got %+v, want %+v", i, got[i], items[i])
		}
	}
	for n := range b {
		if _, _, err := decodeBatch(b[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("the first %d bytes of a batch: %v", n, err)
		}
	}
	for _, bad := range [][]byte{append(bytes.Clone(b), 0), encodeBatch(1, nil, 0), append([]byte{2}, b[1:]...)} {
		if _, _, err := decodeBatch(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("a damaged batch: %v", err)
		}
	}
}

func TestBatchesAreCut(t *testing.T) {
	for _, c := range []struct {
		name        string
		items, size int
		want        []int
	}{
		{"small ones by number", 600, 10, []int{256, 256, 88}},
		{"1 KiB by bytes", 500, 1024, []int{235, 235, 30}},
		{"half a batch each", 3, 128 << 10, []int{1, 1, 1}},
		{"larger than a batch", 2, 1 << 20, []int{1, 1}},
		{"one", 1, 0, []int{1}},
	} {
		items := itemsOf(c.items, c.size)
		var got []int
		for len(items) > 0 {
			n, size := cut(items)
			b := encodeBatch(1<<63, items[:n], size)
			if len(b) > size || n > 1 && len(b) > MaxBatchBytes {
				t.Errorf("%s: %d items take %d bytes, at most %d were expected", c.name, n, len(b), size)
			}
			got, items = append(got, n), items[n:]
		}
		if len(got) != len(c.want) || got[len(got)-1] > 256 || (c.name != "1 KiB by bytes" && !reflect.DeepEqual(got, c.want)) {
			t.Errorf("%s: cut into %v, want about %v", c.name, got, c.want)
		}
	}
}

func TestCost(t *testing.T) {
	for _, c := range []struct{ items, size, want int }{
		{256, 256 << 10, 256}, {1, 100, 1}, {1, 16 << 20, 4096}, {3, 256 << 10, 64}, {1, 4097, 2},
	} {
		if got := cost(c.items, c.size); got != c.want {
			t.Errorf("%d items of %d bytes cost %d, want %d", c.items, c.size, got, c.want)
		}
	}
}

func TestAnswerRoundTrip(t *testing.T) {
	for _, a := range []answer{
		{items: []outcome{stored, refused, failed}, version: 9, text: "why"},
		{verdict: busy, pause: 1500 * time.Millisecond, items: []outcome{}},
		{verdict: otherRing, version: 1 << 63, text: strings.Repeat("x", maxText), items: []outcome{}},
	} {
		got, err := decodeAnswer(a.encode(), len(a.items))
		if err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("got %+v, %v, want %+v", got, err, a)
		}
		if _, err := decodeAnswer(a.encode(), len(a.items)+1); a.verdict == taken && !errors.Is(err, ErrMalformed) {
			t.Errorf("an answer for one item less: %v", err)
		}
	}
	long := answer{pause: time.Hour, text: strings.Repeat("y", 9999)}
	if got, err := decodeAnswer(long.encode(), 0); err != nil || got.pause != maxPause || len(got.text) != maxText {
		t.Errorf("what is too long is cut: %v, %v, %d", err, got.pause, len(got.text))
	}
	if got, _ := decodeAnswer(answer{pause: time.Microsecond}.encode(), 0); got.pause != time.Millisecond {
		t.Errorf("a short pause became %v", got.pause)
	}
}

// FuzzBatch: decoding never panics, and what decodes is what encodes to the same bytes.
func FuzzBatch(f *testing.F) {
	f.Add(encodeBatch(7, itemsOf(3, 5), 0))
	f.Add(encodeBatch(0, itemsOf(1, 0), 0))
	f.Add([]byte{format, 1, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		version, items, err := decodeBatch(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || items != nil {
				t.Fatalf("%d items, %v", len(items), err)
			}
			return
		}
		if again := encodeBatch(version, items, 0); !bytes.Equal(again, b) {
			t.Fatalf("%x encodes as %x", b, again)
		}
	})
}

// FuzzAnswer: the same for answers, and never an outcome for an item that was not sent.
func FuzzAnswer(f *testing.F) {
	f.Add(answer{items: []outcome{stored, refused}, version: 3, text: "t"}.encode(), uint8(2))
	f.Add(answer{verdict: busy, pause: time.Second}.encode(), uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, items uint8) {
		a, err := decodeAnswer(b, int(items))
		if err != nil {
			if !errors.Is(err, ErrMalformed) || a.items != nil {
				t.Fatalf("%+v, %v", a, err)
			}
			return
		}
		if a.verdict == taken && len(a.items) != int(items) || a.verdict != taken && len(a.items) != 0 {
			t.Fatalf("%d outcomes for %d items", len(a.items), items)
		}
		if !bytes.Equal(a.encode(), b) {
			t.Fatalf("%x encodes as %x", b, a.encode())
		}
	})
}
