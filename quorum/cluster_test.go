package quorum

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// A cluster is nodes that share one ring, each with a coordinator and a replica in memory,
// and links between them that can be slow, cut or silent. Everything runs in a bubble.
type cluster struct {
	t     testing.TB
	ring  *ring.Ring
	nodes []*node
	wg    sync.WaitGroup // forwarded puts

	mu     sync.Mutex
	missed []string // owners that coordinators reported, by uuid
}

type node struct {
	cluster     *cluster
	index       int
	links       []*link // by member; links[index] is local
	alive       []bool
	believed    atomic.Pointer[[]bool] // instead of alive, for tests that change it under way
	coordinator *Coordinator
	store       *memory
}

// memory is a replica's store of objects by name, with faults.
type memory struct {
	mu      sync.Mutex
	actors  *vclock.Actors
	clock   vclock.HybridClock
	records map[string]vclock.Record
	mints   int              // dots minted
	did     vclock.RequestID // a write that it knows

	fsync      time.Duration
	volatile   bool  // acknowledges what is not durable
	readErr    error // of every read
	writeErr   error // of every merge and mint
	hintErr    error // of those that are hints
	failCommit error // of a mint after Minted was called
}

// link leads to a node's replica. It carries calls after delay; silent: never; cut: refused at once;
// breaks: refused after delay.
type link struct {
	node *node

	mu          sync.Mutex // for tests that change a link while it is used
	delay       time.Duration
	cut, silent bool
	breaks      bool

	reads, calls, digests, hints atomic.Int32 // calls made; digests are reads; hints are merges that arrived
}

func newCluster(t testing.TB, nodes, n int, cfg Config) *cluster {
	doc := ring.Document{Cluster: "c", Version: 7, Parent: strings.Repeat("ab", 32), Partitions: 8, N: n, Tokens: 16}
	for i := range nodes {
		doc.Members = append(doc.Members, ring.Member{
			UUID: fmt.Sprintf("%08x-0000-4000-8000-000000000000", i), Name: fmt.Sprint("n", i), Weight: 1, Status: ring.StatusMember,
		})
	}
	r, err := ring.New(doc)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, ring: r}
	for i := range nodes {
		nd := &node{cluster: c, index: i, alive: make([]bool, nodes), store: &memory{
			actors: vclock.NewActors(uint64(i + 1)), records: make(map[string]vclock.Record),
		}}
		c.nodes = append(c.nodes, nd)
		mine := cfg
		mine.Missed = func(owner string, partition uint16) {
			if int(partition) >= r.Partitions() {
				t.Errorf("missed partition %d", partition)
			}
			c.mu.Lock()
			c.missed = append(c.missed, owner)
			c.mu.Unlock()
		}
		nd.coordinator = New(mine, nd.view)
	}
	for _, nd := range c.nodes {
		for i, other := range c.nodes {
			nd.links = append(nd.links, &link{node: other})
			nd.alive[i] = true
		}
	}
	return c
}

// close ends the coordinators, then waits for forwarded puts.
func (c *cluster) close() {
	for _, n := range c.nodes {
		n.coordinator.Close()
	}
	c.wg.Wait()
}

func (n *node) view() *View {
	v := &View{Ring: n.cluster.ring, Self: n.index, Alive: n.alive, Local: local{n.links[n.index], n.store}}
	if b := n.believed.Load(); b != nil {
		v.Alive = *b
	}
	for i, l := range n.links {
		if i == n.index {
			v.Replicas = append(v.Replicas, v.Local)
		} else {
			v.Replicas = append(v.Replicas, l)
		}
	}
	return v
}

// object returns a node's copy of key.
func (n *node) object(key ring.Key) vclock.Object {
	n.store.mu.Lock()
	defer n.store.mu.Unlock()
	return n.store.records[key.Name()].Object
}

// hint returns what a node keeps of key for an owner.
func (n *node) hint(owner *node, key ring.Key) vclock.Object {
	n.store.mu.Lock()
	defer n.store.mu.Unlock()
	return n.store.records[recordOf(owner.uuid(), key.Name())].Object
}

// hints returns the indices of the owners for which a node keeps something of key.
func (n *node) hints(key ring.Key) []int {
	var out []int
	for _, o := range n.cluster.owners(key) {
		if !n.hint(o, key).Missing() {
			out = append(out, o.index)
		}
	}
	return out
}

