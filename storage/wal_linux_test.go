package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLogsAreNotReadAhead: the kernel knows of every mapped log, the first and those that come with
// full memtables, that it is not read in order.
func TestLogsAreNotReadAhead(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	defer mustClose(t, s)
	first := adviceOf(t, s.cfg.Dir, walSuffix)
	for i := range 40 { // 2.5 MiB, more than two memtables
		mustPut(t, s, key(fmt.Sprint(i)), blind(strings.Repeat("v", 64<<10)))
	}
	later := adviceOf(t, s.cfg.Dir, walSuffix)
	if len(first) == 0 || len(later) == 0 {
		t.Fatalf("no mapped logs: %v, then %v", first, later)
	}
	for path, random := range later {
		if _, old := first[path]; old {
			t.Errorf("%s is still the log: the test writes too little", path)
		}
		if !random {
			t.Errorf("%s is read ahead", path)
		}
	}
	for path, random := range first {
		if !random {
			t.Errorf("%s, made by Open, is read ahead", path)
		}
	}
}

// The kernel knows the same of tables, those that Open finds and those that come later: of a database
// larger than the memory each read would bring in megabytes, and drive out what others need.
func TestTablesAreNotReadAhead(t *testing.T) {
	dir := t.TempDir()
	fill := func(s *Store, from int) {
		for i := range 40 { // more than two memtables
			mustPut(t, s, key(fmt.Sprint(from+i)), blind(strings.Repeat("v", 64<<10)))
		}
	}
	s := mustOpen(t, small(dir))
	fill(s, 0)
	mustClose(t, s)
	s = mustOpen(t, small(dir))
	defer mustClose(t, s)
	first := adviceOf(t, dir, tableSuffix)
	for path, random := range first {
		if !random {
			t.Errorf("%s, found by Open, is read ahead", path)
		}
	}
	fill(s, 40)
	for begun := time.Now(); ; <-time.After(20 * time.Millisecond) {
		later := adviceOf(t, dir, tableSuffix)
		random := 0
		for _, r := range later {
			if r {
				random++
			}
		}
		if len(first) > 0 && len(later) > len(first) && random == len(later) {
			return
		}
		if time.Since(begun) > 10*watchInterval {
			t.Fatalf("tables at first %v, later %v", first, later)
		}
	}
}

// adviceOf returns for each mapped file in dir whose name ends so whether the kernel was told not to read ahead.
func adviceOf(t *testing.T, dir, suffix string) map[string]bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip("the kernel does not show its mappings: ", err)
	}
	advice, path := map[string]bool{}, ""
	for line := range strings.Lines(string(maps)) {
		if at := strings.Index(line, dir+"/"); at >= 0 {
			if path = strings.TrimSpace(line[at:]); filepath.Ext(path) != suffix {
				path = ""
			}
			continue
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && path != "" {
			advice[path], path = slices.Contains(strings.Fields(flags), "rr"), ""
		}
	}
	return advice
}
