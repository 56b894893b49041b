package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cartwheel/listing"
	"cartwheel/props"
	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// cluster is a whole cluster in a map: a coordinator that mints and merges for real, bucket
// properties, and a ring of three members. Function fields, where set, answer instead.
type cluster struct {
	mu      sync.Mutex
	records map[string]vclock.Record
	did     map[string][]vclock.RequestID // of each key, as replicas remember it
	ids     *vclock.Actors
	clock   vclock.HybridClock
	gets    []quorum.GetRequest // every request that got here
	puts    []quorum.PutRequest
	deletes []quorum.DeleteRequest

	get      func(quorum.GetRequest) (quorum.GetResult, error)
	put      func(quorum.PutRequest) (quorum.PutResult, error)
	delete   func(quorum.DeleteRequest) (quorum.DeleteResult, error)
	apply    func(props.Change) error
	empty    func() (bool, error)
	explain  func() ([]quorum.Copy, error)
	list     func(context.Context, listing.Query, func([]string) error) error
	table    *props.Table
	ring     *ring.Ring
	sampled  atomic.Int64 // calls of Samples
	status   Status
	repair   Repair
	lately   quorum.Latencies
	panicked bool // the API's last net caught something
}

const clusterUUID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"

func newCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{records: map[string]vclock.Record{}, did: map[string][]vclock.RequestID{}, ids: vclock.NewActors(42)}
	doc := ring.Document{Cluster: clusterUUID, Version: 17, Parent: strings.Repeat("ab", 32), Partitions: 16, N: 3, Tokens: 16}
	for _, n := range []string{"1", "2", "3"} {
		doc.Members = append(doc.Members, ring.Member{UUID: "00000000-0000-4000-8000-00000000000" + n, Name: "n" + n,
			HTTP: "127.0.0.1:80" + n, Peer: "127.0.0.1:90" + n, Weight: 1, Status: ring.StatusMember})
	}
	var err error
	if c.ring, err = ring.New(doc); err != nil {
		t.Fatal(err)
	}
	c.status = Status{Name: "n1", UUID: doc.Members[0].UUID, Settled: true,
		Members: []Member{{Alive: true}, {Alive: true, StorageDown: true, HTTP: "elsewhere:1"}, {}}}
	c.table, err = props.NewTable(props.Config{Node: c.status.UUID, Defaults: props.Defaults{AllowMult: true, N: 3},
		Save: func([]byte) error { return nil }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// server returns an API over the cluster. A panic inside it fails the test.
func (c *cluster) server(t testing.TB) *API {
	t.Helper()
	a, err := New(Config{Coordinator: c, Properties: c, Node: c, Lister: c, Logger: slog.New(panicWatch{slog.DiscardHandler, c}), Durability: "fsync"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.panicked {
			t.Error("the API panicked")
		}
	})
	return a
}

// panicWatch is a log handler that notices the message of the API's last net.
type panicWatch struct {
	slog.Handler
	c *cluster
}

func (panicWatch) Enabled(context.Context, slog.Level) bool { return true }

func (w panicWatch) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "panic" {
		w.c.mu.Lock()
		defer w.c.mu.Unlock()
		w.c.panicked = true
	}
	return nil
}

func (c *cluster) receipt(o quorum.Options, durable int) quorum.Receipt {
	return quorum.Receipt{Replicas: 2, Primaries: 2, Durable: durable, N: min(o.N, 3), Ring: 17, Lossy: o.Lossy}
}

// check refuses what the real coordinator refuses before any work.
func check(o quorum.Options, levels map[string]quorum.Level) error {
	for name, l := range levels {
		if int(l) > o.N {
			return &quorum.LevelError{Level: name, Value: int(l), N: o.N}
		}
	}
	if o.Timeout <= 0 {
		return quorum.ErrTimeout
	}
	return nil
}

func (c *cluster) Get(_ context.Context, r quorum.GetRequest) (quorum.GetResult, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gets = append(c.gets, r)
	if c.get != nil {
		return c.get(r)
	}
	if err := check(r.Options, map[string]quorum.Level{"r": r.R, "pr": r.PR, "node_confirms": r.NodeConfirms}); err != nil {
		return quorum.GetResult{}, err
	}
	return quorum.GetResult{Object: c.records[r.Key.Name()].Object, Did: slices.Contains(c.did[r.Key.Name()], r.RequestID), Receipt: c.receipt(r.Options, 0)}, nil
}

func (c *cluster) Put(_ context.Context, r quorum.PutRequest) (quorum.PutResult, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.puts = append(c.puts, r)
	if c.put != nil {
		return c.put(r)
	}
	if err := check(r.Options, map[string]quorum.Level{"w": r.W, "pw": r.PW, "dw": r.DW, "node_confirms": r.NodeConfirms}); err != nil {
		return quorum.PutResult{}, err
	}
	record := c.records[r.Key.Name()]
	if !slices.Contains(c.did[r.Key.Name()], r.RequestID) {
		c.did[r.Key.Name()] = append(c.did[r.Key.Name()], r.RequestID)
		record = record.Put(vclock.Write{Context: r.Context, TakeLocal: r.Lossy, RequestID: r.RequestID,
			Time: c.clock.Now(record.Object.LatestTime()), Deleted: r.Deleted, ContentType: r.ContentType, Meta: r.Meta, Value: r.Value}, c.ids)
		c.records[r.Key.Name()] = record
	}
	return quorum.PutResult{Object: record.Object, Receipt: c.receipt(r.Options, 2)}, nil
}

func (c *cluster) Delete(ctx context.Context, r quorum.DeleteRequest) (quorum.DeleteResult, error) {
	if c.delete != nil {
		return c.delete(r)
	}
	c.mu.Lock()
	c.deletes = append(c.deletes, r)
	object := c.records[r.Key.Name()].Object
	c.mu.Unlock()
	if !r.HasContext {
		if shown := object.Shown(); len(shown) == 0 || shown[0].Deleted {
			return quorum.DeleteResult{NotFound: true, Object: object, Receipt: c.receipt(r.Options, 0)}, nil
		}
		r.Context = object.Clock
	}
	done, err := c.Put(ctx, quorum.PutRequest{Key: r.Key, Context: r.Context, RequestID: r.RequestID, Deleted: true, Options: r.Options})
	return quorum.DeleteResult{Receipt: done.Receipt}, err
}

func (c *cluster) Set() *props.Set { return c.table.Set() }

func (c *cluster) Apply(_ context.Context, change props.Change) error {
	if c.apply != nil {
		return c.apply(change)
	}
	_, err := c.table.Apply(change)
	return err
}

func (c *cluster) BucketEmpty(_ context.Context, typ, bucket string) (bool, error) {
	if c.empty != nil {
		return c.empty()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.records {
		if k, err := ring.ParseName(name); err != nil || k.Type == typ && (bucket == "" || k.Bucket == bucket) {
			return false, err
		}
	}
	return true, nil
}

func (c *cluster) Ring() *ring.Ring { return c.ring }

func (c *cluster) Status() Status { return c.status }

func (c *cluster) Repair() Repair { return c.repair }

func (c *cluster) Samples() []Sample {
	c.sampled.Add(1)
	return []Sample{{Name: "malformed_frames_total", Help: "h", Value: 7}, {Name: "free_bytes", Help: "h", Value: 9, Gauge: true}}
}

func (c *cluster) Explain(_ context.Context, key ring.Key, n int) ([]quorum.Copy, error) {
	if c.explain != nil {
		return c.explain()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var copies []quorum.Copy
	for _, m := range c.ring.Preference(c.ring.Partition(key.Name()))[:c.ring.EffectiveN(n)] {
		copies = append(copies, quorum.Copy{Member: m, Object: c.records[key.Name()].Object})
	}
	return copies, nil
}

// put stores a value past the API.
func (c *cluster) stored(key ring.Key, w vclock.Write) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.Time == 0 {
		w.Time = vclock.TimeOf(time.Now())
	}
	c.records[key.Name()] = c.records[key.Name()].Put(w, c.ids)
}

// do sends one request to the API without a network. headers are name, value pairs.
func do(h http.Handler, method, target, body string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// The interfaces are those of the parts that they are meant for.
var _ Coordinator = (*quorum.Coordinator)(nil)

// text reads the body of an answer.
func text(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// want fails unless the answer has the status and, if not "-", the body.
func want(t testing.TB, r *http.Response, status int, body string) *http.Response {
	t.Helper()
	got := text(t, r)
	if r.StatusCode != status || body != "-" && got != body {
		t.Fatalf("got %d %q, want %d %q", r.StatusCode, got, status, body)
	}
	return r
}
