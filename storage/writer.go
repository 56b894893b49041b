package storage

import (
	"fmt"
	"hash/crc32"

	"github.com/dgraph-io/badger/v4"
)

// entry is one change of the database; a nil value deletes.
type entry struct{ key, value []byte }

// writer turns changes into Badger transactions, in order: what was added earlier is never durable
// later. Only the batch writer uses it.
type writer struct {
	s    *Store
	txn  *badger.Txn
	size int64
	n    int
	own  []entry // those of own records, for the cache
}

// add puts entries into the transaction under way, all of them into the same one; if they do not
// fit there, that one is committed first.
func (w *writer) add(entries ...entry) error {
	var size int64
	for _, e := range entries {
		size += int64(len(e.key) + len(e.value) + entryOverheadBytes)
	}
	if w.n > 0 && (w.size+size > w.s.limits.txnBytes || w.n+len(entries) > w.s.limits.txnEntries) {
		if err := w.commit(); err != nil {
			return err
		}
	}
	if w.txn == nil {
		w.txn = w.s.db.NewTransactionAt(w.s.last, true)
	}
	for _, e := range entries {
		var err error
		if e.value == nil {
			err = w.txn.Delete(e.key)
		} else {
			err = w.txn.Set(e.key, e.value)
		}
		if err != nil {
			return fmt.Errorf("add to transaction: %w", err)
		}
		if e.key[0] == kindRecord {
			w.own = append(w.own, e)
		}
	}
	w.size += size
	w.n += len(entries)
	return nil
}

// commit makes durable and visible what was added since the last commit.
func (w *writer) commit() error {
	if w.txn == nil {
		return nil
	}
	txn, size, own := w.txn, w.size, w.own
	w.txn, w.size, w.n, w.own = nil, 0, 0, nil
	defer txn.Discard()
	// Checked before each transaction and not only before each batch: a batch with large objects is
	// larger than what the floor leaves room for.
	if err := w.s.checkSpace(); err != nil {
		return err
	}
	w.s.unmeasured.Add(size)
	at := w.s.last + 1
	if err := w.s.hooks.commit(txn, at); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	w.s.last = at
	if err := w.s.wals.sync(); err != nil {
		return err
	}
	w.s.cache.replace(own, at, func() { w.s.db.SetDiscardTs(w.s.snapshots.publish(at)) })
	w.s.stats.transactions.Add(1)
	return nil
}

// discard forgets what was added and not committed.
func (w *writer) discard() {
	if w.txn != nil {
		w.txn.Discard()
		w.txn, w.size, w.n, w.own = nil, 0, 0, nil
	}
}

// replace adds the changes that make the database hold what p has become.
func (w *writer) replace(p *pending) error {
	if p.record.Object.Missing() {
		return w.erase(p.key, p.old)
	}
	p.now = stored{record: p.record, size: recordSize(p.record)}
	return w.save(p)
}

// retire returns the changes that must happen together with the replacement of the record that old
// describes.
func (w *writer) retire(k Key, old stored) []entry {
	var changes []entry
	if old.err != nil && old.raw != nil {
		changes = append(changes, entry{appendKey(nil, kindQuarantine, k), old.raw})
	}
	if old.err == nil && old.head.count > 0 {
		// From the moment the replacement is visible the old chunks are garbage. Chunks of a
		// corrupt record stay with its quarantined head.
		g := garbage{key: k, head: old.head}
		changes = append(changes, g.entry())
		w.s.trash = append(w.s.trash, g)
	}
	return changes
}

// erase adds the deletion of the record that old describes, if there is one.
func (w *writer) erase(k Key, old stored) error {
	if old.err == nil && old.size == 0 {
		return nil // it was made and dropped in one batch
	}
	return w.add(append(w.retire(k, old), entry{recordKey(k), nil})...)
}

// save adds the changes that replace what p.old describes by p.now, to which it adds where the chunks
// are.
func (w *writer) save(p *pending) error {
	k, r, n := p.key, p.record, p.now.size
	key := recordKey(k)
	head := w.retire(k, p.old)
	if n+sealBytes <= w.s.limits.inline {
		value := seal(key, r.Append(newValue(formRecord, n)))
		return w.add(append(head, entry{key, value})...)
	}
	h, err := w.saveChunks(k, r.Append(make([]byte, 0, n)))
	if err != nil {
		return err
	}
	p.now.head = h
	value := seal(key, h.append(newValue(formHead, headBytes)))
	head = append(head, entry{garbageKey(k, h.generation), nil}, entry{key, value})
	return w.add(head...)
}

// saveChunks adds the chunks of b and returns their head, which the caller adds after them. They
// may take several transactions. Until the head is durable they are garbage, and the first
// transaction says so: a crash in between leaves the old object, and the next Open cleans up.
func (w *writer) saveChunks(k Key, b []byte) (head, error) {
	size := w.s.limits.inline - sealBytes
	h := head{
		// Timestamps rise over restarts past everything durable, so no chunk of another
		// generation of this key can have this number.
		generation: w.s.last + 1,
		count:      chunkCount(len(b), w.s.limits.inline),
		length:     uint64(len(b)),
		sum:        crc32.Checksum(b, castagnoli),
	}
	if err := w.add(garbage{key: k, head: h}.entry()); err != nil {
		return head{}, err
	}
	for i := range h.count {
		part := b[:min(size, len(b))]
		b = b[len(part):]
		key := chunkKey(k, h.generation, i)
		if err := w.add(entry{key, seal(key, append(newValue(formChunk, len(part)), part...))}); err != nil {
			return head{}, err
		}
	}
	return h, nil
}

// chunkCount returns how many chunks a record of n bytes takes when a value has at most inline bytes.
func chunkCount(n, inline int) uint32 {
	size := inline - sealBytes
	return uint32((n + size - 1) / size)
}

// garbage is a generation of chunks of a key that no head names.
type garbage struct {
	key  Key
	head head // generation and count matter
}

func (g garbage) entry() entry {
	key := garbageKey(g.key, g.head.generation)
	return entry{key, note(key, uint64(g.head.count))}
}

// remove adds the deletion of the chunks, and of the garbage entry after the last of them.
func (w *writer) remove(g garbage) error {
	for i := range g.head.count {
		if err := w.add(entry{chunkKey(g.key, g.head.generation, i), nil}); err != nil {
			return err
		}
	}
	return w.add(entry{garbageKey(g.key, g.head.generation), nil})
}

// findGarbage reads what a crash left behind. It looks only at garbage entries, of which there are
// as many as large objects were being written.
func (s *Store) findGarbage(txn *badger.Txn) (found []garbage, err error) {
	for _, kind := range []byte{kindGarbage, kindGarbage | kindHint} {
		some, err := s.garbageOf(txn, kind)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

func (s *Store) garbageOf(txn *badger.Txn, kind byte) (found []garbage, err error) {
	// As in readRecord. Chunks leak, which is no reason not to start.
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("what a crash left of large objects could not all be found; its space stays taken", "err", fmt.Sprint(p))
		}
	}()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		value, err := it.Item().ValueCopy(nil)
		if err != nil {
			return nil, fmt.Errorf("read garbage entry: %w", err)
		}
		k, generation, ok := parseGarbageKey(key)
		n, err := decodeNote(key, value)
		if !ok || err != nil {
			continue // damaged: chunks leak rather than a wrong one being deleted
		}
		if st := readRecord(txn, k); st.head.generation == generation {
			continue // never true for chunks that our own writes put here; the head decides
		}
		found = append(found, garbage{key: k, head: head{generation: generation, count: uint32(n)}})
	}
	return found, nil
}
