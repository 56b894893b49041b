package transport

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/internal/memnet"
)

// sleep-ok: every test here runs in a bubble, by this package's own helper.

func TestCallCarriesEverything(t *testing.T) {
	inWorld(t, memnet.Config{Link: memnet.Link{Delay: time.Millisecond}}, func(w world) {
		var from Peer
		var got Request
		n2 := w.node("n2", func(c *Config) {
			c.Handler = func(p Peer, req Request, reply func(Response)) {
				from, got = p, req
				reply(Response{Status: StatusHandler + 3, Ring: 1 << 60, Payload: []byte("answer")})
				reply(Response{Payload: []byte("second")})
			}
		})
		n1 := w.node("n1")
		c := start(n1, "n2:8099", Request{Kind: 250, Ring: 1<<63 + 1, Budget: 1500 * time.Microsecond * 1000, Payload: []byte("question")})
		res := <-c
		if res.err != nil || res.Status != StatusHandler+3 || res.Ring != 1<<60 || string(res.Payload) != "answer" {
			t.Errorf("response %+v", res)
		}
		if want := (Peer{Node: "uuid-n1", Cluster: "c", Addr: "n1:8099", Member: true, Version: 1}); from != want {
			t.Errorf("peer %+v, want %+v", from, want)
		}
		// Connecting took four crossings of 1 ms: what is left of the budget is told.
		if got.Budget < 1494*time.Millisecond || got.Budget > 1497*time.Millisecond {
			t.Errorf("budget %v", got.Budget)
		}
		got.Budget = 0
		if want := (Request{Kind: 250, Ring: 1<<63 + 1, Payload: []byte("question")}); !reflect.DeepEqual(got, want) {
			t.Errorf("request %+v, want %+v", got, want)
		}
		synctest.Wait()
		if s := n2.Stats(); len(c) != 0 || s.InboundNow != 0 || s.FramesOut != 1 {
			t.Errorf("the second reply did something: %+v", s)
		}
	})
}

func TestAnswersOutOfOrder(t *testing.T) {
	inWorld(t, memnet.Config{Link: memnet.Link{Delay: time.Millisecond, Jitter: time.Millisecond}}, func(w world) {
		w.node("n2")
		n1 := w.node("n1")
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(1, uint64(i)))
				for range 20 {
					delay := (time.Duration(rng.IntN(50)) * time.Millisecond).String()
					res := ask(n1, "n2:8099", Request{Kind: lateKind, Payload: []byte(delay)})
					if res.err != nil || string(res.Payload) != delay {
						t.Errorf("%v %q, want %q", res.err, res.Payload, delay)
					}
				}
			})
		}
		wg.Wait()
		if s := n1.Stats(); s.Answered != 64*20 || s.Dials != 1 || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestFramesCoalesce(t *testing.T) {
	inWorld(t, memnet.Config{Link: memnet.Link{Delay: time.Millisecond}}, func(w world) {
		w.node("n2")
		n1 := w.node("n1")
		var calls []<-chan outcome
		for i := range 200 { // all wait for the connection
			calls = append(calls, start(n1, "n2:8099", Request{Kind: echoKind, Payload: fmt.Append(nil, i)}))
		}
		for i, c := range calls {
			if res := <-c; res.err != nil || string(res.Payload) != fmt.Sprint(i) {
				t.Errorf("call %d: %q, %v", i, res.Payload, res.err)
			}
		}
		if s := n1.Stats(); s.FramesOut != 200 || s.Writes != 1 {
			t.Errorf("%d frames in %d writes", s.FramesOut, s.Writes)
		}
	})
}

