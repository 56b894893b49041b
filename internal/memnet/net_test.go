package memnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"cartwheel/internal/memnet"
	"cartwheel/internal/memnet/networktest"
)

func TestNetwork(t *testing.T) {
	links := map[string]memnet.Link{
		"perfect": {},
		"slow":    {Delay: 3 * time.Millisecond, Jitter: 2 * time.Millisecond},
	}
	for name, link := range links {
		for _, c := range networktest.Cases() {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := memnet.New(memnet.Config{Link: link})
					c.Run(t, n.Host("n1"), "n1:0")
				})
			})
		}
	}
}

// nettest's checks wait in real time, some tenths of a second.
func TestConn(t *testing.T) {
	for _, link := range []memnet.Link{{}, {Delay: 100 * time.Microsecond, Jitter: 100 * time.Microsecond}} {
		t.Run(fmt.Sprint(link.Delay), func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				n := memnet.New(memnet.Config{Link: link})
				c1, c2, err = connect(n, "n1", "n2")
				return c1, c2, func() { c1.Close(); c2.Close() }, err
			})
		})
	}
}

// connect opens a stream between two hosts and closes the listener.
func connect(n *memnet.Net, from, to string) (dialed, accepted net.Conn, err error) {
	l, err := n.Host(to).Listen(to + ":0")
	if err != nil {
		return nil, nil, err
	}
	if dialed, err = n.Host(from).Dial(context.Background(), l.Addr().String()); err != nil {
		return nil, nil, err
	}
	// Close resets what was not accepted, so it comes last.
	accepted, err = l.Accept()
	return dialed, accepted, errors.Join(err, l.Close())
}

func mustConnect(t *testing.T, n *memnet.Net, from, to string) (dialed, accepted net.Conn) {
	t.Helper()
	c, a, err := connect(n, from, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); a.Close() })
	return c, a
}

func bubble(t *testing.T, cfg memnet.Config, f func(t *testing.T, n *memnet.Net)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, memnet.New(cfg)) })
}

func readString(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Errorf("read %q, %v; want %q", b, err, want)
	}
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := c.Write([]byte(s)); err != nil {
		t.Error(err)
	}
}

func TestStreamDelay(t *testing.T) {
	cfg := memnet.Config{Link: memnet.Link{Delay: 10 * time.Millisecond, Jitter: 10 * time.Millisecond}}
	bubble(t, cfg, func(t *testing.T, n *memnet.Net) {
		start := time.Now()
		c, a := mustConnect(t, n, "n1", "n2")
		if d := time.Since(start); d < 20*time.Millisecond || d > 40*time.Millisecond {
			t.Errorf("connected after %v, want two crossings", d)
		}
		var want bytes.Buffer
		start = time.Now()
		for i := range 200 {
			s := fmt.Sprintf("%d,", i)
			want.WriteString(s)
			write(t, c, s)
		}
		readString(t, a, want.String()) // in order, whatever the jitter
		if d := time.Since(start); d < 10*time.Millisecond || d > 20*time.Millisecond {
			t.Errorf("read after %v", d)
		}
	})
}

// The end of a stream does not overtake its bytes.
func TestEndArrivesLast(t *testing.T) {
	bubble(t, memnet.Config{Link: memnet.Link{Delay: 100 * time.Millisecond}}, func(t *testing.T, n *memnet.Net) {
		c, a := mustConnect(t, n, "n1", "n2")
		write(t, c, "bytes")
		n.SetLink("n1", "n2", memnet.Link{})
		c.Close()
		time.Sleep(50 * time.Millisecond)
		write(t, a, "n2 does not know yet")
		time.Sleep(50 * time.Millisecond)
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write after the end arrived: %v", err)
		}
		readString(t, a, "bytes")
	})
}

