package sim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"strings"
	"testing"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// at is a moment of a scripted history, in seconds.
func at(seconds int) time.Time { return time.Unix(int64(1000+seconds), 0) }

// script is a history of one key; the moments of its requests are its own to choose.
type script struct {
	h     *History
	key   ring.Key
	final []vclock.RequestID
}

func scripted() *script { return &script{h: newHistory(), key: keyOf(0)} }

func id(name byte) vclock.RequestID { return vclock.RequestID{name} }

func owners(n int) quorum.Receipt {
	return quorum.Receipt{Replicas: n, Primaries: n, Durable: n, N: 3}
}

// write adds a write of a client that had read seen, acknowledged at end by a receipt.
func (s *script) write(name byte, start, end int, r quorum.Receipt, seen ...byte) *script {
	w := s.h.begin(write{id: id(name), key: s.key, start: at(start), seen: map[vclock.RequestID]bool{}, what: "write " + string(name)})
	for _, n := range seen {
		w.seen[id(n)] = true
	}
	w.acked, w.receipt = at(end), r
	return s
}

func (s *script) read(start, end int, r quorum.Receipt, firm bool, found ...byte) *script {
	m := map[vclock.RequestID]bool{}
	for _, n := range found {
		m[id(n)] = true
	}
	s.h.read(read{key: s.key, found: m, start: at(start), end: at(end), receipt: r, firm: firm, what: fmt.Sprintf("read %d", start)})
	return s
}

// lose adds a loss; the moments 0 stand for never.
func (s *script) lose(when, since int, calm bool) *script {
	l := loss{at: at(when), calm: calm}
	if since > 0 {
		l.since = at(since)
	}
	s.h.losses = append(s.h.losses, l)
	return s
}

func (s *script) ends(names ...byte) *script {
	for _, n := range names {
		s.final = append(s.final, id(n))
	}
	return s
}

func TestHistoryCheck(t *testing.T) {
	hinted := quorum.Receipt{Replicas: 2, Primaries: 1, Fallbacks: 1, Durable: 2, N: 3}
	for _, c := range []struct {
		name string
		s    *script
		want string // a part of the only violation; "" for none
	}{
		{"nothing happens", scripted(), ""},
		{"a write is there", scripted().write('a', 1, 2, owners(2)).ends('a'), ""},
		{"a write is lost", scripted().write('a', 1, 2, owners(2)), "write a is lost"},
		{"a hinted write is lost", scripted().write('a', 1, 2, hinted), "write a is lost"},
		{"replaced by who had read it", scripted().write('a', 1, 2, owners(2)).write('b', 3, 4, owners(2), 'a').ends('b'), ""},
		{"replaced blindly", scripted().write('a', 1, 2, owners(2)).write('b', 3, 4, owners(2)).ends('b'), "write a is lost"},
		{"a loss excuses one copy", scripted().write('a', 1, 2, owners(1)).lose(3, 0, true), ""},
		{"a loss does not excuse two copies", scripted().write('a', 1, 2, owners(2)).lose(3, 0, false), "write a is lost"},
		{"a loss before the write", scripted().lose(1, 0, false).write('a', 2, 3, owners(1)), "write a is lost"},
		{"converged before the loss", scripted().write('a', 1, 2, owners(1)).lose(5, 3, false), "write a is lost"},

		{"quorum reads quorum", scripted().write('a', 1, 2, owners(2)).ends('a').read(3, 4, owners(2), false), "read 3 does not see write a"},
		{"quorum reads one", scripted().write('a', 1, 2, owners(1)).ends('a').read(3, 4, owners(2), false), ""},
		{"all reads one", scripted().write('a', 1, 2, owners(1)).ends('a').read(3, 4, owners(3), false), "does not see write a"},
		{"a fallback's copy", scripted().write('a', 1, 2, hinted).ends('a').read(3, 4, owners(2), false), ""},
		{"not acknowledged yet", scripted().write('a', 1, 4, owners(2)).ends('a').read(3, 5, owners(2), false), ""},
		{"a later write cannot explain", scripted().write('a', 1, 2, owners(2)).write('b', 5, 6, owners(2), 'a').ends('b').
			read(3, 4, owners(2), false, 'b'), "does not see write a"},
		{"a calm loss", scripted().write('a', 1, 2, owners(2)).ends('a').lose(3, 0, true).read(4, 5, owners(2), false), "does not see write a"},
		{"a calm loss of one copy", scripted().write('a', 1, 2, owners(1)).ends('a').lose(3, 0, true).read(4, 5, owners(3), false), ""},
		{"a wild loss", scripted().write('a', 1, 2, owners(2)).ends('a').lose(3, 0, false).read(4, 5, owners(2), false), ""},
		{"a wild loss after the read", scripted().write('a', 1, 2, owners(2)).ends('a').read(3, 4, owners(2), false).lose(6, 0, false), "does not see write a"},

		{"a firm read goes back", scripted().write('a', 1, 9, owners(1)).ends('a').read(2, 3, owners(2), true, 'a').read(4, 5, owners(2), false), "does not see 61000000, which read 2 saw"},
		{"a read without repair goes back", scripted().write('a', 1, 9, owners(1)).ends('a').read(2, 3, owners(2), false, 'a').read(4, 5, owners(2), false), ""},
		{"at the same time", scripted().write('a', 1, 9, owners(1)).ends('a').read(2, 5, owners(2), true, 'a').read(4, 5, owners(2), false), ""},
		{"without an owner in common", scripted().write('a', 1, 9, owners(1)).ends('a').read(2, 3, owners(2), true, 'a').read(4, 5, owners(1), false), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var o vclock.Object
			for _, id := range c.s.final {
				o.Siblings = append(o.Siblings, vclock.Sibling{RequestID: id})
			}
			bad, _ := c.s.h.Check(map[ring.Key]vclock.Object{c.s.key: o})
			if c.want == "" && len(bad) > 0 || c.want != "" && (len(bad) != 1 || !strings.Contains(bad[0], c.want)) {
				t.Errorf("got %q, want %q", bad, c.want)
			}
		})
	}
}

