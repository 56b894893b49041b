package transport

import (
	"context"
	"net"
	"time"
)

// Accepted gossip streams that wait for their receiver.
const maxWaitingStreams = 16

// Gossip is what a gossip protocol needs: streams in both directions and
// packets. Closing the Transport closes it.
type Gossip struct {
	t       *Transport
	streams chan net.Conn
	packets net.PacketConn
}

// Gossip returns the gossip protocol's half of the port, always the same.
func (t *Transport) Gossip() *Gossip { return t.gossip }

// Streams delivers accepted gossip streams, positioned after the magic and
// without a deadline; each belongs to its receiver. The channel is never
// closed. It holds a few streams; further ones are closed and counted.
func (g *Gossip) Streams() <-chan net.Conn { return g.streams }

// Packets is the packet socket on the same port number. WriteTo takes any
// net.Addr and goes by its text: see Addr. Its reads fail with net.ErrClosed
// after the Transport was closed.
func (g *Gossip) Packets() net.PacketConn { return g.packets }

// Dial opens a gossip stream to addr within timeout. It belongs to the caller
// and has no deadline.
func (g *Gossip) Dial(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(g.t.ctx, timeout)
	defer cancel()
	nc, err := g.t.cfg.Network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	err = nc.SetDeadline(deadline)
	if err == nil {
		_, err = nc.Write([]byte(gossipMagic))
	}
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

// handOver gives an accepted stream to whoever reads Streams.
func (t *Transport) handOver(nc net.Conn) {
	if err := nc.SetDeadline(time.Time{}); err != nil {
		t.reject(nc, err)
		return
	}
	select {
	case t.gossip.streams <- nc:
		t.count.gossipStreams.Add(1)
		t.release(nc)
	default:
		t.count.gossipDropped.Add(1)
		t.untrack(nc)
	}
}

// close closes the packet socket and the streams that nobody took.
func (g *Gossip) close() {
	g.packets.Close()
	for {
		select {
		case nc := <-g.streams:
			nc.Close()
		default:
			return
		}
	}
}
