package antientropy

import "sync"

// maxKnownCorrupt bounds the corrupt records of one partition that are known by name. Beyond it
// they are found, marked and listed, but each replaced one costs a scan of the partition.
const maxKnownCorrupt = 1024

// A part is one partition of this node: its trees, and those that a scan is building.
//
// The trees are trusted while ready: then they sum up exactly what the store had after some commit.
// gen tells an exchange whether they were trusted all the while.
type part struct {
	mu    sync.Mutex
	owned bool
	ready bool
	trees []*tree // by n
	gen   uint64  // grows when trees turn out to have been wrong

	want     bool    // a scan is to be made
	building bool    // a scan is under way: later changes go into next as well
	again    bool    // what it builds will be incomplete
	next     []*tree // of the scan under way

	corrupt  map[string]bool // records that the trees hold as corruptDigest
	suspects map[string]bool // records that were met unreadable since; the next trees are to hold them so
	claim    string          // member with which an exchange of this node is repairing the partition; "" none
}

// update takes in one commit and reports whether the partition must be scanned again: Old was
// unknown, or the trees cannot be right. It runs on the store's batch writer.
func (p *part) update(name string, n int, hash, before, after uint64, lost bool) (rescan bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.owned {
		return false
	}
	if lost {
		// The scan under way may have met the record before or after it was replaced.
		p.again = p.building
		delete(p.suspects, name)
		if !p.corrupt[name] {
			p.distrustLocked()
			return true
		}
		before = corruptDigest
		delete(p.corrupt, name)
	}
	if p.building {
		treeOf(&p.next, n).change(hash, before, after) // below zero until the scan has come by
	}
	if p.ready && !treeOf(&p.trees, n).change(hash, before, after) {
		p.distrustLocked()
		return true
	}
	return false
}

// distrustLocked makes the partition answer "rebuilding" until it was scanned anew.
func (p *part) distrustLocked() {
	p.want = true
	p.again = p.building
	p.discardLocked()
}

func (p *part) discardLocked() {
	if p.ready {
		p.ready = false
		p.trees = nil
		p.gen++
	}
}

// suspect takes in that a record was met that cannot be read, and reports whether that is new. Then
// the trees, which have it as it was, are of no use any more. The scan under way, which may be who
// met it, goes on: finish sees whether it has the record.
func (p *part) suspect(name string) (isNew bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.owned:
		return true
	case p.corrupt[name], p.suspects[name]:
		return false
	case len(p.suspects) < maxKnownCorrupt:
		if p.suspects == nil {
			p.suspects = make(map[string]bool)
		}
		p.suspects[name] = true
	case !p.ready:
		return false // a scan is due for many others, and will meet this one, too
	}
	p.want = p.want || !p.building
	p.discardLocked()
	return true
}

// distrust says that the trees may be wrong, whatever they say.
func (p *part) distrust() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owned {
		p.distrustLocked()
	}
}

// rescan asks for a scan while the trees go on answering.
func (p *part) rescan() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.want = p.want || p.owned
}

// own says whether this node keeps the partition.
func (p *part) own(owned bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case owned && !p.owned:
		p.owned = true
		p.want = !p.ready // it may have been loaded
	case !owned:
		p.distrustLocked()
		p.owned, p.want, p.corrupt, p.suspects = false, false, nil, nil
	}
}

// begin opens the trees of a scan, between two commits.
func (p *part) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.building, p.next = true, nil
	p.want, p.again = false, false
}

// scanned adds a record of the scan's snapshot.
func (p *part) scanned(n int, hash, digest uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	treeOf(&p.next, n).change(hash, 0, digest) // below zero if it was replaced since
}

// abort gives up the scan under way.
func (p *part) abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.building, p.next = false, nil
	p.want = p.owned
}

// built is what became of a scan.
type built struct {
	installed bool     // the partition is ready
	drift     bool     // the trees that were trusted until now were wrong
	damaged   []string // records that were not known to be corrupt before
}

// finish puts the scan's trees in the place of the old ones. found are its corrupt records.
func (p *part) finish(found map[string]bool) (b built) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.next
	p.building, p.next = false, nil
	for name := range p.suspects {
		// It came by before the record was damaged; or it has met more than are kept by name.
		p.again = p.again || !found[name] && len(found) < maxKnownCorrupt
	}
	p.suspects = nil
	for _, t := range next {
		p.again = p.again || !t.possible()
	}
	if p.again || !p.owned {
		p.again, p.want = false, p.owned
		return b
	}
	b.installed = true
	for name := range found {
		if !p.corrupt[name] {
			b.damaged = append(b.damaged, name)
		}
	}
	if b.drift = p.ready && !sameTrees(p.trees, next); b.drift {
		p.gen++
	}
	p.trees, p.ready, p.corrupt = next, true, found
	return b
}

// knows reports whether the record is in the trees as a corrupt one.
func (p *part) knows(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.corrupt[name]
}

// state returns gen, and whether the trees are trusted.
func (p *part) state() (gen uint64, ready bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gen, p.ready
}

// read calls f with the tree for n, which must not be kept. It returns false, and does not call
// f, if the partition has no tree to be trusted.
func (p *part) read(n int, f func(*tree)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ready {
		return false
	}
	var none tree
	t := &none
	for _, have := range p.trees {
		if have.n == n {
			t = have
		}
	}
	f(t)
	return true
}

// take claims the partition for repair with a member. One exchange at a time repairs it, or a
// node that lost everything would be sent all of it by several at once.
func (p *part) take(member string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.claim != "" {
		return false
	}
	p.claim = member
	return true
}

func (p *part) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claim = ""
}

func (p *part) claimed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.claim
}
