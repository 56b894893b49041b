package transport

import (
	"net"
	"time"
)

// acceptLoop accepts connections until the listener is closed.
func (t *Transport) acceptLoop() {
	const minPause, maxPause = 5 * time.Millisecond, time.Second
	pause := minPause
	for {
		nc, err := t.ln.Accept()
		if t.ctx.Err() != nil {
			if err == nil {
				nc.Close()
			}
			return
		}
		if err != nil {
			// Out of descriptors, most likely. Trying at once would only burn a core.
			t.log.Warn("accepting a connection", "err", err, "pause", pause)
			select {
			case <-time.After(pause):
			case <-t.ctx.Done():
			}
			pause = min(2*pause, maxPause)
			continue
		}
		pause = minPause
		t.count.accepted.Add(1)
		if !t.admit() {
			t.count.rejected.Add(1)
			t.log.Warn("turning a connection away: too many", "from", nc.RemoteAddr(), "limit", t.cfg.MaxConns)
			nc.Close()
			continue
		}
		t.wg.Go(func() {
			defer t.dismiss()
			if t.track(nc) {
				t.serve(nc)
			}
		})
	}
}

// admit counts one more accepted connection, or reports false if there are too
// many; dismiss counts it out.
func (t *Transport) admit() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.accepted >= t.cfg.MaxConns {
		return false
	}
	t.mu.accepted++
	return true
}

func (t *Transport) dismiss() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.accepted--
}

// track makes Close close nc. It reports false, and has closed it, if t is
// closed already.
func (t *Transport) track(nc net.Conn) bool {
	t.mu.Lock()
	closed := t.mu.closed
	if !closed {
		t.mu.conns[nc] = struct{}{}
	}
	t.mu.Unlock()
	if closed {
		nc.Close()
	}
	return !closed
}

// release undoes track.
func (t *Transport) release(nc net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mu.conns, nc)
}

// untrack closes nc. It may be called again.
func (t *Transport) untrack(nc net.Conn) {
	t.release(nc)
	nc.Close()
}

// enter makes SetCluster know c. It reports false if the cluster has changed
// since c's handshake.
func (t *Transport) enter(c *incoming) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *t.cluster.Load() != c.own.cluster {
		return false
	}
	t.mu.incoming[c] = struct{}{}
	t.count.incoming.Add(1)
	return true
}

func (t *Transport) leave(c *incoming) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mu.incoming, c)
	t.count.incoming.Add(-1)
}

// Wake ends the pause before the next attempt to reach addr, if it is
// unreachable: something else says that it is back. It never blocks.
func (t *Transport) Wake(addr string) {
	t.mu.RLock()
	p := t.mu.peers[addr]
	t.mu.RUnlock()
	if p != nil {
		notify(p.kick)
	}
}
