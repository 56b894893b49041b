package storage

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cartwheel/vclock"

	"golang.org/x/sys/unix"
)

// The full disk is a small tmpfs. Whoever fills it is a child process (this test binary again), as
// what happens on a full disk without a floor is the end of the process.
const (
	fullDiskDir   = "CARTWHEEL_TEST_FULL_DISK"       // set in the child: the directory
	fullDiskFloor = "CARTWHEEL_TEST_FULL_DISK_FLOOR" // set in the child: "off" plants the missing floor
	fullDiskBytes = 96 * mib
)

// mountSmallDisk mounts a tmpfs for the test, or skips it where that is not allowed.
func mountSmallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprint("size=", fullDiskBytes)); err != nil {
		t.Skipf("needs to mount a small file system, which takes root and a kernel that allows it: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fillInChild runs the child and returns which keys it acknowledged, the reason of the fence if it
// said one, and how it ended.
func fillInChild(t *testing.T, dir, floor string) (acknowledged []string, fence, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDiskChild$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), fullDiskDir+"="+dir, fullDiskFloor+"="+floor)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "ack "); ok {
			acknowledged = append(acknowledged, name)
		} else if reason, ok := strings.CutPrefix(line, "fence "); ok {
			fence = reason
		}
	}
	return acknowledged, fence, errs.String(), err
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("fills a file system")
	}
	dir := mountSmallDisk(t)
	objects := filepath.Join(dir, "objects")
	acknowledged, fence, stderr, err := fillInChild(t, objects, "on")
	if err != nil {
		t.Fatalf("the process did not survive: %v\n%s", err, stderr)
	}
	if !strings.Contains(fence, "free") || len(acknowledged) < 1000 {
		t.Fatalf("after %d writes the fence says %q", len(acknowledged), fence)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d writes acknowledged, %d of %d MiB free at the end", len(acknowledged), int64(st.Bavail)*st.Bsize/mib, fullDiskBytes/mib)

	// No room, no start: whatever is free now, leave less than any floor.
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, int64(st.Bavail)*st.Bsize-3*mib), 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(small(objects)); err == nil {
		s.Close()
		t.Error("opened on a full disk")
	} else if !strings.Contains(err.Error(), "refuses to start") || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("refused without saying why: %v", err)
	}
	if err := errors.Join(os.Remove(ballast), unix.Mount("", dir, "", unix.MS_REMOUNT, fmt.Sprint("size=", 2*fullDiskBytes))); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, small(objects))
	for _, name := range acknowledged {
		if o := mustGet(t, s, key(name)); o.Missing() {
			t.Fatalf("acknowledged write %s is lost", name)
		}
	}
	mustPut(t, s, key("again"), blind("v"))
	mustClose(t, s)
}

// The test above can fail: without the floor the same child does not get away.
func TestFullDiskWithoutFloorKills(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("fills a file system")
	}
	_, fence, stderr, err := fillInChild(t, filepath.Join(mountSmallDisk(t), "objects"), "off")
	if err == nil {
		t.Errorf("without a floor the process ended in order, with fence %q", fence)
	}
	if !strings.Contains(stderr, "SIGBUS") {
		t.Logf("the process ended without a SIGBUS: %v\n%s", err, stderr)
	}
}

func TestFullDiskChild(t *testing.T) {
	dir := os.Getenv(fullDiskDir)
	if dir == "" {
		t.Skip("is the child process of TestFullDisk")
	}
	h := defaultHooks()
	if os.Getenv(fullDiskFloor) == "off" {
		h.free = func(string) (int64, error) { return 1 << 50, nil }
	}
	s, err := open(small(dir), h)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	out := bufio.NewWriter(os.Stdout)
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, format+"\n", args...)
		out.Flush()
	}
	say("") // ends what the testing package has printed
	var writers sync.WaitGroup
	for g := range 16 {
		writers.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d-%d", g, i)
				size := 3000
				if i%100 == 99 {
					size = 300_000
				}
				_, err := put(s, key(name), vclock.Write{Value: make([]byte, size)})
				if err != nil {
					return
				}
				say("ack %s", name)
			}
		})
	}
	writers.Wait()
	say("fence %v", s.Fenced())
	// What was begun goes on: flushes and compactions now use the room that the floor kept.
	for range 20 {
		if _, err := s.Get(key("0-0")); err != nil {
			t.Error(err)
		}
		<-time.After(100 * time.Millisecond) // real time: this process has no bubble, and the disk is real
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
