package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// incoming is a connection that carries another node's calls.
type incoming struct {
	*link

	mu struct {
		sync.Mutex
		inflight int  // requests with the handler
		retired  bool // made under another cluster: ends with its last request
	}
}

// serve begins a connection that was accepted.
func (t *Transport) serve(nc net.Conn) {
	if err := nc.SetDeadline(time.Now().Add(t.cfg.DialTimeout)); err != nil {
		t.reject(nc, err)
		return
	}
	var magic [magicBytes]byte
	if _, err := io.ReadFull(nc, magic[:]); err != nil {
		t.reject(nc, err)
		return
	}
	switch string(magic[:]) {
	case callMagic:
		t.serveCalls(nc)
	case gossipMagic:
		t.handOver(nc)
	default:
		t.reject(nc, malformed("connection that begins with %q", magic[:]))
	}
}

// reject closes a connection that does not get as far as serving.
func (t *Transport) reject(nc net.Conn, err error) {
	t.count.rejected.Add(1)
	remote := nc.RemoteAddr()
	t.untrack(nc)
	switch {
	case t.ctx.Err() != nil:
	case errors.Is(err, io.EOF), errors.Is(err, ErrSelf):
		// Health checks connect and say nothing; a node may try its own address.
		t.log.Debug("turning a connection away", "from", remote, "err", err)
	default:
		t.log.Warn("turning a connection away", "from", remote, "err", err)
	}
}

// serveCalls finishes the handshake and serves until the connection is dead.
func (t *Transport) serveCalls(nc net.Conn) {
	other, err := readHello(nc)
	if err != nil {
		t.reject(nc, fmt.Errorf("handshake: %w", err))
		return
	}
	own := t.hello()
	// The peer is answered even when it is turned away: so it learns why.
	if _, err := nc.Write(own.append(nil)); err != nil {
		t.reject(nc, fmt.Errorf("handshake: %w", err))
		return
	}
	who, err := judge(own, other, nc.RemoteAddr().String())
	if err != nil {
		t.reportDuplicate(err, other.addr)
		t.reject(nc, err)
		return
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		t.reject(nc, err)
		return
	}
	c := &incoming{link: t.newLink()}
	c.open(nc, own, other, who)
	if !t.enter(c) {
		t.untrack(nc)
		return
	}
	defer t.leave(c)
	t.Wake(other.addr)
	var wg sync.WaitGroup
	wg.Go(c.writeLoop)
	wg.Go(c.mind)
	c.readLoop(c.take)
	wg.Wait()
}

// mind keeps c's time until it is dead.
func (c *incoming) mind() {
	tick := time.NewTicker(c.t.cfg.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-c.dead:
			c.t.untrack(c.nc)
			return
		case <-c.t.ctx.Done():
			c.kill(ErrClosed)
		case <-tick.C:
			c.mu.Lock()
			retired := c.mu.retired
			c.mu.Unlock()
			c.beat(retired)
		}
	}
}

// take handles a frame from the peer, on the reader.
func (c *incoming) take(h header, payload []byte) error {
	if h.has(flagAnswer) {
		return malformed("answer on a connection for requests")
	}
	// No request is begun while too many answers wait to be read: the peer gets
	// its own back before it may ask for more.
	if !c.awaitRoom() {
		return c.err
	}
	head, message, whole, err := c.parts.add(h, payload)
	if err != nil {
		return err
	}
	if !h.has(flagPart) && !c.member() && !c.t.open[Kind(h.kind)] {
		// At the first part, so that a stranger cannot fill the memory.
		c.parts.refuse(h.id)
		c.t.count.refusals.Add(1)
		c.answer(h.id, Response{Status: StatusRefused})
		return nil
	}
	if whole {
		c.dispatch(head, message)
	}
	return nil
}

// member reports whether the peer is of the cluster that this node is of now.
func (c *incoming) member() bool {
	return c.peer.Member && c.own.cluster == *c.t.cluster.Load()
}

// awaitRoom waits until few enough bytes wait to be written, and reports false
// if the connection died.
func (c *incoming) awaitRoom() bool {
	for c.queue.over(c.t.cfg.MaxQueuedBytes, c.t.cfg.MaxMessageBytes) {
		c.paused.Store(true)
		select {
		case <-c.queue.room:
		case <-c.dead:
			return false
		}
	}
	c.paused.Store(false)
	return true
}

// dispatch gives a request to the handler.
func (c *incoming) dispatch(h header, payload []byte) {
	c.t.count.requests.Add(1)
	c.mu.Lock()
	busy := c.mu.inflight >= c.t.cfg.MaxInbound
	if !busy {
		c.mu.inflight++
	}
	c.mu.Unlock()
	if busy {
		c.t.count.busyAnswers.Add(1)
		c.answer(h.id, Response{Status: StatusBusy})
		return
	}
	c.t.count.inbound.Add(1)
	r := &replier{c: c, id: h.id}
	c.t.cfg.Handler(c.peer, Request{
		Kind:    Kind(h.kind),
		Ring:    h.ring,
		Budget:  time.Duration(h.budget) * time.Millisecond,
		Payload: payload,
	}, r.reply)
}

// replier answers one request.
type replier struct {
	c    *incoming
	id   uint64
	used atomic.Bool
}

func (r *replier) reply(res Response) {
	if !r.used.CompareAndSwap(false, true) {
		return
	}
	c := r.c
	c.answer(r.id, res)
	c.t.count.inbound.Add(-1)
	c.mu.Lock()
	c.mu.inflight--
	last := c.mu.retired && c.mu.inflight == 0
	c.mu.Unlock()
	if last {
		c.queue.finish()
	}
}

// answer queues an answer. Answers are never refused for lack of room: the
// requests that may cause them are bounded instead.
func (c *incoming) answer(id uint64, res Response) {
	select {
	case <-c.dead:
		return
	default:
	}
	if int64(len(res.Payload)) > c.message {
		c.t.count.largeAnswers.Add(1)
		c.t.log.Warn("answer over the message limit", "peer", c.peer.Addr, "bytes", len(res.Payload), "limit", c.message)
		res = Response{Status: StatusTooLarge, Ring: res.Ring}
	}
	c.send(header{id: id, kind: uint8(res.Status), flags: flagAnswer, ring: res.Ring}, res.Payload, 0, 0, nil)
}

// retire ends c, once its requests have ended, if it was made under another
// cluster than the given one.
func (c *incoming) retire(cluster string) {
	if c.own.cluster == cluster {
		return
	}
	c.mu.Lock()
	c.mu.retired = true
	last := c.mu.inflight == 0
	c.mu.Unlock()
	if last {
		c.queue.finish()
	}
}
