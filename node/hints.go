package node

import (
	"context"

	"cartwheel/hintedhandoff"
	"cartwheel/storage"
	"cartwheel/transfer"
)

// hints is the hints in the node's store, for those who deliver them.
type hints Node

func (h *hints) Hints() []hintedhandoff.Count {
	var counts []hintedhandoff.Count
	for _, c := range h.store.Hints() {
		counts = append(counts, hintedhandoff.Count{Owner: c.Owner, Hints: c.Count, Bytes: c.Bytes})
	}
	return counts
}

func (h *hints) Scan(owner string, partition uint16, name string, visit func(hintedhandoff.Hint) bool) error {
	s := storage.Scan{Hint: owner, AllPartitions: true, Visit: func(i storage.Item) bool {
		return visit(hintedhandoff.Hint{Partition: i.Key.Partition, Name: i.Key.Name, Object: i.Object, Err: i.Err})
	}}
	if name != "" {
		s.After = storage.Key{Hint: owner, Partition: partition, Name: name}
	}
	return h.store.Scan(s)
}

func (h *hints) Drop(owner string, partition uint16, name string, digest uint64, done func(bool, error)) {
	h.store.Drop(storage.Drop{Key: storage.Key{Hint: owner, Partition: partition, Name: name}, Digest: digest, Done: done})
}

// handovers sends hints to their owners.
type handovers Node

func (o *handovers) Send(ctx context.Context, member string, items []hintedhandoff.Item) ([]bool, error) {
	moved := make([]transfer.Item, len(items))
	for i, item := range items {
		moved[i] = transfer.Item(item)
	}
	return o.repair.sender.Send(ctx, member, moved)
}

// handoffView is the present view as the delivery of hints sees it: a member that gossip believes
// alive and that does not answer is left alone, too.
func (n *Node) handoffView() *hintedhandoff.View {
	v := n.view.Load()
	if v == nil {
		return nil
	}
	return &hintedhandoff.View{Ring: v.Ring, Self: v.Self, Alive: func(member int) bool {
		peer, remote := v.Replicas[member].(interface{ Usable() bool })
		return v.Alive[member] && (!remote || peer.Usable())
	}}
}
