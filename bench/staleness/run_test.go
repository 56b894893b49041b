package staleness

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/bench/result"
)

const ms = time.Millisecond

func (c *cluster) config(d time.Duration) Config {
	return Config{Targets: c.targets, Bucket: "b", N: 3, R: 1, W: 1, For: d, Clients: 12, Seed: 1}
}

// measured runs in a bubble and hands what was found to look.
func measured(t *testing.T, c *cluster, cfg Config, look func(*result.Staleness)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := c.run(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		look(s)
	})
}

// Versions reach the other nodes 40 ms after the acknowledgement: earlier reads are stale, later
// ones are fresh, and the model says so too.
func TestFollowsPlantedDelay(t *testing.T) {
	c := newCluster(3)
	c.spread = func(*rand.Rand) time.Duration { return 40 * ms }
	c.putTakes = ms
	c.pages = samplesOf(0.2, 0, 1, func() float64 { return 41.1 })
	cfg := c.config(time.Second)
	cfg.Delays = []time.Duration{0, 2 * ms, 10 * ms, 39 * ms, 41 * ms, 90 * ms}
	measured(t, c, cfg, func(s *result.Staleness) {
		if len(s.Errors) != 0 || s.Samples != 3*1300 || c.all.Load() == 0 || len(s.Times) != len(cfg.Delays) {
			t.Fatalf("errors %v, %d samples, %d reads of all, %d delays", s.Errors, s.Samples, c.all.Load(), len(s.Times))
		}
		for i, f := range s.Times {
			want := 0.0
			if cfg.Delays[i] > 40*ms {
				want = 1
			}
			if share := float64(f.Fresh) / float64(f.Reads); share != want || f.Predicted != want || f.Reads < 20 {
				t.Errorf("after %.0f us: %.2f of %d fresh, predicted %.2f", f.Delay, share, f.Reads, f.Predicted)
			}
			if f.Delay != float64(cfg.Delays[i].Microseconds()) {
				t.Errorf("for %v: after %v us", cfg.Delays[i], f.Delay)
			}
		}
	})
}

// What counts is the time that passed, not the time that was meant to.
func TestCountsActualDelay(t *testing.T) {
	c := newCluster(3)
	c.spread = func(*rand.Rand) time.Duration { return 40 * ms }
	cfg := c.config(2 * time.Second)
	cfg.Delays = []time.Duration{10 * ms, 50 * ms, 100 * ms}
	synctest.Test(t, func(t *testing.T) {
		r := newRun(cfg.WithDefaults())
		tally := newTally(&r.cfg)
		r.dial = func(_ context.Context, target, query string) (conn, error) { return &memConn{c, target, query}, nil }
		r.wait = func(_ context.Context, d time.Duration) bool { <-time.After(d + 45*ms); return true } // always late
		rng := rand.New(rand.NewPCG(1, 1))
		for range 60 {
			if err := r.probe(t.Context(), &probed{key: "k"}, r.session("0", ""), r.session("1", ""), rng, tally); err != nil {
				t.Fatal(err)
			}
		}
		if b := tally.bins; b[0].reads != 0 || b[1].reads == 0 || b[2].reads == 0 || b[1].fresh != b[1].reads || b[1].waited != 55*ms*time.Duration(b[1].reads) {
			t.Errorf("%+v", b)
		}
	})
}

// A random delay: measured and predicted curves are alike, within the noise of both. The spread
// is counted from the acknowledgement in the node, a client's way of 0.2 ms before its reader's.
func TestPredictionNearMeasured(t *testing.T) {
	c := newCluster(3)
	rng := rand.New(rand.NewPCG(2, 2))
	c.spread = func(rng *rand.Rand) time.Duration { return time.Duration(rng.ExpFloat64() * float64(4*ms)) }
	c.putTakes = ms
	c.pages = samplesOf(0.02, 0, 1, func() float64 { return 1.01 + 4*rng.ExpFloat64() })
	cfg := c.config(3 * time.Second)
	cfg.Delays = []time.Duration{0, ms / 2, ms, 2 * ms, 4 * ms, 8 * ms, 16 * ms}
	measured(t, c, cfg, func(s *result.Staleness) {
		for _, f := range s.Times {
			share := float64(f.Fresh) / float64(f.Reads)
			noise := 4 * math.Sqrt(f.Predicted*(1-f.Predicted)/float64(f.Reads))
			// 1,000 samples of the spread give its distribution to 0.03.
			if math.Abs(share-f.Predicted) > noise+0.03 || f.Reads < 150 {
				t.Errorf("after %.0f us: %.3f of %d fresh, predicted %.3f, noise %.3f", f.Delay, share, f.Reads, f.Predicted, noise)
			}
		}
	})
}

// Writes of 10 ms that spread within 25, and 0.2 ms for a client there and back: two or three
// are acknowledged before the first of them is there.
func TestMissedVersions(t *testing.T) {
	c := newCluster(2)
	c.putTakes = 10 * ms
	c.spread = func(*rand.Rand) time.Duration { return 25 * ms }
	c.pages = samplesOf(0.2, 0, 10, func() float64 { return 35.1 })
	cfg := c.config(2 * time.Second)
	cfg.N, cfg.Versions = 2, 4
	measured(t, c, cfg, func(s *result.Staleness) {
		for k, want := range []float64{0, 0, 0.57, 1, 1} { // of 10.2 ms, in 4.4 the third is not there yet
			v := s.Versions[k]
			share := float64(v.Fresh) / float64(v.Reads)
			// The first two versions are written before there is an older one.
			if v.Reads < 1000 || math.Abs(share-want) > 0.05 || math.Abs(v.Predicted-want) > 0.05 {
				t.Errorf("at most %d missing: %.3f of %d, predicted %.3f, want %.3f", k, share, v.Reads, v.Predicted, want)
			}
		}
	})
}

