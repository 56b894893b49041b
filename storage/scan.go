package storage

import (
	"errors"
	"fmt"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// Scan names a range of records to read at one snapshot.
type Scan struct {
	// Hint and Partition name the range: the node's own records of a partition (Hint ""), or the
	// hints of one partition for an owner. With AllPartitions, all hints for the owner, by
	// partition; own records have no such scan.
	Hint          string
	Partition     uint16
	AllPartitions bool
	// After, if not zero, is a key of the range after which the scan begins, be it there or not.
	After Key
	// Began, if not nil, is called on the committer's goroutine at the snapshot, between two batches:
	// every change that Config.Changed was told of before is in the scan, every change that it is
	// told of later is not. It must not block. It may have been called when Scan returns an error.
	Began func()
	// Visit gets the items by partition and name, ascending; false ends the scan. As long as it runs,
	// the database keeps all that was replaced since the snapshot, so callers end a scan after some
	// seconds, and go on After the last item in another one.
	Visit func(Item) bool
}

// Item is one record met by a Scan.
type Item struct {
	Key    Key // without Name if not even that can be read
	Object vclock.Object
	// Err wraps ErrCorrupt if the record is damaged; then Object is zero. The scan goes on.
	Err error
}

// Scan reads a range and blocks until it is through or Visit ended it; both return nil. Corrupt
// records are counted and given to Config.Damaged before Visit gets them. Scan returns ErrClosed
// when Close begins meanwhile, which waits only for the Visit under way; an error that wraps
// ErrCorrupt when damage keeps the scan from going on; and if there is a Began, also ErrFenced
// (wrapped) and ErrBusy: it takes its place in the queue of writes. Without one it reads a fenced
// store, too. With one it must not be called by a callback of the store, which would wait for itself.
func (s *Store) Scan(r Scan) error {
	if err := r.check(); err != nil {
		return err
	}
	at, err := s.snapshotFor(r.Began)
	if err != nil {
		return err
	}
	defer s.snapshots.release(at)
	txn := s.db.NewTransactionAt(at, false)
	defer discard(txn)
	c := cursor{txn: txn, scan: r}
	defer c.close()
	for !s.snapshots.closing() {
		k, st, ok := c.next()
		if !ok && st.err == nil {
			return nil
		}
		s.noteDamage(k, st)
		if !ok {
			return st.err
		}
		if !r.Visit(Item{Key: k, Object: st.record.Object, Err: st.err}) {
			return nil
		}
	}
	return ErrClosed
}

func (r *Scan) check() error {
	switch {
	case r.AllPartitions && r.Hint == "":
		return errors.New("storage: own records are scanned by partition")
	case len(r.Hint) > maxHintBytes:
		return fmt.Errorf("storage: an owner of hints is named by at most %d bytes, not %d", maxHintBytes, len(r.Hint))
	case r.After == (Key{}):
		return nil
	case r.After.Hint != r.Hint, !r.AllPartitions && r.After.Partition != r.Partition:
		return errors.New("storage: the key to scan after is not in the range")
	}
	return nil
}

// prefix returns what the database keys of the range begin with.
func (r *Scan) prefix() []byte {
	if r.AllPartitions {
		return appendOwner(nil, kindRecord, r.Hint)
	}
	return appendPartition(nil, kindRecord, r.Hint, r.Partition)
}

// snapshotFor returns a timestamp to read at, which the caller releases. With began it is taken by
// the committer.
func (s *Store) snapshotFor(began func()) (uint64, error) {
	if began == nil {
		at, ok := s.snapshots.acquire()
		if !ok {
			return 0, ErrClosed
		}
		return at, nil
	}
	type snapshot struct {
		at  uint64
		err error
	}
	answer := make(chan snapshot, 1)
	s.submit(&op{
		kind: opMark, size: opOverheadBytes, began: began,
		doneMark: func(at uint64, err error) { answer <- snapshot{at, err} },
	})
	a := <-answer
	return a.at, a.err
}

// mark takes the snapshot of a scan. Only the committer calls it, between two batches, when all
// that is visible has been reported.
func (s *Store) mark(o *op) error {
	if err := s.queue.reason(); err != nil {
		return err
	}
	at, ok := s.snapshots.acquire()
	if !ok { // never: Close ends the committer first
		o.err = ErrClosed
		return nil
	}
	o.at = at
	o.began()
	return nil
}

// cursor walks over the records of a range. It has no prefetching: that would decode blocks on
// goroutines of Badger's, where a damaged one ends the process.
type cursor struct {
	txn  *badger.Txn
	scan Scan
	it   *badger.Iterator
}

// next returns the next record. ok is false at the end, and if damage has stopped the iterator: then
// the error says so, and next must not be called again.
func (c *cursor) next() (k Key, st stored, ok bool) {
	k = Key{Partition: c.scan.Partition, Hint: c.scan.Hint}
	defer func() { // as in readRecord
		if p := recover(); p != nil {
			st, ok = stored{err: fmt.Errorf("%w: the scan ends at a damaged block: badger panicked: %v", ErrCorrupt, p)}, false
		}
	}()
	if c.it == nil {
		c.it = c.txn.NewIterator(badger.IteratorOptions{Prefix: c.scan.prefix()})
		if after := c.scan.After; after != (Key{}) {
			c.it.Seek(append(recordKey(after), 0))
		} else {
			c.it.Rewind()
		}
	} else {
		c.it.Next()
	}
	if !c.it.Valid() {
		return k, stored{}, false
	}
	key := c.it.Item().Key()
	parsed, _, ok := parseKey(key, kindRecord, 0)
	if !ok {
		return k, stored{err: fmt.Errorf("%w: a key is %q", ErrCorrupt, key)}, true
	}
	return parsed, readItem(c.txn, parsed, c.it.Item()), true
}

// discard ends a transaction that had iterators. Badger insists that all of them were closed; one
// whose making or closing has panicked on a damaged table is counted, and there is nothing to close.
func discard(txn *badger.Txn) {
	defer func() {
		_ = recover() // as in readRecord: what was met was answered as corrupt
	}()
	txn.Discard()
}

func (c *cursor) close() {
	defer func() {
		_ = recover() // see discard
	}()
	if c.it != nil {
		c.it.Close()
	}
}
