package gossip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/ring"
)

// mapStore is a Store in memory. It outlives the nodes that use it, like a disk.
type mapStore struct {
	mu   sync.Mutex
	docs map[string][]byte
	fail error             // of the next saves
	told func(name string) // of each save, if set
}

func newStore() *mapStore { return &mapStore{docs: map[string][]byte{}} }

func (s *mapStore) Save(name string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.docs[name] = slices.Clone(data)
	if s.told != nil {
		s.told(name)
	}
	return nil
}

func (s *mapStore) Load(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.docs[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(data), nil
}

// world is a network of forming nodes in one bubble, by address.
type world struct {
	t     *testing.T
	rng   *rand.Rand // under mu
	mu    sync.Mutex
	nodes map[string]*formNode
	ends  sync.WaitGroup // of late and duplicated messages

	drop, duplicate float64       // per message
	delay           time.Duration // up to; later messages may overtake
	cut             map[[2]string]bool
	formed          chan string              // addresses of nodes that have just saved a ring
	adopted         map[string]ring.Document // by uuid: every ring that a disk has ever held
}

// formNode is a machine: its store survives what its process does not.
type formNode struct {
	uuid, addr string
	store      *mapStore
	former     *Former // nil while it is down
	life       uint64
	stop       context.CancelFunc
	done       chan struct{}
	doc        ring.Document
	err        error
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), nodes: map[string]*formNode{},
		cut: map[[2]string]bool{}, formed: make(chan string, 100), adopted: map[string]ring.Document{},
	}
}

func selfAt(i int) Self {
	return Self{UUID: fmt.Sprintf("uuid-%02d", i), Name: fmt.Sprintf("n%d", i), HTTP: fmt.Sprintf("10.0.0.%d:8080", i), Peer: fmt.Sprintf("10.0.0.%d:7000", i), Weight: 1}
}

// config is that of node i, which is told to join the first three.
func (w *world) config(n *formNode, i, expect int) FormConfig {
	var seeds []string
	if expect > 1 {
		for j := 1; j <= 3; j++ {
			seeds = append(seeds, selfAt(j).Peer)
		}
	}
	return FormConfig{
		Self: selfAt(i), Life: n.life, Seeds: seeds, Expect: expect, Partitions: 16, N: 3, Tokens: 8, Store: n.store,
		Call: func(ctx context.Context, addr string, kind uint8, payload []byte) ([]byte, error) {
			return w.call(ctx, n, addr, kind, payload)
		},
	}
}

// start runs node i, as a new process on the store that it had before.
func (w *world) start(i, expect int) *formNode {
	w.mu.Lock()
	self := selfAt(i)
	n := w.nodes[self.Peer]
	if n == nil {
		n = &formNode{uuid: self.UUID, addr: self.Peer, store: newStore()}
		n.store.told = func(name string) {
			if name == ringFile {
				w.formed <- n.addr
			}
		}
		w.nodes[self.Peer] = n
	}
	n.life = w.rng.Uint64()
	w.mu.Unlock()
	return w.run(n, w.config(n, i, expect))
}

