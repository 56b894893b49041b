package node

import (
	"context"
	"time"

	"cartwheel/listing"
	"cartwheel/storage"
	"cartwheel/transport"
)

// lists is what a node has for lists of keys and buckets: it coordinates some, and makes pages of
// its own records for those of all nodes.
type lists struct {
	*listing.Coordinator
	pages *listing.Server
}

func (n *Node) openLists() {
	n.lists = &lists{
		Coordinator: listing.New(listing.Config{View: n.listingView, Ask: n.askPage}),
		pages: listing.NewServer(listing.ServerConfig{
			View: n.coverage, Unsure: n.repair.keeper.Unsure, Store: (*recordNames)(n),
		}),
	}
}

// recordNames is the names of the node's own records.
type recordNames Node

func (s *recordNames) Names(settled bool, read func(listing.Walker) error) error {
	return s.store.Names(settled, func(w *storage.Names) error { return read(w) })
}

// coverage is the present view of the ring, without who can be asked.
func (n *Node) coverage() *listing.View {
	if v := n.view.Load(); v != nil {
		return &listing.View{Ring: v.Ring, Self: v.Self}
	}
	return nil
}

// listingView is the present view for a listing that begins or has to ask somebody else.
func (n *Node) listingView() *listing.View {
	v, g := n.view.Load(), n.gossip.Load()
	if v == nil || g == nil {
		return nil
	}
	type lack struct {
		member    string
		partition uint16
	}
	behind := map[string]bool{} // in any partition
	lacks := map[lack]bool{}
	for _, p := range g.Peers() {
		behind[p.UUID] = p.StorageDown
	}
	for _, h := range n.store.Hints() {
		behind[h.Owner] = true
	}
	for _, d := range n.repair.keeper.Status().Dirty {
		lacks[lack{d.Member, d.Partition}] = true
	}
	members := v.Ring.Members()
	return &listing.View{
		Ring: v.Ring, Self: v.Self,
		Usable: func(member int) bool {
			peer, remote := v.Replicas[member].(interface{ Usable() bool })
			return v.Alive[member] && (!remote || peer.Usable())
		},
		Behind: func(member int, partition uint16) bool {
			uuid := members[member].UUID
			return behind[uuid] || lacks[lack{uuid, partition}]
		},
	}
}

// askPage asks a member, or this node, for a page.
func (n *Node) askPage(ctx context.Context, member string, payload []byte) ([]byte, error) {
	if member == n.self.UUID {
		return n.lists.pages.Serve(ctx, payload)
	}
	return n.askMember(ctx, member, listing.Kind, payload)
}

// servePage answers a peer's request for a page.
func (n *Node) servePage(req transport.Request, reply func(transport.Response)) {
	ctx, cancel := context.WithTimeout(context.Background(), min(req.Budget, time.Minute))
	defer cancel()
	payload, err := n.lists.pages.Serve(ctx, req.Payload)
	answer(reply, payload, err)
}
