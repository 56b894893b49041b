// Package networktest checks that something behaves like a network: the
// operating system's sockets and the in-memory network pass the same [Cases],
// so that what is tested over one holds over the other.
package networktest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// Network is the interface under test, the same as package transport's.
type Network interface {
	Listen(addr string) (net.Listener, error)
	Dial(ctx context.Context, addr string) (net.Conn, error)
	ListenPacket(addr string) (net.PacketConn, error)
}

// Case is one property. Run gets a network of which addr, with port 0, is an
// address to listen on. It uses no subtests, so that it may run in a bubble.
type Case struct {
	Name string
	Run  func(t *testing.T, n Network, addr string)
}

// Cases returns all properties.
func Cases() []Case {
	return []Case{
		{"echo", echo},
		{"half close", halfClose},
		{"port taken", portTaken},
		{"refused", refused},
		{"dial ends with its context", dialContext},
		{"close unblocks accept", closeUnblocksAccept},
		{"close unblocks read and write", closeUnblocks},
		{"write to a closed peer fails in the end", writeToClosed},
		{"deadlines", deadlines},
		{"addresses", addresses},
		{"packets", packets},
		{"packet deadlines and close", packetClose},
	}
}

// pair opens a stream.
func pair(t *testing.T, n Network, addr string) (dialed, accepted net.Conn) {
	t.Helper()
	l, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := n.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		a.Close()
	})
	return c, a
}

func echo(t *testing.T, n Network, addr string) {
	c, a := pair(t, n, addr)
	sent := make([]byte, 300_000)
	for i := range sent {
		sent[i] = byte(i * 7)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		if _, err := io.Copy(a, a); err != nil {
			t.Error(err)
		}
		a.Close()
	})
	wg.Go(func() {
		b := bytes.Clone(sent)
		if k, err := c.Write(b); err != nil || k != len(b) {
			t.Errorf("Write = %d, %v", k, err)
		}
		clear(b) // the network has its own copy
		c.(interface{ CloseWrite() error }).CloseWrite()
	})
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("read %d bytes, %v; want the %d sent", len(got), err, len(sent))
	}
}

func halfClose(t *testing.T, n Network, addr string) {
	c, a := pair(t, n, addr)
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(a); err != nil || len(got) != 0 {
		t.Errorf("after CloseWrite: read %q, %v", got, err)
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("Write after CloseWrite succeeds")
	}
	if _, err := a.Write([]byte("still here")); err != nil {
		t.Error(err)
	}
	a.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != "still here" {
		t.Errorf("read %q, %v", got, err)
	}
}

func portTaken(t *testing.T, n Network, addr string) {
	l, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Listen(l.Addr().String()); err == nil {
		t.Error("a second Listen on one address succeeds")
	}
	p, err := n.ListenPacket(l.Addr().String())
	if err != nil {
		t.Fatalf("packets on the port of the streams: %v", err)
	}
	defer p.Close()
	if _, err := n.ListenPacket(l.Addr().String()); err == nil {
		t.Error("a second ListenPacket on one address succeeds")
	}
	l.Close()
	l, err = n.Listen(l.Addr().String())
	if err != nil {
		t.Fatalf("Listen again after Close: %v", err)
	}
	l.Close()
}

func refused(t *testing.T, n Network, addr string) {
	l, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	l.Close()
	if c, err := n.Dial(t.Context(), gone); err == nil {
		c.Close()
		t.Error("Dial succeeds where nobody listens")
	}
	if _, err := n.Dial(t.Context(), "no port"); err == nil {
		t.Error("Dial succeeds without a port")
	}
	if _, err := n.Listen("no port"); err == nil {
		t.Error("Listen succeeds without a port")
	}
}

func dialContext(t *testing.T, n Network, addr string) {
	l, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := n.Dial(ctx, l.Addr().String()); err == nil {
		c.Close()
		t.Error("Dial succeeds after its context ended")
	}
}

func closeUnblocksAccept(t *testing.T, n Network, addr string) {
	l, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := l.Accept()
		done <- err
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want net.ErrClosed", err)
	}
}

func closeUnblocks(t *testing.T, n Network, addr string) {
	c, _ := pair(t, n, addr)
	errs := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		errs <- err
	}()
	go func() {
		var err error
		for b := make([]byte, 1<<20); err == nil; {
			_, err = c.Write(b)
		}
		errs <- err
	}()
	// The writer blocks when the window is full; how long that takes differs.
	time.Sleep(20 * time.Millisecond)
	c.Close()
	for range 2 {
		if err := <-errs; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want net.ErrClosed", err)
		}
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close = %v", err)
	}
	if err := c.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetDeadline after Close = %v", err)
	}
}

