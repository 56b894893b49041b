package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLogsAreNotReadAhead: the kernel knows of every mapped log, the first and those that come with
// full memtables, that it is not read in order.
func TestLogsAreNotReadAhead(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	defer mustClose(t, s)
	first := adviceOfLogs(t, s.cfg.Dir)
	for i := range 40 { // 2.5 MiB, more than two memtables
		mustPut(t, s, key(fmt.Sprint(i)), blind(strings.Repeat("v", 64<<10)))
	}
	later := adviceOfLogs(t, s.cfg.Dir)
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

// adviceOfLogs returns for each mapped log in dir whether the kernel was told not to read ahead.
func adviceOfLogs(t *testing.T, dir string) map[string]bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip("the kernel does not show its mappings: ", err)
	}
	advice, path := map[string]bool{}, ""
	for line := range strings.Lines(string(maps)) {
		if at := strings.Index(line, dir+"/"); at >= 0 {
			if path = strings.TrimSpace(line[at:]); filepath.Ext(path) != walSuffix {
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
