package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dev is a running "cartwheel dev" of three nodes.
type dev struct {
	*Process
	port  int
	began time.Time
	temp  string // where it makes its temporary data directory
}

// devOffsets are the ports of three nodes, relative to the first one's.
var devOffsets = []int{0, 1, 10, 11, 20, 21}

func startDev(t *testing.T, flags ...string) *dev {
	t.Helper()
	return startDevAt(t, lab.Port(t, devOffsets...), flags...)
}

func startDevAt(t *testing.T, port int, flags ...string) *dev {
	t.Helper()
	d := &dev{port: port, temp: t.TempDir()}
	t.Cleanup(func() { d.awaitGone(t) }) // after dev itself has ended or was killed
	d.began = time.Now()
	d.Process = lab.Start(t, Command{
		Args: append([]string{"dev", "--port", strconv.Itoa(port)}, flags...), Env: []string{"TMPDIR=" + d.temp},
	})
	return d
}

// devLine is the line that dev prints for a node.
var devLine = regexp.MustCompile(`(?m)^(n\d)\s+(http://127\.0\.0\.1:\d+)\s+pid=(\d+)$`)

// awaitReady waits until dev says that all nodes serve, and returns how long that took.
func (d *dev) awaitReady(t *testing.T) time.Duration {
	t.Helper()
	Until(t, readyWithin, "dev is ready", func() error {
		if !d.Running() {
			t.Fatalf("dev has ended:\n%s", d.Stderr.String())
		}
		return d.Stdout.Has("\nready")
	})
	took := time.Since(d.began)
	lines := devLine.FindAllStringSubmatch(d.Stdout.String(), -1)
	if len(lines) != 3 {
		t.Fatalf("dev printed %d lines of nodes, want 3:\n%s", len(lines), d.Stdout.String())
	}
	for i, line := range lines {
		if want := fmt.Sprintf("n%d http://%s", i+1, d.http(i)); line[1]+" "+line[2] != want {
			t.Errorf("dev printed %q, want %s", line[0], want)
		}
		if _, err := lab.Get("http://" + d.http(i) + "/readyz"); err != nil {
			t.Errorf("dev says it is ready, and it is not: %v", err)
		}
	}
	return took
}

func (d *dev) http(i int) string { return Addr(d.port + 10*i) }

// pids returns the nodes' process ids as far as dev has printed them.
func (d *dev) pids() (pids []string) {
	for _, line := range devLine.FindAllStringSubmatch(d.Stdout.String(), -1) {
		pids = append(pids, line[3])
	}
	return pids
}

// awaitGone waits until no node of dev runs any more, and kills those that stay.
func (d *dev) awaitGone(t *testing.T) {
	t.Helper()
	if d.Process == nil {
		return
	}
	d.Kill()
	deadline := time.Now().Add(endsWithin)
	for _, text := range d.pids() {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		for runs(pid) && time.Now().Before(deadline) {
			pause(context.Background(), 20*time.Millisecond) // the test's own context has ended in a cleanup
		}
		if runs(pid) {
			t.Errorf("node with pid %d outlives dev", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended just now
		}
	}
}

// runs reports whether a process exists that has not ended. One that has ended and whose parent
// has gone may wait for whoever collects orphans; it runs no more.
func runs(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !os.IsNotExist(err) || !hasProc()
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func hasProc() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}

// TestDev starts a cluster on this machine, stops it, and starts it again on the same data.
func TestDev(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	port := lab.Port(t, devOffsets...)
	d := startDevAt(t, port, "--data", data)
	d.awaitReady(t)
	checkIdleMemory(t, d.pids())
	endpoint := "http://" + d.http(1)
	if p, code := lab.Run(t, endsWithin, Command{Args: []string{"put", "b", "k", "kept", "--endpoint", endpoint}}); code != 0 {
		t.Fatalf("put: %d: %s", code, p.Stderr.String())
	}
	if code := d.Stop(t, os.Interrupt); code != 0 {
		t.Errorf("SIGINT: exit code %d:\n%s", code, d.Stderr.String())
	}
	d.awaitGone(t)
	if names := readDir(t, data); !slices.Equal(names, []string{"n1", "n2", "n3"}) {
		t.Errorf("the data directory has %v", names)
	}

	d = startDevAt(t, port, "--data", data)
	d.awaitReady(t)
	p, code := lab.Run(t, endsWithin, Command{Args: []string{"get", "b", "k", "--endpoint", "http://" + d.http(2)}})
	if code != 0 || !strings.Contains(p.Stdout.String(), "kept") {
		t.Errorf("after the second start: get: %d: %s%s", code, p.Stdout.String(), p.Stderr.String())
	}
	if code := d.Stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d:\n%s", code, d.Stderr.String())
	}
}

