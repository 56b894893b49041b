package gossip

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/internal/memnet"
	"cartwheel/ring"
	"cartwheel/transport"
)

// setDocument is a growing set of words, encoded with spaces between them.
type setDocument struct {
	mu    sync.Mutex
	words []string // sorted
}

func (d *setDocument) Encode() ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return []byte(strings.Join(d.words, " ")), nil
}

func (d *setDocument) Digest() uint64 {
	h := fnv.New64a()
	b, _ := d.Encode()
	h.Write(b)
	return h.Sum64()
}

func (d *setDocument) Merge(b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.words = slices.Compact(slices.Sorted(slices.Values(append(d.words, strings.Fields(string(b))...))))
	return nil
}

func (d *setDocument) has(word string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.words, word)
}

// cluster is a set of machines with the same ring on one network.
type cluster struct {
	t       testing.TB
	uuid    string
	network func(host string) transport.Network
	roster  []ring.Member
	nodes   []*machine
	disks   []*mapStore
	words   []*setDocument
	seeds   []string // of every member launched from now on
}

// machine is a running node; its disk and document belong to the cluster.
type machine struct {
	*Gossip
	wire      *transport.Transport
	down      atomic.Bool // the store
	hangs     atomic.Bool // every call, until its deadline
	hanging   atomic.Int64
	changes   atomic.Int64
	served    [256]atomic.Int64 // by kind
	conflicts chan string
}

// newCluster returns a cluster of n members at 10.0.prefix.i:7000, none of which runs.
func newCluster(t testing.TB, network func(host string) transport.Network, prefix, n int) *cluster {
	c := &cluster{t: t, uuid: fmt.Sprintf("cluster-%d", prefix), network: network}
	for i := range n {
		c.roster = append(c.roster, ring.Member{
			UUID: fmt.Sprintf("uuid-%d-%d", prefix, i), Name: fmt.Sprintf("n%d", i),
			HTTP: fmt.Sprintf("10.0.%d.%d:8080", prefix, i+1), Peer: fmt.Sprintf("10.0.%d.%d:7000", prefix, i+1),
			Weight: 1, Status: ring.StatusMember,
		})
		c.nodes = append(c.nodes, nil)
		c.disks = append(c.disks, newStore())
		c.words = append(c.words, &setDocument{})
	}
	return c
}

func memCluster(t testing.TB, n *memnet.Net, prefix, nodes int) *cluster {
	return newCluster(t, func(host string) transport.Network { return n.Host(host) }, prefix, nodes)
}

