package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/client"
	"cartwheel/internal/memnet"
	"cartwheel/node"
)

// withNodes runs f in a bubble with a client of three real nodes.
func withNodes(t *testing.T, cfg client.Config, f func(t *testing.T, c *client.Client)) {
	disks := t.TempDir() // outlives the bubble
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(memnet.Config{Link: memnet.Link{Delay: 200 * time.Microsecond}})
		var (
			logs    bytes.Buffer
			running sync.WaitGroup
			join    []string
		)
		logger := slog.New(slog.NewTextHandler(&lockedWriter{w: &logs}, nil))
		for i := range 3 {
			join = append(join, fmt.Sprintf("10.0.0.%d:7000", i+1))
		}
		ctx, stop := context.WithCancel(t.Context())
		defer func() {
			stop()
			running.Wait()
			time.Sleep(time.Minute) // probes of the membership that are under way end by themselves
			if t.Failed() {
				t.Logf("log:\n%s", &logs)
			}
		}()
		for i := range 3 {
			host := fmt.Sprintf("10.0.0.%d", i+1)
			config := node.Config{
				Name: fmt.Sprintf("n%d", i+1), DataDir: filepath.Join(disks, host), HTTP: host + ":80", Peer: host + ":7000", Insecure: true,
				Join: join, Expect: 3, Partitions: 16, Network: network.Host(host), Logger: logger,
			}
			config.Storage.MemTableBytes = 1 << 20 // a larger one takes longer to make than the test
			n, err := node.New(config)
			if err != nil {
				t.Fatal(err)
			}
			running.Go(func() { _ = n.Run(ctx) })
			cfg.Endpoints = append(cfg.Endpoints, "http://"+host)
		}
		near := network.Host("10.0.9.9")
		transport := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return near.Dial(ctx, addr) }}
		defer transport.CloseIdleConnections()
		cfg.HTTPClient = &http.Client{Transport: transport}
		c := newClient(t, cfg)
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			_, err := c.Put(ctx, client.Key{Bucket: "ready", Key: "k"}, client.Value{}, client.PutOptions{Quorum: client.Quorum{W: "all", PW: "all"}})
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the nodes do not come up: %v", err)
			}
		}
		f(t, c)
	})
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// Everything the client offers, against nodes instead of what this package takes for one.
func TestRealNodes(t *testing.T) {
	// A read takes some 800 us here, so that many are hedged.
	withNodes(t, client.Config{HedgeAfter: 600 * time.Microsecond}, func(t *testing.T, c *client.Client) {
		for _, part := range []struct {
			name string
			run  func(t *testing.T, c *client.Client)
		}{
			{"types and properties", typesOnNodes}, {"conditions", conditionsOnNodes}, {"create", createOnNodes},
			{"updates", updatesOnNodes}, {"batches", batchesOnNodes}, {"lists", listsOnNodes},
		} {
			part.run(t, c)
			if t.Failed() {
				t.Fatalf("in %s", part.name)
			}
		}
	})
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func typesOnNodes(t *testing.T, c *client.Client) {
	ctx, bucket := t.Context(), client.Bucket{Type: "carts", Name: "b"}
	_, err := c.TypeProperties(ctx, "carts")
	if e, ok := errors.AsType[*client.StatusError](err); !ok || e.Status != 404 {
		t.Errorf("a type that is not there: %v", err)
	}
	must(t, "make a type", c.SetTypeProperties(ctx, "carts", nil))
	time.Sleep(5 * time.Second) // it spreads
	must(t, "change a type", c.SetTypeProperties(ctx, "carts", map[string]any{"w": 3, "resolve": "union"}))
	must(t, "change a bucket", c.SetProperties(ctx, bucket, map[string]any{"r": 1}))
	time.Sleep(5 * time.Second)
	for range 3 { // each node
		types, err := c.Types(ctx)
		slices.Sort(types)
		if err != nil || !slices.Equal(types, []string{"carts", "default"}) {
			t.Errorf("types %q, %v", types, err)
		}
		p, err := c.Properties(ctx, bucket)
		if err != nil || p["w"] != 3.0 || p["r"] != 1.0 || p["resolve"] != "union" || p["allow_mult"] != true {
			t.Errorf("properties %v, %v", p, err)
		}
	}
	must(t, "reset a bucket", c.ResetProperties(ctx, bucket))
	if err := c.SetTypeProperties(ctx, "carts", map[string]any{"w": "foo"}); !errors.Is(err, client.ErrBadRequest) {
		t.Errorf("a bad value: %v", err)
	}
	if p, err := c.TypeProperties(ctx, "carts"); err != nil || p["w"] != 3.0 {
		t.Errorf("after a bad value: %v, %v", p, err)
	}
}

func conditionsOnNodes(t *testing.T, c *client.Client) {
	ctx, k := t.Context(), client.Key{Bucket: "conditions", Key: "k"}
	opts := client.PutOptions{Conditions: client.Conditions{IfNoneMatch: "*"}, IdempotencyKey: "first", Quorum: client.Quorum{Consistency: client.ConsistencyStrict}}
	obj, err := c.Put(ctx, k, client.Value{Body: []byte("v")}, opts)
	must(t, "the first write", err)
	if obj.Receipt.Consistency != client.ConsistencyStrict || obj.Receipt.Primaries < 2 {
		t.Errorf("receipt %v", obj.Receipt)
	}
	// At the next node, which has not seen the first attempt.
	_, err = c.Put(ctx, k, client.Value{Body: []byte("v")}, opts)
	must(t, "the same write again", err)
	opts.IdempotencyKey = "another"
	if _, err := c.Put(ctx, k, client.Value{}, opts); !errors.Is(err, client.ErrPrecondition) {
		t.Errorf("another write: %v", err)
	}
	got, err := c.Get(ctx, k, client.GetOptions{})
	must(t, "read", err)
	if got.Siblings || got.ETag == "" || got.ETag != got.Values[0].VTag {
		t.Errorf("got %+v", got)
	}
	if _, err := c.Get(ctx, k, client.GetOptions{Conditions: client.Conditions{IfNoneMatch: got.ETag}}); !errors.Is(err, client.ErrNotModified) {
		t.Errorf("a read of what is known: %v", err)
	}
	for range 2 {
		_, err := c.Delete(ctx, k, client.DeleteOptions{IdempotencyKey: "gone", Conditions: client.Conditions{IfMatch: got.ETag}})
		must(t, "delete", err)
	}
	must(t, "guard a bucket", c.SetProperties(ctx, client.Bucket{Name: "guarded"}, map[string]any{"require_context": true}))
	time.Sleep(5 * time.Second)
	k.Bucket = "guarded"
	_, err = c.Put(ctx, k, client.Value{}, client.PutOptions{})
	must(t, "the first write of a key", err)
	if _, err := c.Put(ctx, k, client.Value{}, client.PutOptions{}); !errors.Is(err, client.ErrContextRequired) {
		t.Errorf("a blind write: %v", err)
	}
}

func createOnNodes(t *testing.T, c *client.Client) {
	ctx, bucket := t.Context(), client.Bucket{Name: "created"}
	for range 2 {
		k, obj, err := c.Create(ctx, bucket, client.Value{Body: []byte("v"), Meta: map[string]string{"a": "b"}}, client.PutOptions{IdempotencyKey: "once", ReturnBody: true})
		must(t, "create", err)
		if string(obj.Values[0].Body) != "v" || k.Bucket != "created" || k.Key == "" {
			t.Errorf("%v: %+v", k, obj)
		}
	}
	if n, err := c.Count(ctx, bucket, client.ListOptions{}); n != 1 || err != nil {
		t.Errorf("%d keys, %v", n, err)
	}
}

func updatesOnNodes(t *testing.T, c *client.Client) {
	ctx, k := t.Context(), client.Key{Bucket: "counters", Key: "visits"}
	add := func(siblings []client.Value) (client.Value, error) {
		return slices.MaxFunc(siblings, func(a, b client.Value) int { return bytes.Compare(a.Body, b.Body) }), nil
	}
	for n := range 12 {
		_, err := c.Update(ctx, k, func(v client.Value, exists bool) (client.Value, error) {
			if exists != (n > 0) || exists && string(v.Body) != fmt.Sprintf("%02d", n) {
				return v, fmt.Errorf("exists is %t, value %q", exists, v.Body)
			}
			return client.Value{ContentType: "text/plain", Body: fmt.Appendf(nil, "%02d", n+1)}, nil
		}, client.UpdateOptions{Merge: add})
		must(t, "update "+strconv.Itoa(n), err)
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			_, err := c.Update(ctx, client.Key{Bucket: "sets", Key: "s"}, func(v client.Value, _ bool) (client.Value, error) {
				return client.Value{ContentType: "text/plain", Body: append(bytes.Clone(v.Body), byte('a'+i))}, nil
			}, client.UpdateOptions{Attempts: 100, Merge: func(siblings []client.Value) (client.Value, error) {
				var all []byte
				for _, v := range siblings {
					all = append(all, v.Body...)
				}
				slices.Sort(all)
				return client.Value{ContentType: "text/plain", Body: slices.Compact(all)}, nil
			}})
			if err != nil {
				t.Errorf("update of a set: %v", err)
			}
		})
	}
	wg.Wait()
	got, err := c.Get(ctx, client.Key{Bucket: "sets", Key: "s"}, client.GetOptions{})
	must(t, "read the set", err)
	var all strings.Builder
	for _, v := range got.Values {
		all.Write(v.Body)
	}
	for i := range 6 {
		if !strings.ContainsRune(all.String(), rune('a'+i)) {
			t.Errorf("%c is lost: %q", 'a'+i, all.String())
		}
	}
}

