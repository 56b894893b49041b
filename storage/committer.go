package storage

import (
	"runtime"
	"sync"
	"time"

	"cartwheel/vclock"
)

// maxBatchOps bounds the operations that one batch takes, and so how long the first of them waits.
const maxBatchOps = 1024

// A commit costs the same for one write as for twenty: 100 us or so of processor time. So a batch is
// begun no sooner after the one before than that had gatherPerOp for each operation, at most maxGather:
// with many writers batches grow and the processor has time for the writers, while few of them never
// wait, as the commit itself took that long.
const (
	gatherPerOp = 100 * time.Microsecond
	maxGather   = 2 * time.Millisecond
)

// recordOverheadBytes is generously what a record takes beside its object and name.
const recordOverheadBytes = 64

// The committer is the one goroutine that decides what is written. It applies each operation to the
// records in memory as it comes (the overlay: several operations of one key see each other), and a
// second goroutine, the batch writer, makes the changed records durable with one sync per batch. While
// it does, the next batch is open: puts are minted and sent to other replicas, so that a write waits
// for one sync after it came, and not for the one before as well. Only then are operations answered, in
// the order in which they came. So no two writes of a key ever run at once, and the sync is paid per
// batch. A batch that fails fences the store: the one that was applied on top of it fails with it.
type committer struct {
	s    *Store
	out  chan<- *batch // to the batch writer; has room for the one batch that may be under way
	held []*op         // taken and not applied: the open batch is full, or the first one is a mark
	next *batch        // open; nil: none
	// under is with the batch writer; nil: none.
	under *batch
	// resting: the batch writer takes no other batch yet, so that the open one grows.
	resting bool
}

// run is the committer's goroutine; it ends when the queue is closed and everything is answered.
func (s *Store) run() {
	out := make(chan *batch, 1)
	var writing sync.WaitGroup
	writing.Go(func() { s.writeAll(out) })
	defer writing.Wait()
	defer close(out)
	c := &committer{s: s, out: out}
	for {
		ops, news, open := s.queue.take(c.room(), c.idle())
		if !open {
			return
		}
		if news.done {
			c.answer()
			// Lets the writers that were just answered queue their next writes: one yield makes the
			// batches a third larger, and costs nothing when nobody is waiting.
			runtime.Gosched()
			ops = append(ops, s.queue.poll(c.room()-len(ops))...)
		}
		if news.rested {
			c.resting = false
		}
		c.held = append(c.held, ops...)
		s.reading.begin(s.opened)
		c.apply()
		if c.handOver() {
			c.apply()
		}
		s.reading.end()
	}
}

// idle reports whether all that was taken is answered.
func (c *committer) idle() bool { return c.under == nil && c.next == nil && len(c.held) == 0 }

// room returns how many more operations may be taken now.
func (c *committer) room() int {
	switch {
	case len(c.held) > 0:
		return 0
	case c.next == nil:
		return maxBatchOps
	case c.next.full(c.s.limits.txnBytes):
		return 0
	}
	return maxBatchOps - len(c.next.ops)
}

// apply applies what is held as far as it goes.
func (c *committer) apply() {
	for len(c.held) > 0 {
		o := c.held[0]
		if o.kind == opMark {
			if c.next != nil || c.under != nil {
				return
			}
			err := c.s.mark(o)
			c.s.finish([]*op{o}, err)
		} else {
			if c.next == nil {
				c.next = c.s.newBatch(c.under)
			}
			if c.next.full(c.s.limits.txnBytes) {
				return
			}
			c.s.apply(c.next, o)
		}
		c.held = c.held[1:]
	}
	c.held = nil
}

// handOver gives the open batch to the batch writer if that is free, and reports whether it did.
func (c *committer) handOver() bool {
	if c.under != nil || c.resting || c.next == nil {
		return false
	}
	c.next.settle()
	c.under, c.next, c.resting = c.next, nil, true
	c.out <- c.under
	return true
}

// answer answers the operations of the batch that the batch writer has done.
func (c *committer) answer() {
	if c.under.err == nil {
		c.s.reportHints(c.under)
	}
	if c.next != nil {
		c.next.ahead = 0 // it is counted now
	}
	c.s.finish(c.under.ops, c.under.err)
	c.under = nil
}

// finish answers operations, unless the guard did. A batch failed as a whole: Badger may have
// applied a part of it, so what happened to each operation is unknown.
func (s *Store) finish(ops []*op, batchErr error) {
	ours := s.queue.settle(len(ops))
	for _, o := range ops {
		switch {
		case !ours && o.at != 0:
			s.snapshots.release(o.at)
		case !ours:
		case batchErr != nil:
			o.fail(batchErr)
		default:
			o.succeed()
		}
	}
}

