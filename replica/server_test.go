package replica

import (
	"context"
	"testing"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/storage"
	"cartwheel/transport"
	"cartwheel/vclock"
)

func TestServerRefusesAnotherRing(t *testing.T) {
	for name, change := range map[string]func(p *pair){
		"no ring yet":   func(p *pair) { p.view = nil },
		"older request": func(p *pair) { p.target.Ring-- },
		"newer request": func(p *pair) { p.target.Ring++ },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, untouchedPair, func(t *testing.T, p *pair) {
				change(p)
				p.refusedWith(quorum.WrongRing, p.target)
			})
		})
	}
}

func TestServerRefusesKeysOfOthers(t *testing.T) {
	inBubble(t, untouchedPair, func(t *testing.T, p *pair) {
		second := p.target // this node is the second owner of it
		for i := byte(0); p.ring.Owns(0, second.Partition, 1); i++ {
			second.Name = ring.Key{Bucket: "b", Key: "s" + string('0'+rune(i))}.Name()
			if second.Partition = p.ring.Partition(second.Name); !p.ring.Owns(0, second.Partition, 2) {
				second.Partition = p.target.Partition // not owned: go on
			}
		}
		second.N = 1
		elsewhere := p.target
		elsewhere.Partition ^= 1
		stranger := keyOf(p.ring, 0, false)
		for name, target := range map[string]quorum.Target{
			"in place of another, and it owns": standIn(p.target, p.view.Owners(p.target)[1]),
			"in place of itself":               standIn(p.target, p.ring.Members()[0].UUID),
			"in place of no owner":             standIn(stranger, p.ring.Members()[0].UUID),
			"in place of nobody known":         standIn(stranger, "d"),
			"not an owner":                     keyOf(p.ring, 0, false), "not with n=1": second, "another partition than the key's": elsewhere,
		} {
			if err := p.read(p.remote, target, false).Err; p.reason(err) != quorum.WrongRing {
				t.Errorf("%s: read: %v", name, err)
			}
			if err := p.merge(p.remote, target, objectBy(1, "a")).Err; p.reason(err) != quorum.WrongRing {
				t.Errorf("%s: merge: %v", name, err)
			}
		}
	})
	inBubble(t, untouchedPair, func(t *testing.T, p *pair) {
		p.view.Self = -1 // not a member of this ring
		foreign := keyOf(p.ring, 0, false)
		if err := p.merge(p.remote, standIn(foreign, p.view.Owners(foreign)[0]), objectBy(1, "a")).Err; p.reason(err) != quorum.WrongRing {
			t.Errorf("no member, as a fallback: %v", err)
		}
		if err := p.read(p.remote, p.target, false).Err; p.reason(err) != quorum.WrongRing {
			t.Errorf("no member: %v", err)
		}
	})
}

func TestServerRefusesMalformedRequests(t *testing.T) {
	inBubble(t, untouchedPair, func(t *testing.T, p *pair) {
		o, put := objectBy(1, "a"), forwarded()
		read := encodeRead(quorum.Read{Target: p.target})
		merge := encodeMerge(quorum.Merge{Target: p.target, Object: o, Encoded: o.Append(nil)})
		forward := encodeForward(&put, false)
		nameless := p.target
		nameless.Name, nameless.Partition = "x", p.ring.Partition("x")
		for name, c := range map[string]struct {
			kind    transport.Kind
			payload []byte
		}{
			"empty read":        {KindRead, nil},
			"cut read":          {KindRead, read[:len(read)-1]},
			"long read":         {KindRead, append(read[:len(read):len(read)], 0)},
			"read of no key":    {KindRead, encodeRead(quorum.Read{Target: nameless})},
			"empty merge":       {KindMerge, nil},
			"cut merge":         {KindMerge, merge[:len(merge)-1]},
			"long merge":        {KindMerge, append(merge[:len(merge):len(merge)], 0)},
			"merge of no key":   {KindMerge, encodeMerge(quorum.Merge{Target: nameless, Encoded: o.Append(nil)})},
			"empty forward":     {KindForward, nil},
			"cut forward":       {KindForward, forward[:len(forward)-1]},
			"long forward":      {KindForward, append(forward[:len(forward):len(forward)], 0)},
			"forward as a read": {KindRead, forward},
			"unknown kind":      {99, read},
		} {
			resp := p.raw(c.kind, 1, c.payload)
			if resp.Status != refused+transport.Status(quorum.Failed) || len(resp.Payload) == 0 || resp.Ring != 1 {
				t.Errorf("%s: status %d, ring %d, %q", name, resp.Status, resp.Ring, resp.Payload)
			}
		}
	})
}