func (w *world) run(n *formNode, cfg FormConfig) *formNode {
	f, err := NewFormer(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()
	n.former, n.stop, n.done, n.doc, n.err = f, stop, make(chan struct{}), ring.Document{}, nil
	go func(done chan struct{}) {
		defer close(done)
		doc, err := f.Run(ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		if n.former == f {
			n.doc, n.err = doc, err
		}
	}(n.done)
	return n
}

// crash ends a process. What its requests in flight still do at other nodes is theirs.
func (w *world) crash(n *formNode) {
	w.mu.Lock()
	n.former = nil
	n.stop()
	done := n.done
	w.mu.Unlock()
	<-done
}

func (w *world) close() {
	for _, n := range w.nodes { // nobody else changes the map by now
		if n.former != nil {
			w.crash(n)
		}
	}
	w.ends.Wait()
}

// fate draws what happens to one message.
func (w *world) fate(from, to string) (lost, twice bool, after, again time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	late := func() time.Duration { return time.Duration(w.rng.Int64N(int64(w.delay) + 1)) }
	return w.cut[[2]string{from, to}] || w.rng.Float64() < w.drop, w.rng.Float64() < w.duplicate, late(), late()
}

// call carries a request and its answer. Whatever comes after the caller has given up is
// still delivered.
func (w *world) call(ctx context.Context, from *formNode, addr string, kind uint8, payload []byte) ([]byte, error) {
	if addr == from.addr {
		return nil, ErrSelf
	}
	type result struct {
		data []byte
		err  error
	}
	answers := make(chan result, 2)
	deliver := func(after time.Duration) {
		time.Sleep(after)
		w.mu.Lock()
		to := w.nodes[addr]
		var f *Former
		if to != nil {
			f = to.former
		}
		w.mu.Unlock()
		if f == nil {
			return
		}
		data, err := f.Serve(kind, slices.Clone(payload))
		lost, _, back, _ := w.fate(addr, from.addr)
		time.Sleep(back)
		w.mu.Lock()
		alive := to.former == f // an answer of a process that has died meanwhile is lost
		w.mu.Unlock()
		if alive && !lost {
			answers <- result{data, err}
		}
	}
	lost, twice, after, again := w.fate(from.addr, addr)
	if !lost {
		w.ends.Go(func() { deliver(after) })
	}
	if twice {
		w.ends.Go(func() { deliver(again) })
	}
	select {
	case r := <-answers:
		return r.data, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// outcome returns what n's Run has returned; zero if nothing yet.
func (w *world) outcome(n *formNode) (ring.Document, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return n.doc, n.err
}

// check fails the test if any two rings that were ever on a disk share a member.
func (w *world) check() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.nodes {
		data, err := n.store.Load(ringFile)
		if err != nil {
			continue
		}
		doc, err := ring.DecodeDocument(data)
		if err != nil {
			w.t.Fatal(err)
		}
		if old, ok := w.adopted[n.uuid]; ok && old.Hash() != doc.Hash() {
			w.t.Fatalf("%s had ring %s and now has %s", n.uuid, old.Cluster, doc.Cluster)
		}
		w.adopted[n.uuid] = doc
	}
	for a, da := range w.adopted {
		for b, db := range w.adopted {
			if da.Hash() == db.Hash() {
				continue
			}
			for _, m := range da.Members {
				if member(&db, m.UUID) {
					w.t.Fatalf("two first rings have %s: %s of %s and %s of %s", m.UUID, da.Cluster, a, db.Cluster, b)
				}
			}
		}
	}
}

// TestFormerHistories lets nodes form a ring while messages are lost, doubled, late and
// reordered, links are cut one way and processes die, and then heals everything. At no time
// may two rings share a member; in the end all have the ring, or are told that they are not
// in it. A seed fixes the schedule; in which order goroutines draw their luck it does not.
func TestFormerHistories(t *testing.T) {
	histories := 60
	if testing.Short() {
		histories = 24
	}
	// So few more than expected that two rings, if any, must share a member.
	shapes := []struct{ expect, nodes int }{{2, 3}, {3, 3}, {3, 4}, {3, 5}}
	for seed := range uint64(histories) {
		s := shapes[seed%uint64(len(shapes))]
		t.Run(fmt.Sprintf("seed=%d/expect=%d/nodes=%d", seed, s.expect, s.nodes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { formerHistory(t, seed, s.nodes, s.expect) })
		})
	}
}

func formerHistory(t *testing.T, seed uint64, nodes, expect int) {
	w := newWorld(t, seed)
	defer w.close()
	rng := rand.New(rand.NewPCG(seed, 2)) // of the schedule
	w.drop, w.duplicate, w.delay = 0.4*rng.Float64(), 0.3*rng.Float64(), time.Duration(rng.Int64N(int64(callTimeout)))
	upTo := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }
	for range 25 {
		i := 1 + rng.IntN(nodes)
		addr := selfAt(i).Peer
		switch n := w.nodes[addr]; {
		case n == nil || n.former == nil:
			w.start(i, expect)
		case rng.IntN(4) == 0:
			w.crash(n)
		case rng.IntN(4) == 0:
			w.isolate(addr, nodes, rng.IntN(2) == 0)
		default:
			w.mu.Lock()
			link := [2]string{addr, selfAt(1 + rng.IntN(nodes)).Peer}
			w.cut[link] = !w.cut[link]
			w.mu.Unlock()
		}
		select {
		case <-time.After(upTo(3 * time.Second)):
		case first := <-w.formed:
			// The worst moment: nobody else knows of the ring. Hide whoever has it until it
			// is forgotten, and see what the others make of their promises.
			w.isolate(first, nodes, true)
			for i := 1; i <= nodes; i++ {
				if n := w.nodes[selfAt(i).Peer]; n != nil && n.addr != first && n.former != nil && rng.IntN(2) == 0 {
					w.crash(n)
				}
			}
			for i := 1; i <= nodes; i++ {
				if n := w.nodes[selfAt(i).Peer]; (n == nil || n.former == nil) && rng.IntN(4) != 0 {
					w.start(i, expect)
				}
			}
			time.Sleep(candidateTTL + upTo(2*candidateTTL))
		}
		w.check()
	}
	w.mu.Lock()
	w.drop, w.duplicate, w.delay = 0, 0, 10*time.Millisecond
	clear(w.cut)
	w.mu.Unlock()
	for i := 1; i <= nodes; i++ {
		if n := w.nodes[selfAt(i).Peer]; n == nil || n.former == nil {
			w.start(i, expect)
		}
	}
	time.Sleep(30 * time.Second)
	w.check()
	w.judge(expect)
}

// isolate cuts, or heals, all links of a node.
func (w *world) isolate(addr string, nodes int, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 1; i <= nodes; i++ {
		w.cut[[2]string{addr, selfAt(i).Peer}] = cut
		w.cut[[2]string{selfAt(i).Peer, addr}] = cut
	}
}

// judge fails the test unless exactly one ring of the expected number came out, all of its
// members have it, and everybody else knows that it has none.
func (w *world) judge(expect int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	rings := map[string]ring.Document{}
	for _, n := range w.nodes {
		if n.err == nil && n.doc.Version != 0 {
			rings[n.doc.Hash()] = n.doc
		}
	}
	if len(rings) != 1 {
		for _, n := range w.nodes {
			w.t.Logf("%s: ring %.8s err %v, waits for: %s", n.uuid, n.doc.Cluster, n.err, n.former.Waiting())
		}
		w.t.Fatalf("%d rings came out, want 1", len(rings))
	}
	for _, doc := range rings {
		if len(doc.Members) != expect {
			w.t.Fatalf("the ring has %d members, want %d", len(doc.Members), expect)
		}
		for _, n := range w.nodes {
			if in := member(&doc, n.uuid); in && n.doc.Hash() != doc.Hash() || !in && !errors.Is(n.err, ErrNotMember) {
				w.t.Errorf("%s (member: %v): has ring %q, err %v", n.uuid, in, n.doc.Cluster, n.err)
			}
		}
	}
}

func TestFormerOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.close()
		// The one that wants to join has the lower uuid, is there first, and expects 1 too.
		joiner := &formNode{uuid: selfAt(1).UUID, addr: selfAt(1).Peer, store: newStore()}
		w.nodes[joiner.addr] = joiner
		cfg := w.config(joiner, 1, 1)
		cfg.Seeds = []string{selfAt(2).Peer}
		w.run(joiner, cfg)
		time.Sleep(time.Second)
		single := w.start(2, 1)
		time.Sleep(5 * time.Second)
		if doc, err := w.outcome(single); err != nil || len(doc.Members) != 1 {
			t.Errorf("single node: %v, %v", doc, err)
		}
		if _, err := w.outcome(joiner); !errors.Is(err, ErrNotMember) {
			t.Errorf("joiner: %v, want ErrNotMember", err)
		}
	})
}

func TestFormerSeedIsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.close()
		n := &formNode{uuid: selfAt(1).UUID, addr: selfAt(1).Peer, store: newStore()}
		w.nodes[n.addr] = n
		cfg := w.config(n, 1, 1)
		cfg.Seeds = []string{"node-1.example:7000"}
		call := cfg.Call
		cfg.Call = func(ctx context.Context, addr string, kind uint8, payload []byte) ([]byte, error) {
			if addr == "node-1.example:7000" {
				return nil, fmt.Errorf("call: %w", ErrSelf)
			}
			return call(ctx, addr, kind, payload)
		}
		w.run(n, cfg)
		time.Sleep(time.Second)
		if doc, err := w.outcome(n); err != nil || len(doc.Members) != 1 {
			t.Errorf("got %v, %v; want a ring of one", doc, err)
		}
	})
}

// One list of addresses serves all nodes, this one too; an address named twice is no other node.
func TestFormerSeedsNameItself(t *testing.T) {
	self := selfAt(1).Peer
	for _, seeds := range [][]string{{self}, {self, self}, {"node-1.example:7000", self, "node-1.example:7000"}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			defer w.close()
			n := &formNode{uuid: selfAt(1).UUID, addr: self, store: newStore()}
			w.nodes[n.addr] = n
			cfg := w.config(n, 1, 1)
			cfg.Seeds = seeds
			cfg.Call = func(context.Context, string, uint8, []byte) ([]byte, error) { return nil, ErrSelf }
			w.run(n, cfg)
			time.Sleep(time.Second)
			select {
			case <-n.done:
			default:
				t.Fatalf("joining %v: no ring after a second", seeds)
			}
			if n.err != nil || len(n.doc.Members) != 1 {
				t.Errorf("joining %v: got %v, %v; want a ring of one", seeds, n.doc, n.err)
			}
		})
	}
}

