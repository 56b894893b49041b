package antientropy

import (
	"math/bits"
	"time"
)

// MarkUnsure says that this node may have lost acknowledged data of the partition. Its trees are
// not believed any more, and [Keeper.Unsure] is true until, after a new scan, an exchange begun
// after this call has finished with every other live owner.
func (k *Keeper) MarkUnsure(partition uint16) {
	// In this order: an exchange that is begun after the mark must not find the old trees.
	if p := k.part(partition); p != nil {
		p.distrust()
	}
	k.mark(partition)
	wake(k.building)
}

// MarkCorrupt is MarkUnsure for a record that could not be read, unless the record is already
// known to be corrupt: its partition was marked then, and one record that no owner can supply
// does not keep a partition unsure for ever. It may be called in the middle of a scan.
func (k *Keeper) MarkCorrupt(partition uint16, name string) {
	if p := k.part(partition); p == nil || p.suspect(name) {
		k.mark(partition)
		wake(k.building)
	}
}

// MarkAllUnsure is MarkUnsure for all partitions, also those of a ring that is not known yet.
func (k *Keeper) MarkAllUnsure() {
	if parts := k.parts.Load(); parts != nil {
		for i := range *parts {
			(*parts)[i].distrust()
		}
	}
	k.mu.Lock()
	k.mu.seq++
	k.mu.markedAll = k.mu.seq
	for i := range k.unsure {
		k.unsure[i].Store(^uint64(0))
	}
	k.mu.unsureNew = true
	k.mu.Unlock()
	wake(k.building)
}

// Unsure reports whether reads of the partition are to be refused. It is one atomic load.
func (k *Keeper) Unsure(partition uint16) bool {
	return k.unsure[partition/64].Load()>>(partition%64)&1 == 1
}

// mark makes a partition unsure and leaves its trees alone.
func (k *Keeper) mark(partition uint16) {
	k.mu.Lock()
	k.mu.seq++
	k.mu.marks[partition] = k.mu.seq
	k.unsure[partition/64].Or(1 << (partition % 64))
	k.mu.unsureNew = true
	k.mu.Unlock()
	wake(k.kick)
}

// markedLocked returns the seq of the latest mark of an unsure partition.
func (k *Keeper) markedLocked(partition uint16) uint64 {
	return max(k.mu.marks[partition], k.mu.markedAll)
}

// An owner is what the rule for unsure partitions looks at.
type owner struct {
	heard uint64 // seq of the last exchange that brought here all that it had, 0 if none
	alive bool
	dead  bool // not alive for DeadAfter without a break
}

// sure decides whether a partition marked at seq mark can be trusted again, given its other
// owners: all that each of them had has come here since, or it is dead; and enough were heard for a
// majority of all owners, this node included. Whether they took what they lacked does not matter.
func sure(mark uint64, others []owner) bool {
	heard := 0
	for _, o := range others {
		switch {
		case o.heard > mark:
			heard++
		case o.alive || !o.dead:
			return false
		}
	}
	if len(others) == 0 {
		return true // nobody could know better
	}
	return heard >= max(1, (len(others)+1)/2)
}

// observe records which members are alive.
func (k *Keeper) observe(p *plan, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	members := p.view.Ring.Members()
	for _, m := range members {
		_, known := k.mu.deadSince[m.UUID]
		switch alive := p.alive(m.UUID); {
		case alive:
			delete(k.mu.deadSince, m.UUID)
		case !known:
			k.mu.deadSince[m.UUID] = now
		}
	}
	if len(k.mu.deadSince) > len(members) {
		for uuid := range k.mu.deadSince {
			if _, member := p.view.Ring.Index(uuid); !member {
				delete(k.mu.deadSince, uuid)
			}
		}
	}
}

// settle makes those partitions sure that can be, and tells the node of any change.
func (k *Keeper) settle(p *plan, now time.Time) {
	// What the node is told last must be what was found last, or a mark would not outlive a crash.
	k.telling.Lock()
	defer k.telling.Unlock()
	var left []uint16
	k.mu.Lock()
	for word := range k.unsure {
		for set := k.unsure[word].Load(); set != 0; set &= set - 1 {
			bit := bits.TrailingZeros64(set)
			partition := uint16(word*64 + bit)
			if p.owns(partition) && !sure(k.markedLocked(partition), k.ownersLocked(p, partition, now)) {
				left = append(left, partition)
				continue
			}
			k.unsure[word].And(^(uint64(1) << bit))
			delete(k.mu.marks, partition)
			k.mu.unsureNew = true
		}
	}
	changed := k.mu.unsureNew
	k.mu.unsureNew = false
	k.mu.Unlock()
	if changed {
		k.log.Info("partitions that may lack acknowledged data", "partitions", len(left))
		k.cfg.UnsureChanged(left)
	}
}

func (k *Keeper) ownersLocked(p *plan, partition uint16, now time.Time) []owner {
	var others []owner
	for _, uuid := range p.others(partition) {
		since, down := k.mu.deadSince[uuid]
		others = append(others, owner{
			heard: k.mu.verified[place{uuid, partition}].heard,
			alive: p.alive(uuid),
			dead:  down && now.Sub(since) >= k.cfg.DeadAfter,
		})
	}
	return others
}
