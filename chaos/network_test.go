package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/internal/memnet"
	"cartwheel/internal/memnet/networktest"
	"cartwheel/transport"
)

// Without a cut, and before the greeting is seen by anybody, it is a network like
// the one beneath.
func TestNetwork(t *testing.T) {
	t.Run("sockets", func(t *testing.T) {
		if testing.Short() {
			t.Skip("uses real sockets")
		}
		for _, c := range networktest.Cases() {
			t.Run(c.Name, func(t *testing.T) { c.Run(t, wrapped(t, transport.TCP(), "127.0.0.1:0"), "127.0.0.1:0") })
		}
	})
	t.Run("memory", func(t *testing.T) {
		for _, c := range networktest.Cases() {
			t.Run(c.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					mem := memnet.New(memnet.Config{Link: memnet.Link{Delay: time.Millisecond}})
					c.Run(t, wrapped(t, mem.Host("n1"), "n1:0"), "n1:0")
				})
			})
		}
	})
}

func wrapped(t *testing.T, inner transport.Network, self string) *Network {
	n, err := New(inner, self)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNewRefuses(t *testing.T) {
	for _, self := range []string{"", "no port", strings.Repeat("x", 256) + ":1"} {
		if _, err := New(transport.TCP(), self); err == nil {
			t.Errorf("New(%q) succeeds", self)
		}
	}
}

// What one side sends is held, what the other sends arrives, whoever has dialed.
func TestStreamsOneWay(t *testing.T) {
	for _, dialer := range []string{"the cut side", "the other side"} {
		t.Run(dialer, func(t *testing.T) {
			inNet(t, func(t *testing.T, n1, n2, n3 *party) {
				one, three := n1.connect(t, n3)
				if dialer == "the other side" {
					three, one = n3.connect(t, n1)
				}
				other, _ := n1.connect(t, n2)
				atOne, atThree := receive(one), receive(three)
				n1.Set([]string{n3.addr})

				sent := make([]byte, 300_000)
				for i := range sent {
					sent[i] = byte(i * 7)
				}
				var wg sync.WaitGroup
				wg.Go(func() {
					if k, err := one.Write(sent); k != len(sent) || err != nil {
						t.Errorf("Write = %d, %v", k, err)
					}
				})
				if _, err := three.Write([]byte("against the cut")); err != nil {
					t.Error(err)
				}
				if _, err := other.Write([]byte("elsewhere")); err != nil {
					t.Error(err)
				}
				settle()
				if string(atOne.got) != "against the cut" {
					t.Errorf("the open direction let %q through", atOne.got)
				}
				if len(atThree.got) != 0 {
					t.Errorf("%d bytes passed the cut", len(atThree.got))
				}
				n1.Set(nil)
				wg.Wait()
				settle()
				if !bytes.Equal(atThree.got, sent) {
					t.Errorf("%d bytes after the heal, want the %d sent, in order", len(atThree.got), len(sent))
				}
			})
		})
	}
}

// A cut that comes in the middle of a write lets one piece through at most.
func TestCutDuringWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Two pieces fill the window, so the writer waits in the middle.
		mem := memnet.New(memnet.Config{Link: memnet.Link{Delay: time.Millisecond}, StreamBytes: 2 * pieceBytes})
		n1, n3 := newParty(t, mem, "n1"), newParty(t, mem, "n3")
		one, three := n1.connect(t, n3)
		sent := bytes.Repeat([]byte("0123456789abcdef"), 10*pieceBytes/16)
		var wg sync.WaitGroup
		wg.Go(func() {
			if k, err := one.Write(sent); k != len(sent) || err != nil {
				t.Errorf("Write = %d, %v", k, err)
			}
		})
		settle()
		n1.Set([]string{n3.addr})
		atThree := receive(three)
		settle()
		if k := len(atThree.got); k == 0 || k > 3*pieceBytes {
			t.Errorf("%d bytes passed, want what was under way, up to %d", k, 3*pieceBytes)
		}
		n1.Set(nil)
		wg.Wait()
		settle()
		if !bytes.Equal(atThree.got, sent) {
			t.Errorf("%d bytes after the heal, want the %d sent", len(atThree.got), len(sent))
		}
	})
}

