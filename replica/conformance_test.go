package replica

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"cartwheel/quorum"
	"cartwheel/storage"
	"cartwheel/transport"
	"cartwheel/vclock"
)

// onBoth runs a test against Local, and against Remote with a Server on the other side.
func onBoth(t *testing.T, cfg func(t *testing.T) pairConfig, test func(t *testing.T, p *pair, r quorum.Replica)) {
	t.Helper()
	t.Run("local", func(t *testing.T) {
		inBubble(t, cfg, func(t *testing.T, p *pair) { test(t, p, p.local) })
	})
	t.Run("remote", func(t *testing.T) {
		inBubble(t, cfg, func(t *testing.T, p *pair) { test(t, p, p.remote) })
	})
}

// withStore runs a test against both over a real store.
func withStore(t *testing.T, d storage.Durability, test func(t *testing.T, p *pair, r quorum.Replica)) {
	t.Helper()
	var s *storage.Store
	onBoth(t, func(t *testing.T) pairConfig {
		s = openStore(t, d)
		return pairConfig{store: s, os: d == storage.OS}
	}, func(t *testing.T, p *pair, r quorum.Replica) {
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(t, p, r)
	})
}

func TestReplicaKeepsWhatItMerges(t *testing.T) {
	withStore(t, storage.Fsync, func(t *testing.T, p *pair, r quorum.Replica) {
		nothing := vclock.Object{}.Digest()
		if a := p.read(r, p.target, false); a.Err != nil || !a.Missing || a.Digest != nothing || !a.Object.Missing() {
			t.Errorf("a missing object: %+v", a)
		}
		if a := p.read(r, p.target, true); a.Err != nil || !a.Missing || a.Digest != nothing {
			t.Errorf("the digest of a missing object: %+v", a)
		}
		a, b := objectBy(1, "a", "aa"), objectBy(2, "b")
		both, _ := vclock.Merge(a, b)
		for _, step := range []struct{ merge, want vclock.Object }{{a, a}, {a, a}, {b, both}, {a, both}, {both, both}} {
			if w := p.merge(r, p.target, step.merge); w.Err != nil || !w.Durable {
				t.Fatalf("merge: %+v", w)
			}
			if got := p.read(r, p.target, false); got.Err != nil || got.Missing || !got.Object.Equal(step.want) || got.Digest != step.want.Digest() {
				t.Errorf("read %+v, want %+v", got, step.want)
			}
			if got := p.read(r, p.target, true); got.Err != nil || got.Missing || !got.Object.Missing() || got.Digest != step.want.Digest() {
				t.Errorf("digest %+v, want %x and no object", got, step.want.Digest())
			}
		}
		deleted := tombstone(both)
		if w := p.merge(r, p.target, deleted); w.Err != nil {
			t.Fatal(w.Err)
		}
		if got := p.read(r, p.target, false); got.Missing || !got.Object.Equal(deleted) {
			t.Errorf("a tombstone: %+v", got)
		}
	})
}

func TestReplicaKeepsLargeObjects(t *testing.T) {
	withStore(t, storage.Fsync, func(t *testing.T, p *pair, r quorum.Replica) {
		o := objectBy(1, strings.Repeat("x", 3<<20), strings.Repeat("y", 2<<20))
		if w := p.merge(r, p.target, o); w.Err != nil || !w.Durable {
			t.Fatalf("merge: %+v", w)
		}
		if got := p.read(r, p.target, false); got.Err != nil || !got.Object.Equal(o) {
			t.Errorf("an object of %d bytes came back as one of %d, %v", o.Size(), got.Object.Size(), got.Err)
		}
	})
}

func TestReplicaSaysWhenAWriteIsNotDurable(t *testing.T) {
	withStore(t, storage.OS, func(t *testing.T, p *pair, r quorum.Replica) {
		if w := p.merge(r, p.target, objectBy(1, "a")); w.Err != nil || w.Durable {
			t.Errorf("merge under os: %+v", w)
		}
	})
}

func TestClosedStoreIsDown(t *testing.T) {
	var s *storage.Store
	onBoth(t, func(t *testing.T) pairConfig {
		s = openStore(t, storage.Fsync)
		return pairConfig{store: s}
	}, func(t *testing.T, p *pair, r quorum.Replica) {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := p.reason(p.merge(r, p.target, objectBy(1, "a")).Err); got != quorum.StorageDown {
			t.Errorf("merge: reason %d", got)
		}
		if got := p.reason(p.read(r, p.target, false).Err); got != quorum.StorageDown {
			t.Errorf("read: reason %d", got)
		}
	})
}