// Overlapping quorums need no samples. Other levels without samples have no prediction.
func TestWithoutSamples(t *testing.T) {
	for want, r := range map[float64]int{1: 2, unknown: 1} {
		c := newCluster(2)
		c.status = func(_ int, r *http.Request) int {
			if strings.HasSuffix(r.URL.Path, "latencies") {
				return http.StatusNotFound
			}
			return 0
		}
		cfg := c.config(500 * ms)
		cfg.N, cfg.R = 2, r
		measured(t, c, cfg, func(s *result.Staleness) {
			if s.Times[0].Predicted != want || s.Versions[0].Predicted != want || s.Samples != 0 {
				t.Errorf("R=%d: predicted %v and %v from %d samples, want %v", r, s.Times[0].Predicted, s.Versions[0].Predicted, s.Samples, want)
			}
			allFresh(t, s)
		})
	}
}

// allFresh fails unless all reads are fresh and miss nothing.
func allFresh(t *testing.T, s *result.Staleness) {
	t.Helper()
	for _, f := range s.Times {
		if f.Fresh != f.Reads {
			t.Errorf("after %.0f us: %d of %d fresh", f.Delay, f.Fresh, f.Reads)
		}
	}
	if v := s.Versions[0]; v.Fresh != v.Reads || v.Reads == 0 {
		t.Errorf("%d of %d miss nothing", v.Fresh, v.Reads)
	}
}

// Siblings: the newest counts, whatever its place.
func TestSiblings(t *testing.T) {
	c := newCluster(2)
	c.siblings = true
	cfg := c.config(500 * ms)
	cfg.Clients, cfg.Delays = 2, []time.Duration{0, 2 * ms}
	measured(t, c, cfg, func(s *result.Staleness) {
		allFresh(t, s)
		if len(s.Errors) != 0 {
			t.Errorf("errors %v", s.Errors)
		}
	})
}

// Errors are neither fresh nor stale, and keep nobody from going on.
func TestErrors(t *testing.T) {
	c := newCluster(3)
	c.status = func(node int, r *http.Request) int {
		if node == 1 && r.Method == http.MethodGet {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	measured(t, c, c.config(500*ms), func(s *result.Staleness) {
		if s.Errors["503"] == 0 || len(s.Errors) != 1 {
			t.Errorf("errors %v", s.Errors)
		}
		allFresh(t, s)
	})
	c.status = func(int, *http.Request) int { return http.StatusInternalServerError }
	synctest.Test(t, func(t *testing.T) {
		s, err := c.run(context.Background(), c.config(500*ms))
		// Twelve clients that wait after an error make at most 50 requests each.
		if err == nil || !strings.Contains(err.Error(), "500") || s.Writes != 0 || s.Errors["500"] > 12*50 {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// Over real sockets, with nothing that a slow machine changes.
func TestSockets(t *testing.T) {
	c := newCluster(2)
	c.listen(t)
	cfg := c.config(300 * ms)
	var s *result.Staleness
	for err := error(nil); s == nil || err != nil || s.Versions[0].Reads == 0; cfg.For *= 2 { // until it is long enough
		if s, err = Run(context.Background(), cfg); cfg.For > 20*time.Second {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	allFresh(t, s)
	if len(s.Errors) != 0 {
		t.Errorf("errors %v", s.Errors)
	}
	cfg.Targets, cfg.For = []string{"127.0.0.1:1", "127.0.0.1:1"}, 300*ms
	if s, err := Run(context.Background(), cfg); err == nil || s.Writes != 0 {
		t.Errorf("nobody there: %+v, %v", s, err)
	}
}

// The end of the context is the end of the run, also while a node does not answer.
func TestEndsWithContext(t *testing.T) {
	c := newCluster(2)
	c.listen(t)
	stop := make(chan struct{})
	defer close(stop)
	c.status = func(_ int, r *http.Request) int {
		if r.Method == http.MethodPut {
			<-stop
		}
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*ms)
	defer cancel()
	cfg := c.config(time.Hour)
	cfg.Timeout = time.Hour
	if _, err := Run(ctx, cfg); err == nil {
		t.Error("a run without a read has no error")
	}
}

func TestValidate(t *testing.T) {
	good := Config{Targets: []string{"a:1", "b:1"}, Bucket: "b", N: 2, R: 1, W: 1}
	if err := good.WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"target": func(c *Config) { c.Targets = c.Targets[:1] }, "bucket": func(c *Config) { c.Bucket = "" },
		"clients": func(c *Config) { c.Clients = -1 }, "delay": func(c *Config) { c.Delays = []time.Duration{-1} },
		"far": func(c *Config) { c.Delays = []time.Duration{time.Hour} }, "many": func(c *Config) { c.Delays = manyDelays() },
		"for": func(c *Config) { c.For = -1 }, "value": func(c *Config) { c.ValueBytes = 5 }, "versions": func(c *Config) { c.Versions = 101 },
		"R": func(c *Config) { c.R = 3 }, "W": func(c *Config) { c.W = 0 }, "N": func(c *Config) { c.N, c.Members = 3, 2 },
	} {
		c := good
		change(&c)
		if _, err := Run(context.Background(), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func manyDelays() (all []time.Duration) {
	for i := range maxDelays + 1 {
		all = append(all, time.Duration(i))
	}
	return all
}
