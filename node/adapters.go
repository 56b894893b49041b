package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cartwheel/gossip"
	"cartwheel/httpapi"
	"cartwheel/props"
	"cartwheel/ring"
)

// ringDocument is the ring as gossip spreads it. This version has one ring per cluster, so
// there is nothing to merge; a different document of the same cluster is an alarm.
type ringDocument struct{ r *ring.Ring }

func (d ringDocument) Digest() uint64          { return ring.Hash(d.r.Cluster(), d.r.Document().Hash()) }
func (d ringDocument) Encode() ([]byte, error) { return d.r.Document().Encode() }

func (d ringDocument) Merge(data []byte) error {
	doc, err := ring.DecodeDocument(data)
	if err != nil {
		return err
	}
	if doc.Hash() != d.r.Document().Hash() {
		return fmt.Errorf("a member has another ring document: version %d of cluster %s", doc.Version, doc.Cluster)
	}
	return nil
}

// propsDocument is the bucket properties as gossip spreads them.
type propsDocument Node

func (d *propsDocument) Digest() uint64          { return d.props.Load().Set().Digest() }
func (d *propsDocument) Encode() ([]byte, error) { return d.props.Load().Set().Encode(), nil }

func (d *propsDocument) Merge(data []byte) error {
	_, err := d.props.Load().Merge(data)
	return err
}

// properties implements httpapi.Properties.
type properties Node

func (p *properties) Set() *props.Set { return p.props.Load().Set() }

// spreadWithin is how long a property change waits for the live members to take it before
// it is answered; the rest learn it by gossip.
const spreadWithin = time.Second

// errNoRing is the answer to what needs the ring before it is known.
var errNoRing = errors.New("this node has no ring yet")

// Apply changes nothing before the ring is known: the table that is in place until then is
// replaced with the ring's, and the change would be lost with it.
func (p *properties) Apply(ctx context.Context, c props.Change) error {
	g := p.gossip.Load()
	if g == nil {
		return errNoRing
	}
	delta, err := p.props.Load().Apply(c)
	if err != nil || delta == nil {
		return err
	}
	// The change is durable here: it spreads even if the client has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), spreadWithin)
	defer cancel()
	g.Broadcast(ctx, "props", delta)
	return nil
}

// BucketEmpty asks every member: one that cannot be asked may hold objects of the bucket.
func (p *properties) BucketEmpty(ctx context.Context, typ, bucket string) (bool, error) {
	n := (*Node)(p)
	g := n.gossip.Load()
	if g == nil {
		return false, errNoRing
	}
	prefix := ring.Key{Type: typ, Bucket: bucket}.Name()
	ctx, cancel := context.WithTimeout(ctx, callBudget)
	defer cancel()
	peers := g.Peers()
	empty, errs := make([]bool, len(peers)), make([]error, len(peers))
	var wg sync.WaitGroup
	for i, m := range peers {
		wg.Go(func() { empty[i], errs[i] = n.bucketEmptyAt(ctx, m, prefix) })
	}
	wg.Wait()
	for i := range peers {
		if errs[i] != nil {
			return false, fmt.Errorf("member %s cannot tell whether the bucket is empty: %w", peers[i].Name, errs[i])
		}
		if !empty[i] {
			return false, nil
		}
	}
	return true, nil
}

func (n *Node) bucketEmptyAt(ctx context.Context, m gossip.Peer, prefix string) (bool, error) {
	if m.UUID == n.self.UUID {
		return n.bucketEmptyHere(prefix)
	}
	// The uuid, as the address may have changed hands: another node's answer is none.
	payload, err := n.ask(ctx, m.UUID, m.Peer, kindBucketEmpty, []byte(prefix))
	switch {
	case err != nil:
		return false, err
	case string(payload) == bucketIsEmpty:
		return true, nil
	case string(payload) == bucketIsUsed:
		return false, nil
	}
	return false, fmt.Errorf("malformed answer of %d bytes", len(payload))
}

