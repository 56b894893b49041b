package memnet

import (
	"io"
	"math"
	"net"
	"os"
	"syscall"
	"time"
)

// conn is one end of a stream. Everything in it is guarded by the network's
// mutex.
type conn struct {
	n             *Net
	host          *host
	link          *link // from this host to the peer's
	peer          *conn
	local, remote Addr
	seed          uint64

	in     []segment // for this end to read, in order
	unread int       // bytes in in
	sent   int64     // bytes ever written by this end
	last   time.Time // arrival of the latest segment written
	limit  int64     // the stream breaks when this end has sent so much; 0: never

	closed    bool  // by this end
	writeDone bool  // this end will write no more
	err       error // the stream broke
	rd, wd    time.Time
	wake      signal
}

// drawReset decides how many bytes this end may send: exponentially distributed
// with the link's mean.
func (c *conn) drawReset() {
	if c.link.ResetEvery > 0 {
		u := float64(mix(c.seed, 2)>>11+1) / (1 << 53)
		c.limit = 1 + int64(-math.Log(u)*float64(c.link.ResetEvery))
	}
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.remote, Err: err}
}

func (c *conn) Read(b []byte) (int, error) {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	k, err := c.readLocked(b)
	return k, c.opError("read", err)
}

func (c *conn) readLocked(b []byte) (int, error) {
	for {
		now := time.Now()
		if err := c.brokenLocked(now); err != nil {
			return 0, err
		}
		if passed(c.rd, now) {
			return 0, os.ErrDeadlineExceeded
		}
		if len(b) == 0 {
			return 0, nil
		}
		if c.arrivedLocked(now) {
			s := &c.in[0]
			switch {
			case s.reset:
				c.err = syscall.ECONNRESET
				continue
			case s.fin:
				return 0, io.EOF
			}
			return c.consumeLocked(b, now), nil
		}
		c.wake.wait(&c.n.mu, earliest(c.rd, c.nextEventLocked(now)), nil)
	}
}

// arrivedLocked reports whether the first segment can be read now.
func (c *conn) arrivedLocked(now time.Time) bool {
	return len(c.in) > 0 && !c.in[0].held && !c.in[0].at.After(now) && !c.host.paused
}

// consumeLocked moves arrived bytes into b.
func (c *conn) consumeLocked(b []byte, now time.Time) int {
	k := 0
	for k < len(b) && c.arrivedLocked(now) && c.in[0].data != nil {
		s := &c.in[0]
		m := copy(b[k:], s.data)
		k += m
		if s.data = s.data[m:]; len(s.data) == 0 {
			c.in[0] = segment{}
			c.in = c.in[1:]
		}
	}
	c.unread -= k
	c.peer.wake.broadcast()
	return k
}

// brokenLocked returns why this end can do nothing any more.
func (c *conn) brokenLocked(now time.Time) error {
	if c.closed {
		return net.ErrClosed
	}
	if c.err == nil && passed(c.stallsAtLocked(), now) {
		c.n.stats.Stalled++
		c.breakLocked(syscall.ETIMEDOUT)
	}
	return c.err
}

// stallsAtLocked is when held bytes break the stream at this end, zero if none
// are held by a cut.
func (c *conn) stallsAtLocked() time.Time {
	if !c.link.cut {
		return time.Time{}
	}
	for _, s := range c.peer.in {
		if s.held {
			since := s.at
			if since.Before(c.link.cutSince) {
				since = c.link.cutSince
			}
			return since.Add(c.n.cfg.StallTimeout)
		}
	}
	return time.Time{}
}

// nextEventLocked is when something happens that no broadcast tells: a segment
// arrives, or held bytes break the stream.
func (c *conn) nextEventLocked(now time.Time) time.Time {
	next := c.stallsAtLocked()
	for _, s := range c.in {
		if s.held {
			break
		}
		// Bytes that have arrived don't matter to a writer, and a reader takes them
		// without waiting, unless its host is paused.
		if s.at.After(now) {
			return earliest(next, s.at)
		}
	}
	return next
}

func (c *conn) Write(b []byte) (int, error) {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	k, err := c.writeLocked(b)
	return k, c.opError("write", err)
}

func (c *conn) writeLocked(b []byte) (int, error) {
	written := 0
	for {
		now := time.Now()
		if err := c.brokenLocked(now); err != nil {
			return written, err
		}
		if passed(c.wd, now) {
			return written, os.ErrDeadlineExceeded
		}
		if c.writeDone || c.refusedLocked(now) {
			return written, syscall.EPIPE
		}
		if written == len(b) {
			return written, nil
		}
		room := min(c.n.cfg.StreamBytes-c.peer.unread, len(b)-written)
		if room > 0 {
			chunk := append([]byte(nil), b[written:written+room]...)
			c.pushLocked(segment{data: chunk}, now)
			written += room
			if c.limit > 0 && c.sent >= c.limit {
				c.resetLocked()
				return written, syscall.ECONNRESET
			}
			continue
		}
		c.wake.wait(&c.n.mu, earliest(c.wd, c.nextEventLocked(now)), nil)
	}
}

// refusedLocked reports whether this end has learned that the peer reads no more.
func (c *conn) refusedLocked(now time.Time) bool {
	if len(c.in) == 0 || c.host.paused {
		return false
	}
	s := c.in[len(c.in)-1]
	return (s.fin && s.gone || s.reset) && !s.held && !s.at.After(now)
}

// Close ends the stream in both directions. What was written still arrives.
func (c *conn) Close() error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.closeLocked()
	return nil
}

func (c *conn) closeLocked() {
	if c.closed {
		return
	}
	if c.err == nil {
		c.pushLocked(segment{fin: true, gone: true}, time.Now())
	}
	c.closed = true
	c.in = nil
	delete(c.host.conns, c)
	c.wake.broadcast()
	c.peer.wake.broadcast()
}

// CloseWrite tells the peer that no more bytes come.
func (c *conn) CloseWrite() error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	now := time.Now()
	if err := c.brokenLocked(now); err != nil {
		return c.opError("close", err)
	}
	if !c.writeDone {
		c.writeDone = true
		c.pushLocked(segment{fin: true}, now)
		c.wake.broadcast()
	}
	return nil
}

func (c *conn) SetDeadline(t time.Time) error      { return c.setDeadlines(&t, &t) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.setDeadlines(&t, nil) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(nil, &t) }

func (c *conn) setDeadlines(rd, wd *time.Time) error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	if rd != nil {
		c.rd = *rd
	}
	if wd != nil {
		c.wd = *wd
	}
	c.wake.broadcast()
	return nil
}
