package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cartwheel/vclock"
)

// contents returns what a cache holds, and checks each shard's sums.
func contents(t *testing.T, c *cache) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for i := range c.shards {
		s := &c.shards[i]
		var younger, older int64
		for k, v := range s.older {
			older += cacheCharge([]byte(k), v)
			all[k] = v
		}
		for k, v := range s.younger {
			younger += cacheCharge([]byte(k), v)
			all[k] = v
		}
		if younger != s.bytes || younger > c.limit || older > c.limit {
			t.Fatalf("shard %d has %d and %d bytes and counts %d, the limit is %d", i, younger, older, s.bytes, c.limit)
		}
	}
	return all
}

func cacheEntry(k Key, form byte, body string) entry {
	key := recordKey(k)
	return entry{key, seal(key, append(newValue(form, len(body)), body...))}
}

// Whatever is put in, taken out and looked at, the cache stays within its limit and has either the newest
// value of a key or none.
func TestCacheAgainstAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	c := newCache(64 << 10)
	model := map[string][]byte{}
	forms := []byte{formRecord, formRecord, formRecord, formHead}
	c.last = 1
	hits := 0
	for at := uint64(2); at < 20_000; at++ {
		k := Key{Partition: uint16(random.IntN(4)), Name: fmt.Sprint(random.IntN(60))}
		e := cacheEntry(k, forms[random.IntN(len(forms))], strings.Repeat("v", random.IntN(1500)))
		switch random.IntN(4) {
		case 0:
			if random.IntN(8) == 0 {
				e.value = nil
			}
			c.replace([]entry{e}, at, func() { model[string(e.key)] = e.value })
		case 1: // as of a snapshot that is too old
			c.fill(e.key, e.value, c.last-1)
		case 2: // what is there
			if v := model[string(e.key)]; v != nil {
				c.fill(e.key, v, c.last)
			}
		case 3:
			if got := c.get(e.key); got != nil {
				hits++
				if !bytes.Equal(got, model[string(e.key)]) || got[4] != formRecord {
					t.Fatalf("at %d: the cache has %q, the database %q", at, got, model[string(e.key)])
				}
			}
		}
	}
	for k := range contents(t, c) {
		if got := c.get([]byte(k)); got != nil && !bytes.Equal(got, model[k]) { // looking moves others out
			t.Errorf("%q: the cache has %q, the database %q", k, got, model[k])
		}
	}
	if hits < 1000 {
		t.Errorf("%d hits: nothing was tested", hits)
	}
}

// What is used stays when so much comes in that the rest has to go.
func TestCacheKeepsWhatIsUsed(t *testing.T) {
	c := newCache(64 << 10)
	used := cacheEntry(key("used"), formRecord, "value")
	unused := cacheEntry(key("unused"), formRecord, "value")
	c.replace([]entry{used, unused}, 1, func() {})
	for i := range 5000 {
		c.replace([]entry{cacheEntry(key(fmt.Sprint(i)), formRecord, "value")}, uint64(i+2), func() {})
		if c.get(used.key) == nil {
			t.Fatalf("gone after %d others", i)
		}
	}
	if c.get(unused.key) != nil {
		t.Error("what was not used is still there")
	}
	contents(t, c)
}

// Hints, heads of large objects and values over the limit stay outside.
func TestCacheRefuses(t *testing.T) {
	c := newCache(64 << 10)
	hint := key("hint")
	hint.Hint = "owner"
	for name, e := range map[string]entry{
		"hint":   cacheEntry(hint, formRecord, "value"),
		"head":   cacheEntry(key("head"), formHead, "value"),
		"short":  {recordKey(key("short")), []byte("1234")},
		"large":  cacheEntry(key("large"), formRecord, strings.Repeat("v", 64<<10)),
		"delete": {recordKey(key("delete")), nil},
	} {
		c.replace([]entry{e}, 1, func() {})
		c.fill(e.key, e.value, 1)
		if c.get(e.key) != nil {
			t.Errorf("%s is in the cache", name)
		}
	}
	if n := len(contents(t, c)); n != 0 {
		t.Errorf("%d entries", n)
	}
}

