package quorum

import (
	"context"
	"testing"

	"cartwheel/vclock"
)

// instant is a replica that answers inline and stores nothing.
type instant struct {
	object vclock.Object
	digest uint64
}

func (r *instant) Read(q Read) {
	a := ReadReply{Digest: r.digest}
	if !q.Digest {
		a.Object = r.object
	}
	q.Done(a)
}
func (r *instant) Merge(m Merge)     { m.Done(WriteReply{Durable: true}) }
func (r *instant) Forward(f Forward) { f.Done(PutResult{}, nil) }
func (r *instant) Mint(m Mint) {
	m.Minted(r.object)
	m.Done(r.object, WriteReply{Durable: true})
}

func instantCoordinator(b *testing.B, n int) *Coordinator {
	r := &instant{object: vclock.Record{}.Put(vclock.Write{
		RequestID: vclock.RequestID{1}, ContentType: "text/plain", Value: make([]byte, 1024),
	}, vclock.NewActors(1)).Object}
	r.digest = r.object.Digest()
	ring := newCluster(b, n, n, Config{}).ring
	view := &View{Ring: ring, Local: r}
	for range n {
		view.Replicas, view.Alive = append(view.Replicas, r), append(view.Alive, true)
	}
	return New(Config{}, func() *View { return view })
}

func BenchmarkPut(b *testing.B) {
	b.Run("n=3/w=2", func(b *testing.B) {
		c := instantCoordinator(b, 3)
		defer c.Close()
		r := putOf("", defaults(3), nil)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Put(context.Background(), r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	for name, r := range map[string]Level{"n=3/r=1": 1, "n=3/r=2": 2, "n=3/r=3": 3} {
		b.Run(name, func(b *testing.B) {
			c := instantCoordinator(b, 3)
			defer c.Close()
			q := GetRequest{Key: testKey, Options: defaults(3)}
			q.R = r
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Get(context.Background(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
