package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Lab has the binary under test and what all tests share. Make it with NewLab; Close it.
type Lab struct {
	Root   string       // of the repository
	Binary string       // the built command
	HTTP   *http.Client // for single requests; each within 15 s, never over a proxy

	dir string // everything that the lab and its processes make, the tests' own directories excepted

	mu    sync.Mutex
	taken map[int]bool // ports handed out; none is handed out twice
}

const (
	buildWithin   = 3 * time.Minute
	requestWithin = 15 * time.Second
)

// NewLab builds the binary of the repository at root, statically as "make build" does.
func NewLab(root string) (*Lab, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("find the repository: %w", err)
	}
	dir, err := os.MkdirTemp("", "cartwheel-e2e-")
	if err != nil {
		return nil, fmt.Errorf("make the lab's directory: %w", err)
	}
	l := &Lab{
		Root: root, Binary: filepath.Join(dir, "bin", "cartwheel"), dir: dir, taken: map[int]bool{},
		HTTP: &http.Client{Timeout: requestWithin, Transport: &http.Transport{DisableCompression: true}},
	}
	if err := os.Mkdir(l.Temp(), 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("make the lab's directory: %w", err), os.RemoveAll(dir))
	}
	if err := l.build(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return l, nil
}

// build makes the binary, with further flags of "go build".
func (l *Lab) build(flags ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), buildWithin)
	defer cancel()
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-X main.version=e2e", "-o", l.Binary}, flags...)
	build := exec.CommandContext(ctx, "go", append(args, "./cmd/cartwheel")...)
	build.Dir = l.Root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return nil
}

// Close removes what the lab made. It returns an error that names the processes of its binaries
// that are still running, which it has killed.
func (l *Lab) Close() error {
	var errs []error
	for _, pid := range l.running() {
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // only for the text
		errs = append(errs, fmt.Errorf("process %d was left running: %s", pid, strings.ReplaceAll(string(command), "\x00", " ")),
			syscall.Kill(pid, syscall.SIGKILL))
	}
	l.HTTP.CloseIdleConnections()
	return errors.Join(append(errs, os.RemoveAll(l.dir))...)
}

// running returns the processes that run the lab's binary or a planted one, found by their
// executable. On systems without /proc it finds none.
func (l *Lab) running() []int {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		exe, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if err == nil && filepath.Dir(exe) == filepath.Dir(l.Binary) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Temp is the directory in which processes of the lab make their temporary files.
func (l *Lab) Temp() string { return filepath.Join(l.dir, "tmp") }

// The ports that the lab hands out: above the privileged and the well-known ones, below those
// that systems use for outgoing connections (32768 and up on Linux).
const (
	firstPort = 12000
	lastPort  = 31000
)

// Port returns a port p such that p+offset is free on 127.0.0.1, for TCP and UDP, for each
// offset.
func (l *Lab) Port(tb testing.TB, offsets ...int) int {
	tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 1000 {
		base := firstPort + rand.IntN(lastPort-firstPort)
		if slices.ContainsFunc(offsets, func(o int) bool { return l.taken[base+o] || !free(base+o) }) {
			continue
		}
		for _, o := range offsets {
			l.taken[base+o] = true
		}
		return base
	}
	tb.Fatal("no free ports found")
	return 0
}

// Addr returns the loopback address with the port.
func Addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func free(port int) bool {
	tcp, err := net.Listen("tcp", Addr(port))
	if err != nil {
		return false
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", Addr(port))
	if err != nil {
		return false
	}
	udp.Close()
	return true
}

// Until waits until check returns nil, and ends the test with its last error if that does not
// happen within the limit.
func Until(tb testing.TB, limit time.Duration, what string, check func() error) {
	tb.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			tb.Fatalf("%s: not within %v: %v", what, limit, err)
		case <-tick.C:
		}
	}
}