// A node that was started and is gone for good (its machine was replaced before the ring was
// there) must not be waited for, whatever its uuid.
func TestFormerForgetsTheGone(t *testing.T) {
	for _, gone := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(gone), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				defer w.close()
				up := slices.DeleteFunc([]int{1, 2, 3, 4}, func(i int) bool { return i == gone })
				n := w.start(gone, 3)
				w.start(up[0], 3)
				time.Sleep(3 * time.Second)
				w.crash(n)
				w.mu.Lock()
				delete(w.nodes, n.addr)
				w.mu.Unlock()
				for _, i := range up[1:] {
					w.start(i, 3)
				}
				time.Sleep(30 * time.Second)
				w.check()
				w.judge(3)
			})
		})
	}
}

func TestFormerRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.close()
		for i := 1; i <= 3; i++ {
			w.start(i, 3)
		}
		time.Sleep(10 * time.Second)
		w.judge(3)
		n := w.nodes[selfAt(2).Peer]
		before, _ := w.outcome(n)
		for _, m := range w.nodes {
			w.crash(m)
		}
		w.start(2, 3) // alone: its ring is on its disk
		time.Sleep(5 * time.Second)
		if doc, err := w.outcome(n); err != nil || doc.Cluster != before.Cluster {
			t.Errorf("after the restart: %v, %v", doc, err)
		}
	})
}