// TestDevReadyInTime starts a cluster as "make run" does after the build. Other tests may hold
// the cores for a moment, so the best of three starts counts.
func TestDevReadyInTime(t *testing.T) {
	const limit = 5 * time.Second
	best := time.Hour
	for range 3 {
		d := startDev(t)
		best = min(best, d.awaitReady(t))
		if made := readDir(t, d.temp); len(made) != 1 {
			t.Errorf("want one temporary data directory, found %v", made)
		}
		if code := d.Stop(t, os.Interrupt); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if left := readDir(t, d.temp); len(left) != 0 {
			t.Errorf("the temporary data directory stays: %v", left)
		}
		if best <= limit {
			break
		}
	}
	t.Attr("dev_ready_after", best.Round(10*time.Millisecond).String())
	if best > limit {
		t.Errorf("ready after %v, want %v", best, limit)
	}
}

func TestDevRefused(t *testing.T) {
	for _, offset := range devOffsets {
		port := lab.Port(t, devOffsets...)
		l, err := net.Listen("tcp", Addr(port+offset))
		if err != nil {
			t.Fatal(err)
		}
		refuses(t, Command{Args: []string{"dev", "--port", strconv.Itoa(port)}}, 1, strconv.Itoa(port+offset))
		l.Close()
	}
	if left := lab.running(); len(left) != 0 { // no other test runs now: this one is not parallel
		t.Errorf("processes are left: %v", left)
	}
}

// TestDevNodeDies kills one node: dev says so, and the others go on.
func TestDevNodeDies(t *testing.T) {
	d := startDev(t)
	d.awaitReady(t)
	killed := d.pids()[1]
	pid, err := strconv.Atoi(killed)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	Until(t, endsWithin, "dev speaks of the death", func() error { return d.Stdout.Has("n2 pid=" + killed + " died") })
	for _, i := range []int{0, 2} {
		args := []string{"put", "b", "k" + strconv.Itoa(i), "v", "--endpoint", "http://" + d.http(i)}
		if p, code := lab.Run(t, endsWithin, Command{Args: args}); code != 0 {
			t.Errorf("put at n%d: %d: %s", i+1, code, p.Stderr.String())
		}
	}
	if !d.Running() {
		t.Error("dev has ended")
	}
	if code := d.Stop(t, os.Interrupt); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.Stderr.String())
	}
}

// TestDevKilled kills dev itself: its nodes must not stay.
func TestDevKilled(t *testing.T) {
	d := startDev(t)
	d.awaitReady(t)
	if n := len(lab.running()); hasProc() && n != 4 {
		t.Fatalf("%d processes run, want dev and three nodes", n)
	}
	d.Kill()
	d.awaitGone(t)
}

// TestVersion and the build flags: the binary tells the version it was built with.
func TestVersion(t *testing.T) {
	p, code := lab.Run(t, endsWithin, Command{Args: []string{"version"}})
	if code != 0 || !strings.Contains(p.Stdout.String(), "e2e") {
		t.Errorf("version: %d: %s", code, p.Stdout.String())
	}
	out, err := exec.Command("go", "version", "-m", lab.Binary).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "CGO_ENABLED=0") {
		t.Errorf("go version -m: %v: %s", err, out)
	}
}
