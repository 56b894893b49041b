//go:build unix

package node

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"cartwheel/ring"
	"cartwheel/storage"
	"cartwheel/transport"
	"cartwheel/vclock"
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

// bareStores is three stores, and every object is in all of them.
type bareStores struct{ stores [3]*storage.Store }

func startBareStores(b *testing.B) *bareStores {
	s := new(bareStores)
	for i := range s.stores {
		st, err := storage.Open(storage.Config{Dir: b.TempDir()})
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

func storageKey(i int) storage.Key {
	i %= benchKeys
	return storage.Key{Partition: uint16(i % 256), Name: ring.Key{Bucket: "bench", Key: fmt.Sprintf("key-%06d", i)}.Name()}
}

// put commits a write in one store and, when it has its dot, in the others, as a
// coordinator does.
func (s *bareStores) put(worker, i int) error {
	at, key := worker%3, storageKey(i)
	done := make(chan error, 3)
	s.stores[at].Put(storage.Put{
		Key: key, Write: vclock.Write{TakeLocal: true, Value: benchValue()},
		Minted: func(o vclock.Object) {
			for j := 1; j < 3; j++ {
				s.stores[(at+j)%3].Merge(storage.Merge{Key: key, Object: o, Done: func(err error) { done <- err }})
			}
		},
		Done: func(_ vclock.Object, err error) { done <- err },
	})
	for range 3 {
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}

func (s *bareStores) get(worker, i int) error {
	at, key := worker%3, storageKey(i)
	for j := range 2 {
		o, err := s.stores[(at+j)%3].Get(key)
		if err != nil {
			return err
		}
		if o.Missing() {
			return fmt.Errorf("key %q is missing", key.Name)
		}
	}
	return nil
}
