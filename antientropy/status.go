package antientropy

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// Pair says how a partition stands with one other owner.
type Pair struct {
	Partition uint16
	Member    string    // uuid
	At        time.Time // when both were last found or made equal, in Status.Verified (zero: never in this life); since when it is dirty, in Status.Dirty
}

// Status is the state of a keeper at one moment. Its slices are the caller's, sorted by partition,
// then member.
type Status struct {
	Verified []Pair    // every partition with every other owner
	Dirty    []Pair    // marks of [Keeper.MarkDirty]; an owner of them may be another node's to repair
	Oldest   time.Time // the earliest of Verified; zero if one is zero or there are none
	Never    int       // of Verified that are zero

	Unsure     int      // partitions whose reads are refused
	Rebuilding int      // partitions without trees
	Active     []string // members that this node is exchanging with, or handing marks to
	Serving    int      // exchanges of other members that this node serves
}

// Status returns the present state. It costs as much as there are partitions times owners.
func (k *Keeper) Status() Status {
	var s Status
	p := k.currentPlan()
	for _, partition := range p.ownedOrNone() {
		if k.Unsure(partition) {
			s.Unsure++
		}
		part := k.part(partition)
		if part == nil {
			s.Rebuilding++
		} else if _, ready := part.state(); !ready {
			s.Rebuilding++
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, partition := range p.ownedOrNone() {
		for _, member := range p.others(partition) {
			v := Pair{partition, member, k.mu.verified[place{member, partition}].at}
			s.Verified = append(s.Verified, v)
			if v.At.IsZero() {
				s.Never++
			}
			if len(s.Verified) == 1 || v.At.Before(s.Oldest) {
				s.Oldest = v.At
			}
		}
	}
	for at, m := range k.mu.dirty {
		s.Dirty = append(s.Dirty, Pair{at.partition, at.member, m.since})
	}
	for member, peer := range k.mu.peers {
		if peer.active {
			s.Active = append(s.Active, member)
		}
	}
	s.Serving = len(k.mu.sessions)
	byPlace := func(a, b Pair) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Member, b.Member))
	}
	slices.SortFunc(s.Verified, byPlace)
	slices.SortFunc(s.Dirty, byPlace)
	slices.Sort(s.Active)
	return s
}

// Stats are counters since New.
type Stats struct {
	Exchanges     uint64 // begun by this node and answered
	Failed        uint64 // begun by this node and refused, or not answered
	RepairedHere  uint64 // objects merged into the own store
	RepairedThere uint64 // objects that peers have merged
	BytesIn       uint64 // of messages, from peers, in exchanges of either side
	BytesOut      uint64 // to peers; what the Sender sends counts by its size
	Rebuilds      uint64 // partitions scanned
	Drift         uint64 // times that trees were found wrong
	Lost          uint64 // commits that replaced a corrupt record, each of which costs a scan
	Corrupt       uint64 // records newly found corrupt by scans
}

type counters struct {
	exchanges, failed, here, there, bytesIn, bytesOut, rebuilds, drift, lost, corrupt atomic.Uint64
}

// count counts an exchange by how its first message fared.
func (c *counters) count(err error) {
	if err != nil {
		c.failed.Add(1)
		return
	}
	c.exchanges.Add(1)
}

// Stats returns the counters.
func (k *Keeper) Stats() Stats {
	c := &k.stats
	return Stats{
		Exchanges: c.exchanges.Load(), Failed: c.failed.Load(),
		RepairedHere: c.here.Load(), RepairedThere: c.there.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		Rebuilds: c.rebuilds.Load(), Drift: c.drift.Load(), Lost: c.lost.Load(), Corrupt: c.corrupt.Load(),
	}
}