// launch runs member i at addr, whatever else runs with its uuid.
func (c *cluster) launch(i int, addr string) *machine {
	c.t.Helper()
	m := &machine{conflicts: make(chan string, 100)}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		c.t.Fatal(err)
	}
	m.wire, err = transport.New(transport.Config{
		Network: c.network(host), Listen: addr, Node: c.roster[i].UUID, Cluster: c.uuid,
		Open: []transport.Kind{transport.Kind(KindHello)}, Handler: m.handle,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	addr = m.wire.Addr().String() // with the port that was picked
	m.Gossip, err = New(Config{
		Self:    Self{UUID: c.roster[i].UUID, Name: c.roster[i].Name, HTTP: c.roster[i].HTTP, Peer: addr},
		Cluster: c.uuid, Roster: c.roster, RingVersion: func() uint64 { return 1 },
		Seeds: c.seeds, Wire: m.wire.Gossip(), Store: c.disks[i], Call: m.call, Documents: map[string]Document{"words": c.words[i]},
		StorageDown: m.down.Load, Changed: func() { m.changes.Add(1) }, Conflict: func(addr string) { m.conflicts <- addr },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	m.wire.Start()
	if err := m.Start(); err != nil {
		c.t.Fatal(err)
	}
	return m
}

func (c *cluster) start(i int) { c.nodes[i] = c.launch(i, c.roster[i].Peer) }

func (c *cluster) startAll() {
	for i := range c.nodes {
		c.start(i)
	}
}

func (m *machine) stop(t testing.TB) {
	t.Helper()
	for range 2 { // Close may be called twice
		if err := m.Gossip.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := m.wire.Close(); err != nil {
		t.Error(err)
	}
}

// kill ends member i without a word.
func (c *cluster) kill(i int) {
	c.nodes[i].stop(c.t)
	c.nodes[i] = nil
}

// end kills all. In a bubble time stands still once its function has returned, so what
// memberlist still has under way gets its time here; what stays then is a leak, which the
// bubble reports.
func (c *cluster) end() {
	for i, m := range c.nodes {
		if m != nil {
			c.kill(i)
		}
	}
	time.Sleep(20 * time.Second)
}

func (m *machine) handle(_ transport.Peer, req transport.Request, reply func(transport.Response)) {
	m.served[req.Kind].Add(1)
	data, err := m.Serve(uint8(req.Kind), req.Payload)
	if err != nil {
		reply(transport.Response{Status: transport.StatusError, Payload: []byte(err.Error())})
		return
	}
	reply(transport.Response{Payload: data})
}

func (m *machine) call(ctx context.Context, addr string, kind uint8, payload []byte) ([]byte, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, errors.New("a call without a deadline")
	}
	if m.hangs.Load() {
		m.hanging.Add(1)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	type result struct {
		resp transport.Response
		err  error
	}
	done := make(chan result, 1)
	m.wire.Call(addr, transport.Request{Kind: transport.Kind(kind), Budget: time.Until(deadline), Payload: payload},
		func(resp transport.Response, err error) { done <- result{resp, err} })
	r := <-done
	switch {
	case errors.Is(r.err, transport.ErrDuplicateNode):
		return nil, fmt.Errorf("%w (at %s)", ErrDuplicate, addr)
	case r.err == nil && r.resp.Status != transport.StatusOK:
		return nil, errors.New(string(r.resp.Payload))
	}
	return r.resp.Payload, r.err
}

// sees returns whom member i sees alive, as digits.
func (c *cluster) sees(i int) string {
	var alive string
	for j, m := range c.roster {
		for _, p := range c.nodes[i].Peers() {
			if p.UUID == m.UUID && p.Alive {
				alive += fmt.Sprint(j)
			}
		}
	}
	return alive
}

// within fails the test unless all that run see exactly want before the time is over. It
// returns how long it took.
func (c *cluster) within(limit time.Duration, want string) time.Duration {
	c.t.Helper()
	return c.eventually(limit, "see "+want, func(i int) bool { return c.sees(i) == want })
}

func (c *cluster) eventually(limit time.Duration, what string, ok func(i int) bool) time.Duration {
	c.t.Helper()
	begin := time.Now()
	for {
		missing := -1
		for i, m := range c.nodes {
			if m != nil && !ok(i) {
				missing = i
			}
		}
		switch took := time.Since(begin); {
		case missing < 0:
			c.t.Logf("all %s after %v", what, took)
			return took
		case took > limit:
			c.t.Fatalf("after %v member %d does not %s; it sees %s alive", limit, missing, what, c.sees(missing))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// bubble runs f in a bubble with a network whose links take a millisecond.
func bubble(t *testing.T, f func(t *testing.T, n *memnet.Net)) {
	synctest.Test(t, func(t *testing.T) {
		f(t, memnet.New(memnet.Config{Seed: 1, Link: memnet.Link{Delay: time.Millisecond}}))
	})
}

func TestGossipDeathAndReturn(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		c := memCluster(t, n, 0, 3)
		defer c.end()
		c.startAll()
		c.within(5*time.Second, "012")
		c.kill(1)
		// Until probed (one of two each second), direct and indirect probe, suspicion of six
		// probe intervals.
		c.within(15*time.Second, "02")
		if c.nodes[0].changes.Load() < 2 {
			t.Error("Changed was not called")
		}
		c.start(1)
		c.within(10*time.Second, "012")
	})
}

func TestGossipLeave(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		c := memCluster(t, n, 0, 3)
		defer c.end()
		c.startAll()
		c.within(5*time.Second, "012")
		if err := c.nodes[2].Leave(2 * time.Second); err != nil {
			t.Error(err)
		}
		left := c.nodes[2]
		c.kill(2)
		c.within(2*time.Second, "01")
		if err := left.Leave(time.Second); err != nil {
			t.Errorf("Leave after Close: %v", err)
		}
		c.start(2)
		c.within(10*time.Second, "012")
	})
}

// A member may come back from another address, at once or after the others have found it
// dead, and whether it said goodbye or not (B21). Nobody may take it for a twin.
func TestGossipMove(t *testing.T) {
	for _, away := range []time.Duration{0, time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, n *memnet.Net) {
				c := memCluster(t, n, 0, 3)
				defer c.end()
				c.startAll()
				c.within(5*time.Second, "012")
				c.kill(1)
				time.Sleep(away)
				const addr = "10.0.0.77:7000"
				c.nodes[1] = c.launch(1, addr)
				c.eventually(20*time.Second, "see the member at its new address", func(i int) bool {
					p := c.nodes[i].Peers()[1]
					return c.sees(i) == "012" && p.Peer == addr
				})
				time.Sleep(time.Minute)
				c.within(0, "012")
				for i, m := range c.nodes {
					if len(m.conflicts) > 0 {
						t.Errorf("member %d takes it for two", i)
					}
				}
				// The address outlives a restart of the others while it is away.
				c.kill(1)
				c.kill(0)
				c.start(0)
				if p := c.nodes[0].Peers()[1]; p.Peer != addr {
					t.Errorf("after a restart its address is %s, want %s", p.Peer, addr)
				}
			})
		})
	}
}

