package antientropy

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
)

// saved returns what a node with keys at several levels saves, and its cluster.
func saved(t testing.TB) ([]byte, *fakeCluster) {
	c := newCluster(t, 2, 16, 1, 2, 3)
	c.scatter(rand.New(rand.NewPCG(1, 1)), 400, 100)
	c.build()
	return c.nodes[0].k().Save(), c
}

func TestSaveAndLoad(t *testing.T) {
	data, c := saved(t)
	n := c.nodes[0]
	before := n.k()
	n.renew()
	if !n.k().Load(data, 7) {
		t.Fatal("refused")
	}
	n.k().follow()
	if s := n.k().Status(); s.Rebuilding != 0 {
		t.Errorf("%d partitions are rebuilt", s.Rebuilding)
	}
	n.checkTrees()
	for p := range *before.parts.Load() {
		if !sameTrees(before.part(uint16(p)).trees, n.k().part(uint16(p)).trees) {
			t.Errorf("partition %d came back otherwise", p)
		}
	}
	n.store.put(nameOf("b", 5), "new")
	n.checkTrees()
	if again := n.k().Save(); bytes.Equal(again, data) {
		t.Error("a change after Load is not saved")
	}
}

// Updates count from Load on, before there is a ring.
func TestLoadBeforeTheRing(t *testing.T) {
	data, c := saved(t)
	n := c.nodes[0]
	view := n.view.Swap(nil)
	n.renew()
	if !n.k().Load(data, 7) {
		t.Fatal("refused")
	}
	n.store.put(nameOf("b", 5), "new")
	n.store.put(nameOf("n3", 3), "=new")
	n.view.Store(view)
	n.k().follow()
	n.checkTrees()
}

// What must not be trusted in the next life is not saved, or not loaded.
func TestSavesOnlyWhatIsTrusted(t *testing.T) {
	_, c := saved(t)
	n := c.nodes[0]
	n.store.damage(n.store.names(3)[0])
	n.k().part(3).rescan()
	n.build()
	n.k().MarkUnsure(5)
	n.k().part(7).rescan()
	data := n.k().Save()
	n.renew()
	n.k().MarkUnsure(9) // as the node kept it
	if !n.k().Load(data, 7) {
		t.Fatal("refused")
	}
	n.k().follow()
	for p := range uint16(16) {
		_, ready := n.k().part(p).state()
		if want := p != 3 && p != 5 && p != 7 && p != 9; ready != want {
			t.Errorf("partition %d: ready %v, want %v", p, ready, want)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	data, c := saved(t)
	sealed := func(b []byte) []byte { return binary.BigEndian.AppendUint64(b, xxhash.Sum64(b)) }
	body := data[:len(data)-8]
	damaged := bytes.Clone(data)
	damaged[len(damaged)/2] ^= 1
	for _, r := range []struct {
		what   string
		data   []byte
		former uint64
	}{
		{"another run", data, 8},
		{"no run", data, 0},
		{"nothing", nil, 7},
		{"a bit flipped", damaged, 7},
		{"cut short", data[:len(data)-1], 7},
		{"cut short, with a checksum", sealed(bytes.Clone(body[:len(body)-1])), 7},
		{"more than there should be", sealed(append(bytes.Clone(body), 0)), 7},
		{"another format", sealed(append([]byte("cwtrees2"), body[8:]...)), 7},
	} {
		n := c.nodes[0]
		n.renew()
		if n.k().Load(r.data, r.former) {
			t.Errorf("%s: loaded", r.what)
		}
		n.k().follow()
		if s := n.k().Status(); s.Rebuilding != 16 {
			t.Errorf("%s: %d partitions are rebuilt, want 16", r.what, s.Rebuilding)
		}
	}
}

// A load of another number of partitions is of another cluster.
func TestLoadOfAnotherRing(t *testing.T) {
	data, _ := saved(t)
	c := newCluster(t, 2, 8)
	n := c.nodes[0]
	if !n.k().Load(data, 7) {
		t.Fatal("refused")
	}
	n.k().follow()
	if s := n.k().Status(); s.Rebuilding != 8 {
		t.Errorf("%d partitions are rebuilt, want all", s.Rebuilding)
	}
}

// An orderly restart scans nothing and finds nothing to repair.
func TestOrderlyRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 16)
		for i := range 300 {
			c.everywhere(nameOf("b", i), "v")
		}
		c.start()
		time.Sleep(10 * time.Second)
		n := c.nodes[0]
		n.halt()
		data := n.k().Save()
		n.renew()
		if !n.k().Load(data, 7) {
			t.Fatal("refused")
		}
		scans := n.store.scans.Load()
		n.start()
		defer c.halt()
		time.Sleep(2 * time.Minute)
		if s := n.k().Stats(); n.store.scans.Load() != scans || s.Rebuilds != 0 || s.Exchanges == 0 {
			t.Errorf("%d scans, %+v", n.store.scans.Load()-scans, s)
		}
	})
}

// FuzzLoad: saved data is refused or is exactly what Save writes.
func FuzzLoad(f *testing.F) {
	head := append(binary.BigEndian.AppendUint64([]byte(saveFormat), 7), 4)
	c := newCluster(f, 1, 4, 1, 3)
	n := c.nodes[0]
	n.store.put(nameOf("b", 1), "v")
	n.store.put(nameOf("n1", 2), "v")
	c.build()
	data := n.k().Save()
	f.Add(data[len(head) : len(data)-8])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = append(bytes.Clone(head), b...)
		b = binary.BigEndian.AppendUint64(b, xxhash.Sum64(b))
		n.renew()
		if !n.k().Load(b, 7) {
			return
		}
		if got := n.k().Save(); !bytes.Equal(got, b) {
			t.Errorf("loaded %x, saved %x", b, got)
		}
	})
}