func TestFormerDuplicate(t *testing.T) {
	// twin starts a second process with the uuid of node 2 at another address, on a copy of
	// its store, knowing only the given seeds.
	twin := func(w *world, seeds ...string) *formNode {
		original := w.nodes[selfAt(2).Peer]
		n := &formNode{uuid: original.uuid, addr: "10.0.0.99:7000", store: newStore(), life: 4711}
		n.store.docs = maps.Clone(original.store.docs)
		w.mu.Lock()
		w.nodes[n.addr] = n
		w.mu.Unlock()
		cfg := w.config(n, 2, 3)
		cfg.Self.Peer = n.addr
		cfg.Seeds = seeds
		return w.run(n, cfg)
	}
	for _, c := range []struct {
		name, seed     string
		formed, either bool
	}{
		{"of a node that forms, greeted", selfAt(2).Peer, false, false},
		{"of a node that forms, through another", selfAt(1).Peer, false, true},
		{"of a member", selfAt(2).Peer, true, false},
		{"of a member, found in its own ring document", selfAt(1).Peer, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				defer w.close()
				original := w.start(2, 3)
				w.start(1, 3)
				if c.formed {
					w.start(3, 3)
				}
				time.Sleep(5 * time.Second)
				second := twin(w, c.seed)
				time.Sleep(2 * time.Minute) // node 3 may not answer, which makes rounds of seconds, and who is told of whom is chance
				_, err1 := w.outcome(original)
				_, err2 := w.outcome(second)
				// While both form, a third one tells each of the other, and either may be told first.
				if c.either && errors.Is(err1, ErrDuplicate) {
					err1, err2 = err2, err1
				}
				if !errors.Is(err2, ErrDuplicate) {
					t.Errorf("the second process: %v, want ErrDuplicate", err2)
				}
				if err1 != nil && !c.either {
					t.Errorf("the first process: %v", err1)
				}
			})
		})
	}
	t.Run("told by Call", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			defer w.close()
			n := &formNode{uuid: selfAt(2).UUID, addr: selfAt(2).Peer, store: newStore()}
			w.nodes[n.addr] = n
			cfg := w.config(n, 2, 3)
			cfg.Call = func(context.Context, string, uint8, []byte) ([]byte, error) {
				return nil, fmt.Errorf("handshake: %w", ErrDuplicate)
			}
			w.run(n, cfg)
			time.Sleep(time.Second)
			if _, err := w.outcome(n); !errors.Is(err, ErrDuplicate) {
				t.Errorf("got %v, want ErrDuplicate", err)
			}
		})
	})
}

// An address of an earlier life that somebody else has by now is no reason to end.
func TestFormerAddressReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.close()
		moved := selfAt(2)
		moved.Peer = selfAt(9).Peer
		old := &formNode{uuid: moved.UUID, addr: moved.Peer, store: newStore(), life: 1}
		w.nodes[old.addr] = old
		cfg := w.config(old, 2, 3)
		cfg.Self = moved
		w.run(old, cfg)
		w.start(1, 3)
		time.Sleep(3 * time.Second)
		w.crash(old)
		w.start(9, 1) // a cluster of its own, at the address
		time.Sleep(time.Second)
		w.start(2, 3)
		time.Sleep(3 * time.Second)
		w.start(3, 3)
		time.Sleep(20 * time.Second)
		for i := 1; i <= 3; i++ {
			n := w.nodes[selfAt(i).Peer]
			if doc, err := w.outcome(n); err != nil || len(doc.Members) != 3 {
				t.Errorf("%s: %v, %v", n.uuid, doc, err)
			}
		}
	})
}

func TestLineup(t *testing.T) {
	for _, c := range []struct {
		name, self, nodes string // uuid:expect, or uuid=name:expect
		want              string // uuids, or the start of the reason
	}{
		{"alone", "b", "b:1", "b"},
		{"alone, with a joiner of a lower uuid", "b", "a:1 b:1", "b"},
		{"alone, with a joiner that expects more", "b", "a:3 b:1", "b"},
		{"too few", "a", "a:3 b:3", "2 of 3 nodes are here"},
		{"lowest proposes", "a", "c:3 a:3 b:3", "a b c"},
		{"others wait", "b", "c:3 a:3 b:3", "node a has the lowest uuid"},
		{"more than expected: the lowest", "a", "d:3 c:3 a:3 b:3", "a b c"},
		{"the left over waits", "d", "d:3 c:3 a:3 b:3", "node a has the lowest uuid"},
		{"different numbers", "a", "a:3 b:3 c:3 d:2", "node d at d:7000 was started with --expect 2"},
		{"one name for two", "c", "a=x:3 b:3 c=x:3", "two nodes are named x, at a:7000 and c:7000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			heard := map[string]greeting{}
			for _, f := range strings.Fields(c.nodes) {
				var expect int
				uuid, number, _ := strings.Cut(f, ":")
				fmt.Sscan(number, &expect)
				uuid, name, renamed := strings.Cut(uuid, "=")
				if !renamed {
					name = uuid
				}
				heard[uuid] = greeting{Self: Self{UUID: uuid, Name: name, Peer: uuid + ":7000"}, Expect: expect}
			}
			members, why := lineup(c.self, heard)
			got := why
			for _, m := range members {
				got += " " + m.UUID
			}
			got = strings.TrimSpace(got)
			if got != c.want && (members != nil || !strings.HasPrefix(got, c.want)) {
				t.Errorf("lineup(%s of %s) = %q, want %q", c.self, c.nodes, got, c.want)
			}
		})
	}
}

