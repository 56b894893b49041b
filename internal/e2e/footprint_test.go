package e2e

import (
	"debug/elf"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// maxIdleBytes is what an idle node may have in memory.
const maxIdleBytes = 150 << 20

// checkIdleMemory checks the resident memory of nodes that have just become ready.
func checkIdleMemory(t *testing.T, pids []string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Log("the memory of another process is looked at on Linux only")
		return
	}
	largest := int64(0)
	for _, pid := range pids {
		size, err := resident(pid)
		if err != nil {
			t.Fatal(err)
		}
		if largest = max(largest, size); size > maxIdleBytes {
			t.Errorf("the idle node with pid %s has %d MiB in memory, at most %d are wanted", pid, size>>20, maxIdleBytes>>20)
		}
	}
	t.Attr("idle_node_resident_mib", strconv.FormatInt(largest>>20, 10))
}

// resident returns the resident memory of a process in bytes.
func resident(pid string) (int64, error) {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("memory of process %s: %w", pid, err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("process %s has no memory: %s", pid, status)
}

// TestStatic: the binary needs no loader and no library of the system.
func TestStatic(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("binaries of other systems than Linux always load the system's library")
	}
	f, err := elf.Open(lab.Binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary has a program header of type %v", p.Type)
		}
	}
	if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
		t.Errorf("the binary needs %v, %v", libs, err)
	}
}
