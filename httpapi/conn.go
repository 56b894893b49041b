package httpapi

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// patience is how long a request takes, at least, before its client is watched; at most it
// is twice as long.
const patience = 50 * time.Millisecond

// conn is one connection. Its methods may be called by several goroutines, as net.Conn says.
type conn struct {
	net.Conn

	mu          sync.Mutex
	read, write deadline
	closed      bool

	// A watch is a read that waits here, without a system call, until a deadline in the past
	// ends it, which is how net/http says that the request is over, or until patience is
	// gone and it becomes a real one. The timer is not stopped between two requests: it
	// looks in every so often, and rests when it finds none.
	watching bool
	seen     bool // by the timer, since the watch began
	overdue  bool
	ticking  bool
	timer    *time.Timer
	stir     sync.Cond // something has changed for the watch

	// heard: something of a request has come since the last answer. late: then it did not go on in
	// time. net/http closes such a connection without a word while it reads a header.
	heard, late bool

	gone func() // called once, when it is closed
}

func newConn(nc net.Conn, gone func()) *conn {
	c := &conn{Conn: nc, read: deadline{below: nc.SetReadDeadline}, write: deadline{below: nc.SetWriteDeadline}, gone: gone}
	c.stir.L = &c.mu
	return c
}

// deadline is one that is set often and met hardly ever. The connection below has one that
// is as early or earlier, as far as anybody waits for it; when that passes too soon, it is
// moved. conn.mu guards all of it.
type deadline struct {
	want, set time.Time
	waiting   int                   // reads, or writes, under way
	below     func(time.Time) error // sets that of the connection below
}

func (d *deadline) passed() bool { return !d.want.IsZero() && time.Until(d.want) <= 0 }

// move takes the wanted deadline to the connection below, if that has none or a later one.
func (d *deadline) move() error {
	if d.want.IsZero() || !d.set.IsZero() && !d.want.Before(d.set) {
		return nil
	}
	d.set = d.want
	return d.below(d.set)
}

// change makes t the deadline, at once for those who wait.
func (d *deadline) change(t time.Time) error {
	d.want = t
	if d.waiting == 0 {
		return nil
	}
	return d.move()
}

// begin is called before a read or a write waits.
func (c *conn) begin(d *deadline) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.waiting++
	return d.move()
}

// outdated reports whether err is the passing of a deadline that is not the one wanted, and
// sets that one.
func (c *conn) outdated(d *deadline, err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.passed() {
		return false
	}
	d.set = d.want
	return d.below(d.set) == nil
}

// Read is that of net.Conn. Into a single byte, and without a deadline, net/http reads for no
// other reason than to watch its client, so that may wait.
func (c *conn) Read(p []byte) (n int, err error) {
	if len(p) == 1 {
		if err := c.watch(); err != nil {
			return 0, err
		}
	}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.read.waiting--
		c.heard = c.heard || n > 0
		c.late = errors.Is(err, os.ErrDeadlineExceeded)
	}()
	if err = c.begin(&c.read); err != nil {
		return 0, err
	}
	for {
		n, err = c.Conn.Read(p)
		if err == nil || n > 0 || !c.outdated(&c.read, err) {
			return n, err
		}
	}
}

// Write is that of net.Conn.
func (c *conn) Write(p []byte) (n int, err error) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.write.waiting--
		c.heard = false
	}()
	if err = c.begin(&c.write); err != nil {
		return 0, err
	}
	for {
		var more int
		more, err = c.Conn.Write(p[n:])
		n += more
		if err == nil || !c.outdated(&c.write, err) {
			return n, err
		}
	}
}

// SetReadDeadline is that of net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.read.change(t)
	if c.watching && c.read.passed() {
		c.stir.Signal()
	}
	return err
}

// SetWriteDeadline is that of net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.write.change(t)
}

// SetDeadline is that of net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// watch waits until a real read is due, and returns nil, or the error of the read.
func (c *conn) watch() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.read.want.IsZero() && !c.read.passed() {
		return nil // the last byte of a buffer that is being filled
	}
	c.watching, c.seen, c.overdue = true, false, false
	for !c.closed && !c.overdue && !c.read.passed() {
		c.tick()
		c.stir.Wait()
	}
	c.watching = false
	switch {
	case c.closed:
		return net.ErrClosed
	case c.read.passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// tick starts the timer unless it runs. c.mu is held.
func (c *conn) tick() {
	switch {
	case c.ticking:
		return
	case c.timer == nil:
		c.timer = time.AfterFunc(patience, c.look)
	default:
		c.timer.Reset(patience)
	}
	c.ticking = true
}

// look is what the timer does: a watch that it finds for the second time is overdue.
func (c *conn) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ticking = false
	if !c.watching || c.closed {
		return
	}
	if c.overdue = c.seen; c.overdue {
		c.stir.Signal()
		return
	}
	c.seen = true
	c.tick()
}

// lateAnswer is for a header that did not come in time.
const lateAnswer = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 33\r\nContent-Type: text/plain\r\n\r\nthe request did not come in time\n"

// Close closes the connection and ends its watch. A client that began a request and did not end
// its header in time is told so.
func (c *conn) Close() error {
	c.mu.Lock()
	first := !c.closed
	tell := first && c.heard && c.late
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.stir.Signal()
	c.mu.Unlock()
	if tell {
		// Nothing was sent before it, so it fits what the system buffers.
		_ = c.Conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.Conn.Write([]byte(lateAnswer))
	}
	err := c.Conn.Close()
	if first {
		c.gone() // only now its descriptor is free
	}
	return err
}

// CloseWrite ends the answers where the connection below can do that by itself: net/http then
// gives the client time to read the last one.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