func (n *Node) bucketEmptyHere(prefix string) (bool, error) {
	found, err := n.store.HasPrefix(prefix)
	return !found, err
}

// status implements httpapi.Node.
type status Node

func (s *status) Ring() *ring.Ring {
	if v := s.view.Load(); v != nil {
		return v.Ring
	}
	return nil
}

func (s *status) Status() httpapi.Status {
	st := httpapi.Status{Name: s.self.Name, UUID: s.self.UUID, Quorum: s.coord.Stats()}
	if err := s.store.Fenced(); err != nil {
		st.Fenced = err.Error()
	}
	if err := (*Node)(s).Ready(); err != nil {
		st.NotReady = err.Error()
	}
	if v := s.view.Load(); v != nil {
		st.Settled = true
	}
	if g := s.gossip.Load(); g != nil {
		for _, p := range g.Peers() { // by uuid, as the ring's members are
			st.Members = append(st.Members, httpapi.Member{Alive: p.Alive, StorageDown: p.StorageDown, HTTP: p.HTTP, Peer: p.Peer})
		}
	}
	return st
}

// Samples are the counters of the parts that /metrics has no other way to.
func (s *status) Samples() []httpapi.Sample {
	q, st, tr := s.coord.Stats(), s.store.Stats(), s.transport.Stats()
	counter := func(name, help string, v float64) httpapi.Sample {
		return httpapi.Sample{Name: name, Help: help, Value: v}
	}
	gauge := func(name, help string, v float64) httpapi.Sample {
		return httpapi.Sample{Name: name, Help: help, Value: v, Gauge: true}
	}
	return []httpapi.Sample{
		counter("peer_connections_rejected_total", "Connections on the peer port turned away: too many, no handshake, foreign bytes, no common version.", float64(tr.Rejected)),
		counter("peer_connections_malformed_total", "Connections on the peer port closed for a malformed or damaged frame.", float64(tr.Malformed)),
		counter("peer_calls_total", "Requests sent to peers.", float64(tr.Calls)),
		counter("peer_calls_unreachable_total", "Requests to peers that found no connection or lost it.", float64(tr.Unreachable)),
		counter("peer_calls_timeout_total", "Requests to peers without an answer in time.", float64(tr.Timeouts)),
		counter("peer_bytes_sent_total", "Bytes sent to peers, gossip not counted.", float64(tr.BytesOut)),
		counter("forwarded_puts_total", "Puts sent to an owner of their key to coordinate.", float64(q.Forwarded)),
		counter("quorum_unsatisfied_total", "Requests that missed a level.", float64(q.Unsatisfied)),
		counter("quorum_timeouts_total", "Requests that ran out of time.", float64(q.Timeouts)),
		counter("read_hedges_total", "Further owners asked because an asked one was slow.", float64(q.Hedges)),
		counter("read_repairs_failed_total", "Read repairs that were not acknowledged.", float64(q.RepairsFailed)),
		counter("read_repairs_dropped_total", "Read repairs not sent because too many were under way.", float64(q.RepairsDropped)),
		counter("storage_corrupt_records_total", "Times that a corrupt record was met.", float64(st.Corrupt)),
		counter("storage_dot_conflicts_total", "Merges that met two values under one dot.", float64(st.Conflicts)),
		counter("storage_batches_total", "Groups of writes that became durable together.", float64(st.Batches)),
		counter("storage_writes_total", "Puts and merges that reached the store.", float64(st.Puts+st.Merges)),
		gauge("storage_queue_operations", "Writes waiting or being committed.", float64(st.QueueOps)),
		gauge("storage_table_bytes", "Size of the tables on disk.", float64(st.TableBytes)),
		gauge("storage_free_bytes", "Free space of the file system; -1 if unknown.", float64(st.FreeBytes)),
		gauge("storage_floor_bytes", "Free space under which the store takes no more writes.", float64(st.FloorBytes)),
	}
}
