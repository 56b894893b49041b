package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"cartwheel/chaos/control"
)

const (
	// chaosOffset is the control's port above the first node's, which no node can
	// have: theirs end like the first one's, or one higher.
	chaosOffset = 9
	// devSwitchWithin bounds how long a node may take to put its switches in force; a
	// new one has to start first.
	devSwitchWithin = 10 * time.Second
	// devChaosWithin bounds a whole operation: a node stops, and starts again.
	devChaosWithin = devStopWithin + devSwitchWithin + 5*time.Second
)

// linkSwitches are those of one node's links.
type linkSwitches interface {
	// Set cuts the way to the peers and heals all others, within so long.
	Set(peers []string, within time.Duration) error
	Close() error
}

// devChaos breaks the nodes of "dev --chaos", and brings them back when told to.
type devChaos struct {
	start func(i int) (*devNode, error) // starts the i-th node's process
	out   io.Writer
	turn  chan struct{}  // filled by the operation under way: one at a time
	watch sync.WaitGroup // one goroutine for each process

	mu      sync.Mutex
	nodes   []*devNode // the latest process of each; only operations change it
	cuts    map[control.Cut]bool
	closing bool // no death is worth a word any more
}

// newDevChaos returns what rules over the nodes. It replaces the elements of nodes.
func newDevChaos(nodes []*devNode, start func(int) (*devNode, error), out io.Writer) *devChaos {
	return &devChaos{start: start, out: out, turn: make(chan struct{}, 1), nodes: nodes, cuts: map[control.Cut]bool{}}
}

// run serves the control until ctx ends, and then stops all nodes, paused ones too.
func (d *devChaos) run(ctx context.Context, control net.Listener) error {
	for _, n := range d.nodes {
		d.follow(n)
	}
	srv := &http.Server{
		Handler: d.handler(control.Addr().String()), MaxHeaderBytes: 16 << 10,
		ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute,
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(control) }() // waited for below
	var err error
	select {
	case <-ctx.Done():
		// Operations under way are bounded by themselves.
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), devChaosWithin)
		defer cancel()
		err = srv.Shutdown(limit)
		<-ended
	case err = <-ended:
	}
	d.mu.Lock()
	d.closing = true
	d.mu.Unlock()
	stopAll(d.nodes)
	d.watch.Wait()
	return err
}

// follow says when a node's process has ended although nobody wanted that.
func (d *devChaos) follow(n *devNode) {
	d.watch.Go(func() {
		<-n.done
		d.mu.Lock()
		asked := n.asked || d.closing
		d.mu.Unlock()
		if !asked {
			fmt.Fprintf(d.out, "%s pid=%d died: %v; the others go on\n  to start it again: cartwheel chaos start %s\n", n.name, n.cmd.Process.Pid, ended(n.err), n.name)
		}
	})
}

// chaosError is an operation that was refused or failed, with its HTTP status.
type chaosError struct {
	status int
	text   string
}

func (e *chaosError) Error() string { return e.text }

func chaosErrorf(status int, format string, args ...any) error {
	return &chaosError{status, fmt.Sprintf(format, args...)}
}

// stateLocked returns what the node is now. Its process may end at any moment.
func (n *devNode) stateLocked() string {
	select {
	case <-n.done:
		return control.Dead
	default:
	}
	if n.paused {
		return control.Paused
	}
	return control.Running
}

// state returns all nodes and all cuts.
func (d *devChaos) state() control.State {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := control.State{Cuts: []control.Cut{}}
	for _, n := range d.nodes {
		v := control.Node{Name: n.name, State: n.stateLocked(), HTTP: n.http, Peer: n.peer}
		if v.State != control.Dead {
			v.PID = n.cmd.Process.Pid
		}
		s.Nodes = append(s.Nodes, v)
	}
	for c := range d.cuts {
		s.Cuts = append(s.Cuts, c)
	}
	slices.SortFunc(s.Cuts, func(a, b control.Cut) int {
		return cmp.Or(d.placeLocked(a.From)-d.placeLocked(b.From), d.placeLocked(a.To)-d.placeLocked(b.To))
	})
	return s
}

// placeLocked returns the node's number from 0, -1 for none.
func (d *devChaos) placeLocked(name string) int {
	return slices.IndexFunc(d.nodes, func(n *devNode) bool { return n.name == name })
}

// find returns the node's place, its latest process and that one's state.
func (d *devChaos) find(name string) (i int, n *devNode, state string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if name == "" {
		return 0, nil, "", chaosErrorf(http.StatusBadRequest, "name the node")
	}
	if i = d.placeLocked(name); i < 0 {
		return 0, nil, "", chaosErrorf(http.StatusNotFound, "there is no node %q; the nodes are %s to %s", name, d.nodes[0].name, d.nodes[len(d.nodes)-1].name)
	}
	n = d.nodes[i]
	return i, n, n.stateLocked(), nil
}

// kill ends a node's process without a warning.
func (d *devChaos) kill(name string) error {
	_, n, state, err := d.find(name)
	if err != nil {
		return err
	}
	if state == control.Dead {
		return chaosErrorf(http.StatusConflict, "%s is dead already", name)
	}
	return d.end(n, syscall.SIGKILL)
}

// stop ends a node's process in order.
func (d *devChaos) stop(name string) error {
	_, n, state, err := d.find(name)
	if err != nil {
		return err
	}
	switch state {
	case control.Dead:
		return chaosErrorf(http.StatusConflict, "%s is dead already", name)
	case control.Paused:
		return chaosErrorf(http.StatusConflict, "%s is paused and cannot stop in order; resume it first, or kill it", name)
	}
	return d.end(n, syscall.SIGTERM)
}

