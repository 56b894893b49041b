package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"cartwheel/chaos/control"
)

// command is an operation of the control of "cartwheel dev --chaos".
type command struct {
	operation string
	control.Request
}

// fault is one thing that goes wrong for a while.
type fault struct {
	name       string
	nodes      []string      // concerned
	begin, end []command     // what makes it, and what undoes it
	lasts      time.Duration // between the two
	costly     bool          // it takes a durable copy: none other may follow before all copies are back
}

// faultKind makes faults of one kind among at least two nodes.
type faultKind struct {
	weight int // how often it comes, relative to the others
	make   func(rng *rand.Rand, nodes []string) fault
}

// faultKinds are the faults that a schedule draws from.
var faultKinds = [...]faultKind{
	{3, func(rng *rand.Rand, nodes []string) fault { return oneNode("kill", "kill", "start", some(rng, nodes)) }},
	{1, func(_ *rand.Rand, nodes []string) fault { return everyNode("kill all", "kill", "start", nodes) }},
	{1, func(rng *rand.Rand, nodes []string) fault { return oneNode("stop", "stop", "start", some(rng, nodes)) }},
	{1, func(rng *rand.Rand, nodes []string) fault { return oneNode("restart", "restart", "", some(rng, nodes)) }},
	{3, func(rng *rand.Rand, nodes []string) fault {
		return oneNode("pause", "pause", "resume", some(rng, nodes))
	}},
	{2, func(rng *rand.Rand, nodes []string) fault { return link("cut", rng, nodes, false) }},
	{2, func(rng *rand.Rand, nodes []string) fault { return link("cut one way", rng, nodes, true) }},
	{2, isolated},
}

// wiped kills a node and loses its objects.
func wiped(rng *rand.Rand, nodes []string) fault {
	one := some(rng, nodes)
	return fault{name: "wipe", nodes: []string{one}, begin: []command{node("kill", one), node("wipe", one)},
		end: []command{node("start", one)}, costly: true}
}

// kinds are the faults of a run: with wipe also lost disks, which come often, as they are what it is for.
func kinds(wipe bool) []faultKind {
	if !wipe {
		return faultKinds[:]
	}
	return append(faultKinds[:len(faultKinds):len(faultKinds)], faultKind{6, wiped})
}

func some(rng *rand.Rand, nodes []string) string { return nodes[rng.IntN(len(nodes))] }

func node(operation, name string) command {
	return command{operation, control.Request{Node: name}}
}

func oneNode(name, begin, end, who string) fault { return everyNode(name, begin, end, []string{who}) }

func everyNode(name, begin, end string, who []string) fault {
	f := fault{name: name, nodes: who}
	for _, n := range who {
		f.begin = append(f.begin, node(begin, n))
		if end != "" {
			f.end = append(f.end, node(end, n))
		}
	}
	return f
}

func cut(from, to string, oneway bool) command {
	return command{"cut", control.Request{From: from, To: to, OneWay: oneway}}
}

var heal = command{operation: "heal"}

// link cuts the link between two nodes.
func link(name string, rng *rand.Rand, nodes []string, oneway bool) fault {
	order := rng.Perm(len(nodes))
	from, to := nodes[order[0]], nodes[order[1]]
	return fault{name: name, nodes: []string{from, to}, begin: []command{cut(from, to, oneway)}, end: []command{heal}}
}

// isolated cuts one node off from all others.
func isolated(rng *rand.Rand, nodes []string) fault {
	one := some(rng, nodes)
	f := fault{name: "isolate", nodes: []string{one}, end: []command{heal}}
	for _, other := range nodes {
		if other != one {
			f.begin = append(f.begin, cut(one, other, false))
		}
	}
	return f
}

// Times of a schedule.
const (
	minFault, maxFault = time.Second, 8 * time.Second
	minCalm, maxCalm   = time.Second, 4 * time.Second // before each fault
	undoWithin         = 2 * time.Minute              // everything at the end
)

func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rng.Int64N(int64(high-low)))
}

// draw returns the next fault of a schedule.
func draw(rng *rand.Rand, nodes []string, kinds []faultKind) fault {
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	n := rng.IntN(total)
	for _, k := range kinds {
		if n -= k.weight; n < 0 {
			f := k.make(rng, nodes)
			f.lasts = between(rng, minFault, maxFault)
			return f
		}
	}
	panic("check: the weights of the faults changed while one was drawn") // not reached
}

