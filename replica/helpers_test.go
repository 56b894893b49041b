package replica

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/internal/memnet"
	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/storage"
	"cartwheel/transport"
	"cartwheel/vclock"
)

// fakeStore answers with what its functions say.
type fakeStore struct {
	get    func(storage.Key) (vclock.Object, error)
	cached func(storage.Key) (vclock.Object, bool) // nil: nothing
	put    func(storage.Put)
	merge  func(storage.Merge)
	did    func(storage.Key, vclock.RequestID, vclock.Object) bool
}

func (s fakeStore) Get(k storage.Key) (vclock.Object, error) { return s.get(k) }
func (s fakeStore) GetCached(k storage.Key) (o vclock.Object, ok bool) {
	if s.cached != nil {
		return s.cached(k)
	}
	return o, false
}
func (s fakeStore) Did(k storage.Key, id vclock.RequestID, o vclock.Object) bool {
	return s.did(k, id, o)
}
func (s fakeStore) Put(p storage.Put)     { s.put(p) }
func (s fakeStore) Merge(m storage.Merge) { s.merge(m) }

// refusing returns a store that refuses everything with err.
func refusing(err error) fakeStore {
	return fakeStore{
		get:   func(storage.Key) (vclock.Object, error) { return vclock.Object{}, err },
		put:   func(p storage.Put) { p.Done(vclock.Object{}, err) },
		merge: func(m storage.Merge) { m.Done(err) },
	}
}

// fakeCoordinator runs forwarded puts.
type fakeCoordinator func(context.Context, quorum.PutRequest, bool) (quorum.PutResult, error)

func (c fakeCoordinator) Coordinate(ctx context.Context, r quorum.PutRequest, standIn bool) (quorum.PutResult, error) {
	return c(ctx, r, standIn)
}