func TestGossipTwin(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		c := memCluster(t, n, 0, 3)
		defer c.end()
		c.startAll()
		c.within(5*time.Second, "012")
		twin := c.launch(1, "10.0.0.77:7000")
		defer twin.stop(t)
		select {
		case addr := <-twin.conflicts:
			if addr != c.roster[1].Peer {
				t.Errorf("the twin is said to be at %s", addr)
			}
		case <-time.After(time.Minute):
			t.Error("a second process with the same uuid was not told")
		}
	})
}

// memberlist alone stays split after a long cut (B18).
func TestGossipHealsLongCut(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		c := memCluster(t, n, 0, 5)
		defer c.end()
		c.startAll()
		c.within(10*time.Second, "01234")
		left, right := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, []string{"10.0.0.4", "10.0.0.5"}
		n.Partition(left, right)
		c.words[0].Merge([]byte("left"))
		c.words[4].Merge([]byte("right"))
		c.nodes[0].Publish()
		c.nodes[4].Publish()
		time.Sleep(10 * time.Minute)
		for i, want := range []string{"012", "012", "012", "34", "34"} {
			if got := c.sees(i); got != want {
				t.Errorf("while cut member %d sees %s, want %s", i, got, want)
			}
		}
		if c.words[0].has("right") || !c.words[1].has("left") {
			t.Error("documents crossed the cut, or did not spread on one side")
		}
		n.HealAll()
		c.within(30*time.Second, "01234")
		c.eventually(30*time.Second, "have both changes", func(i int) bool { return c.words[i].has("left") && c.words[i].has("right") })
	})
}

// All stop and start at once, so that nobody remembers anything but what is on disk (B19);
// then one restarts so fast that the others have not noticed.
func TestGossipRestarts(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		c := memCluster(t, n, 0, 5)
		defer c.end()
		c.startAll()
		c.within(10*time.Second, "01234")
		time.Sleep(time.Minute)
		for i := range c.nodes {
			c.kill(i)
		}
		c.startAll()
		c.within(10*time.Second, "01234")
		c.kill(3)
		c.start(3)
		c.within(5*time.Second, "01234")
		time.Sleep(time.Minute)
		c.within(0, "01234")
	})
}

// All stop and come back elsewhere: no address on any disk is right, the seeds are.
func TestGossipAllMoved(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		c := memCluster(t, n, 0, 3)
		defer c.end()
		c.startAll()
		c.within(10*time.Second, "012")
		for i := range c.nodes {
			c.kill(i)
		}
		c.seeds = []string{"10.0.9.1:7000"}
		for i := range c.nodes {
			c.nodes[i] = c.launch(i, fmt.Sprintf("10.0.9.%d:7000", i+1))
		}
		c.within(30*time.Second, "012")
	})
}

// On a network that loses a third of the packets nobody is taken for dead: probes that are lost are
// made good through others and over streams.
func TestGossipLossyNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Seed: 7, Link: memnet.Link{Delay: 5 * time.Millisecond, Jitter: 50 * time.Millisecond, Drop: 0.3, Duplicate: 0.1}})
		c := memCluster(t, n, 0, 5)
		defer c.end()
		c.startAll()
		c.within(30*time.Second, "01234")
		for range 3 * 60 {
			time.Sleep(time.Second)
			c.within(0, "01234")
		}
	})
}

func TestGossipDocumentPushed(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		c := memCluster(t, n, 0, 3)
		defer c.end()
		c.startAll()
		c.within(5*time.Second, "012")
		c.words[0].Merge([]byte("apple"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := c.nodes[0].Broadcast(ctx, "words", []byte("apple")); got != 2 {
			t.Errorf("Broadcast reached %d, want 2", got)
		}
		if !c.words[1].has("apple") || !c.words[2].has("apple") {
			t.Error("the change is not there when Broadcast returns")
		}
		time.Sleep(time.Minute)
		for i, m := range c.nodes {
			// While the words about the change cross each other a few may be in vain.
			if pulls := m.served[KindDocument].Load(); pulls > 4 {
				t.Errorf("member %d was asked %d times for a document that all have", i, pulls)
			}
		}
	})
}

