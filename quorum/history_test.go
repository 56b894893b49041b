package quorum

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

var (
	seed      = flag.Uint64("seed", 0, "run only the history of this seed")
	histories = flag.Uint64("histories", 20, "how many histories to run, with the seeds from 1 on")
)

// TestHistories runs clients against a cluster whose links are slow, silent or cut at
// random, and checks after every read that quorums did what they promise.
func TestHistories(t *testing.T) {
	seeds := []uint64{*seed}
	if *seed == 0 {
		seeds = nil
		for s := range *histories {
			seeds = append(seeds, s+1)
		}
	}
	for _, s := range seeds {
		for _, faults := range []bool{false, true} {
			for _, sloppy := range []bool{false, true} {
				t.Run(fmt.Sprintf("seed=%d/faults=%v/sloppy=%v", s, faults, sloppy), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { runHistory(t, s, faults, sloppy) })
				})
			}
		}
	}
}

// history is what is known to have happened.
type history struct {
	t      *testing.T
	sloppy bool

	mu       sync.Mutex
	acked    map[ring.Key][]vclock.Sibling                // writes that were acknowledged
	hinted   map[ring.Key][]vclock.Sibling                // acknowledged with the help of fallbacks: in force when their hints are delivered
	contexts map[ring.Key][]vclock.Clock                  // that writes were given
	writer   map[ring.Key]map[vclock.Dot]vclock.RequestID // of every dot seen
	seen     map[ring.Key]vclock.Clock                    // join of what repairing reads answered
	reads    int
	failures int
}

func runHistory(t *testing.T, seed uint64, faults, sloppy bool) {
	c := newCluster(t, 5, 3, Config{FollowUpTimeout: time.Second})
	h := &history{
		t: t, sloppy: sloppy, acked: map[ring.Key][]vclock.Sibling{}, hinted: map[ring.Key][]vclock.Sibling{}, contexts: map[ring.Key][]vclock.Clock{},
		writer: map[ring.Key]map[vclock.Dot]vclock.RequestID{}, seen: map[ring.Key]vclock.Clock{},
	}
	for i, n := range c.nodes {
		n.store.fsync = time.Duration(i) * time.Millisecond
		n.setLinks(rand.New(rand.NewPCG(seed, uint64(i))), false)
	}
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() { h.client(c, rand.New(rand.NewPCG(seed, 100+uint64(i)))) })
	}
	stop := make(chan struct{})
	var nemesis sync.WaitGroup
	nemesis.Go(func() {
		rnd := rand.New(rand.NewPCG(seed, 99))
		for faults {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rnd.IntN(200)) * time.Millisecond):
				n := c.nodes[rnd.IntN(len(c.nodes))]
				n.setLinks(rnd, rnd.IntN(3) > 0)
				n.setAlive(rnd)
			}
		}
	})
	clients.Wait()
	close(stop)
	nemesis.Wait()
	if !faults && h.failures > 0 {
		t.Errorf("%d requests failed without faults", h.failures)
	}
	// Healed, a read of all replicas has everything, and leaves them equal.
	for _, n := range c.nodes {
		n.believeAll()
		n.setLinks(rand.New(rand.NewPCG(seed, 98)), false)
	}
	time.Sleep(10 * time.Second)
	h.deliver(c)
	for key := range h.acked {
		o := defaults(3)
		o.R, o.RepairBefore = LevelAll, true
		if !h.read(c.nodes[0], key, o) {
			t.Error("the last read failed")
		}
		owners := c.owners(key)
		for _, n := range owners[1:3] {
			if !n.object(key).Equal(owners[0].object(key)) {
				t.Errorf("replicas differ after healing")
			}
		}
	}
	if h.reads < 50 {
		t.Errorf("only %d reads were checked", h.reads)
	}
	c.close()
}

// deliver hands all hints over to their owners, once and for all.
func (h *history) deliver(c *cluster) {
	hints := 0
	for _, n := range c.nodes {
		for _, owner := range c.nodes {
			for i := range 2 {
				key := ring.Key{Bucket: "b", Key: fmt.Sprint(i)}
				if o := n.hint(owner, key); !o.Missing() {
					hints++
					owner.plant(key, o)
				}
			}
		}
	}
	for key, writes := range h.hinted {
		h.acked[key] = append(h.acked[key], writes...)
	}
	h.t.Logf("%d hints, %d writes relied on fallbacks", hints, len(h.hinted[ring.Key{Bucket: "b", Key: "0"}]))
}

// setLinks draws the faults of a node's links: all of them work, though slowly, if not faulty.
func (n *node) setLinks(rnd *rand.Rand, faulty bool) {
	for i, l := range n.links {
		if i == n.index {
			continue // a replica in one process is not lost
		}
		l.mu.Lock()
		l.delay = time.Duration(rnd.IntN(5000)) * time.Microsecond
		l.cut, l.silent = false, false
		if faulty {
			switch rnd.IntN(6) {
			case 0:
				l.cut = true
			case 1:
				l.silent = true
			case 2:
				l.delay = time.Duration(rnd.IntN(1500)) * time.Millisecond
			}
		}
		l.mu.Unlock()
	}
}

