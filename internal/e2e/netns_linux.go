package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Network is a cluster's network of its own: one network namespace per node, each linked to a
// router, which is a namespace too. Nothing of it is visible outside. The router can drop what
// one node sends to another, silently, as a broken link does; clients live on the router and
// always reach every node.
type Network struct {
	router string
	inside *Lab // the lab as seen from the router
	cuts   []string
}

const (
	// namespacePrefix is followed by the id of the test process, so that the next run finds
	// what a killed one has left.
	namespacePrefix = "cartwheel-e2e-"

	namespaceHTTP, namespacePeer = "8098", "8099" // ports of every node; each has its own address
)

// nodeAddr is the address of a node, by its index, in its own namespace. The router is the
// other host of the same network of four addresses.
func nodeAddr(i int) string { return fmt.Sprintf("10.77.%d.2", i+1) }

func routerAddr(i int) string { return fmt.Sprintf("10.77.%d.1", i+1) }

// NewNetwork makes the namespaces for the given number of nodes, or skips the test with the
// reason why that cannot be done here. They are removed at the end of the test.
func NewNetwork(tb testing.TB, l *Lab, nodes int) *Network {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skip("network namespaces can be made by root only")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		tb.Skipf("network namespaces are made with ip, of the package iproute2: %v", err)
	}
	if err := sweepNamespaces(); err != nil {
		tb.Fatal(err)
	}
	name := fmt.Sprintf("%s%d-%04x", namespacePrefix, os.Getpid(), rand.IntN(1<<16))
	w := &Network{router: name + "-router"}
	tb.Cleanup(func() {
		if err := removeNamespaces(func(n string) bool { return strings.HasPrefix(n, name) }); err != nil {
			tb.Error(err)
		}
	})
	if err := ip("", "netns add "+w.router); err != nil {
		tb.Skipf("no network namespace can be made here: %v", err)
	}
	forward := exec.Command("ip", "netns", "exec", w.router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
	if out, err := forward.CombinedOutput(); err != nil {
		tb.Fatalf("let the router forward: %v: %s", err, out)
	}
	for i := range nodes {
		if err := w.attach(i); err != nil {
			tb.Fatal(err)
		}
	}
	w.inside = &Lab{Root: l.Root, Binary: l.Binary, dir: l.dir, taken: map[int]bool{}, HTTP: w.Client()}
	tb.Cleanup(w.inside.HTTP.CloseIdleConnections)
	return w
}

func (w *Network) namespace(i int) string {
	return strings.TrimSuffix(w.router, "router") + "n" + strconv.Itoa(i+1)
}

// attach makes a node's namespace and links it to the router.
func (w *Network) attach(i int) error {
	node, link := w.namespace(i), fmt.Sprintf("v%d", i+1)
	if err := ip("", "netns add "+node); err != nil {
		return err
	}
	err := ip(w.router,
		fmt.Sprintf("link add %s type veth peer name eth0 netns %s", link, node),
		fmt.Sprintf("addr add %s/30 dev %s", routerAddr(i), link),
		fmt.Sprintf("link set %s up", link))
	if err != nil {
		return err
	}
	return ip(node, "link set lo up",
		fmt.Sprintf("addr add %s/30 dev eth0", nodeAddr(i)),
		"link set eth0 up",
		"route add default via "+routerAddr(i))
}

// ip runs commands of ip in a namespace, "" for the test's own, and stops at the first that
// fails.
func ip(namespace string, commands ...string) error {
	args := []string{"-batch", "-"}
	if namespace != "" {
		args = append([]string{"-netns", namespace}, args...)
	}
	cmd := exec.Command("ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s %q: %w: %s", namespace, commands, err, out)
	}
	return nil
}

// Cluster starts one node in each namespace and waits until all serve.
func (w *Network) Cluster(tb testing.TB, n int) []*Node {
	tb.Helper()
	dir := tb.TempDir()
	nodes := make([]*Node, n)
	for i := range nodes {
		node := &Node{Name: "n" + strconv.Itoa(i+1), lab: w.inside, namespace: w.namespace(i)}
		node.Dir = filepath.Join(dir, node.Name)
		node.HTTP, node.Peer = net.JoinHostPort(nodeAddr(i), namespaceHTTP), net.JoinHostPort(nodeAddr(i), namespacePeer)
		node.args = []string{"serve", "--insecure", "--name", node.Name, "--data", node.Dir, "--http", node.HTTP, "--peer", node.Peer,
			"--expect", strconv.Itoa(n), "--join", net.JoinHostPort(nodeAddr(0), namespacePeer)}
		nodes[i] = node
		node.Start(tb)
	}
	for _, node := range nodes {
		node.AwaitReady(tb)
	}
	for _, node := range nodes {
		node.AwaitAlive(tb, n)
	}
	return nodes
}

