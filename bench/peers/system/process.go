package system

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// stopWithin is how long a server may take to end in order before it is killed.
	stopWithin = 15 * time.Second
	// readyWithin is how long a system may take until it serves. Redis alone waits five
	// seconds before it copies to its replicas.
	readyWithin = 60 * time.Second
	pollEvery   = 50 * time.Millisecond
	// logTail is how much of a server's log an error carries.
	logTail = 1500
)

// process is one server.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // file with its output
	done chan struct{} // closed when it has ended
}

// start starts a server in a process group of its own, so that Ctrl-C reaches only the
// program that stops the servers in order.
func start(dir, name, program string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer out.Close() // the process has its own
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir, p.cmd.Env = dir, environment()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { // ends with the process, which stop sees to
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended is in its state
	}()
	return p, nil
}

// environment is this program's own without the settings that the servers would take from it.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CARTWHEEL_") && !strings.HasPrefix(v, "ETCD_") {
			env = append(env, v)
		}
	}
	return env
}

// command is the command line as one types it.
func (p *process) command() string { return strings.Join(p.cmd.Args, " ") }

// stop ends the process, in order if that takes no longer than within, and returns when it
// is gone.
func (p *process) stop(within time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	limit := time.NewTimer(within)
	defer limit.Stop()
	select {
	case <-p.done:
	case <-limit.C:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// died returns an error with the end of the log if the process has ended.
func (p *process) died() error {
	select {
	case <-p.done:
		text, _ := os.ReadFile(p.log) // without it the error is still one
		return fmt.Errorf("%s ended: %v; the end of its output:\n%s", p.name, p.cmd.ProcessState, tail(text))
	default:
		return nil
	}
}

func tail(text []byte) []byte {
	return bytes.TrimSpace(text[max(0, len(text)-logTail):])
}

// await polls until ready returns nil. It gives up when a process has ended, ctx ends, or
// after readyWithin, with the last reason.
func await(ctx context.Context, processes []*process, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		for _, p := range processes {
			if died := p.died(); died != nil {
				return died
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the servers, at most %v: %w, %w", readyWithin, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// freePorts returns n loopback addresses that nobody listens on at this moment.
func freePorts(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // only at the end, so that all are different
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}