// testFormer is node i of three, with nobody else there.
func testFormer(t testing.TB, i int, store Store) *Former {
	t.Helper()
	f, err := NewFormer(FormConfig{
		Self: selfAt(i), Life: uint64(i), Expect: 3, Partitions: 16, N: 3, Tokens: 8, Store: store,
		Call: func(context.Context, string, uint8, []byte) ([]byte, error) { return nil, errors.New("nobody") },
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func proposalOf(t testing.TB, lead int, members ...int) proposal {
	var all []Self
	for _, i := range members {
		all = append(all, selfAt(i))
	}
	return proposal{Lead: selfAt(lead).UUID, Document: testFormer(t, lead, newStore()).firstRing(all)}
}

func TestGrant(t *testing.T) {
	first, other := proposalOf(t, 1, 1, 2, 3), proposalOf(t, 1, 1, 2, 3)
	with := func(change func(p *proposal)) proposal {
		p := first
		p.Document.Members = slices.Clone(p.Document.Members)
		change(&p)
		return p
	}
	for _, c := range []struct {
		name  string
		prior func(f *Former)
		ask   proposal
		why   string // "": granted
	}{
		{"the first", nil, first, ""},
		{"the same again", func(f *Former) { f.promise = &first }, first, ""},
		{"another one", func(f *Former) { f.promise = &other }, first, "promised another ring"},
		{"beside an own one", func(f *Former) { f.proposal = &other }, first, "proposes a ring itself"},
		{"of the ring that it has", func(f *Former) { f.document = &first.Document }, first, ""},
		{"against the ring that it has", func(f *Former) { f.document = &other.Document }, first, "has a ring already"},
		{"without this node", nil, proposalOf(t, 1, 1, 3, 4), "not a first ring"},
		{"without its lead", nil, with(func(p *proposal) { p.Lead = "uuid-09" }), "not a first ring"},
		{"in this node's name", nil, with(func(p *proposal) { p.Lead = selfAt(2).UUID }), "not a first ring"},
		{"of another number", nil, proposalOf(t, 1, 1, 2), "--expect 3"},
		{"a later version", nil, with(func(p *proposal) { p.Document.Version, p.Document.Parent = 2, strings.Repeat("0", 64) }), "not a first ring"},
		{"an invalid one", nil, with(func(p *proposal) { p.Document.Members[0].Weight = 0 }), "weight"},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := newStore()
			f := testFormer(t, 2, store)
			if c.prior != nil {
				c.prior(f)
			}
			had := f.promise
			got := f.grant(c.ask)
			if got.Granted != (c.why == "") || !strings.Contains(got.Why, c.why) {
				t.Fatalf("grant = %+v, want why %q", got, c.why)
			}
			if !got.Granted && f.promise != had {
				t.Error("a refused proposal was remembered")
			}
			if got.Granted && f.document == nil {
				if again := testFormer(t, 2, store); again.promise == nil || again.promise.Document.Hash() != c.ask.Document.Hash() {
					t.Error("a new process does not know the promise")
				}
			}
		})
	}
}

func TestGrantNotSaved(t *testing.T) {
	store := newStore()
	store.fail = errors.New("disk full")
	f := testFormer(t, 2, store)
	if got := f.grant(proposalOf(t, 1, 1, 2, 3)); got.Granted || f.promise != nil {
		t.Errorf("promised without a disk: %+v", got)
	}
}

func TestPromiseRelease(t *testing.T) {
	p, other := proposalOf(t, 1, 1, 2, 3), proposalOf(t, 1, 1, 2, 3)
	hash := p.Document.Hash()
	encoded := func(d ring.Document) json.RawMessage {
		b, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		name     string
		from     int
		asked    *proposal // held when the greeting was sent
		proposal string
		document json.RawMessage
		want     string // held, released, adopted, or the error
	}{
		{"still proposed", 1, &p, hash, nil, "held"},
		{"proposes another", 1, &p, other.Document.Hash(), nil, "released"},
		{"proposes nothing", 1, &p, "", nil, "released"},
		{"says so of the time before the promise", 1, nil, "", nil, "held"},
		{"says so of the time of another promise", 1, &other, "", nil, "held"},
		{"somebody else proposes nothing", 3, &p, "", nil, "held"},
		{"decided", 1, &p, "", encoded(p.Document), "adopted"},
		{"decided, told by somebody else", 3, nil, "", encoded(p.Document), "adopted"},
		{"decided without this node", 1, &p, "", encoded(proposalOf(t, 1, 1, 3, 4).Document), ErrNotMember.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := testFormer(t, 2, newStore())
			f.promise = &p
			h := hello{From: greeting{Self: selfAt(c.from), Life: 1, Expect: 3}, Proposal: c.proposal, Document: c.document}
			got := "held"
			err := f.learn("", h, c.asked)
			switch {
			case err != nil:
				got = err.Error()
			case f.document != nil && f.document.Hash() == hash:
				got = "adopted"
			case f.promise == nil:
				got = "released"
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestFormerBounds(t *testing.T) {
	f := testFormer(t, 2, newStore())
	h := hello{From: greeting{Self: selfAt(1), Life: 1, Expect: 3}}
	for i := range 3 * maxCandidates {
		h.Known = append(h.Known, greeting{Self: Self{UUID: fmt.Sprint("stranger-", i), Peer: "h:1"}, Expect: 3})
	}
	h.Known[0].Self.Name = strings.Repeat("x", maxTextBytes+1)
	f.noteLocked(h, time.Now())
	if len(f.candidates) != maxCandidates {
		t.Errorf("%d candidates, want %d", len(f.candidates), maxCandidates)
	}
	if _, ok := f.candidates["stranger-0"]; ok {
		t.Error("a greeting with an endless name was noted")
	}
	f.greetings(time.Now().Add(candidateTTL + time.Second))
	if len(f.candidates) != 0 {
		t.Errorf("%d candidates stay for ever", len(f.candidates))
	}
}

func TestFormerConfig(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*FormConfig)
		want   string
	}{
		{"expect", func(c *FormConfig) { c.Expect = 0 }, "ring of 0 members"},
		{"partitions", func(c *FormConfig) { c.Partitions = 3 }, "power of two"},
		{"weight", func(c *FormConfig) { c.Self.Weight = 0 }, "weight"},
		{"stored ring", func(c *FormConfig) { c.Store.Save(ringFile, []byte("?")) }, "read the ring document"},
		{"stored promise", func(c *FormConfig) { c.Store.Save(promiseFile, []byte("?")) }, "read the promised ring"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testFormer(t, 1, newStore()).cfg
			c.change(&cfg)
			if _, err := NewFormer(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("NewFormer: %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzFormerServe(f *testing.F) {
	p, err := json.Marshal(proposalOf(f, 1, 1, 2, 3))
	if err != nil {
		f.Fatal(err)
	}
	h, err := json.Marshal(hello{From: greeting{Self: selfAt(1), Life: 1, Expect: 3}, Known: []greeting{{Self: selfAt(3)}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(KindHello, h)
	f.Add(KindForm, p)
	f.Add(KindForm, []byte(`{"Lead":"uuid-01","Document":{"members":null}}`))
	f.Add(KindHello, []byte(`{"Known":[{"Self":{"UUID":"x"}}],"Document":{}}`))
	f.Add(KindDocument, []byte{})
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte) {
		node := testFormer(t, 2, newStore())
		if _, err := node.Serve(kind, payload); err == nil && kind != KindHello && kind != KindForm {
			t.Errorf("kind %d was answered", kind)
		}
		if len(node.candidates) > maxCandidates {
			t.Errorf("%d candidates", len(node.candidates))
		}
		if node.promise != nil && !member(&node.promise.Document, node.cfg.Self.UUID) {
			t.Error("promised a ring without this node")
		}
		// The same bytes as an answer to a greeting.
		if answer, err := decodeHello(payload); err == nil {
			_ = node.learn("", answer, node.promise) // any error is one of the other node's answer
		}
	})
}
