package props

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cartwheel/vclock"
)

func sample(t testing.TB) *Set {
	t.Helper()
	table, _ := newTable(t, "n1")
	apply(t, table, "b", `{"props":{"r":"one","x":null,"y":{"<":1.50}}}`)
	apply(t, table, "b", `{"props":{"r":"default"}}`)
	apply(t, table, "a/\xff\x00%", `{"props":{"allow_mult":false}}`)
	if _, err := table.Apply(ResetChange("other", "b")); err != nil {
		t.Fatal(err)
	}
	return table.Set()
}

func TestEncodeKeepsEverything(t *testing.T) {
	set := sample(t)
	encoded := set.Encode()
	again, err := NewTable(config("n2", nil), encoded)
	if err != nil {
		t.Fatalf("%v in %s", err, encoded)
	}
	if got := again.Set().Encode(); !bytes.Equal(got, encoded) {
		t.Errorf("decoded and encoded again:\n got %s\nwant %s", got, encoded)
	}
	if got, want := again.Set().Digest(), set.Digest(); got != want || want == 0 {
		t.Errorf("digest %x, want %x, not 0", got, want)
	}
	if got, want := again.Set().Stats(), set.Stats(); got != want || got.Buckets != 2 || got.Entries != 3 {
		t.Errorf("stats %+v, want %+v with 2 buckets of 3", got, want)
	}
	if got := string(again.Set().JSON("", "b")["x"]); got != "null" {
		t.Errorf("x is %q after decoding, want null", got)
	}
	if again.Set().Bucket("", "a/\xff\x00%").AllowMult || !again.Set().Bucket("", "a/\ufffd\x00%").AllowMult {
		t.Error("a bucket name that is not UTF-8 lost its identity")
	}
}

// TestEncodedForm pins the format: documents on disk and deltas between nodes of different
// builds depend on it.
func TestEncodedForm(t *testing.T) {
	k := newKey("", "a b")
	s := state{reset: stamp{7, "n"}, props: map[string]register{
		"w": {stamp: stamp{9, "m"}}, "r": {stamp{8, "m"}, []byte(`"one"`)}}}
	got := encodeDocument([][]byte{encodeBucket(k, s)})
	want := `{"version":1,"buckets":[{"type":"default","bucket":"a%20b","reset":{"time":7,"node":"n"},` +
		`"props":[{"name":"r","time":8,"node":"m","value":"one"},{"name":"w","time":9,"node":"m"}]}]}`
	if string(got) != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	states, err := decodeDocument(got)
	if err != nil || len(states) != 1 || !equal(states[k], s) {
		t.Errorf("decoded %v, %v, want %v", states, err, s)
	}
}

