//go:build unix

package node

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"cartwheel/ring"
	"cartwheel/storage/storagetest"
	"cartwheel/transport"
)

// startBareHTTP returns the address of a server that routes and does nothing else.
func startBareHTTP(b *testing.B) []string {
	value := benchValue()
	r := mux.NewRouter().UseEncodedPath().SkipClean(true)
	r.HandleFunc("/buckets/{bucket}/keys/{key}", func(w http.ResponseWriter, r *http.Request) {
		if mux.Vars(r)["key"] == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if r.Method == http.MethodPut {
			if _, err := io.ReadAll(r.Body); err != nil {
				b.Error(err)
			}
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header()["Content-Type"] = []string{"application/octet-stream"}
		_, _ = w.Write(value) // the generator notices
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{Handler: r}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	b.Cleanup(func() { s.Close(); <-done })
	return []string{ln.Addr().String()}
}

// bareCalls is three transports whose handlers answer at once.
type bareCalls struct {
	nodes [3]*transport.Transport
	addrs [3]string
	merge []byte
	read  []byte
}

const (
	bareMerge = 1
	bareRead  = 2
)

func startBareCalls(b *testing.B) *bareCalls {
	c := &bareCalls{merge: make([]byte, 1024+120), read: make([]byte, 40)}
	acked, digest := make([]byte, 1), make([]byte, 9)
	for i := range c.nodes {
		t, err := transport.New(transport.Config{
			Listen: "127.0.0.1:0", Node: fmt.Sprint("node", i), Cluster: "c",
			Handler: func(_ transport.Peer, req transport.Request, reply func(transport.Response)) {
				if req.Kind == bareMerge {
					reply(transport.Response{Payload: acked})
				} else {
					reply(transport.Response{Payload: digest})
				}
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		t.Start()
		b.Cleanup(func() { t.Close() })
		c.nodes[i], c.addrs[i] = t, t.Addr().String()
	}
	return c
}

func (c *bareCalls) call(from int, req transport.Request, to ...int) error {
	done := make(chan error, len(to))
	for _, t := range to {
		c.nodes[from].Call(c.addrs[t%3], req, func(_ transport.Response, err error) { done <- err })
	}
	for range to {
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}

func (c *bareCalls) put(worker, _ int) error {
	at := worker % 3
	return c.call(at, transport.Request{Kind: bareMerge, Budget: 5 * time.Second, Payload: c.merge}, at+1, at+2)
}

func (c *bareCalls) get(worker, i int) error {
	at := worker % 3
	return c.call(at, transport.Request{Kind: bareRead, Budget: 5 * time.Second, Payload: c.read}, at+1+i%2)
}

// bareStores is three databases with nothing around them, and every key is in all of them.
type bareStores struct {
	stores [3]*storagetest.Bare
	value  []byte
}

func startBareStores(b *testing.B) *bareStores {
	s := &bareStores{value: benchValue()}
	for i := range s.stores {
		st, err := storagetest.OpenBare(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := st.Close(); err != nil {
				b.Error(err)
			}
		})
		s.stores[i] = st
	}
	if err := inParallel(benchKeys, s.put); err != nil {
		b.Fatal(err)
	}
	return s
}

// storageKey is as long as the key that a node's store has for such an object.
func storageKey(i int) []byte {
	i %= benchKeys
	key := binary.BigEndian.AppendUint16([]byte{2}, uint16(i%256))
	return append(key, ring.Key{Bucket: "bench", Key: fmt.Sprintf("key-%06d", i)}.Name()...)
}

// put commits a write in all stores at once: no replica needs to wait for another one.
func (s *bareStores) put(_, i int) error {
	key := storageKey(i)
	done := make(chan error, len(s.stores))
	for _, st := range s.stores {
		st.Put(key, s.value, func(err error) { done <- err })
	}
	for range s.stores {
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}

func (s *bareStores) get(worker, i int) error {
	if err := s.get1(worker, i); err != nil {
		return err
	}
	return s.get1(worker+1, i)
}

func (s *bareStores) get1(worker, i int) error {
	key := storageKey(i)
	switch value, err := s.stores[worker%3].Get(key); {
	case err != nil:
		return err
	case len(value) != benchBytes:
		return fmt.Errorf("key %q has %d bytes", key, len(value))
	}
	return nil
}

// batches counts the batches of all stores, and the writes in them.
func (s *bareStores) batches() (batches, writes int64) {
	for _, st := range s.stores {
		b, w := st.Batches()
		batches, writes = batches+b, writes+w
	}
	return batches, writes
}

// limit makes n the largest batch of each store.
func (s *bareStores) limit(n int) {
	for _, st := range s.stores {
		st.Limit(n)
	}
}
