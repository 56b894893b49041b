package replica

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/quorum"
	"cartwheel/transport"
)

// caller is a transport that keeps calls until they are answered, or answers with err.
type caller struct {
	err     error
	answers bool
	made    int
	waiting []func(transport.Response, error)
}

func (c *caller) Call(_ string, _ transport.Request, done func(transport.Response, error)) {
	c.made++
	switch {
	case c.err != nil:
		done(transport.Response{}, c.err)
	case c.answers:
		done(transport.Response{Status: refused + transport.Status(quorum.StorageDown), Payload: []byte("no")}, nil)
	default:
		c.waiting = append(c.waiting, done)
	}
}

func (c *caller) answerAll(err error) {
	waiting := c.waiting
	c.waiting = nil
	for _, done := range waiting {
		done(transport.Response{Status: transport.StatusBusy}, err)
	}
}

// tried makes n merges and returns how many were let through.
func tried(p *Remote, c *caller, n, size int) int {
	before := c.made
	for range n {
		p.Merge(quorum.Merge{Encoded: make([]byte, size), Done: func(quorum.WriteReply) {}})
	}
	return c.made - before
}

func breakerTest(t *testing.T, cfg BreakerConfig, test func(t *testing.T, p *Remote, b *Breaker, c *caller)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b, c := NewBreaker(cfg), &caller{}
		test(t, NewRemote(c, "x", "addr", b), b, c)
		c.answerAll(transport.ErrClosed)
		if s := b.Stats(); s.Calls != 0 || s.Bytes != 0 {
			t.Errorf("at the end: %+v", s)
		}
	})
}

func wantState(t *testing.T, b *Breaker, want string) {
	t.Helper()
	if got := b.State(); got != want || b.Stats().State != want || b.usable() != (want != "open") {
		t.Errorf("state %s, usable %v, want %s", got, b.usable(), want)
	}
}

// What fails at once opens the breaker after a few times; a pause later one call tries.
func TestBreakerOpensOnFailures(t *testing.T) {
	var log bytes.Buffer
	cfg := BreakerConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	breakerTest(t, cfg, func(t *testing.T, p *Remote, b *Breaker, c *caller) {
		c.err = transport.ErrVersion
		if n := tried(p, c, 10, 10); n != 5 {
			t.Errorf("%d calls before it opened", n)
		}
		wantState(t, b, "open")
		var got error
		p.Read(quorum.Read{Done: func(a quorum.ReadReply) { got = a.Err }})
		if e, ok := got.(*quorum.RefusedError); !ok || e.Reason != quorum.Unreachable || !strings.Contains(e.Text, "breaker open") {
			t.Errorf("%v", got)
		}
		p.Forward(quorum.Forward{Done: func(_ quorum.PutResult, err error) { got = err }})
		if e, ok := got.(*quorum.RefusedError); !ok || e.Reason != quorum.Unreachable {
			t.Errorf("%v", got)
		}
		for range 3 {
			time.Sleep(1001 * time.Millisecond)
			wantState(t, b, "half-open")
			if n := tried(p, c, 10, 10); n != 1 {
				t.Errorf("%d calls while half open", n)
			}
			wantState(t, b, "open")
		}
		c.err, c.answers = nil, true
		time.Sleep(1001 * time.Millisecond)
		if n := tried(p, c, 10, 10); n != 10 {
			t.Errorf("%d calls once it answers, though with a refusal", n)
		}
		wantState(t, b, "closed")
		if s := b.Stats(); s.Opened != 4 || s.FailedFast != 5+2+3*9 {
			t.Errorf("%+v", s)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("%d lines: %s", n, log.String())
		}
	})
}

// All nodes start at once: for a while nobody can be reached, and then everybody must be.
func TestBreakerStaysClosedToTheUnreachable(t *testing.T) {
	breakerTest(t, BreakerConfig{}, func(t *testing.T, p *Remote, b *Breaker, c *caller) {
		c.err = transport.ErrUnreachable
		if n := tried(p, c, 100, 10); n != 100 {
			t.Errorf("%d calls before it opened", n)
		}
		wantState(t, b, "closed")
		// Nor does it open one that silence has opened.
		c.err = nil
		tried(p, c, 20, 10)
		time.Sleep(1300 * time.Millisecond)
		wantState(t, b, "open")
		c.answerAll(transport.ErrUnreachable)
		time.Sleep(1001 * time.Millisecond)
		c.err = transport.ErrUnreachable
		if n := tried(p, c, 10, 10); n != 10 {
			t.Errorf("%d calls while half open", n)
		}
		wantState(t, b, "half-open")
		c.err, c.answers = nil, true
		tried(p, c, 1, 10)
		wantState(t, b, "closed")
	})
}

