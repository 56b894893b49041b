package chaos

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pieceBytes is how much of a write passes between two looks at the switches.
const pieceBytes = 64 << 10

// longAgo as a deadline interrupts what is under way.
var longAgo = time.Unix(1, 0)

// conn is one end of a stream to a peer. What this end sends obeys the switches;
// what it receives is the other end's matter.
type conn struct {
	net.Conn
	n    *Network
	peer string

	writing sync.Mutex // held for one whole Write, so that two do not mix; package net does the same

	mu       sync.Mutex // taken before the network's
	closed   bool
	finished bool          // this end writes no more
	held     bool          // the network will release it
	deadline time.Time     // of writes
	changed  chan struct{} // closed, and made anew, when one of the above has changed
}

func newConn(n *Network, inner net.Conn, peer string) *conn {
	return &conn{Conn: inner, n: n, peer: peer, changed: make(chan struct{})}
}

func (c *conn) changeLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Write waits while the way to the peer is cut.
func (c *conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	written := 0
	for {
		if err := c.awaitWay(); err != nil {
			return written, c.fail("write", err)
		}
		piece := b[written:min(written+pieceBytes, len(b))]
		k, err := c.Conn.Write(piece)
		written += k
		if err != nil && c.isClosed() {
			err = c.fail("write", net.ErrClosed) // a held socket is open beneath
		}
		if err != nil || written == len(b) {
			return written, err
		}
	}
}

// awaitWay returns when the way to the peer is open, or why this end may not write
// any more.
func (c *conn) awaitWay() error {
	for {
		healed := c.n.blocked(c.peer)
		c.mu.Lock()
		closed, finished, deadline, changed := c.closed, c.finished, c.deadline, c.changed
		c.mu.Unlock()
		switch {
		case closed:
			return net.ErrClosed
		case finished:
			return syscall.EPIPE
		case !deadline.IsZero() && !time.Now().Before(deadline):
			return os.ErrDeadlineExceeded
		case healed == nil:
			return nil
		}
		var expired <-chan time.Time
		if !deadline.IsZero() {
			expired = time.After(time.Until(deadline))
		}
		select {
		case <-healed:
		case <-changed:
		case <-expired:
		}
	}
}

// Read reads what the peer let through.
func (c *conn) Read(b []byte) (int, error) {
	k, err := c.Conn.Read(b)
	if err != nil && c.isClosed() {
		err = c.fail("read", net.ErrClosed)
	}
	return k, err
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Close ends the stream at this end at once. The peer hears of it when the way is
// open.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.fail("close", net.ErrClosed)
	}
	c.closed = true
	c.changeLocked()
	held, excess := c.holdLocked()
	if held {
		_ = c.Conn.SetDeadline(longAgo) // wakes readers and writers; it fails only if the stream is broken, and then they wake too
	}
	c.mu.Unlock()
	excess.release()
	if held {
		return nil
	}
	return c.Conn.Close()
}

// CloseWrite tells the peer that no more bytes come, when the way is open. It does
// not wait for that.
func (c *conn) CloseWrite() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.fail("close", net.ErrClosed)
	}
	c.finished = true
	c.changeLocked()
	held, excess := c.holdLocked()
	c.mu.Unlock()
	excess.release()
	if held {
		return nil
	}
	return c.closeWrite()
}

func (c *conn) closeWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return c.fail("close", errors.ErrUnsupported)
	}
	return half.CloseWrite()
}

// holdLocked reports whether the end of the stream has to wait. The caller releases
// excess after the lock.
func (c *conn) holdLocked() (held bool, excess *conn) {
	if !c.held {
		c.held, excess = c.n.hold(c)
	}
	return c.held, excess
}

// release tells the peer what was held back. A nil c does nothing.
func (c *conn) release() {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.held = false
	closed := c.closed
	c.mu.Unlock()
	// Errors have nobody to go to: the caller was told long ago that it is closed.
	if closed {
		_ = c.Conn.Close()
	} else {
		_ = c.closeWrite()
	}
}

func (c *conn) SetDeadline(t time.Time) error { return c.setDeadline(t, true, c.Conn.SetDeadline) }
func (c *conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(t, false, c.Conn.SetReadDeadline)
}
func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(t, true, c.Conn.SetWriteDeadline)
}

func (c *conn) setDeadline(t time.Time, write bool, beneath func(time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.fail("set", net.ErrClosed)
	}
	if write {
		c.deadline = t
		c.changeLocked()
	}
	return beneath(t) // under the lock, or it could undo what Close has set
}

// greeting begins every connection between two Networks:
//
//	"CWX1", length u8, as many bytes: the address of the node that connects
//
// and "CWX1" is the answer.
const greeting = "CWX1"

// introduce says which node connects, and waits until the other one answers.
func (c *conn) introduce(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(longAgo) }) // it fails only on a closed stream
	hello := append([]byte(greeting), byte(len(c.n.self)))
	_, err := c.Write(append(hello, c.n.self...))
	var answer [len(greeting)]byte
	if err == nil {
		_, err = io.ReadFull(c, answer[:])
	}
	if !stop() {
		return context.Cause(ctx)
	}
	if err == nil && string(answer[:]) != greeting {
		err = errors.New("the other end has no switches: it is not a node of this cluster")
	}
	return err
}
