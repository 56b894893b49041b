package storage

import (
	"sync/atomic"
	"time"

	"cartwheel/vclock"
)

// pending is a record that a batch has changed or looked at.
type pending struct {
	key    Key
	old    stored        // in the database; of a record with a base only from settle on
	base   *pending      // the same record if the batch before, not durable yet, changes it; nil: it does not
	now    stored        // in the database when the batch is durable, if dirty; see writer.replace
	record vclock.Record // as it stands; zero if it is missing
	dirty  bool
	size   int64 // of the record as it stands, if dirty
	charge int64 // of a hint: what the record as it stands takes of the space for hints
}

// batch is the overlay of the operations that become durable together.
type batch struct {
	ops     []*op // in the order of the queue
	records map[Key]*pending
	dirty   []*pending // in the order of their first change
	base    *batch     // the one before, if it was not durable when this one was begun
	bytes   int64      // of the dirty records
	read    int64      // of the records as they were read
	hints   int64      // by which the space for hints grows
	ahead   int64      // by which it grows with the batch before
	err     error      // why no operation of it is durable, or may be
}

// newBatch returns an empty batch that follows base, if that is not nil. What it is about to mint must
// have room on the disk; the transactions check again.
func (s *Store) newBatch(base *batch) *batch {
	b := &batch{records: map[Key]*pending{}, base: base}
	if base != nil {
		b.ahead = base.hints
	}
	if b.err = s.queue.reason(); b.err == nil {
		b.err = s.checkSpace()
	}
	return b
}

// full reports whether the batch takes no more. One that has failed takes everything.
func (b *batch) full(txnBytes int64) bool {
	return b.err == nil && (len(b.ops) >= maxBatchOps || b.bytes >= txnBytes || b.read >= txnBytes)
}

// inherit returns a record as the batch before leaves it, nil if that does not change it. What it has
// only read is read again: the database has it, and may have been found damaged since.
func (b *batch) inherit(k Key) *pending {
	if b.base == nil {
		return nil
	}
	base := b.base.records[k]
	if base == nil || !base.dirty {
		return nil
	}
	return &pending{key: k, base: base, record: base.record, charge: base.charge}
}

// settle is called when the batch before is durable: what that left in the database is known now.
func (b *batch) settle() {
	for _, p := range b.records {
		if p.base != nil {
			p.old, p.base = p.base.now, nil
		}
	}
	b.base = nil
}

// writeAll is the batch writer's goroutine; it ends when batches is closed.
func (s *Store) writeAll(batches <-chan *batch) {
	for b := range batches {
		began := time.Now()
		s.writing.begin(s.opened)
		if b.err == nil {
			b.err = s.write(b)
		}
		if b.err != nil {
			s.fence(b.err, false)
			b.err = s.queue.reason()
		}
		s.writing.end()
		s.queue.tell(news{done: true})
		if err := s.collect(); err != nil {
			s.fence(err, false)
		}
		s.gather(began, len(b.ops))
		s.queue.tell(news{rested: true})
	}
}

// gather waits until the next batch may begin, after one of n operations.
func (s *Store) gather(began time.Time, n int) {
	if s.cfg.Durability == OS || n == 1 {
		return // without a sync a commit is cheap
	}
	time.Sleep(min(time.Duration(n)*gatherPerOp, maxGather) - time.Since(began))
}

// write makes a batch durable and reports it. After an error nothing is known of any operation.
func (s *Store) write(b *batch) error {
	if err := s.queue.reason(); err != nil {
		return err
	}
	w := writer{s: s}
	defer w.discard()
	for _, p := range b.dirty {
		if err := w.replace(p); err != nil {
			return err
		}
	}
	if err := w.commit(); err != nil {
		return err
	}
	s.stats.batches.Add(1)
	s.report(b)
	s.hooks.synced()
	return nil
}

// collect deletes the chunks that the last batch replaced. If that failed, they may still be in use.
func (s *Store) collect() error {
	if len(s.trash) == 0 || s.queue.reason() != nil {
		return nil
	}
	s.writing.begin(s.opened)
	defer s.writing.end()
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

// stopwatch tells others for how long a goroutine has been at something that may hang. It goes by the
// monotonic clock: a wall clock that is set forward must not fence every store under load.
type stopwatch struct {
	since atomic.Int64 // nanoseconds after a zero that all who use it share, and 1; 0 when it rests
}

func (w *stopwatch) begin(zero time.Time) { w.since.Store(int64(time.Since(zero)) + 1) }

func (w *stopwatch) end() { w.since.Store(0) }

func (w *stopwatch) running(zero time.Time) time.Duration {
	since := w.since.Load()
	if since == 0 {
		return 0
	}
	return time.Since(zero) - time.Duration(since) + 1
}
