package storage

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// HintCount is what the hints kept for one owner take.
type HintCount struct {
	Owner string
	Count int64 // objects
	Bytes int64 // keys and encoded records in the database
}

// hintSpace knows what hints take. The committer writes it, when it answers a batch.
type hintSpace struct {
	mu     sync.Mutex
	owners map[string]HintCount // none with a count of 0
	used   int64                // bytes of all; the committer may read it without the lock
}

// add counts a change of one owner's hints.
func (h *hintSpace) add(owner string, count, bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.used += bytes
	c := h.owners[owner]
	c.Owner, c.Count, c.Bytes = owner, c.Count+count, c.Bytes+bytes
	if c.Count == 0 {
		// What may be left of the bytes belonged to a record that could not even be read.
		h.used -= c.Bytes
		delete(h.owners, owner)
		return
	}
	h.owners[owner] = c
}

// Hints returns what is kept for each owner, sorted by owner; owners without hints are left out. It
// follows a batch when its operations are answered.
func (s *Store) Hints() []HintCount {
	s.hints.mu.Lock()
	defer s.hints.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.hints.owners), func(a, b HintCount) int { return strings.Compare(a.Owner, b.Owner) })
}

// admitHint decides, before anything is minted or changed, whether p may become a record of n bytes.
// Own records always may.
func (s *Store) admitHint(b *batch, p *pending, n int) error {
	growth := s.hintCharge(p.key, n) - p.charge
	used := s.hints.used + b.ahead + b.hints
	if growth <= 0 || used+growth <= s.cfg.MaxHintBytes {
		return nil
	}
	s.stats.hintsRefused.Add(1)
	return fmt.Errorf("%w: %d bytes of hints are stored, and this one would take %d more than the %d allowed",
		ErrHintsFull, used, used+growth-s.cfg.MaxHintBytes, s.cfg.MaxHintBytes)
}

// recordSize returns the length of a record's encoding.
func recordSize(r vclock.Record) int { return 8 + uvarintBytes(r.Actor.Epoch) + r.Object.Size() }

// previewSize returns what the record that a put leaves has at most.
func previewSize(o vclock.Object, w *vclock.Write) int {
	const largest = ^uint64(0)
	return recordSize(vclock.Record{Actor: vclock.Actor{Run: largest, Epoch: largest}, Object: preview(o, w)})
}

// hintCharge returns what a hint whose record has n bytes takes of the space for hints; 0 for an
// own record.
func (s *Store) hintCharge(k Key, n int) int64 {
	if k.Hint == "" {
		return 0
	}
	if n+sealBytes <= s.limits.inline {
		return inlineCharge(k, n+sealBytes)
	}
	return chunkedCharge(k, chunkCount(n, s.limits.inline), uint64(n))
}

// storedCharge is hintCharge of what the database has. A corrupt record takes what it seems to; what
// it took before and takes no longer stays counted until the next Open.
func storedCharge(k Key, st stored) int64 {
	switch {
	case k.Hint == "":
		return 0
	case st.head.count > 0:
		return chunkedCharge(k, st.head.count, st.head.length)
	case st.err != nil && st.raw == nil, st.err == nil && st.size == 0:
		return 0 // nobody knows; missing
	case st.err != nil:
		return inlineCharge(k, len(st.raw))
	}
	return inlineCharge(k, st.size+sealBytes)
}

func inlineCharge(k Key, valueBytes int) int64 { return int64(keyBytes(k) + valueBytes) }

func chunkedCharge(k Key, count uint32, length uint64) int64 {
	perChunk := int64(keyBytes(k) + chunkSuffixBytes + sealBytes)
	return inlineCharge(k, sealBytes+headBytes) + int64(count)*perChunk + int64(length)
}

// countHints fills s.hints from the keys and the sizes of all stored hints. Only the heads of hints
// in chunks are read, so it costs one pass over that range.
func (s *Store) countHints() {
	s.hints.owners = map[string]HintCount{}
	// As in readRecord. A count that is too small until the next start is no reason not to start.
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("hints could not all be counted; their space may grow beyond its bound", "err", fmt.Sprint(p))
		}
	}()
	txn := s.db.NewTransactionAt(s.last, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindRecord | kindHint}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		k, _, ok := parseKey(it.Item().Key(), kindRecord, 0)
		if !ok {
			s.stats.corrupt.Add(1)
			s.log.Error("the key of a hint is damaged; the hint does not count", "key", fmt.Sprintf("%q", it.Item().Key()))
			continue
		}
		charge := inlineCharge(k, int(it.Item().ValueSize()))
		if it.Item().ValueSize() == sealBytes+headBytes {
			if h, err := readHead(it.Item()); err == nil {
				charge = chunkedCharge(k, h.count, h.length)
			}
		}
		s.hints.add(k.Hint, 1, charge)
	}
}

func readHead(item *badger.Item) (head, error) {
	value, err := item.ValueCopy(nil)
	if err != nil {
		return head{}, err
	}
	form, body, err := unseal(item.Key(), value)
	if err == nil && form != formHead {
		err = fmt.Errorf("%w: form %d is no head", ErrCorrupt, form)
	}
	if err != nil {
		return head{}, err
	}
	return decodeHead(body)
}