func TestHistoryObservesDots(t *testing.T) {
	h := newHistory()
	for _, n := range []byte{'a', 'b'} {
		h.begin(write{id: id(n), key: keyOf(0)})
		h.observe(keyOf(0), vclock.Object{Siblings: []vclock.Sibling{{Dot: vclock.Dot{Counter: 1}, RequestID: id(n)}}})
	}
	h.observe(keyOf(1), vclock.Object{Siblings: []vclock.Sibling{{Dot: vclock.Dot{Counter: 1}, RequestID: id('x')}}})
	bad, _ := h.Check(nil)
	if len(bad) != 2 || !strings.Contains(bad[0], "was used for two writes") || !strings.Contains(bad[1], "nobody wrote") {
		t.Errorf("got %q", bad)
	}
}

func TestPlanIsTheSeeds(t *testing.T) {
	seen := map[int]int{}
	for seed := range uint64(200) {
		p, again := newPlan(seed, rand.New(rand.NewPCG(seed, 0))), newPlan(seed, rand.New(rand.NewPCG(seed, 0)))
		if p != again {
			t.Fatalf("seed %d: %v and %v", seed, p, again)
		}
		if p.split >= p.span {
			t.Errorf("%v: the split never ends", p)
		}
		seen[p.nodes]++
	}
	if seen[3] == 0 || seen[4] == 0 || seen[5] == 0 {
		t.Errorf("clusters by size: %v", seen)
	}
}

func TestFlipBit(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 1))
	if done, err := flipBit(dir, rng); done || err != nil {
		t.Errorf("without a table: %v, %v", done, err)
	}
	table := filepath.Join(dir, objectsDir, "000001.sst")
	data := []byte("head write 01 of c1 at n1 (w=2) tail")
	if err := os.MkdirAll(filepath.Dir(table), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(table, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if done, err := flipBit(dir, rng); !done || err != nil {
		t.Fatalf("%v, %v", done, err)
	}
	got, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	differ := 0
	for i := range data {
		if got[i] != data[i] {
			differ++
			if from := bytes.Index(data, valueMark); i < from || i >= from+len(valueMark) {
				t.Errorf("byte %d is outside of the value's mark", i)
			}
		}
	}
	if differ != 1 || len(got) != len(data) {
		t.Errorf("%q became %q", data, got)
	}
}