// Readers beside a writer: whoever looks after a commit was answered sees it or a later one, be it in
// the cache or in the database, and no reader goes back.
func TestCacheNeverGoesBack(t *testing.T) {
	const keys, commits = 40, 8_000
	c := newCache(8 << 10) // holds some of them
	var mu sync.Mutex      // stands for the database and its snapshots
	type version struct{ at, number uint64 }
	database, visible := map[string][]version{}, uint64(0)
	snapshot := func() uint64 { mu.Lock(); defer mu.Unlock(); return visible }
	read := func(key string, at uint64) uint64 {
		mu.Lock()
		defer mu.Unlock()
		for i := len(database[key]) - 1; i >= 0; i-- {
			if v := database[key][i]; v.at <= at {
				return v.number
			}
		}
		return 0
	}
	body := func(k Key, n uint64) entry {
		return cacheEntry(k, formRecord, string(binary.BigEndian.AppendUint64(nil, n))+strings.Repeat("v", 100))
	}
	number := func(value []byte) uint64 { return binary.BigEndian.Uint64(value[sealBytes:]) }
	var answered [keys]atomic.Uint64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for r := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(3, uint64(r)))
			var seen [keys]uint64
			for {
				select {
				case <-done:
					return
				default:
				}
				i := random.IntN(keys)
				k := key(fmt.Sprint(i))
				least := max(seen[i], answered[i].Load())
				var got uint64
				if value := c.get(recordKey(k)); value != nil {
					got = number(value)
				} else {
					at := snapshot()
					got = read(string(recordKey(k)), at)
					if e := body(k, got); got > 0 {
						c.fill(e.key, e.value, at)
					}
				}
				if got < least {
					t.Errorf("key %d: read %d after %d", i, got, least)
					return
				}
				seen[i] = got
			}
		})
	}
	random := rand.New(rand.NewPCG(4, 4))
	for at := uint64(1); at <= commits; at++ {
		i := random.IntN(keys)
		e := body(key(fmt.Sprint(i)), at)
		mu.Lock()
		if v := append(database[string(e.key)], version{at, at}); len(v) > 100 {
			v = append(v[:0], v[50:]...)
			database[string(e.key)] = v
		} else {
			database[string(e.key)] = v
		}
		mu.Unlock()
		c.replace([]entry{e}, at, func() {
			mu.Lock()
			defer mu.Unlock()
			visible = at
		})
		answered[i].Store(at)
	}
	close(done)
	wg.Wait()
}

