package storage

import (
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/dgraph-io/badger/v4"
)

// begin brings an open database to the state from which the committer goes on.
func (s *Store) begin() (err error) {
	s.last = s.db.MaxVersion()
	s.snapshots = newSnapshots(s.last)
	s.db.SetDiscardTs(s.last)
	if s.wals, err = watchWALs(s.cfg.Dir, s.cfg.Durability, s.log); err != nil {
		return err
	}
	if err := s.register(); err != nil {
		return err
	}
	txn := s.db.NewTransactionAt(s.last, false)
	defer discard(txn)
	if s.trash, err = s.findGarbage(txn); err != nil {
		return err
	}
	if err := s.collect(); err != nil {
		return err
	}
	s.countHints()
	return nil
}

// register refuses a database that is not the owner's, and the run of the former life, which would
// mint its dots again; it makes owner and run durable. It is also the first write: a disk that takes
// none is found out now.
func (s *Store) register() error {
	txn := s.db.NewTransactionAt(s.last, false)
	defer txn.Discard()
	w := writer{s: s}
	defer w.discard()
	if s.cfg.Owner != "" {
		owner, known, err := readNote(txn, "owner")
		switch {
		case errors.Is(err, ErrCorrupt): // one damaged note among sound records: written anew
			known = false
		case err != nil:
			return fmt.Errorf("read the owner: %w", err)
		case !known && s.cfg.MustExist:
			return s.emptied()
		}
		switch {
		case known && owner != ownerMark(s.cfg.Owner):
			return fmt.Errorf("%w: %s holds those of another one than %s", ErrOwner, s.cfg.Dir, s.cfg.Owner)
		case !known:
			if err := addNote(&w, "owner", ownerMark(s.cfg.Owner)); err != nil {
				return err
			}
		}
	}
	run, known, err := readNote(txn, "run")
	if known && run == s.cfg.Run {
		return fmt.Errorf("storage: run %016x has been used in %s before; every start needs a fresh one", run, s.cfg.Dir)
	}
	// A damaged note of the former run is no reason to refuse: this run was drawn at random.
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("read the former run: %w", err)
	}
	s.former = run
	if err := addNote(&w, "run", s.cfg.Run); err != nil {
		return err
	}
	return w.commit()
}

// Run returns the run of this life of the store.
func (s *Store) Run() uint64 { return s.cfg.Run }

// FormerRun returns the run of the life before this one in this database; 0 if it is the first, or
// if the note of it is damaged.
func (s *Store) FormerRun() uint64 { return s.former }

func (s *Store) emptied() error {
	return fmt.Errorf("%w: %s holds none of node %s, which has stored some there before", ErrEmptied, s.cfg.Dir, s.cfg.Owner)
}

// ownerMark is what the database keeps of its owner's name: enough to tell nodes apart.
func ownerMark(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name)) // never fails
	return h.Sum64()
}

func readNote(txn *badger.Txn, name string) (n uint64, known bool, err error) {
	defer func() { // as in readRecord
		if p := recover(); p != nil {
			n, known, err = 0, false, fmt.Errorf("%w: badger panicked: %v", ErrCorrupt, p)
		}
	}()
	key := appendKey(nil, kindMeta, Key{Name: name})
	value, err := getCopy(txn, key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	n, err = decodeNote(key, value)
	return n, err == nil, err
}

func addNote(w *writer, name string, n uint64) error {
	key := appendKey(nil, kindMeta, Key{Name: name})
	return w.add(entry{key, note(key, n)})
}