func TestLargeMessages(t *testing.T) {
	inWorld(t, memnet.Config{Link: memnet.Link{Delay: time.Millisecond}}, func(w world) {
		small := func(c *Config) { c.MaxFrameBytes, c.MaxMessageBytes = 4<<10, 1<<20 }
		n2 := w.node("n2", small)
		n1 := w.node("n1")
		w.mustEcho(n1, "n2:8099")
		rng := rand.New(rand.NewPCG(1, 2))
		var wg sync.WaitGroup
		for _, size := range []int{0, 1, 4095, 4096, 4097, 8192, 100_000, 300_000, 1 << 20} {
			payload := make([]byte, size)
			for i := range payload {
				payload[i] = byte(rng.Uint32())
			}
			c := start(n1, "n2:8099", Request{Kind: echoKind, Ring: uint64(size), Payload: payload})
			wg.Go(func() {
				if res := <-c; res.err != nil || !bytes.Equal(res.Payload, payload) || res.Ring != uint64(size) {
					t.Errorf("%d bytes: %d came back, %v", size, len(res.Payload), res.err)
				}
			})
		}
		wg.Wait()
		res := ask(n1, "n2:8099", Request{Kind: echoKind, Payload: make([]byte, 1<<20+1)})
		if !errors.Is(res.err, ErrTooLarge) {
			t.Errorf("over the peer's limit: %v", res.err)
		}
		res = ask(n2, "n1:8099", Request{Kind: echoKind, Payload: make([]byte, 1<<20+1)})
		if !errors.Is(res.err, ErrTooLarge) {
			t.Errorf("over the own limit: %v", res.err)
		}
	})
}

func TestLargeAnswerIsRefused(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		n2 := w.node("n2", func(c *Config) {
			c.Handler = func(_ Peer, _ Request, reply func(Response)) {
				reply(Response{Ring: 9, Payload: make([]byte, 1<<20+1)})
			}
		})
		n1 := w.node("n1", func(c *Config) { c.MaxMessageBytes = 1 << 20 })
		res := ask(n1, "n2:8099", Request{Kind: echoKind})
		if res.err != nil || res.Status != StatusTooLarge || res.Ring != 9 || n2.Stats().LargeAnswers != 1 {
			t.Errorf("%+v", res)
		}
	})
}

// A small answer overtakes a large message that is under way.
func TestPartsInterleave(t *testing.T) {
	inWorld(t, memnet.Config{Link: memnet.Link{Delay: time.Millisecond}}, func(w world) {
		w.node("n2", func(c *Config) { c.MaxFrameBytes = 16 << 10 })
		n1 := w.node("n1", func(c *Config) { c.MaxFrameBytes = 16 << 10 })
		w.mustEcho(n1, "n2:8099")
		// 64 KiB per crossing: each large call takes over 30 ms each way.
		var large []<-chan outcome
		for range 2 {
			large = append(large, start(n1, "n2:8099", Request{Kind: echoKind, Payload: make([]byte, 2<<20)}))
		}
		for range 5 {
			res := ask(n1, "n2:8099", Request{Kind: echoKind, Payload: []byte("small")})
			if res.err != nil || res.took > 10*time.Millisecond {
				t.Errorf("small call: %v after %v", res.err, res.took)
			}
		}
		for _, c := range large {
			if res := <-c; res.err != nil || len(res.Payload) != 2<<20 || res.took < 60*time.Millisecond {
				t.Errorf("large call: %v after %v", res.err, res.took)
			}
		}
	})
}

