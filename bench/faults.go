package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cartwheel/bench/result"
	"cartwheel/chaos/control"
)

// Faults returns the kinds of faults that a run can make.
func Faults() []string { return []string{"kill", "pause", "cut"} }

// undoWithin bounds the undoing of everything at the end.
const undoWithin = 2 * time.Minute

// window is a part of the measured time.
type window struct{ begin, end time.Duration }

// windows returns when each of so many faults is in force: the measured time has 2*count+1 equal parts,
// of which every second one has a fault.
func windows(count int, length time.Duration) []window {
	parts := time.Duration(2*count + 1)
	var w []window
	for i := range time.Duration(count) {
		w = append(w, window{length * (2*i + 1) / parts, length * (2*i + 2) / parts})
	}
	return w
}

// step is an operation of the control.
type step struct {
	operation string
	control.Request
}

// steps returns what makes a fault on a node, and what undoes it. A cut takes the node's links to all
// others; its clients still reach it.
func steps(kind, node string, all []string) (begin, end []step) {
	one := control.Request{Node: node}
	switch kind {
	case "kill":
		return []step{{"kill", one}}, []step{{"start", one}}
	case "pause":
		return []step{{"pause", one}}, []step{{"resume", one}}
	}
	for _, other := range all {
		if other != node {
			begin = append(begin, step{"cut", control.Request{From: node, To: other}})
		}
	}
	return begin, []step{{"heal", control.Request{}}}
}

// faults makes the faults of a run's cells. In every cell they hit the same node, the last one, so
// that cells can be compared.
type faults struct {
	control *control.Client
	kinds   []string
	nodes   []string
}

// newFaults asks the control for its nodes. The caller closes what it returns.
func newFaults(ctx context.Context, url string, kinds []string) (*faults, error) {
	to, err := control.New(url)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	f := &faults{control: to, kinds: kinds}
	state, err := to.State(ctx)
	for _, n := range state.Nodes {
		f.nodes = append(f.nodes, n.Name)
		if n.State != control.Running && err == nil {
			err = fmt.Errorf("%s is %s; bring it back before a measurement", n.Name, n.State)
		}
	}
	switch {
	case err != nil:
	case len(state.Cuts) > 0:
		err = fmt.Errorf("%d links are cut; heal them before a measurement", len(state.Cuts))
	case len(f.nodes) < 2:
		err = fmt.Errorf("it knows %d nodes; at least two are needed", len(f.nodes))
	}
	if err != nil {
		to.Close()
		return nil, fmt.Errorf("bench: ask the chaos control at %s: %w", url, err)
	}
	slices.Sort(f.nodes)
	return f, nil
}

func (f *faults) close() { f.control.Close() }

// drive makes the faults of one cell. Elapsed is the time since the measured part began, 0 before;
// show is told what is in force, "" for nothing. It returns when all is undone, also when ctx has
// ended before; that is no error here, its owner knows why.
func (f *faults) drive(ctx context.Context, length time.Duration, elapsed func() time.Duration, show func(string)) (events []result.Event, err error) {
	undone := true
	defer func() {
		show("")
		if undone {
			return
		}
		// The caller's end must not leave the cluster broken.
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
		defer cancel()
		if failed := f.control.Restore(undo); failed != nil {
			err = fmt.Errorf("bench: undo the faults: %w", failed)
		}
		if n := len(events); n > 0 && events[n-1].End == 0 {
			events[n-1].End = elapsed().Seconds()
		}
	}()
	node := f.nodes[len(f.nodes)-1]
	for i, w := range windows(len(f.kinds), length) {
		if !reach(ctx, w.begin, elapsed) {
			return events, nil
		}
		kind := f.kinds[i]
		begin, end := steps(kind, node, f.nodes)
		undone = false
		events = append(events, result.Event{Name: kind, Nodes: []string{node}, Begin: elapsed().Seconds()})
		show(kind + " " + node)
		if err := f.send(ctx, begin); err != nil || !reach(ctx, w.end, elapsed) {
			return events, ended(ctx, err)
		}
		if err := f.send(ctx, end); err != nil {
			return events, ended(ctx, err)
		}
		events[i].End = elapsed().Seconds()
		undone = true
		show("")
	}
	return events, nil
}

// ended drops what went wrong only because ctx has ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (f *faults) send(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := f.control.Do(ctx, s.operation, s.Request); err != nil {
			return fmt.Errorf("bench: make a fault: %s: %w", s.operation, err)
		}
	}
	return nil
}

// lookEvery is how often a load is asked how far it is.
const lookEvery = 10 * time.Millisecond

// reach waits until the measured part is that old, and reports whether it came to that before ctx
// ended.
func reach(ctx context.Context, at time.Duration, elapsed func() time.Duration) bool {
	for {
		now := elapsed()
		if now > 0 && now >= at {
			return true
		}
		wait := lookEvery
		if now > 0 { // the clock runs: nothing to look at before the time has come
			wait = at - now
		}
		if sleep(ctx, wait) != nil {
			return false
		}
	}
}

// sleep waits, unless ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
