package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"cartwheel/antientropy"
	"cartwheel/hintedhandoff"
	"cartwheel/httpapi"
	"cartwheel/pace"
	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/storage"
	"cartwheel/transfer"
	"cartwheel/vclock"
)

// repair is everything that brings copies to where they belong, beside the road of requests.
// Its parts know each other only through the interfaces that they declare.
type repair struct {
	throttle *pace.Throttle
	sender   *transfer.Sender
	receiver *transfer.Receiver
	keeper   *antientropy.Keeper
	handoff  *hintedhandoff.Handoff
	doubts   *doubts
	running  sync.WaitGroup
}

// openRepair makes the parts, before the store, whose commits the keeper has to hear of.
func (n *Node) openRepair(run uint64) (err error) {
	r := &n.repair
	if r.doubts, err = loadDoubts(n.dir, n.log); err != nil {
		return err
	}
	r.throttle = pace.New(n.cfg.Pace)
	r.sender = transfer.NewSender(transfer.SenderConfig{
		Call: n.askMember, Version: func() uint64 { return n.view.Load().Ring.Version() }, Wait: r.throttle.Wait,
	})
	r.receiver = transfer.NewReceiver(transfer.ReceiverConfig{
		View: n.ownership, Store: (*copies)(n), Pause: r.throttle.Pause,
	})
	ac := n.cfg.AntiEntropy
	ac.View, ac.N, ac.Run, ac.Store, ac.Sender = n.placement.Load, n.replicas, run, (*copies)(n), (*pushes)(n)
	ac.Throttle, ac.Call, ac.Logger = r.throttle, n.askMember, n.log
	ac.UnsureChanged = func(partitions []uint16) { r.doubts.set(partitions, r.keeper.Unsure) }
	if r.keeper, err = antientropy.New(ac); err != nil {
		return err
	}
	r.doubts.renew(r.keeper)
	hc := n.cfg.Handoff
	hc.View, hc.N, hc.Store, hc.Sender, hc.Merge = n.handoffView, n.replicas, (*hints)(n), (*handovers)(n), (*copies)(n).Merge
	hc.Missed, hc.Logger = r.keeper.MarkDirty, n.log
	r.handoff = hintedhandoff.New(hc)
	return nil
}

// run starts the parts that act by themselves; they end with ctx.
func (r *repair) run(ctx context.Context, report func(error)) {
	for _, part := range []func(context.Context) error{r.keeper.Run, r.handoff.Run} {
		r.running.Go(func() {
			if err := part(ctx); err != nil && ctx.Err() == nil {
				report(err)
			}
		})
	}
}

// replicas returns the n_val of the bucket of a key. It is called for each commit.
func (n *Node) replicas(name string) int {
	key, err := ring.ParseName(name)
	if err != nil {
		return n.cfg.N // no key of ours; whoever asks finds that it owns no such key
	}
	return n.props.Load().Set().Bucket(key.Type, key.Bucket).NVal
}

// place tells the parts of the repair about a new view, or of other n_vals. It is called by the
// gossip's goroutine and by those that change properties.
func (n *Node) place() {
	n.placing.Lock()
	defer n.placing.Unlock()
	v := n.view.Load()
	if v == nil {
		return
	}
	set := n.props.Load().Set()
	n.placement.Store(&antientropy.View{Ring: v.Ring, Self: v.Self, Alive: v.Alive, Levels: set.Levels()})
	if now := set.Placement(); now != n.placed {
		// Keys may have been counted under another n_val than they have now.
		n.placed = now
		n.repair.keeper.Rebuild()
	}
	n.repair.keeper.Wake()
	n.repair.handoff.Wake()
}

// askMember asks a member of the ring, wherever it is now.
func (n *Node) askMember(ctx context.Context, member string, kind uint8, payload []byte) ([]byte, error) {
	g := n.gossip.Load()
	if g == nil {
		return nil, errNoRing
	}
	for _, p := range g.Peers() {
		if p.UUID == member {
			return n.ask(ctx, member, p.Peer, kind, payload)
		}
	}
	return nil, fmt.Errorf("there is no member %s", member)
}

// owned is a ring from this node, for what is transferred to it.
type owned struct {
	ring *ring.Ring
	self int
}

func (n *Node) ownership() transfer.Ownership {
	if v := n.view.Load(); v != nil {
		return owned{v.Ring, v.Self}
	}
	return nil
}

func (o owned) Version() uint64 { return o.ring.Version() }

func (o owned) Owns(partition uint16, name string, n int) bool {
	if _, err := ring.ParseName(name); err != nil || o.self < 0 {
		return false
	}
	return o.ring.Partition(name) == partition && o.ring.Owns(o.self, partition, n)
}

