package storage

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
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

	former uint64 // run of the former life

	// Only the committer's goroutine touches these once it runs.
	actors *vclock.Actors
	recent recent
	clock  vclock.HybridClock
	hints  hintSpace // may be read by everybody

	replaced replaced

	// Only the batch writer's goroutine touches these once it runs.
	last  uint64    // the newest commit's timestamp
	trash []garbage // replaced chunks that are still there
	wals  *walWatch

	snapshots *snapshots
	cache     *cache
	tables    atomic.Int64 // size of Badger's tables when they were last measured
	// unmeasured is how much was written since the tables were measured.
	unmeasured atomic.Int64
	opened     time.Time  // zero of the stopwatches
	reading    stopwatch  // of the committer
	writing    stopwatch  // of the batch writer
	failures   chan error // what Badger reported; room for one, further ones only go to the log
	stats      counters

	done      chan struct{} // closed when the committer and the batch writer have ended
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
	if commit := h.commit; cfg.Commit != nil {
		h.commit = func(txn *badger.Txn, at uint64) error {
			return cfg.Commit(func() error { return commit(txn, at) })
		}
	}
	if cfg.FreeBytes != nil {
		h.free = func(string) (int64, error) { return cfg.FreeBytes(), nil }
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
		clock:     vclock.HybridClock{Wall: cfg.Now},
		recent:    newRecent(recentPerGeneration),
		replaced:  replaced{recent: newRecent(recentPerGeneration)},
		cache:     newCache(cfg.CacheBytes),
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
	if err := s.replayOddLogs(); err != nil {
		return nil, err
	}
	var err error
	if s.db, err = s.openBadger(spreadMemTable(cfg.MemTableBytes, cfg.Owner)); err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		return nil, errors.Join(err, s.db.Close(), s.wals.close())
	}
	go func() {
		defer close(s.done)
		s.run()
	}()
	s.calmTables()
	s.guards.Go(s.watch)
	s.guards.Go(s.sample)
	return s, nil
}

// Get returns the object of k as of the last committed batch, or the zero Object if there is none.
// The object may be shared with other readers and must not be changed. It blocks for disk reads only,
// also while a commit hangs. Errors are ErrCorrupt (wrapped) and ErrClosed.
func (s *Store) Get(k Key) (vclock.Object, error) {
	if o, ok := s.GetCached(k); ok {
		return o, nil
	}
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
	if st.sealed != nil {
		s.cache.fill(recordKey(k), st.sealed, at)
	}
	return st.record.Object, st.err
}

// GetCached is Get for an object that is in memory, and never blocks. ok is false if it is not there,
// which says nothing of the database.
func (s *Store) GetCached(k Key) (o vclock.Object, ok bool) {
	st := s.readCached(k)
	if st.size == 0 {
		return vclock.Object{}, false
	}
	s.stats.gets.Add(1)
	return st.record.Object, true
}

// Put queues a client write and returns at once. The outcome goes to p.Done, on the committer's
// goroutine; or before Put returns if it is refused with ErrClosed, ErrFenced or ErrBusy; or on
// another one if the store fences while the write waits. Later outcomes are *TooLargeError,
// *TooManySiblingsError, ErrHintsFull (wrapped) and ErrFenced. The callbacks must not block and must not call Close.
func (s *Store) Put(p Put) {
	s.submit(&op{
		kind: opPut, key: p.Key, write: p.Write, minted: p.Minted, donePut: p.Done,
		size: writeSize(&p.Write) + int64(keyBytes(p.Key)),
	})
}

// Merge queues a replicated object and returns at once; see Put. It is never refused for size, but a
// hint may find no room (ErrHintsFull).
func (s *Store) Merge(m Merge) {
	s.submit(&op{
		kind: opMerge, key: m.Key, object: m.Object, doneMerge: m.Done,
		size: int64(m.Object.Size()+keyBytes(m.Key)) + opOverheadBytes,
	})
}

// Drop queues the deletion of a record and returns at once; see Put for when d.Done is called. It is
// applied in the order of the queue, so that nothing can change the record between the comparison and
// the deletion.
func (s *Store) Drop(d Drop) {
	s.submit(&op{
		kind: opDrop, key: d.Key, digest: d.Digest, doneDrop: d.Done,
		size: int64(keyBytes(d.Key)) + opOverheadBytes,
	})
}

func (s *Store) submit(o *op) {
	if err := checkOp(o); err != nil {
		o.fail(err)
		return
	}
	if err := s.queue.push(o); err != nil {
		if errors.Is(err, ErrBusy) {
			s.stats.busy.Add(1)
		}
		o.fail(err)
	}
}

// checkOp refuses what must never reach the database.
func checkOp(o *op) error {
	if o.kind == opMark {
		return nil
	}
	if n := len(o.key.Name); n == 0 || n > maxNameBytes {
		return fmt.Errorf("storage: a name has 1 to %d bytes, not %d", maxNameBytes, n)
	}
	if n := len(o.key.Hint); n > maxHintBytes {
		return fmt.Errorf("storage: an owner of hints is named by at most %d bytes, not %d", maxHintBytes, n)
	}
	// Such a sibling is refused by every decoder: stored, it would be a corrupt record.
	if w := &o.write; w.Expiry < 0 || w.Deleted && len(w.Value) > 0 {
		return errors.New("storage: a write has no negative expiry, and a tombstone no value")
	}
	return nil
}

// noteDamage counts and logs a record that was found corrupt, and tells who wants to know.
func (s *Store) noteDamage(k Key, st stored) {
	if st.err == nil {
		return
	}
	s.stats.corrupt.Add(1)
	s.log.Error("record is corrupt", "partition", k.Partition, "key", k.Name, "hint", k.Hint, "err", st.err)
	if k.Hint != "" {
		return
	}
	// A sound copy in the cache would make the merge that brings the object back look like one that
	// changes nothing, and the disk would stay as it is.
	s.cache.forget(recordKey(k))
	if s.cfg.Damaged != nil {
		s.cfg.Damaged(k)
	}
}