func TestGossipDocumentPulled(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		c := memCluster(t, n, 0, 3)
		defer c.end()
		c.startAll()
		c.within(5*time.Second, "012")
		n.Cut("10.0.0.1", "10.0.0.3") // one way: too short to be taken for dead
		c.words[0].Merge([]byte("apple"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := c.nodes[0].Broadcast(ctx, "words", []byte("apple")); got != 1 {
			t.Errorf("Broadcast reached %d, want 1", got)
		}
		// From member 1, while the link from member 0 is still cut.
		c.eventually(10*time.Second, "have the change", func(i int) bool { return c.words[i].has("apple") })
		n.HealAll()
		c.within(20*time.Second, "012")
		// A change of two at once: each pulls from the other, and it ends.
		c.words[0].Merge([]byte("pear"))
		c.words[2].Merge([]byte("plum"))
		c.nodes[0].Publish()
		c.nodes[2].Publish()
		c.eventually(15*time.Second, "have both", func(i int) bool { return c.words[i].has("pear") && c.words[i].has("plum") })
		time.Sleep(30 * time.Second)
		var before, after int64
		for _, m := range c.nodes {
			before += m.served[KindDocument].Load()
		}
		time.Sleep(10 * time.Minute)
		for _, m := range c.nodes {
			after += m.served[KindDocument].Load()
		}
		if after != before {
			t.Errorf("%d pulls of documents that are the same", after-before)
		}
	})
}

// A document is fetched whole also when merges have made it larger than what one node alone
// may put into it.
func TestGossipLargeDocumentPulled(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		c := memCluster(t, n, 0, 2)
		defer c.end()
		long := strings.Repeat("x", 9<<20)
		c.words[0].Merge([]byte(long))
		c.startAll()
		c.eventually(30*time.Second, "have the document", func(i int) bool { return c.words[i].has(long) })
	})
}

// While a member cannot get what it lacks, the others do not ask it for what they have.
func TestGossipPullsOnce(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		c := memCluster(t, n, 0, 3)
		defer c.end()
		c.startAll()
		c.within(5*time.Second, "012")
		c.nodes[2].hangs.Store(true)
		c.words[0].Merge([]byte("apple"))
		c.nodes[0].Publish()
		time.Sleep(5 * time.Minute)
		if c.words[2].has("apple") || !c.words[1].has("apple") {
			t.Fatal("the test does not test what it should")
		}
		if got := c.nodes[2].served[KindDocument].Load(); got > 4 {
			t.Errorf("it was asked %d times", got)
		}
		c.nodes[2].hangs.Store(false)
		c.eventually(20*time.Second, "have the change", func(i int) bool { return c.words[i].has("apple") })
	})
}

// A member that hears packets but answers no request must not keep the others' view of who
// is alive waiting.
func TestGossipViewDoesNotWaitForPulls(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		c := memCluster(t, n, 0, 4)
		defer c.end()
		c.startAll()
		c.within(5*time.Second, "0123")
		c.nodes[0].hangs.Store(true)
		c.words[1].Merge([]byte("apple"))
		c.nodes[1].Publish()
		time.Sleep(3 * time.Second)
		if c.nodes[0].hanging.Load() == 0 {
			t.Fatal("no pull was tried")
		}
		c.nodes[1].down.Store(true)
		c.nodes[1].Publish()
		time.Sleep(1500 * time.Millisecond) // the pull takes longer
		if !c.nodes[0].Peers()[1].StorageDown {
			t.Error("news of a member waits for a pull")
		}
	})
}

func TestGossipStorageDown(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		c := memCluster(t, n, 0, 3)
		defer c.end()
		c.startAll()
		c.within(5*time.Second, "012")
		c.nodes[1].down.Store(true)
		c.nodes[1].Publish()
		c.eventually(5*time.Second, "know that the store is down", func(i int) bool {
			p := c.nodes[i].Peers()
			return p[1].StorageDown && !p[0].StorageDown && !p[2].StorageDown
		})
	})
}

