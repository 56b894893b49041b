package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/internal/memnet"
)

// sleep-ok: every test here runs in a bubble, by this package's own helper.

func TestUnreachableAndBack(t *testing.T) {
	inWorld(t, memnet.Config{Link: memnet.Link{Delay: time.Millisecond}}, func(w world) {
		n1 := w.node("n1")
		if res := ask(n1, "n2:8099", Request{Kind: echoKind}); !errors.Is(res.err, ErrUnreachable) || res.took != 2*time.Millisecond {
			t.Errorf("first call: %v after %v", res.err, res.took)
		}
		time.Sleep(time.Millisecond)
		if res := ask(n1, "n2:8099", Request{Kind: echoKind}); !errors.Is(res.err, ErrUnreachable) || res.took != 0 {
			t.Errorf("second call: %v after %v", res.err, res.took)
		}
		time.Sleep(time.Minute)
		// 7 attempts while the pause doubles from 50 ms to 5 s, then one each 2.5 to 5 s.
		if s := n1.Stats(); s.Dials < 17 || s.Dials > 32 || s.DialFailures != s.Dials {
			t.Errorf("%d attempts in a minute", s.Dials)
		}
		w.node("n2")
		time.Sleep(5*time.Second + 10*time.Millisecond)
		w.mustEcho(n1, "n2:8099")
	})
}

// Only the first attempt makes calls wait, however long the later ones take.
func TestCallsDoNotWaitForLaterAttempts(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		n1 := w.node("n1")
		w.net.Cut("n1", "n2")
		if res := ask(n1, "n2:8099", Request{Kind: echoKind}); !errors.Is(res.err, ErrUnreachable) || res.took != 2*time.Second {
			t.Errorf("first call: %v after %v", res.err, res.took)
		}
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			if res := ask(n1, "n2:8099", Request{Kind: echoKind}); !errors.Is(res.err, ErrUnreachable) || res.took != 0 {
				t.Fatalf("%v after %v", res.err, res.took)
			}
		}
	})
}

// A peer that greets and hangs up is not called as fast as possible.
func TestShortConnectionsBackOff(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		l, err := w.net.Host("raw").Listen("raw:1")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				nc.Write(rawHello().append(nil))
				io.CopyN(io.Discard, nc, 40) // its greeting has begun to arrive
				nc.Close()
			}
		}()
		n1 := w.node("n1")
		ask(n1, "raw:1", Request{Kind: echoKind})
		time.Sleep(time.Minute)
		if s := n1.Stats(); s.Dials > 32 {
			t.Errorf("%d connections in a minute", s.Dials)
		}
	})
}

// A peer that is back says so by connecting: nobody waits for the backoff.
func TestPeerThatConnectsIsTried(t *testing.T) {
	inWorld(t, memnet.Config{Link: memnet.Link{Delay: time.Millisecond}}, func(w world) {
		n1 := w.node("n1", func(c *Config) { c.BackoffMax = time.Hour; c.IdleTimeout = 24 * time.Hour })
		ask(n1, "n2:8099", Request{Kind: echoKind})
		time.Sleep(10 * time.Hour)
		n2 := w.node("n2")
		w.mustEcho(n2, "n1:8099")
		time.Sleep(10 * time.Millisecond)
		w.mustEcho(n1, "n2:8099")
	})
}

func TestCrashFailsCalls(t *testing.T) {
	inWorld(t, memnet.Config{Link: memnet.Link{Delay: time.Millisecond}}, func(w world) {
		w.node("n2")
		n1 := w.node("n1")
		w.mustEcho(n1, "n2:8099")
		time.Sleep(10 * time.Second)
		c := start(n1, "n2:8099", Request{Kind: deafKind})
		time.Sleep(time.Second)
		w.net.Crash("n2")
		if res := <-c; !errors.Is(res.err, ErrUnreachable) || res.took != time.Second+time.Millisecond {
			t.Errorf("%v after %v", res.err, res.took)
		}
		w.node("n2")
		time.Sleep(200 * time.Millisecond)
		w.mustEcho(n1, "n2:8099")
	})
}