func TestServerCloseWaitsForForwardedPuts(t *testing.T) {
	release := make(chan struct{})
	inBubble(t, func(t *testing.T) pairConfig {
		release = make(chan struct{})
		return pairConfig{store: untouched(t), coordinator: fakeCoordinator(func(context.Context, quorum.PutRequest, bool) (quorum.PutResult, error) {
			<-release
			return quorum.PutResult{}, nil
		})}
	}, func(t *testing.T, p *pair) {
		done, wait := once[error](t)
		p.remote.Forward(quorum.Forward{Request: forwarded(), Ring: 1, Budget: budget, Done: func(_ quorum.PutResult, err error) { done(err) }})
		p.settle()
		if err := p.to.Close(); err != nil {
			t.Error(err)
		}
		closed := make(chan struct{})
		go func() { p.server.Close(); close(closed) }()
		p.settle()
		select {
		case <-closed:
			t.Error("Close did not wait")
		default:
		}
		close(release)
		<-closed
		if got := p.reason(wait()); got != quorum.Unreachable {
			t.Errorf("reason %d", got)
		}
	})
}

// Whatever a peer sends is answered exactly once, and only a key that this node owns, at its
// ring version, reaches the store.
func FuzzServe(f *testing.F) {
	r := testRing(f)
	t0, o, put := keyOf(r, 0, true), object("a"), forwarded()
	f.Add(uint8(KindRead), uint64(1), encodeRead(quorum.Read{Target: t0}))
	f.Add(uint8(KindRead), uint64(1), encodeRead(quorum.Read{Target: t0, Digest: true}))
	f.Add(uint8(KindRead), uint64(2), encodeRead(quorum.Read{Target: t0}))
	f.Add(uint8(KindRead), uint64(1), encodeRead(quorum.Read{Target: keyOf(r, 0, false)}))
	other := keyOf(r, 0, false)
	other.For = r.Members()[1].UUID
	f.Add(uint8(KindRead), uint64(1), encodeRead(quorum.Read{Target: other}))
	f.Add(uint8(KindMerge), uint64(1), encodeMerge(quorum.Merge{Target: other, Encoded: o.Append(nil)}))
	f.Add(uint8(KindMerge), uint64(1), encodeMerge(quorum.Merge{Target: t0, Encoded: o.Append(nil)}))
	f.Add(uint8(KindMerge), uint64(1), encodeMerge(quorum.Merge{Target: t0, Encoded: o.Append(nil)[:5]}))
	f.Add(uint8(KindForward), uint64(1), encodeForward(&put, false))
	f.Add(uint8(99), uint64(1), []byte("x"))
	f.Fuzz(func(t *testing.T, kind uint8, version uint64, payload []byte) {
		check := func(k storage.Key) {
			own := k.Hint == "" && r.Owns(0, k.Partition, 3)
			hint := k.Hint != "" && !r.Owns(0, k.Partition, 1)
			if version != 1 || k.Partition != r.Partition(k.Name) || !own && !hint {
				t.Errorf("ring %d, partition %d of %q reached the store", version, k.Partition, k.Name)
			}
			if _, err := ring.ParseName(k.Name); err != nil {
				t.Error(err)
			}
		}
		local := NewLocal(fakeStore{
			get:   func(k storage.Key) (vclock.Object, error) { check(k); return object("a"), nil },
			merge: func(m storage.Merge) { check(m.Key); m.Done(nil) },
		}, true, func(uint16) bool { return false })
		view := &quorum.View{Ring: r, Local: local}
		server := NewServer(local, fakeCoordinator(func(context.Context, quorum.PutRequest, bool) (quorum.PutResult, error) {
			return quorum.PutResult{Object: object("a")}, nil
		}), func() *quorum.View { return view })
		replies := make(chan transport.Response, 4)
		server.Serve(transport.Request{Kind: transport.Kind(kind), Ring: version, Budget: time.Second, Payload: payload},
			func(resp transport.Response) { replies <- resp })
		server.Close()
		local.Close()
		if len(replies) != 1 {
			t.Fatalf("%d replies", len(replies))
		}
		resp := <-replies
		if resp.Ring != 1 {
			t.Errorf("an answer of ring %d", resp.Ring)
		}
		if resp.Status != transport.StatusOK && (resp.Status <= refused || len(resp.Payload) == 0) {
			t.Errorf("status %d, %q", resp.Status, resp.Payload)
		}
	})
}

// BenchmarkServe is what a peer's request costs beside the transport and the store.
func BenchmarkServe(b *testing.B) {
	r := testRing(b)
	o := object("a")
	local := NewLocal(fakeStore{
		get:   func(storage.Key) (vclock.Object, error) { return o, nil },
		merge: func(m storage.Merge) { m.Done(nil) },
	}, true, func(uint16) bool { return false })
	b.Cleanup(local.Close)
	view := &quorum.View{Ring: r, Local: local}
	server := NewServer(local, nil, func() *quorum.View { return view })
	target := keyOf(r, 0, true)
	for name, req := range map[string]transport.Request{
		"digest": {Kind: KindRead, Payload: encodeRead(quorum.Read{Target: target, Digest: true})},
		"read":   {Kind: KindRead, Payload: encodeRead(quorum.Read{Target: target})},
		"merge":  {Kind: KindMerge, Payload: encodeMerge(quorum.Merge{Target: target, Encoded: o.Append(nil)})},
	} {
		req.Ring, req.Budget = r.Version(), time.Second
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			replies := make(chan transport.Status, 1)
			for b.Loop() {
				server.Serve(req, func(resp transport.Response) { replies <- resp.Status })
				if status := <-replies; status != transport.StatusOK {
					b.Fatal("status", status)
				}
			}
		})
	}
}
