package replica

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"cartwheel/quorum"
	"cartwheel/storage"
	"cartwheel/transport"
	"cartwheel/vclock"
)

// refusedWith checks that the three operations on the target are refused for that reason.
func (p *pair) refusedWith(want quorum.Reason, target quorum.Target) {
	p.t.Helper()
	for what, err := range map[string]error{
		"read":    p.read(p.remote, target, false).Err,
		"digest":  p.read(p.remote, target, true).Err,
		"merge":   p.merge(p.remote, target, objectBy(1, "a")).Err,
		"forward": p.forward(p.remote, target.Ring, forwarded()).err,
	} {
		if got := p.reason(err); got != want {
			p.t.Errorf("%s: reason %d (%v), want %d", what, got, err, want)
		}
	}
}

func TestRemoteRefusesMalformedAnswers(t *testing.T) {
	var answer []byte
	inBubble(t, func(*testing.T) pairConfig {
		return pairConfig{handler: func(_ transport.Peer, _ transport.Request, reply func(transport.Response)) {
			reply(transport.Response{Payload: answer})
		}}
	}, func(t *testing.T, p *pair) {
		for _, answer = range [][]byte{{}, {9}, {7, 7, 7}, []byte(strings.Repeat("\xff", 40)), {1, 0}} {
			for what, err := range map[string]error{
				"read":    p.read(p.remote, p.target, false).Err,
				"digest":  p.read(p.remote, p.target, true).Err,
				"merge":   p.merge(p.remote, p.target, objectBy(1, "a")).Err,
				"forward": p.forward(p.remote, 1, forwarded()).err,
			} {
				if err == nil || p.reason(err) != quorum.Unreachable {
					t.Errorf("%s of %x: %v", what, answer, err)
				}
			}
		}
	})
}

func TestSilentReplicaIsUnreachable(t *testing.T) {
	hang := make(chan struct{})
	inBubble(t, func(*testing.T) pairConfig {
		hang = make(chan struct{})
		return pairConfig{
			store: fakeStore{
				get:   func(storage.Key) (vclock.Object, error) { <-hang; return vclock.Object{}, nil },
				merge: func(storage.Merge) {},
			},
			coordinator: fakeCoordinator(func(context.Context, quorum.PutRequest, bool) (quorum.PutResult, error) {
				<-hang
				return quorum.PutResult{}, nil
			}),
		}
	}, func(t *testing.T, p *pair) {
		start := time.Now()
		done, _ := once[quorum.WriteReply](t)
		o := objectBy(1, "a")
		p.remote.Merge(quorum.Merge{Target: p.target, Object: o, Encoded: o.Append(nil), Budget: budget, Done: func(w quorum.WriteReply) {
			if took := time.Since(start); took < budget || took > budget+100*time.Millisecond {
				t.Errorf("a merge with %v ended after %v", budget, took)
			}
			done(w)
		}})
		p.refusedWith(quorum.Unreachable, p.target)
		close(hang)
	})
}

func TestLostReplicaIsUnreachable(t *testing.T) {
	for name, lose := range map[string]func(p *pair){
		"it is closed":                func(p *pair) { p.to.Close() },
		"this node is closed":         func(p *pair) { p.from.Close() },
		"the way there is cut":        func(p *pair) { p.net.Cut("10.0.0.1", "10.0.0.2") },
		"the way back is cut":         func(p *pair) { p.net.Cut("10.0.0.2", "10.0.0.1") },
		"another node has its place":  func(p *pair) { p.remote = NewRemote(p.from, "b", toAddr, NewBreaker(BreakerConfig{})) },
		"it has gone to no cluster":   func(p *pair) { p.to.SetCluster("") },
		"it is of another cluster":    func(p *pair) { p.to.SetCluster("d") },
		"this node has left":          func(p *pair) { p.from.SetCluster("") },
		"there was never such a node": func(p *pair) { p.remote = NewRemote(p.from, "a", "10.0.0.9:7000", NewBreaker(BreakerConfig{})) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, untouchedPair, func(t *testing.T, p *pair) {
				lose(p)
				p.settle()
				p.refusedWith(quorum.Unreachable, p.target)
			})
		})
	}
}

func TestTooLargeForTheTransport(t *testing.T) {
	small := func(c *transport.Config) { c.MaxMessageBytes, c.MaxFrameBytes = 8<<10, 4<<10 }
	large := objectBy(1, strings.Repeat("x", 64<<10))
	inBubble(t, func(t *testing.T) pairConfig {
		cfg := untouchedPair(t)
		cfg.from, cfg.to = small, small
		return cfg
	}, func(t *testing.T, p *pair) {
		if err := p.merge(p.remote, p.target, large).Err; p.reason(err) != quorum.TooLarge {
			t.Errorf("a large request: %v", err)
		}
	})
	// The peer cannot send it: there may be an object, but it is out of reach.
	inBubble(t, func(*testing.T) pairConfig {
		return pairConfig{to: small, store: fakeStore{get: func(storage.Key) (vclock.Object, error) { return large, nil }}}
	}, func(t *testing.T, p *pair) {
		if err := p.read(p.remote, p.target, false).Err; p.reason(err) != quorum.Unreachable {
			t.Errorf("a large answer: %v", err)
		}
		if a := p.read(p.remote, p.target, true); a.Err != nil || a.Digest != large.Digest() {
			t.Errorf("its digest: %+v", a)
		}
	})
}

