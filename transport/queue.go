package transport

import (
	"sync"
	"sync/atomic"
)

const (
	// Large messages whose parts alternate on one connection. A small frame
	// waits for one part of each: a few milliseconds at 1 Gbit/s.
	maxParallelLarge = 4
	// A write buffer that grew beyond this is not kept for reuse.
	maxSpareBytes = 256 << 10
)

// queue holds what waits to be written on one connection. Small messages are
// encoded at once into a buffer that the writer swaps for an empty one, so that
// all frames that came meanwhile leave in one write. Large ones are kept as
// they are and encoded part by part.
type queue struct {
	wake chan struct{} // one slot: there is something to write, or finish was called
	room chan struct{} // one slot: something was written

	mu struct {
		sync.Mutex
		buf       []byte
		spare     []byte
		small     int64 // encoded bytes not yet written, those in the writer's hands included
		large     []*largeMessage
		largeSize int64 // payloads of large messages not yet encoded whole
		frames    int   // in buf
		finished  bool
	}

	// The rest is the writer's.
	frame  int64 // largest payload of a frame
	window int64 // sum of the messages sent in parts at one time
	active []*largeMessage
}

// batch is what one write takes.
type batch struct {
	buf    []byte // whole frames; empty if there is nothing to write
	frames int
	last   bool // finish was called, and nothing will follow
}

// largeMessage is one message that goes in parts.
type largeMessage struct {
	head    header
	payload []byte
	off     int
	over    *atomic.Bool // nobody waits for it any more; may be nil
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// limit is set before the writer starts: the largest frame and the largest sum
// of unfinished messages that the peer takes.
func (q *queue) limit(frame, window int64) { q.frame, q.window = frame, window }

// push queues a message of at most one frame. It reports false, and queues
// nothing, if more than limit bytes would wait; limit 0 is no limit.
func (q *queue) push(h header, payload []byte, limit int64) bool {
	size := int64(headerBytes + len(payload))
	q.mu.Lock()
	if limit > 0 && q.mu.small+size > limit {
		q.mu.Unlock()
		return false
	}
	q.mu.buf = appendFrame(q.mu.buf, h, payload)
	q.mu.small += size
	q.mu.frames++
	q.mu.Unlock()
	notify(q.wake)
	return true
}

// pushLarge queues a message of more than one frame, likewise, except that one
// message is always taken when no other large one waits.
func (q *queue) pushLarge(m *largeMessage, limit int64) bool {
	size := int64(len(m.payload))
	q.mu.Lock()
	if limit > 0 && q.mu.largeSize > 0 && q.mu.largeSize+size > limit {
		q.mu.Unlock()
		return false
	}
	q.mu.large = append(q.mu.large, m)
	q.mu.largeSize += size
	q.mu.Unlock()
	notify(q.wake)
	return true
}

// over reports whether more than the given bytes wait.
func (q *queue) over(small, large int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.small > small || q.mu.largeSize > large
}

// finish makes take report the end once nothing waits any more.
func (q *queue) finish() {
	q.mu.Lock()
	q.mu.finished = true
	q.mu.Unlock()
	notify(q.wake)
}

// take returns what to write next: all small messages and one part of some of
// the large ones. The writer gives the buffer back with written.
func (q *queue) take() batch {
	q.mu.Lock()
	q.admitLocked()
	var b batch
	if len(q.mu.buf) > 0 || len(q.active) > 0 {
		b = batch{buf: q.mu.buf, frames: q.mu.frames}
		q.mu.buf, q.mu.spare, q.mu.frames = q.mu.spare[:0], nil, 0
	} else {
		b.last = q.mu.finished
	}
	q.mu.Unlock()
	if len(q.active) > 0 {
		q.addParts(&b)
	}
	return b
}

// admitLocked lets large messages begin, in order, as long as the peer's limit
// on unfinished ones allows, and forgets those that nobody waits for.
func (q *queue) admitLocked() {
	var sum int64
	for _, m := range q.active {
		sum += int64(len(m.payload))
	}
	for len(q.mu.large) > 0 && len(q.active) < maxParallelLarge {
		m := q.mu.large[0]
		size := int64(len(m.payload))
		over := m.over != nil && m.over.Load()
		if !over && sum+size > q.window && len(q.active) > 0 {
			return
		}
		q.mu.large[0] = nil
		q.mu.large = q.mu.large[1:]
		if over {
			q.mu.largeSize -= size
			continue
		}
		sum += size
		q.active = append(q.active, m)
	}
}

// addParts adds one part of each active message and forgets those that are done.
func (q *queue) addParts(b *batch) {
	small := len(b.buf)
	var done int64
	kept := q.active[:0]
	for _, m := range q.active {
		var last bool
		b.buf, last = m.appendPart(b.buf, int(q.frame))
		b.frames++
		if last {
			done += int64(len(m.payload))
		} else {
			kept = append(kept, m)
		}
	}
	clear(q.active[len(kept):])
	q.active = kept
	q.mu.Lock()
	q.mu.small += int64(len(b.buf) - small)
	q.mu.largeSize -= done
	q.mu.Unlock()
}

// appendPart appends the next part of m, of at most frame bytes, and reports
// whether it was the last. It always appends something.
func (m *largeMessage) appendPart(dst []byte, frame int) ([]byte, bool) {
	h := m.head
	if m.off > 0 {
		h.ring, h.budget, h.flags = 0, 0, h.flags|flagPart
		if m.over != nil && m.over.Load() {
			h.flags |= flagAbort
			return appendFrame(dst, h, nil), true
		}
	}
	part := m.payload[m.off:]
	if len(part) > frame {
		part = part[:frame]
		h.flags |= flagMore
	}
	m.off += len(part)
	return appendFrame(dst, h, part), !h.has(flagMore)
}

// written takes back a batch that has left.
func (q *queue) written(buf []byte) {
	q.mu.Lock()
	q.mu.small -= int64(len(buf))
	if cap(buf) <= maxSpareBytes {
		q.mu.spare = buf[:0]
	}
	q.mu.Unlock()
	notify(q.room)
}

// notify puts a token into a channel of one slot, unless there is one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