// What the store tells is the same with a cache that holds all, and with one that holds nothing.
func TestCacheMakesNoDifference(t *testing.T) {
	cached, bare := small(t.TempDir()), small(t.TempDir())
	bare.CacheBytes, cached.Run, bare.Run = 1, 7, 7
	stores := []*Store{mustOpen(t, cached), mustOpen(t, bare)}
	random := rand.New(rand.NewPCG(5, 5))
	foreign := vclock.NewActors(9)
	for i := range 600 {
		k := key(fmt.Sprint(random.IntN(20)))
		size, kind := random.IntN(300), random.IntN(10)
		if random.IntN(100) == 0 {
			size = 200_000 // in chunks
		}
		w := vclock.Write{Value: bytes.Repeat([]byte{byte(i)}, size), TakeLocal: random.IntN(3) > 0}
		object := vclock.Record{Object: vclock.Object{}}.Put(w, foreign).Object
		var digests [2]uint64
		for n, s := range stores {
			o := mustGet(t, s, k)
			digests[n] = digest(o)
			switch {
			case kind < 4:
				mustPut(t, s, k, w)
			case kind < 7:
				mustMerge(t, s, k, object)
			case kind == 7 && !o.Missing():
				if ok, err := drop(s, k, o.Digest()); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
		}
		if digests[0] != digests[1] {
			t.Fatalf("step %d: the stores differ in %v", i, k)
		}
	}
	if n := len(contents(t, stores[0].cache)); n == 0 {
		t.Error("nothing is in the cache")
	}
	if n := len(contents(t, stores[1].cache)); n != 0 {
		t.Errorf("%d entries are in the cache that should hold nothing", n)
	}
}

// A cached value is checked like one from the disk, and the disk is asked when it fails.
func TestDamagedMemoryIsNotRead(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	mustPut(t, s, key("k"), blind("value"))
	if o, ok := s.GetCached(key("k")); !ok || values(o) != "value" {
		t.Fatalf("a written object is not in memory: %v", o)
	}
	value := s.cache.get(recordKey(key("k")))
	value[len(value)-1] ^= 1
	if o, ok := s.GetCached(key("k")); ok {
		t.Errorf("read %v", o)
	}
	if got := values(mustGet(t, s, key("k"))); got != "value" {
		t.Errorf("read %q", got)
	}
	if _, ok := s.GetCached(key("k")); !ok {
		t.Error("the value from the disk did not replace the damaged one")
	}
}

// Neither a read nor a look into the cache is answered after Close, and what was read comes in.
func TestCacheOpensEmptyAndCloses(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	mustPut(t, s, key("k"), blind("value"))
	mustClose(t, s)
	if _, ok := s.GetCached(key("k")); ok {
		t.Error("the closed store has it in memory")
	}
	if _, err := s.Get(key("k")); !errors.Is(err, ErrClosed) {
		t.Errorf("read from a closed store: %v", err)
	}
	s = mustOpen(t, cfg)
	if _, ok := s.GetCached(key("k")); ok {
		t.Error("a new store has something in memory")
	}
	mustGet(t, s, key("k"))
	if o, ok := s.GetCached(key("k")); !ok || values(o) != "value" {
		t.Errorf("what was read is not in memory: %v", o)
	}
}

// A commit becomes visible while nobody can look into the cache: a reader that saw it in the database
// would find the older value here, or the other way round.
func TestCommitIsVisibleUnderAllLocks(t *testing.T) {
	c := newCache(64 << 10)
	e := cacheEntry(key("k"), formRecord, "value")
	c.replace([]entry{e}, 1, func() {
		for i := range c.shards {
			if c.shards[i].mu.TryLock() {
				c.shards[i].mu.Unlock()
				t.Errorf("shard %d is not locked", i)
			}
			if len(c.shards[i].younger) > 0 {
				t.Errorf("shard %d has what is not visible yet", i)
			}
		}
	})
	if c.get(e.key) == nil {
		t.Error("what is visible is not in the cache")
	}
}

// TestCacheDoesNotHideDamage: the disk rots under a record that is in memory. Once a scan has met it,
// the merge that brings the object back replaces it, says so, and the object outlives a restart.
func TestCacheDoesNotHideDamage(t *testing.T) {
	cfg := small(t.TempDir())
	var damaged, changed int
	cfg.Damaged = func(Key) { damaged++ }
	cfg.Changed = func(Change) { changed++ }
	s := mustOpen(t, cfg)
	object := mustPut(t, s, key("k"), blind("value"))
	good := bytes.Clone(rawValue(t, s, recordKey(key("k"))))
	flipBit(t, s, recordKey(key("k")))
	s.cache.fill(recordKey(key("k")), good, s.last)
	corrupt := func() (n int) {
		err := s.Scan(Scan{Partition: key("k").Partition, Visit: func(i Item) bool {
			if i.Err != nil {
				n++
			}
			return true
		}})
		if err != nil {
			t.Error(err)
		}
		return n
	}
	if n := corrupt(); n != 1 || damaged != 1 {
		t.Fatalf("%d corrupt records, told of %d; want one", n, damaged)
	}
	changed = 0
	mustMerge(t, s, key("k"), object)
	if n := corrupt(); n != 0 || changed != 1 {
		t.Errorf("after the repair %d corrupt records, told of %d changes; want none and one", n, changed)
	}
	mustClose(t, s)
	s = mustOpen(t, cfg)
	if o, err := s.Get(key("k")); err != nil || !o.Equal(object) {
		t.Errorf("after a restart: %v, %v", o, err)
	}
	mustClose(t, s)
}
