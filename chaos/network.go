package chaos

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"

	"cartwheel/transport"
)

// Network is a transport.Network whose links can be cut. Make it with [New].
type Network struct {
	inner transport.Network
	self  string

	mu   sync.Mutex
	cuts map[string]*cut // by the peer's address; guarded by mu
}

var _ transport.Network = (*Network)(nil)

// cut is one direction of a link, from this node to a peer, while nothing passes.
type cut struct {
	healed chan struct{} // closed when it ends
	held   []*conn       // whose end the peer must not hear yet, the oldest first
}

// maxHeld bounds the sockets that are kept open for a peer only because it must not
// hear of their end. Of more, the oldest is let through.
const maxHeld = 256

// maxNameBytes is the longest address that fits into an introduction.
const maxNameBytes = 255

// New returns a network over inner that cuts nothing yet. self is the peer address
// of the node that uses it, "host:port" as the other nodes dial it: a listener at
// that address greets other Networks.
func New(inner transport.Network, self string) (*Network, error) {
	if _, _, err := net.SplitHostPort(self); err != nil || len(self) > maxNameBytes {
		return nil, fmt.Errorf("the node's address %q is not HOST:PORT of at most %d bytes", self, maxNameBytes)
	}
	return &Network{inner: inner, self: self, cuts: map[string]*cut{}}, nil
}

// Set cuts the way to each of the peers, and heals the way to all others. When it
// returns, this is in force. It never blocks.
func (n *Network) Set(peers []string) {
	var release []*conn
	n.mu.Lock()
	for peer, c := range n.cuts {
		if !slices.Contains(peers, peer) {
			delete(n.cuts, peer)
			close(c.healed)
			release = append(release, c.held...)
		}
	}
	for _, peer := range peers {
		if n.cuts[peer] == nil {
			n.cuts[peer] = &cut{healed: make(chan struct{})}
		}
	}
	n.mu.Unlock()
	for _, c := range release {
		c.release()
	}
}

// blocked returns nil if the way to the peer is open, else a channel that is closed
// when it is healed.
func (n *Network) blocked(peer string) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.cuts[peer]; c != nil {
		return c.healed
	}
	return nil
}

// hold takes care of releasing c when the way to its peer is healed. It reports false
// if the way is open. The caller releases excess, if there is one.
func (n *Network) hold(c *conn) (held bool, excess *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	way := n.cuts[c.peer]
	if way == nil {
		return false, nil
	}
	if len(way.held) == maxHeld {
		excess, way.held = way.held[0], way.held[1:]
	}
	way.held = append(way.held, c)
	return true, excess
}

// Dial connects to another node's Network. It waits as long as either direction is
// cut, at most until ctx ends.
func (n *Network) Dial(ctx context.Context, addr string) (net.Conn, error) {
	for healed := n.blocked(addr); healed != nil; healed = n.blocked(addr) {
		select {
		case <-healed:
		case <-ctx.Done():
			return nil, dialError(addr, context.Cause(ctx))
		}
	}
	inner, err := n.inner.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	c := newConn(n, inner, addr)
	if err := c.introduce(ctx); err != nil {
		_ = c.Close() // the dial has failed already
		return nil, dialError(addr, err)
	}
	return c, nil
}

func dialError(addr string, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: transport.Addr(addr), Err: err}
}

// ListenPacket opens a packet socket that drops what goes to a cut peer.
func (n *Network) ListenPacket(addr string) (net.PacketConn, error) {
	inner, err := n.inner.ListenPacket(addr)
	if err != nil {
		return nil, err
	}
	return &packetConn{inner, n}, nil
}

type packetConn struct {
	net.PacketConn
	n *Network
}

// WriteTo says that a dropped packet was sent, as networks do.
func (p *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if p.n.blocked(to.String()) != nil {
		return len(b), nil
	}
	return p.PacketConn.WriteTo(b, to)
}
