package node

import (
	"errors"
	"fmt"
	"io/fs"

	"cartwheel/gossip"
	"cartwheel/props"
	"cartwheel/quorum"
	"cartwheel/replica"
	"cartwheel/ring"
)

const propsFile = "props.json"

// openProps opens the bucket properties with the cluster's n as the default n_val. The table
// that it replaces has had no change: see [properties.Apply].
func (n *Node) openProps(defaultN int) error {
	saved, err := n.dir.Load(propsFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read bucket properties: %w", err)
	}
	table, err := props.NewTable(props.Config{
		Node:     n.dir.Node(),
		Defaults: props.Defaults{AllowMult: !n.cfg.NoDefaultSiblings, N: defaultN},
		Save:     func(b []byte) error { return n.dir.Save(propsFile, b) },
	}, saved)
	if err != nil {
		return fmt.Errorf("bucket properties: %w", err)
	}
	n.props.Store(table)
	return nil
}

// join makes doc this node's ring.
func (n *Node) join(doc ring.Document) error {
	r, err := ring.New(doc)
	if err != nil {
		return fmt.Errorf("the ring document: %w", err)
	}
	if err := n.checkMember(doc); err != nil {
		return err
	}
	// Before this the default n_val was the flag's, which is only for making a ring.
	if err := n.openProps(r.N()); err != nil {
		return err
	}
	cfg := n.cfg.Gossip
	cfg.Self, cfg.Cluster, cfg.Roster = n.self, doc.Cluster, doc.Members
	cfg.RingVersion, cfg.Seeds = r.Version, n.cfg.Join
	cfg.Wire, cfg.Store, cfg.Call, cfg.Logger = n.transport.Gossip(), n.dir, n.call, n.log
	cfg.Documents = map[string]gossip.Document{"ring": ringDocument{r}, "props": (*propsDocument)(n)}
	cfg.StorageDown = func() bool { return n.store.Fenced() != nil }
	cfg.Changed = func() { n.rebuild(r) }
	g, err := gossip.New(cfg)
	if err != nil {
		return err
	}
	n.gossip.Store(g)
	n.placed = n.props.Load().Set().Placement()
	n.transport.SetCluster(doc.Cluster)
	n.rebuild(r) // once here, from then on by the gossip's one goroutine
	if err := g.Start(); err != nil {
		return err
	}
	n.log.Info("ring joined", "cluster", doc.Cluster, "ring", r.Version(), "members", len(doc.Members))
	return nil
}

// checkMember compares how the node was started with what the ring has of it. Another name is
// most likely another member's directory; the rest is fixed since the ring was made.
func (n *Node) checkMember(doc ring.Document) error {
	for _, m := range doc.Members {
		if m.UUID != n.self.UUID {
			continue
		}
		if m.Name != n.self.Name {
			return fmt.Errorf("data directory %s is that of member %s, and the node was started as %s: give it --name %s, or its own directory", n.dir.Path(), m.Name, n.self.Name, m.Name)
		}
		for _, fixed := range []struct {
			what               string
			given, unsaid, now any
		}{
			{"zone", n.self.Zone, "", m.Zone}, {"weight", n.self.Weight, 1, m.Weight},
			{"partitions", n.cfg.Partitions, ring.DefaultPartitions, doc.Partitions}, {"n", n.cfg.N, ring.DefaultN, doc.N},
		} {
			if fixed.given != fixed.now && fixed.given != fixed.unsaid {
				n.log.Warn("setting ignored: the ring was made with another value", "setting", fixed.what, "given", fixed.given, "ring", fixed.now)
			}
		}
	}
	return nil
}

// rebuild publishes a new view of the cluster. It is called by one goroutine at a time.
func (n *Node) rebuild(r *ring.Ring) {
	peers := map[string]gossip.Peer{}
	for _, p := range n.gossip.Load().Peers() {
		peers[p.UUID] = p
	}
	view := &quorum.View{Ring: r, Self: -1, Local: n.local}
	for i, m := range r.Members() {
		p := peers[m.UUID]
		to := quorum.Replica(n.local)
		if m.UUID == n.self.UUID {
			view.Self = i
		} else {
			to = replica.NewRemote(n.transport, m.UUID, p.Peer, n.breaker(m))
		}
		if p.Alive {
			// Gossip may hear of its return before the pause between two attempts is over.
			n.transport.Wake(p.Peer)
		}
		view.Replicas = append(view.Replicas, to)
		view.Alive = append(view.Alive, p.Alive)
		if old := n.view.Load(); old != nil && m.UUID != n.self.UUID && old.Alive[i] != p.Alive {
			n.log.Info("member seen", "member", m.Name, "alive", p.Alive, "peer", p.Peer)
		}
	}
	n.view.Store(view)
	n.place()
}

// breaker returns the breaker of the calls to a member, the same in all views.
func (n *Node) breaker(m ring.Member) *replica.Breaker {
	b := n.breakers[m.UUID]
	if b == nil {
		cfg := n.cfg.Breaker
		cfg.Logger = n.log.With("member", m.Name)
		b = replica.NewBreaker(cfg)
		n.breakers[m.UUID] = b
	}
	return b
}
