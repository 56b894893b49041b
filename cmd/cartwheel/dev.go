package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cartwheel/chaos"
	"cartwheel/node"
)

// devOptions are the flags of "dev".
type devOptions struct {
	nodes, port, partitions, n int
	data, durability           string
	chaos, allowMult           bool
}

const (
	devReadyWithin = 60 * time.Second
	devStopWithin  = 15 * time.Second

	untilStdinCloses = "--until-stdin-closes"
)

func newDevCmd() *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a local cluster, each node a process of its own",
		Long: `Run a local cluster on 127.0.0.1, each node a process of its own, named n1, n2, ...
Node i serves HTTP at PORT+10*(i-1); its peer port is one above.

Without --data the nodes keep their data in a temporary directory that is removed at the
end. With it they keep it in DIR/n1, DIR/n2, ... and a second start goes on with it.

With --chaos, "cartwheel chaos" kills, pauses and restarts the nodes and cuts the links
between them; it talks to PORT+9, on 127.0.0.1 alone. For trying and testing.`,
		Args: arguments(0, 0),
	}
	f := cmd.Flags()
	f.IntVar(&o.nodes, "nodes", 3, "how many nodes")
	f.IntVar(&o.port, "port", 8098, "HTTP port of the first node")
	f.StringVar(&o.data, "data", "", "directory of the nodes' data directories")
	f.IntVar(&o.partitions, "partitions", 256, "partitions of a new ring, a power of two")
	f.StringVar(&o.durability, "durability", "fsync", "when a write counts: fsync (on the disk) or os (in the page cache)")
	f.IntVar(&o.n, "n", 3, "replicas of each key in a new ring")
	f.BoolVar(&o.allowMult, "default-allow-mult", true, "as \"serve --default-allow-mult\", for all nodes")
	f.BoolVar(&o.chaos, "chaos", false, "let \"cartwheel chaos\" break the nodes and the links between them")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runDev(cmd, o) }
	return cmd
}

// devNode is one node's process.
type devNode struct {
	name string
	http string // host:port
	peer string // host:port
	dir  string // of its data
	cmd  *exec.Cmd
	in   io.Closer     // the process stops when this end of its standard input closes
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; read after done

	switches linkSwitches // nil without --chaos
	paused   bool         // guarded by devChaos.mu
	asked    bool         // somebody wanted it to end; guarded by devChaos.mu
}

func runDev(cmd *cobra.Command, o devOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := portsFree(o); err != nil {
		return err
	}
	if o.data == "" {
		dir, err := os.MkdirTemp("", "cartwheel-dev-")
		if err != nil {
			return fmt.Errorf("make a temporary data directory: %w", err)
		}
		defer os.RemoveAll(dir)
		o.data = dir
	}
	var err error
	if o.data, err = filepath.Abs(o.data); err != nil { // the commands printed for restarts work anywhere
		return fmt.Errorf("find the data directory: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's file: %w", err)
	}
	out := &lockedWriter{w: cmd.OutOrStdout()}
	logs := &lockedWriter{w: cmd.ErrOrStderr()}
	start := func(i int) (*devNode, error) {
		n, err := startNode(self, o, i, logs)
		if err == nil {
			fmt.Fprintf(out, "%s  http://%s  pid=%d\n", n.name, n.http, n.cmd.Process.Pid)
		}
		return n, err
	}
	var control net.Listener
	if o.chaos {
		if control, err = net.Listen("tcp", o.at(0, chaosOffset)); err != nil {
			return fmt.Errorf("listen for \"cartwheel chaos\": %w", err)
		}
		defer control.Close()
	}
	var nodes []*devNode
	defer func() { stopAll(nodes) }()
	for i := range o.nodes {
		n, err := start(i)
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	if o.chaos {
		fmt.Fprintf(out, "chaos  http://%s\n", control.Addr())
		if err := releaseAll(nodes); err != nil {
			return err
		}
	}
	if err := allReady(cmd.Context(), nodes); err != nil {
		return err
	}
	fmt.Fprintf(out, "ready: %d nodes, data in %s; try: curl http://%s/cluster\n", len(nodes), o.data, nodes[0].http)
	if o.chaos {
		return newDevChaos(nodes, start, out).run(cmd.Context(), control)
	}
	return watchNodes(cmd.Context(), nodes, out)
}

// at returns the address of the i-th node's port that is so far above its first.
func (o devOptions) at(i, offset int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(o.port+10*i+offset))
}

// check refuses values before any process is started with them.
func (o devOptions) check() error {
	if o.nodes < 1 || o.nodes > 99 || o.port < 1 || o.port+10*o.nodes > 65535 {
		return usagef("--nodes %d with --port %d: use 1 to 99 nodes on ports up to 65535", o.nodes, o.port)
	}
	if o.partitions == 0 || o.n == 0 {
		return usagef("--partitions %d with --n %d: use at least 1", o.partitions, o.n)
	}
	if _, err := node.ParseDurability(o.durability); err != nil {
		return usageError{err}
	}
	any := node.Config{Name: "n1", DataDir: "n1", HTTP: "127.0.0.1:1", Peer: "127.0.0.1:2", Partitions: o.partitions, N: o.n}
	if err := any.WithDefaults().Validate(); err != nil {
		return usageError{err}
	}
	return nil
}

