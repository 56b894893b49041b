package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"cartwheel/antientropy"
	"cartwheel/datadir"
	"cartwheel/gossip"
	"cartwheel/httpapi"
	"cartwheel/listing"
	"cartwheel/props"
	"cartwheel/quorum"
	"cartwheel/replica"
	"cartwheel/ring"
	"cartwheel/storage"
	"cartwheel/transport"
)

// Node is one node. Make it with New and Run it once.
type Node struct {
	cfg  Config
	log  *slog.Logger
	self gossip.Self

	dir       *datadir.Dir
	store     *storage.Store
	transport *transport.Transport
	listener  *httpapi.Listener
	former    *gossip.Former
	local     *replica.Local
	server    *replica.Server
	coord     *quorum.Coordinator
	lists     *lists
	http      *http.Server

	repair   repair
	breakers map[string]*replica.Breaker // by uuid of the peer; the view's builder's own

	props     atomic.Pointer[props.Table]
	gossip    atomic.Pointer[gossip.Gossip]    // nil before the ring is known
	view      atomic.Pointer[quorum.View]      // nil before the ring is known
	placement atomic.Pointer[antientropy.View] // the same for the trees; nil before the ring is known

	placing sync.Mutex // held by place
	placed  uint64     // Placement of the properties when the trees were last told

	conns    sync.WaitGroup // clients' connections
	requests sync.WaitGroup // peers' requests that may block

	used     atomic.Bool // run or closed
	closing  sync.Once
	closeErr error
}

// New takes everything that the node needs and starts none of its traffic. The error is a
// sentence for the operator; then nothing is held. A node that is not run must be closed.
func New(cfg Config) (*Node, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, log: cfg.Logger.With("node", cfg.Name), breakers: map[string]*replica.Breaker{}}
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) open() (err error) {
	if n.dir, err = datadir.Open(n.cfg.DataDir); err != nil {
		return err
	}
	var life [8]byte
	rand.Read(life[:]) // never fails
	run := binary.BigEndian.Uint64(life[:]) | 1

	if err := n.openProps(n.cfg.N); err != nil { // commits are counted by the bucket's n_val
		return err
	}
	if err := n.openRepair(run); err != nil {
		return err
	}
	sc := n.cfg.Storage
	sc.Dir, sc.Durability, sc.Run, sc.Logger = filepath.Join(n.dir.Path(), "objects"), n.cfg.Durability, run, n.log
	sc.Changed, sc.Damaged = n.changed, n.damaged
	if err := n.openStore(sc); err != nil {
		return err
	}
	n.transport, err = transport.New(transport.Config{
		Network: n.cfg.Network, Listen: n.cfg.Peer, Node: n.dir.Node(), Handler: n.serve,
		Open: []transport.Kind{transport.Kind(gossip.KindHello), transport.Kind(gossip.KindForm)}, Logger: n.log,
		Advertise: advertised(n.cfg.Advertise, n.cfg.Peer),
	})
	if err != nil {
		return err
	}
	ln, err := n.cfg.Network.Listen(n.cfg.HTTP)
	if err != nil {
		return fmt.Errorf("the HTTP address cannot be listened on: %w", err)
	}
	n.listener = httpapi.NewListener(ln, clientConns())
	n.self = gossip.Self{
		UUID: n.dir.Node(), Name: n.cfg.Name, Zone: n.cfg.Zone, Weight: n.cfg.Weight,
		HTTP: advertised(n.cfg.httpHost(), n.listener.Addr().String()),
		Peer: advertised(n.cfg.Advertise, n.transport.Addr().String()),
	}
	n.former, err = gossip.NewFormer(gossip.FormConfig{
		Self: n.self, Life: run, Seeds: n.cfg.Join, Expect: n.cfg.Expect,
		Partitions: n.cfg.Partitions, N: n.cfg.N, Tokens: ring.DefaultTokens,
		Store: n.dir, Call: n.call, Logger: n.log,
	})
	if err != nil {
		return err
	}
	n.local = replica.NewLocal(n.store, n.cfg.Durability == storage.Fsync, n.repair.keeper.Unsure)
	qc := n.cfg.Quorum
	qc.Missed = n.repair.keeper.MarkDirty
	n.coord = quorum.New(qc, n.view.Load)
	n.server = replica.NewServer(n.local, n.coord, n.view.Load)
	n.openLists()
	api, err := httpapi.New(httpapi.Config{
		Coordinator: timed{n.coord, n.repair.throttle}, Properties: (*properties)(n), Node: (*status)(n), Lister: n.lists, Logger: n.log,
		Version: n.cfg.Version, Durability: n.cfg.Durability.String(),
	})
	if err != nil {
		return err
	}
	n.http = httpapi.NewServer(api, httpapi.ServerConfig{Logger: n.log})
	n.http.ConnState = n.countConn
	return nil
}

