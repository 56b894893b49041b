package storage

import (
	"hash/maphash"
	"sync"
)

const (
	// cacheShards lets readers on several processors look things up at once.
	cacheShards = 16
	// cacheEntryBytes is what an entry takes besides key and value.
	cacheEntryBytes = 96
)

// cache keeps the sealed values of the own records that were written or read last, so that neither
// a read nor the reading before a write has to look for them in Badger: there it searches every
// level and copies what it finds several times. It is a copy of what is durable and nothing else, and
// every value is checked each time it is used. Values are shared and never changed.
//
// Like recent, each shard has two generations; what is used in the older one moves to the younger.
//
// The cache never tells an older value than a snapshot taken now would: a commit becomes visible and
// its values come in under all locks, and what a reader found is let in only if nothing was committed
// since its snapshot.
type cache struct {
	seed   maphash.Seed
	limit  int64  // of one generation of one shard
	last   uint64 // the newest commit; written under all locks, read under any
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu             sync.Mutex
	younger, older map[string][]byte // by database key; nil when the cache is closed
	bytes          int64             // of younger
	_              [64]byte          // on another cache line than the next one
}

func newCache(bytes int64) *cache {
	c := &cache{seed: maphash.MakeSeed(), limit: bytes / cacheShards / 2}
	for i := range c.shards {
		c.shards[i].younger = map[string][]byte{}
	}
	return c
}

func (c *cache) shard(key []byte) *cacheShard {
	return &c.shards[maphash.Bytes(c.seed, key)%cacheShards]
}

// get returns the value of a database key, nil if it is not there.
func (c *cache) get(key []byte) []byte {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if value, ok := s.younger[string(key)]; ok {
		return value
	}
	value, ok := s.older[string(key)]
	if ok {
		s.set(key, value, c.limit)
	}
	return value
}

// fill adds what a reader found at a snapshot.
func (c *cache) fill(key, value []byte, at uint64) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if at >= c.last {
		s.set(key, value, c.limit)
	}
}

// replace has publish make a commit visible and goes over to its values.
func (c *cache) replace(changes []entry, at uint64, publish func()) {
	for i := range c.shards {
		c.shards[i].mu.Lock()
		defer c.shards[i].mu.Unlock()
	}
	publish()
	c.last = at
	for _, e := range changes {
		c.shard(e.key).set(e.key, e.value, c.limit)
	}
}

// forget takes a key out.
func (c *cache) forget(key []byte) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(key, nil, c.limit)
}

// set makes value that of key, or takes the key out if the value is none to be kept: hints leave
// soon, heads are of no use without their chunks. The caller holds the lock.
func (s *cacheShard) set(key, value []byte, limit int64) {
	if s.younger == nil {
		return
	}
	if old, ok := s.younger[string(key)]; ok {
		s.bytes -= cacheCharge(key, old)
	}
	size := cacheCharge(key, value)
	if key[0] != kindRecord || len(value) < sealBytes || value[4] != formRecord || size > limit {
		delete(s.younger, string(key))
		delete(s.older, string(key))
		return
	}
	if s.bytes+size > limit {
		s.older, s.younger, s.bytes = s.younger, make(map[string][]byte, len(s.younger)), 0
	}
	s.bytes += size
	s.younger[string(key)] = value
}

func cacheCharge(key, value []byte) int64 { return int64(len(key) + len(value) + cacheEntryBytes) }

// close empties the cache for good.
func (c *cache) close() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.younger, s.older = nil, nil
		s.mu.Unlock()
	}
}