// copies is the node's own copies, for the parts of the repair.
type copies Node

func (c *copies) Get(partition uint16, name string) (vclock.Object, error) {
	return c.store.Get(storage.Key{Partition: partition, Name: name})
}

func (c *copies) Merge(partition uint16, name string, o vclock.Object, done func(error)) {
	c.store.Merge(storage.Merge{Key: storage.Key{Partition: partition, Name: name}, Object: o, Done: done})
}

func (c *copies) Scan(partition uint16, after string, began func(), visit func(string, vclock.Object, error) bool) error {
	s := storage.Scan{Partition: partition, Began: began, Visit: func(i storage.Item) bool {
		return visit(i.Key.Name, i.Object, i.Err)
	}}
	if after != "" {
		s.After = storage.Key{Partition: partition, Name: after}
	}
	return c.store.Scan(s)
}

// pushes sends what an exchange found to be missing elsewhere.
type pushes Node

func (p *pushes) Send(ctx context.Context, member string, items []antientropy.Item) ([]bool, error) {
	moved := make([]transfer.Item, len(items))
	for i, item := range items {
		moved[i] = transfer.Item(item)
	}
	return p.repair.sender.Send(ctx, member, moved)
}

// changed is told of each commit by the store's batch writer.
func (n *Node) changed(c storage.Change) {
	n.repair.keeper.Update(c.Key.Partition, c.Key.Name, c.Old, c.New, c.Lost)
}

// damaged is told of a corrupt record before whoever met it is answered.
func (n *Node) damaged(k storage.Key) {
	n.repair.keeper.MarkCorrupt(k.Partition, k.Name)
	if n.repair.keeper.Unsure(k.Partition) {
		n.repair.doubts.add(k.Partition)
	}
}

// timed is the coordinator as clients see it: how long they wait sets the pace of the repair.
type timed struct {
	*quorum.Coordinator
	throttle *pace.Throttle
}

func (t timed) Get(ctx context.Context, r quorum.GetRequest) (quorum.GetResult, error) {
	defer t.count(time.Now())
	return t.Coordinator.Get(ctx, r)
}

func (t timed) Put(ctx context.Context, r quorum.PutRequest) (quorum.PutResult, error) {
	defer t.count(time.Now())
	return t.Coordinator.Put(ctx, r)
}

func (t timed) Delete(ctx context.Context, r quorum.DeleteRequest) (quorum.DeleteResult, error) {
	defer t.count(time.Now())
	return t.Coordinator.Delete(ctx, r)
}

func (t timed) count(since time.Time) { t.throttle.Foreground(time.Since(since)) }

// Repair returns what this node knows of copies that are not where they belong.
func (n *Node) Repair() httpapi.Repair {
	st := n.repair.keeper.Status()
	r := httpapi.Repair{
		Rebuilding: st.Rebuilding, Exchanges: len(st.Active),
		Rate: n.repair.throttle.Rate(), Yielding: n.repair.throttle.Yielding(),
	}
	if v := n.view.Load(); v != nil {
		for p := range v.Ring.Partitions() {
			if n.repair.keeper.Unsure(uint16(p)) {
				r.Unsure = append(r.Unsure, uint16(p))
			}
		}
	}
	for _, h := range n.repair.handoff.Status() {
		r.Hints = append(r.Hints, httpapi.Hints{Owner: h.Owner, Count: h.Hints, Bytes: h.Bytes, Error: h.LastError})
	}
	now := time.Now()
	byPeer := map[string]int{}
	for _, p := range st.Verified {
		at, ok := byPeer[p.Member]
		if !ok {
			at = len(r.Verified)
			byPeer[p.Member] = at
			r.Verified = append(r.Verified, httpapi.Verified{Peer: p.Member})
		}
		v := &r.Verified[at]
		v.Partitions++
		if p.At.IsZero() {
			v.Never++
		} else {
			v.Oldest = max(v.Oldest, now.Sub(p.At))
		}
	}
	byOwner := map[string]int{}
	for _, p := range st.Dirty {
		at, ok := byOwner[p.Member]
		if !ok {
			at = len(r.Dirty)
			byOwner[p.Member] = at
			r.Dirty = append(r.Dirty, httpapi.Dirty{Owner: p.Member})
		}
		r.Dirty[at].Partitions = append(r.Dirty[at].Partitions, p.Partition)
	}
	return r
}

// Whole reports whether this node knows of nothing left to repair: no hints are kept, none of its
// partitions is unsure, dirty or being counted.
func (n *Node) Whole() bool {
	r := n.Repair()
	return len(r.Hints)+len(r.Dirty)+len(r.Unsure)+r.Rebuilding == 0
}
