package storage

import (
	"fmt"
	"os"
	"strings"
)

// Badger writes its logs and tables through sparse memory-mapped files. On a full disk such a write
// is not an error but a SIGBUS, which ends the process. So the store stops while there is still
// room for everything that Badger may write without being asked:
//
//   - the log pages of one transaction;
//   - one table that is being flushed. The logs of all memtables are on the disk already, and each
//     is freed when its table is complete, so flushing many needs no more than flushing one;
//   - the output of the compactions under way, which exists beside their input until it is
//     complete: see compactionRoom. Their input can be all tables, with those of the memtables.
//
// Logs need no more room than that: their pages are taken when a transaction touches them, and each
// transaction is preceded by a check.

// tableRoom is what the table of one memtable takes on disk: Badger fills a memtable up to one
// transaction beyond its size; index and bloom filter add a few percent.
func tableRoom(memTableBytes int64) int64 { return largestMemTable(memTableBytes) * 5 / 4 }

// compactionRoom is what compactions can need beside tables bytes of tables. All that run at once
// have distinct inputs and no more output than input, so a small database needs at most its own
// size. A large one compacts in parts:
//
//   - level 0 into the base level: level 0 (which stalls at level0Stall tables) and as much again
//     in the base level, twice if Badger merges level 0 into itself meanwhile;
//   - one table of a level with those below that it overlaps: with levels ten times larger and
//     tables twice larger, five on average; 20 are assumed, once per compactor.
//
// The first bound is exact, the second generous but not proven: keys can be distributed so that
// one table overlaps a whole level.
func compactionRoom(tables, memTableBytes int64) int64 {
	const overlap = 20
	lowest, baseLevel := tableBytes(memTableBytes), levelBytes(memTableBytes)
	for size := tables; size > baseLevel; size /= levelMultiplier {
		lowest *= tableMultiplier
	}
	parts := 2*level0Stall*tableRoom(memTableBytes) + baseLevel + compactors*(1+overlap)*lowest
	return min(tables, parts)
}

// floorFor returns the free space below which nothing is written when the tables take this much.
func (s *Store) floorFor(tables int64) int64 { return s.roomFor(tables, s.cfg.MemTableBytes) }

// roomFor is floorFor for memtables of another size.
func (s *Store) roomFor(tables, memTable int64) int64 {
	unflushed := (memTables + 2) * tableRoom(memTable)
	room := s.limits.txnBytes*5/4 + tableRoom(memTable) + compactionRoom(tables+unflushed, memTable)
	return max(room, s.cfg.MinFreeBytes)
}

// floor returns the present floor. The tables are measured only now and then (walking all of them
// costs more than a transaction), so what was written since counts as if it were tables.
func (s *Store) floor() int64 { return s.floorFor(s.tables.Load() + s.unmeasured.Load()) }

// measureTables asks Badger for the size of all tables. The database must be open.
func (s *Store) measureTables() {
	written := s.unmeasured.Load()
	var n int64
	for _, level := range s.db.Levels() {
		n += level.Size
	}
	s.tables.Store(n)
	s.unmeasured.Add(-written)
}

// checkSpace returns an error if the free space is below the floor, or cannot be known.
func (s *Store) checkSpace() error { return s.checkSpaceFor(s.floor()) }

func (s *Store) checkSpaceFor(floor int64) error {
	free, err := s.hooks.free(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", s.cfg.Dir, err)
	}
	if free < floor {
		return fmt.Errorf("the disk of %s has %s free and the database needs up to %s to come to rest; free some space",
			s.cfg.Dir, megabytes(free), megabytes(floor))
	}
	return nil
}

// checkRoomToStart is checkSpace before the database is open: opening replays logs and begins to
// flush and compact at once.
func (s *Store) checkRoomToStart() error {
	tables, err := tableFiles(s.cfg.Dir)
	if err != nil {
		return err
	}
	s.tables.Store(tables)
	if err := s.checkSpace(); err != nil {
		return fmt.Errorf("storage: refuses to start: %w", err)
	}
	return nil
}

// roomToClose returns an error if Badger's last flush could run out of disk.
func (s *Store) roomToClose() error {
	free, err := s.hooks.free(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", s.cfg.Dir, err)
	}
	if need := (memTables + 2) * tableRoom(s.cfg.MemTableBytes); free < need && s.Fenced() != nil {
		return fmt.Errorf("storage: the disk of %s has %s free, too little to write the last table; the database is left as after a crash",
			s.cfg.Dir, megabytes(free))
	}
	return nil
}

// tableFiles returns the size of the table files in dir.
func tableFiles(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("read database directory: %w", err)
	}
	var n int64
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), tableSuffix) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return 0, fmt.Errorf("read database directory: %w", err)
		}
		n += info.Size()
	}
	return n, nil
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/mib) }