func (d *devChaos) end(n *devNode, signal os.Signal) error {
	d.mu.Lock()
	n.asked = true
	d.mu.Unlock()
	if err := n.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to %s: %w", signal, n.name, err)
	}
	select {
	case <-n.done:
		return nil
	case <-time.After(devStopWithin):
		return fmt.Errorf("%s has not ended within %v; kill it", n.name, devStopWithin)
	}
}

// startAgain starts a dead node on its data and its ports, with the cuts that are in
// force. It does not wait until the node is ready: with cuts it may never be.
func (d *devChaos) startAgain(name string) error {
	i, old, state, err := d.find(name)
	if err != nil {
		return err
	}
	if state != control.Dead {
		return chaosErrorf(http.StatusConflict, "%s is not dead: it is %s as process %d", name, state, old.cmd.Process.Pid)
	}
	n, err := d.start(i)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.nodes[i] = n
	d.mu.Unlock()
	d.follow(n)
	return d.apply(n)
}

// wipe deletes the objects of a dead node, as if their disk had been lost. Its identity and the
// ring stay, so it comes back as the member that it was.
func (d *devChaos) wipe(name string) error {
	_, n, state, err := d.find(name)
	if err != nil {
		return err
	}
	if state != control.Dead {
		return chaosErrorf(http.StatusConflict, "%s is %s; kill or stop it first", name, state)
	}
	if err := os.RemoveAll(filepath.Join(n.dir, "objects")); err != nil {
		return fmt.Errorf("wipe %s: %w", name, err)
	}
	return nil
}

// restart stops a node in order, if it runs, and starts it.
func (d *devChaos) restart(name string) error {
	_, _, state, err := d.find(name)
	if err != nil {
		return err
	}
	if state != control.Dead {
		if err := d.stop(name); err != nil {
			return err
		}
	}
	return d.startAgain(name)
}

// pause stops a node's process in its tracks; its sockets stay open.
func (d *devChaos) pause(name string) error {
	_, n, state, err := d.find(name)
	if err != nil {
		return err
	}
	if state != control.Running {
		return chaosErrorf(http.StatusConflict, "%s is %s", name, state)
	}
	return d.signal(n, syscall.SIGSTOP, true)
}

// resume lets a paused node go on. The cuts that were made and healed meanwhile are
// in force when it returns.
func (d *devChaos) resume(name string) error {
	_, n, state, err := d.find(name)
	if err != nil {
		return err
	}
	if state != control.Paused {
		return chaosErrorf(http.StatusConflict, "%s is not paused but %s", name, state)
	}
	if err := d.signal(n, syscall.SIGCONT, false); err != nil {
		return err
	}
	return d.apply(n)
}

func (d *devChaos) signal(n *devNode, signal os.Signal, paused bool) error {
	if err := n.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("send %v to %s: %w", signal, n.name, err)
	}
	d.mu.Lock()
	n.paused = paused
	d.mu.Unlock()
	return nil
}

// cut ends the traffic from one node to another, and back unless oneWay. What is cut
// already stays so.
func (d *devChaos) cut(from, to string, oneWay bool) error {
	_, a, _, err := d.find(from)
	if err != nil {
		return err
	}
	_, b, _, err := d.find(to)
	if err != nil {
		return err
	}
	if from == to {
		return chaosErrorf(http.StatusBadRequest, "%s has no link to itself", from)
	}
	d.mu.Lock()
	d.cuts[control.Cut{From: from, To: to}] = true
	if !oneWay {
		d.cuts[control.Cut{From: to, To: from}] = true
	}
	d.mu.Unlock()
	err = d.apply(a)
	if !oneWay {
		err = errors.Join(err, d.apply(b))
	}
	return err
}

// heal ends all cuts.
func (d *devChaos) heal() error {
	d.mu.Lock()
	clear(d.cuts)
	nodes := slices.Clone(d.nodes)
	d.mu.Unlock()
	var errs []error
	for _, n := range nodes {
		errs = append(errs, d.apply(n))
	}
	return errors.Join(errs...)
}

// apply puts a node's cuts in force. A paused node sends nothing and gets them when it
// is resumed, a dead one when it is started.
func (d *devChaos) apply(n *devNode) error {
	d.mu.Lock()
	state := n.stateLocked()
	peers := []string{}
	for _, to := range d.nodes {
		if d.cuts[control.Cut{From: n.name, To: to.name}] {
			peers = append(peers, to.peer)
		}
	}
	d.mu.Unlock()
	if state != control.Running {
		return nil
	}
	return n.cutFrom(peers)
}

// cutFrom sets the switches of a running node.
func (n *devNode) cutFrom(peers []string) error {
	err := n.switches.Set(peers, devSwitchWithin)
	if err == nil {
		return nil
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) { // the pipe ends a little before the process
		select {
		case <-n.done:
			return fmt.Errorf("%s has ended (%s); its messages say why", n.name, ended(n.err))
		case <-time.After(time.Second):
		}
	}
	return fmt.Errorf("set the switches of %s: %w", n.name, err)
}

// releaseAll gives new nodes their first switches, all open, for which they wait.
func releaseAll(nodes []*devNode) error {
	for _, n := range nodes {
		if err := n.cutFrom(nil); err != nil {
			return fmt.Errorf("node %w", err)
		}
	}
	return nil
}
