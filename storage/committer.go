package storage

import (
	"runtime"
	"time"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
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

// The committer is the one goroutine that writes. It takes what waits, applies each operation to
// the records in memory (the overlay: several operations of one key see each other), makes the
// changed records durable with one sync, and only then answers. So no two writes of a key ever
// run at once, and the sync is paid per batch.

// pending is a record that the batch under way has changed or looked at.
type pending struct {
	key    Key
	old    stored        // in the database
	record vclock.Record // as it stands; zero if it is missing
	dirty  bool
	size   int64 // of the record as it stands, if dirty
	charge int64 // of a hint: what the record as it stands takes of the space for hints
}

// batch is the overlay of the operations that become durable together.
type batch struct {
	records map[Key]*pending
	dirty   []*pending // in the order of their first change
	bytes   int64      // of the dirty records
	read    int64      // of the records as they were read
	hints   int64      // by which the space for hints grows
}

// run is the committer's goroutine; it ends when the queue is closed and empty.
func (s *Store) run() {
	for {
		// Lets the writers that were just answered queue their next writes: one yield makes the
		// batches a third larger, and costs nothing when nobody is waiting.
		runtime.Gosched()
		ops := s.queue.take(maxBatchOps)
		if ops == nil {
			return
		}
		began, taken := time.Now(), len(ops)
		for len(ops) > 0 {
			n, err := s.step(ops)
			if err != nil {
				s.fence(err, false)
				s.finish(ops, s.queue.reason())
				break
			}
			s.finish(ops[:n], nil)
			ops = ops[n:]
			if err := s.collect(); err != nil {
				s.fence(err, false)
			}
		}
		s.gather(began, taken)
	}
}

// gather waits until the next batch may begin, after one of n operations.
func (s *Store) gather(began time.Time, n int) {
	if s.cfg.Durability == OS || n == 1 {
		return // without a sync a commit is cheap
	}
	time.Sleep(min(time.Duration(n)*gatherPerOp, maxGather) - time.Since(began))
}

// step does the next thing that ops ask for: a batch, or what happens between two of them. It
// returns how many operations that were.
func (s *Store) step(ops []*op) (n int, err error) {
	if ops[0].kind == opMark {
		return 1, s.mark(ops[0])
	}
	return s.commitBatch(ops)
}

// finish answers operations, unless the guard did. A batch failed as a whole: Badger may have
// applied a part of it, so what happened to each operation is unknown.
func (s *Store) finish(ops []*op, batchErr error) {
	s.busySince.Store(0)
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
	clear(ops) // the queue appends to the same array for some time
}

// commitBatch applies the first n operations, as many as one batch may hold, and makes them
// durable. After an error nothing is known of any of them.
func (s *Store) commitBatch(ops []*op) (n int, err error) {
	s.markBusy()
	if err := s.queue.reason(); err != nil {
		return 0, err
	}
	// Before anything is minted; the transactions check again.
	if err := s.checkSpace(); err != nil {
		return 0, err
	}
	b := batch{records: make(map[Key]*pending, len(ops))}
	txn := s.db.NewTransactionAt(s.last, false)
	defer txn.Discard()
	for n < len(ops) && ops[n].kind != opMark && b.bytes < s.limits.txnBytes && b.read < s.limits.txnBytes {
		if err := s.apply(txn, &b, ops[n]); err != nil {
			return 0, err
		}
		n++
	}
	w := writer{s: s}
	defer w.discard()
	for _, p := range b.dirty {
		if err := w.replace(p); err != nil {
			return 0, err
		}
	}
	if err := w.commit(); err != nil {
		return 0, err
	}
	s.stats.batches.Add(1)
	s.report(&b)
	s.hooks.synced()
	return n, nil
}

// collect deletes the chunks that the last batch replaced.
func (s *Store) collect() error {
	if len(s.trash) == 0 {
		return nil
	}
	s.markBusy()
	defer s.busySince.Store(0)
	w := writer{s: s}
	defer w.discard()
	for _, g := range s.trash {
		if err := w.remove(g); err != nil {
			return err
		}
	}
	s.trash = nil
	return w.commit()
}

// apply runs one operation against the overlay and leaves its answer in it. The error says that the
// store was fenced while the record was read: if the disk hung, the operation has its answer.
func (s *Store) apply(txn *badger.Txn, b *batch, o *op) error {
	p := b.records[o.key]
	if p == nil {
		p = &pending{key: o.key, old: s.readCached(o.key)}
		if p.old.size == 0 {
			p.old = readRecord(txn, o.key)
		}
		if err := s.queue.reason(); err != nil {
			return err
		}
		p.record, p.charge = p.old.record, storedCharge(o.key, p.old)
		b.read += int64(p.old.size)
		b.records[o.key] = p
		s.noteDamage(o.key, p.old)
	}
	switch o.kind {
	case opPut:
		s.applyPut(b, p, o)
	case opMerge:
		s.applyMerge(b, p, o)
	case opDrop:
		s.applyDrop(b, p, o)
	}
	return nil
}

func (s *Store) applyPut(b *batch, p *pending, o *op) {
	s.stats.puts.Add(1)
	if s.known(p.record.Object, o) {
		// A retry. Its first try is durable or in this batch, as is the whole object.
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

// known reports whether a put has been done before: its value is a sibling, or was replaced. An
// object that does not cover the dot minted then has lost the write (the record was corrupt), and
// an answer without minting would acknowledge what is nowhere.
func (s *Store) known(object vclock.Object, o *op) bool {
	if object.HasRequest(o.write.RequestID) {
		return true
	}
	dot, ok := s.recent.dot(o.key, o.write.RequestID)
	return ok && object.Clock.Covers(dot)
}

func (s *Store) applyMerge(b *batch, p *pending, o *op) {
	s.stats.merges.Add(1)
	record, changed := p.record.Merge(o.object)
	// An unchanged record needs no write, and is answered with the batch: whatever brought it to
	// this state is durable or in the batch. (The actor is only given up when the clock changes.)
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