func TestTooManyRequestsAreBusy(t *testing.T) {
	one := func(name string) func(c *transport.Config) {
		return func(c *transport.Config) {
			if name == "here" {
				c.MaxInFlight = 1
			} else {
				c.MaxInbound = 1
			}
		}
	}
	for _, where := range []string{"here", "there"} {
		t.Run(where, func(t *testing.T) {
			inBubble(t, func(*testing.T) pairConfig {
				cfg := pairConfig{store: fakeStore{merge: func(storage.Merge) {}, get: func(storage.Key) (vclock.Object, error) { return vclock.Object{}, nil }}}
				if where == "here" {
					cfg.from = one(where)
				} else {
					cfg.to = one(where)
				}
				return cfg
			}, func(t *testing.T, p *pair) {
				if a := p.read(p.remote, p.target, false); a.Err != nil { // connects
					t.Fatal(a.Err)
				}
				o := objectBy(1, "a")
				p.remote.Merge(quorum.Merge{Target: p.target, Object: o, Encoded: o.Append(nil), Budget: time.Hour, Done: func(quorum.WriteReply) {}})
				if err := p.read(p.remote, p.target, false).Err; p.reason(err) != quorum.Busy {
					t.Errorf("a second request: %v", err)
				}
			})
		})
	}
}

func TestForward(t *testing.T) {
	receipt := quorum.Receipt{Replicas: 2, Primaries: 2, Durable: 1, N: 2, Ring: 1}
	o := objectBy(1, "a")
	outcomes := map[string]putOutcome{
		"stored":      {quorum.PutResult{Object: o, Receipt: receipt}, nil},
		"unsatisfied": {err: &quorum.UnsatisfiedError{Level: "W", Got: 1, Want: 2, Written: true, Receipt: receipt}},
		"timeout":     {err: quorum.ErrTimeout},
		"not ready":   {err: quorum.ErrNotReady},
		"overloaded":  {err: quorum.ErrOverloaded},
		"closed":      {err: quorum.ErrClosed},
		"level":       {err: &quorum.LevelError{Level: "w", Value: 5, N: 3}},
		"wrong ring":  {err: &quorum.RefusedError{Reason: quorum.WrongRing, Text: "not mine"}},
		"too large":   {err: &quorum.RefusedError{Reason: quorum.TooLarge, Text: "9 bytes"}},
		"fenced":      {err: &quorum.RefusedError{Reason: quorum.StorageDown, Text: "disk"}},
	}
	var name string
	var got quorum.PutRequest
	inBubble(t, func(t *testing.T) pairConfig {
		return pairConfig{store: untouched(t), coordinator: fakeCoordinator(func(_ context.Context, r quorum.PutRequest, _ bool) (quorum.PutResult, error) {
			got = r
			return outcomes[name].result, outcomes[name].err
		})}
	}, func(t *testing.T, p *pair) {
		req := forwarded()
		for n, want := range outcomes {
			name = n
			out := p.forward(p.remote, 1, req)
			if !reflect.DeepEqual(out.err, want.err) || out.result.Receipt != want.result.Receipt || !out.result.Object.Equal(want.result.Object) {
				t.Errorf("%s: %+v, want %+v", name, out, want)
			}
			if got.Timeout > budget || got.Timeout < budget-10*time.Millisecond { // it took some to get there
				t.Errorf("%s: timeout %v, the budget was %v", name, got.Timeout, budget)
			}
			if got.Timeout = req.Timeout; !reflect.DeepEqual(got, req) {
				t.Errorf("%s: the coordinator got\n%+v, want\n%+v", name, got, req)
			}
		}
		name = "stored"
		req.ReturnBody = false
		if out := p.forward(p.remote, 1, req); out.err != nil || !out.result.Object.Missing() || out.result.Receipt != receipt {
			t.Errorf("without body: %+v", out)
		}
	})
}

// A missed level stays one, with its receipt, whatever its causes are.
func TestCausesDoNotHideAMissedLevel(t *testing.T) {
	for _, cause := range []error{quorum.ErrTimeout, quorum.ErrClosed, &quorum.RefusedError{Reason: quorum.Busy}, &quorum.LevelError{}} {
		missed := &quorum.UnsatisfiedError{Level: "W", Got: 1, Want: 2, Written: true, Causes: []error{cause}}
		_, err, malformed := decodeResult(encodeResult(quorum.PutResult{}, missed, false))
		if e, ok := errors.AsType[*quorum.UnsatisfiedError](err); malformed != nil || !ok || !e.Written {
			t.Errorf("cause %v: %#v, %v", cause, err, malformed)
		}
	}
	_, err, malformed := decodeResult(encodeResult(quorum.PutResult{}, &quorum.LevelError{Level: "w", Value: -7, N: 3}, false))
	if malformed != nil || err == nil || !strings.Contains(err.Error(), "-7") {
		t.Errorf("a level that is no number: %v, %v", err, malformed)
	}
}
