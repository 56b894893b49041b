package workload

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// The ways of choosing keys.
const (
	Uniform = "uniform" // every key alike
	Zipfian = "zipfian" // the i-th most popular in proportion to 1/i^0.99, scattered over all keys
	Latest  = "latest"  // the same law, the most popular being the one inserted last
)

// Distributions returns the ways of choosing keys.
func Distributions() []string { return []string{Uniform, Zipfian, Latest} }

// MaxKeys bounds a key space: the names of keys have ten digits, and inserts need some.
const MaxKeys = 1_000_000_000

// Keys is a number of keys and how they are chosen. [ParseKeys] makes one.
type Keys struct {
	distribution string
	n            int64
}

// ParseKeys returns n keys, 1 to [MaxKeys], numbered from 0, chosen by one of [Distributions].
func ParseKeys(distribution string, n int64) (Keys, error) {
	if n < 1 || n > MaxKeys {
		return Keys{}, fmt.Errorf("%d keys: choose from 1 to %d", n, int64(MaxKeys))
	}
	if !slices.Contains(Distributions(), distribution) {
		return Keys{}, fmt.Errorf("no key distribution %q; there are %s", distribution, strings.Join(Distributions(), ", "))
	}
	return Keys{distribution, n}, nil
}

// String returns the name of the distribution.
func (k Keys) String() string { return k.distribution }

// Len returns how many keys there are before any insert.
func (k Keys) Len() int64 { return k.n }

// Valid tells Keys that ParseKeys returned from the zero value.
func (k Keys) Valid() bool { return k.n > 0 }

// Open returns the key space of one run.
func (k Keys) Open() *Space {
	s := &Space{keys: k, next: k.n}
	s.limit.Store(k.n)
	return s
}

// Space is the keys of a run. Inserts make it larger. It is safe for concurrent use.
type Space struct {
	keys  Keys
	limit atomic.Int64 // all keys below it are there

	mu   sync.Mutex
	next int64
	open []int64 // begun and not ended, rising; at most one for each client
}

// Limit returns the number below which every key's insertion has ended.
func (s *Space) Limit() int64 { return s.limit.Load() }

// Insert returns the number of a new key. Inserted must follow.
func (s *Space) Insert() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.next
	s.next++
	s.open = append(s.open, i)
	return i
}

// Inserted says that the insertion of a key has ended, well or not. Reads of latest may choose
// it once all those before it have ended too; one that failed is then not found.
func (s *Space) Inserted(i int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := slices.BinarySearch(s.open, i)
	if !ok {
		return
	}
	s.open = slices.Delete(s.open, at, at+1)
	limit := s.next
	if len(s.open) > 0 {
		limit = s.open[0]
	}
	s.limit.Store(limit)
}

// Chooser returns a chooser of keys for one client.
func (s *Space) Chooser() *Chooser {
	c := &Chooser{space: s}
	c.law.resize(s.keys.n)
	c.step = scatterStep(s.keys.n)
	return c
}

// Chooser chooses keys. One goroutine uses it.
type Chooser struct {
	space *Space
	law   zipf
	step  int64
}

// Next returns the number of a key. It never is one whose insertion has not ended.
func (c *Chooser) Next(r *rand.Rand) int64 {
	keys := c.space.keys
	switch keys.distribution {
	case Zipfian:
		return scatter(c.law.draw(r), c.step, keys.n)
	case Latest:
		limit := c.space.Limit()
		if limit != c.law.n {
			c.law.resize(limit)
		}
		return limit - 1 - c.law.draw(r)
	}
	return r.Int64N(keys.n)
}