func TestTimeout(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		n2 := w.node("n2")
		n1 := w.node("n1")
		w.mustEcho(n1, "n2:8099")
		var wg sync.WaitGroup
		for _, ms := range []int{1000, 7, 3, 250, 251, 252, 253, 999, 1} {
			budget := time.Duration(ms) * time.Millisecond
			c := start(n1, "n2:8099", Request{Kind: deafKind, Budget: budget})
			wg.Go(func() {
				res := <-c
				if !errors.Is(res.err, ErrTimeout) || res.took < budget || res.took > budget+sweepEvery {
					t.Errorf("budget %v: %v after %v", budget, res.err, res.took)
				}
			})
		}
		// An answer that comes too late harms nobody.
		late := start(n1, "n2:8099", Request{Kind: lateKind, Budget: time.Millisecond, Payload: []byte("100ms")})
		if res := <-late; !errors.Is(res.err, ErrTimeout) {
			t.Errorf("late answer: %v", res.err)
		}
		wg.Wait()
		w.mustEcho(n1, "n2:8099")
		if len(late) != 0 {
			t.Error("a second outcome")
		}
		if s := n1.Stats(); s.Timeouts != 10 || s.Dials != 1 || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
		if got := n2.Stats().InboundNow; got != 9 {
			t.Errorf("%d requests with the handler, want the 9 that it never answers", got)
		}
		for _, budget := range []time.Duration{-1, 0} {
			var got error
			n1.Call("n2:8099", Request{Kind: echoKind, Budget: budget}, func(_ Response, err error) { got = err })
			if !errors.Is(got, ErrTimeout) {
				t.Errorf("budget %v: %v", budget, got)
			}
		}
	})
}

// The rest of a large request is not sent once its time is over.
func TestTimeoutAbortsLargeRequest(t *testing.T) {
	inWorld(t, memnet.Config{Link: memnet.Link{Delay: 10 * time.Millisecond}}, func(w world) {
		n2 := w.node("n2")
		n1 := w.node("n1")
		w.mustEcho(n1, "n2:8099")
		before := n1.Stats().BytesOut
		res := ask(n1, "n2:8099", Request{Kind: echoKind, Budget: 100 * time.Millisecond, Payload: make([]byte, 64<<20)})
		if !errors.Is(res.err, ErrTimeout) {
			t.Error(res.err)
		}
		time.Sleep(time.Second)
		w.mustEcho(n1, "n2:8099")
		if sent := n1.Stats().BytesOut - before; sent > 4<<20 {
			t.Errorf("%d bytes sent", sent)
		}
		if s := n2.Stats(); s.Requests != 2 || s.Malformed != 0 {
			t.Errorf("%+v", s)
		}
		for _, l := range incomingLinks(n2) {
			if l.parts.held != 0 || len(l.parts.open) != 0 {
				t.Errorf("%d bytes, %d messages kept", l.parts.held, len(l.parts.open))
			}
		}
	})
}

func incomingLinks(t *Transport) (links []*link) {
	synctest.Wait() // the readers are idle
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.mu.incoming {
		links = append(links, c.link)
	}
	return links
}

func TestBusyInFlight(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		w.node("n2")
		n1 := w.node("n1", func(c *Config) { c.MaxInFlight = 10 })
		for range 2 { // while connecting, and connected
			var calls []<-chan outcome
			for range 10 {
				calls = append(calls, start(n1, "n2:8099", Request{Kind: lateKind, Payload: []byte("1s")}))
			}
			if res := ask(n1, "n2:8099", Request{Kind: echoKind}); !errors.Is(res.err, ErrBusy) || res.took != 0 {
				t.Errorf("the 11th call: %v after %v", res.err, res.took)
			}
			for _, c := range calls {
				if res := <-c; res.err != nil {
					t.Error(res.err)
				}
			}
		}
	})
}

func TestBusyQueue(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		w.node("n2")
		n1 := w.node("n1", func(c *Config) {
			c.MaxFrameBytes, c.MaxQueuedBytes, c.MaxMessageBytes = 100_000, 1_000_000, 3_000_000
		})
		w.mustEcho(n1, "n2:8099")
		w.net.Pause("n2")
		try := func(size int) (taken int) {
			for {
				c := start(n1, "n2:8099", Request{Kind: echoKind, Budget: time.Second, Payload: make([]byte, size)})
				synctest.Wait()
				if len(c) == 1 {
					if res := <-c; !errors.Is(res.err, ErrBusy) {
						t.Errorf("queue full: %v", res.err)
					}
					return taken
				}
				taken++
			}
		}
		if got := try(50_000); got < 15 || got > 25 {
			t.Errorf("%d small messages taken", got)
		}
		if got := try(1_000_000); got != 3 {
			t.Errorf("%d large messages taken", got)
		}
		time.Sleep(time.Second + sweepEvery)
		w.net.Resume("n2")
		w.mustEcho(n1, "n2:8099")
	})
}

