package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

const (
	logSuffix = ".mem"
	pageBytes = 4096
	// copyTries bounds how often a copy is begun anew because tables came or went meanwhile.
	copyTries = 100
)

// CrashCopy copies the database directory src, which this process has open, to dst as a power cut
// at this moment would leave it; dst is made if it does not exist and must be empty. The same seed
// on the same state makes the same copy. Errors wrap errors.ErrUnsupported where the kernel cannot
// tell what is synced.
func CrashCopy(src, dst string, seed uint64) error {
	return copyWhole(src, dst, func() error {
		random := rand.New(rand.NewPCG(seed, seed))
		// Before the logs are read: then what is synced in between is at worst taken for unsynced,
		// and it was acknowledged later than what the caller knows of.
		dirty, err := dirtyPages(src)
		if err != nil {
			return err
		}
		return copyFiles(src, dst, func(path string, log []byte) []byte { return cut(log, dirty[path], random) })
	})
}

// KillCopy is CrashCopy for a killed process instead of a power cut: all that was written is there,
// synced or not. It works on every system.
func KillCopy(src, dst string) error {
	return copyWhole(src, dst, func() error {
		return copyFiles(src, dst, func(_ string, log []byte) []byte { return log })
	})
}

// Unsynced returns how many bytes of the logs in src this process has written since their last
// sync, in whole pages.
func Unsynced(src string) (int64, error) {
	dirty, err := dirtyPages(src)
	if err != nil {
		return 0, err
	}
	pages := 0
	for path, n := range dirty {
		if strings.HasSuffix(path, logSuffix) {
			pages += n
		}
	}
	return int64(pages) * pageBytes, nil
}

// copyWhole has copy make dst until it saw one state of src: Badger makes and deletes tables, and
// names them in its manifest, at any time.
func copyWhole(src, dst string, copy func() error) error {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	for range copyTries {
		before, err := listing(src)
		if err == nil {
			err = copy()
		}
		after := ""
		if err == nil {
			after, err = listing(src)
		}
		switch {
		case err == nil && after == before:
			return nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := empty(dst); err != nil {
			return err
		}
	}
	return fmt.Errorf("copy %s: tables came and went at each of %d tries", src, copyTries)
}

func copyFiles(src, dst string, edit func(path string, log []byte) []byte) error {
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(src, e.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		size := len(data)
		if strings.HasSuffix(e.Name(), logSuffix) {
			data = edit(path, data)
		}
		data = bytes.TrimRight(data, "\x00") // logs are sparse, and so are their copies
		to := filepath.Join(dst, e.Name())
		if err := errors.Join(os.WriteFile(to, data, 0o644), os.Truncate(to, int64(size))); err != nil {
			return err
		}
	}
	return nil
}

// cut returns of a log what a power cut leaves when its last dirty pages are not synced.
func cut(log []byte, dirty int, random *rand.Rand) []byte {
	if len(log) < logHeaderBytes {
		return log
	}
	lastTxn, end := scanLog(log)
	if dirty == 0 {
		// All is synced. The next batch may have begun to reach the disk: a part of it, without
		// its end, follows. An older part of the log stands for it.
		torn := random.IntN(min(end, 2*pageBytes))
		if fits := min(torn, end-logHeaderBytes, len(log)-end); fits > 0 {
			copy(log[end:], log[logHeaderBytes:logHeaderBytes+fits])
		}
		return log
	}
	border := lastTxn
	if pages := (end-1)/pageBytes - lastTxn/pageBytes + 1; pages < dirty {
		border = max(logHeaderBytes, ((end-1)/pageBytes-dirty+1)*pageBytes)
	}
	for at := border; at < len(log) && at < end+pageBytes; {
		next := min((at/pageBytes+1)*pageBytes, len(log))
		if random.IntN(2) == 0 {
			clear(log[at:next])
		}
		at = next
	}
	return log
}

// listing describes the files of a directory so that a change of tables or manifest shows.
func listing(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&text, e.Name(), info.Size())
	}
	return text.String(), nil
}

func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
	}
	return err
}