// apply runs one operation against the overlay and leaves its answer in it. If the batch cannot
// become durable any more, it only joins it.
func (s *Store) apply(b *batch, o *op) {
	b.ops = append(b.ops, o)
	if b.err != nil {
		return
	}
	p := b.records[o.key]
	if p == nil {
		p = s.find(b, o.key)
	}
	// The store may have been fenced while the record was read, or the space asked for, or the batch
	// before hung: then the operation has its answer, and must not be minted any more.
	if b.err = s.queue.reason(); b.err != nil {
		return
	}
	switch o.kind {
	case opPut:
		s.applyPut(b, p, o)
	case opMerge:
		s.applyMerge(b, p, o)
	case opDrop:
		s.applyDrop(b, p, o)
	}
}

// find returns the record as the batch before leaves it or, if that does not change it, as it is in the
// database, and makes it part of b.
func (s *Store) find(b *batch, k Key) *pending {
	p := b.inherit(k)
	if p == nil {
		p = s.read(k)
		b.read += int64(p.old.size)
		s.noteDamage(k, p.old)
	}
	b.records[k] = p
	return p
}

// read returns the record as it is in the database, all batches before the one under way included.
func (s *Store) read(k Key) *pending {
	p := &pending{key: k, old: s.readCached(k)}
	if p.old.size == 0 {
		at, ok := s.snapshots.acquire()
		if !ok { // never: Close ends the committer first
			p.old.err = ErrClosed
			return p
		}
		defer s.snapshots.release(at)
		txn := s.db.NewTransactionAt(at, false)
		defer txn.Discard()
		p.old = readRecord(txn, k)
	}
	p.record, p.charge = p.old.record, storedCharge(k, p.old)
	return p
}

func (s *Store) applyPut(b *batch, p *pending, o *op) {
	s.stats.puts.Add(1)
	if s.known(p.record.Object, o) {
		// A retry. Its first try is durable, or in this batch or the one before, as is the whole object.
		s.stats.replays.Add(1)
		o.result = p.record.Object
		o.tellMinted()
		return
	}
	if o.err = s.admit(p.record.Object, &o.write); o.err != nil {
		s.stats.refused.Add(1)
		return
	}
	if o.key.Hint != "" {
		if o.err = s.admitHint(b, p, previewSize(p.record.Object, &o.write)); o.err != nil {
			return
		}
	}
	o.write.Time = s.clock.Now(p.record.Object.LatestTime())
	s.change(b, p, p.record.Put(o.write, s.actors))
	actor := p.record.Actor
	s.recent.add(o.key, o.write.RequestID, vclock.Dot{Actor: actor, Counter: p.record.Object.Clock.Get(actor)})
	o.result = p.record.Object
	o.tellMinted()
}

// known reports whether a put has been done before: its value is a sibling, or was replaced.
func (s *Store) known(object vclock.Object, o *op) bool {
	return s.Did(o.key, o.write.RequestID, object) || s.recent.covers(o.key, o.write.RequestID, object)
}

func (s *Store) applyMerge(b *batch, p *pending, o *op) {
	s.stats.merges.Add(1)
	record, changed := p.record.Merge(o.object)
	s.replaced.note(o.key, o.object.Siblings, record.Object) // what came may be older than what is here
	// An unchanged record needs no write, and is answered with the batch: whatever brought it to
	// this state is durable, or in the batch or the one before. (The actor is only given up when the clock changes.)
	if !changed {
		s.stats.unchanged.Add(1)
		return
	}
	if o.key.Hint != "" {
		if o.err = s.admitHint(b, p, recordSize(record)); o.err != nil {
			return
		}
	}
	if n := record.Object.Conflicts(); n > p.record.Object.Conflicts() {
		s.stats.conflicts.Add(1)
		s.log.Error("two values share one dot; both are kept", "partition", o.key.Partition, "key", o.key.Name, "count", n)
	}
	s.change(b, p, record)
}

// applyDrop deletes the record that the drop names. What is left is the zero record: the actor goes
// with it, so that a later put opens a fresh one. Kept, it would mint its first dot once more.
func (s *Store) applyDrop(b *batch, p *pending, o *op) {
	s.stats.drops.Add(1)
	corrupt := p.old.err != nil && !p.dirty
	switch {
	case corrupt && o.digest != 0:
		o.err = p.old.err
	case corrupt, digest(p.record.Object) == o.digest && o.digest != 0:
		o.dropped = true
		s.change(b, p, vclock.Record{})
	default:
		o.dropped = p.record.Object.Missing()
	}
}

// change makes record the pending record; a zero one deletes it.
func (s *Store) change(b *batch, p *pending, record vclock.Record) {
	s.replaced.note(p.key, p.record.Object.Siblings, record.Object)
	var size, charge int64
	if !record.Object.Missing() {
		size = int64(record.Object.Size() + keyBytes(p.key) + recordOverheadBytes)
		charge = s.hintCharge(p.key, recordSize(record))
	}
	b.bytes += size - p.size
	b.hints += charge - p.charge
	p.record, p.size, p.charge = record, size, charge
	if !p.dirty {
		p.dirty = true
		b.dirty = append(b.dirty, p)
	}
}