// Two clusters on one network, one of whose nodes gets the address of a node of the other,
// stay apart (B20).
func TestGossipClustersStayApart(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		a, b := memCluster(t, n, 0, 3), memCluster(t, n, 1, 3)
		defer b.end()
		defer a.end()
		a.startAll()
		b.startAll()
		a.within(5*time.Second, "012")
		b.within(5*time.Second, "012")
		b.words[0].Merge([]byte("b"))
		a.kill(2)
		b.kill(2)
		b.nodes[2] = b.launch(2, a.roster[2].Peer)
		a.within(15*time.Second, "01")
		b.within(20*time.Second, "012")
		time.Sleep(2 * time.Minute)
		a.within(0, "01")
		b.within(0, "012")
		if got := a.nodes[0].life.list.NumMembers(); got != 2 {
			t.Errorf("memberlist has %d members of a, want 2", got)
		}
		for i, m := range a.nodes {
			if m != nil && (len(m.Peers()) != 3 || a.words[i].has("b")) {
				t.Errorf("member %d of a has heard of b: %v", i, m.Peers())
			}
		}
	})
}

// Nodes that hear of a stranger in their own cluster keep to the ring.
func TestGossipIgnoresNonMembers(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Net) {
		c := memCluster(t, n, 0, 3)
		defer c.end()
		small := memCluster(t, n, 0, 2) // the same cluster, as the first two know it
		defer small.end()
		c.start(2)
		small.startAll()
		small.eventually(20*time.Second, "see each other", func(i int) bool { return small.sees(i) == "01" })
		time.Sleep(20 * time.Second)
		g := small.nodes[0]
		g.mu.Lock()
		defer g.mu.Unlock()
		if got := len(g.mu.seen); got != 2 {
			t.Errorf("%d members are remembered, want 2", got)
		}
	})
}

func TestNewRefusesLongMetadata(t *testing.T) {
	cfg := Config{
		Self:        Self{UUID: "u", Name: strings.Repeat("n", 64), HTTP: "h:1", Peer: "h:2"},
		RingVersion: func() uint64 { return 1 }, StorageDown: func() bool { return false }, Store: newStore(),
		Documents: map[string]Document{"words": &setDocument{}},
	}
	if _, err := New(cfg); err != nil {
		t.Fatalf("a long name: %v", err)
	}
	cfg.Self.HTTP, cfg.Self.Peer = strings.Repeat("h", 250)+":1", strings.Repeat("p", 250)+":1"
	_, err := New(cfg)
	if err == nil || !strings.Contains(err.Error(), "the node's name, zone and addresses take") || !strings.Contains(err.Error(), "at most 512 fit") {
		t.Errorf("New: %v", err)
	}
}

// Whatever the digests, the ring version and the store become later, NodeMeta fits: memberlist
// panics otherwise.
func TestMetadataNeverGrowsTooLong(t *testing.T) {
	for n := 300; n < 520; n++ {
		g, err := New(Config{
			Self:        Self{UUID: "u", Name: strings.Repeat("<", n/6), HTTP: "h:1", Peer: "h:2"}, // escaped: six bytes each
			RingVersion: func() uint64 { return 1<<64 - 1 }, StorageDown: func() bool { return true }, Store: newStore(),
			Documents: map[string]Document{"ring": fullDigest{}, "props": fullDigest{}},
		})
		if err != nil {
			continue
		}
		if got := len((*delegate)(g).NodeMeta(512)); got > 512 {
			t.Fatalf("New took a name of %d that makes metadata of %d bytes", n, got)
		}
	}
}

type fullDigest struct{}

func (fullDigest) Digest() uint64          { return 1<<64 - 1 }
func (fullDigest) Encode() ([]byte, error) { return nil, nil }
func (fullDigest) Merge([]byte) error      { return nil }

