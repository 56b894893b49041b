package system

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell returns a cluster of one server, a shell script.
func shell(t *testing.T, script string) (*Cluster, *process) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell on this system: ", err)
	}
	c := &Cluster{dir: t.TempDir()}
	if err := c.launch("s1", "sh", "-c", script, c.dir+"/x"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.processes[0].stop(0) })
	return c, c.processes[0]
}

// says waits until the server's log has the text.
func (p *process) says(t *testing.T, text string) {
	t.Helper()
	err := await(t.Context(), []*process{p}, func(context.Context) error {
		log, err := os.ReadFile(p.log)
		if err == nil && !bytes.Contains(log, []byte(text)) {
			err = errors.New("not yet")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func running(p *process) bool { return syscall.Kill(p.cmd.Process.Pid, 0) == nil }

func TestCloseEndsServers(t *testing.T) {
	c, p := shell(t, "echo up; while :; do sleep 0.1; done")
	p.says(t, "up")
	if c.Died() != nil || !running(p) {
		t.Fatalf("it does not run: %v", c.Died())
	}
	if want := "sh -c echo up; while :; do sleep 0.1; done DIR/x"; c.Commands[0] != want {
		t.Errorf("command %q, want %q", c.Commands[0], want)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if running(p) {
			t.Error("the server still runs")
		}
	}
}

func TestStopKillsWhoDoesNotListen(t *testing.T) {
	_, p := shell(t, "trap '' TERM; echo up; while :; do sleep 0.1; done")
	p.says(t, "up")
	p.stop(50 * time.Millisecond)
	if running(p) {
		t.Error("the server still runs")
	}
	if s := p.cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGKILL {
		t.Errorf("it ended by %v", s)
	}
}

// Ctrl-C goes to the terminal's process group; a server that were in it would end by itself.
func TestServersHaveTheirOwnGroup(t *testing.T) {
	_, p := shell(t, "sleep 60")
	if group, err := syscall.Getpgid(p.cmd.Process.Pid); err != nil || group != p.cmd.Process.Pid {
		t.Errorf("group %d, %v; want %d", group, err, p.cmd.Process.Pid)
	}
}

// A server that ends by itself is an error that says what it said.
func TestAwaitTellsWhyAServerEnded(t *testing.T) {
	c, p := shell(t, "echo trouble >&2; exit 3")
	err := await(t.Context(), []*process{p}, func(context.Context) error { return errors.New("no") })
	for _, e := range []error{err, c.Died()} {
		if e == nil || !strings.Contains(e.Error(), "trouble") || !strings.Contains(e.Error(), "exit status 3") {
			t.Errorf("error %v", e)
		}
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	_, p := shell(t, "sleep 60")
	ctx, cancel := context.WithCancelCause(t.Context())
	stop, reason := errors.New("interrupted"), errors.New("not there yet")
	err := await(ctx, []*process{p}, func(context.Context) error { cancel(stop); return reason })
	if !errors.Is(err, stop) || !errors.Is(err, reason) {
		t.Errorf("error %v", err)
	}
}

// The settings of whoever runs the comparison must not become the servers'.
func TestEnvironment(t *testing.T) {
	t.Setenv("CARTWHEEL_DURABILITY", "os")
	t.Setenv("ETCD_UNSAFE_NO_FSYNC", "true")
	t.Setenv("PEERS_OTHER", "stays")
	env := strings.Join(environment(), "\n")
	if strings.Contains(env, "CARTWHEEL_DURABILITY") || strings.Contains(env, "ETCD_UNSAFE") || !strings.Contains(env, "PEERS_OTHER=stays") {
		t.Error(env)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	addrs, err := freePorts(6)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range addrs {
		seen[a] = true
	}
	if len(seen) != 6 {
		t.Errorf("%v", addrs)
	}
}