// Client returns a client on the router, with connections of its own.
func (w *Network) Client() *http.Client {
	return &http.Client{Timeout: requestWithin, Transport: &http.Transport{DisableCompression: true, DialContext: w.dial}}
}

// dial connects from the router. A connection stays in the namespace in which it was made.
func (w *Network) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go onThreadOfItsOwn(func() { // ends with the dial, which ctx bounds
		defer close(done)
		if err = enter(w.router); err == nil {
			var d net.Dialer
			conn, err = d.DialContext(ctx, network, addr)
		}
	})
	<-done
	return conn, err
}

// onThreadOfItsOwn runs f on a thread that ends with the calling goroutine, so that f may leave
// it in another namespace. It is never the process's first thread, which cannot end, and by which
// the system tells in which namespace the process is.
func onThreadOfItsOwn(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != os.Getpid() {
		f()
		return // still locked
	}
	done := make(chan struct{})
	go func() { // elsewhere, as this goroutine holds the first thread meanwhile
		defer close(done)
		onThreadOfItsOwn(f)
	}()
	<-done
	runtime.UnlockOSThread()
}

// enter moves the calling thread into a namespace.
func enter(namespace string) error {
	f, err := os.Open(filepath.Join("/run/netns", namespace))
	if err != nil {
		return fmt.Errorf("open the namespace: %w", err)
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", namespace, err)
	}
	return nil
}

// Cut drops whatever the nodes from, by index, send to the nodes to from now on. Connections
// stay open, as on a broken link; nobody is told.
func (w *Network) Cut(from, to []int) error {
	var rules []string
	for _, a := range from {
		for _, b := range to {
			rules = append(rules, fmt.Sprintf("from %s to %s blackhole", nodeAddr(a), nodeAddr(b)))
		}
	}
	return w.change("add", rules)
}

// Split cuts the links between two sides in both directions.
func (w *Network) Split(one, other []int) error {
	if err := w.Cut(one, other); err != nil {
		return err
	}
	return w.Cut(other, one)
}

// Heal ends all cuts.
func (w *Network) Heal() error { return w.change("del", slices.Clone(w.cuts)) }

func (w *Network) change(verb string, rules []string) error {
	if len(rules) == 0 {
		return nil
	}
	commands := make([]string, len(rules))
	for i, r := range rules {
		commands[i] = "rule " + verb + " " + r
	}
	if err := ip(w.router, commands...); err != nil {
		return err
	}
	if verb == "add" {
		w.cuts = append(w.cuts, rules...)
	} else {
		w.cuts = nil
	}
	return nil
}

// sweepNamespaces removes the namespaces of test processes that have ended.
func sweepNamespaces() error {
	return removeNamespaces(func(name string) bool {
		owner, _, _ := strings.Cut(strings.TrimPrefix(name, namespacePrefix), "-")
		pid, err := strconv.Atoi(owner)
		return err == nil && syscall.Kill(pid, 0) == syscall.ESRCH
	})
}

// removeNamespaces removes the namespaces of ours that match, and kills what still runs inside:
// only this test's nodes ever do.
func removeNamespaces(match func(name string) bool) error {
	entries, err := os.ReadDir("/run/netns")
	if os.IsNotExist(err) {
		return nil // ip makes the directory with the first namespace
	}
	if err != nil {
		return fmt.Errorf("list the network namespaces: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), namespacePrefix) || !match(e.Name()) {
			continue
		}
		out, err := exec.Command("ip", "netns", "pids", e.Name()).Output()
		if err != nil {
			return fmt.Errorf("list the processes in %s: %w", e.Name(), err)
		}
		for field := range strings.FieldsSeq(string(out)) {
			if pid, err := strconv.Atoi(field); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended just now
			}
		}
		if err := ip("", "netns del "+e.Name()); err != nil {
			return err
		}
	}
	return nil
}
