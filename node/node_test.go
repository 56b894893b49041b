package node

// sleep-ok: every test runs in the bubble of inPlace.

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cartwheel/gossip"
)

func TestOneNode(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		n := p.cluster(1)[0]
		n.want(http.StatusOK, "GET", "/readyz", "")
		n.put("k", "v")
		n.get("k", "v")
		if got := n.want(http.StatusOK, "GET", "/buckets/b/keys/k", "").header.Get("X-Cartwheel-Receipt"); !strings.Contains(got, "primaries=1") {
			t.Errorf("receipt of a read: %q", got)
		}
		if n.prop("b", "n_val") != 3.0 || n.prop("b", "allow_mult") != true {
			t.Errorf("default properties: %v, %v", n.prop("b", "n_val"), n.prop("b", "allow_mult"))
		}
		n.setProps(http.StatusNoContent, "b", `{"allow_mult":false}`)
		if n.prop("b", "allow_mult") != false {
			t.Error("a property was not set")
		}
		n.want(http.StatusNoContent, "DELETE", "/buckets/b/keys/k", "")
		n.want(http.StatusNotFound, "GET", "/buckets/b/keys/k", "")
		if got := n.want(http.StatusOK, "GET", "/cluster", "").body; !strings.Contains(got, `"ready":true`) || !strings.Contains(got, `"n1"`) {
			t.Errorf("cluster: %s", got)
		}
		if s := n.Coordinator().Stats(); s.Puts == 0 || s.Gets == 0 {
			t.Errorf("requests were not counted: %+v", s)
		}
	})
}

func TestThreeNodesServeWhatOneTook(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		for i, m := range nodes {
			m.put("of-"+m.cfg.Name, m.cfg.Name)
			for j := range nodes {
				nodes[(i+j)%3].get("of-"+m.cfg.Name, m.cfg.Name)
			}
		}
		got := nodes[0].want(http.StatusNoContent, "PUT", "/buckets/b/keys/all?w=all", "v", "Content-Type", "text/plain").header.Get("X-Cartwheel-Receipt")
		if !strings.Contains(got, "replicas=3") || !strings.Contains(got, "durable=3") {
			t.Errorf("receipt of a write to all: %q", got)
		}
	})
}

func TestNothingIsServedBeforeTheRing(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		n := p.start(p.config("n1", 1, 3))
		time.Sleep(3 * time.Second)
		n.want(http.StatusOK, "GET", "/livez", "")
		n.want(http.StatusServiceUnavailable, "GET", "/readyz", "")
		n.want(http.StatusServiceUnavailable, "GET", "/buckets/b/keys/k", "")
		n.want(http.StatusServiceUnavailable, "PUT", "/buckets/b/keys/k", "v", "Content-Type", "text/plain")
		n.setProps(http.StatusServiceUnavailable, "b", `{"allow_mult":false}`)
		n.setProps(http.StatusServiceUnavailable, "b", `{"n_val":1}`)
		if n.prop("b", "allow_mult") != true {
			t.Error("a refused change shows")
		}
	})
}

func TestLateNodeIsRefused(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		cfg := p.config("n4", 4, 3)
		late := p.start(cfg)
		<-late.ended
		if !errors.Is(late.err, gossip.ErrNotMember) {
			t.Errorf("a fourth node ended with %v", late.err)
		}
		late.err = nil
		nodes[0].put("k", "v")
		// It let go of everything: the same start is refused in the same way.
		again := p.start(cfg)
		<-again.ended
		if !errors.Is(again.err, gossip.ErrNotMember) {
			t.Errorf("the second attempt ended with %v", again.err)
		}
		again.err = nil
	})
}

func TestRestartOfOneNode(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		nodes[0].put("before", "1")
		nodes[1].stop()
		p.await("the others to see it gone", func() bool { return !together([]*machine{nodes[0], nodes[2]}) })
		nodes[0].put("meanwhile", "2")
		nodes[1] = p.start(nodes[1].cfg)
		p.await("it to be back", func() bool { return together(nodes) })
		nodes[1].get("before", "1")
		nodes[1].get("meanwhile", "2")
	})
}

func TestNodeComesBackAtAnotherAddress(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		nodes[0].put("k", "v")
		nodes[2].stop()
		cfg := p.config("n3", 33, 3)
		nodes[2] = p.start(cfg)
		p.await("it to be back", func() bool { return together(nodes) })
		nodes[2].get("k", "v")
		nodes[0].want(http.StatusNoContent, "PUT", "/buckets/b/keys/all?w=all", "v", "Content-Type", "text/plain")
	})
}

