package staleness

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"cartwheel/bench/load"
)

// saidConn answers what its functions say.
type saidConn struct{ put, get func() (load.Answer, error) }

func (c saidConn) Get(string) (load.Answer, error)                 { return c.get() }
func (c saidConn) Put(string, []byte, []byte) (load.Answer, error) { return c.put() }
func (c saidConn) Usable() bool                                    { return true }
func (c saidConn) Close() error                                    { return nil }

// TestFailedWritesAreNoVersions: version 1 is acknowledged, 2 to 4 fail and are nowhere, 5 is acknowledged. A reader that sees 1
// misses one acknowledged version.
func TestFailedWritesAreNoVersions(t *testing.T) {
	cfg := Config{Targets: []string{"a", "b"}, Bucket: "b"}.WithDefaults()
	r := newRun(cfg)
	n := 0
	c := saidConn{
		put: func() (load.Answer, error) {
			if n++; n >= 2 && n <= 4 {
				return load.Answer{Status: 503}, nil
			}
			return load.Answer{Status: 204}, nil
		},
		get: func() (load.Answer, error) { return load.Answer{Status: 200, Body: appendValue(nil, 1, 100)}, nil },
	}
	at := &session{run: r, conn: c}
	var s written
	tl := newTally(&cfg)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 5 {
		_ = r.write(context.Background(), "k", &s, at, rng, tl)
	}
	if err := r.follow(context.Background(), "k", &s, at, rng, tl); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if tl.writes != 2 || tl.missed[1] != 1 {
		t.Errorf("%d writes acknowledged, versions missed %v; want 2, and one read that missed one", tl.writes, tl.missed)
	}
}