func batchesOnNodes(t *testing.T, c *client.Client) {
	ctx, bucket := t.Context(), client.Bucket{Name: "batched"}
	value := client.Value{
		ContentType: "text/plain", Meta: map[string]string{"color": "red"}, Body: []byte("grün"),
		Extra: http.Header{"Link": {`</buckets/b/keys/x>; riaktag="next"`}, "X-Riak-Index-Age_int": {"7"}},
	}
	ops := []client.BatchOp{
		{Kind: client.BatchPut, Key: "a", Value: value}, {Kind: client.BatchPut, Key: "b", Value: client.Value{Body: []byte{0xff, 0}}},
		{Kind: client.BatchGet, Key: "a"}, {Kind: client.BatchGet, Key: "b"}, {Kind: client.BatchGet, Key: "missing"},
		{Kind: client.BatchDelete, Key: "b"}, {Kind: client.BatchGet, Key: "b"}, {Kind: client.BatchPut, Key: "a", Context: "damaged", Value: value},
	}
	got, err := c.BatchDo(ctx, bucket, ops, client.BatchOptions{Quorum: client.Quorum{W: "all"}})
	must(t, "batch", err)
	alone, err := c.Get(ctx, bucket.Key("a"), client.GetOptions{})
	must(t, "get", err)
	if o := got[2].Object; o == nil || o.Context == "" || o.ETag != alone.ETag || fmt.Sprint(o.Values) != fmt.Sprint(alone.Values) || o.Receipt.N != 3 {
		t.Errorf("in the batch %+v (%v), alone %+v", o, got[2].Err, alone)
	}
	if o := got[3].Object; o == nil || !bytes.Equal(o.Values[0].Body, []byte{0xff, 0}) {
		t.Errorf("bytes: %+v, %v", o, got[3].Err)
	}
	if !errors.Is(got[4].Err, client.ErrNotFound) || got[5].Err != nil || !errors.Is(got[7].Err, client.ErrBadRequest) {
		t.Errorf("missing %v, delete %v, damaged context %v", got[4].Err, got[5].Err, got[7].Err)
	}
	if e, ok := errors.AsType[*client.NotFoundError](got[6].Err); !ok || !e.Deleted || e.Context == "" {
		t.Errorf("deleted: %v", got[6].Err)
	}
	// The batch of a get gives the context of the next write, and a put too.
	next, err := c.BatchDo(ctx, bucket, []client.BatchOp{{Kind: client.BatchPut, Key: "a", Context: got[0].Object.Context, Value: value}}, client.BatchOptions{})
	must(t, "put with context", err)
	if after, err := c.Get(ctx, bucket.Key("a"), client.GetOptions{}); err != nil || after.Siblings || next[0].Err != nil {
		t.Errorf("after a put with the context of a put: %+v, %v, %v", after, next[0].Err, err)
	}
}

