package storage

import (
	"hash/maphash"
	"math/bits"
	"sync"

	"cartwheel/vclock"
)

// recentPerGeneration bounds a memory of request ids to twice as many entries of 48 bytes: some
// megabytes for the last 32 to 64 thousand writes. A retry that comes later is still recognized
// while its value is a sibling. There are two such memories. One has the latest puts that were
// minted here, which are seconds under full load, and serves whoever got no answer and tries again
// at once. The other one has the writes with a lasting id whose value was replaced here, whoever
// minted it: these are few, so that all owners of a key know for long what was done with it.
const recentPerGeneration = 32 << 10

// recent remembers request ids, and the dots minted for them, in two generations: when the
// younger one is full it becomes the older, and the older one is forgotten. An id counts together
// with its key: if a client used one id for two keys, the second write must not be taken for a retry.
type recent struct {
	seed           maphash.Seed
	younger, older map[recentID]vclock.Dot
	limit          int
}

type recentID struct {
	id  vclock.RequestID
	key uint64
}

func newRecent(limit int) recent {
	return recent{seed: maphash.MakeSeed(), younger: map[recentID]vclock.Dot{}, limit: limit}
}

func (r *recent) entry(k Key, id vclock.RequestID) recentID {
	h := maphash.String(r.seed, k.Name) ^ uint64(k.Partition)
	if k.Hint != "" {
		h ^= bits.RotateLeft64(maphash.String(r.seed, k.Hint), 1) // a name may equal an owner
	}
	return recentID{id: id, key: h}
}

func (r *recent) add(k Key, id vclock.RequestID, dot vclock.Dot) {
	if id == (vclock.RequestID{}) {
		return
	}
	if len(r.younger) >= r.limit {
		r.older, r.younger = r.younger, make(map[recentID]vclock.Dot, r.limit)
	}
	r.younger[r.entry(k, id)] = dot
}

// covers reports whether a write is remembered and has reached the object. One that has not is
// lost (the record was corrupt, or the commit failed), and to call it done would acknowledge what
// is nowhere.
func (r *recent) covers(k Key, id vclock.RequestID, o vclock.Object) bool {
	dot, ok := r.dot(k, id)
	return ok && o.Clock.Covers(dot)
}

// dot returns the dot that was last minted for the write; ok is false if none is remembered.
func (r *recent) dot(k Key, id vclock.RequestID) (d vclock.Dot, ok bool) {
	e := r.entry(k, id)
	if d, ok = r.younger[e]; !ok {
		d, ok = r.older[e]
	}
	return d, ok
}

// replaced is the memory of writes whose value was replaced. Readers may ask it while the
// committer adds to it.
type replaced struct {
	mu sync.Mutex
	recent
}

// note remembers those of the siblings that are no longer in now and have a lasting id.
func (r *replaced) note(k Key, siblings []vclock.Sibling, now vclock.Object) {
	if now.Missing() {
		return // the record is dropped: it has gone elsewhere, and its memory with it
	}
	for i := range siblings {
		s := &siblings[i]
		if !s.RequestID.IsLasting() || now.HasRequest(s.RequestID) {
			continue
		}
		r.mu.Lock()
		r.add(k, s.RequestID, s.Dot)
		r.mu.Unlock()
	}
}

func (r *replaced) covers(k Key, id vclock.RequestID, o vclock.Object) bool {
	if !id.IsLasting() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.recent.covers(k, id, o)
}

// Did reports whether a write is part of the object that was read under k: its value is a
// sibling, or it has a lasting id and was replaced since, as far as that is remembered: 32 to 64
// thousand such writes since the store was opened. It does not block.
func (s *Store) Did(k Key, id vclock.RequestID, o vclock.Object) bool {
	return o.HasRequest(id) || s.replaced.covers(k, id, o)
}
