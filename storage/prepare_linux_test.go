package storage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cartwheel/storage/storagetest"

	"golang.org/x/sys/unix"
)

// What a killed process had written and not synced must be durable before it is read again: else a
// merge would be acknowledged on the strength of bytes that a power cut can take away.
func TestLogsOfAKilledProcessAreSyncedBeforeReplay(t *testing.T) {
	dir := t.TempDir()
	cfg := small(dir)
	cfg.Durability = OS
	s := mustOpen(t, cfg)
	mustPut(t, s, key("k"), blind(large(10_000, "v")))
	killed := copyDir(t, dir) // written just now, so in the page cache only
	entries, err := os.ReadDir(killed)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), walSuffix) {
			touch(t, filepath.Join(killed, e.Name()))
		}
	}
	unsynced := func() int64 {
		n, err := storagetest.Unsynced(killed)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if unsynced() == 0 {
		t.Skip("the system has synced the logs by itself already")
	}
	if err := prepareDir(killed); err != nil {
		t.Fatal(err)
	}
	if n := unsynced(); n != 0 {
		t.Errorf("%d bytes are still not synced", n)
	}
}

// touch maps a file and reads it, so that the kernel reports on its pages.
func touch(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(data) })
	sum := byte(0)
	for at := 0; at < len(data); at += os.Getpagesize() {
		sum ^= data[at]
	}
	t.Logf("%s sums to %d", path, sum) // or the compiler would leave out the reading
}
