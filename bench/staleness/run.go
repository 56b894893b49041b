package staleness

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"cartwheel/bench/pbs"
	"cartwheel/bench/result"
)

// run is one measurement under way.
type run struct {
	cfg   Config
	id    string       // begins the run's keys, which no other run has
	pages *http.Client // for what is not measured

	dial func(ctx context.Context, target, query string) (conn, error)
	wait func(context.Context, time.Duration) bool
}

// Run measures a cluster. It blocks for Config.For, or until ctx ends; then it returns what was found
// by then. The error says that the configuration is wrong, or that no probe got an answer at all.
func Run(ctx context.Context, cfg Config) (*result.Staleness, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	r := newRun(cfg)
	r.pages = &http.Client{Transport: transport}
	return r.measure(ctx)
}

func newRun(cfg Config) *run {
	r := &run{cfg: cfg, id: "staleness-" + strconv.FormatInt(time.Now().UnixNano(), 36), wait: wait}
	r.dial = r.dialTCP
	return r
}

func (r *run) measure(ctx context.Context) (*result.Staleness, error) {
	cfg := &r.cfg
	first := r.pagesNow(ctx)
	times := r.times(ctx, cfg.For*3/5)
	second := r.pagesNow(ctx)
	versions := r.versions(ctx, cfg.For*2/5)
	third := r.pagesNow(ctx)

	s := &result.Staleness{Writes: times.writes + versions.writes, Errors: map[string]int64{}}
	for _, t := range []*tally{times, versions} {
		for kind, n := range t.errors {
			s.Errors[kind] += n
		}
	}
	duringTimes := between(first, second, cfg.N)
	s.Samples = duringTimes.count()
	s.Times = r.freshness(times, duringTimes)
	s.Versions = r.ages(versions, between(second, third, cfg.N))
	if len(s.Times) == 0 {
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
		return s, fmt.Errorf("measure staleness: no probe was answered: %v", s.Errors)
	}
	return s, nil
}

// freshness returns the first part's result, without delays that no probe had.
func (r *run) freshness(t *tally, s samples) (all []result.Freshness) {
	f := r.forecast(t, s)
	for i := range t.bins {
		b := &t.bins[i]
		if b.reads == 0 {
			continue
		}
		mean := float64(b.waited) / float64(time.Microsecond) / float64(b.reads)
		all = append(all, result.Freshness{Delay: mean, Reads: b.reads, Fresh: b.fresh, Predicted: f.fresh(b.delays.kept)})
	}
	return all
}

// ages returns the second part's result.
func (r *run) ages(t *tally, s samples) []result.Age {
	f := r.forecast(t, s)
	predicted := f.versions(&r.cfg)
	all := make([]result.Age, r.cfg.Versions+1)
	var reads, within int64
	for _, n := range t.missed {
		reads += n
	}
	for k := range all {
		within += t.missed[k]
		all[k] = result.Age{K: k, Reads: reads, Fresh: within, Predicted: predicted[k]}
	}
	return all
}

// rounds of the Monte Carlo give a probability to about a percentage point, in some 30 ms.
const rounds = 30_000

// leastWhole is from how many whole writes on these are drawn instead of single copies.
const leastWhole = 50

// unknown stands for a probability that is not predicted.
const unknown = -1

// forecast is what the model says of one part.
type forecast struct {
	certain bool            // overlapping quorums: every read is fresh
	p       *pbs.Prediction // without clients; nil: none
	way     float64         // of a client, there and back
	model   pbs.Model       // with clients
	pause   pbs.Sampler     // between two writes of a writer that does not pause, beyond the model's
}

// forecast makes the model of a part from its samples, as the package document says.
func (r *run) forecast(t *tally, s samples) (f forecast) {
	c := &r.cfg
	if c.N == 0 {
		return f
	}
	if f.certain = c.R+c.W > c.N; f.certain || !s.enough() {
		return f
	}
	half := pbs.Scaled(0.5, pbs.Empirical(s.reads))
	ownHalf := pbs.Scaled(0.5, pbs.Empirical(s.localReads))
	f.model = pbs.Model{
		N: c.N, R: c.R, W: c.W, Members: c.Members,
		Legs:  pbs.Legs{W: pbs.Less(pbs.Empirical(s.writes), half), A: half, R: half, S: half},
		Local: &pbs.Legs{W: pbs.Empirical(s.localWrites), A: pbs.Constant(0), R: ownHalf, S: ownHalf},
	}
	if len(s.whole) >= leastWhole {
		f.model.Writes = s.whole
	}
	p, err := pbs.Predict(f.model, rounds, c.Seed)
	if err != nil {
		return forecast{} // Validate let through what pbs does not take: no prediction
	}
	way := max(0, median(t.gets.kept)-p.ReadLatency(0.5))
	f.way, f.model.Client = way, pbs.Constant(way/2)
	// A write waits in its node before it is sent to the replicas. That delays no
	// acknowledgement that the model knows of, but the next write.
	f.pause = pbs.Constant(max(0, median(t.puts.kept)-p.WriteLatency(0.5)-way))
	f.p = p
	return f
}

// fresh returns the probability over reads after these delays, in microseconds.
func (f *forecast) fresh(delays []float64) float64 {
	switch {
	case f.certain:
		return 1
	case f.p == nil:
		return unknown
	}
	sum := 0.0
	for _, d := range delays {
		sum += f.p.Fresh(d + f.way) // so much later at the node
	}
	return sum / float64(len(delays))
}

// versions returns the probability of at most k versions missing, for each k.
func (f *forecast) versions(c *Config) []float64 {
	if f.p != nil {
		if p, err := pbs.Versions(f.model, f.pause, c.Versions, rounds, c.Seed); err == nil {
			return p
		}
	}
	p := make([]float64, c.Versions+1)
	for k := range p {
		p[k] = unknown
		if f.certain {
			p[k] = 1
		}
	}
	return p
}
