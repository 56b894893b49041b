package hintedhandoff

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// A page is what goes under way at once: one batch of a transfer. pageOverhead is what an
	// item takes there beside its name and object, generously.
	pageHints    = 256
	pageBytes    = 256 << 10
	pageOverhead = 64

	// turn is for how long one owner is served while others may be waiting for its place.
	turn = 30 * time.Second
	// hopeless pages in a row, of which nothing was taken, end a pass.
	hopeless = 4
)

// position is a key among an owner's hints; the zero position is before the first one.
type position struct {
	partition uint16
	name      string
}

// pass is one walk over the hints of one owner, from the cursor to the end if all goes well.
type pass struct {
	h       *Handoff
	o       *owner
	version uint64 // of the ring; a pass does not go on under another one

	mu        sync.Mutex
	err       error           // the first one met
	broken    map[string]bool // members that did not answer: not asked again
	barren    int             // pages in a row of which nothing was taken
	delivered int
	waiting   map[string]bool // members that were not alive
	left      int64           // hints that wait for those
	corrupt   int             // of them, those that cannot be read
}

// pass serves o, which look has marked as running, and clears the mark.
func (h *Handoff) pass(ctx context.Context, o *owner) {
	p := &pass{h: h, o: o, broken: map[string]bool{}, waiting: map[string]bool{}}
	began := o.cursor
	end, atEnd := p.walk(ctx)
	complete := atEnd && began == position{}
	if ctx.Err() == nil {
		p.log(complete)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serve--
	o.running, o.cursor, o.served = false, end, time.Now()
	switch {
	case ctx.Err() != nil: // says nothing about the owner
	case p.err != nil:
		h.stats.failures.Add(1)
		o.failures++
		o.lastErr, o.lastErrAt = p.err, o.served
		if p.delivered > 0 {
			o.backoff.Reset()
		}
		o.retry = o.served.Add(o.backoff.NextBackOff())
	default:
		o.failures, o.retry = 0, time.Time{}
		o.backoff.Reset()
		if complete {
			o.seen, o.left, o.corrupt, o.waiting = p.version, p.left, p.corrupt, slices.Sorted(maps.Keys(p.waiting))
			// What changed or came meanwhile can wait for the next regular look: without this,
			// an owner that is written to all the time would be walked over without pause.
			o.retry = o.served.Add(h.cfg.Every)
		}
	}
}

func (p *pass) log(complete bool) {
	log := p.h.cfg.Logger.With("owner", p.o.uuid, "delivered", p.delivered)
	switch {
	case p.err != nil && p.o.failures == 0:
		log.Warn("hints cannot be delivered; it is tried again", "err", p.err)
	case p.err != nil:
		log.Debug("hints cannot be delivered yet", "err", p.err)
	case p.delivered > 0:
		log.Info("hints delivered", "all", complete && p.left == 0)
	}
}

// walk sends page after page, several at a time, and waits for them. It returns where the next
// pass is to begin, and whether this one came to the end of the hints.
func (p *pass) walk(ctx context.Context) (next position, atEnd bool) {
	var pages sync.WaitGroup
	defer pages.Wait()
	places := make(chan struct{}, p.h.cfg.Pipeline)
	next = p.o.cursor
	for until := time.Now().Add(turn); ; {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return next, false
		}
		view := p.h.cfg.View()
		if view == nil || p.version != 0 && view.Ring.Version() != p.version || p.isHopeless() || !time.Now().Before(until) {
			return next, false
		}
		p.version = view.Ring.Version()
		page, more, err := p.h.page(p.o.uuid, next)
		if err != nil {
			p.fail(err)
			return next, false
		}
		if len(page) > 0 {
			last := page[len(page)-1]
			next = position{last.Partition, last.Name}
			pages.Go(func() {
				defer func() { <-places }()
				p.deliver(ctx, view, page)
			})
		}
		if !more {
			return position{}, true
		}
	}
}

// page reads the hints behind a position, at most a page of them but at least one. The scan is
// closed when it returns: a scan that is open during a slow transfer would keep the store from
// giving back what was deleted meanwhile.
func (h *Handoff) page(uuid string, from position) (page []Hint, more bool, err error) {
	size := 0
	err = h.cfg.Store.Scan(uuid, from.partition, from.name, func(hint Hint) bool {
		size += pageOverhead + len(hint.Name) + hint.Object.Size()
		if len(page) == pageHints || len(page) > 0 && size > pageBytes {
			more = true
			return false
		}
		page = append(page, hint)
		return true
	})
	return page, more, err
}

func (p *pass) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

func (p *pass) isHopeless() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.barren >= hopeless
}

// parcel is a page on its way: who is to get which hint, and who has it.
type parcel struct {
	hints   []Hint
	items   []Item // aligned with hints
	needed  []int  // acknowledgements until a hint may go; -1 never: somebody is away
	members []int  // to be sent to, in the order in which they were first named
	to      map[int][]int
}

// deliver sends a page to everybody who is to have it, and drops what all of them acknowledged.
func (p *pass) deliver(ctx context.Context, view *View, page []Hint) {
	c := p.address(view, page)
	taken := 0
	for _, member := range c.members {
		taken += p.send(ctx, view, member, c)
	}
	p.mu.Lock()
	switch {
	case taken > 0:
		p.barren = 0
	case len(c.members) > 0:
		p.barren++
	}
	p.mu.Unlock()
	p.drop(ctx, view, c)
}