// countConn lets Close wait for the handlers, which net/http does not: a handler that outlived
// its connection would still use the store. A connection is new before Serve returns.
func (n *Node) countConn(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		n.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		n.conns.Done()
	}
}

// advertised returns a listening address with the host that others reach it at, or "" if it
// has no port yet.
func advertised(host, addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil || port == "0" {
		return ""
	}
	return net.JoinHostPort(host, port)
}

// Run serves until ctx ends (then it returns nil after an orderly stop) or the node cannot
// go on. It closes the node. It is called once.
func (n *Node) Run(ctx context.Context) error {
	if n.used.Swap(true) {
		return errors.New("node: it was run or closed before")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.transport.Start()
	var served error
	var serving sync.WaitGroup
	serving.Go(func() {
		defer cancel()
		served = n.serveHTTP()
	})
	// One after the other, so that a stop never meets a node that is just joining.
	err := n.participate(ctx)
	n.log.Info("node stops")
	stopped := n.stop()
	serving.Wait()
	err = errors.Join(served, err, stopped, n.Close())
	n.log.Info("node stopped", "clean", err == nil)
	return err
}

func (n *Node) serveHTTP() error {
	if err := n.http.Serve(n.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}

// participate finds the ring, becomes part of it, and tells the others if the store stops
// taking writes. It returns nil when ctx ends.
func (n *Node) participate(ctx context.Context) error {
	doc, err := n.former.Run(ctx)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil
		}
		return err
	}
	if err := n.join(doc); err != nil {
		return err
	}
	parts, cancel := context.WithCancelCause(ctx)
	defer n.repair.running.Wait()
	defer cancel(nil)
	n.repair.run(parts, cancel)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for fenced := false; ; {
		select {
		case <-parts.Done():
			if ctx.Err() != nil {
				return nil
			}
			return context.Cause(parts) // a part of the repair cannot go on
		case <-tick.C:
		}
		if err := n.store.Fenced(); err != nil && !fenced {
			fenced = true // for the rest of this life
			n.log.Error("the store takes no writes until the process is restarted", "err", err)
			n.gossip.Load().Publish()
		}
	}
}

// stop ends the traffic in the order of the road. Clients' requests get stopWithin to end by
// themselves; those that still wait for replicas then are answered that the node is stopping.
func (n *Node) stop() error {
	err := n.drainHTTP(stopWithin)
	if g := n.gossip.Load(); g != nil {
		if err := g.Leave(time.Second); err != nil {
			n.log.Debug("the others were not told of the stop", "err", err)
		}
	}
	n.coord.Close()
	n.lists.Stop() // a visitor may wait for a client that reads nothing, until its connection is closed
	return errors.Join(err, n.drainHTTP(time.Second))
}

// drainHTTP takes no new connections and waits, but not for ever, until all requests are
// answered.
func (n *Node) drainHTTP(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := n.http.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop HTTP: %w", err)
	}
	return nil
}

// Close releases everything that New took and waits for all that the node began. Run calls
// it; without Run it is the caller's to call. It may be called again, but not while Run runs.
func (n *Node) Close() error {
	n.used.Store(true)
	n.closing.Do(func() { n.closeErr = n.release() })
	return n.closeErr
}

// release gives back what open took, however far that came: first those who ask, then those
// who are asked.
func (n *Node) release() error {
	var errs []error
	if n.http != nil {
		errs = append(errs, n.http.Close())
	}
	if n.listener != nil {
		if err := n.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if n.coord != nil {
		n.coord.Close()
	}
	if n.lists != nil {
		n.lists.Close()
	}
	n.conns.Wait()
	if g := n.gossip.Load(); g != nil {
		errs = append(errs, g.Close())
	}
	if n.transport != nil {
		errs = append(errs, n.transport.Close())
	}
	n.requests.Wait()
	if n.server != nil {
		n.server.Close()
	}
	if n.local != nil {
		n.local.Close()
	}
	if n.repair.keeper != nil {
		errs = append(errs, n.repair.keeper.Close())
	}
	if n.store != nil {
		errs = append(errs, n.closeStore())
	}
	if n.dir != nil {
		errs = append(errs, n.dir.Close())
	}
	return errors.Join(errs...)
}

// Self returns what this node tells the others about itself, with the ports it really has.
func (n *Node) Self() gossip.Self { return n.self }

// Coordinator returns the node's coordinator.
func (n *Node) Coordinator() *quorum.Coordinator { return n.coord }

// Lister lists keys and buckets of the whole cluster, as the node's clients get them.
func (n *Node) Lister() listing.Lister { return n.lists }

// View returns the present view of the cluster, nil before the ring is known.
func (n *Node) View() *quorum.View { return n.view.Load() }

// Ready returns why the node cannot serve object requests now, nil if it can.
func (n *Node) Ready() error {
	if n.view.Load() == nil {
		return fmt.Errorf("there is no ring yet: %s", n.former.Waiting())
	}
	return n.store.Fenced()
}
