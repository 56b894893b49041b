package antientropy

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A mark says that a partition differs from an owner's, as one side lacks a write and no hint waits for it.
type mark struct {
	seq    uint64 // when it was made, among exchanges
	since  time.Time
	here   bool // this node lacks it; any other owner may have it, so each has such a mark
	theirs bool // the owner does
}

// MarkDirty says that an owner (by uuid) lacks something of a partition that no hint will bring.
// The partition is exchanged with that owner as soon as both can, before everything else. If this
// node does not own the partition, an owner that is alive is told instead. Marks are priorities:
// they are kept in memory only, as regular exchanges find the same. They are bounded by members
// times partitions; a mark that names neither, or a partition without further owners, is dropped.
func (k *Keeper) MarkDirty(member string, partition uint16) {
	p := k.currentPlan()
	if p == nil {
		return
	}
	owners := ownersOf(p, partition)
	if !slices.Contains(owners, member) || len(owners) < 2 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.seq++
	for _, o := range owners {
		if o == p.self || o != member && member != p.self {
			continue
		}
		m := mark{seq: k.mu.seq, since: time.Now(), here: member == p.self, theirs: member != p.self}
		if former, ok := k.mu.dirty[place{o, partition}]; ok {
			m.since, m.here, m.theirs = former.since, m.here || former.here, m.theirs || former.theirs
		}
		k.mu.dirty[place{o, partition}] = m
	}
	wake(k.kick)
}

// Behind returns what is marked, by the uuid of the owner that lacks it, which may be this node. The
// map is the caller's; partitions are in no order.
func (k *Keeper) Behind() map[string][]uint16 {
	p := k.currentPlan()
	k.mu.Lock()
	defer k.mu.Unlock()
	behind := map[string][]uint16{}
	for at, m := range k.mu.dirty {
		if m.theirs {
			behind[at.member] = append(behind[at.member], at.partition)
		}
		if m.here && p != nil && !slices.Contains(behind[p.self], at.partition) {
			behind[p.self] = append(behind[p.self], at.partition)
		}
	}
	return behind
}

// ownersOf returns the uuids of all owners of a partition, nil if there is no such partition.
func ownersOf(p *plan, partition uint16) []string {
	var uuids []string
	for _, m := range p.owners(partition) {
		uuids = append(uuids, p.view.Ring.Members()[m].UUID)
	}
	return uuids
}

// A dirtyMark is a mark as it is handed over.
type dirtyMark struct {
	member    string
	partition uint16
}

// maxMarks bounds the marks in one message.
const maxMarks = 1024

// handOver returns marks of partitions that this node does not own, and a live member that owns
// all of them and is not what they name. Marks that the ring has made void are dropped.
func (k *Keeper) handOver(p *plan, usable func(member string) bool) (to string, marks map[place]mark) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for at, m := range k.mu.dirty {
		owners := ownersOf(p, at.partition)
		if !slices.Contains(owners, at.member) || len(owners) < 2 {
			delete(k.mu.dirty, at)
			continue
		}
		if p.owns(at.partition) || len(marks) == maxMarks {
			continue
		}
		for _, o := range owners {
			if o == at.member || to != "" && o != to || to == "" && !usable(o) {
				continue
			}
			to = o
			if marks == nil {
				marks = make(map[place]mark)
			}
			marks[at] = m
			break
		}
	}
	return to, marks
}

// sendMarks hands marks over and forgets them once the member has them.
func (k *Keeper) sendMarks(ctx context.Context, p *plan, to string, marks map[place]mark) error {
	list := make([]dirtyMark, 0, len(marks))
	for at := range marks {
		list = append(list, dirtyMark(at))
	}
	if _, err := k.call(ctx, to, kindDirty, encodeDirty(p.view.Ring.Version(), list)); err != nil {
		return fmt.Errorf("hand over %d dirty partitions: %w", len(list), err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for at, m := range marks {
		if k.mu.dirty[at] == m { // else it was made again meanwhile
			delete(k.mu.dirty, at)
		}
	}
	return nil
}