// address finds out who is to get what.
func (p *pass) address(view *View, page []Hint) *parcel {
	c := &parcel{hints: page, items: make([]Item, len(page)), needed: make([]int, len(page)), to: map[int][]int{}}
	for i, hint := range page {
		n := p.h.cfg.N(hint.Name)
		targets := view.targets(p.o.uuid, hint.Partition, n)
		if hint.Err != nil {
			if !p.unreadable(view, hint, targets) {
				c.needed[i] = -1
			}
			continue
		}
		c.items[i] = Item{Partition: hint.Partition, N: n, Name: hint.Name, Object: hint.Object}
		c.needed[i] = len(targets)
		if len(targets) == 0 { // no valid ring says so; nobody's acknowledgement must not be enough
			c.needed[i] = -1
		}
		for _, member := range targets {
			if !view.reachable(member) {
				c.needed[i] = -1
				p.wait(view.uuid(member))
				continue
			}
			if _, ok := c.to[member]; !ok {
				c.members = append(c.members, member)
			}
			c.to[member] = append(c.to[member], i)
		}
		if c.needed[i] < 0 {
			p.leave()
		}
	}
	return c
}

func (p *pass) wait(uuid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[uuid] = true
}

func (p *pass) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left++
}

// unreadable tells of a hint that cannot be read, and reports whether it may go: nobody can be
// given what it held, and for an exchange, which may find that elsewhere, its key is not needed. It
// stays while the exchange has to wait, so that a restart does not make this node forget of it.
func (p *pass) unreadable(view *View, hint Hint, targets []int) (expendable bool) {
	expendable = len(targets) > 0
	for _, member := range targets {
		if !view.reachable(member) {
			expendable = false
			p.wait(view.uuid(member))
		}
		if member != view.Self {
			p.h.cfg.Missed(view.uuid(member), hint.Partition)
		}
	}
	p.h.cfg.Logger.Error("a hint cannot be read; an exchange has to bring what it held", "owner", p.o.uuid,
		"partition", hint.Partition, "key", hint.Name, "err", hint.Err, "dropped", expendable)
	if !expendable {
		p.leave()
		p.mu.Lock()
		p.corrupt++
		p.mu.Unlock()
	}
	return expendable
}

// send gives a member its part of the parcel and returns how many hints it has taken.
func (p *pass) send(ctx context.Context, view *View, member int, c *parcel) (taken int) {
	uuid := view.uuid(member)
	p.mu.Lock()
	broken := p.broken[uuid]
	p.mu.Unlock()
	if broken || ctx.Err() != nil {
		return 0
	}
	items := make([]Item, 0, len(c.to[member]))
	for _, i := range c.to[member] {
		items = append(items, c.items[i])
	}
	var acked []bool
	var err error
	if member == view.Self {
		acked, err = p.mergeHere(ctx, items)
	} else {
		acked, err = p.h.cfg.Sender.Send(ctx, uuid, items)
	}
	if err != nil {
		p.fail(err)
		var a interface{ Answered() bool }
		if !errors.As(err, &a) || !a.Answered() {
			p.mu.Lock()
			p.broken[uuid] = true
			p.mu.Unlock()
		}
	}
	for k, ok := range acked[:min(len(acked), len(items))] {
		if ok {
			taken++
			c.needed[c.to[member][k]]--
		}
	}
	if err == nil && taken < len(items) {
		p.fail(fmt.Errorf("member %s acknowledged %d of %d hints and named no error", uuid, taken, len(items)))
	}
	return taken
}

// mergeHere merges the items into this node's own copies, as [Sender.Send] does elsewhere.
func (p *pass) mergeHere(ctx context.Context, items []Item) ([]bool, error) {
	type result struct {
		item int
		err  error
	}
	results := make(chan result, len(items)) // room for all: the callbacks never wait
	for i, it := range items {
		p.h.cfg.Merge(it.Partition, it.Name, it.Object, func(err error) { results <- result{i, err} })
	}
	acked := make([]bool, len(items))
	var first error
	for range items {
		select {
		case r := <-results:
			acked[r.item] = r.err == nil
			if r.err != nil && first == nil {
				first = r.err
			}
		case <-ctx.Done():
			return acked, ctx.Err()
		}
	}
	return acked, first
}

// drop deletes the hints that everybody has acknowledged, each if it still is what was sent (or
// what could not be read), and waits for it. If the ring has changed since they were addressed, all stay: an owner that is
// removed now takes its copies with it, and the hint may be what its successor needs.
func (p *pass) drop(ctx context.Context, view *View, c *parcel) {
	if now := p.h.cfg.View(); now == nil || now.Ring.Version() != view.Ring.Version() {
		return
	}
	type result struct {
		hint    int
		dropped bool
		err     error
	}
	results := make(chan result, len(c.hints))
	begun := 0
	for i, hint := range c.hints {
		if c.needed[i] != 0 {
			continue
		}
		begun++
		var digest uint64
		if hint.Err == nil {
			digest = hint.Object.Digest()
		}
		p.h.cfg.Store.Drop(p.o.uuid, hint.Partition, hint.Name, digest,
			func(dropped bool, err error) { results <- result{i, dropped, err} })
	}
	for range begun {
		select {
		case r := <-results:
			p.dropped(view, c.hints[r.hint], r.dropped, r.err)
		case <-ctx.Done():
			return
		}
	}
}

func (p *pass) dropped(view *View, hint Hint, dropped bool, err error) {
	switch {
	case err != nil:
		p.fail(err)
	case !dropped:
		p.h.stats.changed.Add(1)
	case hint.Err != nil:
		p.h.stats.unreadable.Add(1)
	default:
		p.h.stats.delivered.Add(1)
		if i, ok := view.Ring.Index(p.o.uuid); !ok || !view.Ring.Owns(i, hint.Partition, p.h.cfg.N(hint.Name)) {
			p.h.stats.retargeted.Add(1)
		}
		p.mu.Lock()
		p.delivered++
		p.mu.Unlock()
	}
}
