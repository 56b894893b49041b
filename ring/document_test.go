package ring

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The hash names a version for ever and the encoding is on disk: both are fixed.
func TestDocumentEncodingIsFixed(t *testing.T) {
	d := Document{
		Cluster: "c", Version: 2, Parent: strings.Repeat("0a", 32), Partitions: 8, N: 3, Tokens: 4,
		Members: []Member{
			{UUID: "u2", Name: "two", HTTP: "h:1", Peer: "h:2", Zone: "z<", Weight: 2, Status: StatusLeaving},
			{UUID: "u1", Name: "one", Weight: 1, Status: StatusMember},
		},
		Removed: []string{"x2", "x1"},
	}
	want := `{"format":1,"cluster":"c","version":2,"parent":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",` +
		`"partitions":8,"n":3,"tokens":4,"members":[` +
		`{"uuid":"u1","name":"one","weight":1,"status":"member"},` +
		`{"uuid":"u2","name":"two","http":"h:1","peer":"h:2","zone":"z\u003c","weight":2,"status":"leaving"}],` +
		`"removed":["x1","x2"]}`
	got, err := d.Encode()
	if err != nil || string(got) != want {
		t.Errorf("Encode = %s, %v\nwant %s", got, err, want)
	}
	const hash = "ae7a1fbed64f895f7f275dccddde86032cb3dfb989210fcc6a4e27755dd86d75"
	if got := d.Hash(); got != hash {
		t.Errorf("Hash = %s, want %s", got, hash)
	}
	if d.Members[0].UUID != "u2" || d.Removed[0] != "x2" {
		t.Error("Encode or Hash reordered the caller's slices")
	}
}

func TestDocumentRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		d := randomDocument(rnd)
		b, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeDocument(b)
		if want := d.canonical(); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("decode(encode(d)) = %+v, %v\nwant %+v", got, err, want)
		}
		shuffled := d
		shuffled.Members = slices.Clone(d.Members)
		rnd.Shuffle(len(d.Members), func(i, j int) {
			shuffled.Members[i], shuffled.Members[j] = shuffled.Members[j], shuffled.Members[i]
		})
		if shuffled.Hash() != d.Hash() {
			t.Fatalf("the hash depends on the order of members: %+v", d)
		}
		changed := d
		changed.Version++
		if changed.Hash() == d.Hash() {
			t.Fatalf("versions %d and %d have one hash", d.Version, changed.Version)
		}
	}
}