func writeToClosed(t *testing.T, n Network, addr string) {
	c, a := pair(t, n, addr)
	a.Close()
	if err := c.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var err error
	for b := make([]byte, 1<<16); err == nil; {
		_, err = c.Write(b)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		t.Errorf("Write = %v, want that of a broken stream", err)
	}
}

func deadlines(t *testing.T, n Network, addr string) {
	c, a := pair(t, n, addr)
	check := func(what string, err error) {
		t.Helper()
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s = %v, want a timeout", what, err)
		}
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	check("Read", err)

	c.SetReadDeadline(time.Time{})
	done := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		done <- err
	}()
	c.SetReadDeadline(time.Now().Add(-time.Second)) // reaches a Read under way
	check("Read under way", <-done)

	c.SetReadDeadline(time.Time{})
	if _, err := a.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if k, err := c.Read(make([]byte, 1)); k != 1 || err != nil {
		t.Errorf("Read after the deadline was taken back = %d, %v", k, err)
	}
	c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	for b := make([]byte, 1<<20); err == nil || errors.Is(err, os.ErrDeadlineExceeded); {
		if _, err = c.Write(b); err != nil {
			break
		}
	}
	check("Write", err)
}

func addresses(t *testing.T, n Network, addr string) {
	c, a := pair(t, n, addr)
	if c.RemoteAddr().String() != a.LocalAddr().String() || c.LocalAddr().String() != a.RemoteAddr().String() {
		t.Errorf("dialed %v -> %v, accepted %v -> %v", c.LocalAddr(), c.RemoteAddr(), a.LocalAddr(), a.RemoteAddr())
	}
	for _, x := range []net.Addr{c.LocalAddr(), a.LocalAddr()} {
		if _, _, err := net.SplitHostPort(x.String()); err != nil {
			t.Errorf("address %v: %v", x, err)
		}
	}
}

// text is an address of which only the text is known.
type text string

func (text) Network() string  { return "text" }
func (a text) String() string { return string(a) }

func packetPair(t *testing.T, n Network, addr string) (p, q net.PacketConn) {
	t.Helper()
	for _, c := range []*net.PacketConn{&p, &q} {
		var err error
		if *c, err = n.ListenPacket(addr); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*c).Close() })
	}
	return p, q
}

func packets(t *testing.T, n Network, addr string) {
	p, q := packetPair(t, n, addr)
	b := []byte("one")
	if k, err := p.WriteTo(b, text(q.LocalAddr().String())); k != 3 || err != nil {
		t.Fatalf("WriteTo = %d, %v", k, err)
	}
	copy(b, "xxx")
	got := make([]byte, 100)
	k, from, err := q.ReadFrom(got)
	if err != nil || string(got[:k]) != "one" || from.String() != p.LocalAddr().String() {
		t.Fatalf("ReadFrom = %q from %v, %v", got[:k], from, err)
	}
	if _, err := q.WriteTo([]byte("two"), from); err != nil {
		t.Fatal(err)
	}
	if k, _, err := p.ReadFrom(got[:2]); err != nil || string(got[:k]) != "tw" {
		t.Errorf("ReadFrom into a short buffer = %q, %v", got[:k], err)
	}
	if _, err := p.WriteTo(make([]byte, 70_000), from); err == nil {
		t.Error("a packet of 70,000 bytes can be sent")
	}
	if _, err := p.WriteTo(b, text("no port")); err == nil {
		t.Error("a packet to no port can be sent")
	}
	if _, err := p.WriteTo(make([]byte, 10_000), text(q.LocalAddr().String())); err != nil {
		t.Errorf("a packet of 10,000 bytes: %v", err)
	}
}

func packetClose(t *testing.T, n Network, addr string) {
	p, q := packetPair(t, n, addr)
	p.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, _, err := p.ReadFrom(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ReadFrom = %v, want a timeout", err)
	}
	done := make(chan error)
	go func() {
		_, _, err := q.ReadFrom(make([]byte, 1))
		done <- err
	}()
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadFrom = %v, want net.ErrClosed", err)
	}
	if _, err := q.WriteTo([]byte("x"), p.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteTo after Close = %v", err)
	}
}
