package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
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
	Nodes        int
}

const (
	keys    = 5
	clients = 4
	span    = 25 * time.Second // of faults and load, in the bubble's time
)

// Run runs one history inside the bubble of t and reports every violation as an error.
func Run(t *testing.T, seed uint64) Outcome {
	rng := rand.New(rand.NewPCG(seed, 0xca47))
	start := time.Now()
	var trace lines
	note := func(format string, args ...any) {
		fmt.Fprintf(&trace, "%8.3fs "+format+"\n", append([]any{time.Since(start).Seconds()}, args...)...)
	}
	log := slog.New(slog.NewTextHandler(&trace, &slog.HandlerOptions{Level: slog.LevelWarn}))
	nodes := 3
	if rng.IntN(3) == 0 {
		nodes = 5
	}
	h := newHistory()
	c := newCluster(t, rng.Uint64(), nodes, log)
	// memberlist's probes under way outlive its shutdown by their timeouts; what never ends is
	// reported by the bubble.
	defer time.Sleep(time.Minute)
	defer c.close()
	until := time.Now().Add(span)
	var wg sync.WaitGroup
	sessions := make([]*session, clients)
	for i := range sessions {
		s := &session{c: c, h: h, name: fmt.Sprintf("c%d", i), rng: rand.New(rand.NewPCG(rng.Uint64(), 1)), last: map[ring.Key]vclock.Object{}}
		sessions[i] = s
		wg.Go(func() { s.run(keys, until) })
	}
	x := &nemesis{c: c, rng: rand.New(rand.NewPCG(rng.Uint64(), 2)), log: note}
	wg.Go(func() { x.run(until) })
	wg.Wait()
	note("all mended")

	out := Outcome{Nodes: nodes}
	for _, s := range sessions {
		out.Operations += s.ops
	}
	if c.await("all nodes seeing each other", c.together) {
		c.retry(h)
		final := c.converge(h)
		for _, bad := range h.Check(final) {
			t.Error(bad)
		}
	}
	for _, w := range h.writes {
		if !w.acked.IsZero() {
			out.Acknowledged++
		}
	}
	if t.Failed() {
		t.Logf("seed %d, %d nodes; what happened:\n%s", seed, nodes, trace.String())
	}
	return out
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
			h.acknowledge(w, true)
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

// converge reads every key from all its owners with repair, then compares the owners' copies.
func (c *Cluster) converge(h *History) map[ring.Key]vclock.Object {
	final := map[ring.Key]vclock.Object{}
	n, _ := c.running(0)
	for i := range keys {
		key := keyOf(i)
		o := quorum.Options{N: 3, R: quorum.LevelAll, NotFoundOK: true, RepairBefore: true, Timeout: 10 * time.Second}
		var err error
		c.await(fmt.Sprintf("a read of %s from all owners (%v)", key.Key, err), func() bool {
			_, err = n.Coordinator().Get(context.Background(), quorum.GetRequest{Key: key, Options: o})
			return err == nil
		})
		copies, err := n.Coordinator().Explain(context.Background(), key, 3)
		if err != nil {
			c.t.Errorf("explain %s: %v", key.Key, err)
			continue
		}
		for _, cp := range copies {
			if cp.Err != nil {
				c.t.Errorf("explain %s: member %d: %v", key.Key, cp.Member, cp.Err)
				continue
			}
			h.observe(key, cp.Object)
			if !cp.Object.Equal(copies[0].Object) {
				c.t.Errorf("key %s: owners %d and %d differ after repair:\n%+v\n%+v", key.Key, copies[0].Member, cp.Member, copies[0].Object.Clock, cp.Object.Clock)
			}
		}
		final[key] = copies[0].Object
	}
	return final
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
