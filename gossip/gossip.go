package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"cartwheel/ring"
)

// Wire is the gossip half of a node's peer port: see package transport.
type Wire interface {
	Streams() <-chan net.Conn
	Dial(addr string, timeout time.Duration) (net.Conn, error)
	Packets() net.PacketConn
}

// Document is a small replicated document. All methods are safe for concurrent use. Digest
// must not block: memberlist calls it with its locks held.
type Document interface {
	Digest() uint64          // equal on two nodes if and only if they hold the same
	Encode() ([]byte, error) // the whole document; the slice is the caller's
	// Merge takes in a whole document or a part of one; it is commutative and idempotent, and
	// what it took in is durable before it returns. The slice is its own.
	Merge([]byte) error
}

// Config says how a [Gossip] works. Durations of zero mean the default given with them; the
// other fields are required, except Documents, Changed, Conflict and Logger. The functions
// must not block, Call excepted.
type Config struct {
	Self        Self
	Cluster     string        // uuid; memberlist's label
	Roster      []ring.Member // members of the ring document
	Seeds       []string      // further addresses to find members at, while any is not alive
	RingVersion func() uint64
	Wire        Wire
	Store       Store
	Call        Call
	Documents   map[string]Document // by name, the same names on all nodes
	StorageDown func() bool         // the node's store is fenced
	Changed     func()              // Peers answers differently now
	Conflict    func(addr string)   // another live process, at addr, uses this node's uuid; told again while it does
	Logger      *slog.Logger        // discards

	// ProbeInterval is between two probes of one node's choice; 1 s. A probe waits half of it
	// for a direct answer, and the other half for answers through others and over a stream.
	ProbeInterval time.Duration
	RejoinEvery   time.Duration // between two attempts to reach members that are not alive; 5 s
	PullEvery     time.Duration // between two comparisons of digests without news; 10 s
}

const (
	// ioTimeout bounds a dial of memberlist and, separately, the exchange that follows.
	ioTimeout = 2 * time.Second
	// reclaimAfter is how long a member must have been dead before its uuid is believed from
	// another address. Two processes with one data directory are found in other ways, so a
	// member that has moved need not wait.
	reclaimAfter = time.Second
)

// WithDefaults returns c with the default in each field that is zero.
func (c Config) WithDefaults() Config {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.ProbeInterval, time.Second}, {&c.RejoinEvery, 5 * time.Second}, {&c.PullEvery, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Changed == nil {
		c.Changed = func() {}
	}
	if c.Conflict == nil {
		c.Conflict = func(string) {}
	}
	return c
}

// Peer is what is known of a member.
type Peer struct {
	UUID, Name, HTTP, Peer, Zone string
	Alive                        bool
	StorageDown                  bool   // it said that its store is fenced
	RingVersion                  uint64 // it said so last; 0 if never seen
}

// Gossip is this node's part in the gossip. Make it with New, Start it, Close it. Its methods
// are safe for concurrent use.
type Gossip struct {
	cfg   Config
	peers atomic.Pointer[[]Peer]

	view    chan struct{} // a token: sightings or this node's state changed
	news    chan struct{} // a token, after view's: there may be something to publish, save or pull
	publish atomic.Bool   // this node's metadata changed

	mu struct {
		sync.Mutex
		seen   map[string]sighting // by uuid, for each of the roster
		moved  map[string]string   // by uuid: another address that a member was named at; memberlist refuses it while the old one is not dead
		claims map[string]bool     // addresses that this node's own uuid was named at, to be verified
	}
	pulled map[pullKey]pullState // the sync loop's own
	saved  map[string]string     // the roster on disk; the sync loop's own

	ctx  context.Context // ends with Leave and Close
	stop func()
	wg   sync.WaitGroup

	life struct {
		sync.Mutex // held while starting, leaving, closing
		list       *memberlist.Memberlist
		closed     bool
	}
}

// New returns a Gossip that is not yet part of anything. It refuses names and addresses that
// do not fit into what memberlist carries.
func New(cfg Config) (*Gossip, error) {
	cfg = cfg.WithDefaults()
	g := &Gossip{cfg: cfg, view: make(chan struct{}, 1), news: make(chan struct{}, 1), pulled: map[pullKey]pullState{}}
	if n := g.longestMetadata(); n > memberlist.MetaMaxSize {
		return nil, fmt.Errorf("gossip: the node's name, zone and addresses take %d bytes, at most %d fit: use shorter ones", n, memberlist.MetaMaxSize)
	}
	g.mu.seen, g.mu.moved, g.mu.claims = map[string]sighting{}, map[string]string{}, map[string]bool{}
	for _, m := range cfg.Roster {
		g.mu.seen[m.UUID] = sighting{}
	}
	if err := g.loadRoster(); err != nil {
		return nil, err
	}
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.snapshot()
	return g, nil
}

