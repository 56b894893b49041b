package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// Outcome is what came of one history.
type Outcome struct {
	Operations   int
	Acknowledged int
	Compared     int // pairs of requests for the promises of quorum reads
	Listed       int // lists that were complete
	NotListed    int // lists that failed
	Repeated     int // named writes repeated after their acknowledgement, and answered
	Revivable    int // of them those that a node might have stored again after they were replaced
	Faults       map[string]int
	Work         Work
}

// add adds another history's outcome to o.
func (o *Outcome) add(p Outcome) {
	o.Operations += p.Operations
	o.Acknowledged += p.Acknowledged
	o.Compared += p.Compared
	o.Listed += p.Listed
	o.NotListed += p.NotListed
	o.Repeated += p.Repeated
	o.Revivable += p.Revivable
	o.Work.add(p.Work)
	if o.Faults == nil {
		o.Faults = map[string]int{}
	}
	for name, n := range p.Faults {
		o.Faults[name] += n
	}
}

func (o Outcome) String() string {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(o.Faults)) {
		faults = append(faults, fmt.Sprintf("%s %d", name, o.Faults[name]))
	}
	return fmt.Sprintf("%d operations, %d acknowledged writes, %d pairs compared, %d lists (%d more failed), %d writes repeated (%d when replaced), %d hints, %d repairs; faults: %s",
		o.Operations, o.Acknowledged, o.Compared, o.Listed, o.NotListed, o.Repeated, o.Revivable, o.Work.Hints, o.Work.Repairs, strings.Join(faults, ", "))
}

// Run runs one history inside the bubble of t and reports every violation as an error.
func Run(t *testing.T, seed uint64) Outcome {
	rng := rand.New(rand.NewPCG(seed, 0xca47))
	start := time.Now()
	var trace lines
	note := func(format string, args ...any) {
		fmt.Fprintf(&trace, "%8.3fs "+format+"\n", append([]any{time.Since(start).Seconds()}, args...)...)
	}
	p := newPlan(seed, rng)
	c := newCluster(t, p, rng, slog.New(slog.NewTextHandler(&trace, &slog.HandlerOptions{Level: slog.LevelWarn})))
	// memberlist's probes under way outlive its shutdown by their timeouts; what never ends is
	// reported by the bubble.
	defer time.Sleep(time.Minute)
	defer c.close()
	if !c.anchor() {
		return Outcome{}
	}
	r := &run{c: c, h: newHistory(), note: note, out: Outcome{Faults: map[string]int{}}}
	r.lister = &lister{c: c, h: r.h, rng: rand.New(rand.NewPCG(seed, 4))}
	r.shopper = newShopper(c, r.h, rand.New(rand.NewPCG(seed, 5)))
	for i := range clients {
		r.sessions = append(r.sessions, &session{
			c: c, h: r.h, name: fmt.Sprintf("c%d", i), rng: rand.New(rand.NewPCG(rng.Uint64(), 1)),
			style: style(rng.IntN(int(styles))), think: p.think, last: map[ring.Key]vclock.Object{},
		})
	}
	for i := range p.rounds {
		if !r.round(i, rng) {
			break
		}
	}
	r.out.Acknowledged = r.h.acknowledged()
	r.out.Listed, r.out.NotListed = r.lister.done, r.lister.short
	r.out.Repeated = r.shopper.late
	r.out.Work = c.total()
	if t.Failed() {
		t.Logf("%v; what happened:\n%s", p, trace.String())
	}
	t.Logf("%v: %v", p, r.out)
	return r.out
}

// run is a history under way.
type run struct {
	c        *Cluster
	h        *History
	sessions []*session
	shopper  *shopper
	lister   *lister
	note     func(format string, args ...any)
	out      Outcome
}

// round is one time of faults and load with the convergence after it. It reports false if
// something was violated.
func (r *run) round(i int, rng *rand.Rand) bool {
	c, until := r.c, time.Now().Add(r.c.plan.span)
	x := &nemesis{
		c: c, h: r.h, plan: c.plan, rng: rand.New(rand.NewPCG(rng.Uint64(), 2)), log: r.note,
		claimed: map[int]bool{}, faults: r.out.Faults,
	}
	split := c.plan.split
	if i > 0 {
		split = 0
	}
	var wg sync.WaitGroup
	for _, s := range r.sessions {
		ops := s.ops
		wg.Go(func() { s.run(until) })
		defer func() { r.out.Operations += s.ops - ops }()
	}
	wg.Go(func() { r.shopper.run(until) })
	wg.Go(func() { r.lister.run(until) })
	wg.Go(func() { x.run(until, split) })
	wg.Wait()
	r.note("all mended")
	if !c.await("all nodes seeing each other", c.together) {
		return false
	}
	if i == c.plan.rounds-1 {
		c.retry(r.h)
	}
	final := c.settle(r.h)
	if final == nil {
		return false
	}
	r.note("all converged")
	r.lister.settled(final)
	r.h.converge()
	bad, compared := r.h.Check(final)
	again, looked := revived(r.shopper.orders, slices.Collect(maps.Values(r.h.writes)), final, c.lastStart())
	for _, b := range append(bad, again...) {
		c.t.Error(b)
	}
	r.out.Compared, r.out.Revivable = compared, looked
	return !c.t.Failed()
}

// retry sends one write twice with one request id through every node: the cluster is whole, so
// each must be acknowledged soon, and it must stay one value.
func (c *Cluster) retry(h *History) {
	for i := range c.machines {
		n, _ := c.running(i)
		o := quorum.Options{N: 3, W: quorum.LevelAll, DW: quorum.LevelAll, Timeout: 5 * time.Second}
		req := quorum.PutRequest{Key: keyOf(i % keys), RequestID: vclock.RequestID{1, byte(i)}, Value: []byte("again"), Options: o}
		w := h.begin(write{id: req.RequestID, key: req.Key, start: time.Now(), what: fmt.Sprintf("retried write %d", i)})
		for range 2 {
			var res quorum.PutResult
			var err error
			if !c.await(w.what+" at "+c.machines[i].name, func() bool {
				res, err = n.Coordinator().Put(context.Background(), req)
				return err == nil
			}) {
				c.t.Errorf("the last answer: %s", reasons(err))
				continue
			}
			h.acknowledge(w, res.Receipt)
			h.observe(req.Key, res.Object)
			minted := 0
			for _, s := range res.Object.Siblings {
				if s.RequestID == req.RequestID {
					minted++
				}
			}
			if minted > 1 {
				c.t.Errorf("%s was minted %d times by one node", w.what, minted)
			}
		}
	}
}

// reasons is err with what the replicas said.
func reasons(err error) string {
	text := err.Error()
	if e, ok := errors.AsType[*quorum.UnsatisfiedError](err); ok {
		for _, cause := range e.Causes {
			text += "; " + cause.Error()
		}
	}
	return text
}

// lines is a log that several goroutines write to.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
