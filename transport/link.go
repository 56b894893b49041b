package transport

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	readBufferBytes = 32 << 10
	// One write is at most this long, so that progress on a slow link shows
	// before the peer counts as dead.
	maxWriteBytes = 256 << 10
	// A connection without a byte for this many heartbeats is dead: one lost
	// or late heartbeat is common, four are not.
	silentHeartbeats = 4
	// A connection of another cluster may take this many heartbeats to end the
	// requests that it carries.
	retiredHeartbeats = 20
)

var (
	errSilent   = errors.New("nothing heard from the peer")
	errRetired  = errors.New("connection of another cluster")
	errFinished = errors.New("connection no longer needed")
)

// link is what both directions of the protocol share: a connection after its
// handshake, its writer and its signs of life.
type link struct {
	t       *Transport
	nc      net.Conn
	own     hello // what this side said
	peer    Peer
	queue   *queue
	parts   assembler
	frame   int64 // largest payload of a frame to the peer
	message int64 // largest message to the peer

	reads, writes atomic.Uint64 // completed; progress, not amounts
	paused        atomic.Bool   // the reader waits for room in the queue
	beats         beats

	dead chan struct{} // closed by kill
	once sync.Once
	err  error // why; set before dead is closed
}

// beats is the minder's memory of the last heartbeat.
type beats struct {
	reads, writes   uint64
	silent, retired int
}

func (t *Transport) newLink() *link {
	return &link{t: t, queue: newQueue(), dead: make(chan struct{})}
}

// open gives the link its connection after the handshake.
func (l *link) open(nc net.Conn, own, other hello, peer Peer) {
	l.nc, l.own, l.peer = nc, own, peer
	l.frame = min(l.t.cfg.MaxFrameBytes, int64(other.maxFrame))
	l.message = min(l.t.cfg.MaxMessageBytes, int64(other.maxMessage))
	l.parts.max = l.t.cfg.MaxMessageBytes
	l.queue.limit(l.frame, l.message)
}

// kill ends the connection for the given reason; the first reason stays. It
// does not block: the connection's minder, which waits for dead, closes it.
func (l *link) kill(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.dead)
	})
}

// writeLoop writes what is queued until the connection is dead or the queue is
// finished. In the second case the peer is left to close the connection: closing
// it here could destroy the last answers on their way, if the peer has sent
// something since.
func (l *link) writeLoop() {
	for {
		select {
		case <-l.queue.wake:
			// Whoever is about to send does so before the write: with 64 callers on
			// two cores this makes writes ten times larger and halves the cost of a
			// call. With nobody else to run it costs nothing.
			runtime.Gosched()
		case <-l.dead:
			return
		}
		for {
			b := l.queue.take()
			if b.last {
				if half, ok := l.nc.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
					l.kill(errFinished)
				}
				return
			}
			if len(b.buf) == 0 {
				break
			}
			if err := l.write(b); err != nil {
				l.kill(fmt.Errorf("write: %w", err))
				return
			}
		}
	}
}

func (l *link) write(b batch) error {
	rest := b.buf
	for len(rest) > 0 {
		n, err := l.nc.Write(rest[:min(len(rest), maxWriteBytes)])
		if err != nil {
			return err
		}
		rest = rest[n:]
		l.writes.Add(1)
		l.t.count.writes.Add(1)
	}
	l.t.count.framesOut.Add(uint64(b.frames))
	l.t.count.bytesOut.Add(uint64(len(b.buf)))
	l.queue.written(b.buf)
	return nil
}

// Read counts signs of life for the heartbeat.
func (l *link) Read(b []byte) (int, error) {
	n, err := l.nc.Read(b)
	if n > 0 {
		l.reads.Add(1)
		l.t.count.bytesIn.Add(uint64(n))
	}
	return n, err
}

// readLoop hands each frame but heartbeats to take until the connection is
// dead, and kills it when reading fails.
func (l *link) readLoop(take func(h header, payload []byte) error) {
	r := bufio.NewReaderSize(l, readBufferBytes)
	for {
		h, payload, err := readFrame(r, int(l.t.cfg.MaxFrameBytes))
		if err == nil {
			l.t.count.framesIn.Add(1)
			if h.has(flagHeartbeat) {
				continue
			}
			err = take(h, payload)
		}
		if err != nil {
			if errors.Is(err, errMalformed) {
				l.t.count.malformed.Add(1)
				l.t.log.Warn("closing a connection with bad data", "peer", l.peer.Addr, "node", l.peer.Node, "err", err)
			}
			l.kill(fmt.Errorf("read: %w", err))
			return
		}
	}
}

// beat is called at each heartbeat. It kills a silent connection and shows the
// peer that this side lives if nothing else has.
func (l *link) beat(retired bool) {
	reads, writes := l.reads.Load(), l.writes.Load()
	b := &l.beats
	// A reader that waits for room to answer hears nothing by its own choice.
	// Then a peer that takes bytes lives.
	if reads != b.reads || l.paused.Load() && writes != b.writes {
		b.silent = 0
	} else if b.silent++; b.silent >= silentHeartbeats {
		l.t.count.silent.Add(1)
		l.kill(errSilent)
	}
	if retired {
		if b.retired++; b.retired >= retiredHeartbeats {
			l.kill(errRetired)
		}
	}
	if writes == b.writes && !l.queue.over(0, 0) {
		l.queue.push(header{flags: flagHeartbeat}, nil, 0)
	}
	b.reads, b.writes = reads, writes
}

// send queues one message to the peer. It reports false if the limits on waiting
// small and large messages, 0 for none, are reached. Once over, which may be
// nil, is set, the rest of a large message is not sent.
func (l *link) send(h header, payload []byte, small, large int64, over *atomic.Bool) bool {
	if int64(len(payload)) <= l.frame {
		return l.queue.push(h, payload, small)
	}
	return l.queue.pushLarge(&largeMessage{head: h, payload: payload, over: over}, large)
}