func TestStartNeedsReachableAddress(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{"0.0.0.0:7000", "that others can reach"},
		{"[::]:7000", "that others can reach"},
		{":7000", "that others can reach"},
		{"10.0.0.1:0", "that others can reach"},
		{"10.0.0.1", "missing port"},
	} {
		g, err := New(Config{
			Self:        Self{UUID: "u", Peer: c.addr},
			RingVersion: func() uint64 { return 1 }, StorageDown: func() bool { return false }, Store: newStore(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Start(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Start at %s: %v, want %q", c.addr, err, c.want)
		}
		if err := errors.Join(g.Leave(time.Second), g.Close(), g.Close()); err != nil {
			t.Error(err)
		}
		if err := g.Start(); err == nil {
			t.Error("Start after Close")
		}
	}
}

func TestResolve(t *testing.T) {
	for addr, want := range map[string]string{
		"10.0.0.1:7000": "10.0.0.1:7000", "[fd00::1]:7000": "[fd00::1]:7000", "[::ffff:10.0.0.1]:7000": "10.0.0.1:7000",
	} {
		if got, err := resolve(t.Context(), addr); err != nil || got.String() != want {
			t.Errorf("resolve(%s) = %v, %v; want %s", addr, got, err, want)
		}
	}
}

func TestGossipServe(t *testing.T) {
	words := &setDocument{words: []string{"a"}}
	g := &Gossip{cfg: Config{Documents: map[string]Document{"words": words}}.WithDefaults(), view: make(chan struct{}, 1)}
	for _, c := range []struct {
		kind          uint8
		payload, want string // want: the answer, or "error: " and a part of it
	}{
		{KindDocument, "words", "a"},
		{KindDocument, "nothing", `error: no document "nothing"`},
		{KindPush, `{"Document":"words","Delta":"Yg=="}`, ""},
		{KindDocument, "words", "a b"},
		{KindPush, `{"Document":"nothing"}`, `error: no document "nothing"`},
		{KindPush, `?`, "error: malformed change"},
		{KindPush, strings.Repeat(" ", maxRequestBytes+1), "error: at most"},
		{KindHello, "{}", "error: unknown request kind"},
	} {
		got, err := g.Serve(c.kind, []byte(c.payload))
		want, fails := strings.CutPrefix(c.want, "error: ")
		if (err != nil) != fails || err == nil && string(got) != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Serve(%d, %.40q) = %q, %v; want %q", c.kind, c.payload, got, err, c.want)
		}
	}
}

func TestRosterDamaged(t *testing.T) {
	store := newStore()
	store.docs[rosterFile] = []byte("?")
	g, err := New(Config{
		Self: Self{UUID: "a", Peer: "10.0.0.1:7000"}, Roster: []ring.Member{{UUID: "a"}, {UUID: "b", Peer: "10.0.0.2:7000"}},
		RingVersion: func() uint64 { return 1 }, StorageDown: func() bool { return false }, Store: store,
	})
	if err != nil {
		t.Fatal(err)
	}
	if p := g.Peers()[1]; p.Peer != "10.0.0.2:7000" || p.Alive {
		t.Errorf("got %+v, want what the ring document says", p)
	}
}

func TestGossipSockets(t *testing.T) {
	if testing.Short() {
		t.Skip("uses real sockets and real time")
	}
	c := newCluster(t, func(string) transport.Network { return transport.TCP() }, 0, 3)
	for i := range c.nodes {
		// Each knows the addresses of those before it, and they learn its own.
		c.nodes[i] = c.launch(i, "127.0.0.1:0")
		c.roster = slices.Clone(c.roster)
		c.roster[i].Peer = c.nodes[i].wire.Addr().String()
	}
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for c.sees(0) != "012" || c.sees(1) != "012" || c.sees(2) != "012" {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("they see %s, %s, %s", c.sees(0), c.sees(1), c.sees(2))
		}
	}
	c.words[0].Merge([]byte("apple"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if got := c.nodes[0].Broadcast(ctx, "words", []byte("apple")); got != 2 || !c.words[2].has("apple") {
		t.Errorf("Broadcast reached %d, want 2", got)
	}
	for i := range c.nodes {
		c.kill(i)
	}
}

func FuzzGossipServe(f *testing.F) {
	f.Add(KindDocument, []byte("words"))
	f.Add(KindPush, []byte(`{"Document":"words","Delta":"YXBwbGU="}`))
	f.Add(KindPush, []byte(`{"Document":1}`))
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte) {
		words := &setDocument{}
		g := &Gossip{cfg: Config{Documents: map[string]Document{"words": words}}.WithDefaults(), view: make(chan struct{}, 1)}
		_, err := g.Serve(kind, payload)
		if err != nil && len(words.words) > 0 {
			t.Error("a refused change was taken in")
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add(metadata{Name: "n", HTTP: "h:1", Peer: "p:1", Ring: 1, Digests: map[string]string{"ring": "ff"}}.encode())
	f.Add([]byte(`{"g":{"a":null}}`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMetadata(b)
		if err == nil && len(b) > 512 {
			t.Errorf("took %d bytes", len(b))
		}
		if err == nil {
			again, err := decodeMetadata(m.encode())
			if err == nil && string(again.encode()) != string(m.encode()) {
				t.Errorf("%+v became %+v", m, again)
			}
		}
	})
}