// testRing has three members, two owners per key, and version 1.
func testRing(t testing.TB) *ring.Ring {
	d := ring.Document{Cluster: "c", Version: 1, Partitions: 8, N: 2, Tokens: 16}
	for _, name := range []string{"a", "b", "c"} {
		d.Members = append(d.Members, ring.Member{UUID: name, Name: name, Weight: 1, Status: ring.StatusMember})
	}
	r, err := ring.New(d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// keyOf returns a target that the member does or does not own.
func keyOf(r *ring.Ring, member int, owned bool) quorum.Target {
	for i := byte(0); ; i++ {
		name := ring.Key{Bucket: "b", Key: string([]byte{'k', '0' + i})}.Name()
		if p := r.Partition(name); r.Owns(member, p, 2) == owned {
			return quorum.Target{Name: name, Partition: p, N: 2, Ring: r.Version()}
		}
	}
}

// pair is a node that asks and the member of the ring, number 0, that it asks.
type pair struct {
	t      *testing.T
	ring   *ring.Ring
	target quorum.Target // owned by the member
	view   *quorum.View  // of the member; may be replaced before the first request

	local  *Local
	server *Server
	net    *memnet.Net
	from   *transport.Transport
	to     *transport.Transport
	remote *Remote
}

const (
	fromAddr = "10.0.0.1:7000"
	toAddr   = "10.0.0.2:7000"
)

type pairConfig struct {
	store       Store
	os          bool // durability
	unsure      func(uint16) bool
	coordinator Coordinator
	from, to    func(*transport.Config)
	handler     transport.Handler // instead of the server
}

func (c *pairConfig) unsureFunc() func(uint16) bool {
	if c.unsure != nil {
		return c.unsure
	}
	return func(uint16) bool { return false }
}

func newPair(t *testing.T, cfg pairConfig) *pair {
	r := testRing(t)
	p := &pair{t: t, ring: r, target: keyOf(r, 0, true), net: memnet.New(memnet.Config{Link: memnet.Link{Delay: time.Millisecond}})}
	p.local = NewLocal(cfg.store, !cfg.os, cfg.unsureFunc())
	p.view = &quorum.View{Ring: r, Self: 0, Local: p.local}
	p.server = NewServer(p.local, cfg.coordinator, func() *quorum.View { return p.view })
	if cfg.handler == nil {
		cfg.handler = func(_ transport.Peer, req transport.Request, reply func(transport.Response)) {
			p.server.Serve(req, reply)
		}
	}
	start := func(host, addr, node string, handler transport.Handler, change func(*transport.Config)) *transport.Transport {
		c := transport.Config{Network: p.net.Host(host), Listen: addr, Node: node, Cluster: "c", Handler: handler}
		if change != nil {
			change(&c)
		}
		tr, err := transport.New(c)
		if err != nil {
			t.Fatal(err)
		}
		tr.Start()
		return tr
	}
	p.from = start("10.0.0.1", fromAddr, "x", nil, cfg.from)
	p.to = start("10.0.0.2", toAddr, r.Members()[0].UUID, cfg.handler, cfg.to)
	p.remote = NewRemote(p.from, r.Members()[0].UUID, toAddr, NewBreaker(BreakerConfig{}))
	return p
}

func (p *pair) close() {
	for _, tr := range []*transport.Transport{p.from, p.to} {
		if err := tr.Close(); err != nil {
			p.t.Error(err)
		}
	}
	p.server.Close()
	p.local.Close()
}

// once returns a function to be called once, and one that waits for the call and makes sure
// that no second one comes, at once or later.
func once[T any](t *testing.T) (done func(T), wait func() T) {
	t.Helper()
	var mu sync.Mutex
	var got []T
	called := make(chan struct{}, 16)
	done = func(v T) {
		mu.Lock()
		got = append(got, v)
		mu.Unlock()
		called <- struct{}{}
	}
	return done, func() T {
		t.Helper()
		<-called // a call that never comes deadlocks the bubble, which says so
		synctest.Wait()
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(got) != 1 {
			t.Errorf("Done was called %d times", len(got))
		}
		return got[0]
	}
}

const budget = 2 * time.Second

func (p *pair) read(r quorum.Replica, target quorum.Target, digest bool) quorum.ReadReply {
	p.t.Helper()
	done, wait := once[quorum.ReadReply](p.t)
	r.Read(quorum.Read{Target: target, Digest: digest, Budget: budget, Done: done})
	return wait()
}

func (p *pair) merge(r quorum.Replica, target quorum.Target, o vclock.Object) quorum.WriteReply {
	p.t.Helper()
	done, wait := once[quorum.WriteReply](p.t)
	r.Merge(quorum.Merge{Target: target, Object: o, Encoded: o.Append(nil), Budget: budget, Done: done})
	return wait()
}

type putOutcome struct {
	result quorum.PutResult
	err    error
}

func (p *pair) forward(r quorum.Replica, version uint64, req quorum.PutRequest) putOutcome {
	p.t.Helper()
	done, wait := once[putOutcome](p.t)
	r.Forward(quorum.Forward{Request: req, Ring: version, Budget: budget, Done: func(res quorum.PutResult, err error) { done(putOutcome{res, err}) }})
	return wait()
}

// raw sends a payload as it is.
func (p *pair) raw(kind transport.Kind, version uint64, payload []byte) transport.Response {
	p.t.Helper()
	done, wait := once[transport.Response](p.t)
	p.from.Call(toAddr, transport.Request{Kind: kind, Ring: version, Budget: budget, Payload: payload}, func(resp transport.Response, err error) {
		if err != nil {
			p.t.Error(err)
		}
		done(resp)
	})
	return wait()
}

// reason returns the reason of a refusal, and reports an error that is none.
func (p *pair) reason(err error) quorum.Reason {
	p.t.Helper()
	e, ok := err.(*quorum.RefusedError)
	if !ok {
		p.t.Errorf("error %#v is not a refusal", err)
		return 0
	}
	if e.Text == "" {
		p.t.Error("a refusal without a text")
	}
	return e.Reason
}

// inBubble runs a test with a pair in a bubble.
func inBubble(t *testing.T, cfg func(t *testing.T) pairConfig, test func(t *testing.T, p *pair)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, cfg(t))
		defer p.close()
		test(t, p)
	})
}

func (p *pair) settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

// object returns an object with the values as siblings.
func object(values ...string) vclock.Object { return objectBy(7, values...) }

// objectBy returns an object with the values as siblings, minted by one actor.
func objectBy(run uint64, values ...string) vclock.Object {
	ids := vclock.NewActors(run)
	var r vclock.Record
	for _, v := range values {
		r = r.Put(vclock.Write{Value: []byte(v), ContentType: "text/plain", Time: 5}, ids)
	}
	return r.Object
}

func tombstone(over vclock.Object) vclock.Object {
	r := vclock.Record{Object: over}
	return r.Put(vclock.Write{Context: over.Clock, Deleted: true}, vclock.NewActors(9)).Object
}

// untouched is a store that must not be asked.
func untouched(t *testing.T) fakeStore {
	return fakeStore{
		get:   func(storage.Key) (vclock.Object, error) { t.Error("the store was read"); return vclock.Object{}, nil },
		put:   func(storage.Put) { t.Error("the store was written") },
		merge: func(storage.Merge) { t.Error("the store was written") },
	}
}

func noCoordinator(t *testing.T) Coordinator {
	return fakeCoordinator(func(context.Context, quorum.PutRequest, bool) (quorum.PutResult, error) {
		t.Error("a put was coordinated")
		return quorum.PutResult{}, nil
	})
}

func untouchedPair(t *testing.T) pairConfig {
	return pairConfig{store: untouched(t), coordinator: noCoordinator(t)}
}

func openStore(t *testing.T, d storage.Durability) *storage.Store {
	t.Helper()
	s, err := storage.Open(storage.Config{Dir: t.TempDir(), Durability: d, MemTableBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
