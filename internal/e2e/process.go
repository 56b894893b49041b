package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Command is a command line of the binary.
type Command struct {
	Args []string
	Env  []string // NAME=value, in addition to an environment without settings of ours
	Dir  string   // working directory; the test's own

	Namespace string // network namespace to run in, by its name; the test's own
}

// Process is a running or ended process of the binary. Its methods may be called from several
// goroutines.
type Process struct {
	Stdout, Stderr Output

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and its output is complete
}

const (
	// endsWithin bounds the orderly end of a process: several times what a node needs.
	endsWithin = 20 * time.Second
	// outputAfterEnd bounds the wait for output that a child of an ended process holds open.
	outputAfterEnd = 5 * time.Second
)

// Start starts a process, which is killed at the end of the test if it still runs.
func (l *Lab) Start(tb testing.TB, c Command) *Process {
	tb.Helper()
	p := &Process{done: make(chan struct{})}
	p.cmd = exec.Command(l.Binary, c.Args...)
	if c.Namespace != "" { // ip becomes the binary, under the same process id
		p.cmd = exec.Command("ip", append([]string{"netns", "exec", c.Namespace, l.Binary}, c.Args...)...)
	}
	p.cmd.Env = append(l.environment(), c.Env...)
	p.cmd.Dir = c.Dir
	p.cmd.Stdout, p.cmd.Stderr = &p.Stdout, &p.Stderr
	p.cmd.WaitDelay = outputAfterEnd
	if err := p.cmd.Start(); err != nil {
		tb.Fatalf("start %v: %v", c.Args, err)
	}
	go func() { // ends with the process, which the cleanup sees to
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended is in the process's state
	}()
	tb.Cleanup(func() {
		p.Kill()
		if tb.Failed() {
			tb.Logf("%s\n%s%s", strings.Join(c.Args, " "), p.Stdout.String(), p.Stderr.String())
		}
	})
	return p
}

// environment is the test's own without settings of the command and without proxies.
func (l *Lab) environment() []string {
	env := []string{"NO_PROXY=*", "no_proxy=*", "TMPDIR=" + l.Temp()}
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "CARTWHEEL_") && !strings.EqualFold(name, "no_proxy") && name != "TMPDIR" {
			env = append(env, v)
		}
	}
	return env
}

// Run runs a command to its end, which must come within the limit, and returns the process with
// its exit code.
func (l *Lab) Run(tb testing.TB, limit time.Duration, c Command) (*Process, int) {
	tb.Helper()
	p := l.Start(tb, c)
	return p, p.Wait(tb, limit)
}

// Pid returns the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal; that the process may have ended is not an error.
func (p *Process) Signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill kills the process at once and waits until it is gone. It may be called again.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits for the end and returns the exit code, -1 if a signal ended it.
func (p *Process) Wait(tb testing.TB, limit time.Duration) int {
	tb.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		tb.Fatalf("%v has not ended within %v", p.cmd.Args[1:], limit)
		return 0
	}
}

// Stop asks the process to end in order, and returns its exit code.
func (p *Process) Stop(tb testing.TB, s os.Signal) int {
	tb.Helper()
	p.Signal(s)
	return p.Wait(tb, endsWithin)
}

// Sentence returns what a command says to the person who called it: the last line of its
// standard error. It ends the test unless that line is plain: begun with the command's name,
// without the traces of a crash.
func (p *Process) Sentence(tb testing.TB) string {
	tb.Helper()
	text := strings.TrimSpace(p.Stderr.String())
	last := text[strings.LastIndexByte(text, '\n')+1:]
	if !strings.HasPrefix(last, "cartwheel: ") || strings.Contains(text, "goroutine ") || strings.Contains(text, "panic") {
		tb.Fatalf("%v said no plain sentence:\n%s", p.cmd.Args[1:], text)
	}
	return last
}

// maxOutput bounds what is kept of one stream. Further output is dropped, and counted.
const maxOutput = 4 << 20

// Output collects what a process writes. It is safe for concurrent use.
type Output struct {
	mu      sync.Mutex
	kept    bytes.Buffer
	dropped int
}

// Write keeps b.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	room := min(len(b), maxOutput-o.kept.Len())
	o.kept.Write(b[:room])
	o.dropped += len(b) - room
	return len(b), nil
}

// String returns what was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dropped > 0 {
		return fmt.Sprintf("%s\n... and %d bytes more\n", o.kept.String(), o.dropped)
	}
	return o.kept.String()
}

// Has returns nil if the output has the text, as checks of [Until] do.
func (o *Output) Has(text string) error {
	if s := o.String(); !strings.Contains(s, text) {
		return fmt.Errorf("the output has no %q:\n%s", text, s)
	}
	return nil
}
