package antientropy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// fakeStore keeps objects in maps. Its lock is its committer.
type fakeStore struct {
	mu        sync.Mutex
	ring      *ring.Ring
	objects   []map[string]vclock.Object
	damaged   map[string]bool // cannot be read
	changed   func(partition uint16, name string, before, after uint64, lost bool)
	met       func(partition uint16, name string) // told of each damaged record before who met it is answered
	unscanned map[uint16]error                    // partitions of which no scan can be made
	fail      func(name string) error             // of a merge, if set
	slow      time.Duration                       // of a merge
	during    func()                              // called in the middle of each scan, if set
	actors    *vclock.Actors
	scans     atomic.Int64
}

var errUnreadable = errors.New("corrupt")

func newFakeStore(r *ring.Ring, run uint64) *fakeStore {
	s := &fakeStore{ring: r, damaged: make(map[string]bool), actors: vclock.NewActors(run)}
	for range r.Partitions() {
		s.objects = append(s.objects, make(map[string]vclock.Object))
	}
	s.changed = func(uint16, string, uint64, uint64, bool) {}
	s.met = func(uint16, string) {}
	return s
}

func (s *fakeStore) Scan(partition uint16, after string, began func(), visit func(string, vclock.Object, error) bool) error {
	type record struct {
		object vclock.Object
		err    error
	}
	s.scans.Add(1)
	s.mu.Lock()
	if err := s.unscanned[partition]; err != nil {
		s.mu.Unlock()
		return err
	}
	snapshot := make(map[string]record)
	for name, o := range s.objects[partition] {
		r := record{object: o}
		if s.damaged[name] {
			r = record{err: errUnreadable}
		}
		snapshot[name] = r
	}
	if began != nil {
		began()
	}
	s.mu.Unlock()
	names := slices.Sorted(maps.Keys(snapshot))
	for i, name := range names {
		if i == len(names)/2 && s.during != nil {
			s.during()
		}
		if name <= after {
			continue
		}
		if snapshot[name].err != nil {
			s.met(partition, name)
		}
		if !visit(name, snapshot[name].object, snapshot[name].err) {
			break
		}
	}
	return nil
}

func (s *fakeStore) Get(partition uint16, name string) (vclock.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.damaged[name] {
		s.met(partition, name)
		return vclock.Object{}, errUnreadable
	}
	return s.objects[partition][name], nil
}

func (s *fakeStore) Merge(partition uint16, name string, o vclock.Object, done func(error)) {
	if s.fail != nil {
		if err := s.fail(name); err != nil {
			done(err)
			return
		}
	}
	commit := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		merged, _ := vclock.Merge(s.objects[partition][name], o)
		s.setLocked(partition, name, merged)
		done(nil)
	}
	if s.slow > 0 {
		time.AfterFunc(s.slow, commit)
		return
	}
	commit()
}

// setLocked replaces a record, as a commit does.
func (s *fakeStore) setLocked(partition uint16, name string, o vclock.Object) {
	before, lost := s.objects[partition][name], s.damaged[name]
	if lost {
		s.met(partition, name)
	}
	delete(s.damaged, name)
	s.objects[partition][name] = o
	if o.Missing() {
		delete(s.objects[partition], name)
	}
	if lost {
		s.changed(partition, name, 0, digestOf(o), true)
	} else if b, a := digestOf(before), digestOf(o); b != a {
		s.changed(partition, name, b, a, false)
	}
}

// put writes a value of this node's own.
func (s *fakeStore) put(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.ring.Partition(name)
	var old vclock.Record
	if !s.damaged[name] {
		old.Object = s.objects[p][name]
	}
	s.setLocked(p, name, old.Put(vclock.Write{Value: []byte(value), TakeLocal: value[0] == '='}, s.actors).Object)
}

func (s *fakeStore) drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(s.ring.Partition(name), name, vclock.Object{})
}

// damage makes a record unreadable without anybody knowing.
func (s *fakeStore) damage(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damaged[name] = true
}

func (s *fakeStore) content() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]uint64)
	for _, objects := range s.objects {
		for name, o := range objects {
			all[name] = digestOf(o)
			if s.damaged[name] {
				all[name] = corruptDigest
			}
		}
	}
	return all
}

func (s *fakeStore) names(partition uint16) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.objects[partition]))
}

// fakeNode is one node of a cluster of fakes.
type fakeNode struct {
	c      *fakeCluster
	index  int
	uuid   string
	store  *fakeStore
	keeper atomic.Pointer[Keeper]
	view   atomic.Pointer[View]
	stop   context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	unsure []uint16 // as last told
	told   int      // how often
}

