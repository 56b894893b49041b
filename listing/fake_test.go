package listing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"cartwheel/ring"
)

// record is one copy of an object.
type record struct {
	name    string
	live    bool
	damaged bool
}

// fakeStore is the records of a member, by partition, sorted by name.
type fakeStore struct {
	parts   map[uint16][]record
	broken  map[uint16]bool // the walk over the partition ends with an error
	blocked chan struct{}   // if not nil, walks wait for it

	mu     sync.Mutex
	looked int // records that walkers stood on
	seeks  int
	settle []bool // what Names was called with
}

func (s *fakeStore) Names(settled bool, read func(Walker) error) error {
	s.mu.Lock()
	s.settle = append(s.settle, settled)
	s.mu.Unlock()
	if s.blocked != nil {
		<-s.blocked
	}
	return read(&fakeWalker{s: s})
}

type fakeWalker struct {
	s    *fakeStore
	part uint16
	at   int
	err  error
}

func (w *fakeWalker) Seek(partition uint16, name string) bool {
	w.s.mu.Lock()
	w.s.seeks++
	w.s.mu.Unlock()
	w.part = partition
	if w.s.broken[partition] {
		w.err = errors.New("the walk ends at a damaged block")
		return false
	}
	w.at, _ = slices.BinarySearchFunc(w.s.parts[partition], name, func(r record, name string) int { return strings.Compare(r.name, name) })
	return w.stand()
}

func (w *fakeWalker) Next() bool {
	w.at++
	return w.stand()
}

func (w *fakeWalker) stand() bool {
	w.s.mu.Lock()
	w.s.looked++
	w.s.mu.Unlock()
	return w.at < len(w.s.parts[w.part])
}

func (w *fakeWalker) record() record { return w.s.parts[w.part][w.at] }
func (w *fakeWalker) Err() error     { return w.err }
func (w *fakeWalker) Name() []byte   { return []byte(w.record().name) }
func (w *fakeWalker) Bytes() int64   { return int64(len(w.record().name)) }

func (w *fakeWalker) Live() (bool, error) {
	if w.record().damaged {
		return false, errors.New("damaged")
	}
	return w.record().live, nil
}

// member is a node of a fakeCluster.
type member struct {
	index  int
	store  *fakeStore
	server *Server

	mu     sync.Mutex
	unsure map[uint16]bool
}

func (m *member) doubts(p uint16) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unsure[p]
}

// fakeCluster is members that answer each other without a network.
type fakeCluster struct {
	ring    *ring.Ring
	members []*member
	config  Config
	server  ServerConfig

	mu     sync.Mutex
	away   map[int]bool
	behind func(member int, partition uint16) bool
	// ask, if not nil, stands before each call; with an error the member does not get it.
	ask   func(ctx context.Context, member int, q request) error
	calls []request // of the calls so far
	to    []int     // and whom
}

func testRing(t testing.TB, members, partitions, n int) *ring.Ring {
	t.Helper()
	d := ring.Document{Cluster: "c", Version: 1, Partitions: partitions, N: n, Tokens: 8}
	for i := range members {
		d.Members = append(d.Members, ring.Member{UUID: fmt.Sprintf("uuid-%02d", i), Name: fmt.Sprint("n", i), Weight: 1, Status: ring.StatusMember})
	}
	r, err := ring.New(d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newCluster(t testing.TB, members, partitions, n int) *fakeCluster {
	c := &fakeCluster{ring: testRing(t, members, partitions, n), away: map[int]bool{}}
	for i := range members {
		c.members = append(c.members, &member{
			index: i, unsure: map[uint16]bool{}, store: &fakeStore{parts: map[uint16][]record{}, broken: map[uint16]bool{}},
		})
	}
	return c
}

// serve makes the servers, and the coordinator of the first member.
func (c *fakeCluster) serve() *Coordinator {
	for _, m := range c.members {
		sc := c.server
		sc.View = func() *View { return &View{Ring: c.ring, Self: m.index} }
		sc.Unsure, sc.Store = m.doubts, m.store
		m.server = NewServer(sc)
	}
	cfg := c.config
	cfg.View = c.view
	cfg.Ask = c.call
	if c.behind != nil {
		cfg.Behind = func(context.Context, *View) func(int, uint16) bool { return c.behind }
	}
	return New(cfg)
}

func (c *fakeCluster) view() *View {
	c.mu.Lock()
	defer c.mu.Unlock()
	away := maps.Clone(c.away)
	return &View{Ring: c.ring, Self: 0, Usable: func(m int) bool { return !away[m] }}
}

func (c *fakeCluster) call(ctx context.Context, uuid string, payload []byte) ([]byte, error) {
	i, ok := c.ring.Index(uuid)
	if !ok {
		return nil, errors.New("no such member")
	}
	q, err := decodeRequest(payload)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.calls, c.to = append(c.calls, q), append(c.to, i)
	ask := c.ask
	c.mu.Unlock()
	if ask != nil {
		if err := ask(ctx, i, q); err != nil {
			return nil, err
		}
	}
	return c.members[i].server.Serve(ctx, payload)
}

// asked returns how many pages were asked for.
func (c *fakeCluster) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls)
}

