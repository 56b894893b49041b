package storage

import (
	"encoding/binary"
	"errors"
	"fmt"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// Names walks over the names of the node's own records at one snapshot, and can tell which are of
// objects that live. It is the caller's of [Store.Names] until that returns, on its goroutine.
type Names struct {
	s         *Store
	txn       *badger.Txn
	it        *badger.Iterator
	partition uint16
	key       []byte // of the present record, the iterator's; nil at the end
	seek      []byte // reused
	err       error
}

// Names opens a walk, calls read, and returns its error, or ErrClosed when Close had begun. As long as
// read runs, the database keeps all that was replaced since: it should take no more than seconds.
// Close waits for it, and lets it end at its next step.
//
// With settled the snapshot is taken in the queue of writes, so that it has all that were given to the
// store before the call; a store that takes no writes is read as it is. Then Names must not be called by
// a callback of the store, which would wait for itself.
func (s *Store) Names(settled bool, read func(*Names) error) error {
	var began func()
	if settled {
		began = func() {}
	}
	at, err := s.snapshotFor(began)
	if errors.Is(err, ErrFenced) || errors.Is(err, ErrBusy) {
		at, err = s.snapshotFor(nil)
	}
	if err != nil {
		return err
	}
	defer s.snapshots.release(at)
	txn := s.db.NewTransactionAt(at, false)
	defer discard(txn)
	n := &Names{s: s, txn: txn}
	defer n.close()
	return read(n)
}

// Seek goes to the first record of a partition whose name is not below name, and reports whether
// there is one. After false, Err says whether that is the end.
func (n *Names) Seek(partition uint16, name string) bool {
	n.partition = partition
	n.seek = binary.BigEndian.AppendUint16(append(n.seek[:0], kindRecord), partition)
	n.seek = append(n.seek, name...)
	return n.move(func() {
		if n.it == nil {
			// No prefetching, as in cursor.
			n.it = n.txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindRecord}})
		}
		n.it.Seek(n.seek)
	})
}

// Next goes to the next record of the partition; see Seek. It must not follow a step that was false.
func (n *Names) Next() bool { return n.move(func() { n.it.Next() }) }

// Name returns the name of the present record, valid until the next step. It is not empty.
func (n *Names) Name() []byte { return n.key[3:] }

// Err returns why the walk cannot go on, nil if nothing is wrong: ErrClosed, or an error that wraps
// ErrCorrupt. Damage was counted and given to Config.Damaged.
func (n *Names) Err() error { return n.err }

func (n *Names) move(step func()) bool {
	n.key = nil
	if n.err == nil && n.s.snapshots.closing() {
		n.err = ErrClosed
	}
	if n.err != nil {
		return false
	}
	if err := n.guard(step); err != nil {
		return n.fail("", fmt.Errorf("the walk ends at a damaged block: %w", err))
	}
	if n.it == nil || !n.it.Valid() {
		return false
	}
	key := n.it.Item().Key()
	if len(key) < 3 {
		return n.fail("", fmt.Errorf("%w: a key is %q", ErrCorrupt, key))
	}
	if binary.BigEndian.Uint16(key[1:]) != n.partition {
		return false
	}
	if name := len(key) - 3; name < 1 || name > maxNameBytes {
		return n.fail("", fmt.Errorf("%w: a key is %q", ErrCorrupt, key))
	}
	n.key = key
	return true
}

// fail ends the walk.
func (n *Names) fail(name string, err error) bool {
	n.key, n.err = nil, err
	n.s.noteDamage(Key{Partition: n.partition, Name: name}, stored{err: err})
	return false
}

// guard runs one step of Badger's, which panics on some damaged blocks: see readRecord.
func (n *Names) guard(step func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: badger panicked: %v", ErrCorrupt, p)
		}
	}()
	step()
	return nil
}

// Live reports whether the present record is of an object that readers see: with a sibling that is no
// tombstone, or where lossy reports of its name that the last write wins, with a last one that is none.
// lossy is called only for an object with several siblings; nil stands for never. Live
// reads no more than the first chunk of a large object, if that tells. The error wraps ErrCorrupt; the
// damage was counted and given to Config.Damaged, and the walk can go on.
func (n *Names) Live(lossy func(name []byte) bool) (live bool, err error) {
	if e := n.guard(func() { live, err = n.live(lossy) }); e != nil {
		err = e
	}
	if err != nil {
		n.s.noteDamage(Key{Partition: n.partition, Name: string(n.Name())}, stored{err: err})
		return false, err
	}
	return live, nil
}

func (n *Names) live(lossy func([]byte) bool) (live bool, err error) {
	var large head
	verr := n.it.Item().Value(func(value []byte) error {
		form, body, err := unseal(n.key, value)
		switch {
		case err != nil:
			return err
		case form == formHead:
			large, err = decodeHead(body)
			return err
		case form != formRecord:
			return fmt.Errorf("%w: form %d is no record", ErrCorrupt, form)
		}
		live, err = n.seen(body, lossy)
		return err
	})
	if verr != nil && !errors.Is(verr, ErrCorrupt) {
		verr = fmt.Errorf("%w: %w", ErrCorrupt, verr)
	}
	if verr != nil || large.count == 0 {
		return live, verr
	}
	return n.liveChunks(Key{Partition: n.partition, Name: string(n.Name())}, large, lossy)
}

// seen is Live for an encoded record, or for the beginning of one: an error then may mean that it does not tell.
func (n *Names) seen(body []byte, lossy func([]byte) bool) (bool, error) {
	live, alone, err := vclock.RecordLive(body)
	if err == nil && live && !alone && lossy != nil && lossy(n.Name()) {
		var r vclock.Record
		if r, err = vclock.DecodeRecord(body); err == nil {
			last, _ := r.Object.Winner()
			live = !last.Deleted
		}
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return live, nil
}

// liveChunks is Live for a record in chunks. Tombstones are small: the first chunk tells, but for
// objects that have nothing in use by this program, and several siblings of which the last wins.
func (n *Names) liveChunks(k Key, h head, lossy func([]byte) bool) (bool, error) {
	key := chunkKey(k, h.generation, 0)
	value, err := getCopy(n.txn, key)
	if err != nil {
		return false, fmt.Errorf("%w: chunk 0 of %d: %w", ErrCorrupt, h.count, err)
	}
	form, body, err := unseal(key, value)
	if err != nil || form != formChunk {
		return false, fmt.Errorf("%w: chunk 0 of %d is damaged", ErrCorrupt, h.count)
	}
	if live, err := n.seen(body, lossy); err == nil && live {
		return true, nil
	}
	whole, err := readChunks(n.txn, k, h)
	if err != nil {
		return false, err
	}
	return n.seen(whole, lossy)
}

// Bytes returns how long the entry of the present record is, about what Live reads.
func (n *Names) Bytes() int64 { return int64(len(n.key)) + n.it.Item().ValueSize() }

func (n *Names) close() {
	_ = n.guard(func() { // see discard
		if n.it != nil {
			n.it.Close()
		}
	})
}