func TestWindow(t *testing.T) {
	bubble(t, memnet.Config{StreamBytes: 100}, func(t *testing.T, n *memnet.Net) {
		c, a := mustConnect(t, n, "n1", "n2")
		c.SetWriteDeadline(time.Now().Add(time.Second))
		if k, err := c.Write(make([]byte, 150)); k != 100 || err == nil {
			t.Errorf("Write of 150 bytes into a window of 100 = %d, %v", k, err)
		}
		c.SetWriteDeadline(time.Time{})
		readString(t, a, string(make([]byte, 60)))
		if k, err := c.Write(make([]byte, 60)); k != 60 || err != nil {
			t.Errorf("Write after 60 were read = %d, %v", k, err)
		}
	})
}

func TestCutStreamGoesOnAfterHeal(t *testing.T) {
	bubble(t, memnet.Config{}, func(t *testing.T, n *memnet.Net) {
		c, a := mustConnect(t, n, "n1", "n2")
		n.Cut("n1", "n2")
		write(t, c, "held")
		write(t, a, "other way")
		readString(t, c, "other way")
		a.SetReadDeadline(time.Now().Add(time.Second))
		if k, err := a.Read(make([]byte, 1)); err == nil {
			t.Fatalf("read %d bytes over a cut link", k)
		}
		a.SetReadDeadline(time.Time{})
		n.Heal("n1", "n2")
		readString(t, a, "held")
	})
}

func TestCutStreamMayBreakOnHeal(t *testing.T) {
	outcomes := func(seed uint64) (broken []bool) {
		bubble(t, memnet.Config{Seed: seed, Link: memnet.Link{ResetOnHeal: 0.5}}, func(t *testing.T, n *memnet.Net) {
			for range 40 {
				c, a := mustConnect(t, n, "n1", "n2")
				n.Cut("n1", "n2")
				write(t, c, "held")
				n.Heal("n1", "n2")
				_, err := a.Read(make([]byte, 1))
				if err != nil && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("Read = %v", err)
				}
				broken = append(broken, err != nil)
			}
		})
		return broken
	}
	one := outcomes(1)
	if !slices.Contains(one, true) || !slices.Contains(one, false) {
		t.Errorf("40 streams with one fate: %v", one)
	}
	if !slices.Equal(one, outcomes(1)) {
		t.Error("the same seed, another fate")
	}
	if slices.Equal(one, outcomes(2)) {
		t.Error("another seed, the same fate")
	}
}

func TestCutStreamStalls(t *testing.T) {
	bubble(t, memnet.Config{StallTimeout: 5 * time.Second}, func(t *testing.T, n *memnet.Net) {
		c, a := mustConnect(t, n, "n1", "n2")
		n.Cut("n1", "n2")
		write(t, c, "never arrives")
		start := time.Now()
		_, err := c.Read(make([]byte, 1)) // also an end that only reads finds out
		if d := time.Since(start); !errors.Is(err, syscall.ETIMEDOUT) || d != 5*time.Second {
			t.Errorf("Read = %v after %v", err, d)
		}
		n.Heal("n1", "n2")
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("other end after healing: %v", err)
		}
		if s := n.Stats(); s.Stalled != 1 {
			t.Errorf("Stalled = %d", s.Stalled)
		}
	})
}

func TestDialWaitsForHeal(t *testing.T) {
	for _, cut := range [][2]string{{"n1", "n2"}, {"n2", "n1"}} {
		bubble(t, memnet.Config{}, func(t *testing.T, n *memnet.Net) {
			l, err := n.Host("n2").Listen("n2:1")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			n.Cut(cut[0], cut[1])
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := n.Host("n1").Dial(ctx, "n2:1"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Dial over a link cut %v: %v", cut, err)
			}
			time.AfterFunc(time.Minute, func() { n.HealAll() })
			start := time.Now()
			c, err := n.Host("n1").Dial(t.Context(), "n2:1")
			if err != nil || time.Since(start) != time.Minute {
				t.Fatalf("Dial = %v after %v", err, time.Since(start))
			}
			c.Close()
		})
	}
}

func TestCutUnderAPendingRead(t *testing.T) {
	bubble(t, memnet.Config{Link: memnet.Link{Delay: time.Second}}, func(t *testing.T, n *memnet.Net) {
		c, a := mustConnect(t, n, "n1", "n2")
		write(t, c, "left")
		n.Cut("n1", "n2")
		write(t, c, "held")
		readString(t, a, "left") // it was under way
		a.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := a.Read(make([]byte, 1)); err == nil {
			t.Error("held bytes arrive")
		}
	})
}

