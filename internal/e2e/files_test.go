package e2e

import (
	"errors"
	"os"
	"testing"
)

// errStillRunning is what checks say of a process that should have ended.
var errStillRunning = errors.New("it is still running")

// readDir returns the names in a directory.
func readDir(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
