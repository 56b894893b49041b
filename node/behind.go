package node

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"cartwheel/listing"
)

// behindWithin is how long a listing waits for what the other members know. Who says nothing until then may
// know of writes that an owner lacks; a member that is silent is soon not alive.
const behindWithin = time.Second

// lag is what a node knows of members that lack writes: those for which it keeps hints, in any partition, and
// those that it has marked for comparison, itself among them. It is the answer to kindBehind, as JSON.
type lag struct {
	Hints []string            `json:"hints,omitempty"` // by uuid
	Dirty map[string][]uint16 `json:"dirty,omitempty"` // partitions by uuid
}

// behindHere returns what this node knows.
func (n *Node) behindHere() (l lag) {
	for _, h := range n.store.Hints() {
		l.Hints = append(l.Hints, h.Owner)
	}
	l.Dirty = n.repair.keeper.Behind()
	return l
}

// behind asks all members that can be asked who lacks writes, and returns whether a member does, of a partition.
func (n *Node) behind(ctx context.Context, v *listing.View) func(member int, partition uint16) bool {
	ctx, cancel := context.WithTimeout(ctx, behindWithin)
	defer cancel()
	members := v.Ring.Members()
	known := make([]lag, len(members))
	var asking sync.WaitGroup
	for i, m := range members {
		switch {
		case i == v.Self:
			known[i] = n.behindHere()
		case v.Usable(i):
			asking.Go(func() {
				var err error
				if known[i], err = n.behindAt(ctx, m.UUID); err != nil && ctx.Err() == nil {
					n.log.Debug("a member did not say who lacks writes, and a list may lack them", "member", m.Name, "err", err)
				}
			})
		}
	}
	asking.Wait()
	return lagging(v, known)
}

func (n *Node) behindAt(ctx context.Context, member string) (l lag, err error) {
	payload, err := n.askMember(ctx, member, kindBehind, nil)
	if err != nil {
		return lag{}, err
	}
	if err := json.Unmarshal(payload, &l); err != nil {
		return lag{}, fmt.Errorf("malformed answer of %d bytes: %w", len(payload), err)
	}
	return l, nil
}

// lagging puts together what members know. Names of others than members mean nothing.
func lagging(v *listing.View, known []lag) func(member int, partition uint16) bool {
	members := v.Ring.Members()
	all := make([]bool, len(members)) // behind in any partition
	some := make([]map[uint16]bool, len(members))
	for _, l := range known {
		for _, owner := range l.Hints {
			if m, ok := v.Ring.Index(owner); ok {
				all[m] = true
			}
		}
		for owner, partitions := range l.Dirty {
			m, ok := v.Ring.Index(owner)
			if ok && some[m] == nil {
				some[m] = map[uint16]bool{}
			}
			for _, p := range partitions {
				if ok {
					some[m][p] = true
				}
			}
		}
	}
	return func(member int, partition uint16) bool { return all[member] || some[member][partition] }
}