func TestPause(t *testing.T) {
	bubble(t, memnet.Config{}, func(t *testing.T, n *memnet.Net) {
		c, a := mustConnect(t, n, "n1", "n2")
		p, q := mustPackets(t, n, "n1", "n2")
		n.Pause("n2")
		write(t, c, "to")
		write(t, a, "from")
		send(t, p, q, "to")
		send(t, q, p, "from")
		soon := time.Now().Add(20 * time.Second) // longer than a stall: a pause is none
		for _, d := range []interface{ SetReadDeadline(time.Time) error }{c, a, p, q} {
			d.SetReadDeadline(soon)
		}
		var wg sync.WaitGroup
		for _, x := range []net.Conn{c, a} {
			wg.Go(func() {
				if _, err := x.Read(make([]byte, 9)); err == nil {
					t.Errorf("%v hears something", x.LocalAddr())
				}
			})
		}
		for _, x := range []net.PacketConn{p, q} {
			wg.Go(func() {
				if _, _, err := x.ReadFrom(make([]byte, 9)); err == nil {
					t.Errorf("%v hears something", x.LocalAddr())
				}
			})
		}
		wg.Wait()
		for _, d := range []interface{ SetReadDeadline(time.Time) error }{c, a, p, q} {
			d.SetReadDeadline(time.Time{})
		}
		n.Resume("n2")
		readString(t, a, "to")
		readString(t, c, "from")
		receive(t, q, "to")
		receive(t, p, "from")
	})
}

func TestCrash(t *testing.T) {
	bubble(t, memnet.Config{Link: memnet.Link{Delay: time.Millisecond}}, func(t *testing.T, n *memnet.Net) {
		c, a := mustConnect(t, n, "n1", "n2")
		old := n.Host("n2")
		l, err := old.Listen("n2:8099")
		if err != nil {
			t.Fatal(err)
		}
		write(t, a, "last words")
		n.Crash("n2")
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept in the crashed host: %v", err)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write in the crashed host: %v", err)
		}
		if _, err := old.Listen("n2:8099"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Listen in the crashed host: %v", err)
		}
		if _, err := old.Dial(t.Context(), "n1:1"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial in the crashed host: %v", err)
		}
		readString(t, c, "last words")
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read at the other end: %v", err)
		}
		if _, err := n.Host("n1").Dial(t.Context(), "n2:8099"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial to the crashed host: %v", err)
		}
		l, err = n.Host("n2").Listen("n2:8099") // after the restart
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	})
}

func TestRandomResets(t *testing.T) {
	lengths := func(seed uint64, chunk int) (got []int) {
		bubble(t, memnet.Config{Seed: seed, Link: memnet.Link{ResetEvery: 10_000}}, func(t *testing.T, n *memnet.Net) {
			for range 50 {
				c, a := mustConnect(t, n, "n1", "n2")
				go io.Copy(io.Discard, a)
				sent := 0
				for {
					k, err := c.Write(make([]byte, chunk))
					sent += k
					if err != nil {
						break
					}
				}
				got = append(got, sent)
			}
		})
		return got
	}
	one := lengths(7, 1)
	sum := 0
	for _, k := range one {
		sum += k
	}
	if sum < 50*5_000 || sum > 50*20_000 {
		t.Errorf("mean %d bytes until a reset, want about 10,000", sum/50)
	}
	// How the bytes are cut into writes changes nothing but the rounding.
	for i, k := range lengths(7, 64) {
		if want := (one[i] + 63) / 64 * 64; k != want {
			t.Errorf("stream %d breaks after %d bytes, want %d", i, k, want)
		}
	}
}

func TestReset(t *testing.T) {
	bubble(t, memnet.Config{}, func(t *testing.T, n *memnet.Net) {
		c, a := mustConnect(t, n, "n1", "n2")
		other, far := mustConnect(t, n, "n1", "n3")
		n.Reset("n2", "n1")
		for _, x := range []net.Conn{c, a} {
			if _, err := x.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("Read = %v", err)
			}
		}
		write(t, other, "fine")
		readString(t, far, "fine")
	})
}