func TestBusyInbound(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		n2 := w.node("n2", func(c *Config) { c.MaxInbound = 3 })
		n1 := w.node("n1")
		for range 3 {
			start(n1, "n2:8099", Request{Kind: lateKind, Payload: []byte("1s")})
		}
		res := ask(n1, "n2:8099", Request{Kind: echoKind})
		if res.err != nil || res.Status != StatusBusy || n2.Stats().BusyAnswers != 1 {
			t.Errorf("%+v", res)
		}
		time.Sleep(time.Second)
		w.mustEcho(n1, "n2:8099")
	})
}

// A peer that asks and never reads its answers does not fill the memory.
func TestUnreadAnswersStopReading(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		n2 := w.node("n2", func(c *Config) {
			c.MaxFrameBytes, c.MaxQueuedBytes = 8<<10, 64<<10
			c.Handler = func(_ Peer, _ Request, reply func(Response)) { reply(Response{Payload: make([]byte, 8<<10)}) }
		})
		c := w.dialRaw("n2:8099")
		w.greet(c, rawHello())
		c.SetWriteDeadline(time.Now().Add(time.Second))
		for id := uint64(1); ; id++ {
			if _, err := c.Write(frame(header{id: id, kind: 1}, make([]byte, 1000))); err != nil {
				break
			}
		}
		// A window, a queue and a few more of 8 KiB each.
		if s := n2.Stats(); s.Requests < 8 || s.Requests > 40 {
			t.Errorf("%d requests taken", s.Requests)
		}
		time.Sleep(10 * time.Second)
		if s := n2.Stats(); s.Incoming != 0 {
			t.Error("the connection that makes no progress is still there")
		}
	})
}

func TestClientGoneMidRequest(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		var reply func(Response)
		n2 := w.node("n2", func(c *Config) {
			c.Handler = func(_ Peer, _ Request, r func(Response)) { reply = r }
		})
		c := w.dialRaw("n2:8099")
		w.greet(c, rawHello())
		half := frame(header{id: 2, kind: 1}, make([]byte, 1000))[:500]
		w.sendFrames(c, frame(header{id: 1, kind: 1}, nil), half)
		synctest.Wait()
		c.Close()
		synctest.Wait()
		if s := n2.Stats(); s.Incoming != 0 || s.InboundNow != 1 || s.Malformed != 0 {
			t.Errorf("%+v", s)
		}
		reply(Response{})
		if s := n2.Stats(); s.InboundNow != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestCloseDuringCalls(t *testing.T) {
	inWorld(t, memnet.Config{Link: memnet.Link{Delay: time.Millisecond}}, func(w world) {
		n2 := w.node("n2")
		n1 := w.node("n1")
		w.mustEcho(n1, "n2:8099")
		w.net.Cut("n1", "n4")
		var calls []<-chan outcome
		for _, addr := range []string{"n2:8099", "n3:8099", "n4:8099"} { // connected, connecting, connecting for long
			for range 5 {
				calls = append(calls, start(n1, addr, Request{Kind: deafKind}))
			}
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := n1.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, c := range calls {
			if len(c) != 1 {
				t.Fatalf("%d outcomes after Close", len(c))
			}
			if res := <-c; !errors.Is(res.err, ErrClosed) {
				t.Error(res.err)
			}
		}
		if res := ask(n1, "n2:8099", Request{Kind: echoKind}); !errors.Is(res.err, ErrClosed) {
			t.Errorf("call after Close: %v", res.err)
		}
		n1.SetCluster("d")
		time.Sleep(10 * time.Millisecond)
		if s := n2.Stats(); s.Incoming != 0 {
			t.Errorf("%+v", s)
		}
		w.node("n1") // the address is free again
	})
}

// Whatever happens to the network, each call has one outcome, in time, and an
// answer is that call's own.
func TestStorm(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { storm(t, seed) })
	}
}

