package storage

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// logFactor is how many times a memtable's size Badger makes its log.
const logFactor = 2

// maxReplayBytes keeps the log that belongs to a memtable of this size within 32-bit offsets.
const maxReplayBytes = 1 << 30

// replayOddLogs brings logs of other sizes than this life's into tables, if an unclean stop left
// any. Badger replays each log into one memtable of the size that it is opened with, and ends the
// process if that is too small: it may be, when the store was configured with larger memtables before.
// So the database is opened once with memtables that hold anything, which writes them out, and closed.
//
// A log says by its size how large its memtable was, except one that was replayed before: that is cut
// to its content. Then its memtable took at most a few times the log, for a node of the skip list
// beside each small record; memory that stays untouched costs nothing.
func (s *Store) replayOddLogs() error {
	own := spreadMemTable(s.cfg.MemTableBytes, s.cfg.Owner)
	largest, err := largestOddLog(s.cfg.Dir, logFactor*own)
	if err != nil || largest == 0 {
		return err
	}
	size := max(own, min(logFactor*largest, maxReplayBytes))
	if err := s.checkSpaceFor(s.roomFor(s.tables.Load(), max(s.cfg.MemTableBytes, largest/logFactor))); err != nil {
		return fmt.Errorf("storage: refuses to start: %w", err)
	}
	s.log.Info("replaying logs of a life with memtables of another size", "largest_log", largest)
	db, err := s.openBadger(size)
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		return fmt.Errorf("replay old logs in %s: %w", s.cfg.Dir, err)
	}
	return nil
}

// largestOddLog returns the size of the largest log in dir that is not usual bytes long, or 0.
func largestOddLog(dir string, usual int64) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("read database directory: %w", err)
	}
	var largest int64
	for _, e := range entries {
		if filepath.Ext(e.Name()) != walSuffix {
			continue
		}
		var info fs.FileInfo
		if info, err = e.Info(); err != nil {
			return 0, fmt.Errorf("read database directory: %w", err)
		}
		if info.Size() != usual {
			largest = max(largest, info.Size())
		}
	}
	return largest, nil
}

// openBadger opens the database with memtables of the given size.
func (s *Store) openBadger(memTable int64) (*badger.DB, error) {
	// Managed mode: with Badger's own timestamps, every read would wait for the commit under way.
	o := badgerOptions(s.cfg, badgerLogger{s.log, s.noteFailure})
	o.MemTableSize = memTable
	db, err := badger.OpenManaged(o)
	if err != nil {
		return nil, fmt.Errorf("open database in %s: %w", s.cfg.Dir, err)
	}
	return db, nil
}
