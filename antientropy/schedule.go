package antientropy

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// tick is how often the scheduler looks by itself. It bounds how late it notices that a member
	// is dead, or that a wait is over.
	tick = time.Second
	// backoffMin and backoffMax bound the wait after an exchange that failed or left something.
	backoffMin = time.Second
	backoffMax = 30 * time.Second
)

// A peer is what the scheduler knows of a member.
type peer struct {
	active   bool      // an exchange or a handing over that this node began is under way
	regular  time.Time // start of the last regular exchange
	failures int       // exchanges in a row that left something
	retry    time.Time // not before
}

// A job is one thing to do with a member.
type job struct {
	member     string
	partitions []uint16       // to exchange; nil: all
	marks      map[place]mark // to hand over instead
}

// Run keeps trees and replicas up to date until ctx ends, and then returns nil after everything
// that it began has ended. It is called once.
func (k *Keeper) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { k.buildTrees(ctx) })
	slots := make(chan struct{}, k.cfg.MaxExchanges)
	regular := time.Now().Add(rand.N(k.cfg.Interval))
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		if p := k.follow(); p != nil {
			k.observe(p, now)
			k.settle(p, now)
			for len(slots) < cap(slots) {
				j, ok := k.next(p, now, &regular)
				if !ok {
					break
				}
				slots <- struct{}{}
				wg.Go(func() {
					k.do(ctx, p, j)
					<-slots
					wake(k.kick)
				})
			}
		}
		select {
		case <-ctx.Done():
		case <-k.kick:
		case <-ticker.C:
		}
	}
	return nil
}

// Wake says that a member has returned: what waits for it is tried at once.
func (k *Keeper) Wake() {
	if p := k.currentPlan(); p != nil {
		k.observe(p, time.Now())
	}
	k.mu.Lock()
	for _, s := range k.mu.peers {
		s.failures, s.retry = 0, time.Time{}
	}
	k.mu.Unlock()
	wake(k.kick)
}

// jitter returns d on average.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

func (k *Keeper) peerLocked(member string) *peer {
	s := k.mu.peers[member]
	if s == nil {
		s = new(peer)
		k.mu.peers[member] = s
	}
	return s
}

// do carries out a job and decides when the member may have the next one.
func (k *Keeper) do(ctx context.Context, p *plan, j job) {
	var err error
	if j.marks != nil {
		err = k.sendMarks(ctx, p, j.member, j.marks)
	} else {
		err = k.exchange(ctx, j.member, j.partitions)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.peerLocked(j.member)
	s.active = false
	if err == nil {
		s.failures, s.retry = 0, time.Time{}
		return
	}
	wait := min(backoffMin<<min(s.failures, 10), backoffMax)
	s.failures++
	s.retry = time.Now().Add(jitter(wait))
	if ctx.Err() == nil {
		k.log.Debug("work with a member is left for later", "peer", j.member, "wait", wait, "err", err)
	}
}

// next decides what to do now and makes the peer active for it.
func (k *Keeper) next(p *plan, now time.Time, regular *time.Time) (job, bool) {
	j, ok := k.choose(p, now, regular)
	if ok {
		k.mu.Lock()
		k.peerLocked(j.member).active = true
		k.mu.Unlock()
	}
	return j, ok
}

// choose looks for what dirty and unsure partitions need, then for marks to hand over, then
// whether the regular exchange is due. Only Run calls it, so what it found free stays free, save
// for a caller of Exchange; then one of the two does some work twice.
func (k *Keeper) choose(p *plan, now time.Time, regular *time.Time) (job, bool) {
	k.mu.Lock()
	usable := func(member string) bool {
		s := k.peerLocked(member)
		return member != p.self && p.alive(member) && !s.active && !now.Before(s.retry)
	}
	var peers []string
	able := make(map[string]bool)
	for _, m := range p.view.Ring.Members() {
		if able[m.UUID] = usable(m.UUID); able[m.UUID] && len(p.shared[m.UUID]) > 0 {
			peers = append(peers, m.UUID)
		}
	}
	for _, member := range peers {
		if urgent := k.urgentLocked(p, member); len(urgent) > 0 {
			k.mu.Unlock()
			return job{member: member, partitions: urgent}, true
		}
	}
	k.mu.Unlock()
	if to, marks := k.handOver(p, func(member string) bool { return able[member] }); marks != nil {
		return job{member: to, marks: marks}, true
	}
	if now.Before(*regular) || len(peers) == 0 {
		return job{}, false
	}
	*regular = now.Add(jitter(k.cfg.Interval))
	return job{member: k.turn(p, peers, now)}, true
}

// turn picks the member whose last regular exchange began longest ago, of several the one with
// the oldest verified partition. By turns, so that one which always fails cannot keep the others
// from theirs.
func (k *Keeper) turn(p *plan, peers []string, now time.Time) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	oldest := func(member string) time.Time {
		at := now
		for _, q := range p.shared[member] {
			if v := k.mu.verified[place{member, q.partition}].at; v.Before(at) {
				at = v
			}
		}
		return at
	}
	best := slices.MinFunc(peers, func(a, b string) int {
		if c := k.mu.peers[a].regular.Compare(k.mu.peers[b].regular); c != 0 {
			return c
		}
		return oldest(a).Compare(oldest(b))
	})
	k.mu.peers[best].regular = now
	return best
}

// urgentLocked returns the partitions that are to be exchanged with the member at once, ascending.
func (k *Keeper) urgentLocked(p *plan, member string) []uint16 {
	var list []uint16
	for _, q := range p.shared[member] {
		if len(list) > 0 && list[len(list)-1] == q.partition {
			continue
		}
		at := place{member, q.partition}
		_, wanted := k.mu.dirty[at]
		if !wanted && k.Unsure(q.partition) {
			wanted = k.mu.verified[at].heard <= k.markedLocked(q.partition)
		}
		if !wanted {
			continue
		}
		if part := k.part(q.partition); part != nil {
			if _, ready := part.state(); ready {
				list = append(list, q.partition)
			}
		}
	}
	return list
}
