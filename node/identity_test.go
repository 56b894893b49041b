package node

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cartwheel/storage"
)

// Nobody could bring back the objects of a node that is alone in its ring, and a disk that is not
// mounted looks the same: it has to be told that they are lost.
func TestEmptiedStoreIsRefused(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(1)
		cfg := nodes[0].cfg
		nodes[0].stop()
		p.up = nil
		objects := filepath.Join(cfg.DataDir, "objects")
		if err := os.RemoveAll(objects); err != nil {
			t.Fatal(err)
		}
		cfg.Network = p.net.Host("10.0.0.1")
		if _, err := New(cfg); !errors.Is(err, storage.ErrEmptied) || !strings.Contains(err.Error(), "--accept-empty-store") {
			t.Fatalf("start without objects: %v", err)
		}
		if _, err := os.Stat(objects); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the refused start made something at %s: %v", objects, err)
		}
		cfg.AcceptEmptyStore = true
		m := p.start(cfg)
		p.await("the node without objects", func() bool { return m.Ready() == nil && m.Whole() })
		m.want(http.StatusNotFound, "GET", "/buckets/b/keys/k", "")
		m.stop()
		p.up = nil
		// From here on it is an ordinary store again.
		cfg.AcceptEmptyStore, cfg.Network = false, p.net.Host("10.0.0.1")
		again := p.start(cfg)
		p.await("the node again", func() bool { return again.Ready() == nil && again.Whole() })
	})
}

// Two members' objects were exchanged: each would answer for keys that it never had.
func TestForeignStoreIsRefused(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(2)
		a, b := nodes[0].cfg.DataDir, nodes[1].cfg.DataDir
		for _, m := range nodes {
			m.stop()
		}
		p.up = nil
		for _, move := range [][2]string{{a + "/objects", a + "/x"}, {b + "/objects", a + "/objects"}, {a + "/x", b + "/objects"}} {
			if err := os.Rename(move[0], move[1]); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range nodes {
			if _, err := New(m.cfg); !errors.Is(err, storage.ErrOwner) {
				t.Errorf("start with another node's objects: %v", err)
			}
		}
	})
}

// A member's directory under another name is most likely another member's directory; other
// settings that the ring has fixed are said to be ignored.
func TestOtherNameIsRefused(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(1)
		cfg := nodes[0].cfg
		nodes[0].stop()
		p.up = nil
		renamed := cfg
		renamed.Name, renamed.Network = "zebra", p.net.Host("10.0.0.1")
		m := p.start(renamed)
		p.await("the end of the node with another name", func() bool {
			select {
			case <-m.ended:
				return true
			default:
				return false
			}
		})
		if m.err == nil || !strings.Contains(m.err.Error(), "is that of member n1") || !strings.Contains(m.err.Error(), "--name n1") {
			t.Errorf("another name: %v", m.err)
		}
		p.up, m.err = nil, nil
		moved := cfg
		moved.Zone, moved.Weight, moved.Network = "z9", 7, p.net.Host("10.0.0.1")
		m = p.start(moved)
		p.await("the node in another zone", func() bool { return m.Ready() == nil })
		for _, setting := range []string{"setting=zone given=z9", "setting=weight given=7"} {
			if !strings.Contains(p.logs.String(), setting) {
				t.Errorf("the log does not say %q", setting)
			}
		}
		if strings.Contains(p.logs.String(), "setting=n ") {
			t.Error("the log complains of a setting that was not given")
		}
	})
}

func TestHTTPHost(t *testing.T) {
	for _, c := range []struct{ http, peer, advertise, want string }{
		{"127.0.0.1:1", "127.0.0.2:2", "", "127.0.0.1"},
		{"0.0.0.0:1", "127.0.0.2:2", "", "127.0.0.2"},
		{":1", "127.0.0.2:2", "db1", "db1"},
		{"[::]:1", "[::]:2", "db1", "db1"},
		{"localhost:1", "10.0.0.1:2", "db1", "localhost"},
	} {
		cfg := Config{HTTP: c.http, Peer: c.peer, Advertise: c.advertise}.WithDefaults()
		if got := cfg.httpHost(); got != c.want {
			t.Errorf("http %s peer %s advertise %s: %q, want %q", c.http, c.peer, c.advertise, got, c.want)
		}
	}
}