func TestDecodeRefuses(t *testing.T) {
	doc := func(buckets string) string { return `{"version":1,"buckets":[` + buckets + `]}` }
	reg := func(name string, time uint64, node string) string {
		return fmt.Sprintf(`{"name":%q,"time":%d,"node":%q,"value":1}`, name, time, node)
	}
	bucket := func(name, props string) string {
		return `{"type":"default","bucket":"` + name + `","props":[` + props + `]}`
	}
	good := doc(bucket("a", reg("r", 5, "n")) + "," + bucket("b", reg("r", 5, "n")))
	if _, err := decodeDocument([]byte(good)); err != nil {
		t.Fatalf("the model of the bad ones is refused: %v", err)
	}
	for what, bad := range map[string]string{
		"empty":              "",
		"no JSON":            "x",
		"no version":         `{"buckets":[]}`,
		"version 0":          `{"version":0,"buckets":[]}`,
		"null buckets":       `{"version":1,"buckets":null}`,
		"trailing bytes":     good + " ",
		"truncated":          good[:len(good)-1],
		"white space":        strings.Replace(good, ":", ": ", 1),
		"unknown field":      strings.Replace(good, `"bucket":`, `"x":1,"bucket":`, 1),
		"other spelling":     strings.Replace(good, `"bucket"`, `"Bucket"`, 1),
		"duplicate bucket":   doc(bucket("a", reg("r", 5, "n")) + "," + bucket("a", reg("r", 5, "n"))),
		"unordered buckets":  doc(bucket("b", reg("r", 5, "n")) + "," + bucket("a", reg("r", 5, "n"))),
		"duplicate property": doc(bucket("a", reg("r", 5, "n")+","+reg("r", 6, "n"))),
		"unordered names":    doc(bucket("a", reg("w", 5, "n")+","+reg("r", 6, "n"))),
		"empty bucket":       doc(`{"type":"default","bucket":"a"}`),
		"empty type":         strings.Replace(good, `"default"`, `""`, 1),
		"bad escape":         doc(bucket("%zz", reg("r", 5, "n"))),
		"needless escape":    doc(bucket("%61", reg("r", 5, "n"))),
		"time 0":             doc(bucket("a", reg("r", 0, "n"))),
		"time out of range":  doc(bucket("a", reg("r", 1<<63+1, "n"))),
		"no node":            doc(bucket("a", reg("r", 5, ""))),
		"zero reset":         doc(`{"type":"default","bucket":"a","reset":{"time":0,"node":""}}`),
		"before the reset":   doc(`{"type":"default","bucket":"a","reset":{"time":6,"node":"n"},"props":[` + reg("r", 5, "n") + `]}`),
		"not UTF-8":          doc(bucket("a", `{"name":"x","time":5,"node":"n","value":"`+"\xff"+`"}`)),
	} {
		if s, err := decodeDocument([]byte(bad)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, %v, want ErrDamaged for %q", what, s, err, bad)
		}
	}
	_, err := decodeDocument([]byte(`{"version":2,"buckets":[{"new":true}],"more":1}`))
	if err == nil || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("newer format: got %v, want an error that names it", err)
	}
}

// FuzzDecode: no input panics, what is accepted encodes to the same bytes, and merging it
// twice is merging it once.
func FuzzDecode(f *testing.F) {
	f.Add(sample(f).Encode())
	f.Add([]byte(`{"version":1,"buckets":[]}`))
	f.Add([]byte(`{"version":1,"buckets":[{"type":"default","bucket":"b","props":[{"name":"r","time":5,"node":"n","value":"most"}]}]}`))
	f.Add([]byte(`{"version":9}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := NewTable(config("n1", nil), data)
		if err != nil || len(data) == 0 {
			return
		}
		set := table.Set()
		if got := set.Encode(); !bytes.Equal(got, data) {
			t.Fatalf("accepted %q, encodes as %q", data, got)
		}
		if changed, err := table.Merge(data); changed || err != nil {
			t.Fatalf("merging %q again: %v, %v", data, changed, err)
		}
		for k := range set.buckets {
			if p := set.Bucket(k.typ, k.bucket); p.NVal < 1 || p.R < All || p.R == 0 {
				t.Fatalf("%q gives %+v", data, p)
			}
			marshal(set.JSON(k.typ, k.bucket))
		}
	})
}

// FuzzParseChange: no body panics, and what is accepted survives being stored.
func FuzzParseChange(f *testing.F) {
	f.Add("b", []byte(`{"props":{"r":"one","n_val":5,"x":{"a":[1,null,"<"]}}}`))
	f.Add("\xff%/", []byte(`{"props":{"name":1,"":0}}`))
	f.Add("", []byte(`{"props":{"n_val":"x","consistent":true}}`))
	f.Fuzz(func(t *testing.T, bucket string, body []byte) {
		c, err := ParseChange("", bucket, body)
		if err != nil {
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
		if delta == nil {
			return
		}
		other, err := NewTable(config("n2", nil), *saved)
		if err != nil {
			t.Fatalf("%q cannot be opened again: %v", *saved, err)
		}
		if changed, err := other.Merge(delta); changed || err != nil {
			t.Fatalf("delta %q after document %q: %v, %v", delta, *saved, changed, err)
		}
		if other.Set().Bucket("", bucket) != table.Set().Bucket("", bucket) {
			t.Fatalf("%q reads differently after decoding", body)
		}
	})
}

func TestStampOrder(t *testing.T) {
	ordered := []stamp{{}, {1, "a"}, {1, "b"}, {2, "a"}, {vclock.Time(1) << 62, ""}}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := a.compare(b); got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%v compared with %v: %d", a, b, got)
			}
		}
	}
}
