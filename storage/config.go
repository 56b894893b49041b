package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Durability says when a write is acknowledged.
type Durability uint8

const (
	// Fsync acknowledges a write when it is on the disk. It is the default.
	Fsync Durability = iota
	// OS acknowledges a write when it is in the operating system's page cache: it survives a
	// crash of the process, not one of the machine.
	OS
)

// String returns the name used in configuration: "fsync" or "os".
func (d Durability) String() string {
	if d == OS {
		return "os"
	}
	return "fsync"
}

const (
	mib = 1 << 20

	// minMemTableBytes keeps a Badger transaction (15 % of it) large enough for a name and a chunk.
	minMemTableBytes = 1 * mib
	// maxMemTableBytes keeps a table and a write-ahead log (twice as long) within 32-bit offsets.
	maxMemTableBytes = 512 * mib
)

// Config configures a Store. A zero field means its default.
type Config struct {
	// Dir is the directory of the database; it is created. Required.
	Dir string
	// Durability is Fsync by default.
	Durability Durability
	// Run names this life of the process in the dots it mints: 64 random bits. 0 draws them. The
	// run of the directory's former life is refused; an even older one would repeat dots.
	Run uint64

	// Owner names the node whose objects these are; the database remembers it and refuses another
	// one. Empty: nobody in particular.
	Owner string
	// MustExist refuses a directory without a database that Owner has used before: it is set when
	// the owner knows that it has stored something.
	MustExist bool

	// MemTableBytes is the least size of one Badger memtable, 8 MiB by default; each owner's store
	// has up to half more. It scales memory (at most 4 memtables at 2 times this, and the building of
	// tables), the largest transaction (15 % of it), the sizes of tables and levels, and the floor of
	// free space. Each life may have another one.
	MemTableBytes int64
	// CacheBytes bounds what is kept in memory of the records that were written or read last: 32 MiB
	// by default. It is no condition for anything but speed.
	CacheBytes int64
	// MinFreeBytes raises the floor of free disk space under which the store fences itself. The
	// floor is never lower than what the database may need to come to rest, see Stats.FloorBytes.
	MinFreeBytes int64

	// MaxValueBytes, MaxObjectBytes (encoded, with all siblings) and MaxSiblings limit puts:
	// 1 MiB, 16 MiB and 100 by default. Merges are never refused for size.
	MaxValueBytes  int64
	MaxObjectBytes int64
	MaxSiblings    int

	// MaxHintBytes bounds what the hints of all owners take, as Hints counts it: 1 GiB by default. A
	// Put or Merge that would make them grow beyond it fails with ErrHintsFull; nothing else does.
	MaxHintBytes int64

	// MaxQueueOps and MaxQueueBytes bound the operations that wait or are being committed, and
	// with them memory: 16384 and 32 MiB by default. Beyond, operations fail with ErrBusy. One
	// operation is always accepted, however large.
	MaxQueueOps   int
	MaxQueueBytes int64

	// CommitTimeout is how long one batch may take before the disk counts as hung and the store
	// fences itself; 30 s by default.
	CommitTimeout time.Duration

	// Changed, if not nil, is told of each own record (no hint) that a batch changed, after the batch
	// is durable and read by everybody, before any of its operations is answered. It is called on the
	// batch writer's goroutine, beside other callbacks but never beside a Scan's Began. It must not
	// block or call Close, and what it takes is added to the latency of every write.
	Changed func(Change)
	// Damaged, if not nil, is told each time an own record (no hint) is found corrupt: before the
	// reader gets its answer, and before a write over that record is acknowledged. From then on this
	// node may lack values of the partition that it acknowledged. A Key without Name stands for an
	// unknown record of the partition. It is called from any goroutine and must not block or call
	// the store.
	Damaged func(Key)

	// Commit, FreeBytes and Now, if not nil, stand for the machine in simulations. Commit is called
	// by the batch writer to make each transaction durable, by calling store: it may take its time, or
	// fail before or after that. FreeBytes says what is free on the disk, Now what time it is.
	Commit    func(store func() error) error
	FreeBytes func() int64
	Now       func() time.Time

	// Logger receives changes of state and damage found; nil discards them.
	Logger *slog.Logger
}

// WithDefaults returns the configuration with every zero field set to its default. Run stays.
func (c Config) WithDefaults() Config {
	setDefault(&c.MemTableBytes, defaultMemTableBytes)
	setDefault(&c.CacheBytes, 32*mib)
	setDefault(&c.MaxValueBytes, 1*mib)
	setDefault(&c.MaxObjectBytes, 16*mib)
	setDefault(&c.MaxSiblings, 100)
	setDefault(&c.MaxHintBytes, 1<<30)
	setDefault(&c.MaxQueueOps, 16384)
	setDefault(&c.MaxQueueBytes, 32*mib)
	setDefault(&c.CommitTimeout, 30*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T ~int | ~int64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Validate reports every problem of a configuration that has its defaults.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("storage: "+format, args...))
		}
	}
	check(c.Dir != "", "the directory is not set")
	check(c.Durability <= OS, "durability %d is unknown", c.Durability)
	check(c.MemTableBytes >= minMemTableBytes && c.MemTableBytes <= maxMemTableBytes,
		"memtable of %d bytes is not within %d and %d", c.MemTableBytes, minMemTableBytes, maxMemTableBytes)
	check(c.CacheBytes > 0, "cache of %d bytes is not positive", c.CacheBytes)
	check(c.MinFreeBytes >= 0, "floor of %d free bytes is negative", c.MinFreeBytes)
	check(c.MaxValueBytes > 0, "value limit %d is not positive", c.MaxValueBytes)
	check(c.MaxObjectBytes > 0, "object limit %d is not positive", c.MaxObjectBytes)
	check(c.MaxSiblings > 0, "sibling limit %d is not positive", c.MaxSiblings)
	check(c.MaxHintBytes > 0, "hint space of %d bytes is not positive", c.MaxHintBytes)
	check(c.MaxQueueOps > 0, "queue of %d operations is not positive", c.MaxQueueOps)
	check(c.MaxQueueBytes > 0, "queue of %d bytes is not positive", c.MaxQueueBytes)
	check(c.CommitTimeout > 0, "commit timeout %v is not positive", c.CommitTimeout)
	return errors.Join(errs...)
}