// chaos carries out a schedule.
type chaos struct {
	run     *Run
	control *control.Client
	rng     *rand.Rand
	nodes   []string
	kinds   []faultKind
	seq     int
}

// chaosClient stands for the schedule in a history.
const chaosClient = -2

// chaosStream tells the schedule's random numbers from those of the clients.
const chaosStream = 1 << 32

// newChaos finds out which nodes there are.
func newChaos(ctx context.Context, r *Run) (*chaos, error) {
	to, err := control.New(r.cfg.Chaos)
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	c := &chaos{run: r, control: to, rng: rand.New(rand.NewPCG(r.cfg.Seed, chaosStream)), kinds: kinds(r.cfg.Wipe)}
	state, err := to.State(ctx)
	if err != nil {
		to.Close()
		return nil, fmt.Errorf("check: ask the control of faults: %w", err)
	}
	for _, n := range state.Nodes {
		c.nodes = append(c.nodes, n.Name)
	}
	slices.Sort(c.nodes)
	if len(c.nodes) < 2 {
		to.Close()
		return nil, fmt.Errorf("check: the control of faults at %s knows %d nodes; at least two are needed", r.cfg.Chaos, len(c.nodes))
	}
	return c, nil
}

// drive makes faults until the time, one after the other, then undoes everything, also when ctx
// has ended before.
func (c *chaos) drive(ctx context.Context, until time.Time) (err error) {
	defer c.control.Close()
	defer func() {
		// The caller's end must not leave the cluster broken.
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
		defer cancel()
		err = errors.Join(err, c.undo(undo))
	}()
	for {
		left := time.Until(until)
		if left <= 0 || sleep(ctx, min(between(c.rng, minCalm, maxCalm), left)) != nil {
			return nil // if ctx has ended, its owner knows why
		}
		if left = time.Until(until); left <= 0 {
			return nil
		}
		f := draw(c.rng, c.nodes, c.kinds)
		f.lasts = min(f.lasts, left)
		if err := c.inflict(ctx, f); err != nil {
			return err
		}
		if f.costly {
			c.awaitWhole(ctx, until)
		}
	}
}

// inflict makes one fault, waits, undoes it, and writes it down.
func (c *chaos) inflict(ctx context.Context, f fault) error {
	c.seq++
	op := &Op{Type: typeFault, Client: chaosClient, Seq: c.seq, Fault: f.name, Nodes: f.nodes, Start: c.run.now()}
	c.run.setProgress(func(p *Progress) { p.Fault = f.name + " " + strings.Join(f.nodes, " ") })
	defer c.run.setProgress(func(p *Progress) { p.Fault = "" })
	err := c.send(ctx, f.begin)
	if err == nil && sleep(ctx, f.lasts) == nil {
		err = c.send(ctx, f.end)
	}
	op.End = c.run.now()
	if err != nil {
		op.Error = firstLine(err)
	}
	c.run.history.add(op)
	if ctx.Err() != nil {
		return nil // its owner knows why
	}
	return err
}

// awaitWhole waits until every node says that it has nothing left to repair, or the load is over.
func (c *chaos) awaitWhole(ctx context.Context, until time.Time) {
	for time.Now().Before(until) && ctx.Err() == nil && !c.whole(ctx) {
		if sleep(ctx, 200*time.Millisecond) != nil {
			return
		}
	}
}

// whole asks every node whether it has anything left to repair. One that does not answer has.
func (c *chaos) whole(ctx context.Context) bool {
	for _, node := range c.run.clients {
		var v struct {
			Ready  bool `json:"ready"`
			Repair struct {
				HintsPending int64             `json:"hints_pending"`
				Dirty        []json.RawMessage `json:"dirty"`
				Unsure       []int             `json:"unsure"`
			} `json:"repair"`
		}
		if err := node.GetJSON(ctx, "/cluster", nil, &v); err != nil {
			return false
		}
		if !v.Ready || v.Repair.HintsPending > 0 || len(v.Repair.Dirty)+len(v.Repair.Unsure) > 0 {
			return false
		}
	}
	return true
}

// undo brings everything back.
func (c *chaos) undo(ctx context.Context) error {
	if err := c.control.Restore(ctx); err != nil {
		return fmt.Errorf("check: undo the faults: %w", err)
	}
	return nil
}

func (c *chaos) send(ctx context.Context, commands []command) error {
	for _, cmd := range commands {
		if err := c.control.Do(ctx, cmd.operation, cmd.Request); err != nil {
			return err
		}
	}
	return nil
}
