package storage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"cartwheel/vclock"
)

// Badger replays a log into one memtable and ends the process ("Arena too small") if that is smaller
// than the log's was. Found by a simulated history, when each life drew a size. Records are as small
// as they get: a memtable takes the most beside its log.
func TestLogsOfLargerMemTables(t *testing.T) {
	const writes, atOnce = 30000, 1000
	name := func(i int) Key { return key(fmt.Sprint(i)) }
	dir := t.TempDir()
	cfg := small(dir)
	cfg.MemTableBytes = 16 * mib
	s := mustOpen(t, cfg)
	done := make(chan error, atOnce)
	for i := 0; i < writes; i += atOnce {
		for j := range atOnce {
			s.Put(Put{Key: name(i + j), Write: blind(""), Done: func(_ vclock.Object, err error) { done <- err }})
		}
		for range atOnce {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	killed := copyDir(t, dir)
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprint("cut by a former replay=", cut), func(t *testing.T) {
			dir := copyDir(t, killed)
			if cut {
				cutLogs(t, dir)
			}
			s := mustOpen(t, small(dir))
			for i := range writes {
				if o := mustGet(t, s, name(i)); len(o.Siblings) != 1 {
					t.Fatalf("%d has %d siblings", i, len(o.Siblings))
				}
			}
			if odd, err := largestOddLog(dir, logFactor*mib); err != nil || odd != 0 {
				t.Errorf("a log of %s is left: %v", megabytes(odd), err)
			}
		})
	}
}

// cutLogs cuts each log to its content, as Badger does once it has replayed it.
func cutLogs(t *testing.T, dir string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "*"+walSuffix))
	if err != nil || len(logs) == 0 {
		t.Fatal("no logs: ", err)
	}
	for _, path := range logs {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, int64(len(bytes.TrimRight(content, "\x00")))); err != nil {
			t.Fatal(err)
		}
	}
}