// refusals are the store's errors and what they mean to a coordinator.
var refusals = map[string]struct {
	err  error
	want quorum.Reason
}{
	"fenced":            {fmt.Errorf("%w: disk full", storage.ErrFenced), quorum.StorageDown},
	"closed":            {storage.ErrClosed, quorum.StorageDown},
	"busy":              {fmt.Errorf("%w: 7", storage.ErrBusy), quorum.Busy},
	"corrupt":           {fmt.Errorf("%w: 8", storage.ErrCorrupt), quorum.Corrupt},
	"too large":         {&storage.TooLargeError{Size: 9, Limit: 8}, quorum.TooLarge},
	"hints full":        {fmt.Errorf("%w: 9", storage.ErrHintsFull), quorum.HintsFull},
	"too many siblings": {&storage.TooManySiblingsError{Count: 9, Limit: 8}, quorum.TooManySiblings},
	"anything else":     {errors.New("odd"), quorum.Failed},
}

func TestStoreErrorsHaveReasons(t *testing.T) {
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(*testing.T) pairConfig { return pairConfig{store: refusing(c.err)} },
				func(t *testing.T, p *pair, r quorum.Replica) {
					for what, err := range map[string]error{
						"read":   p.read(r, p.target, false).Err,
						"digest": p.read(r, p.target, true).Err,
						"merge":  p.merge(r, p.target, objectBy(1, "a")).Err,
					} {
						if got := p.reason(err); got != c.want || !strings.Contains(err.Error(), c.err.Error()) {
							t.Errorf("%s: reason %d %q, want %d %q", what, got, err, c.want, c.err)
						}
					}
				})
		})
	}
}

// A store that answers later, on another goroutine, in any order.
func TestLateStore(t *testing.T) {
	var waiting []storage.Merge
	onBoth(t, func(*testing.T) pairConfig {
		waiting = nil
		return pairConfig{store: fakeStore{merge: func(m storage.Merge) { waiting = append(waiting, m) }}}
	}, func(t *testing.T, p *pair, r quorum.Replica) {
		var waits []func() quorum.WriteReply
		for range 3 {
			done, wait := once[quorum.WriteReply](t)
			o := objectBy(1, "a")
			r.Merge(quorum.Merge{Target: p.target, Object: o, Encoded: o.Append(nil), Budget: 10 * budget, Done: done})
			waits = append(waits, wait)
		}
		p.settle()
		for i := len(waiting) - 1; i >= 0; i-- {
			var err error
			if i == 1 {
				err = storage.ErrBusy
			}
			go waiting[i].Done(err)
		}
		for i, wait := range waits {
			if w := wait(); (w.Err != nil) != (i == 1) {
				t.Errorf("merge %d: %+v", i, w)
			}
		}
	})
}

func TestForwardToItselfIsRefused(t *testing.T) {
	inBubble(t, func(*testing.T) pairConfig { return pairConfig{} }, func(t *testing.T, p *pair) {
		out := p.forward(p.local, 1, forwarded())
		if got := p.reason(out.err); got != quorum.WrongRing {
			t.Errorf("reason %d", got)
		}
	})
}

