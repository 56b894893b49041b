package ring

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

func TestRingAccessors(t *testing.T) {
	d := cluster("access", 16, 3, 4)
	d.Members[1].Status = StatusJoining
	r := mustNew(t, d)
	if r.Cluster() != "c-access" || r.Version() != 1 || r.N() != 3 || r.Partitions() != 16 {
		t.Errorf("cluster %s version %d N %d partitions %d", r.Cluster(), r.Version(), r.N(), r.Partitions())
	}
	if r.Document().Hash() != d.Hash() {
		t.Error("Document is not the one that the ring was made from")
	}
	for i, m := range r.Members() {
		if got, ok := r.Index(m.UUID); !ok || got != i {
			t.Errorf("Index(%s) = %d, %v, want %d", m.UUID, got, ok, i)
		}
	}
	if _, ok := r.Index("nobody"); ok {
		t.Error("Index knows nobody")
	}
	for _, c := range []struct{ n, want int }{{0, 3}, {-1, 3}, {1, 1}, {2, 2}, {3, 3}, {4, 3}, {1 << 40, 3}} {
		if got := r.EffectiveN(c.n); got != c.want {
			t.Errorf("EffectiveN(%d) = %d, want %d: three members own", c.n, got, c.want)
		}
	}
}

func TestRingKeepsNothingOfTheCaller(t *testing.T) {
	d := cluster("copy", 16, 3, 4)
	r := mustNew(t, d)
	hash := d.Hash()
	d.Members[0].UUID = "other"
	out := r.Document()
	out.Members[0].UUID = "another"
	if r.Document().Hash() != hash {
		t.Error("the ring shares memory with a document outside")
	}
	list := r.Preference(0)
	if cap(list) != len(list) {
		t.Error("appending to a list would write into the next one")
	}
}

func TestRingOwns(t *testing.T) {
	r := mustNew(t, cluster("owns", 16, 3, 5))
	for p := range uint16(16) {
		for i, m := range r.Preference(p) {
			for n := range 7 {
				if got, want := r.Owns(m, p, n), i < r.EffectiveN(n); got != want {
					t.Errorf("Owns(%d, %d, %d) = %v, entry %d of the list", m, p, n, got, i)
				}
			}
		}
	}
	// Partition numbers arrive from other nodes, whose ring may differ.
	if r.Preference(16) != nil || r.Owns(0, 16, 3) || r.Owns(-1, 0, 3) || r.Owns(5, 0, 3) {
		t.Error("a partition or member that does not exist has an owner")
	}
}

// The partition of a name is the top bits of its hash, for every Q.
func TestPartitionIsTopBits(t *testing.T) {
	for bits := range 17 {
		r := mustNew(t, cluster("bits", 1<<bits, 1, 1))
		for i := range 100 {
			name := Key{"", "bucket", fmt.Sprint(i)}.Name()
			want := uint16(0)
			if bits > 0 {
				want = uint16(xxhash.Sum64String(name) / (1 << (64 - bits)))
			}
			if got := r.Partition(name); got != want {
				t.Fatalf("Q=%d: Partition(%q) = %d, want %d", 1<<bits, name, got, want)
			}
		}
	}
}

func TestSingleMemberOwnsAll(t *testing.T) {
	r := mustNew(t, cluster("single", 256, 3, 1))
	for p := range uint16(256) {
		if !slices.Equal(r.Preference(p), []int{0}) || !r.Owns(0, p, 3) {
			t.Fatalf("partition %d: list %v", p, r.Preference(p))
		}
	}
	if r.EffectiveN(3) != 1 || r.Replicas(0) != 256 {
		t.Errorf("effective N %d, replicas %d", r.EffectiveN(3), r.Replicas(0))
	}
}

// scenario is a small cluster in a notation to be read at a glance: members as
// name[@zone][*weight][!status].
type scenario struct{ comment, members string }

func (s scenario) document(t *testing.T) Document {
	d := Document{Cluster: "c", Version: 1, Partitions: 8, N: 3, Tokens: 32}
	for _, word := range strings.Fields(s.members) {
		m := Member{Weight: 1, Status: StatusMember}
		word, status, found := strings.Cut(word, "!")
		if found {
			m.Status = Status(status)
		}
		word, weight, found := strings.Cut(word, "*")
		if found {
			if _, err := fmt.Sscan(weight, &m.Weight); err != nil {
				t.Fatal(err)
			}
		}
		m.Name, m.Zone, _ = strings.Cut(word, "@")
		m.UUID = m.Name
		d.Members = append(d.Members, m)
	}
	return d
}

// The lists of some small clusters, for reading, and to keep them as they are:
// a change here is a new placement rule, which needs a new format number.
func TestPreferenceListsAreFixed(t *testing.T) {
	var b strings.Builder
	for _, s := range []scenario{
		{"One member owns everything.", "a"},
		{"As many members as replicas: all own all, nearest first.", "a b c"},
		{"Four members, eight partitions: shares of 6 of the 24 replicas, cap 6.", "a b c d"},
		{"Three zones of two: the owners, before the bar, lie in three zones.", "a@x b@x c@y d@y e@z f@z"},
		{"Two zones: each prefix of the list lies in both.", "a@x b@x c@x d@y e@y f@y"},
		{"A small zone carries more than its share: it owns every partition.", "a@x b@x c@x d@x e@y"},
		{"Twice the weight, twice the replicas.", "a*2 b c d e"},
		{"The joining f owns nothing and comes last; the leaving e still owns.", "a b c d e!leaving f!joining"},
	} {
		r := mustNew(t, s.document(t))
		fmt.Fprintf(&b, "# %s\n%s\n", s.comment, s.members)
		for p := range r.Partitions() {
			fmt.Fprintf(&b, "%d:", p)
			for i, m := range r.Preference(uint16(p)) {
				if i == r.EffectiveN(0) {
					b.WriteString(" |")
				}
				b.WriteString(" " + r.Members()[m].Name)
			}
			b.WriteByte('\n')
		}
		for i, m := range r.Members() {
			fmt.Fprintf(&b, "%s=%d ", m.Name, r.Replicas(i))
		}
		b.WriteString("\n\n")
	}
	file := filepath.Join("testdata", "lists.txt")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("lists differ from %s; if that is meant, raise the format and run with -update. Got:\n%s", file, b.String())
	}
}
