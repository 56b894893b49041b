package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dirtyPages returns, for each file in dir that this process maps, how many pages of the map are
// written and not stored.
func dirtyPages(dir string) (map[string]int, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil, fmt.Errorf("ask for the file system of %s: %w", dir, err)
	}
	if st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC {
		return nil, fmt.Errorf("%s is on a file system in memory, which is never synced: %w", dir, errors.ErrUnsupported)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return nil, fmt.Errorf("read the process's maps: %w: %w", errors.ErrUnsupported, err)
	}
	dirty := map[string]int{}
	path := ""
	for line := range bytes.Lines(smaps) {
		fields := strings.Fields(string(line))
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"): // address, permissions, offset, device, inode, path
			path = ""
			if len(fields) == 6 && filepath.Dir(fields[5]) == real {
				path = filepath.Join(dir, filepath.Base(fields[5]))
			}
		case path != "" && len(fields) == 3 && (fields[0] == "Private_Dirty:" || fields[0] == "Shared_Dirty:"):
			kb, err := strconv.Atoi(fields[1])
			if err != nil {
				return nil, fmt.Errorf("read the process's maps: %w", err)
			}
			dirty[path] += kb * 1024 / pageBytes
		}
	}
	return dirty, nil
}
