package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Transport is one node's end of the protocol. Make it with New, Start it, and
// Close it.
type Transport struct {
	cfg    Config
	log    *slog.Logger
	open   [256]bool // by Kind
	run    uint64
	seed   uint64
	ln     net.Listener
	gossip *Gossip
	count  counters
	// cluster is what SetCluster said last. It changes under mu only; a
	// connection that is made meanwhile compares it with what it has announced,
	// under the lock of the table that SetCluster goes through after the change.
	cluster atomic.Pointer[string]

	ctx    context.Context // ends with Close; of the goroutines, not of a request
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine

	mu struct {
		sync.RWMutex
		closed   bool
		peers    map[string]*peer
		conns    map[net.Conn]struct{} // all that Close has to close
		accepted int                   // connections being served or about to be
		incoming map[*incoming]struct{}
	}
}

// New listens on cfg.Listen, for streams and packets, and starts nothing. The
// error says when cfg is invalid or the address is taken.
func New(cfg Config) (*Transport, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	ln, packets, err := listen(cfg.Network, cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("transport: listen on %s: %w", cfg.Listen, err)
	}
	if cfg.Advertise == "" {
		cfg.Advertise = ln.Addr().String()
	}
	t := &Transport{cfg: cfg, log: cfg.Logger, run: rand.Uint64(), seed: cfg.Seed, ln: ln}
	if t.seed == 0 {
		t.seed = rand.Uint64()
	}
	for _, k := range cfg.Open {
		t.open[k] = true
	}
	t.gossip = &Gossip{t: t, streams: make(chan net.Conn, maxWaitingStreams), packets: packets}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.cluster.Store(&cfg.Cluster)
	t.mu.peers = make(map[string]*peer)
	t.mu.conns = make(map[net.Conn]struct{})
	t.mu.incoming = make(map[*incoming]struct{})
	return t, nil
}

// listen opens both halves of the port. When the port is ours to choose, one
// that is taken for packets only is passed over.
func listen(n Network, addr string) (net.Listener, net.PacketConn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, err
	}
	for attempt := 1; ; attempt++ {
		ln, err := n.Listen(addr)
		if err != nil {
			return nil, nil, err
		}
		_, picked, err := net.SplitHostPort(ln.Addr().String())
		if err == nil {
			var packets net.PacketConn
			if packets, err = n.ListenPacket(net.JoinHostPort(host, picked)); err == nil {
				return ln, packets, nil
			}
		}
		ln.Close()
		if port != "0" || attempt == 10 {
			return nil, nil, err
		}
	}
}

// Start begins to accept connections. It is called once. Calls may be made
// before.
func (t *Transport) Start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.mu.closed {
		t.wg.Go(t.acceptLoop)
	}
}

// Close ends all connections and returns when every goroutine of t has ended.
// Calls without an answer fail with ErrClosed. It may be called again.
func (t *Transport) Close() error {
	t.mu.Lock()
	first := !t.mu.closed
	t.mu.closed = true
	conns := t.mu.conns
	t.mu.conns = nil
	t.mu.Unlock()
	var err error
	if first {
		t.cancel()
		err = t.ln.Close()
		for nc := range conns {
			nc.Close()
		}
		t.gossip.packets.Close()
	}
	t.wg.Wait()
	t.gossip.close()
	return err
}

// Addr returns the address that t listens on, with the port that was picked.
func (t *Transport) Addr() net.Addr { return t.ln.Addr() }

// SetCluster names the cluster of this node ("": none; at most 255 bytes).
// Connections made under another value take no further call; they are closed
// when the calls on them have ended, and made anew on demand. In particular, a
// handler may call SetCluster and then reply.
func (t *Transport) SetCluster(uuid string) {
	t.mu.Lock()
	t.cluster.Store(&uuid)
	var peers []*peer
	for _, p := range t.mu.peers {
		peers = append(peers, p)
	}
	var served []*incoming
	for c := range t.mu.incoming {
		served = append(served, c)
	}
	t.mu.Unlock()
	for _, p := range peers {
		p.retire(uuid)
	}
	for _, c := range served {
		c.retire(uuid)
	}
}

// Call sends req to the node at addr and returns at once. done is called
// exactly once: with the answer, whatever its status, and a nil error, or with
// a zero Response and one of this package's errors. It runs on a connection's
// goroutine or, when the call fails at once, before Call returns, on the
// caller's; it must not block, and the caller must not hold a lock that done
// takes.
func (t *Transport) Call(addr string, req Request, done func(Response, error)) {
	t.count.calls.Add(1)
	err := t.call(addr, req, done)
	if err != nil {
		t.finish(done, Response{}, err)
	}
}

func (t *Transport) call(addr string, req Request, done func(Response, error)) error {
	switch size := int64(len(req.Payload)); {
	case req.Budget <= 0:
		return fmt.Errorf("%w: no time left to call %s", ErrTimeout, addr)
	case size > t.cfg.MaxMessageBytes:
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, t.cfg.MaxMessageBytes)
	}
	req.Budget = min(req.Budget, maxBudget)
	for {
		p, err := t.peer(addr)
		if err != nil {
			return err
		}
		if err := p.call(req, done); err != errForgotten {
			return err
		}
	}
}

// peer returns the peer for an address; it makes one if needed.
func (t *Transport) peer(addr string) (*peer, error) {
	t.mu.RLock()
	p := t.mu.peers[addr]
	t.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch p := t.mu.peers[addr]; {
	case t.mu.closed:
		return nil, ErrClosed
	case p != nil:
		return p, nil
	case len(t.mu.peers) >= t.cfg.MaxConns:
		return nil, fmt.Errorf("%w: %d addresses in use", ErrBusy, len(t.mu.peers))
	}
	p = t.newPeer(addr)
	t.mu.peers[addr] = p
	t.wg.Go(p.run)
	return p, nil
}

// forget takes an address that nobody calls out of the table, unless a call has
// come meanwhile. Lock order: Transport.mu, peer.mu.
func (t *Transport) forget(p *peer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.mu.lastUse) < t.cfg.IdleTimeout {
		return false
	}
	p.mu.stopped = errForgotten
	delete(t.mu.peers, p.addr)
	return true
}

// finish gives a call its outcome.
func (t *Transport) finish(done func(Response, error), res Response, err error) {
	t.count.outcome(err)
	done(res, err)
}

// hello is what this node says of itself now.
func (t *Transport) hello() hello {
	return hello{
		versions:   t.cfg.Versions,
		run:        t.run,
		maxFrame:   uint32(t.cfg.MaxFrameBytes),
		maxMessage: uint32(t.cfg.MaxMessageBytes),
		node:       t.cfg.Node,
		cluster:    *t.cluster.Load(),
		addr:       t.cfg.Advertise,
	}
}

// reportDuplicate tells of another process with this node's uuid, if that is
// what err says.
func (t *Transport) reportDuplicate(err error, addr string) {
	if !errors.Is(err, ErrDuplicateNode) {
		return
	}
	t.count.duplicates.Add(1)
	t.log.Error("another process has the uuid of this node", "node", t.cfg.Node, "peer", addr)
	if t.cfg.Duplicate != nil {
		t.cfg.Duplicate(addr)
	}
}
