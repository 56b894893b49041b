package storage

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// stored is what the database has under one key at one snapshot.
type stored struct {
	record vclock.Record
	size   int    // of the record's encoding; 0 if it is missing or corrupt
	sealed []byte // the entry of the record key if it holds a sound record; the record aliases it
	head   head   // of a record in chunks
	raw    []byte // the entry of the record key if it is corrupt, nil if it could not be read
	err    error  // wraps ErrCorrupt if the record is corrupt; then record is zero
}

// readCached returns what the cache has of k; its size is 0 if that is nothing, or damaged.
func (s *Store) readCached(k Key) stored {
	if k.Hint != "" {
		return stored{}
	}
	var buf [128]byte // most keys fit
	key := appendKey(buf[:0], kindRecord, k)
	value := s.cache.get(key)
	if value == nil {
		return stored{}
	}
	_, body, err := unseal(key, value)
	if err != nil {
		return stored{}
	}
	record, err := vclock.DecodeRecord(body)
	if err != nil {
		return stored{}
	}
	return stored{record: record, size: len(body)}
}

// readRecord reads the record of k at a snapshot. Everything in the result is the caller's: a
// record was copied out of the database once. A missing key is the zero stored.
func readRecord(txn *badger.Txn, k Key) (st stored) {
	defer recoverRead(&st)
	item, err := txn.Get(recordKey(k))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return stored{}
	}
	if err != nil {
		return stored{err: fmt.Errorf("%w: %w", ErrCorrupt, err)}
	}
	return readItem(txn, k, item)
}

// recoverRead is deferred by reads. Badger's index arithmetic panics on some damaged blocks. A
// damaged record must not take the node down, so where only reads are under way, that is one more
// way to be corrupt.
func recoverRead(st *stored) {
	if p := recover(); p != nil {
		*st = stored{err: fmt.Errorf("%w: badger panicked: %v", ErrCorrupt, p)}
	}
}

// readItem is readRecord for an item that was found under the key of k.
func readItem(txn *badger.Txn, k Key, item *badger.Item) (st stored) {
	defer recoverRead(&st)
	value, err := item.ValueCopy(nil)
	if err != nil {
		return stored{err: fmt.Errorf("%w: %w", ErrCorrupt, err)}
	}
	st.raw = value
	form, body, err := unseal(item.Key(), value)
	switch {
	case err != nil:
		st.err = err
		return st
	case form == formHead:
		if st.head, st.err = decodeHead(body); st.err != nil {
			return st
		}
		if body, st.err = readChunks(txn, k, st.head); st.err != nil {
			return st
		}
	case form != formRecord:
		st.err = fmt.Errorf("%w: form %d is no record", ErrCorrupt, form)
		return st
	}
	if st.record, err = vclock.DecodeRecord(body); err != nil {
		st.record = vclock.Record{}
		st.err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		return st
	}
	if st.raw, st.size = nil, len(body); form == formRecord {
		st.sealed = value
	}
	return st
}

// readChunks puts a record together. Head and chunks come from one snapshot, so a chunk that is
// missing or of another length is damage, never a write under way.
func readChunks(txn *badger.Txn, k Key, h head) ([]byte, error) {
	var whole bytes.Buffer // grows with what is really there: h.length is not to be trusted with memory
	for i := range h.count {
		key := chunkKey(k, h.generation, i)
		value, err := getCopy(txn, key)
		if err != nil {
			return nil, fmt.Errorf("%w: chunk %d of %d: %w", ErrCorrupt, i, h.count, err)
		}
		form, body, err := unseal(key, value)
		if err != nil {
			return nil, fmt.Errorf("chunk %d of %d: %w", i, h.count, err)
		}
		if form != formChunk {
			return nil, fmt.Errorf("%w: chunk %d of %d has form %d", ErrCorrupt, i, h.count, form)
		}
		if i == 0 && h.length <= uint64(len(body))*uint64(h.count) {
			whole.Grow(int(h.length))
		}
		whole.Write(body)
	}
	b := whole.Bytes()
	if uint64(len(b)) != h.length || crc32.Checksum(b, castagnoli) != h.sum {
		return nil, fmt.Errorf("%w: %d bytes in %d chunks do not match their head", ErrCorrupt, len(b), h.count)
	}
	return b, nil
}

func getCopy(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}
