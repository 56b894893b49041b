package node

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cartwheel/internal/memnet"
	"cartwheel/listing"
	"cartwheel/ring"
	"cartwheel/storage"
	"cartwheel/vclock"
)

// store gives the nodes' stores an object, as if it had come from other replicas.
func (p *place) store(k ring.Key, o vclock.Object, nodes ...*machine) {
	p.t.Helper()
	for _, m := range nodes {
		done := make(chan error, 1)
		name := k.Name()
		m.Node.store.Merge(storage.Merge{
			Key: storage.Key{Partition: m.View().Ring.Partition(name), Name: name}, Object: o, Done: func(err error) { done <- err },
		})
		if err := <-done; err != nil {
			p.t.Fatal(err)
		}
	}
}

// written is an object of one write.
func written(run uint64, at vclock.Time, deleted bool) vclock.Object {
	w := vclock.Write{Time: at, Deleted: deleted, ContentType: "text/plain"}
	if !deleted {
		w.Value = []byte("v")
	}
	return vclock.Record{}.Put(w, vclock.NewActors(run)).Object
}

// A bucket where the last write wins shows no value of which a later delete is a sibling, so it lists none;
// in others the value stays.
func TestListsLeaveOutWhatLost(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		nodes[0].setProps(http.StatusNoContent, "last", `{"allow_mult":false}`)
		later, _ := vclock.Merge(written(1, 10, false), written(2, 20, true))
		sooner, _ := vclock.Merge(written(3, 30, false), written(4, 20, true))
		for _, bucket := range []string{"last", "b", "gone"} {
			p.store(ring.Key{Bucket: bucket, Key: "later"}, later, nodes...)
			if bucket != "gone" {
				p.store(ring.Key{Bucket: bucket, Key: "sooner"}, sooner, nodes...)
			}
		}
		nodes[0].setProps(http.StatusNoContent, "gone", `{"last_write_wins":true}`)
		nodes[0].want(http.StatusNotFound, "GET", "/buckets/last/keys/later", "")
		nodes[0].want(http.StatusOK, "GET", "/buckets/b/keys/later", "")
		for _, m := range nodes {
			for _, sorted := range []bool{false, true} {
				m.wantList(listing.Query{Bucket: "last", Sorted: sorted}, []string{"sooner"})
				m.wantList(listing.Query{Bucket: "b", Sorted: sorted}, []string{"later", "sooner"})
			}
			m.wantList(listing.Query{}, []string{"b", "last"})
			if n, err := m.lists.Count(context.Background(), listing.Query{Bucket: "last"}); err != nil || n != 1 {
				t.Errorf("%s counts %d, %v", m.cfg.Name, n, err)
			}
		}
	})
}

// Who was away lacks what was written meanwhile, and only those who wrote it know: a node that
// was not among them lists it all the same, or says that nobody can.
func TestListsAskWhoKnowsWhatIsMissing(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		nodes[2].stop()
		p.await("it to be seen gone", func() bool { return !nodes[0].View().Alive[nodes[2].View().Self] })
		keys := keysOf("k", 60)
		slices.Sort(keys)
		for _, k := range keys {
			nodes[0].put(k, "v")
		}
		p.await("the other to have all", func() bool { return p.lacking(nodes[1], keys) == 0 })
		// The one that knows cannot mend the one that was away.
		p.net.Partition([]string{"10.0.0.1"}, []string{"10.0.0.3"})
		nodes[2] = p.start(nodes[2].cfg)
		p.await("it to be back", func() bool { return nodes[1].View().Alive[nodes[1].index(nodes[2])] })
		if n := p.lacking(nodes[2], keys); n == 0 {
			t.Error("it lacks nothing: the test proves nothing")
		}
		for _, q := range bothWays {
			nodes[1].wantList(q, keys)
		}
		p.net.HealAll()
		p.await("all to be whole", func() bool { return p.lacking(nodes[2], keys) == 0 && together(nodes) })
	})
}