// Silence is noticed while the calls are still awaited.
func TestBreakerOpensOnSilence(t *testing.T) {
	breakerTest(t, BreakerConfig{}, func(t *testing.T, p *Remote, b *Breaker, c *caller) {
		tried(p, c, 20, 10)
		time.Sleep(990 * time.Millisecond)
		wantState(t, b, "closed")
		time.Sleep(300 * time.Millisecond)
		wantState(t, b, "open")
		if n := tried(p, c, 1, 10); n != 0 || len(c.waiting) != 20 {
			t.Errorf("%d let through, %d are awaited", n, len(c.waiting))
		}
		time.Sleep(time.Second)
		if n := tried(p, c, 5, 10); n != 1 {
			t.Errorf("%d let through while half open", n)
		}
		if b.usable() {
			t.Error("usable with the one call under way")
		}
		time.Sleep(1300 * time.Millisecond)
		wantState(t, b, "open")
		// Answers to calls from before it opened say nothing about now.
		c.answerAll(nil)
		wantState(t, b, "open")
		time.Sleep(time.Second)
		tried(p, c, 1, 10)
		c.answerAll(nil)
		wantState(t, b, "closed")
		if s := b.Stats(); s.Silent != 21 || s.Calls != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A steady trickle of calls is enough to notice.
func TestBreakerOpensOnTrickle(t *testing.T) {
	breakerTest(t, BreakerConfig{}, func(t *testing.T, p *Remote, b *Breaker, c *caller) {
		for range 10 {
			tried(p, c, 1, 10)
			time.Sleep(500 * time.Millisecond)
		}
		if s := b.Stats(); s.Opened == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A peer that fails half of its calls is left alone, also if never two in a row fail; one that
// fails fewer is not.
func TestBreakerOpensOnBadRatio(t *testing.T) {
	for good, want := range map[int]bool{1: true, 2: false} {
		breakerTest(t, BreakerConfig{}, func(t *testing.T, p *Remote, b *Breaker, c *caller) {
			c.answers = true
			for range 100 {
				for range good {
					p.Read(quorum.Read{Done: func(quorum.ReadReply) {}})
				}
				c.err = transport.ErrVersion
				tried(p, c, 1, 10)
				c.err = nil
				time.Sleep(10 * time.Millisecond)
			}
			if s := b.Stats(); (s.Opened > 0) != want {
				t.Errorf("%d answers for each failure: %+v", good, s)
			}
		})
	}
}

// A peer whose store hangs while other requests are answered is left alone.
func TestBreakerOpensOnHangingWrites(t *testing.T) {
	breakerTest(t, BreakerConfig{}, func(t *testing.T, p *Remote, b *Breaker, c *caller) {
		for range 200 {
			tried(p, c, 1, 10)
			c.answers = true
			p.Read(quorum.Read{Done: func(quorum.ReadReply) {}})
			c.answers = false
			time.Sleep(10 * time.Millisecond)
		}
		if s := b.Stats(); s.Opened == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// What says nothing about the peer does not open the breaker: callers with little time, this
// node's own bounds, answers of any kind, and forwarded puts that wait for others.
func TestBreakerStaysClosed(t *testing.T) {
	for name, run := range map[string]func(p *Remote, c *caller){
		"short budgets": func(p *Remote, c *caller) {
			tried(p, c, 1, 10)
			time.Sleep(5 * time.Millisecond)
			c.answerAll(transport.ErrTimeout)
		},
		"busy here":    func(p *Remote, c *caller) { tried(p, c, 1, 10); c.answerAll(fmt.Errorf("%w: x", transport.ErrBusy)) },
		"busy there":   func(p *Remote, c *caller) { tried(p, c, 1, 10); c.answerAll(nil) },
		"too large":    func(p *Remote, c *caller) { tried(p, c, 1, 10); c.answerAll(transport.ErrTooLarge) },
		"closing here": func(p *Remote, c *caller) { tried(p, c, 1, 10); c.answerAll(transport.ErrClosed) },
		"starting": func(p *Remote, c *caller) { // and does not know its cluster yet
			tried(p, c, 1, 10)
			c.answerAll(fmt.Errorf("%w: x", transport.ErrWrongCluster))
		},
		"forwards": func(p *Remote, c *caller) {
			p.Forward(quorum.Forward{Done: func(quorum.PutResult, error) {}})
			time.Sleep(1500 * time.Millisecond)
			c.answerAll(transport.ErrTimeout)
		},
		"large": func(p *Remote, c *caller) {
			tried(p, c, 1, 16<<20)
			time.Sleep(2500 * time.Millisecond)
			c.answerAll(nil)
		},
	} {
		breakerTest(t, BreakerConfig{}, func(t *testing.T, p *Remote, b *Breaker, c *caller) {
			for range 30 {
				run(p, c)
			}
			wantState(t, b, "closed")
			if s := b.Stats(); s.Opened != 0 || s.Silent != 0 || c.made != 30 {
				t.Errorf("%s: %d calls, %+v", name, c.made, s)
			}
		})
	}
}

// A half-open breaker is not stuck by a call that ends without telling anything.
func TestBreakerHalfOpenGoesOn(t *testing.T) {
	breakerTest(t, BreakerConfig{}, func(t *testing.T, p *Remote, b *Breaker, c *caller) {
		tried(p, c, 10, 10)
		time.Sleep(1300 * time.Millisecond) // nobody answers
		wantState(t, b, "open")
		c.answerAll(transport.ErrTimeout)
		time.Sleep(1100 * time.Millisecond)
		for range 3 {
			if n := tried(p, c, 3, 10); n != 1 {
				t.Errorf("%d let through", n)
			}
			c.answerAll(transport.ErrTimeout) // its caller had no time
			wantState(t, b, "half-open")
		}
		p.Forward(quorum.Forward{Done: func(quorum.PutResult, error) {}})
		time.Sleep(1300 * time.Millisecond)
		if n := tried(p, c, 3, 10); n != 1 {
			t.Errorf("%d let through beside a forwarded put that waits", n)
		}
	})
}

// A silent peer holds no more of this node's memory than MaxBytes.
func TestBreakerBoundsBytes(t *testing.T) {
	breakerTest(t, BreakerConfig{MaxBytes: 1000}, func(t *testing.T, p *Remote, b *Breaker, c *caller) {
		if n := tried(p, c, 20, 100); n != 10 {
			t.Errorf("%d calls of 100 bytes", n)
		}
		var got error
		p.Merge(quorum.Merge{Encoded: make([]byte, 100), Done: func(w quorum.WriteReply) { got = w.Err }})
		if e, ok := errors.AsType[*quorum.RefusedError](got); !ok || e.Reason != quorum.Busy {
			t.Errorf("%v", got)
		}
		p.Read(quorum.Read{Done: func(quorum.ReadReply) {}})
		if s := b.Stats(); s.Full != 11 || s.Bytes != 1000 || s.Calls != 11 || s.State != "closed" {
			t.Errorf("%+v", s)
		}
		c.answerAll(nil)
		if n := tried(p, c, 2, 5000); n != 1 {
			t.Errorf("%d objects larger than the bound", n)
		}
	})
}

// yes is a transport whose every call is answered at once with the same payload.
type yes []byte

func (y yes) Call(_ string, _ transport.Request, done func(transport.Response, error)) {
	done(transport.Response{Payload: y}, nil)
}

// BenchmarkRemote is what a call costs beside the transport and the peer.
func BenchmarkRemote(b *testing.B) {
	o := object("a")
	b.Run("merge", func(b *testing.B) {
		p := NewRemote(yes(encodeWriteReply(quorum.WriteReply{Durable: true})), "x", "addr", NewBreaker(BreakerConfig{}))
		m := quorum.Merge{Target: target, Object: o, Encoded: o.Append(nil), Done: func(quorum.WriteReply) {}}
		b.ReportAllocs()
		for b.Loop() {
			p.Merge(m)
		}
	})
	b.Run("digest", func(b *testing.B) {
		p := NewRemote(yes(encodeReadReply(quorum.ReadReply{Digest: o.Digest()}, true, false)), "x", "addr", NewBreaker(BreakerConfig{}))
		q := quorum.Read{Target: target, Digest: true, Done: func(quorum.ReadReply) {}}
		b.ReportAllocs()
		for b.Loop() {
			p.Read(q)
		}
	})
}
