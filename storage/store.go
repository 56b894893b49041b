package storage

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// Store is one node's object store. All methods are safe for concurrent use. It ends with Close.
type Store struct {
	cfg    Config
	log    *slog.Logger
	limits limits
	db     *badger.DB
	queue  *queue
	hooks  hooks

	// Only the committer's goroutine touches these once it runs.
	last   uint64 // the newest commit's timestamp
	actors *vclock.Actors
	recent *recent
	clock  vclock.HybridClock
	trash  []garbage // replaced chunks that are still there
	wals   *walWatch

	snapshots *snapshots
	tables    atomic.Int64 // size of Badger's tables when they were last measured
	// unmeasured is how much was written since the tables were measured.
	unmeasured atomic.Int64
	opened     time.Time    // zero of busySince
	busySince  atomic.Int64 // when the committer began to work, in nanoseconds after opened and 1; 0 when it waits
	failures   chan error   // what Badger reported; room for one, further ones only go to the log
	stats      counters

	done      chan struct{} // closed when the committer has ended
	stopGuard chan struct{}
	guards    sync.WaitGroup
	closing   sync.Once
	closeErr  error
}

// hooks are the few places where tests put faults in.
type hooks struct {
	commit func(txn *badger.Txn, at uint64) error // makes a transaction durable
	synced func()                                 // a batch is durable and not yet answered
	free   func(dir string) (int64, error)
}

func defaultHooks() hooks {
	return hooks{
		commit: func(txn *badger.Txn, at uint64) error { return txn.CommitAt(at, nil) },
		synced: func() {},
		free:   freeBytes,
	}
}

// Open opens the database in cfg.Dir, making it if there is none, and starts the committer. It
// blocks while logs of an unclean stop are replayed. It refuses a configuration that does not
// validate, a directory that another process uses, a disk with less free space than the floor,
// and a run that the directory has already seen.
func Open(cfg Config) (*Store, error) {
	h := defaultHooks()
	if commit := h.commit; cfg.Stall != nil {
		h.commit = func(txn *badger.Txn, at uint64) error {
			cfg.Stall()
			return commit(txn, at)
		}
	}
	return open(cfg, h)
}

func open(cfg Config, h hooks) (*Store, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	for cfg.Run == 0 {
		var b [8]byte
		rand.Read(b[:]) // never fails
		cfg.Run = binary.BigEndian.Uint64(b[:])
	}
	s := &Store{
		cfg: cfg, log: cfg.Logger, hooks: h,
		limits:    newLimits(cfg.MemTableBytes),
		queue:     newQueue(cfg.MaxQueueOps, cfg.MaxQueueBytes),
		opened:    time.Now(),
		actors:    vclock.NewActors(cfg.Run),
		recent:    newRecent(recentPerGeneration),
		failures:  make(chan error, 1),
		done:      make(chan struct{}),
		stopGuard: make(chan struct{}),
	}
	if cfg.MustExist {
		// Before anything is made there: it may be the place of a disk that is not mounted.
		if _, err := os.Stat(filepath.Join(cfg.Dir, badger.ManifestFilename)); errors.Is(err, fs.ErrNotExist) {
			return nil, s.emptied()
		}
	}
	if err := prepareDir(cfg.Dir); err != nil {
		return nil, err
	}
	if err := s.checkRoomToStart(); err != nil {
		return nil, err
	}
	if err := s.openBadger(); err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	go func() {
		defer close(s.done)
		s.run()
	}()
	s.guards.Go(s.watch)
	s.guards.Go(s.sample)
	return s, nil
}

func (s *Store) openBadger() error {
	// Managed mode: with Badger's own timestamps, every read would wait for the commit under way.
	db, err := badger.OpenManaged(badgerOptions(s.cfg, s.limits, badgerLogger{s.log, s.noteFailure}))
	if err != nil {
		return fmt.Errorf("open database in %s: %w", s.cfg.Dir, err)
	}
	s.db = db
	return nil
}

// begin brings an open database to the state from which the committer goes on.
func (s *Store) begin() (err error) {
	s.last = s.db.MaxVersion()
	s.snapshots = newSnapshots(s.last)
	s.db.SetDiscardTs(s.last)
	if s.wals, err = watchWALs(s.cfg.Dir, s.cfg.Durability); err != nil {
		return err
	}
	if err := s.register(); err != nil {
		return err
	}
	txn := s.db.NewTransactionAt(s.last, false)
	defer txn.Discard()
	if s.trash, err = findGarbage(txn); err != nil {
		return err
	}
	return s.collect()
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
	if err := addNote(&w, "run", s.cfg.Run); err != nil {
		return err
	}
	return w.commit()
}

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

// Get returns the object of k as of the last committed batch, or the zero Object if there is none.
// The object is the caller's. It blocks for disk reads only, also while a commit hangs. Errors are
// ErrCorrupt (wrapped) and ErrClosed.
func (s *Store) Get(k Key) (vclock.Object, error) {
	at, ok := s.snapshots.acquire()
	if !ok {
		return vclock.Object{}, ErrClosed
	}
	defer s.snapshots.release(at)
	txn := s.db.NewTransactionAt(at, false)
	defer txn.Discard()
	s.stats.gets.Add(1)
	st := readRecord(txn, k)
	s.noteDamage(k, st)
	return st.record.Object, st.err
}

// Put queues a client write and returns at once. The outcome goes to p.Done, on the committer's
// goroutine; or before Put returns if it is refused with ErrClosed, ErrFenced or ErrBusy; or on
// the guard's if the store fences while the write waits. Later outcomes are *TooLargeError,
// *TooManySiblingsError and ErrFenced. The callbacks must not block and must not call Close.
func (s *Store) Put(p Put) {
	s.submit(&op{
		key: p.Key, put: true, write: p.Write, minted: p.Minted, donePut: p.Done,
		size: writeSize(&p.Write) + int64(len(p.Key.Name)),
	})
}

// Merge queues a replicated object and returns at once; see Put. It is never refused for size.
func (s *Store) Merge(m Merge) {
	s.submit(&op{
		key: m.Key, object: m.Object, doneMerge: m.Done,
		size: int64(m.Object.Size()+len(m.Key.Name)) + opOverheadBytes,
	})
}

func (s *Store) submit(o *op) {
	if n := len(o.key.Name); n == 0 || n > maxNameBytes {
		o.answer(vclock.Object{}, fmt.Errorf("storage: a name has 1 to %d bytes, not %d", maxNameBytes, n))
		return
	}
	// Such a sibling is refused by every decoder: stored, it would be a corrupt record.
	if w := &o.write; w.Expiry < 0 || w.Deleted && len(w.Value) > 0 {
		o.answer(vclock.Object{}, errors.New("storage: a write has no negative expiry, and a tombstone no value"))
		return
	}
	if err := s.queue.push(o); err != nil {
		if errors.Is(err, ErrBusy) {
			s.stats.busy.Add(1)
		}
		o.answer(vclock.Object{}, err)
	}
}

// noteDamage counts and logs a record that was found corrupt.
func (s *Store) noteDamage(k Key, st stored) {
	if st.err == nil {
		return
	}
	s.stats.corrupt.Add(1)
	s.log.Error("record is corrupt", "partition", k.Partition, "key", k.Name, "err", st.err)
}
