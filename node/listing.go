package node

import (
	"context"
	"time"

	"cartwheel/listing"
	"cartwheel/ring"
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
		Coordinator: listing.New(listing.Config{View: n.listingView, Ask: n.askPage, Behind: n.behind}),
		pages: listing.NewServer(listing.ServerConfig{
			View: n.coverage, Unsure: n.repair.keeper.Unsure, Store: (*recordNames)(n),
		}),
	}
}

// recordNames is the names of the node's own records.
type recordNames Node

func (s *recordNames) Names(settled bool, read func(listing.Walker) error) error {
	set := s.props.Load().Set()
	lossy := func(name []byte) bool {
		key, err := ring.ParseName(string(name))
		return err == nil && set.Bucket(key.Type, key.Bucket).Lossy()
	}
	return s.store.Names(settled, func(w *storage.Names) error { return read(shownNames{w, lossy}) })
}

// shownNames is a walk to which an object lives if a read of it would find a value.
type shownNames struct {
	*storage.Names
	lossy func(name []byte) bool
}

func (w shownNames) Live() (bool, error) { return w.Names.Live(w.lossy) }

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
	return &listing.View{
		Ring: v.Ring, Self: v.Self,
		Usable: func(member int) bool {
			peer, remote := v.Replicas[member].(interface{ Usable() bool })
			return v.Alive[member] && (!remote || peer.Usable())
		},
	}
}

// askPage asks a member, or this node, for a page. The own disk may hang like that of another node: then the
// listing goes on without it.
func (n *Node) askPage(ctx context.Context, member string, payload []byte) ([]byte, error) {
	if member != n.self.UUID {
		return n.askMember(ctx, member, listing.Kind, payload)
	}
	type result struct {
		page []byte
		err  error
	}
	made := make(chan result, 1)
	n.requests.Go(func() {
		page, err := n.lists.pages.Serve(ctx, payload)
		made <- result{page, err}
	})
	select {
	case r := <-made:
		return r.page, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// servePage answers a peer's request for a page.
func (n *Node) servePage(req transport.Request, reply func(transport.Response)) {
	ctx, cancel := context.WithTimeout(context.Background(), min(req.Budget, time.Minute))
	defer cancel()
	payload, err := n.lists.pages.Serve(ctx, req.Payload)
	answer(reply, payload, err)
}