// A writer that waits for a heal is woken by what wakes one at a full socket.
func TestHeldWriteEnds(t *testing.T) {
	for name, c := range map[string]struct {
		before, during func(net.Conn) error
		want           error
	}{
		"deadline before": {before: func(c net.Conn) error { return c.SetWriteDeadline(time.Now().Add(time.Minute)) }, want: os.ErrDeadlineExceeded},
		"deadline during": {during: func(c net.Conn) error { return c.SetDeadline(time.Now().Add(time.Minute)) }, want: os.ErrDeadlineExceeded},
		"deadline passed": {before: func(c net.Conn) error { return c.SetWriteDeadline(time.Now().Add(-time.Minute)) }, want: os.ErrDeadlineExceeded},
		"close":           {during: net.Conn.Close, want: net.ErrClosed},
		"end of writing":  {during: func(c net.Conn) error { return c.(*conn).CloseWrite() }, want: syscall.EPIPE},
	} {
		t.Run(name, func(t *testing.T) {
			inNet(t, func(t *testing.T, n1, _, n3 *party) {
				one, three := n1.connect(t, n3)
				atThree := receive(three)
				n1.Set([]string{n3.addr})
				do(t, c.before, one)
				over := make(chan error, 1)
				go func() {
					k, err := one.Write([]byte("never"))
					if k != 0 {
						t.Errorf("%d bytes written", k)
					}
					over <- err
				}()
				synctest.Wait()
				do(t, c.during, one)
				if err := <-over; !errors.Is(err, c.want) {
					t.Errorf("Write = %v, want %v", err, c.want)
				}
				n1.Set(nil)
				settle()
				if len(atThree.got) != 0 {
					t.Errorf("%q arrived", atThree.got)
				}
			})
		})
	}
}

func do(t *testing.T, f func(net.Conn) error, c net.Conn) {
	t.Helper()
	if f != nil {
		if err := f(c); err != nil {
			t.Error(err)
		}
	}
}

// A held write goes on when its deadline is taken back and the cut is healed.
func TestHeldWriteKeepsDeadlines(t *testing.T) {
	inNet(t, func(t *testing.T, n1, _, n3 *party) {
		one, three := n1.connect(t, n3)
		atThree := receive(three)
		n1.Set([]string{n3.addr})
		one.SetWriteDeadline(time.Now().Add(time.Minute))
		over := make(chan error, 1)
		go func() {
			_, err := one.Write([]byte("late"))
			over <- err
		}()
		synctest.Wait()
		one.SetWriteDeadline(time.Time{})
		time.Sleep(time.Hour)
		n1.Set([]string{n3.addr}) // again: nothing changes
		n1.Set(nil)
		if err := <-over; err != nil {
			t.Error(err)
		}
		settle()
		if string(atThree.got) != "late" {
			t.Errorf("%q arrived", atThree.got)
		}
	})
}

// The peer hears that a stream has ended only after the heal; this end is closed at once.
func TestCloseBehindCut(t *testing.T) {
	inNet(t, func(t *testing.T, n1, _, n3 *party) {
		one, three := n1.connect(t, n3)
		atOne, atThree := receive(one), receive(three)
		n1.Set([]string{n3.addr})
		if err := one.Close(); err != nil {
			t.Error(err)
		}
		settle()
		if !atOne.ended() || !errors.Is(atOne.err, net.ErrClosed) {
			t.Errorf("a Read under way: %v", atOne.err)
		}
		for what, err := range map[string]error{
			"Close": one.Close(), "Write": second(one.Write([]byte("x"))), "Read": second(one.Read(make([]byte, 1))),
			"SetDeadline": one.SetDeadline(time.Time{}), "CloseWrite": one.(*conn).CloseWrite(),
		} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s after Close = %v", what, err)
			}
		}
		if atThree.ended() {
			t.Error("the peer heard of the end")
		}
		if _, err := three.Write([]byte("into the void")); err != nil {
			t.Error(err)
		}
		n1.Set(nil)
		settle()
		if !atThree.ended() || atThree.err != nil {
			t.Errorf("after the heal the peer has not heard of the end: %v", atThree.err)
		}
	})
}