// Start joins the cluster and goes on trying in the background; it does not wait for others.
// It fails if this node's address cannot be told to others.
func (g *Gossip) Start() error {
	g.life.Lock()
	defer g.life.Unlock()
	if g.ctx.Err() != nil {
		return errors.New("gossip: closed")
	}
	addr, err := resolve(g.ctx, g.cfg.Self.Peer)
	if err != nil {
		return fmt.Errorf("gossip: the address to advertise: %w", err)
	}
	wire := newAdapter(g.cfg.Wire, addr)
	c := memberlist.DefaultLANConfig()
	c.Name = g.cfg.Self.UUID
	c.Label = g.cfg.Cluster
	c.Transport = wire
	c.BindPort, c.AdvertiseAddr, c.AdvertisePort = int(addr.Port()), addr.Addr().String(), int(addr.Port())
	// What memberlist calls the timeout is when it turns to other ways; all of them together
	// have the interval. Were the two equal, one lost packet would make a member suspected.
	c.ProbeInterval, c.ProbeTimeout = g.cfg.ProbeInterval, g.cfg.ProbeInterval/2
	c.SuspicionMult = 6         // nodes share CPUs with others: better late than wrong
	c.EnableCompression = false // messages are small, and their bytes are cheaper than the CPU
	c.TCPTimeout = ioTimeout
	c.DeadNodeReclaimTime = reclaimAfter
	c.Delegate, c.Events, c.Conflict = (*delegate)(g), (*delegate)(g), (*delegate)(g)
	c.Logger = slog.NewLogLogger(levelHandler{g.cfg.Logger.Handler()}, slog.LevelDebug)
	list, err := memberlist.Create(c)
	if err != nil {
		wire.Shutdown()
		return fmt.Errorf("gossip: start: %w", err)
	}
	g.life.list = list
	g.wg.Go(g.viewLoop)
	g.wg.Go(func() { g.syncLoop(list) })
	g.wg.Go(func() { g.rejoinLoop(list) })
	return nil
}

// Leave tells the others that this node stops, so that they need not find out. It waits at
// most timeout for the word to go out. Afterwards only Close makes sense.
func (g *Gossip) Leave(timeout time.Duration) error {
	g.life.Lock()
	defer g.life.Unlock()
	g.stop() // memberlist must not be asked to update or join once it has left
	if g.life.list == nil || g.life.closed {
		return nil
	}
	// memberlist 0.7.0 panics, with its lock held, if it has lost sight of its own node.
	if !slices.ContainsFunc(g.life.list.Members(), func(n *memberlist.Node) bool { return n.Name == g.cfg.Self.UUID }) {
		return nil // then nobody waits for a word
	}
	return g.life.list.Leave(timeout)
}

// Close ends the gossip without a word to the others. It may wait for attempts under way to
// reach others, some seconds. It may be called again.
func (g *Gossip) Close() error {
	g.stop()
	g.life.Lock()
	defer g.life.Unlock()
	var err error
	if g.life.list != nil && !g.life.closed {
		err = g.life.list.Shutdown()
	}
	g.life.closed = true
	g.wg.Wait()
	return err
}

// Peers returns all members of the ring, this node among them, sorted by uuid. The slice is
// shared and never changes.
func (g *Gossip) Peers() []Peer { return *g.peers.Load() }

// Publish tells the others in the background that this node's documents or the state of its
// store have changed.
func (g *Gossip) Publish() {
	g.publish.Store(true)
	poke(g.view)
}

// poke leaves a token, unless one is there already: whoever takes that sees this change too.
func poke(token chan struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}

// snapshot makes a new Peers of the ring's members and the sightings; it reports whether
// anything differs from the one before. Only New and then the view loop call it.
func (g *Gossip) snapshot() (changed bool) {
	peers := make([]Peer, 0, len(g.cfg.Roster))
	g.mu.Lock()
	for _, m := range g.cfg.Roster {
		p := Peer{UUID: m.UUID, Name: m.Name, HTTP: m.HTTP, Peer: m.Peer, Zone: m.Zone}
		s := g.mu.seen[m.UUID]
		if s.meta.Peer != "" {
			p.Peer = s.meta.Peer
		}
		if s.meta.HTTP != "" {
			p.HTTP = s.meta.HTTP
		}
		p.Alive, p.StorageDown, p.RingVersion = s.alive, s.meta.Down, s.meta.Ring
		peers = append(peers, p)
	}
	g.mu.Unlock()
	slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(a.UUID, b.UUID) })
	if i := slices.IndexFunc(peers, g.isSelf); i >= 0 {
		p := &peers[i]
		p.HTTP, p.Peer = g.cfg.Self.HTTP, g.cfg.Self.Peer
		p.Alive, p.StorageDown, p.RingVersion = true, g.cfg.StorageDown(), g.cfg.RingVersion()
	}
	if old := g.peers.Load(); old != nil && slices.Equal(*old, peers) {
		return false
	}
	g.peers.Store(&peers)
	return true
}

func (g *Gossip) isSelf(p Peer) bool { return p.UUID == g.cfg.Self.UUID }
