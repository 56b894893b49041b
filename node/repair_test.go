package node

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// copy returns the node's own copy of a key of bucket b.
func (m *machine) copy(key string) vclock.Object {
	m.p.t.Helper()
	name := ring.Key{Type: ring.DefaultType, Bucket: "b", Key: key}.Name()
	o, err := (*copies)(m.Node).Get(m.View().Ring.Partition(name), name)
	if err != nil {
		m.p.t.Fatalf("%s: its copy of %s: %v", m.cfg.Name, key, err)
	}
	return o
}

// owns reports whether the node is an owner of a key of bucket b.
func (m *machine) owns(key string) bool {
	name := ring.Key{Type: ring.DefaultType, Bucket: "b", Key: key}.Name()
	v := m.View()
	return v.Ring.Owns(v.Self, v.Ring.Partition(name), 0)
}

// equal waits until all owners of the keys have one and the same copy of each, without a read.
func (p *place) equal(nodes []*machine, keys []string) {
	p.t.Helper()
	var why string
	defer func() {
		if p.t.Failed() {
			p.t.Logf("last seen: %s", why)
		}
	}()
	p.await("equal copies", func() bool {
		for _, key := range keys {
			var first *machine
			for _, m := range nodes {
				switch {
				case !m.owns(key):
				case m.copy(key).Missing():
					why = m.cfg.Name + " lacks " + key
					return false
				case first == nil:
					first = m
				case !m.copy(key).Equal(first.copy(key)):
					why = m.cfg.Name + " differs from " + first.cfg.Name + " at " + key
					return false
				}
			}
		}
		return true
	})
	p.await("nothing left to repair", func() bool {
		for _, m := range nodes {
			if !m.Whole() {
				why = fmt.Sprintf("%s: %+v", m.cfg.Name, m.Repair())
				return false
			}
		}
		return true
	})
}

func keysOf(prefix string, n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprint(prefix, i))
	}
	return keys
}

// restart starts a stopped machine again in its place among the nodes.
func (p *place) restart(nodes []*machine, i int) {
	p.t.Helper()
	cfg := nodes[i].cfg
	cfg.Network = p.net.Host(strings.TrimSuffix(cfg.Peer, ":7000"))
	for j, m := range p.up {
		if m == nodes[i] {
			p.up = append(p.up[:j:j], p.up[j+1:]...)
			break
		}
	}
	nodes[i] = p.start(cfg)
}

// What a node missed comes to it by itself: as hints where there are fallbacks, by an exchange
// where there are none.
func TestMissedWritesCome(t *testing.T) {
	for _, size := range []int{3, 5} {
		t.Run(fmt.Sprint(size, " nodes"), func(t *testing.T) {
			inPlace(t, func(t *testing.T, p *place) {
				nodes := p.cluster(size)
				nodes[2].stop()
				p.await("the others to see it gone", func() bool { return !nodes[0].View().Alive[nodes[2].View().Self] })
				keys := keysOf("k", 60)
				for _, k := range keys {
					nodes[0].put(k, "v")
				}
				hints := 0
				for i, m := range nodes {
					if i != 2 {
						for _, h := range m.Repair().Hints {
							hints += int(h.Count)
						}
					}
				}
				if (hints > 0) != (size > 3) {
					t.Errorf("%d hints are kept", hints)
				}
				p.restart(nodes, 2)
				p.await("it to be back", func() bool { return together(nodes) })
				p.equal(nodes, keys)
			})
		})
	}
}

// A node whose objects are gone says so instead of "not found", and becomes whole by itself.
func TestWipedNodeBecomesWhole(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		keys := keysOf("k", 40)
		for _, k := range keys {
			nodes[0].put(k, "v")
		}
		p.equal(nodes, keys)
		nodes[1].stop()
		if err := os.RemoveAll(filepath.Join(nodes[1].cfg.DataDir, "objects")); err != nil {
			t.Fatal(err)
		}
		// Alone it has nobody to ask, and must not vote.
		nodes[2].stop()
		p.restart(nodes, 1)
		p.await("the node without objects", func() bool { return nodes[1].Ready() == nil })
		nodes[1].want(http.StatusServiceUnavailable, "GET", "/buckets/b/keys/k1?r=2", "")
		nodes[1].want(http.StatusServiceUnavailable, "GET", "/buckets/b/keys/none?r=2", "")
		time.Sleep(time.Second) // sleep-ok: inPlace runs it in a bubble
		// A restart does not make it forget.
		nodes[1].stop()
		p.restart(nodes, 1)
		p.restart(nodes, 2)
		p.await("all to be back", func() bool { return together(nodes) })
		nodes[1].get("k1", "v")
		p.equal(nodes, keys)
		for _, k := range keys {
			nodes[1].get(k, "v")
		}
		nodes[1].want(http.StatusNotFound, "GET", "/buckets/b/keys/none?r=3", "")
	})
}

// An older copy of the objects is noticed, too.
func TestRestoredObjectsAreDoubted(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		dir := nodes[1].cfg.DataDir
		nodes[0].put("old", "v")
		p.equal(nodes, []string{"old"})
		nodes[1].stop()
		if err := os.CopyFS(dir+"-backup", os.DirFS(filepath.Join(dir, "objects"))); err != nil {
			t.Fatal(err)
		}
		p.restart(nodes, 1)
		p.await("it to be back", func() bool { return together(nodes) })
		if strings.Contains(p.logs.String(), "refused until they have been compared") {
			t.Error("an orderly restart is doubted")
		}
		keys := append(keysOf("k", 20), "old")
		for _, k := range keys[:20] {
			nodes[0].put(k, "v")
		}
		p.equal(nodes, keys)
		nodes[1].stop()
		if err := os.RemoveAll(filepath.Join(dir, "objects")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(dir+"-backup", filepath.Join(dir, "objects")); err != nil {
			t.Fatal(err)
		}
		p.restart(nodes, 1)
		if !strings.Contains(p.logs.String(), "restored or exchanged") {
			t.Error("the older copy was not noticed")
		}
		p.await("it to be back", func() bool { return together(nodes) })
		p.equal(nodes, keys)
	})
}

// Trees survive an orderly stop, and only that.
func TestTreesAreKept(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		keys := keysOf("k", 30)
		for _, k := range keys {
			nodes[0].put(k, "v")
		}
		p.equal(nodes, keys)
		nodes[1].stop()
		p.restart(nodes, 1)
		p.await("it to be back", func() bool { return together(nodes) })
		p.equal(nodes, keys)
		if n := nodes[1].repair.keeper.Stats().Rebuilds; n != 0 {
			t.Errorf("%d partitions were scanned after an orderly stop", n)
		}
		if n := nodes[0].repair.keeper.Stats().Drift + nodes[1].repair.keeper.Stats().Drift; n != 0 {
			t.Errorf("%d trees drifted", n)
		}
	})
}
