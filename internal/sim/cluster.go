package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cartwheel/gossip"
	"cartwheel/internal/memnet"
	"cartwheel/node"
	"cartwheel/quorum"
	"cartwheel/storage"
)

// machine is one host with its disk, and the node that runs on it now, if any.
type machine struct {
	name, host string
	dir        string // the data directory; another one after each power cut

	mu   sync.Mutex
	life int        // counts starts and ends: an answer is an answer only within one life
	node *node.Node // nil while down
	stop context.CancelFunc
	done chan error
}

// Cluster is a simulated cluster.
type Cluster struct {
	t        testing.TB
	net      *memnet.Net
	machines []*machine
	disks    string
	log      *slog.Logger

	mu  sync.Mutex
	rng *rand.Rand // guarded by mu: of all disks
}

// newCluster starts n nodes and waits until they serve.
func newCluster(t testing.TB, seed uint64, n int, log *slog.Logger) *Cluster {
	c := &Cluster{t: t, disks: t.TempDir(), log: log, rng: rand.New(rand.NewPCG(seed, 3)), net: memnet.New(memnet.Config{
		Seed: seed,
		Link: memnet.Link{Delay: 200 * time.Microsecond, Jitter: 300 * time.Microsecond, ResetOnHeal: 0.5},
	})}
	for i := range n {
		name := fmt.Sprintf("n%d", i+1)
		c.machines = append(c.machines, &machine{name: name, host: fmt.Sprintf("10.0.0.%d", i+1), dir: filepath.Join(c.disks, name)})
	}
	for i := range n {
		c.start(i)
	}
	c.await("the first ring", func() bool { return c.serving() == n })
	return c
}

func peerAddr(m *machine) string { return m.host + ":7000" }

// start boots the node of machine i on the disk that it has.
func (c *Cluster) start(i int) {
	m := c.machines[i]
	n, err := node.New(node.Config{
		Name: m.name, DataDir: m.dir, HTTP: m.host + ":80", Peer: peerAddr(m), Insecure: true,
		Join: []string{peerAddr(c.machines[(i+1)%len(c.machines)]), peerAddr(c.machines[0])}, Expect: len(c.machines),
		Partitions: 16, N: 3, Network: c.net.Host(m.host), Logger: c.log.With("on", m.name),
		Storage: storage.Config{MemTableBytes: 1 << 20, Stall: c.stall},
		Gossip:  gossip.Config{RejoinEvery: 2 * time.Second},
		Quorum:  quorum.Config{FollowUpTimeout: 3 * time.Second},
	})
	if err != nil {
		c.t.Errorf("start %s: %v", m.name, err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life++
	m.node, m.stop, m.done = n, stop, done
}

// stall makes about every third commit of every disk take a while, so that power cuts also hit
// writes that others have heard of and this node has not stored.
func (c *Cluster) stall() {
	c.mu.Lock()
	slow, length := c.rng.IntN(3) == 0, time.Duration(c.rng.IntN(60))*time.Millisecond
	c.mu.Unlock()
	if slow {
		time.Sleep(length)
	}
}

// running returns the node of machine i, nil while it is down, and the number of its life.
func (c *Cluster) running(i int) (*node.Node, int) {
	m := c.machines[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.node, m.life
}

// end takes the node of machine i away from the clients; what it answers from now on counts
// as no answer.
func (m *machine) end() (stop context.CancelFunc, done chan error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.node == nil {
		return nil, nil
	}
	m.life++
	m.node = nil
	return m.stop, m.done
}

// halt stops the node of machine i in order.
func (c *Cluster) halt(i int) {
	m := c.machines[i]
	if stop, done := m.end(); stop != nil {
		stop()
		if err := <-done; err != nil {
			c.t.Errorf("stop %s: %v", m.name, err)
		}
	}
}

// crash cuts the power of machine i: its connections are gone at once, and of its disk only
// what had been synced is left.
func (c *Cluster) crash(i int, rng *rand.Rand) {
	m := c.machines[i]
	stop, done := m.end()
	if stop == nil {
		return
	}
	c.net.Crash(m.host)
	disk := filepath.Join(c.disks, fmt.Sprintf("%s-life%d", m.name, m.life))
	if err := powerCut(m.dir, disk, rng.Uint64()); err != nil {
		c.t.Errorf("cut the power of %s: %v", m.name, err)
	}
	// What still runs in the old process reaches nobody and a disk that is thrown away.
	stop()
	<-done
	if err := os.RemoveAll(m.dir); err != nil {
		c.t.Errorf("throw the old disk of %s away: %v", m.name, err)
	}
	m.dir = disk
}

// serving returns how many nodes are up and have a ring.
func (c *Cluster) serving() (n int) {
	for i := range c.machines {
		if node, _ := c.running(i); node != nil && node.Ready() == nil {
			n++
		}
	}
	return n
}

// together returns whether every node sees every other one alive.
func (c *Cluster) together() bool {
	for i := range c.machines {
		node, _ := c.running(i)
		if node == nil || node.Ready() != nil {
			return false
		}
		for _, alive := range node.View().Alive {
			if !alive {
				return false
			}
		}
	}
	return true
}

// patience is how long a whole cluster may take to be as it should: longer than any backoff.
const patience = time.Minute

// await waits, in the bubble's time, for something that must come about.
func (c *Cluster) await(what string, ok func() bool) bool {
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		if ok() {
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	c.t.Errorf("%v passed without %s", patience, what)
	return false
}

// close stops all nodes.
func (c *Cluster) close() {
	for i := range c.machines {
		c.halt(i)
	}
}
