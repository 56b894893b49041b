package storage

import (
	"hash/maphash"
	"math/bits"

	"cartwheel/vclock"
)

// recentPerGeneration bounds the memory of request ids to twice as many entries of 48 bytes: some
// megabytes for the last 32 to 64 thousand writes, seconds under full load. A retry that comes
// later is still recognized while its value is a sibling.
const recentPerGeneration = 32 << 10

// recent remembers the request ids of the latest puts, and the dots minted for them, in two
// generations: when the younger one is full it becomes the older, and the older one is forgotten.
// An id counts together with its key: if a client used one id for two keys, the second write must
// not be taken for a retry.
type recent struct {
	seed           maphash.Seed
	younger, older map[recentID]vclock.Dot
	limit          int
}

type recentID struct {
	id  vclock.RequestID
	key uint64
}

func newRecent(limit int) *recent {
	return &recent{seed: maphash.MakeSeed(), younger: map[recentID]vclock.Dot{}, limit: limit}
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

// dot returns the dot that was last minted for the write; ok is false if none is remembered.
func (r *recent) dot(k Key, id vclock.RequestID) (d vclock.Dot, ok bool) {
	e := r.entry(k, id)
	if d, ok = r.younger[e]; !ok {
		d, ok = r.older[e]
	}
	return d, ok
}