// A link that swallows everything, in either direction or both, is noticed.
func TestCutLinkIsNoticed(t *testing.T) {
	for name, cuts := range map[string][][2]string{
		"there": {{"n1", "n2"}}, "back": {{"n2", "n1"}}, "both": {{"n1", "n2"}, {"n2", "n1"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, memnet.Config{Link: memnet.Link{Delay: time.Millisecond}}, func(w world) {
				n2 := w.node("n2")
				n1 := w.node("n1")
				w.mustEcho(n1, "n2:8099")
				time.Sleep(time.Hour / 20) // idle, within the idle timeout
				if s := n1.Stats(); s.Dials != 1 {
					t.Fatalf("an idle connection did not last: %+v", s)
				}
				for _, c := range cuts {
					w.net.Cut(c[0], c[1])
				}
				res := ask(n1, "n2:8099", Request{Kind: echoKind})
				if !errors.Is(res.err, ErrUnreachable) || res.took > 2600*time.Millisecond {
					t.Errorf("%v after %v", res.err, res.took)
				}
				time.Sleep(5 * time.Second)
				if s := n2.Stats(); s.Incoming != 0 {
					t.Errorf("the other side keeps the connection: %+v", s)
				}
				if n1.Stats().Silent+n2.Stats().Silent == 0 {
					t.Error("not counted")
				}
				w.net.HealAll()
				time.Sleep(7 * time.Second)
				w.mustEcho(n1, "n2:8099")
			})
		})
	}
}

func TestIdleAddressIsForgotten(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		n2 := w.node("n2")
		n1 := w.node("n1", func(c *Config) { c.IdleTimeout = time.Minute })
		w.mustEcho(n1, "n2:8099")
		ask(n1, "n3:8099", Request{Kind: echoKind}) // unreachable
		late := start(n1, "n2:8099", Request{Kind: lateKind, Budget: time.Hour, Payload: []byte("3m")})
		time.Sleep(2 * time.Minute)
		if res := <-late; res.err != nil {
			t.Errorf("a call that takes longer: %v", res.err)
		}
		time.Sleep(time.Minute)
		dials := n1.Stats().Dials
		time.Sleep(time.Hour)
		if s := n1.Stats(); s.Outgoing != 0 || s.Dials != dials || n2.Stats().Incoming != 0 {
			t.Errorf("%+v", s)
		}
		w.mustEcho(n1, "n2:8099")
	})
}

func TestClusters(t *testing.T) {
	for _, c := range []struct {
		one, two string
		member   bool
	}{{"c", "c", true}, {"c", "d", false}, {"", "c", false}, {"c", "", false}, {"", "", false}} {
		t.Run(c.one+"-"+c.two, func(t *testing.T) {
			inWorld(t, memnet.Config{}, func(w world) {
				var from Peer
				w.node("n2", func(cfg *Config) {
					cfg.Cluster = c.two
					cfg.Handler = func(p Peer, _ Request, reply func(Response)) { from = p; reply(Response{}) }
				})
				n1 := w.node("n1", func(cfg *Config) { cfg.Cluster = c.one })
				if res := ask(n1, "n2:8099", Request{Kind: openKind}); res.err != nil || from.Member != c.member || from.Cluster != c.one {
					t.Errorf("open kind: %v, peer %+v", res.err, from)
				}
				res := ask(n1, "n2:8099", Request{Kind: echoKind})
				if c.member != (res.err == nil) || !c.member && !errors.Is(res.err, ErrWrongCluster) {
					t.Errorf("other kind: %v", res.err)
				}
			})
		})
	}
}

