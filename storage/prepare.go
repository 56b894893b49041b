package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// prepareDir makes the database directory, or brings the one of a former life to a state from which
// Badger can start without a lie.
//
// After a killed process the page cache holds log entries that no sync covers. Replayed, they would
// be read, and merges that find nothing new be acknowledged, although a power cut could still take
// them away. So all logs are synced first.
//
// Badger removes a log by truncating it to nothing and then unlinking it, and makes one the other way
// round. After a crash in between it refuses to start over the empty file. There is nothing in such
// a file, so it goes.
func prepareDir(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make database directory: %w", err)
		}
		if err := syncPath(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read database directory: %w", err)
	}
	for _, e := range entries {
		if suffix := filepath.Ext(e.Name()); suffix != walSuffix && suffix != valueLogSuffix {
			continue
		}
		path := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("read database directory: %w", err)
		}
		if info.Size() == 0 {
			err = os.Remove(path)
		} else {
			err = syncPath(path)
		}
		if err != nil {
			return fmt.Errorf("prepare log: %w", err)
		}
	}
	return syncPath(dir)
}

// syncPath makes a file's content or a directory's entries durable.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}
