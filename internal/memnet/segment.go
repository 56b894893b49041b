package memnet

import (
	"syscall"
	"time"
)

// segment is what travels in a stream: bytes, or one of its ends.
type segment struct {
	at    time.Time // of arrival; when it was written, while held
	held  bool      // the link was blocked: it has not left yet
	data  []byte
	fin   bool // no more bytes
	gone  bool // with fin: the peer does not read any more either
	reset bool // the stream broke
}

// pushLocked sends a segment to the peer.
func (c *conn) pushLocked(s segment, now time.Time) {
	s.at, s.held = now, c.link.blocked()
	if !s.held {
		s.at = c.arrivalLocked(now, c.sent)
	}
	c.sent += int64(len(s.data))
	c.peer.unread += len(s.data)
	if c.peer.closed {
		return // nobody will read it, but it fills the window: nothing is acknowledged
	}
	c.peer.in = append(c.peer.in, s)
	c.peer.wake.broadcast()
}

// arrivalLocked is when what leaves now, at the given offset, arrives: never
// before what left earlier.
func (c *conn) arrivalLocked(now time.Time, offset int64) time.Time {
	at := c.link.arrival(now, mix(c.seed, mix(3, uint64(offset))))
	if at.Before(c.last) {
		at = c.last
	}
	c.last = at
	return at
}

// releaseLocked sends what was held, if the link lets it.
func (c *conn) releaseLocked(now time.Time) {
	if c.link.blocked() {
		return
	}
	for i := range c.peer.in {
		if s := &c.peer.in[i]; s.held {
			s.held, s.at = false, c.arrivalLocked(now, c.sent)
		}
	}
	c.peer.wake.broadcast()
	c.wake.broadcast()
}

// holdsLocked reports whether something that this end wrote has not left yet.
func (c *conn) holdsLocked() bool {
	return len(c.peer.in) > 0 && c.peer.in[len(c.peer.in)-1].held
}

// resetLocked breaks both ends at once.
func (c *conn) resetLocked() {
	c.n.stats.Resets++
	c.breakLocked(syscall.ECONNRESET)
	c.peer.breakLocked(syscall.ECONNRESET)
}

// breakLocked ends this end with err; the peer sees a reset when it arrives.
func (c *conn) breakLocked(err error) {
	if c.closed || c.err != nil {
		return
	}
	c.err = err
	// What has not left is lost with this end.
	for i, s := range c.peer.in {
		if s.held {
			c.peer.in = c.peer.in[:i]
			break
		}
	}
	if !c.peer.closed {
		c.pushLocked(segment{reset: true}, time.Now())
	}
	c.wake.broadcast()
	c.peer.wake.broadcast()
}
