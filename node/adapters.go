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
	changed, err := d.props.Load().Merge(data)
	if changed {
		(*Node)(d).place()
	}
	return err
}

// properties implements httpapi.Properties.
type properties Node

func (p *properties) Set() *props.Set { return p.props.Load().Set() }

// spreadWithin is how long a property change waits for the live members to take it before
// it is answered; the rest learn it by gossip.
const spreadWithin = 3 * time.Second

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
	(*Node)(p).place()
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
	prefix := namePrefix(typ, bucket)
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

// namePrefix returns what the names of all objects of the bucket begin with, or with an empty
// bucket those of the type.
func namePrefix(typ, bucket string) string {
	prefix := ring.Key{Type: typ, Bucket: bucket}.Name()
	if bucket == "" {
		return prefix[:len(prefix)-1] // without the length of the bucket
	}
	return prefix
}

// isNamePrefix reports whether prefix is one that namePrefix returns.
func isNamePrefix(prefix string) bool {
	if key, err := ring.ParseName(prefix); err == nil {
		return key.Bucket != "" && key.Key == ""
	}
	key, err := ring.ParseName(prefix + "\x00") // a bucket of length 0
	return err == nil && key.Bucket == "" && key.Key == ""
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
	v := s.view.Load()
	st.Settled = v != nil
	if g := s.gossip.Load(); g != nil && v != nil {
		for i, p := range g.Peers() { // by uuid, as the ring's members are
			peer, remote := v.Replicas[i].(interface{ Usable() bool })
			st.Members = append(st.Members, httpapi.Member{
				Alive: p.Alive, StorageDown: p.StorageDown, Silent: remote && !peer.Usable(), HTTP: p.HTTP, Peer: p.Peer,
			})
		}
	}
	return st
}

// Repair implements httpapi.Node.
func (s *status) Repair() httpapi.Repair { return (*Node)(s).Repair() }

// Samples are the counters of the parts that /metrics has no other way to.
func (s *status) Samples() []httpapi.Sample {
	q, st, tr := s.coord.Stats(), s.store.Stats(), s.transport.Stats()
	ae, sent, got, now := s.repair.keeper.Stats(), s.repair.sender.Stats(), s.repair.receiver.Stats(), s.Repair()
	handed, listed, pages := s.repair.handoff.Stats(), s.lists.Stats(), s.lists.pages.Stats()
	counter := func(name, help string, v float64) httpapi.Sample {
		return httpapi.Sample{Name: name, Help: help, Value: v}
	}
	gauge := func(name, help string, v float64) httpapi.Sample {
		return httpapi.Sample{Name: name, Help: help, Value: v, Gauge: true}
	}
	return []httpapi.Sample{
		gauge("client_connections", "Open connections of clients.", float64(s.listener.Open())),
		counter("client_connections_refused_total", "Connections of clients turned away because too many were open.", float64(s.listener.Refused())),
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
		gauge("hints_pending", "Writes kept here for owners that were away.", float64(st.HintCount)),
		gauge("hints_bytes", "Space that they take.", float64(st.HintBytes)),
		counter("hints_delivered_total", "Hints that their owners have taken.", float64(handed.Delivered)),
		counter("hints_refused_total", "Hints that found no room here.", float64(st.HintsRefused)),
		counter("hints_sent_total", "Writes sent to other nodes as hints.", float64(q.HintsSent)),
		counter("writes_missed_total", "Writes that an owner lacks and of which no node took a hint.", float64(q.Missed)),
		counter("fallback_reads_total", "Reads sent to nodes in the place of owners.", float64(q.FallbackReads)),
		counter("fallback_mints_total", "Puts coordinated here in the place of an owner.", float64(q.FallbackMints)),
		counter("antientropy_exchanges_total", "Exchanges begun here and answered.", float64(ae.Exchanges)),
		counter("antientropy_exchanges_failed_total", "Exchanges begun here and refused or not answered.", float64(ae.Failed)),
		counter("antientropy_repaired_keys_total", "Keys that exchanges have mended, here and at peers.", float64(ae.RepairedHere+ae.RepairedThere)),
		counter("antientropy_bytes_total", "Bytes of exchanges, both ways.", float64(ae.BytesIn+ae.BytesOut)),
		counter("antientropy_scans_total", "Partitions whose tree was built from their records.", float64(ae.Rebuilds)),
		counter("antientropy_drift_total", "Trees that did not match their records.", float64(ae.Drift)),
		gauge("antientropy_last_verified_seconds", "Age of the least recent comparison of a partition with another owner; -1 if one was never compared.", oldest(now)),
		gauge("partitions_dirty", "Copies elsewhere that are known to lack writes.", float64(dirty(now))),
		gauge("partitions_unsure", "Partitions whose copies here may lack acknowledged writes.", float64(len(now.Unsure))),
		gauge("partitions_rebuilding", "Partitions whose tree is being built.", float64(now.Rebuilding)),
		gauge("repair_rate", "Objects per second that repair may move now.", now.Rate),
		counter("transfer_items_sent_total", "Objects that peers have taken from this node's repair.", float64(sent.Acked)),
		counter("transfer_items_stored_total", "Objects taken from the repair of peers.", float64(got.Stored)),
		counter("lists_total", "Lists of keys or buckets, and counts, begun here.", float64(listed.Started)),
		counter("lists_failed_total", "Lists that ran out of time or of owners that could answer.", float64(listed.Failed)),
		counter("list_pages_total", "Pages made here, for lists of all nodes.", float64(pages.Pages)),
		counter("list_pages_busy_total", "Pages not made, as too many were being made.", float64(pages.Busy)),
		gauge("storage_queue_operations", "Writes waiting or being committed.", float64(st.QueueOps)),
		gauge("storage_table_bytes", "Size of the tables on disk.", float64(st.TableBytes)),
		gauge("storage_free_bytes", "Free space of the file system; -1 if unknown.", float64(st.FreeBytes)),
		gauge("storage_floor_bytes", "Free space under which the store takes no more writes.", float64(st.FloorBytes)),
	}
}

// oldest returns the age in seconds of the least recent comparison with a peer, -1 if there is a
// partition that was never compared.
func oldest(r httpapi.Repair) float64 {
	var age time.Duration
	for _, v := range r.Verified {
		if v.Never > 0 {
			return -1
		}
		age = max(age, v.Oldest)
	}
	return age.Seconds()
}

func dirty(r httpapi.Repair) (n int) {
	for _, d := range r.Dirty {
		n += len(d.Partitions)
	}
	return n
}
