package memnet

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"
)

// maxBacklog bounds the streams that a listener has not accepted; more are
// refused.
const maxBacklog = 128

// Host is the network as one host sees it, in one of its lives. It implements
// the Network interface of package transport.
type Host struct {
	n    *Net
	h    *host
	life int
}

// Name returns the host's name.
func (h *Host) Name() string { return h.h.name }

func (h *Host) opError(op string, addr Addr, err error) error {
	return &net.OpError{Op: op, Net: "mem", Addr: addr, Err: err}
}

// aliveLocked fails once the host has crashed.
func (h *Host) aliveLocked() error {
	if h.h.life != h.life {
		return fmt.Errorf("host %s has crashed: %w", h.h.name, net.ErrClosed)
	}
	return nil
}

// claimLocked checks an address to listen on and picks a port for port 0.
func (h *Host) claimLocked(addr string, taken func(int) bool) (int, error) {
	name, port, err := split(addr)
	if err == nil {
		err = h.aliveLocked()
	}
	if err != nil {
		return 0, err
	}
	if name != "" && name != h.h.name {
		return 0, syscall.EADDRNOTAVAIL
	}
	if port == 0 {
		return h.h.freePort(taken)
	}
	if taken(port) {
		return 0, syscall.EADDRINUSE
	}
	return port, nil
}

// Listen accepts streams at addr, whose host part is this host or empty. Port 0
// picks a free one.
func (h *Host) Listen(addr string) (net.Listener, error) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	port, err := h.claimLocked(addr, func(p int) bool { return h.h.listeners[p] != nil })
	if err != nil {
		return nil, h.opError("listen", Addr(addr), err)
	}
	l := &listener{n: h.n, host: h.h, port: port, backlog: make(chan *conn, maxBacklog), closed: make(chan struct{})}
	h.h.listeners[port] = l
	return l, nil
}

// ListenPacket sends and receives packets at addr, likewise. Its WriteTo takes
// any net.Addr and goes by its text.
func (h *Host) ListenPacket(addr string) (net.PacketConn, error) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	port, err := h.claimLocked(addr, func(p int) bool { return h.h.packets[p] != nil })
	if err != nil {
		return nil, h.opError("listen", Addr(addr), err)
	}
	p := &packetConn{n: h.n, host: h.h, port: port}
	h.h.packets[port] = p
	return p, nil
}

// Dial opens a stream to addr. It takes one delay of the link there and one of
// the link back, and waits while either is cut or either host is paused.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := h.dial(ctx, addr)
	if err != nil {
		return nil, h.opError("dial", Addr(addr), err)
	}
	return c, nil
}

func (h *Host) dial(ctx context.Context, addr string) (*conn, error) {
	name, port, err := split(addr)
	if err != nil {
		return nil, err
	}
	n := h.n
	n.mu.Lock()
	defer n.mu.Unlock()
	there, back := n.linkLocked(h.h.name, name), n.linkLocked(name, h.h.name)
	ordinal := there.streams
	there.streams++
	if err := h.crossLocked(ctx, there, mix(there.seed, ordinal)); err != nil {
		return nil, err
	}
	l := there.to.listeners[port]
	var c *conn
	if l != nil && len(l.backlog) < cap(l.backlog) {
		c, err = h.openLocked(there, back, l, ordinal)
		if err != nil {
			return nil, err
		}
	}
	if err := h.crossLocked(ctx, back, mix(back.seed, ordinal)); err != nil {
		if c != nil {
			c.closeLocked()
		}
		return nil, err
	}
	if c == nil {
		return nil, syscall.ECONNREFUSED
	}
	return c, nil
}

// crossLocked takes as long as one crossing of l does.
func (h *Host) crossLocked(ctx context.Context, l *link, roll uint64) error {
	n := h.n
	var at time.Time
	for {
		now := time.Now()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := h.aliveLocked(); err != nil {
			return err
		}
		open := !l.blocked() && !l.to.paused
		if open && at.IsZero() {
			at = l.arrival(now, roll)
		}
		if !at.IsZero() && !now.Before(at) && !l.to.paused {
			return nil
		}
		// Once it has left only the delay matters, and whether the receiver runs.
		until := at
		if passed(at, now) {
			until = time.Time{}
		}
		n.topo.wait(&n.mu, until, ctx.Done())
	}
}

// openLocked makes the two ends of a stream and gives one to the listener.
func (h *Host) openLocked(there, back *link, l *listener, ordinal uint64) (*conn, error) {
	n := h.n
	port, err := h.h.freePort(func(int) bool { return false })
	if err != nil {
		return nil, err
	}
	seed := mix(there.seed, mix(1, ordinal))
	local, remote := h.h.join(port), l.addr()
	a := &conn{n: n, host: h.h, link: there, local: local, remote: remote, seed: mix(seed, 0)}
	b := &conn{n: n, host: l.host, link: back, local: remote, remote: local, seed: mix(seed, 1)}
	a.peer, b.peer = b, a
	a.drawReset()
	b.drawReset()
	a.host.conns[a] = struct{}{}
	b.host.conns[b] = struct{}{}
	n.stats.Streams++
	l.backlog <- b // has room: looked at under the lock that all senders hold
	return a, nil
}

// listener is a host's end of a port for streams.
type listener struct {
	n       *Net
	host    *host
	port    int
	backlog chan *conn
	closed  chan struct{} // guarded by n.mu for closing
}

func (l *listener) addr() Addr     { return l.host.join(l.port) }
func (l *listener) Addr() net.Addr { return l.addr() }

func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
	default:
		select {
		case c := <-l.backlog:
			return c, nil
		case <-l.closed:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "mem", Addr: l.addr(), Err: net.ErrClosed}
}

func (l *listener) Close() error {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if !l.closeLocked() {
		return &net.OpError{Op: "close", Net: "mem", Addr: l.addr(), Err: net.ErrClosed}
	}
	return nil
}

// closeLocked refuses what was not accepted.
func (l *listener) closeLocked() bool {
	if l.host.listeners[l.port] != l {
		return false
	}
	delete(l.host.listeners, l.port)
	close(l.closed)
	for {
		select {
		case c := <-l.backlog:
			c.breakLocked(syscall.ECONNRESET)
		default:
			return true
		}
	}
}