// lacking returns how many of the keys of the tests' bucket a node's store lacks.
func (p *place) lacking(m *machine, keys []string) (n int) {
	v := m.View()
	if v == nil {
		return len(keys)
	}
	for _, k := range keys {
		name := ring.Key{Bucket: "b", Key: k}.Name()
		if o, err := m.Node.store.Get(storage.Key{Partition: v.Ring.Partition(name), Name: name}); err != nil || o.Missing() {
			n++
		}
	}
	return n
}

// A list does not wait for a disk that hangs, be it of the node that was asked for it: others have all, too.
func TestListsPassOverTheOwnDisk(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		var hanging atomic.Bool
		hang := make(chan struct{})
		nodes := p.cluster(3, func(cfg *Config) {
			if cfg.Name == "n1" {
				cfg.Storage.Commit = func(store func() error) error {
					if hanging.Load() {
						<-hang
					}
					return store()
				}
			}
		})
		keys := keysOf("k", 30)
		slices.Sort(keys)
		for _, k := range keys {
			nodes[0].put(k, "v")
		}
		p.equal(nodes, keys)
		hanging.Store(true)
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			req, _ := http.NewRequestWithContext(ctx, "PUT", "http://"+nodes[0].Self().HTTP+"/buckets/other/keys/k", nil)
			req.Header.Set("Content-Type", "text/plain")
			if resp, err := p.http.Do(req); err == nil {
				resp.Body.Close()
			}
		}()
		time.Sleep(100 * time.Millisecond) // sleep-ok: inPlace runs it in a bubble
		began := time.Now()
		nodes[0].wantList(listing.Query{Bucket: "b"}, keys)
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
		cancel()
		hanging.Store(false)
		close(hang)
		p.await("it to be whole", func() bool { return nodes[0].Whole() && nodes[0].Ready() == nil })
	})
}

// index returns which member of the ring another node is.
func (m *machine) index(o *machine) int {
	i, _ := m.View().Ring.Index(o.Self().UUID)
	return i
}

// A client that goes away in the middle ends the work of all members, and its goroutines: the bubble ends with them.
func TestListsEndWithTheirClient(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		var objects []ring.Key
		for i := range 900 {
			objects = append(objects, ring.Key{Bucket: "b", Key: fmt.Sprintf("%04d%s", i, strings.Repeat("x", 1000))})
		}
		for i, k := range objects {
			p.store(k, written(uint64(i+1), 1, false), nodes...)
		}
		pages := func() (n uint64) {
			for _, m := range nodes {
				n += m.lists.pages.Stats().Pages
			}
			return n
		}
		for _, m := range nodes {
			m.lists.pages = listing.NewServer(listing.ServerConfig{View: m.coverage, Unsure: m.repair.keeper.Unsure, Store: (*recordNames)(m.Node), PageRecords: 1})
			for _, to := range nodes {
				p.net.SetLink(host(m), host(to), memnet.Link{Delay: 5 * time.Millisecond})
			}
		}
		// A count sends nothing that could tell that nobody reads it.
		for _, query := range []string{"keys=stream", "keys=true&sort=true", "keys=count"} {
			before := pages()
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			req, err := http.NewRequestWithContext(ctx, "GET", "http://"+nodes[0].Self().HTTP+"/buckets/b/keys?"+query, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := p.http.Do(req); err == nil {
				if _, err = io.Copy(io.Discard, resp.Body); err == nil {
					t.Errorf("%s: it was over before the client left", query)
				}
				resp.Body.Close()
			}
			cancel()
			time.Sleep(time.Second)
			at := pages()
			time.Sleep(time.Minute)
			if more := pages() - at; more > 0 || at-before < 10 {
				t.Errorf("%s: %d pages until the client was gone, %d more after it", query, at-before, more)
			}
		}
	})
}

func host(m *machine) string {
	name, _, _ := strings.Cut(m.Self().HTTP, ":")
	return name
}