// setAlive draws what gossip tells a node, rightly or wrongly. A view is a snapshot.
func (n *node) setAlive(rnd *rand.Rand) {
	alive := make([]bool, len(n.cluster.nodes))
	for i := range alive {
		alive[i] = i == n.index || rnd.IntN(4) > 0
	}
	n.believed.Store(&alive)
}

func (n *node) believeAll() {
	alive := make([]bool, len(n.cluster.nodes))
	for i := range alive {
		alive[i] = true
	}
	n.believed.Store(&alive)
}

// client reads and writes two keys: blindly, or over what it read.
func (h *history) client(c *cluster, rnd *rand.Rand) {
	for range 60 {
		time.Sleep(time.Duration(rnd.IntN(30)) * time.Millisecond)
		n := c.nodes[rnd.IntN(len(c.nodes))]
		key := ring.Key{Bucket: "b", Key: fmt.Sprint(rnd.IntN(2))}
		o := Options{N: 3, R: 2, PR: 2, W: 2, PW: 2, NotFoundOK: true, Timeout: 2 * time.Second, RepairBefore: rnd.IntN(2) == 0, Sloppy: h.sloppy}
		if h.sloppy && rnd.IntN(2) == 0 {
			o.PR, o.PW = 0, 0
		}
		if rnd.IntN(2) == 0 {
			h.read(n, key, o)
			continue
		}
		var base vclock.Clock
		if rnd.IntN(3) > 0 {
			res, err := n.coordinator.Get(context.Background(), GetRequest{Key: key, Options: o})
			if err != nil {
				continue
			}
			base = res.Object.Clock
		}
		h.write(n, key, o, base, rnd.IntN(5) == 0)
	}
}

func (h *history) write(n *node, key ring.Key, o Options, base vclock.Clock, deleted bool) {
	r := putOf("", o, base)
	r.Key, r.ReturnBody, r.Deleted = key, true, deleted
	if !deleted {
		r.Value = r.RequestID[:]
	}
	h.mu.Lock()
	h.contexts[key] = append(h.contexts[key], base)
	h.mu.Unlock()
	res, err := n.coordinator.Put(context.Background(), r)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.failures++
		return
	}
	acked := h.acked
	if o.PW == 0 {
		acked = h.hinted
	}
	if res.Receipt.Primaries < int(o.PW) || res.Receipt.Durable < 2 {
		h.t.Errorf("acknowledged with %+v", res.Receipt)
	}
	for _, s := range res.Object.Siblings {
		if s.RequestID == r.RequestID {
			acked[key] = append(acked[key], s)
			return
		}
	}
	// Two owners may mint one request; a second write may then have covered this dot.
	if !h.covered(key, res.Object.Clock) {
		h.t.Errorf("an acknowledged write is not in the object that came with it")
	}
}

// covered reports whether some context covers a part of clock at all.
func (h *history) covered(key ring.Key, clock vclock.Clock) bool {
	for _, c := range h.contexts[key] {
		for _, d := range clock {
			if c.Get(d.Actor) > 0 {
				return true
			}
		}
	}
	return false
}

// read reads and checks: every write acknowledged before is there, or was covered by a
// writer's context; no dot has two writers; and repairing reads never go back.
func (h *history) read(n *node, key ring.Key, o Options) bool {
	h.mu.Lock()
	acked, floor := h.acked[key], h.seen[key]
	if o.PR == 0 && o.R != LevelAll {
		acked, floor = nil, nil // it may have met fallbacks only, which lack what owners have
	}
	h.mu.Unlock()
	res, err := n.coordinator.Get(context.Background(), GetRequest{Key: key, Options: o})
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.failures++
		return false
	}
	h.reads++
	for _, s := range acked {
		if !res.Object.Clock.Covers(s.Dot) {
			h.t.Errorf("the acknowledged %v is not known to a later read", s.Dot)
		}
		if !h.present(key, res.Object, s) {
			h.t.Errorf("the acknowledged %v is lost", s.Dot)
		}
	}
	if h.writer[key] == nil {
		h.writer[key] = map[vclock.Dot]vclock.RequestID{}
	}
	for _, s := range res.Object.Siblings {
		if id, ok := h.writer[key][s.Dot]; ok && id != s.RequestID {
			h.t.Errorf("dot %v was used twice", s.Dot)
		}
		h.writer[key][s.Dot] = s.RequestID
	}
	if !res.Object.Clock.Descends(floor) {
		h.t.Errorf("a read went back behind one that had repaired before its answer")
	}
	if o.RepairBefore && o.PR > 0 {
		h.seen[key] = h.seen[key].Join(res.Object.Clock)
	}
	return true
}

func (h *history) present(key ring.Key, o vclock.Object, s vclock.Sibling) bool {
	for _, have := range o.Siblings {
		if have.Dot == s.Dot {
			return true
		}
	}
	for _, c := range h.contexts[key] {
		if c.Covers(s.Dot) {
			return true
		}
	}
	return false
}