func TestMint(t *testing.T) {
	var s *storage.Store
	inBubble(t, func(t *testing.T) pairConfig {
		s = openStore(t, storage.Fsync)
		return pairConfig{store: s}
	}, func(t *testing.T, p *pair) {
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		mint := func(w vclock.Write) (minted []vclock.Object, after vclock.Object, reply quorum.WriteReply) {
			type outcome struct {
				o vclock.Object
				w quorum.WriteReply
			}
			done, wait := once[outcome](t)
			early := make(chan vclock.Object, 2)
			p.local.Mint(quorum.Mint{Target: p.target, Write: w,
				Minted: func(o vclock.Object) { early <- o },
				Done: func(o vclock.Object, w quorum.WriteReply) {
					close(early) // no call of Minted may come after this
					done(outcome{o, w})
				}})
			got := wait()
			for o := range early {
				minted = append(minted, o)
			}
			return minted, got.o, got.w
		}
		id := vclock.RequestID{1}
		minted, first, w := mint(vclock.Write{RequestID: id, Value: []byte("a")})
		if w.Err != nil || !w.Durable || len(minted) != 1 || !minted[0].Equal(first) || len(first.Siblings) != 1 {
			t.Fatalf("minted %v, then %v, %+v", minted, first, w)
		}
		if got := p.read(p.local, p.target, false); !got.Object.Equal(first) {
			t.Errorf("read %v, want %v", got.Object, first)
		}
		// The same request again makes no second dot.
		minted, again, w := mint(vclock.Write{RequestID: id, Value: []byte("a")})
		if w.Err != nil || len(minted) != 1 || !again.Equal(first) {
			t.Errorf("repeated: minted %v, then %v, %+v", minted, again, w)
		}
		// What is too large is refused before it has a dot.
		minted, _, w = mint(vclock.Write{RequestID: vclock.RequestID{2}, Value: bytes.Repeat([]byte("x"), 2<<20)})
		if p.reason(w.Err) != quorum.TooLarge || len(minted) != 0 {
			t.Errorf("too large: minted %d objects, %+v", len(minted), w)
		}
	})
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(*testing.T) pairConfig { return pairConfig{store: refusing(c.err)} }, func(t *testing.T, p *pair) {
				done, wait := once[quorum.WriteReply](t)
				p.local.Mint(quorum.Mint{Target: p.target,
					Minted: func(vclock.Object) { t.Error("minted by a store that refuses") },
					Done:   func(_ vclock.Object, w quorum.WriteReply) { done(w) }})
				if got := p.reason(wait().Err); got != c.want {
					t.Errorf("reason %d, want %d", got, c.want)
				}
			})
		})
	}
}

func TestLocalBoundsAndAwaitsItsReads(t *testing.T) {
	hang := make(chan struct{})
	inBubble(t, func(*testing.T) pairConfig {
		hang = make(chan struct{})
		return pairConfig{store: fakeStore{get: func(storage.Key) (vclock.Object, error) { <-hang; return vclock.Object{}, nil }}}
	}, func(t *testing.T, p *pair) {
		answers := make(chan quorum.ReadReply, maxReads+2)
		read := func() { p.local.Read(quorum.Read{Target: p.target, Done: func(a quorum.ReadReply) { answers <- a }}) }
		for range maxReads {
			read()
		}
		if len(answers) != 0 {
			t.Errorf("%d reads of a hanging disk are answered", len(answers))
		}
		read()
		if len(answers) != 1 || p.reason((<-answers).Err) != quorum.Busy {
			t.Error("one read too many was not refused")
		}
		closed := make(chan struct{})
		go func() { p.local.Close(); close(closed) }()
		p.settle()
		select {
		case <-closed:
			t.Error("Close did not wait for the reads")
		default:
		}
		read()
		if p.reason((<-answers).Err) != quorum.StorageDown {
			t.Error("a closed replica reads")
		}
		close(hang)
		<-closed
		if len(answers) != maxReads {
			t.Errorf("%d of %d reads are answered", len(answers), maxReads)
		}
	})
}

// Reads one after the other share a goroutine; of those that a burst needed, few stay.
func TestLocalKeepsReaders(t *testing.T) {
	var hang chan struct{}
	inBubble(t, func(*testing.T) pairConfig {
		hang = make(chan struct{})
		return pairConfig{store: fakeStore{get: func(storage.Key) (vclock.Object, error) { <-hang; return object("a"), nil }}}
	}, func(t *testing.T, p *pair) {
		var answered atomic.Int64
		read := func() { p.local.Read(quorum.Read{Target: p.target, Done: func(quorum.ReadReply) { answered.Add(1) }}) }
		readers := func() int {
			p.local.mu.Lock()
			defer p.local.mu.Unlock()
			return p.local.mu.readers
		}
		for range 10 {
			read()
			synctest.Wait()
			hang <- struct{}{}
			synctest.Wait()
		}
		if n := readers(); n != 1 {
			t.Errorf("%d goroutines for reads one after the other", n)
		}
		for range 10 * maxIdle {
			read()
		}
		close(hang)
		synctest.Wait()
		if n := readers(); n != maxIdle {
			t.Errorf("%d goroutines are left of a burst", n)
		}
		if n := answered.Load(); n != 10+10*maxIdle {
			t.Errorf("%d reads are answered", n)
		}
	}) // the bubble fails if Close leaves one of them
}

