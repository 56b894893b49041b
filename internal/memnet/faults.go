package memnet

import (
	"fmt"
	"net"
	"time"
)

var errCrashed = fmt.Errorf("host crashed: %w", net.ErrClosed)

// Cut stops one direction between two hosts until Heal. What is under way still
// arrives.
func (n *Net) Cut(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.linkLocked(from, to)
	if !l.cut {
		l.cut, l.cutSince = true, time.Now()
	}
	n.wakeLocked(l.from)
}

// Heal ends a cut. Streams with held bytes go on, or break, as the seed says.
func (n *Net) Heal(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.healLocked(n.linkLocked(from, to))
	n.topo.broadcast()
}

// HealAll ends all cuts.
func (n *Net) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		n.healLocked(l)
	}
	n.topo.broadcast()
}

func (n *Net) healLocked(l *link) {
	if !l.cut {
		return
	}
	now := time.Now()
	for c := range l.from.conns {
		if c.link == l {
			_ = c.brokenLocked(now) // an end that stalled, but did not look, breaks before it could go on
		}
	}
	l.cut = false
	l.heals++
	for c := range l.from.conns {
		if c.link != l {
			continue
		}
		if c.holdsLocked() && chance(mix(c.seed, mix(4, l.heals)), l.ResetOnHeal) {
			c.resetLocked()
		} else {
			c.releaseLocked(now)
		}
	}
}

// Partition cuts both directions between each host of one group and each of the
// other.
func (n *Net) Partition(a, b []string) {
	for _, x := range a {
		for _, y := range b {
			n.Cut(x, y)
			n.Cut(y, x)
		}
	}
}

// Pause holds all traffic from and to a host until Resume.
func (n *Net) Pause(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hostLocked(name).paused = true
}

// Resume ends a pause. What was held leaves and arrives now.
func (n *Net) Resume(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.resumeLocked(n.hostLocked(name))
	n.topo.broadcast()
}

func (n *Net) resumeLocked(h *host) {
	if !h.paused {
		return
	}
	h.paused = false
	now := time.Now()
	for _, l := range n.links {
		if l.from != h {
			continue
		}
		held := l.held
		l.held = nil
		for _, k := range held {
			if l.cut {
				n.stats.Lost++
			} else {
				n.deliverLocked(l, k, now)
			}
		}
	}
	for c := range h.conns {
		c.releaseLocked(now)
	}
	n.wakeLocked(h)
}

// Reset breaks all streams between two hosts.
func (n *Net) Reset(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hostLocked(b)
	for c := range n.hostLocked(a).conns {
		if c.peer.host.name == b {
			c.resetLocked()
		}
	}
}

// Crash takes everything from a host that it has open, without a farewell: its
// own operations fail with net.ErrClosed, the other ends of its streams are
// reset as soon as the link lets it through. What was held is lost. The
// [Host] values of the name are of no use any more; [Net.Host] gives a new one.
func (n *Net) Crash(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hostLocked(name)
	h.life++
	h.paused = false
	for _, l := range h.listeners {
		l.closeLocked()
	}
	for _, p := range h.packets {
		p.closeLocked()
	}
	for _, l := range n.links {
		if l.from == h {
			l.held = nil
		}
	}
	for c := range h.conns {
		n.stats.Resets++
		c.breakLocked(errCrashed)
		c.closeLocked()
	}
	n.topo.broadcast()
}

// wakeLocked lets all who wait on a host's connections look again.
func (n *Net) wakeLocked(h *host) {
	for c := range h.conns {
		c.wake.broadcast()
	}
	for _, p := range h.packets {
		p.wake.broadcast()
	}
}
