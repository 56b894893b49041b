package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// command is a request to the control of "cartwheel dev --chaos".
type command struct {
	path string
	body map[string]any
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

func node(action, name string) command {
	return command{"/chaos/" + action, map[string]any{"node": name}}
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
	return command{"/chaos/cut", map[string]any{"from": from, "to": to, "oneway": oneway}}
}

var heal = command{path: "/chaos/heal"}

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
	controlWithin      = 60 * time.Second             // one request: a node may take its time to stop
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
	run   *Run
	url   string
	http  *http.Client
	rng   *rand.Rand
	nodes []string
	kinds []faultKind
	seq   int
}

// chaosClient stands for the schedule in a history.
const chaosClient = -2

// chaosStream tells the schedule's random numbers from those of the clients.
const chaosStream = 1 << 32

// newChaos finds out which nodes there are.
func newChaos(ctx context.Context, r *Run) (*chaos, error) {
	c := &chaos{
		run: r, url: strings.TrimRight(r.cfg.Chaos, "/"), http: &http.Client{Timeout: controlWithin, Transport: &http.Transport{}}, // no proxy: it is on this machine
		rng: rand.New(rand.NewPCG(r.cfg.Seed, chaosStream)), kinds: kinds(r.cfg.Wipe),
	}
	state, err := c.state(ctx)
	if err != nil {
		return nil, fmt.Errorf("check: ask the control of faults: %w", err)
	}
	for name := range state {
		c.nodes = append(c.nodes, name)
	}
	slices.Sort(c.nodes)
	if len(c.nodes) < 2 {
		return nil, fmt.Errorf("check: the control of faults at %s knows %d nodes; at least two are needed", c.url, len(c.nodes))
	}
	return c, nil
}

// drive makes faults until the time, one after the other, then undoes everything, also when ctx
// has ended before.
func (c *chaos) drive(ctx context.Context, until time.Time) (err error) {
	defer c.http.CloseIdleConnections()
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
	for _, url := range c.run.cfg.Endpoints {
		var v struct {
			Ready  bool `json:"ready"`
			Repair struct {
				HintsPending int64             `json:"hints_pending"`
				Dirty        []json.RawMessage `json:"dirty"`
				Unsure       []int             `json:"unsure"`
			} `json:"repair"`
		}
		body, err := c.fetch(ctx, http.MethodGet, strings.TrimRight(url, "/")+"/cluster", nil)
		if err != nil || json.Unmarshal(body, &v) != nil {
			return false
		}
		if !v.Ready || v.Repair.HintsPending > 0 || len(v.Repair.Dirty)+len(v.Repair.Unsure) > 0 {
			return false
		}
	}
	return true
}

// undo heals every link, lets every paused node go on and starts every dead one.
func (c *chaos) undo(ctx context.Context) error {
	err := c.send(ctx, []command{heal})
	state, stateErr := c.state(ctx)
	err = errors.Join(err, stateErr)
	for _, n := range c.nodes {
		if action := map[string]string{"paused": "resume", "dead": "start"}[state[n]]; action != "" {
			err = errors.Join(err, c.send(ctx, []command{node(action, n)}))
		}
	}
	if err != nil {
		return fmt.Errorf("check: undo the faults: %w", err)
	}
	return nil
}

// state returns what the control says of each node: running, paused or dead.
func (c *chaos) state(ctx context.Context) (map[string]string, error) {
	body, err := c.request(ctx, http.MethodGet, command{path: "/chaos"})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Nodes []struct {
			Name  string `json:"name"`
			State string `json:"state"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read the answer of %s/chaos: %w", c.url, err)
	}
	states := map[string]string{}
	for _, n := range answer.Nodes {
		states[n.Name] = n.State
	}
	return states, nil
}

func (c *chaos) send(ctx context.Context, commands []command) error {
	for _, cmd := range commands {
		if _, err := c.request(ctx, http.MethodPost, cmd); err != nil {
			return err
		}
	}
	return nil
}

// maxControl bounds an answer of the control in memory.
const maxControl = 1 << 20

func (c *chaos) request(ctx context.Context, method string, cmd command) ([]byte, error) {
	body := []byte("{}")
	if cmd.body != nil {
		var err error
		if body, err = json.Marshal(cmd.body); err != nil {
			return nil, fmt.Errorf("encode %s: %w", cmd.path, err)
		}
	}
	return c.fetch(ctx, method, c.url+cmd.path, body)
}

// fetch returns the body of an answer with a status of 2xx.
func (c *chaos) fetch(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxControl))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", req.URL, err)
	}
	if res.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s answered %d: %s", req.URL, res.StatusCode, bytes.TrimSpace(answer))
	}
	return answer, nil
}