func mustPackets(t *testing.T, n *memnet.Net, from, to string) (p, q net.PacketConn) {
	t.Helper()
	p, err := n.Host(from).ListenPacket(from + ":0")
	if err != nil {
		t.Fatal(err)
	}
	q, err = n.Host(to).ListenPacket(to + ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(); q.Close() })
	return p, q
}

func send(t *testing.T, p, q net.PacketConn, s string) {
	t.Helper()
	if _, err := p.WriteTo([]byte(s), q.LocalAddr()); err != nil {
		t.Error(err)
	}
}

func receive(t *testing.T, q net.PacketConn, want string) {
	t.Helper()
	b := make([]byte, 100)
	if k, _, err := q.ReadFrom(b); err != nil || string(b[:k]) != want {
		t.Errorf("received %q, %v; want %q", b[:k], err, want)
	}
}

// drain returns what arrives until nothing does for a second.
func drain(q net.PacketConn) (got []string) {
	b := make([]byte, 100)
	for {
		q.SetReadDeadline(time.Now().Add(time.Second))
		k, _, err := q.ReadFrom(b)
		if err != nil {
			q.SetReadDeadline(time.Time{})
			return got
		}
		got = append(got, string(b[:k]))
	}
}

func TestPacketFaults(t *testing.T) {
	run := func(seed uint64) (got []string) {
		link := memnet.Link{Delay: time.Millisecond, Jitter: 50 * time.Millisecond, Drop: 0.2, Duplicate: 0.2}
		bubble(t, memnet.Config{Seed: seed, Link: link}, func(t *testing.T, n *memnet.Net) {
			p, q := mustPackets(t, n, "n1", "n2")
			for i := range 500 {
				send(t, p, q, fmt.Sprint(i))
				time.Sleep(time.Millisecond)
			}
			got = drain(q)
			s := n.Stats()
			if s.Packets != 500 || s.Lost < 50 || s.Lost > 150 || s.Duplicated < 40 || s.Duplicated > 130 {
				t.Errorf("%+v", s)
			}
			if len(got) != int(500-s.Lost+s.Duplicated) {
				t.Errorf("%d packets arrived: %+v", len(got), s)
			}
		})
		return got
	}
	one := run(3)
	if slices.IsSorted(one) {
		t.Error("nothing overtakes anything")
	}
	if !slices.Equal(one, run(3)) {
		t.Error("the same seed, other packets")
	}
	if slices.Equal(one, run(4)) {
		t.Error("another seed, the same packets")
	}
}

func TestPacketsAreBounded(t *testing.T) {
	bubble(t, memnet.Config{}, func(t *testing.T, n *memnet.Net) {
		p, q := mustPackets(t, n, "n1", "n2")
		n.Pause("n1")
		for range 5000 {
			send(t, p, q, "x")
		}
		n.Resume("n1")
		for range 5000 {
			send(t, p, q, "x")
		}
		if got := len(drain(q)); got != 1024 {
			t.Errorf("%d packets waited", got)
		}
	})
}

func TestPartition(t *testing.T) {
	bubble(t, memnet.Config{}, func(t *testing.T, n *memnet.Net) {
		p1, p2 := mustPackets(t, n, "n1", "n2")
		p3, _ := mustPackets(t, n, "n3", "n4")
		n.Partition([]string{"n1"}, []string{"n2", "n3"})
		for _, x := range []net.PacketConn{p1, p2, p3} {
			for _, y := range []net.PacketConn{p1, p2, p3} {
				if x != y {
					send(t, x, y, x.LocalAddr().String()+">"+y.LocalAddr().String())
				}
			}
		}
		for _, x := range []net.PacketConn{p1, p2, p3} {
			if got, want := len(drain(x)), map[net.PacketConn]int{p1: 0, p2: 1, p3: 1}[x]; got != want {
				t.Errorf("%v got %d packets, want %d", x.LocalAddr(), got, want)
			}
		}
		n.HealAll()
		send(t, p1, p3, "again")
		receive(t, p3, "again")
	})
}
