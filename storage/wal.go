package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// walSuffix ends the names of Badger's write-ahead logs, one per memtable: 00001.mem, 00002.mem, ...
const walSuffix = ".mem"

// tableSuffix ends the names of Badger's tables.
const tableSuffix = ".sst"

// valueLogSuffix ends the names of Badger's value logs, which it makes but never fills here.
const valueLogSuffix = ".vlog"

// walWatch makes commits durable. Badger could, but it maps its logs and so syncs the mappings: that
// writes the inode with each batch, for the time of its last change, and the empty value log once
// more, whose failures it only logs. Where the system lets a file be synced through a descriptor of
// our own (ownSync), that is left out: it is half of what a sync costs.
//
// It also makes the directory entries of new logs durable. Most file systems store them with the
// content, POSIX does not promise it. A write may be acknowledged only when the name of its log is
// durable, too. Modification times of the directory would not tell of a new log: they are as coarse as
// a clock tick, and a change in the tick of the former look would be missed. The next log's name is
// known instead.
type walWatch struct {
	dir   string
	log   *slog.Logger
	off   bool     // durability is the operating system's affair
	next  int      // number of the log that comes next
	path  string   // its path
	file  *os.File // the log that Badger writes, if it is ours to sync
	syncs int      // directories synced because a log had appeared
}

// watchWALs begins to watch an open database and syncs what its opening has made.
func watchWALs(dir string, durability Durability, log *slog.Logger) (*walWatch, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list logs: %w", err)
	}
	w := &walWatch{dir: dir, log: log, off: durability == OS}
	for _, e := range entries {
		number, isLog := strings.CutSuffix(e.Name(), walSuffix)
		if n, err := strconv.Atoi(number); isLog && err == nil {
			w.next = max(w.next, n)
		}
		if strings.HasSuffix(e.Name(), valueLogSuffix) {
			if err := syncPath(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	if w.next == 0 {
		return nil, fmt.Errorf("storage: the open database in %s has no log", dir)
	}
	w.advance()
	if w.off {
		return w, syncPath(dir)
	}
	return w, w.turn()
}

// sync is called after each commit and returns when it is durable. Looking for a new log costs one
// failing stat.
func (w *walWatch) sync() error {
	if w.off {
		return nil
	}
	for grown := false; ; grown = true {
		_, err := os.Lstat(w.path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && grown:
			w.syncs++
			return w.turn()
		case errors.Is(err, fs.ErrNotExist):
			return w.syncFile()
		case err != nil:
			return fmt.Errorf("look for a new log: %w", err)
		}
		w.advance()
	}
}

// advance expects the log after the next one.
func (w *walWatch) advance() {
	w.next++
	w.path = w.name(w.next)
}

func (w *walWatch) name(number int) string {
	return filepath.Join(w.dir, fmt.Sprintf("%05d%s", number, walSuffix))
}

// turn goes over to the log before the one that comes next: it makes durable what is in it, and its
// name. The log before had all of its commits synced, and no commit is in two of them.
func (w *walWatch) turn() error {
	w.calm()
	if ownSync {
		if err := w.close(); err != nil {
			return err
		}
		file, err := os.OpenFile(w.name(w.next-1), os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("open the new log: %w", err)
		}
		w.file = file
		if err := w.syncFile(); err != nil {
			return err
		}
	}
	return syncPath(w.dir)
}

func (w *walWatch) syncFile() error {
	if w.file == nil {
		return nil // Badger did it
	}
	if err := syncData(w.file); err != nil {
		return fmt.Errorf("sync the log %s: %w", w.file.Name(), err)
	}
	return nil
}

// calm is about what a sync writes: without it, all works as well.
func (w *walWatch) calm() {
	if err := calm(w.dir, walSuffix); err != nil {
		w.log.Warn("the kernel was not told to leave the log alone; syncs may write more than they need", "err", err)
	}
}

// close ends the watch; nothing may be written any more.
func (w *walWatch) close() error {
	if w == nil || w.file == nil {
		return nil
	}
	file := w.file
	w.file = nil
	if err := file.Close(); err != nil {
		return fmt.Errorf("close the log %s: %w", file.Name(), err)
	}
	return nil
}
