package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

// viewLoop turns sightings into Peers. It waits for nobody, so that a death is known at once
// whatever the other loops wait for.
func (g *Gossip) viewLoop() {
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-g.view:
		}
		if g.snapshot() {
			g.cfg.Changed()
		}
		poke(g.news) // only now: the sync loop goes by Peers
	}
}

// syncLoop turns this node's changes into metadata, foreign digests into pulls, and new
// addresses into a saved roster.
func (g *Gossip) syncLoop(list *memberlist.Memberlist) {
	tick := time.NewTicker(g.cfg.PullEvery)
	defer tick.Stop()
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-g.news:
		case <-tick.C:
		}
		g.saveRoster()
		if g.publish.Swap(false) {
			// It waits until the word has gone out a few times, which spaces bursts of changes.
			if err := list.UpdateNode(g.cfg.ProbeInterval); err != nil {
				g.cfg.Logger.Debug("metadata not spread yet", "err", err)
			}
		}
		g.pull()
	}
}

// rejoinLoop dials every member that is not alive, for ever: memberlist forgets the dead
// after a while and would never heal a longer cut by itself.
func (g *Gossip) rejoinLoop(list *memberlist.Memberlist) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-wait.C:
		}
		g.verifyClaims()
		for _, addr := range g.missing() {
			if g.ctx.Err() != nil {
				return
			}
			if err := g.join(list, addr); err != nil {
				g.cfg.Logger.Debug("member not reached", "addr", addr, "err", err)
			}
		}
		wait.Reset(jitter(g.cfg.RejoinEvery))
	}
}

// missing returns where members that are not alive may be found: where they were last seen,
// where others have seen them since, and, for a cluster whose nodes have all moved, the seeds.
func (g *Gossip) missing() (addrs []string) {
	for _, p := range g.Peers() {
		if p.Alive || g.isSelf(p) {
			continue
		}
		addrs = append(addrs, p.Peer)
		g.mu.Lock()
		if moved := g.mu.moved[p.UUID]; moved != "" {
			addrs = append(addrs, moved)
		}
		g.mu.Unlock()
	}
	if len(addrs) > 0 {
		addrs = append(addrs, g.cfg.Seeds...)
	}
	slices.Sort(addrs)
	addrs = slices.Compact(addrs)
	return slices.DeleteFunc(addrs, func(a string) bool { return a == "" || a == g.cfg.Self.Peer })
}

func (g *Gossip) join(list *memberlist.Memberlist, addr string) error {
	a, err := resolve(g.ctx, addr)
	if err != nil {
		return err
	}
	// An address, never a name: memberlist would ask name servers in ways of its own.
	_, err = list.Join([]string{a.String()})
	return err
}

// verifyClaims asks at each address under which this node's uuid was seen whether another
// process is there. Mostly it is the address of an earlier life that others still remember.
func (g *Gossip) verifyClaims() {
	g.mu.Lock()
	claims := g.mu.claims
	g.mu.claims = map[string]bool{}
	g.mu.Unlock()
	for addr := range claims {
		ctx, cancel := context.WithTimeout(g.ctx, callTimeout)
		_, err := g.cfg.Call(ctx, addr, KindHello, []byte("{}"))
		cancel()
		if errors.Is(err, ErrDuplicate) {
			g.cfg.Logger.Error("another process has this node's uuid: a copied data directory?", "addr", addr)
			g.cfg.Conflict(addr)
			continue
		}
		g.cfg.Logger.Info("others remember this node at an address that it has left", "addr", addr)
	}
}

// jitter returns between half of d and one and a half of it.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// resolve returns the IP address and port of a host:port, IPv4 before IPv6.
func resolve(ctx context.Context, addr string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var ips []netip.Addr
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = []netip.Addr{ip}
	} else if host != "" {
		if ips, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
			return netip.AddrPort{}, err
		}
	}
	var found netip.Addr
	for _, ip := range ips {
		if ip = ip.Unmap(); !found.IsValid() || ip.Is4() && !found.Is4() {
			found = ip
		}
	}
	if !found.IsValid() || found.IsUnspecified() || port == 0 {
		return netip.AddrPort{}, fmt.Errorf("it needs a host and port that others can reach, not %q", addr)
	}
	return netip.AddrPortFrom(found, uint16(port)), nil
}
