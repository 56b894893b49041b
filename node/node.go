package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"cartwheel/datadir"
	"cartwheel/gossip"
	"cartwheel/httpapi"
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
	listener  net.Listener
	former    *gossip.Former
	local     *replica.Local
	server    *replica.Server
	coord     *quorum.Coordinator
	http      *http.Server

	props  atomic.Pointer[props.Table]
	gossip atomic.Pointer[gossip.Gossip] // nil before the ring is known
	view   atomic.Pointer[quorum.View]   // nil before the ring is known

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
	n := &Node{cfg: cfg, log: cfg.Logger.With("node", cfg.Name)}
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

	sc := n.cfg.Storage
	sc.Dir, sc.Durability, sc.Run, sc.Logger = filepath.Join(n.dir.Path(), "objects"), n.cfg.Durability, run, n.log
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
	if n.listener, err = n.cfg.Network.Listen(n.cfg.HTTP); err != nil {
		return fmt.Errorf("the HTTP address cannot be listened on: %w", err)
	}
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
	if err := n.openProps(n.cfg.N); err != nil {
		return err
	}
	n.local = replica.NewLocal(n.store, n.cfg.Durability == storage.Fsync)
	n.coord = quorum.New(n.cfg.Quorum, n.view.Load)
	n.server = replica.NewServer(n.local, n.coord, n.view.Load)
	api, err := httpapi.New(httpapi.Config{
		Coordinator: n.coord, Properties: (*properties)(n), Node: (*status)(n), Logger: n.log, Version: n.cfg.Version,
	})
	if err != nil {
		return err
	}
	n.http = httpapi.NewServer(api, httpapi.ServerConfig{Logger: n.log})
	n.http.ConnState = n.countConn
	return nil
}

// storeFile says that this node has had a store: from then on an empty one is a loss.
const storeFile = "store.json"

// openStore opens the store and refuses one that is not this node's, or has lost its objects: a
// node without them would answer "not found" for what it has acknowledged.
func (n *Node) openStore(cfg storage.Config) error {
	_, err := n.dir.Load(storeFile)
	had := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read whether there was a store: %w", err)
	}
	cfg.Owner, cfg.MustExist = n.dir.Node(), had && !n.cfg.AcceptEmptyStore
	if had && n.cfg.AcceptEmptyStore {
		n.log.Warn("an empty store is accepted: if it is empty, reads may miss what this node has acknowledged, until they have repaired it")
	}
	n.store, err = storage.Open(cfg)
	if errors.Is(err, storage.ErrEmptied) {
		return fmt.Errorf("%w; mount or restore them, or start with --accept-empty-store if they are lost: reads may then miss what only this node and one that is behind had", err)
	}
	if err != nil || had {
		return err
	}
	// After the store: a crash in between leaves a store without the mark, which is only less strict.
	return n.dir.Save(storeFile, []byte("{}\n"))
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
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for fenced := false; ; {
		select {
		case <-ctx.Done():
			return nil
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
	if n.store != nil {
		errs = append(errs, n.store.Close())
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

// View returns the present view of the cluster, nil before the ring is known.
func (n *Node) View() *quorum.View { return n.view.Load() }

// Ready returns why the node cannot serve object requests now, nil if it can.
func (n *Node) Ready() error {
	if n.view.Load() == nil {
		return fmt.Errorf("there is no ring yet: %s", n.former.Waiting())
	}
	return n.store.Fenced()
}
