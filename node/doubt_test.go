package node

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cartwheel/datadir"
	"cartwheel/storage"
)

func TestDoubt(t *testing.T) {
	fsync, osOnly := &life{Run: 7, Durability: storage.Fsync.String()}, &life{Run: 7, Durability: storage.OS.String()}
	for _, c := range []struct {
		what    string
		before  *life
		former  uint64
		clean   bool
		doubted bool
	}{
		{"the first start", nil, 0, false, false},
		{"a directory that is older than these documents", nil, 5, false, false},
		{"stopped in order", fsync, 7, true, false},
		{"killed", fsync, 7, false, false},
		{"an older copy", fsync, 5, true, true},
		{"emptied, or the note of the run is damaged", fsync, 0, false, true},
		{"os, stopped in order", osOnly, 7, true, false},
		{"os, killed", osOnly, 7, false, true},
		{"os, an older copy", osOnly, 5, true, true},
	} {
		if why := c.before.doubt(c.former, c.clean); (why != "") != c.doubted {
			t.Errorf("%s: doubted: %q", c.what, why)
		}
	}
}

// A start can end, by a crash or a full disk, between the store's opening, which leaves the new run
// in it, and the noting of the doubt. The next one must not take the store for the one it was.
func TestDoubtSurvivesACrashAtTheStart(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		keys := keysOf("k", 20)
		for _, k := range keys {
			nodes[0].put(k, "v")
		}
		p.equal(nodes, keys)
		nodes[1].stop()
		dir := nodes[1].cfg.DataDir
		said, err := os.ReadFile(filepath.Join(dir, storeFile))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, "objects")); err != nil {
			t.Fatal(err)
		}
		cfg := nodes[1].cfg
		cfg.Network = p.net.Host("10.0.0.2")
		n, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		// As it was when the store had just been opened.
		for _, made := range []string{unsureFile, treesFile} {
			if err := os.Remove(filepath.Join(dir, made)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, storeFile), said, 0o600); err != nil {
			t.Fatal(err)
		}
		nodes[2].stop()
		p.restart(nodes, 1)
		p.await("the node without objects", func() bool { return nodes[1].Ready() == nil })
		nodes[1].want(http.StatusServiceUnavailable, "GET", "/buckets/b/keys/none?r=2", "")
		p.restart(nodes, 2)
		p.await("all to be back", func() bool { return together(nodes) })
		p.equal(nodes, keys)
	})
}

// A partition that is met while all are doubtful stays, although those that are left of all were
// counted before.
func TestDoubtOfOneAmongAll(t *testing.T) {
	dir, err := datadir.Open(filepath.Join(t.TempDir(), "d"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	d, err := loadDoubts(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.all(); err != nil {
		t.Fatal(err)
	}
	d.add(7)
	if d, err = loadDoubts(dir, d.log); err != nil || !d.known.All {
		t.Fatalf("%+v, %v", d, err)
	}
	unsure := map[uint16]bool{3: true, 7: true}
	d.set([]uint16{3}, func(p uint16) bool { return unsure[p] })
	if d, err = loadDoubts(dir, d.log); err != nil || d.known.All || !slices.Equal(d.known.Partitions, []uint16{3, 7}) {
		t.Errorf("%+v, %v", d.known, err)
	}
	unsure = nil
	d.set(nil, func(p uint16) bool { return unsure[p] })
	if d, err = loadDoubts(dir, d.log); err != nil || d.known.All || len(d.known.Partitions) != 0 {
		t.Errorf("%+v, %v", d.known, err)
	}
}

// With n=1 no other member has copies, however many there are.
func TestEmptiedStoreIsRefusedWithoutCopies(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(2, func(c *Config) { c.N = 1 })
		cfg := nodes[0].cfg
		nodes[0].stop()
		p.up = p.up[1:]
		if err := os.RemoveAll(filepath.Join(cfg.DataDir, "objects")); err != nil {
			t.Fatal(err)
		}
		cfg.Network = p.net.Host("10.0.0.1")
		if n, err := New(cfg); !errors.Is(err, storage.ErrEmptied) {
			t.Errorf("start without objects: %v", err)
			if err == nil {
				n.Close()
			}
		}
	})
}

// Whatever made the context end, a stop that was asked for is no failure.
func TestRunReturnsNilWhateverEndedIt(t *testing.T) {
	for name, until := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"a deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 3*time.Second)
		},
		"a cause": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(3*time.Second, func() { cancel(errors.New("because")) })
			return ctx, func() { cancel(nil) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			inPlace(t, func(t *testing.T, p *place) {
				n, err := New(p.config("n1", 1, 1))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := until(t.Context())
				defer cancel()
				if err := n.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
