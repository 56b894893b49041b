package storage

import (
	"hash/maphash"

	"cartwheel/vclock"
)

// recentPerGeneration bounds the memory of request ids to twice as many entries of 24 bytes: a
// few megabytes for the last 32 to 64 thousand writes, seconds under full load. A retry that comes
// later is still recognized while its value is a sibling.
const recentPerGeneration = 32 << 10

// recent remembers the request ids of the latest puts in two generations: when the younger one is
// full it becomes the older, and the older one is forgotten. An id counts together with its key:
// if a client used one id for two keys, the second write must not be taken for a retry.
type recent struct {
	seed           maphash.Seed
	younger, older map[recentID]struct{}
	limit          int
}

type recentID struct {
	id  vclock.RequestID
	key uint64
}

func newRecent(limit int) *recent {
	return &recent{seed: maphash.MakeSeed(), younger: map[recentID]struct{}{}, limit: limit}
}

func (r *recent) entry(k Key, id vclock.RequestID) recentID {
	return recentID{id: id, key: maphash.String(r.seed, k.Name) ^ uint64(k.Partition)}
}

func (r *recent) add(k Key, id vclock.RequestID) {
	if id == (vclock.RequestID{}) {
		return
	}
	if len(r.younger) >= r.limit {
		r.older, r.younger = r.younger, make(map[recentID]struct{}, r.limit)
	}
	r.younger[r.entry(k, id)] = struct{}{}
}

func (r *recent) has(k Key, id vclock.RequestID) bool {
	if id == (vclock.RequestID{}) {
		return false
	}
	e := r.entry(k, id)
	_, young := r.younger[e]
	_, old := r.older[e]
	return young || old
}
