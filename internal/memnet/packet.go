package memnet

import (
	"container/heap"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	// What UDP over IPv4 can carry.
	maxPacketBytes = 65507
	// Packets on their way to one socket, or held on one link; more are dropped.
	maxQueuedPackets = 1024
)

type packet struct {
	at   time.Time // of arrival
	seq  uint64    // on its link; breaks ties
	from Addr
	port int // where it goes
	data []byte
}

// packetConn is a host's end of a port for packets. Everything in it is guarded
// by the network's mutex.
type packetConn struct {
	n      *Net
	host   *host
	port   int
	closed bool
	queue  packetHeap
	rd, wd time.Time
	wake   signal
}

func (p *packetConn) addr() Addr          { return p.host.join(p.port) }
func (p *packetConn) LocalAddr() net.Addr { return p.addr() }

func (p *packetConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "mem", Source: p.addr(), Err: err}
}

// ReadFrom waits for a packet; what does not fit into b is lost.
func (p *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case p.closed:
			return 0, nil, p.opError("read", net.ErrClosed)
		case passed(p.rd, now):
			return 0, nil, p.opError("read", os.ErrDeadlineExceeded)
		}
		until := p.rd
		if len(p.queue) > 0 && !p.host.paused {
			if !p.queue[0].at.After(now) {
				k := heap.Pop(&p.queue).(packet)
				return copy(b, k.data), k.from, nil
			}
			until = earliest(until, p.queue[0].at)
		}
		p.wake.wait(&p.n.mu, until, nil)
	}
}

// WriteTo sends a packet to the address that addr's text names. Like a
// datagram's, its loss is no error.
func (p *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	name, port, err := split(addr.String())
	if err != nil {
		return 0, p.opError("write", err)
	}
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	switch {
	case p.closed:
		return 0, p.opError("write", net.ErrClosed)
	case passed(p.wd, time.Now()):
		return 0, p.opError("write", os.ErrDeadlineExceeded)
	case len(b) > maxPacketBytes:
		return 0, p.opError("write", syscall.EMSGSIZE)
	}
	l := p.n.linkLocked(p.host.name, name)
	p.n.stats.Packets++
	seq := l.packets
	l.packets++
	k := packet{seq: seq, from: p.addr(), port: port, data: append([]byte(nil), b...)}
	switch roll := mix(l.seed, seq); {
	case l.cut || chance(mix(roll, 1), l.Drop):
		p.n.stats.Lost++
	case l.from.paused:
		if len(l.held) < maxQueuedPackets {
			l.held = append(l.held, k)
		} else {
			p.n.stats.Overflowed++
		}
	default:
		p.n.deliverLocked(l, k, time.Now())
	}
	return len(b), nil
}

// deliverLocked lets a packet leave now, perhaps twice.
func (n *Net) deliverLocked(l *link, k packet, now time.Time) {
	to := l.to.packets[k.port]
	roll := mix(l.seed, k.seq)
	copies := 1
	if chance(mix(roll, 2), l.Duplicate) {
		copies = 2
		n.stats.Duplicated++
	}
	for i := range copies {
		if to == nil || len(to.queue) >= maxQueuedPackets {
			n.stats.Overflowed++
			continue
		}
		k.at = l.arrival(now, mix(roll, uint64(3+i)))
		heap.Push(&to.queue, k)
		to.wake.broadcast()
	}
}

func (p *packetConn) Close() error {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	if p.closed {
		return p.opError("close", net.ErrClosed)
	}
	p.closeLocked()
	return nil
}

func (p *packetConn) closeLocked() {
	p.closed, p.queue = true, nil
	delete(p.host.packets, p.port)
	p.wake.broadcast()
}

func (p *packetConn) SetDeadline(t time.Time) error      { return p.setDeadlines(&t, &t) }
func (p *packetConn) SetReadDeadline(t time.Time) error  { return p.setDeadlines(&t, nil) }
func (p *packetConn) SetWriteDeadline(t time.Time) error { return p.setDeadlines(nil, &t) }

func (p *packetConn) setDeadlines(rd, wd *time.Time) error {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	if p.closed {
		return p.opError("set", net.ErrClosed)
	}
	if rd != nil {
		p.rd = *rd
	}
	if wd != nil {
		p.wd = *wd
	}
	p.wake.broadcast()
	return nil
}

// packetHeap orders packets by arrival.
type packetHeap []packet

func (h packetHeap) Len() int { return len(h) }
func (h packetHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h packetHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *packetHeap) Push(x any)   { *h = append(*h, x.(packet)) }
func (h *packetHeap) Pop() any {
	old := *h
	k := old[len(old)-1]
	old[len(old)-1] = packet{}
	*h = old[:len(old)-1]
	return k
}