func storm(t *testing.T, seed uint64) {
	cfg := memnet.Config{Seed: seed, Link: memnet.Link{
		Delay: time.Millisecond, Jitter: 2 * time.Millisecond, ResetEvery: 1 << 20, ResetOnHeal: 0.5,
	}}
	inWorld(t, cfg, func(w world) {
		names := []string{"n1", "n2", "n3"}
		var nodes []*Transport
		small := func(c *Config) {
			c.Seed, c.MaxFrameBytes, c.MaxMessageBytes, c.MaxInFlight = seed+1, 4<<10, 1<<20, 50
			c.IdleTimeout = 2 * time.Second
		}
		for _, name := range names {
			nodes = append(nodes, w.node(name, small))
		}
		var answered, ended atomic.Int64
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				for k := range 300 {
					from, to := rng.IntN(3), rng.IntN(3)
					payload := bytes.Repeat(fmt.Appendf(nil, "%d-%d ", i, k), 1+rng.IntN(10)*rng.IntN(10)*rng.IntN(10)*10)
					budget := time.Duration(1+rng.IntN(200)) * time.Millisecond
					begin, once := time.Now(), new(atomic.Int32)
					nodes[from].Call(names[to]+":8099", Request{Kind: echoKind, Budget: budget, Payload: payload}, func(res Response, err error) {
						ended.Add(1)
						if once.Add(1) != 1 {
							t.Error("two outcomes")
						}
						if took := time.Since(begin); took > budget+sweepEvery {
							t.Errorf("outcome after %v of %v", took, budget)
						}
						if err == nil && res.Status == StatusOK {
							answered.Add(1)
							if !bytes.Equal(res.Payload, payload) {
								t.Errorf("an answer of %d bytes to a request of %d", len(res.Payload), len(payload))
							}
						}
					})
					time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
				}
			})
		}
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 99))
			for range 30 {
				a, b := names[rng.IntN(3)], names[rng.IntN(3)]
				switch rng.IntN(5) {
				case 0:
					w.net.Cut(a, b)
				case 1:
					w.net.HealAll()
				case 2:
					w.net.Reset(a, b)
				case 3:
					w.net.Pause(a)
					time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
					w.net.Resume(a)
				case 4:
					nodes[rng.IntN(3)].SetCluster([]string{"c", "c", "d"}[rng.IntN(3)])
				}
				time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
			}
			w.net.HealAll()
			for _, n := range nodes {
				n.SetCluster("c")
			}
		})
		wg.Wait()
		time.Sleep(10 * time.Second)
		if ended.Load() != 1800 || answered.Load() < 300 {
			t.Errorf("%d calls ended, %d answered", ended.Load(), answered.Load())
		}
		for i, n := range nodes {
			for j := range nodes {
				if i != j {
					w.mustEcho(n, names[j]+":8099")
				}
			}
			if s := n.Stats(); s.InFlight != 0 || s.InboundNow != 0 || s.Malformed != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestConfigErrors(t *testing.T) {
	_, err := New(Config{MaxFrameBytes: 1, MaxQueuedBytes: -1, Heartbeat: -1, Versions: VersionRange{3, 2}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"no address", "no node uuid", "frames of 1 bytes", "queue of -1", "heartbeat -1", "versions 3-2"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	inWorld(t, memnet.Config{}, func(w world) {
		w.node("n1")
		if _, err := New(Config{Network: w.net.Host("n1"), Listen: "n1:8099", Node: "x"}); err == nil || !strings.Contains(err.Error(), "n1:8099") {
			t.Errorf("port taken: %v", err)
		}
	})
}