// The serving side relies on itself, not on the caller's manners.
func TestStrangerIsRefused(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		n2 := w.node("n2")
		c := w.dialRaw("n2:8099")
		w.greet(c, rawHello(func(h *hello) { h.cluster = "d" }))
		w.sendFrames(c,
			frame(header{id: 1, kind: uint8(echoKind)}, nil),
			frame(header{id: 2, kind: uint8(openKind)}, nil),
			frame(header{id: 3, kind: uint8(echoKind), flags: flagMore}, make([]byte, 100_000)),
			frame(header{id: 3, kind: uint8(echoKind), flags: flagMore | flagPart}, make([]byte, 100_000)))
		for _, want := range []header{
			{id: 1, kind: uint8(StatusRefused), flags: flagAnswer},
			{id: 2, kind: uint8(StatusOK), flags: flagAnswer},
			{id: 3, kind: uint8(StatusRefused), flags: flagAnswer},
		} {
			if h, _, err := c.next(); err != nil || h != want {
				t.Errorf("answer %+v, %v; want %+v", h, err, want)
			}
		}
		for _, l := range incomingLinks(n2) {
			if l.parts.held != 0 {
				t.Errorf("%d bytes of a refused request kept", l.parts.held)
			}
		}
		if s := n2.Stats(); s.Refusals != 2 || s.Requests != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A node learns its cluster from a request and answers it; from then on both
// sides are members.
func TestFormingACluster(t *testing.T) {
	inWorld(t, memnet.Config{Link: memnet.Link{Delay: time.Millisecond}}, func(w world) {
		none := func(c *Config) { c.Cluster = "" }
		var n2 *Transport
		n2 = w.node("n2", none, func(c *Config) {
			c.Handler = func(p Peer, req Request, reply func(Response)) {
				if req.Kind == openKind {
					n2.SetCluster(string(req.Payload))
				}
				serveTest(p, req, reply)
			}
		})
		n1 := w.node("n1", none)
		w.mustOpen(n1, "n2:8099", "")
		pending := start(n1, "n2:8099", Request{Kind: openKind, Payload: []byte("new")})
		time.Sleep(500 * time.Microsecond)
		n1.SetCluster("new") // while the call is under way
		if res := <-pending; res.err != nil || string(res.Payload) != "new" {
			t.Fatalf("form: %q, %v", res.Payload, res.err)
		}
		w.mustEcho(n1, "n2:8099") // at once
		w.mustEcho(n2, "n1:8099")
		time.Sleep(time.Second)
		if s := n1.Stats(); s.Outgoing != 1 || n2.Stats().Incoming != 1 {
			t.Errorf("old connections are left: %+v, %+v", s, n2.Stats())
		}
	})
}

// A cluster that is named during a handshake is not missed.
func TestSetClusterWhileConnecting(t *testing.T) {
	inWorld(t, memnet.Config{Link: memnet.Link{Delay: 10 * time.Millisecond}}, func(w world) {
		w.node("n2")
		n1 := w.node("n1", func(c *Config) { c.Cluster = "" })
		c := start(n1, "n2:8099", Request{Kind: echoKind})
		time.Sleep(25 * time.Millisecond) // connected after 20, greeted after 40
		n1.SetCluster("c")
		if res := <-c; res.err != nil || n1.Stats().Dials != 2 {
			t.Errorf("%v, %d attempts", res.err, n1.Stats().Dials)
		}
	})
}

func (w world) mustOpen(t *Transport, addr, payload string) {
	w.Helper()
	if res := ask(t, addr, Request{Kind: openKind, Payload: []byte(payload)}); res.err != nil {
		w.Fatal(res.err)
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		one, two VersionRange
		want     uint16
	}{
		{VersionRange{1, 1}, VersionRange{1, 1}, 1},
		{VersionRange{1, 3}, VersionRange{2, 9}, 3},
		{VersionRange{2, 9}, VersionRange{1, 3}, 3},
		{VersionRange{1, 2}, VersionRange{3, 4}, 0},
		{VersionRange{3, 4}, VersionRange{1, 2}, 0},
	} {
		t.Run(fmt.Sprint(c.one, c.two), func(t *testing.T) {
			inWorld(t, memnet.Config{}, func(w world) {
				var got uint16
				w.node("n2", func(cfg *Config) {
					cfg.Versions = c.two
					cfg.Handler = func(p Peer, _ Request, reply func(Response)) { got = p.Version; reply(Response{}) }
				})
				n1 := w.node("n1", func(cfg *Config) { cfg.Versions = c.one })
				res := ask(n1, "n2:8099", Request{Kind: echoKind})
				if got != c.want {
					t.Errorf("version %d, want %d", got, c.want)
				}
				if c.want == 0 && (!errors.Is(res.err, ErrVersion) ||
					!strings.Contains(res.err.Error(), c.one.String()) || !strings.Contains(res.err.Error(), c.two.String())) {
					t.Errorf("error %v", res.err)
				}
			})
		})
	}
}

func TestSelfAndDuplicate(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		told := make(chan string, 10)
		clone := func(c *Config) {
			c.Node = "same"
			c.Duplicate = func(addr string) { told <- c.Network.(*memnet.Host).Name() + " hears of " + addr }
		}
		n1 := w.node("n1", clone)
		if res := ask(n1, "n1:8099", Request{Kind: echoKind}); !errors.Is(res.err, ErrSelf) {
			t.Errorf("own address: %v", res.err)
		}
		if len(told) != 0 {
			t.Error("a node takes itself for another")
		}
		w.node("n2", clone)
		if res := ask(n1, "n2:8099", Request{Kind: openKind}); !errors.Is(res.err, ErrDuplicateNode) {
			t.Errorf("a clone: %v", res.err)
		}
		synctest.Wait()
		got := []string{<-told, <-told}
		slices.Sort(got)
		if want := []string{"n1 hears of n2:8099", "n2 hears of n1:8099"}; !slices.Equal(got, want) {
			t.Errorf("told %q", got)
		}
	})
}

