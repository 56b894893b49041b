package storage

import (
	"bytes"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// HasPrefix reports whether any partition holds a record, be it a tombstone or corrupt, whose name
// begins with prefix. Hints do not count. It costs one seek per partition that has records. Errors are
// ErrClosed, and ErrCorrupt (wrapped) if damage hides the answer.
func (s *Store) HasPrefix(prefix string) (found bool, err error) {
	at, ok := s.snapshots.acquire()
	if !ok {
		return false, ErrClosed
	}
	defer s.snapshots.release(at)
	defer func() { // as in readRecord; before the others, since closing can panic as well
		if p := recover(); p != nil {
			found, err = false, fmt.Errorf("%w: badger panicked: %v", ErrCorrupt, p)
		}
	}()
	txn := s.db.NewTransactionAt(at, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindRecord}})
	defer it.Close()
	for partition := 0; partition <= 0xffff; partition++ {
		want := appendKey(nil, kindRecord, Key{Partition: uint16(partition), Name: prefix})
		it.Seek(want)
		if !it.Valid() {
			return false, nil
		}
		key := it.Item().Key()
		if bytes.HasPrefix(key, want) {
			return true, nil
		}
		// The next record lies beyond the prefix, in this partition or a later one: no
		// partition before that one has anything.
		if p := int(key[1])<<8 | int(key[2]); p > partition {
			partition = p - 1
		}
	}
	return false, nil
}
