package transport

import (
	"context"
	"net"
	"net/netip"
)

// Network is how a [Transport] reaches others: the operating system's sockets
// ([TCP]) or an in-memory network in tests. Addresses are "host:port".
//
// A Network's connections and listeners behave like those of package net, with
// deadlines. Its packet connections accept any net.Addr in WriteTo and go by
// its String, so that a caller who only has text needs no resolver.
type Network interface {
	// Listen accepts streams; port 0 means any free one.
	Listen(addr string) (net.Listener, error)
	// Dial opens a stream, or fails when ctx ends.
	Dial(ctx context.Context, addr string) (net.Conn, error)
	// ListenPacket sends and receives packets.
	ListenPacket(addr string) (net.PacketConn, error)
}

// TCP returns the operating system's network: TCP streams and UDP packets.
func TCP() Network { return sockets{} }

type sockets struct{}

func (sockets) Listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

func (sockets) Dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

func (sockets) ListenPacket(addr string) (net.PacketConn, error) {
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		return nil, err
	}
	return &udpConn{c.(*net.UDPConn)}, nil
}

// udpConn lets WriteTo take an address that is only text.
type udpConn struct{ *net.UDPConn }

func (c *udpConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if a, ok := addr.(*net.UDPAddr); ok {
		return c.UDPConn.WriteTo(b, a)
	}
	// Parsing a numeric address costs no system call; only a name is looked up.
	if a, err := netip.ParseAddrPort(addr.String()); err == nil {
		return c.UDPConn.WriteTo(b, net.UDPAddrFromAddrPort(a))
	}
	a, err := net.ResolveUDPAddr("udp", addr.String())
	if err != nil {
		return 0, err
	}
	return c.UDPConn.WriteTo(b, a)
}

// Addr is a net.Addr that is only text, "host:port": an address to send a
// packet to.
type Addr string

// Network returns "udp".
func (Addr) Network() string { return "udp" }

// String returns the address itself.
func (a Addr) String() string { return string(a) }