type fakeCluster struct {
	t      testing.TB
	ring   *ring.Ring
	levels []int
	n      func(name string) int
	nodes  []*fakeNode
	config Config

	mu    sync.Mutex
	fail  func(from, to string, kind uint8) error // of a call, if set; called with mu held
	send  func(from, to string, it Item) error    // of one object, if set
	bytes map[uint8]int                           // by kind, both directions; 0: objects sent
	calls map[uint8]int
}

type testThrottle struct{}

func (testThrottle) Wait(ctx context.Context, n int) error { return ctx.Err() }

// nameOf is a key in bucket b, whose n_val is 3, or b and a number, whose n_val that is.
func nameOf(bucket string, i int) string {
	return ring.Key{Bucket: bucket, Key: fmt.Sprintf("key-%06d", i)}.Name()
}

func bucketN(name string) int {
	k, err := ring.ParseName(name)
	if err == nil && len(k.Bucket) == 2 {
		return int(k.Bucket[1] - '0')
	}
	return 3
}

func testRing(t testing.TB, members, partitions int) *ring.Ring {
	d := ring.Document{Cluster: "c", Version: 1, Partitions: partitions, N: 3, Tokens: 16}
	for i := range members {
		d.Members = append(d.Members, ring.Member{UUID: fmt.Sprintf("node-%d", i), Name: fmt.Sprint("n", i), Weight: 1, Status: ring.StatusMember})
	}
	r, err := ring.New(d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// newCluster returns nodes with empty stores, all alive, none running.
func newCluster(t testing.TB, members, partitions int, levels ...int) *fakeCluster {
	c := &fakeCluster{t: t, ring: testRing(t, members, partitions), levels: levels, n: bucketN,
		bytes: make(map[uint8]int), calls: make(map[uint8]int)}
	if levels == nil {
		c.levels = []int{3}
	}
	for i, m := range c.ring.Members() {
		c.nodes = append(c.nodes, &fakeNode{c: c, index: i, uuid: m.UUID, store: newFakeStore(c.ring, uint64(i+1))})
	}
	for _, n := range c.nodes {
		n.renew()
	}
	c.alive(true)
	return c
}

// failing sets which calls fail.
func (c *fakeCluster) failing(f func(from, to string, kind uint8) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = f
}

// alive sets whether nodes see each other: all of them, or those listed see no other.
func (c *fakeCluster) alive(up bool, but ...int) {
	for _, n := range c.nodes {
		v := &View{Ring: c.ring, Self: n.index, Levels: c.levels}
		for i := range c.nodes {
			v.Alive = append(v.Alive, slices.Contains(but, i) != up)
		}
		n.view.Store(v)
		n.keeper.Load().Wake()
	}
}

// renew gives the node a new life, with the store it has.
func (n *fakeNode) renew() {
	cfg := n.c.config
	cfg.View, cfg.N, cfg.Run, cfg.Store, cfg.Sender, cfg.Throttle = n.view.Load, n.c.n, 7, n.store, n, testThrottle{}
	cfg.Call = n.call
	cfg.UnsureChanged = func(list []uint16) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.unsure = list
		n.told++
	}
	k, err := New(cfg)
	if err != nil {
		n.c.t.Fatal(err)
	}
	n.keeper.Store(k)
	n.store.mu.Lock()
	defer n.store.mu.Unlock()
	n.store.changed, n.store.met = k.Update, k.MarkCorrupt
}

func (n *fakeNode) k() *Keeper { return n.keeper.Load() }

func (n *fakeNode) call(ctx context.Context, member string, kind uint8, payload []byte) ([]byte, error) {
	c := n.c
	c.mu.Lock()
	c.calls[kind]++
	c.bytes[kind] += len(payload)
	var err error
	if c.fail != nil {
		err = c.fail(n.uuid, member, kind)
	}
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	i, _ := c.ring.Index(member)
	answer, err := c.nodes[i].k().Serve(n.uuid, kind, payload)
	c.mu.Lock()
	c.bytes[kind] += len(answer)
	c.mu.Unlock()
	if err == nil {
		err = ctx.Err()
	}
	return answer, err
}

// Send is the node's Sender.
func (n *fakeNode) Send(ctx context.Context, member string, items []Item) ([]bool, error) {
	c := n.c
	i, _ := c.ring.Index(member)
	acked := make([]bool, len(items))
	results := make([]chan error, len(items))
	var last error
	for j, it := range items {
		results[j] = make(chan error, 1)
		c.mu.Lock()
		c.bytes[0] += len(it.Name) + it.Object.Size()
		send := c.send
		c.mu.Unlock()
		if send != nil {
			if err := send(n.uuid, member, it); err != nil {
				results[j] <- err
				continue
			}
		}
		if !c.ring.Owns(i, it.Partition, it.N) {
			c.t.Errorf("sent to %s, which does not own %v", member, it.Partition)
		}
		c.nodes[i].store.Merge(it.Partition, it.Name, it.Object, func(err error) { results[j] <- err })
	}
	for j := range items {
		err := <-results[j]
		acked[j] = err == nil
		if err != nil {
			last = err
		}
	}
	return acked, last
}

// start runs the node until the test or stopNode ends it.
func (n *fakeNode) start() {
	ctx, stop := context.WithCancel(context.Background())
	n.stop, n.done = stop, make(chan struct{})
	k, done := n.k(), n.done
	go func() {
		defer close(done)
		if err := k.Run(ctx); err != nil {
			n.c.t.Error(err)
		}
	}()
}

func (n *fakeNode) halt() {
	n.stop()
	<-n.done
	n.k().Close()
}

func (c *fakeCluster) start() {
	for _, n := range c.nodes {
		n.start()
	}
}

func (c *fakeCluster) halt() {
	for _, n := range c.nodes {
		n.halt()
	}
}

// build gives each node its trees without running it.
func (c *fakeCluster) build() {
	for _, n := range c.nodes {
		n.build()
	}
}

func (n *fakeNode) build() {
	k := n.k()
	k.follow()
	at := 0
	for {
		p, found := k.nextBuild(&at)
		if !found {
			return
		}
		if err := k.build(context.Background(), p); err != nil {
			n.c.t.Fatal(err)
		}
	}
}

// put writes a value at one owner of the key.
func (c *fakeCluster) put(rnd *rand.Rand, name, value string) {
	p := c.ring.Partition(name)
	owners := c.ring.Preference(p)[:c.ring.EffectiveN(c.n(name))]
	c.nodes[owners[rnd.IntN(len(owners))]].store.put(name, value)
}

// everywhere brings a value to every owner of the key.
func (c *fakeCluster) everywhere(name, value string) {
	p := c.ring.Partition(name)
	var o vclock.Object
	for i, m := range c.ring.Preference(p)[:c.ring.EffectiveN(c.n(name))] {
		if i == 0 {
			c.nodes[m].store.put(name, value)
			o, _ = c.nodes[m].store.Get(p, name)
		}
		c.nodes[m].store.Merge(p, name, o, func(error) {})
	}
}

// unequal returns how many (key, owner) the owners do not hold alike; it also checks that nobody
// holds what it does not own.
func (c *fakeCluster) unequal() int {
	want := make(map[string]vclock.Object)
	for _, n := range c.nodes {
		for p, objects := range n.store.objects {
			n.store.mu.Lock()
			for name, o := range objects {
				if !c.ring.Owns(n.index, uint16(p), c.n(name)) {
					c.t.Errorf("%s holds %q of partition %d, which it does not own", n.uuid, name, p)
				}
				if !n.store.damaged[name] {
					want[name], _ = vclock.Merge(want[name], o)
				}
			}
			n.store.mu.Unlock()
		}
	}
	bad := 0
	for name, o := range want {
		p := c.ring.Partition(name)
		for _, m := range c.ring.Preference(p)[:c.ring.EffectiveN(c.n(name))] {
			if got, err := c.nodes[m].store.Get(p, name); err != nil || !got.Equal(o) {
				bad++
			}
		}
	}
	return bad
}

// checkTrees compares the trees of the node with what its store says.
func (n *fakeNode) checkTrees() {
	n.c.t.Helper()
	k := n.k()
	wanted := make([][]*tree, n.c.ring.Partitions())
	for name, digest := range n.store.content() {
		treeOf(&wanted[n.c.ring.Partition(name)], n.c.n(name)).change(hashOf(name), 0, digest)
	}
	for p, want := range wanted {
		if !k.currentPlan().owns(uint16(p)) {
			continue
		}
		part := k.part(uint16(p))
		if _, ready := part.state(); !ready {
			n.c.t.Errorf("%s: partition %d has no trees", n.uuid, p)
			continue
		}
		if !sameTrees(part.trees, want) {
			n.c.t.Errorf("%s: the trees of partition %d are not those of the store", n.uuid, p)
		}
	}
}
