package storagetest

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Bounds of a Bare. A batch of the largest number of values of some KiB fits into one transaction.
const (
	bareBatch   = 1024
	bareWaiting = 16384
)

// errBareClosed and errBareFull are what a write that is not taken gets.
var (
	errBareClosed = errors.New("storagetest: the bare store is closed")
	errBareFull   = fmt.Errorf("storagetest: %d writes wait; let some of them finish first", bareWaiting)
)

// Bare is Badger as a store needs it at least: one goroutine that commits what waits in one
// transaction with one sync, a read of each key before its write, and reads beside it. What it costs
// is the yardstick for what a store costs. All methods are safe for concurrent use.
type Bare struct {
	db *badger.DB

	mu      sync.Mutex
	filled  sync.Cond // signalled when waiting is not empty, or closed
	waiting []bareWrite
	closed  bool
	limit   int // of a batch
	batches int64
	writes  int64

	done    chan struct{} // closed when the committing goroutine has ended
	closing sync.Once
}

type bareWrite struct {
	key, value []byte
	done       func(error)
}

// OpenBare opens a bare store in a directory, with the sizes that a store has by default.
func OpenBare(dir string) (*Bare, error) {
	db, err := badger.OpenManaged(BareOptions(dir))
	if err != nil {
		return nil, fmt.Errorf("open bare store in %s: %w", dir, err)
	}
	b := &Bare{db: db, limit: bareBatch, done: make(chan struct{})}
	b.filled.L = &b.mu
	go func() {
		defer close(b.done)
		b.commitAll()
	}()
	return b, nil
}

// BareOptions returns every option of Badger that a store sets by default, but the logger. Package
// storage cannot be imported here, as its own tests import this package; one of them compares.
func BareOptions(dir string) badger.Options {
	const mib = 1 << 20
	o := badger.DefaultOptions(dir)
	o.SyncWrites = true
	o.NumVersionsToKeep = 1
	o.DetectConflicts = false
	o.MetricsEnabled = false
	o.Logger = nil

	o.MemTableSize = 8 * mib
	o.NumMemtables = 2
	o.NumLevelZeroTables = 20
	o.NumLevelZeroTablesStall = 40
	o.NumCompactors = 2
	o.BaseTableSize = 4 * mib
	o.BaseLevelSize = 128 * mib
	o.LevelSizeMultiplier = 10
	o.TableSizeMultiplier = 2
	o.MaxLevels = 7
	o.CompactL0OnClose = false
	o.LmaxCompaction = false

	o.Compression = options.None
	o.ChecksumVerificationMode = options.NoVerification
	o.BlockSize = 4 << 10
	o.BloomFalsePositive = 0.01
	o.BlockCacheSize = 0
	o.IndexCacheSize = 0

	o.ValueThreshold = 1 * mib
	o.ValueLogFileSize = 1 * mib
	o.ValueLogMaxEntries = 1 << 20
	return o
}

// Put queues a write and returns at once. done is called once, on the committing goroutine, when the
// value is on the disk or the batch has failed; it must not block. Before Put returns it is called
// with an error if the store is closed or too many writes wait. The slices are kept until then.
func (b *Bare) Put(key, value []byte, done func(error)) {
	if err := b.push(bareWrite{key, value, done}); err != nil {
		done(err)
	}
}

func (b *Bare) push(w bareWrite) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return errBareClosed
	case len(b.waiting) >= bareWaiting:
		return errBareFull
	}
	if b.waiting = append(b.waiting, w); len(b.waiting) == 1 {
		b.filled.Signal()
	}
	return nil
}

// take waits for writes and moves up to a batch of them to batch; none once the store is closed.
func (b *Bare) take(batch []bareWrite) []bareWrite {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.waiting) == 0 && !b.closed {
		b.filled.Wait()
	}
	n := min(len(b.waiting), b.limit)
	batch = append(batch[:0], b.waiting[:n]...)
	rest := copy(b.waiting, b.waiting[n:])
	clear(b.waiting[rest:])
	b.waiting = b.waiting[:rest]
	if n > 0 {
		b.batches++
		b.writes += int64(n)
	}
	return batch
}

// commitAll commits batches, each of what waits when the one before it is answered.
func (b *Bare) commitAll() {
	var batch []bareWrite
	var old []byte // the value last read, to be read over
	for at := b.db.MaxVersion() + 1; ; at++ {
		runtime.Gosched() // as a store does: who was just answered may write once more
		if batch = b.take(batch); len(batch) == 0 {
			return
		}
		var err error
		old, err = b.commit(batch, at, old)
		for _, w := range batch {
			w.done(err)
		}
	}
}

// commit reads and writes the keys of a batch in one transaction. It returns the buffer old, grown.
func (b *Bare) commit(batch []bareWrite, at uint64, old []byte) ([]byte, error) {
	txn := b.db.NewTransactionAt(at-1, true)
	defer txn.Discard()
	for _, w := range batch {
		var err error
		if old, err = read(txn, w.key, old); err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
			return old, fmt.Errorf("read before a write: %w", err)
		}
		if err := txn.Set(w.key, w.value); err != nil {
			return old, fmt.Errorf("add to transaction: %w", err)
		}
	}
	if err := txn.CommitAt(at, nil); err != nil {
		return old, fmt.Errorf("commit: %w", err)
	}
	b.db.SetDiscardTs(at) // no reader looks for an older version: see Get
	return old, nil
}

// Get returns a copy of the newest value of a key, nil if it has none. It does not wait for writes;
// one that is not durable yet may be seen.
func (b *Bare) Get(key []byte) ([]byte, error) {
	txn := b.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	value, err := read(txn, key, nil)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", key, err)
	}
	return value, nil
}

// read appends the value of a key to the empty into, which it also returns with an error.
func read(txn *badger.Txn, key, into []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if err != nil {
		return into, err
	}
	return item.ValueCopy(into)
}

// Limit makes n, 1 to 1024, the largest batch from the next one on; it is 1024 at first. So a store's
// batches, smaller because its writers have more to do than to write, can be measured here.
func (b *Bare) Limit(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = max(1, min(n, bareBatch))
}

// Batches returns how many batches were taken up so far, and the writes in all of them.
func (b *Bare) Batches() (batches, writes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.batches, b.writes
}

// Close waits for the writes that were accepted and closes the database. It may be called again, with
// no error then; no Get may be under way.
func (b *Bare) Close() (err error) {
	b.closing.Do(func() {
		b.mu.Lock()
		b.closed = true
		b.filled.Broadcast()
		b.mu.Unlock()
		<-b.done
		err = b.db.Close()
	})
	return err
}