func second(_ int, err error) error { return err }

// CloseWrite waits behind the cut as well; the other direction goes on.
func TestCloseWriteBehindCut(t *testing.T) {
	for _, thenClose := range []bool{false, true} {
		t.Run(fmt.Sprintf("close=%v", thenClose), func(t *testing.T) {
			inNet(t, func(t *testing.T, n1, _, n3 *party) {
				one, three := n1.connect(t, n3)
				atOne, atThree := receive(one), receive(three)
				n1.Set([]string{n3.addr})
				if err := one.(*conn).CloseWrite(); err != nil {
					t.Error(err)
				}
				if _, err := three.Write([]byte("on")); err != nil {
					t.Error(err)
				}
				settle()
				if string(atOne.got) != "on" || atThree.ended() {
					t.Errorf("got %q; the peer heard of the end: %v", atOne.got, atThree.ended())
				}
				if thenClose {
					one.Close()
				}
				n1.Set(nil)
				settle()
				if !atThree.ended() || atThree.err != nil {
					t.Errorf("after the heal the peer has not heard of the end: %v", atThree.err)
				}
				if atOne.ended() != thenClose {
					t.Errorf("the reading half: %v", atOne.err)
				}
			})
		})
	}
}

// Sockets that only wait for a heal are bounded: the oldest is let through.
func TestHeldEndsAreBounded(t *testing.T) {
	inNet(t, func(t *testing.T, n1, _, n3 *party) {
		const extra = 3
		var inboxes []*inbox
		var ours []net.Conn
		for range maxHeld + extra {
			one, three := n1.connect(t, n3)
			ours, inboxes = append(ours, one), append(inboxes, receive(three))
		}
		n1.Set([]string{n3.addr})
		for _, c := range ours {
			c.Close()
		}
		settle()
		for i, in := range inboxes {
			if in.ended() != (i < extra) {
				t.Fatalf("stream %d of %d: ended is %v", i, len(inboxes), in.ended())
			}
		}
		n1.Set(nil)
		settle()
		for i, in := range inboxes {
			if !in.ended() {
				t.Fatalf("stream %d has not ended after the heal", i)
			}
		}
	})
}

// Neither side can connect across a cut of one direction; both can after the heal.
func TestDial(t *testing.T) {
	for name, cutBy := range map[string]func(n1, n3 *party, cut bool){
		"from here": func(n1, n3 *party, cut bool) { set(n1, n3, cut) },
		"to here":   func(n1, n3 *party, cut bool) { set(n3, n1, cut) },
		"both":      func(n1, n3 *party, cut bool) { set(n1, n3, cut); set(n3, n1, cut) },
	} {
		t.Run(name, func(t *testing.T) {
			inNet(t, func(t *testing.T, n1, n2, n3 *party) {
				cutBy(n1, n3, true)
				n1.connect(t, n2) // goes on
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				_, err := n1.Dial(ctx, n3.addr)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 2*time.Second {
					t.Errorf("Dial = %v after %v, want the end of its context", err, time.Since(began))
				}
				var timeout net.Error
				if !errors.As(err, &timeout) || !timeout.Timeout() {
					t.Errorf("%v is not a timeout", err)
				}
				settle()

				// A long one goes through after the heal, and only it is accepted.
				dialed := make(chan net.Conn, 1)
				go func() {
					c, err := n1.Dial(t.Context(), n3.addr)
					if err != nil {
						t.Error(err)
					}
					dialed <- c
				}()
				time.Sleep(time.Hour) // longer than a greeting may take
				synctest.Wait()
				if len(dialed) != 0 {
					t.Error("Dial passes the cut")
				}
				cutBy(n1, n3, false)
				a, err := n3.ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				c := <-dialed
				if _, err := c.Write([]byte("hello")); err != nil {
					t.Error(err)
				}
				got := make([]byte, 5)
				if _, err := io.ReadFull(a, got); err != nil || string(got) != "hello" {
					t.Errorf("got %q, %v", got, err)
				}
				c.Close()
				a.Close()
			})
		})
	}
}

func set(from, to *party, cut bool) {
	if cut {
		from.Set([]string{to.addr})
	} else {
		from.Set(nil)
	}
}