func TestDecodeDocumentRefuses(t *testing.T) {
	good, err := cluster("decode", 8, 3, 2).Encode()
	if err != nil {
		t.Fatal(err)
	}
	replaced := func(old, new string) string {
		s := strings.Replace(string(good), old, new, 1)
		if s == string(good) {
			t.Fatalf("no %s in %s", old, good)
		}
		return s
	}
	for _, c := range []struct{ in, why string }{
		{"", "unexpected end"},
		{"null", "format 0"},
		{"{}", "format 0"},
		{replaced(`"format":1`, `"format":2,"new":[]`), "format 2, this program knows format 1"},
		{replaced(`"n":3`, `"n":3,"unknown":1`), "unknown"},
		{replaced(`"n":3`, `"n":3,"n":3`), "canonical"},
		{replaced(`"n":3`, `"N":3`), "canonical"},
		{replaced(`"n":3`, `"n": 3`), "canonical"},
		{replaced(`"n":3`, `"n":"3"`), "n"},
		{replaced(`"n":3`, `"n":0`), "n is 0, want 1..64"},
		{replaced(`"name":"node0"`, "\"name\":\"node\xff\""), "canonical"},
		{string(good) + " ", "canonical"},
		{string(good) + "{}", "after top-level value"},
		{string(good[:len(good)-1]), "unexpected end"},
	} {
		if _, err := DecodeDocument([]byte(c.in)); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("DecodeDocument(%s) = %v, want an error with %q", c.in, err, c.why)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		what  string
		spoil func(*Document)
		why   []string // all of them in one error; none: valid
	}{
		{"valid", func(*Document) {}, nil},
		{"no cluster", func(d *Document) { d.Cluster = "" }, []string{`cluster is ""`}},
		{"version 0", func(d *Document) { d.Version = 0 }, []string{"version is 0"}},
		{"first with parent", func(d *Document) { d.Parent = "ab" }, []string{`parent of version 1 is "ab", want none`}},
		{"later without parent", func(d *Document) { d.Version = 2 }, []string{`parent of version 2 is ""`}},
		{"parent in capitals", func(d *Document) { d.Version, d.Parent = 2, strings.Repeat("AB", 32) }, []string{"lower-case hex"}},
		{"later", func(d *Document) { d.Version, d.Parent = 2, strings.Repeat("ab", 32) }, nil},
		{"no partitions", func(d *Document) { d.Partitions = 0 }, []string{"partitions is 0, want 1..65536"}},
		{"negative partitions", func(d *Document) { d.Partitions = -8 }, []string{"partitions is -8"}},
		{"not a power", func(d *Document) { d.Partitions = 96 }, []string{"partitions is 96, want a power of two"}},
		{"one partition", func(d *Document) { d.Partitions = 1 }, nil},
		{"most partitions", func(d *Document) { d.Partitions = 65536 }, nil},
		{"too many partitions", func(d *Document) { d.Partitions = 131072 }, []string{"partitions is 131072"}},
		{"n", func(d *Document) { d.N = 65 }, []string{"n is 65, want 1..64"}},
		{"tokens", func(d *Document) { d.Tokens = 0 }, []string{"tokens is 0, want 1..4096"}},
		{"huge tokens", func(d *Document) { d.Tokens, d.Members[0].Weight = 1<<62, 1<<62 }, []string{"tokens is 4611686018427387904", "weight is"}},
		{"no members", func(d *Document) { d.Members = nil }, []string{"number of members is 0", "none of 0 members"}},
		{"all joining", func(d *Document) { d.Members[0].Status, d.Members[1].Status = StatusJoining, StatusJoining }, []string{"none of 2 members"}},
		{"leaving owns", func(d *Document) { d.Members[0].Status, d.Members[1].Status = StatusJoining, StatusLeaving }, nil},
		{"bad uuid", func(d *Document) { d.Members[1].UUID = "a b" }, []string{`member 1 ("node1"): uuid is "a b"`}},
		{"long uuid", func(d *Document) { d.Members[1].UUID = strings.Repeat("a", 65) }, []string{"uuid is"}},
		{"same uuid", func(d *Document) { d.Members[1].UUID = d.Members[0].UUID }, []string{"is used twice"}},
		{"same name", func(d *Document) { d.Members[1].Name = "node0" }, []string{`member 1 ("node0"): name is used twice`}},
		{"no name", func(d *Document) { d.Members[1].Name = "" }, []string{"has 0 bytes, want 1..64"}},
		{"name not UTF-8", func(d *Document) { d.Members[1].Name = "\xff" }, []string{"not UTF-8"}},
		{"address", func(d *Document) { d.Members[1].HTTP, d.Members[1].Peer = "a\nb", strings.Repeat("p", 256) }, []string{`http "a\nb" holds`, "256 bytes"}},
		{"zone", func(d *Document) { d.Members[1].Zone = strings.Repeat("z", 65) }, []string{"zone", "65 bytes"}},
		{"zone in any script", func(d *Document) { d.Members[1].Zone = "Köln 2" }, nil},
		{"weight", func(d *Document) { d.Members[0].Weight, d.Members[1].Weight = 0, 101 }, []string{"weight is 0, want 1..100", "weight is 101"}},
		{"status", func(d *Document) { d.Members[0].Status = "gone" }, []string{`status is "gone"`}},
		{"removed member", func(d *Document) { d.Removed = []string{d.Members[0].UUID} }, []string{"may never come back"}},
		{"removed twice", func(d *Document) { d.Removed = []string{"x", "x"} }, []string{"listed twice"}},
		{"removed bad", func(d *Document) { d.Removed = []string{""} }, []string{`removed 0 is ""`}},
		{"too many tokens", func(d *Document) { d.Tokens = 4096; heavy(d, 11, 100) }, []string{"all weights times 4096 tokens are 4505600"}},
		{"too many pairs", func(d *Document) { d.Partitions = 65536; heavy(d, 65, 1) }, []string{"65 members with 65536 partitions, want at most 64"}},
		{"all at once", func(d *Document) { *d = Document{} }, []string{"cluster", "version", "partitions", "n is", "tokens", "members"}},
	} {
		d := cluster("validate", 8, 3, 2)
		c.spoil(&d)
		err := d.Validate()
		if (err == nil) != (c.why == nil) {
			t.Errorf("%s: Validate = %v", c.what, err)
		}
		for _, why := range c.why {
			if err != nil && !strings.Contains(err.Error(), why) {
				t.Errorf("%s: Validate = %v, want %q in it", c.what, err, why)
			}
		}
		if _, encodeErr := d.Encode(); (encodeErr == nil) != (err == nil) {
			t.Errorf("%s: Encode = %v, Validate = %v", c.what, encodeErr, err)
		}
		if c.why == nil {
			continue
		}
		if _, newErr := New(d); newErr == nil {
			t.Errorf("%s: New takes what Validate refuses", c.what)
		}
	}
}

// heavy replaces the members of d by count members of a weight.
func heavy(d *Document, count, weight int) {
	d.Members = cluster("heavy", 1, 1, count).Members
	for i := range d.Members {
		d.Members[i].Weight = weight
	}
}

func FuzzDecodeDocument(f *testing.F) {
	for _, d := range []Document{cluster("fuzz", 8, 3, 1), randomDocument(rand.New(rand.NewPCG(2, 3)))} {
		b, err := d.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte(`{"format":1,"partitions":-1,"tokens":9223372036854775807,"members":[{"weight":9223372036854775807}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := DecodeDocument(b)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil || string(again) != string(b) {
			t.Errorf("encode(decode(%s)) = %s, %v", b, again, err)
		}
		if d.Partitions*len(d.Members) > 1<<12 || d.Tokens > 64 {
			return // valid, but placing it only costs time here
		}
		if _, err := New(d); err != nil {
			t.Errorf("New(%s): %v", b, err)
		}
	})
}
