// Package system starts the stores that are compared, three server processes each,
// on this machine, and gives clients of them.
//
// Model: a [System] says what a store is: its operations, and for each what an
// acknowledgement or an answer promises at that setting. [System.Start] makes a
// running [Cluster] in a directory of its own, with the defaults of the programs
// except for what its command lines, which the cluster returns, show. Clients are
// spread over the servers as the store's users would spread them.
//
// Promises: a cluster serves when Start returns. Close ends the processes that
// Start began, by their ids, and returns when they are gone; it leaves the files.
//
// Bounds: a server that is not ready within a minute is an error with the end of
// its log; one that does not stop within fifteen seconds is killed.
//
// Concurrency: a cluster is used by one goroutine, except for its clients, of which
// each is used by one goroutine at a time.
package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cartwheel/bench/load"
	"cartwheel/bench/peers/drive"
)

// Names of operations. Systems that have no different kinds of reads have no GetOne.
const (
	Put       = "put"
	GetQuorum = "get-quorum" // as fresh as the store can
	GetOne    = "get-one"    // from one server's copy
)

// Work is the data that operations move, the same for all systems.
type Work struct {
	Keys  int
	Value []byte
}

// Key is the name of the i-th key.
func Key(i int) string { return load.KeyName(int64(i)) }

// Op is one operation of a system at one setting.
type Op struct {
	Name     string // Put and so on: the same name is compared
	Label    string // as the system's users call it
	Promises string // what an acknowledgement or an answer means
}

// System is one store to compare.
type System struct {
	Name    string
	Setting string // what is not a default, in a few words
	Version string // as its program says
	Ops     []Op

	start func(ctx context.Context, c *Cluster) error
}

// Cluster is a running system.
type Cluster struct {
	Commands []string // of the servers

	dir       string
	work      Work
	processes []*process
	connect   func(i int) (session, error) // the i-th client's
	sessions  []session
	closers   []func() error // of what sessions share
}

// session is one client's way to a system.
type session interface {
	// do returns the function that makes the operation's requests; the one before it is not
	// used any more.
	do(op string) (drive.Client, error)
	Close() error
}

// Start starts the system's servers with their files below dir, and returns when they serve.
func (s *System) Start(ctx context.Context, dir string, w Work) (*Cluster, error) {
	c := &Cluster{dir: filepath.Join(dir, s.Name), work: w}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory for %s: %w", s.Name, err)
	}
	if err := s.start(ctx, c); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", s.Name, err), c.Close())
	}
	return c, nil
}

// launch starts one server of the cluster.
func (c *Cluster) launch(name, program string, args ...string) error {
	p, err := start(c.dir, name, program, args...)
	if err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	c.Commands = append(c.Commands, strings.ReplaceAll(p.command(), c.dir, "DIR"))
	return nil
}

// Clients returns n clients for an operation, and ends the use of those it returned before.
func (c *Cluster) Clients(n int, op string) ([]drive.Client, error) {
	for len(c.sessions) < n {
		s, err := c.connect(len(c.sessions))
		if err != nil {
			return nil, fmt.Errorf("connect client %d: %w", len(c.sessions), err)
		}
		c.sessions = append(c.sessions, s)
	}
	var all []drive.Client
	for i, s := range c.sessions[:n] {
		do, err := s.do(op)
		if err != nil {
			return nil, fmt.Errorf("connect client %d: %w", i, err)
		}
		all = append(all, do)
	}
	return all, nil
}

// CPU is the processor time in seconds that the servers have used so far; 0: not known.
func (c *Cluster) CPU() float64 {
	var sum float64
	for _, p := range c.processes {
		sum += cpuSeconds(p.cmd.Process.Pid)
	}
	return sum
}

// Died returns an error if a server has ended by itself.
func (c *Cluster) Died() error {
	var all []error
	for _, p := range c.processes {
		all = append(all, p.died())
	}
	return errors.Join(all...)
}

// Close ends clients and servers. It may be called twice.
func (c *Cluster) Close() error {
	var all []error
	for _, s := range c.sessions {
		all = append(all, s.Close())
	}
	for _, closeShared := range c.closers {
		all = append(all, closeShared())
	}
	c.sessions, c.closers = nil, nil
	for _, p := range c.processes {
		p.stop(stopWithin)
	}
	return errors.Join(all...)
}

// errNoOp says that a system does not have an operation.
func errNoOp(system, op string) error { return fmt.Errorf("%s has no operation %q", system, op) }
