package antientropy

import (
	"context"
	"fmt"
	"time"

	"cartwheel/vclock"
)

const (
	// pageScan and pageTime bound the work for one page, so that its asker need not wait long
	// although few of the keys are in the leaves that it wants.
	pageScan = 16384
	pageTime = 2 * time.Second
	// entryBytes is what an entry takes besides its name and object.
	entryBytes = 16
)

// A span is what a page is to cover: keys of a pair in some leaves, after a name and, if upto is
// not "", up to another.
type span struct {
	pair        pair
	leaves      *leafSet
	after, upto string
	objects     bool // whole, else digests only
}

// page reads a page of the own store. A page that ends early says how far it came;
// one that has not begun when ctx ends is an error.
func (k *Keeper) page(ctx context.Context, s span) (pg page, err error) {
	var (
		size, scanned int
		last          string // the latest name that is dealt with
		stopped       bool
		waited        error
		deadline      = time.Now().Add(pageTime)
	)
	stop := func() bool {
		stopped = true
		return false
	}
	err = k.cfg.Store.Scan(s.pair.partition, s.after, nil, func(name string, o vclock.Object, err error) bool {
		if err != nil {
			k.MarkCorrupt(s.pair.partition, name)
			if !k.genuine(s.pair.partition, name) {
				return true
			}
		}
		if s.upto != "" && name > s.upto {
			return false
		}
		if scanned == pageScan || size >= pageBytes {
			return stop()
		}
		if scanned > 0 && scanned%scanStep == 0 {
			if waited = k.waitToRead(ctx, scanStep); waited != nil || time.Now().After(deadline) {
				return stop()
			}
		}
		if e, ok := k.entryOf(s, name, o, err); ok {
			cost := len(name) + entryBytes
			if s.objects && e.digest != corruptDigest {
				cost += o.Size()
			}
			if size > 0 && size+cost > pageBytes {
				return stop()
			}
			size += cost
			pg.entries = append(pg.entries, e)
		}
		last = name
		scanned++
		return true
	})
	if err != nil {
		return page{}, fmt.Errorf("scan partition %d: %w", s.pair.partition, err)
	}
	if rest := scanned % scanStep; rest > 0 && waited == nil {
		waited = k.waitToRead(ctx, rest)
	}
	switch {
	case waited != nil && last == "":
		return page{}, waited
	case stopped:
		pg.upto = last
	case s.upto != "":
		pg.upto = s.upto
	default:
		pg.done = true
	}
	return pg, nil
}

// entryOf returns the entry for one record; ok is false if the span does not want it.
func (k *Keeper) entryOf(s span, name string, o vclock.Object, err error) (e entry, ok bool) {
	if k.cfg.N(name) != s.pair.n || !s.leaves.has(leafOfName(name)) {
		return entry{}, false
	}
	if err != nil {
		return entry{name: name, digest: corruptDigest}, true
	}
	e = entry{name: name, digest: digestOf(o)}
	if s.objects {
		e.object = o
	}
	return e, e.digest != 0
}