// put gives all owners of the key at n a copy.
func (c *fakeCluster) put(k ring.Key, n int, live bool) {
	name := k.Name()
	p := c.ring.Partition(name)
	for _, m := range c.ring.Preference(p)[:c.ring.EffectiveN(n)] {
		s := c.members[m].store
		at, found := slices.BinarySearchFunc(s.parts[p], name, func(r record, name string) int { return strings.Compare(r.name, name) })
		if found {
			s.parts[p][at] = record{name: name, live: live}
		} else {
			s.parts[p] = slices.Insert(s.parts[p], at, record{name: name, live: live})
		}
	}
}

// oracle lists by looking at every record of every member.
func (c *fakeCluster) oracle(q Query) []string {
	found := map[string]bool{}
	for _, m := range c.members {
		for _, list := range m.store.parts {
			for _, r := range list {
				k, err := ring.ParseName(r.name)
				if err != nil {
					panic(err)
				}
				name := k.Key
				if q.Bucket == "" {
					name = k.Bucket
				} else if k.Bucket != q.Bucket {
					continue
				}
				typ := q.Type
				if typ == "" {
					typ = ring.DefaultType
				}
				if k.Type == typ && r.live && strings.HasPrefix(name, q.Prefix) && name >= q.Start {
					found[name] = true
				}
			}
		}
	}
	names := slices.Sorted(maps.Keys(found))
	if q.Limit > 0 {
		names = names[:min(len(names), q.Limit)]
	}
	return names
}

// list collects what is listed.
func list(c *Coordinator, q Query) (names []string, err error) {
	err = c.List(context.Background(), q, func(batch []string) error {
		if len(batch) == 0 || len(batch) > batchNames {
			return fmt.Errorf("a batch of %d names", len(batch))
		}
		names = append(names, batch...)
		return nil
	})
	return names, err
}

// check compares a list with what it should be.
func check(t testing.TB, c *fakeCluster, co *Coordinator, q Query) {
	t.Helper()
	got, err := list(co, q)
	if err != nil {
		t.Errorf("%+v: %v", q, err)
		return
	}
	if !q.Sorted && q.Limit == 0 {
		slices.Sort(got)
	}
	want := c.oracle(q)
	if !slices.Equal(got, want) {
		t.Errorf("%+v:\n got %d names %.2000q\nwant %d names %.2000q", q, len(got), got, len(want), want)
	}
	if n, err := co.Count(context.Background(), q); err != nil || n != int64(len(want)) {
		t.Errorf("count %+v: %d, %v; want %d", q, n, err, len(want))
	}
}

// randomName has few different bytes, so that names are prefixes of each other, and some at the edges.
func randomName(rnd *rand.Rand, most int) string {
	b := make([]byte, 1+rnd.IntN(most))
	for i := range b {
		b[i] = []byte{0, 1, 'a', 'b', 0x7f, 0x80, 0xff}[rnd.IntN(7)]
	}
	return string(b)
}

// fill puts random objects into a cluster and returns the buckets.
func (c *fakeCluster) fill(rnd *rand.Rand, objects int) (names []string) {
	for range 1 + rnd.IntN(12) {
		names = append(names, randomName(rnd, 4))
	}
	names = append(names, strings.Repeat("x", 127+rnd.IntN(3)), "dead")
	for range objects {
		k := ring.Key{Type: []string{"", "t"}[rnd.IntN(2)], Bucket: names[rnd.IntN(len(names))], Key: randomName(rnd, 6)}
		c.put(k, 0, k.Bucket != "dead" && rnd.IntN(4) > 0)
	}
	return names
}

func randomQuery(rnd *rand.Rand, buckets []string) Query {
	q := Query{Type: []string{"", "default", "t", "none"}[rnd.IntN(4)], Sorted: rnd.IntN(2) == 0}
	if rnd.IntN(3) > 0 {
		q.Bucket = buckets[rnd.IntN(len(buckets))]
	}
	if rnd.IntN(3) == 0 {
		q.Prefix = randomName(rnd, 2)
	}
	if rnd.IntN(3) == 0 {
		q.Start = randomName(rnd, 3)
	}
	if rnd.IntN(3) == 0 {
		q.Limit = 1 + rnd.IntN(20)
	}
	return q
}