func TestTransportErrorsHaveReasons(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		resp transport.Response
		want quorum.Reason
	}{
		"timeout":         {transport.ErrTimeout, transport.Response{}, quorum.Unreachable},
		"unreachable":     {fmt.Errorf("%w: x", transport.ErrUnreachable), transport.Response{}, quorum.Unreachable},
		"closed":          {transport.ErrClosed, transport.Response{}, quorum.Unreachable},
		"another node":    {transport.ErrWrongNode, transport.Response{}, quorum.Unreachable},
		"another cluster": {transport.ErrWrongCluster, transport.Response{}, quorum.Unreachable},
		"version":         {transport.ErrVersion, transport.Response{}, quorum.Unreachable},
		"busy here":       {fmt.Errorf("%w: x", transport.ErrBusy), transport.Response{}, quorum.Busy},
		"too large":       {transport.ErrTooLarge, transport.Response{}, quorum.TooLarge},
		"busy there":      {nil, transport.Response{Status: transport.StatusBusy}, quorum.Busy},
		"stranger there":  {nil, transport.Response{Status: transport.StatusRefused}, quorum.Failed},
		// The request may have been carried out, in all that follow.
		"answer too large":     {nil, transport.Response{Status: transport.StatusTooLarge}, quorum.Unreachable},
		"handler failed":       {nil, transport.Response{Status: transport.StatusError, Payload: []byte("x")}, quorum.Unreachable},
		"unknown status":       {nil, transport.Response{Status: 9}, quorum.Unreachable},
		"reason 0":             {nil, transport.Response{Status: refused}, quorum.Unreachable},
		"reason of the future": {nil, transport.Response{Status: refused + transport.Status(lastReason) + 1}, quorum.Unreachable},
	} {
		judge := &pair{t: t}
		p := NewRemote(callerFunc(func(done func(transport.Response, error)) { done(c.resp, c.err) }), "x", "addr", NewBreaker(BreakerConfig{}))
		var got []error
		p.Read(quorum.Read{Done: func(a quorum.ReadReply) { got = append(got, a.Err) }})
		p.Merge(quorum.Merge{Done: func(a quorum.WriteReply) { got = append(got, a.Err) }})
		p.Forward(quorum.Forward{Done: func(_ quorum.PutResult, err error) { got = append(got, err) }})
		if len(got) != 3 {
			t.Fatalf("%s: %d answers", name, len(got))
		}
		for _, err := range got {
			if reason := judge.reason(err); reason != c.want {
				t.Errorf("%s: reason %d (%v), want %d", name, reason, err, c.want)
			}
		}
	}
}

type callerFunc func(done func(transport.Response, error))

func (f callerFunc) Call(_ string, _ transport.Request, done func(transport.Response, error)) {
	f(done)
}

// TestCachedReadsAnswerAtOnce: what the store has in memory needs no goroutine and no disk; but a node
// that may have lost writes of the partition does not tell its copy, and hints are looked for.
func TestCachedReadsAnswerAtOnce(t *testing.T) {
	object, disk := objectBy(1, "v"), errors.New("asked the disk")
	var unsure bool
	l := NewLocal(fakeStore{
		get:    func(storage.Key) (vclock.Object, error) { return vclock.Object{}, disk },
		cached: func(storage.Key) (vclock.Object, bool) { return object, true },
	}, true, func(uint16) bool { return unsure })
	defer l.Close()
	ask := func(q quorum.Read) (a quorum.ReadReply, atOnce bool) {
		answer := make(chan quorum.ReadReply, 1)
		q.Done = func(a quorum.ReadReply) { answer <- a }
		l.Read(q)
		atOnce = len(answer) == 1
		return <-answer, atOnce
	}
	target := quorum.Target{Name: "n"}
	if a, atOnce := ask(quorum.Read{Target: target}); !atOnce || !a.Object.Equal(object) || a.Digest != object.Digest() || a.Missing {
		t.Errorf("an object in memory: %+v, at once %v", a, atOnce)
	}
	if a, atOnce := ask(quorum.Read{Target: target, Digest: true}); !atOnce || !a.Object.Missing() || a.Digest != object.Digest() || a.Missing {
		t.Errorf("the digest of an object in memory: %+v, at once %v", a, atOnce)
	}
	target.For = "owner"
	if a, _ := ask(quorum.Read{Target: target, Owners: []string{"owner"}}); a.Err == nil {
		t.Errorf("a hint: %+v", a)
	}
	target.For, unsure = "", true
	if a, _ := ask(quorum.Read{Target: target}); a.Err == nil {
		t.Errorf("a copy in doubt: %+v", a)
	}
}
