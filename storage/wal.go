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

// valueLogSuffix ends the names of Badger's value logs, which it makes but never fills here.
const valueLogSuffix = ".vlog"

// walWatch makes the directory entries of new write-ahead logs durable. Badger syncs the content
// of a log but not the directory that names it; most file systems store both together, POSIX does
// not promise it. A write may be acknowledged only when the name of its log is durable, too.
//
// Modification times of the directory would not do: they are as coarse as a clock tick, and a
// change in the tick of the former look would be missed. The next log's name is known instead.
type walWatch struct {
	dir   string
	log   *slog.Logger
	off   bool   // durability is the operating system's affair
	next  int    // number of the log that comes next
	path  string // its path
	syncs int    // directories synced because a log had appeared
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
	}
	if w.next == 0 {
		return nil, fmt.Errorf("storage: the open database in %s has no log", dir)
	}
	w.advance()
	if !w.off {
		w.calm()
	}
	return w, syncPath(dir)
}

// calm is about what a sync writes: without it, all works as well.
func (w *walWatch) calm() {
	if err := calmLogs(w.dir); err != nil {
		w.log.Warn("the kernel was not told to leave the log alone; syncs may write more than they need", "err", err)
	}
}

func (w *walWatch) advance() {
	w.next++
	w.path = filepath.Join(w.dir, fmt.Sprintf("%05d%s", w.next, walSuffix))
}

// sync is called after each commit; it costs one failing stat unless there is a new log.
func (w *walWatch) sync() error {
	if w.off {
		return nil
	}
	for grown := false; ; grown = true {
		_, err := os.Lstat(w.path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && grown:
			w.calm()
			w.syncs++
			return syncPath(w.dir)
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return fmt.Errorf("look for a new log: %w", err)
		}
		w.advance()
	}
}