func (n *node) uuid() string { return n.cluster.ring.Members()[n.index].UUID }

// down makes nodes unreachable for everybody, and known to be.
func (c *cluster) down(nodes ...*node) {
	for _, gone := range nodes {
		for _, n := range c.nodes {
			if n != gone {
				n.alive[gone.index] = false
				n.links[gone.index].cut = true
			}
		}
	}
}

// mute makes nodes silent for everybody, and nobody has noticed.
func (c *cluster) mute(nodes ...*node) {
	for _, gone := range nodes {
		for _, n := range c.nodes {
			if n != gone {
				n.links[gone.index].set(func(l *link) { l.silent = true })
			}
		}
	}
}

func (l *link) set(change func(*link)) {
	l.mu.Lock()
	change(l)
	l.mu.Unlock()
}

// takeMissed returns the indices of the owners reported since it was last called.
func (c *cluster) takeMissed() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []int
	for _, uuid := range c.missed {
		i, _ := c.ring.Index(uuid)
		out = append(out, i)
	}
	c.missed = nil
	slices.Sort(out)
	return out
}

// plant puts a copy into the store, as if it had come by a merge.
func (n *node) plant(key ring.Key, o vclock.Object) {
	n.store.mu.Lock()
	defer n.store.mu.Unlock()
	rec, _ := n.store.records[key.Name()].Merge(o)
	n.store.records[key.Name()] = rec
}

// owners returns the nodes of key's preference list: the n owners, then the others.
func (c *cluster) owners(key ring.Key) []*node {
	var out []*node
	for _, i := range c.ring.Preference(c.ring.Partition(key.Name())) {
		out = append(out, c.nodes[i])
	}
	return out
}

var testKey = ring.Key{Bucket: "b", Key: "k"}

func defaults(n int) Options {
	return Options{N: n, R: LevelQuorum, W: LevelQuorum, DW: LevelQuorum, NotFoundOK: true, Timeout: 10 * time.Second}
}

var nextID atomic.Uint32

func putOf(value string, o Options, context vclock.Clock) PutRequest {
	id := nextID.Add(1)
	return PutRequest{
		Key: testKey, Context: context, RequestID: vclock.RequestID{1, byte(id), byte(id >> 8), byte(id >> 16)}, ContentType: "text/plain",
		Value: []byte(value), Options: o,
	}
}

func (n *node) put(value string, o Options) (PutResult, error) {
	return n.coordinator.Put(context.Background(), putOf(value, o, nil))
}

func (n *node) get(o Options) (GetResult, error) {
	return n.coordinator.Get(context.Background(), GetRequest{Key: testKey, Options: o})
}

// values returns the shown values, joined by a comma.
func values(o vclock.Object) string {
	s := ""
	for _, v := range o.Shown() {
		if s != "" {
			s += ","
		}
		if v.Deleted {
			s += "deleted"
		}
		s += string(v.Value)
	}
	return s
}

// made returns an object with one blind write of value by some other run.
func made(run uint64, value string) vclock.Object {
	return vclock.Record{}.Put(vclock.Write{Value: []byte(value)}, vclock.NewActors(run)).Object
}

// after returns o with value written over it.
func after(o vclock.Object, run uint64, value string) vclock.Object {
	return vclock.Record{Object: o}.Put(vclock.Write{Context: o.Clock, Value: []byte(value)}, vclock.NewActors(run)).Object
}

func wantShort(t *testing.T, err error, level string, got, want int) *UnsatisfiedError {
	t.Helper()
	e, ok := errors.AsType[*UnsatisfiedError](err)
	if !ok || e.Level != level || e.Got != got || e.Want != want {
		t.Fatalf("err = %v, want %s %d/%d", err, level, got, want)
	}
	return e
}

// bubble runs f on a cluster in a bubble and closes it; everything must have come back then.
func bubble(t *testing.T, nodes, n int, f func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nodes, n, Config{FollowUpTimeout: time.Second, DrainTimeout: time.Minute})
		f(t, c)
		c.close()
		for i, nd := range c.nodes {
			if s := nd.coordinator.Stats(); s.Open != 0 || s.InFlight != 0 || s.FollowUps != 0 {
				t.Errorf("node %d after Close: %+v", i, s)
			}
		}
	})
}
