package storage

import (
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// The shape of the Badger database. Memory and the floor of free space follow from these.
const (
	// memTables is how many full memtables may wait for their flush. With the one being filled and
	// the one being flushed, memTables+2 exist at most.
	memTables = 2
	// defaultMemTableBytes is small because a flush is a burst: it takes a processor and then the
	// disk, and the writes meanwhile wait. With 32 MiB they waited for 0.3 s.
	defaultMemTableBytes = 8 * mib
	// memTableSpread is by what part of its least size a memtable may be larger. Replicas take the
	// same writes: with memtables of one size all of them flush at the same moment, and no quorum
	// hides it. So each owner's store has a size of its own, the same in all lives: logs of another
	// size cost a longer start, see replayOddLogs.
	memTableSpread = 2
	// level0Tables start a compaction, level0Stall of them stop flushes until it is done. A table
	// of level 0 is a flushed memtable. So many, because a compaction should bring as much as the base
	// level holds: rewriting tables costs more than all else that a write does. A read asks each
	// table's bloom filter, 0.1 us.
	level0Tables = 20
	level0Stall  = 40
	compactors   = 2 // Badger's least

	levelMultiplier = 10
	tableMultiplier = 2
	// The least size of tables and of the base level: what they are for small memtables.
	minTableBytes = 2 * mib
	minLevelBytes = 10 * mib

	// badgerTxnPercent is Badger's limit of a transaction in percent of a memtable.
	badgerTxnPercent = 15
	// badgerNodeBytes is what a transaction's bytes are divided by to bound its entries: the
	// size of a skip list node, generously.
	badgerNodeBytes = 128
	// entryOverheadBytes is generously what Badger counts per entry besides key and value.
	entryOverheadBytes = 32
	// maxInlineBytes is the largest value of one entry; larger records go in chunks. Badger would
	// move values of 1 MiB to its value log, whose sync errors it only logs.
	maxInlineBytes = 512 << 10
)

// limits are the sizes that follow from a memtable's.
type limits struct {
	txnBytes   int64 // of one transaction, under Badger's limit
	txnEntries int
	inline     int // largest value of one entry
}

func newLimits(memTableBytes int64) limits {
	badgers := memTableBytes * badgerTxnPercent / 100
	txn := badgers * 8 / 10
	return limits{
		txnBytes:   txn,
		txnEntries: int(badgers / badgerNodeBytes * 8 / 10),
		// A third, so that a transaction has room for a chunk beside names of the largest size.
		inline: int(min(maxInlineBytes, txn/3)),
	}
}

// tableBytes returns the size of tables of the base level. Badger takes 3 MiB to build the index of
// any table, so small ones are dear; large ones take memory and, for compactions, free disk space.
func tableBytes(memTableBytes int64) int64 { return max(minTableBytes, memTableBytes/2) }

// levelBytes returns the size up to which a level takes in level 0 directly: about what a compaction of
// level 0 brings, so that half of what it rewrites is new. A smaller one would mean one level more
// below, and all data is rewritten once more per level.
func levelBytes(memTableBytes int64) int64 { return max(minLevelBytes, memTableBytes*16) }

// spreadMemTable returns the size of memtables that an owner's store has, at least the given one; nobody's
// has that one.
func spreadMemTable(memTableBytes int64, owner string) int64 {
	if owner == "" {
		return memTableBytes
	}
	h := fnv.New64a()
	h.Write([]byte(owner)) // never fails
	return memTableBytes + int64(h.Sum64()%uint64(memTableBytes/memTableSpread))
}

// largestMemTable returns the size that spreadMemTable stays below.
func largestMemTable(memTableBytes int64) int64 { return memTableBytes + memTableBytes/memTableSpread }

// badgerOptions sets every size that Badger has.
//
// Compression is off and blocks are not verified by Badger: a compaction that meets an unreadable
// block drops the rest of its table without an error, so a flipped bit would cost megabytes
// silently. Left alone, it costs the record that it hit, which our own checksum finds. Without
// compression blocks are read in place from the mapped file, so a block cache would hold nothing
// but descriptors.
func badgerOptions(cfg Config, logger badger.Logger) badger.Options {
	o := badger.DefaultOptions(cfg.Dir)
	o.SyncWrites = cfg.Durability == Fsync && !ownSync
	o.NumVersionsToKeep = 1
	o.DetectConflicts = false // there is one writer
	o.MetricsEnabled = false
	o.Logger = logger

	o.MemTableSize = spreadMemTable(cfg.MemTableBytes, cfg.Owner)
	o.NumMemtables = memTables
	o.NumLevelZeroTables = level0Tables
	o.NumLevelZeroTablesStall = level0Stall
	o.NumCompactors = compactors
	o.BaseTableSize = tableBytes(cfg.MemTableBytes)
	o.BaseLevelSize = levelBytes(cfg.MemTableBytes)
	o.LevelSizeMultiplier = levelMultiplier
	o.TableSizeMultiplier = tableMultiplier
	o.MaxLevels = 7
	o.CompactL0OnClose = false
	o.LmaxCompaction = false

	o.Compression = options.None
	o.ChecksumVerificationMode = options.NoVerification
	o.BlockSize = 4 << 10
	o.BloomFalsePositive = 0.01
	o.BlockCacheSize = 0
	o.IndexCacheSize = 0 // indices are read in place from the mapped tables

	// The value log exists but stays empty: every value is below the threshold.
	o.ValueThreshold = min(1*mib, cfg.MemTableBytes*badgerTxnPercent/100)
	o.ValueLogFileSize = 1 * mib
	o.ValueLogMaxEntries = 1 << 20
	return o
}

// badgerLogger passes Badger's messages on. Badger retries a failing flush for ever and ignores a
// failing sync of its value log, with nothing but an error message to tell: so each error message
// is also given to failed.
type badgerLogger struct {
	logger *slog.Logger
	failed func(error)
}

func (b badgerLogger) Errorf(format string, args ...any) {
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	b.logger.Error("badger reports an error", "text", text)
	b.failed(fmt.Errorf("badger: %s", text))
}

func (b badgerLogger) Warningf(format string, args ...any) {
	b.logger.Warn("badger warns", "text", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (b badgerLogger) Infof(format string, args ...any) {
	b.logger.Debug("badger", "text", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (b badgerLogger) Debugf(format string, args ...any) {} // several per transaction