func TestWrongNode(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		n2 := w.node("n2")
		n1 := w.node("n1")
		for range 2 { // while connecting, and connected
			if res := ask(n1, "n2:8099", Request{Kind: echoKind, Node: "uuid-n3"}); !errors.Is(res.err, ErrWrongNode) {
				t.Errorf("another node: %v", res.err)
			}
		}
		if res := ask(n1, "n2:8099", Request{Kind: echoKind, Node: "uuid-n2"}); res.err != nil || n2.Stats().Requests != 1 {
			t.Errorf("the right node: %v, %d requests", res.err, n2.Stats().Requests)
		}
	})
}

func TestMalformedFromClient(t *testing.T) {
	ok := frame(header{id: 1, kind: 1}, []byte("payload"))
	damaged := slices.Clone(ok)
	damaged[len(damaged)-1] ^= 1
	huge := slices.Clone(ok)
	copy(huge, "\xff\xff\xff\xff")
	tiny := slices.Clone(ok)
	copy(tiny, "\x00\x00\x00\x05")
	more := make([]byte, minPartBytes)
	for name, bytes := range map[string][]byte{
		"damaged":               damaged,
		"huge":                  huge,
		"shorter than a header": tiny,
		"unknown flag":          frame(header{id: 1, flags: 128}, nil),
		"no id":                 frame(header{}, nil),
		"answer":                frame(header{id: 1, flags: flagAnswer}, nil),
		"loud heartbeat":        frame(header{flags: flagHeartbeat}, []byte("x")),
		"heartbeat with id":     frame(header{id: 1, flags: flagHeartbeat}, nil),
		"small part":            frame(header{id: 1, flags: flagMore}, more[1:]),
		"part of nothing":       frame(header{id: 1, flags: flagPart}, more),
		"abort of nothing":      frame(header{id: 1, flags: flagPart | flagAbort}, nil),
		"abort with more":       frame(header{id: 1, flags: flagPart | flagAbort | flagMore}, more),
		"part with a ring":      frame(header{id: 1, ring: 1, flags: flagPart}, more),
		"begins twice":          append(frame(header{id: 1, flags: flagMore}, more), frame(header{id: 1, flags: flagMore}, more)...),
		"whole inside parts":    append(frame(header{id: 1, flags: flagMore}, more), frame(header{id: 1}, more)...),
		"kind changes":          append(frame(header{id: 1, flags: flagMore}, more), frame(header{id: 1, kind: 2, flags: flagPart}, more)...),
		"empty last part":       append(frame(header{id: 1, flags: flagMore}, more), frame(header{id: 1, flags: flagPart}, nil)...),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, memnet.Config{}, func(w world) {
				n2 := w.node("n2")
				c := w.dialRaw("n2:8099")
				w.greet(c, rawHello())
				w.sendFrames(c, bytes)
				if _, _, err := c.next(); err == nil {
					t.Error("an answer")
				}
				synctest.Wait()
				if s := n2.Stats(); s.Malformed != 1 || s.Requests != 0 || s.Incoming != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestMalformedFromServer(t *testing.T) {
	greeting := rawHello().append(nil)
	badSum := slices.Clone(greeting)
	badSum[len(badSum)-1] ^= 1
	for name, c := range map[string]struct {
		greeting, frames []byte
	}{
		"other magic":    {greeting: []byte("HTTP/1.1 400 Bad Request\r\n")},
		"damaged hello":  {greeting: badSum},
		"endless hello":  {greeting: []byte(callMagic + "\xff\xff1234")},
		"no node":        {greeting: rawHello(func(h *hello) { h.node = "" }).append(nil)},
		"tiny frames":    {greeting: rawHello(func(h *hello) { h.maxFrame = 1 }).append(nil)},
		"empty versions": {greeting: rawHello(func(h *hello) { h.versions = VersionRange{2, 1} }).append(nil)},
		"silence":        {},
		"request":        {greeting, frame(header{id: 1}, nil)},
		"budget":         {greeting, frame(header{id: 1, flags: flagAnswer, budget: 1}, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, memnet.Config{}, func(w world) {
				l, err := w.net.Host("raw").Listen("raw:1")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				go func() {
					for {
						nc, err := l.Accept()
						if err != nil {
							return
						}
						nc.Write(c.greeting)
						nc.Write(c.frames)
						io.Copy(io.Discard, nc)
						nc.Close()
					}
				}()
				n1 := w.node("n1")
				res := ask(n1, "raw:1", Request{Kind: echoKind, Budget: 3 * time.Second})
				if !errors.Is(res.err, ErrUnreachable) || res.took > 2*time.Second {
					t.Errorf("%v after %v", res.err, res.took)
				}
			})
		})
	}
}

// What arrives before a handshake is over costs little and does not stay.
func TestUnfinishedHandshakes(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		n2 := w.node("n2", func(c *Config) { c.MaxConns = 4 })
		for _, greeting := range []string{"", "GET / HTTP/1.1\r\n\r\n", callMagic, callMagic + "\x00\x01....x"} {
			c := w.dialRaw("n2:8099")
			c.Write([]byte(greeting))
			if greeting == "" {
				c.Close() // a health check
			}
			synctest.Wait()
		}
		silent := w.dialRaw("n2:8099")
		synctest.Wait()
		if got := n2.Stats().Rejected; got != 3 {
			t.Errorf("%d connections turned away at once, want 3", got)
		}
		w.dialRaw("n2:8099")
		w.dialRaw("n2:8099")
		synctest.Wait()
		if over := w.dialRaw("n2:8099"); over != (raw{}) {
			if _, err := over.Read(make([]byte, 1)); err == nil {
				t.Error("the fifth connection is served")
			}
		}
		begin := time.Now()
		if _, err := silent.Read(make([]byte, 1)); err == nil || time.Since(begin) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		synctest.Wait()
		w.mustEcho(w.node("n1"), "n2:8099")
	})
}

