package vclock

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func fullRecord() Record {
	ids := NewActors(5)
	r := Record{}.Put(Write{
		RequestID: RequestID{1}, Time: 77, Expiry: 99, ContentType: "text/plain; charset=utf-8",
		Meta: []Pair{{"color", "blue"}, {"", ""}}, Value: []byte("hello"),
	}, ids)
	r = r.Put(Write{Deleted: true, Time: 78}, ids)
	r, _ = r.Merge(Record{}.Put(Write{Value: []byte("x")}, NewActors(3)).Object)
	return r
}

// The format is on disk and on the wire: a change of it must be seen.
func TestEncodingIsFixed(t *testing.T) {
	const want = "0000000000000005" + "01" + // the actor
		"01" + "02" + "0000000000000003" + "01" + "01" + "0000000000000005" + "01" + "02" + "03" +
		"00" + "00" + "00" + "0000000000000000" + "00" + "00" + "01" + "78" +
		"01" + "01" + "06" + "01000000000000000000000000000000" + "000000000000004d" + "63" +
		"19" + "746578742f706c61696e3b20636861727365743d7574662d38" + "02" + "05" + "636f6c6f72" + "04" + "626c7565" + "00" + "00" + "05" + "68656c6c6f" +
		"01" + "00" + "01" + "000000000000004e" + "00" + "00" + "00"
	if got := hexOf(fullRecord().Append(nil)); got != want {
		t.Errorf("encoding\n got %s\nwant %s", got, want)
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

func TestDecodeRefusesEveryCutAndExtension(t *testing.T) {
	good := fullRecord().Append(nil)
	for n := range good {
		if _, err := DecodeRecord(good[:n]); !errors.Is(err, ErrDecode) {
			t.Errorf("cut to %d of %d bytes: error %v", n, len(good), err)
		}
	}
	if _, err := DecodeRecord(append(bytes.Clone(good), 0)); !errors.Is(err, ErrDecode) {
		t.Errorf("a byte more: error %v", err)
	}
}

// A damaged count must not make the decoder reserve memory for it.
func TestDecodeBoundsCounts(t *testing.T) {
	huge := []byte{formatObject, 0xff, 0xff, 0xff, 0xff, 0x7f}
	if n := testing.AllocsPerRun(10, func() { DecodeObject(huge) }); n > 20 {
		t.Errorf("%v allocations", n)
	}
	if _, err := DecodeObject(huge); !errors.Is(err, ErrDecode) {
		t.Errorf("error %v", err)
	}
}

func FuzzDecodeObject(f *testing.F) {
	f.Add(fullRecord().Object.Append(nil))
	f.Add(Object{}.Append(nil))
	for seed := range uint64(8) {
		for _, o := range randomObjects(seed) {
			f.Add(o.Append(nil))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := DecodeObject(b)
		if err != nil {
			if !errors.Is(err, ErrDecode) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if again := o.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("two encodings of one object:\n%x\n%x", b, again)
		}
		if o.Size() != len(b) {
			t.Fatalf("Size %d, length %d", o.Size(), len(b))
		}
		// Whatever can be decoded can be merged and written to.
		if m, changed := Merge(o, o); changed || !m.Equal(o) {
			t.Fatal("not idempotent")
		}
		r := Record{Object: o}.Put(Write{Context: o.Clock}, NewActors(1))
		if len(r.Object.Siblings) != 1 {
			t.Fatalf("a write that had read everything left %d siblings", len(r.Object.Siblings))
		}
	})
}

func FuzzMerge(f *testing.F) {
	for seed := range uint64(6) {
		o := randomObjects(seed)
		f.Add(o[0].Append(nil), o[1].Append(nil), o[2].Append(nil))
	}
	f.Fuzz(func(t *testing.T, x, y, z []byte) {
		a, err1 := DecodeObject(x)
		b, err2 := DecodeObject(y)
		c, err3 := DecodeObject(z)
		if err1 != nil || err2 != nil || err3 != nil {
			return
		}
		if !merged(a, b).Equal(merged(b, a)) {
			t.Fatal("not commutative")
		}
		if !merged(a, merged(b, c)).Equal(merged(merged(a, b), c)) {
			t.Fatal("not associative")
		}
		if _, err := DecodeObject(merged(a, b).Append(nil)); err != nil {
			t.Fatalf("a merged object cannot be read back: %v", err)
		}
	})
}

func TestContext(t *testing.T) {
	clock := fullRecord().Object.Clock
	text := EncodeContext(clock, 42)
	got, err := DecodeContext(text, 42)
	if err != nil || !got.Equal(clock) {
		t.Fatalf("round trip: %v, %v", got, err)
	}
	if empty, err := DecodeContext(EncodeContext(nil, 42), 42); err != nil || empty != nil {
		t.Errorf("the empty context: %v, %v", empty, err)
	}
	if _, err := DecodeContext(text, 43); !errors.Is(err, ErrContextForeign) {
		t.Errorf("another key: %v", err)
	}
	for i := range text {
		for _, c := range "Ab-_=+ \n" {
			if text[i] == byte(c) {
				continue
			}
			damaged := text[:i] + string(c) + text[i+1:]
			if _, err := DecodeContext(damaged, 42); !errors.Is(err, ErrContextDamaged) {
				t.Fatalf("%q for %q at %d: error %v", c, text[i], i, err)
			}
		}
	}
	for _, bad := range []string{"", "zzzz", "!not base64!", strings.Repeat("A", 24), text + "A", text[1:], text + text, text + "\n"} {
		if _, err := DecodeContext(bad, 42); !errors.Is(err, ErrContextDamaged) {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

func FuzzDecodeContext(f *testing.F) {
	f.Add(EncodeContext(fullRecord().Object.Clock, 1), uint64(1))
	f.Add("", uint64(0))
	f.Fuzz(func(t *testing.T, text string, bind uint64) {
		if c, err := DecodeContext(text, bind); err == nil && EncodeContext(c, bind) != text {
			t.Fatalf("two texts for one context: %q", text)
		}
	})
}