// An abandoned attempt to connect is given up by the accepting side too.
func TestAbandonedDialIsForgotten(t *testing.T) {
	inNet(t, func(t *testing.T, n1, _, n3 *party) {
		n3.Set([]string{n1.addr})
		for range maxGreeted + 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			if _, err := n1.Dial(ctx, n3.addr); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("Dial = %v", err)
			}
			cancel()
			time.Sleep(10 * time.Millisecond)
		}
		if k := len(n3.ln.(*listener).slots); k != 0 {
			t.Errorf("%d places are taken by attempts that are over", k)
		}
		n3.Set(nil)
		n1.connect(t, n3)
	})
}

func TestPackets(t *testing.T) {
	inNet(t, func(t *testing.T, n1, n2, n3 *party) {
		send := func(from, to *party, text string) {
			t.Helper()
			if k, err := from.packets.WriteTo([]byte(text), transport.Addr(to.addr)); k != len(text) || err != nil {
				t.Errorf("WriteTo = %d, %v", k, err)
			}
		}
		heard := func(p *party) (texts string) {
			t.Helper()
			for {
				b := make([]byte, 100)
				p.packets.SetReadDeadline(time.Now().Add(time.Second))
				k, _, err := p.packets.ReadFrom(b)
				if err != nil {
					return texts
				}
				texts += string(b[:k])
			}
		}
		n1.Set([]string{n3.addr})
		send(n1, n3, "a")
		send(n3, n1, "b")
		send(n1, n2, "c")
		if got := heard(n3) + "|" + heard(n1) + "|" + heard(n2); got != "|b|c" {
			t.Errorf("n3|n1|n2 heard %q, want |b|c", got)
		}
		n1.Set([]string{n2.addr})
		send(n1, n3, "d")
		send(n1, n2, "e")
		if got := heard(n3) + "|" + heard(n2); got != "d|" {
			t.Errorf("n3|n2 heard %q, want d|: what was dropped stays lost", got)
		}
	})
}

// The names of nodes are their addresses on real sockets as well, in every form in
// which a packet's destination can be given.
func TestSockets(t *testing.T) {
	if testing.Short() {
		t.Skip("uses real sockets")
	}
	var n [2]*Network
	var ln [2]net.Listener
	var packets [2]net.PacketConn
	for i := range n {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := free.Addr().String()
		free.Close()
		n[i] = wrapped(t, transport.TCP(), addr)
		if ln[i], err = n[i].Listen(addr); err != nil {
			t.Fatal(err)
		}
		defer ln[i].Close()
		if packets[i], err = n[i].ListenPacket(addr); err != nil {
			t.Fatal(err)
		}
		defer packets[i].Close()
	}
	c, err := n[0].Dial(t.Context(), n[1].self)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, err := ln[1].Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := packets[0].WriteTo([]byte("1"), packets[1].LocalAddr()); err != nil {
		t.Fatal(err)
	}

	n[0].Set([]string{n[1].self})
	for _, to := range []net.Addr{packets[1].LocalAddr(), transport.Addr(n[1].self)} {
		if _, err := packets[0].WriteTo([]byte("2"), to); err != nil {
			t.Error(err)
		}
	}
	over := make(chan error, 1)
	go func() {
		_, err := c.Write([]byte("held"))
		over <- err
	}()
	a.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if k, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("through the cut came %d bytes, %v", k, err)
	}
	n[0].Set(nil)
	if err := <-over; err != nil {
		t.Error(err)
	}
	a.SetReadDeadline(time.Time{})
	got := make([]byte, 4)
	if _, err := io.ReadFull(a, got); err != nil || string(got) != "held" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := packets[0].WriteTo([]byte("3"), packets[1].LocalAddr()); err != nil {
		t.Fatal(err)
	}
	var heard string
	for !strings.HasSuffix(heard, "3") {
		b := make([]byte, 10)
		packets[1].SetReadDeadline(time.Now().Add(5 * time.Second))
		k, _, err := packets[1].ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		heard += string(b[:k])
	}
	if heard != "13" {
		t.Errorf("heard %q, want 13", heard)
	}
}