func listsOnNodes(t *testing.T, c *client.Client) {
	ctx, bucket := t.Context(), client.Bucket{Type: "carts", Name: "list/ed"}
	var ops []client.BatchOp
	var want []string
	for i := range 250 {
		want = append(want, fmt.Sprintf("k %03d", i))
		ops = append(ops, client.BatchOp{Kind: client.BatchPut, Key: want[i]})
	}
	_, err := c.BatchDo(ctx, bucket, ops, client.BatchOptions{})
	must(t, "fill the bucket", err)
	odd := "k\xff%41+/"
	_, err = c.Put(ctx, bucket.Key(odd), client.Value{}, client.PutOptions{})
	must(t, "put an odd key", err)
	want = append(want, odd)
	keys, err := collect(c.Keys(ctx, bucket, client.ListOptions{}))
	must(t, "list", err)
	if slices.Sort(keys); !slices.Equal(keys, want) {
		t.Errorf("keys %q", keys)
	}
	keys, err = collect(c.Keys(ctx, bucket, client.ListOptions{Sorted: true, Prefix: "k 1", Start: "k 150"}))
	if err != nil || !slices.Equal(keys, want[150:200]) {
		t.Errorf("from k 150 %q, %v", keys, err)
	}
	keys, err = collect(c.Keys(ctx, bucket, client.ListOptions{Limit: 7, Start: "k 2"}))
	if err != nil || !slices.Equal(keys, want[200:207]) {
		t.Errorf("seven %q, %v", keys, err)
	}
	var paged []string
	for opts := (client.ListOptions{Limit: 100, Prefix: "k"}); ; {
		p, err := c.KeysPage(ctx, bucket, opts)
		must(t, "page", err)
		paged = append(paged, p.Names...)
		if opts.Continuation = p.Continuation; p.Continuation == "" {
			break
		}
	}
	if !slices.Equal(paged, want) {
		t.Errorf("pages %q", paged)
	}
	if n, err := c.Count(ctx, bucket, client.ListOptions{Prefix: "k 0"}); n != 100 || err != nil {
		t.Errorf("count %d, %v", n, err)
	}
	buckets, err := collect(c.Buckets(ctx, "carts", client.ListOptions{}))
	if err != nil || !slices.Equal(buckets, []string{"list/ed"}) {
		t.Errorf("buckets %q, %v", buckets, err)
	}
	if _, err := collect(c.Keys(ctx, client.Bucket{Type: "nope", Name: "b"}, client.ListOptions{})); err == nil {
		t.Error("a type that is not there was listed")
	}
}
