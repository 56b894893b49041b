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
	disk       disk
	clock      clock

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
	plan     plan
	disks    string
	log      *slog.Logger

	mu      sync.Mutex
	work    Work // of nodes that have ended; guarded by mu
	started time.Time
}

// newCluster starts the nodes of a plan and waits until they serve.
func newCluster(t testing.TB, p plan, rng *rand.Rand, log *slog.Logger) *Cluster {
	c := &Cluster{t: t, plan: p, disks: t.TempDir(), log: log, net: memnet.New(memnet.Config{Seed: rng.Uint64(), Link: goodLink})}
	for i := range p.nodes {
		name := fmt.Sprintf("n%d", i+1)
		c.machines = append(c.machines, &machine{
			name: name, host: fmt.Sprintf("10.0.0.%d", i+1), dir: filepath.Join(c.disks, name),
			disk: disk{rng: rand.New(rand.NewPCG(rng.Uint64(), 3))},
		})
	}
	for i := range c.machines {
		c.start(i)
	}
	c.await("the first ring", func() bool { return c.serving() == p.nodes })
	return c
}

func peerAddr(m *machine) string { return m.host + ":7000" }

// start boots the node of machine i on the disk that it has.
func (c *Cluster) start(i int) {
	m := c.machines[i]
	cfg := node.Config{
		Name: m.name, DataDir: m.dir, HTTP: m.host + ":80", Peer: peerAddr(m), Insecure: true,
		Join: []string{peerAddr(c.machines[(i+1)%len(c.machines)]), peerAddr(c.machines[0])}, Expect: len(c.machines),
		Partitions: 16, N: 3, Network: c.net.Host(m.host), Logger: c.log.With("on", m.name),
		Storage: storage.Config{MemTableBytes: 1 << 20, CommitTimeout: hungAfter, Commit: m.disk.commit, FreeBytes: m.disk.free, Now: m.clock.now},
		Gossip:  gossip.Config{RejoinEvery: 2 * time.Second},
		Quorum:  quorum.Config{FollowUpTimeout: 3 * time.Second},
	}
	configure(&cfg, c.plan)
	n, err := node.New(cfg)
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
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = time.Now()
}

// lastStart returns when a node was last started.
func (c *Cluster) lastStart() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started
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
func (c *Cluster) end(i int) (stop context.CancelFunc, done chan error, fenced bool) {
	m := c.machines[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.node == nil {
		return nil, nil, false
	}
	c.mu.Lock()
	c.work.add(work(m.node))
	c.mu.Unlock()
	fenced = m.node.View() != nil && m.node.Ready() != nil
	m.life++
	m.node = nil
	return m.stop, m.done, fenced
}

// halt stops the node of machine i in order.
func (c *Cluster) halt(i int) {
	m := c.machines[i]
	if stop, done, fenced := c.end(i); stop != nil {
		stop()
		// A store that was fenced may say at its end what is wrong with the disk.
		if err := <-done; err != nil && !fenced {
			c.t.Errorf("stop %s: %v", m.name, err)
		}
	}
}

// crash cuts the power of machine i: its connections are gone at once, and of its disk only
// what had been synced is left.
func (c *Cluster) crash(i int, rng *rand.Rand) {
	m := c.machines[i]
	stop, done, _ := c.end(i)
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

// total returns what all nodes did so far.
func (c *Cluster) total() Work {
	c.mu.Lock()
	sum := c.work
	c.mu.Unlock()
	for i := range c.machines {
		if n, _ := c.running(i); n != nil {
			sum.add(work(n))
		}
	}
	return sum
}

// close stops all nodes.
func (c *Cluster) close() {
	for i := range c.machines {
		c.halt(i)
	}
}