// portsFree finds a taken port before any node has to.
func portsFree(o devOptions) error {
	var addrs []string
	for i := range o.nodes {
		addrs = append(addrs, o.at(i, 0), o.at(i, 1))
	}
	if o.chaos {
		addrs = append(addrs, o.at(0, chaosOffset))
	}
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			host, port, _ := net.SplitHostPort(addr)
			return fmt.Errorf("port %s of %s cannot be used (%v); choose others with --port", port, host, errors.Unwrap(errors.Unwrap(err)))
		}
		l.Close()
	}
	return nil
}

// serveArgs returns the command line of the i-th node.
func (o devOptions) serveArgs(n *devNode, i int) []string {
	args := []string{
		"serve", "--name", n.name, "--data", n.dir, "--http", n.http, "--peer", n.peer,
		"--expect", strconv.Itoa(o.nodes), "--partitions", strconv.Itoa(o.partitions), "--n", strconv.Itoa(o.n),
		"--durability", o.durability, "--log-level", "warn", untilStdinCloses,
	}
	if !o.allowMult { // unsaid, the environment may say it
		args = append(args, "--default-allow-mult=false")
	}
	if i > 0 {
		args = append(args, "--join", o.at(0, 1))
	}
	return args
}

func startNode(self string, o devOptions, i int, logs io.Writer) (*devNode, error) {
	n := &devNode{name: fmt.Sprintf("n%d", i+1), http: o.at(i, 0), peer: o.at(i, 1), done: make(chan struct{})}
	n.dir = filepath.Join(o.data, n.name)
	n.cmd = exec.Command(self, o.serveArgs(n, i)...)
	// A group of its own: Ctrl-C reaches dev alone, which then stops the nodes in order.
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := n.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start node %s: %w", n.name, err)
	}
	stderr, err := n.cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start node %s: %w", n.name, err)
	}
	if err := n.launch(o.chaos); err != nil {
		return nil, fmt.Errorf("start node %s: %w", n.name, err)
	}
	n.in = in
	go func() { // ends with the process; done tells
		defer close(n.done)
		if n.switches != nil {
			defer n.switches.Close() // pipes, to which nothing is owed any more
		}
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			fmt.Fprintf(logs, "%s | %s\n", n.name, lines.Text())
		}
		n.err = n.cmd.Wait()
	}()
	return n, nil
}

// launch starts the process, with switches if wanted.
func (n *devNode) launch(switches bool) error {
	if !switches {
		return n.cmd.Start()
	}
	controller, err := chaos.Attach(n.cmd)
	if err != nil {
		return err
	}
	n.switches = controller
	err = n.cmd.Start()
	controller.Started()
	if err != nil {
		err = errors.Join(err, controller.Close())
	}
	return err
}

// allReady waits until every node serves.
func allReady(ctx context.Context, nodes []*devNode) error {
	ctx, cancel := context.WithTimeoutCause(ctx, devReadyWithin, fmt.Errorf("the nodes were not ready within %v", devReadyWithin))
	defer cancel()
	web := &http.Client{Timeout: time.Second}
	defer web.CloseIdleConnections()
	for _, n := range nodes {
		for !n.ready(ctx, web) {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-n.done:
				return fmt.Errorf("node %s ended before it was ready (%v)", n.name, ended(n.err))
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

func (n *devNode) ready(ctx context.Context, web *http.Client) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.http+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := web.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// watchNodes says which node died, until all have or the command is told to stop.
func watchNodes(ctx context.Context, nodes []*devNode, out io.Writer) error {
	deaths := make(chan *devNode, len(nodes))
	for _, n := range nodes {
		go func() { // ends with the process, which stopAll sees to
			<-n.done
			deaths <- n
		}()
	}
	for range nodes {
		select {
		case <-ctx.Done():
			return nil
		case n := <-deaths:
			fmt.Fprintf(out, "%s pid=%d died: %v; the others go on\n  to start it again: %s\n  dev does not watch a node started so: stop it by hand\n",
				n.name, n.cmd.Process.Pid, ended(n.err), n.restart())
		}
	}
	return errors.New("all nodes have died")
}

// restart returns the shell command that starts the node again, on its own.
func (n *devNode) restart() string {
	var words []string
	for _, arg := range n.cmd.Args {
		if arg != untilStdinCloses {
			words = append(words, shellQuote(arg))
		}
	}
	return strings.Join(words, " ")
}

// plainWord needs no quotes in a shell.
var plainWord = regexp.MustCompile(`^[\w%+,./:=@-]+$`)

// shellQuote returns the word as a POSIX shell reads it unchanged.
func shellQuote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func ended(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// stopAll stops the nodes at once and waits for them; who does not stop in time is killed.
func stopAll(nodes []*devNode) {
	for _, n := range nodes {
		_ = n.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
		_ = n.cmd.Process.Signal(syscall.SIGCONT) // it may be paused, and would hear nothing
		n.in.Close()
	}
	limit := time.After(devStopWithin)
	for _, n := range nodes {
		select {
		case <-n.done:
		case <-limit:
			_ = n.cmd.Process.Kill()
			<-n.done
		}
	}
}

// lockedWriter lets several nodes' lines come out whole.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