func TestAllNodesComeBack(t *testing.T) {
	for name, shift := range map[string]int{"same addresses": 0, "other addresses": 20} {
		t.Run(name, func(t *testing.T) {
			inPlace(t, func(t *testing.T, p *place) {
				nodes := p.cluster(3)
				nodes[0].put("k", "v")
				nodes[0].setProps(http.StatusNoContent, "b", `{"allow_mult":false}`)
				for _, m := range nodes {
					m.stop()
				}
				for i, m := range nodes {
					cfg := p.config(m.cfg.Name, i+1+shift, 3)
					if shift != 0 {
						cfg.Join = []string{"10.0.0.21:7000"} // one address that is right is enough
					}
					nodes[i] = p.start(cfg)
				}
				p.await("the cluster to be back", func() bool { return together(nodes) })
				for _, m := range nodes {
					m.get("k", "v")
					if m.prop("b", "allow_mult") != false {
						t.Errorf("%s has lost a property", m.cfg.Name)
					}
				}
				nodes[1].want(http.StatusNoContent, "PUT", "/buckets/b/keys/all?w=all", "v", "Content-Type", "text/plain")
			})
		})
	}
}

func TestRingDecidesAboutN(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		n := p.cluster(1)[0]
		n.setProps(http.StatusNoContent, "b", `{"allow_mult":false}`)
		n.stop()
		cfg := n.cfg
		cfg.N = 5 // a flag that only counts for a new ring
		n = p.start(cfg)
		p.await("the node", func() bool { return n.Ready() == nil })
		if got := n.prop("b", "n_val"); got != 3.0 {
			t.Errorf("default n_val %v, the ring has 3", got)
		}
		if n.prop("b", "allow_mult") != false {
			t.Error("a property was lost")
		}
	})
}

func TestFencedStore(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		nodes[0].put("k", "v")
		// The guard asks for the free space of a directory that is gone.
		objects := filepath.Join(nodes[0].cfg.DataDir, "objects")
		if err := os.Rename(objects, objects+".away"); err != nil {
			t.Fatal(err)
		}
		p.await("the fence", func() bool { return nodes[0].Ready() != nil })
		nodes[0].want(http.StatusServiceUnavailable, "GET", "/readyz", "")
		nodes[0].want(http.StatusOK, "GET", "/livez", "")
		nodes[0].get("k", "v") // also of itself
		nodes[0].want(http.StatusOK, "GET", "/buckets/b/keys/k?r=all", "")
		nodes[0].put("other", "w") // two others take it
		nodes[1].want(http.StatusServiceUnavailable, "PUT", "/buckets/b/keys/k?w=all", "v", "Content-Type", "text/plain")
		p.await("the others to hear of it", func() bool {
			for _, peer := range nodes[1].gossip.Load().Peers() {
				if peer.UUID == nodes[0].Self().UUID {
					return peer.Alive && peer.StorageDown
				}
			}
			return false
		})
		if err := os.Rename(objects+".away", objects); err != nil {
			t.Fatal(err)
		}
		nodes[0].stop()
		nodes[0] = p.start(nodes[0].cfg)
		p.await("the node to take writes again", func() bool { return nodes[0].Ready() == nil })
	})
}

func TestSecondProcessOnOneDirectory(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		p.cluster(1)
		cfg := p.config("n1", 2, 1)
		if n, err := New(cfg); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a second process on a directory: %v", err)
			if err == nil {
				n.Close()
			}
		}
	})
}

func TestClonedDirectoryIsRefused(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		nodes[2].stop()
		copyDir(t, nodes[2].cfg.DataDir, filepath.Join(p.disks, "clone"))
		nodes[2] = p.start(nodes[2].cfg)
		p.await("the cluster", func() bool { return together(nodes) })
		cfg := p.config("n3", 4, 3)
		cfg.DataDir = filepath.Join(p.disks, "clone")
		clone := p.start(cfg)
		<-clone.ended
		if !errors.Is(clone.err, gossip.ErrDuplicate) {
			t.Errorf("a cloned directory ended with %v", clone.err)
		}
		clone.err = nil
		nodes[2].put("k", "v")
		if !together(nodes) {
			t.Error("the clone did harm")
		}
	})
}
