package ring

import (
	"strings"
	"testing"
)

func TestKeyName(t *testing.T) {
	long := strings.Repeat("b", 200)
	for _, c := range []struct {
		key  Key
		name string
	}{
		{Key{"default", "b", "k"}, "\x07default\x01bk"},
		{Key{"", "b", "k"}, "\x07default\x01bk"},
		{Key{"t", "", ""}, "\x01t\x00"},
		{Key{"t", "b\x00\xff", "k/\n"}, "\x01t\x03b\x00\xffk/\n"},
		{Key{"t", long, "k"}, "\x01t\xc8\x01" + long + "k"},
	} {
		if got := c.key.Name(); got != c.name {
			t.Errorf("%q.Name() = %q, want %q", c.key, got, c.name)
		}
		want := c.key
		if want.Type == "" {
			want.Type = DefaultType
		}
		if got, err := ParseName(c.name); err != nil || got != want {
			t.Errorf("ParseName(%q) = %q, %v, want %q", c.name, got, err, want)
		}
	}
}

func TestParseNameRefuses(t *testing.T) {
	for _, c := range []struct{ name, why string }{
		{"", "type"},
		{"\x07defaul", "length 7, only 6 bytes left"},
		{"\x01t", "bucket"},
		{"\x01t\x02b", "length 2, only 1 bytes left"},
		{"\x00\x01bk", "empty type"},
		{"\x81\x00t\x01bk", "shortest form"},
		{"\x01t\x81\x00bk", "shortest form"},
		{"\x80", "cut short"},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02x", "above 64 bits"},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", "only 1 bytes left"},
	} {
		if k, err := ParseName(c.name); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("ParseName(%q) = %q, %v, want an error with %q", c.name, k, err, c.why)
		}
	}
}

// Two ways to split the same bytes are different keys and different contexts.
func TestNamesAndHashesAreUnambiguous(t *testing.T) {
	keys := []Key{{"ab", "c", "d"}, {"a", "bc", "d"}, {"a", "b", "cd"}, {"abc", "", "d"}, {"a", "bcd", ""}}
	seen := make(map[string]Key)
	for _, k := range keys {
		if other, ok := seen[k.Name()]; ok {
			t.Errorf("%q and %q have one name", k, other)
		}
		seen[k.Name()] = k
	}
	if Hash("ab", "c") == Hash("a", "bc") {
		t.Error("Hash does not separate cluster and name")
	}
	if Hash("a", "b") == Hash("c", "b") || Hash("a", "b") == Hash("a", "c") {
		t.Error("Hash does not depend on both cluster and name")
	}
}

// Contexts and stored partitions outlive the program that made them.
func TestHashIsFixed(t *testing.T) {
	if got, want := Hash("cluster", Key{"", "b", "k"}.Name()), uint64(0x8a840c9b44cdbed5); got != want {
		t.Errorf("Hash = %#x, want %#x", got, want)
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"", "\x07default\x01bk", "\x01t\x00", "\x81\x00t\x01bk", "\x00\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseName(s)
		if err == nil && k.Name() != s {
			t.Errorf("ParseName(%q) = %q, which has the name %q", s, k, k.Name())
		}
		// Any three strings are a key, and it comes back.
		third := len(s) / 3
		k = Key{"t" + s[:third], s[third : 2*third], s[2*third:]}
		if got, err := ParseName(k.Name()); err != nil || got != k {
			t.Errorf("ParseName(%q) = %q, %v, want %q", k.Name(), got, err, k)
		}
	})
}
