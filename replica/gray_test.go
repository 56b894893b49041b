package replica

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
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

// memStore keeps objects in memory and takes a millisecond for each write.
type memStore struct {
	mu      sync.Mutex
	actors  *vclock.Actors
	records map[storage.Key]vclock.Record
}

// GetCached has nothing.
func (s *memStore) GetCached(storage.Key) (vclock.Object, bool) { return vclock.Object{}, false }

// Did knows no write.
func (s *memStore) Did(storage.Key, vclock.RequestID, vclock.Object) bool { return false }

func (s *memStore) Get(k storage.Key) (vclock.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records[k].Object, nil
}

func (s *memStore) Put(p storage.Put) {
	s.mu.Lock()
	rec := s.records[p.Key].Put(p.Write, s.actors)
	s.records[p.Key] = rec
	s.mu.Unlock()
	p.Minted(rec.Object)
	time.AfterFunc(time.Millisecond, func() { p.Done(rec.Object, nil) })
}

func (s *memStore) Merge(m storage.Merge) {
	s.mu.Lock()
	rec, _ := s.records[m.Key].Merge(m.Object)
	s.records[m.Key] = rec
	s.mu.Unlock()
	time.AfterFunc(time.Millisecond, func() { m.Done(nil) })
}

// swarm is a cluster of coordinators over the real transport.
type swarm struct {
	t       *testing.T
	net     *memnet.Net
	members []*swarmNode
}

type swarmNode struct {
	host        string
	transport   *transport.Transport
	coordinator *quorum.Coordinator
	server      *Server
	local       *Local
	store       *memStore
	breakers    []*Breaker
	view        *quorum.View
}

func newSwarm(t *testing.T, size int) *swarm {
	d := ring.Document{Cluster: "c", Version: 1, Partitions: 16, N: 3, Tokens: 16}
	for i := range size {
		d.Members = append(d.Members, ring.Member{UUID: fmt.Sprint("n", i), Name: fmt.Sprint("n", i), Weight: 1, Status: ring.StatusMember})
	}
	r, err := ring.New(d)
	if err != nil {
		t.Fatal(err)
	}
	s := &swarm{t: t, net: memnet.New(memnet.Config{Link: memnet.Link{Delay: time.Millisecond}})}
	addr := func(i int) string { return fmt.Sprintf("10.0.0.%d:7000", i+1) }
	for i := range size {
		n := &swarmNode{host: fmt.Sprintf("10.0.0.%d", i+1), store: &memStore{
			actors: vclock.NewActors(uint64(i + 1)), records: map[storage.Key]vclock.Record{},
		}}
		n.local = NewLocal(n.store, true, func(uint16) bool { return false })
		n.view = &quorum.View{Ring: r, Self: i, Local: n.local}
		n.coordinator = quorum.New(quorum.Config{}, func() *quorum.View { return n.view })
		n.server = NewServer(n.local, n.coordinator, func() *quorum.View { return n.view })
		n.transport, err = transport.New(transport.Config{
			Network: s.net.Host(n.host), Listen: addr(i), Node: fmt.Sprint("n", i), Cluster: "c",
			// The transport, too, notices a peer that says nothing at all. Here it must not.
			Heartbeat: time.Hour,
			Handler: func(_ transport.Peer, req transport.Request, reply func(transport.Response)) {
				n.server.Serve(req, reply)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		for j := range size {
			n.breakers = append(n.breakers, NewBreaker(BreakerConfig{}))
			n.view.Alive = append(n.view.Alive, true)
			if i == j {
				n.view.Replicas = append(n.view.Replicas, n.local)
			} else {
				n.view.Replicas = append(n.view.Replicas, NewRemote(n.transport, fmt.Sprint("n", j), addr(j), n.breakers[j]))
			}
		}
		n.transport.Start()
		s.members = append(s.members, n)
	}
	return s
}

func (s *swarm) close() {
	for _, n := range s.members {
		n.coordinator.Close()
	}
	for _, n := range s.members {
		if err := n.transport.Close(); err != nil {
			s.t.Error(err)
		}
	}
	for _, n := range s.members {
		n.server.Close()
		n.local.Close()
	}
}

// run lets clients work for that long through the first nodes and returns how long gets and
// puts took, and how many failed.
func (s *swarm) run(seed uint64, nodes int, d time.Duration) (took []time.Duration, failed int) {
	var mu sync.Mutex
	var clients sync.WaitGroup
	until := time.Now().Add(d)
	for i := range 8 {
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for time.Now().Before(until) {
				n := s.members[rnd.IntN(nodes)]
				key := ring.Key{Bucket: "b", Key: fmt.Sprint(rnd.IntN(100))}
				o := quorum.Options{N: 3, R: quorum.LevelQuorum, W: quorum.LevelQuorum, NotFoundOK: true, Sloppy: true, Lossy: true, Timeout: 10 * time.Second}
				start := time.Now()
				var err error
				if rnd.IntN(2) == 0 {
					_, err = n.coordinator.Get(context.Background(), quorum.GetRequest{Key: key, Options: o})
				} else {
					id := vclock.RequestID{byte(seed), byte(i), byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32())}
					_, err = n.coordinator.Put(context.Background(), quorum.PutRequest{Key: key, RequestID: id, Value: []byte("v"), Options: o})
				}
				mu.Lock()
				took = append(took, time.Since(start))
				if err != nil {
					failed++
				}
				mu.Unlock()
				time.Sleep(time.Duration(10+rnd.IntN(10)) * time.Millisecond)
			}
		})
	}
	clients.Wait()
	slices.Sort(took)
	return took, failed
}

func p99(took []time.Duration) time.Duration { return took[len(took)*99/100] }

// Gray failure: one of five nodes is stopped, its connections stay open and gossip says it is
// up. Two seconds later requests take no more than thrice what they took, and soon after it
// goes on again it is asked again.
func TestSilentNodeCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 5)
		s.run(1, 4, time.Second/2) // connects, and learns latencies
		healthy, failed := s.run(2, 4, time.Second)
		s.net.Pause(s.members[4].host)
		first, failedFirst := s.run(3, 4, 2*time.Second)
		stopped, failedThen := s.run(4, 4, 2*time.Second)
		t.Logf("p99 of %d healthy %v, of %d in the first two seconds %v, of %d later %v, longest %v",
			len(healthy), p99(healthy), len(first), p99(first), len(stopped), p99(stopped), stopped[len(stopped)-1])
		if failed+failedFirst+failedThen != 0 {
			t.Errorf("%d, %d and %d requests failed", failed, failedFirst, failedThen)
		}
		if p99(stopped) > 3*p99(healthy) {
			t.Errorf("p99 %v, healthy %v", p99(stopped), p99(healthy))
		}
		for _, n := range s.members[:4] {
			if b := n.breakers[4].Stats(); b.State == "closed" || b.Opened == 0 {
				t.Errorf("node %s: %+v", n.host, b)
			}
			if st := n.coordinator.Stats(); st.HintsSent == 0 || st.HintsRefused > 0 {
				t.Errorf("node %s: %+v", n.host, st)
			}
		}
		s.net.Resume(s.members[4].host)
		s.run(5, 4, 3*time.Second)
		again, _ := s.run(6, 4, time.Second)
		for _, n := range s.members[:4] {
			if b := n.breakers[4].Stats(); b.State != "closed" {
				t.Errorf("after it went on, node %s: %+v", n.host, b)
			}
		}
		if p99(again) > 3*p99(healthy) {
			t.Errorf("after it went on: p99 %v, healthy %v", p99(again), p99(healthy))
		}
		s.close()
	})
}