func TestTooManyAddresses(t *testing.T) {
	inWorld(t, memnet.Config{}, func(w world) {
		n1 := w.node("n1", func(c *Config) { c.MaxConns = 3 })
		for i := range 4 {
			res := ask(n1, fmt.Sprintf("x%d:1", i), Request{Kind: echoKind})
			if want := []error{ErrUnreachable, ErrUnreachable, ErrUnreachable, ErrBusy}[i]; !errors.Is(res.err, want) {
				t.Errorf("address %d: %v", i, res.err)
			}
		}
	})
}

func TestGossip(t *testing.T) {
	inWorld(t, memnet.Config{Link: memnet.Link{Delay: time.Millisecond}}, func(w world) {
		n1, n2 := w.node("n1"), w.node("n2")
		c, err := n1.Gossip().Dial("n2:8099", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("push/pull")); err != nil {
			t.Fatal(err)
		}
		a := <-n2.Gossip().Streams()
		defer a.Close()
		b := make([]byte, 9)
		time.Sleep(time.Minute) // the handshake's deadline is gone
		if _, err := io.ReadFull(a, b); err != nil || string(b) != "push/pull" {
			t.Errorf("read %q, %v", b, err)
		}
		if _, err := n1.Gossip().Packets().WriteTo([]byte("ping"), Addr("n2:8099")); err != nil {
			t.Fatal(err)
		}
		k, from, err := n2.Gossip().Packets().ReadFrom(b)
		if err != nil || string(b[:k]) != "ping" || from.String() != "n1:8099" {
			t.Errorf("packet %q from %v, %v", b[:k], from, err)
		}
		if _, err := n1.Gossip().Dial("n3:8099", time.Second); err == nil {
			t.Error("a stream to nowhere")
		}
		// Nobody takes them: a few wait, the others are closed.
		for range maxWaitingStreams + 5 {
			c, err := n1.Gossip().Dial("n2:8099", time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		time.Sleep(10 * time.Millisecond)
		if s := n2.Stats(); s.GossipStreams != 1+maxWaitingStreams || s.GossipDropped != 5 {
			t.Errorf("%+v", s)
		}
		n2.Close()
		if _, _, err := n2.Gossip().Packets().ReadFrom(b); !errors.Is(err, net.ErrClosed) {
			t.Errorf("packets after Close: %v", err)
		}
		if _, err := n2.Gossip().Dial("n1:8099", time.Second); err == nil {
			t.Error("a stream after Close")
		}
	})
}

// The same over real sockets, with everything on one port number.
func TestRealSockets(t *testing.T) {
	if testing.Short() {
		t.Skip("uses real sockets")
	}
	node := func(name string) *Transport {
		n, err := New(Config{Listen: "127.0.0.1:0", Node: name, Cluster: "c", Handler: serveTest, MaxFrameBytes: 16 << 10})
		if err != nil {
			t.Fatal(err)
		}
		n.Start()
		t.Cleanup(func() { n.Close() })
		return n
	}
	n1, n2 := node("one"), node("two")
	addr := n2.Addr().String()
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for k := range 50 {
				payload := strings.Repeat(fmt.Sprintf("%d/%d ", i, k), 1+k*k*3)
				if res := ask(n1, addr, Request{Kind: echoKind, Payload: []byte(payload)}); res.err != nil || string(res.Payload) != payload {
					t.Errorf("%d bytes: %d came back, %v", len(payload), len(res.Payload), res.err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := n1.Gossip().Packets().WriteTo([]byte("ping"), Addr(addr)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if k, from, err := n2.Gossip().Packets().ReadFrom(b); err != nil || string(b[:k]) != "ping" || from.String() != n1.Addr().String() {
		t.Errorf("packet %q from %v, %v", b[:k], from, err)
	}
	if _, err := New(Config{Listen: addr, Node: "three"}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("port taken: %v", err)
	}
	pending := start(n1, addr, Request{Kind: deafKind})
	n2.Close()
	if res := <-pending; !errors.Is(res.err, ErrUnreachable) {
		t.Errorf("after the peer closed: %v", res.err)
	}
}
