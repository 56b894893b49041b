package memnet

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// Config says how a [Net] behaves. A zero field means the default given with it.
type Config struct {
	Seed         uint64        // of all randomness; 0 is a seed like others
	Link         Link          // of links without their own
	StreamBytes  int           // written and not yet read, per direction of a stream; 64 KiB
	StallTimeout time.Duration // held data breaks a stream after this; 15 s
}

// Link is the behaviour of one direction between two hosts. The zero Link is
// perfect.
type Link struct {
	Delay      time.Duration // of everything
	Jitter     time.Duration // up to this is added; packets may overtake each other, streams stay in order
	Drop       float64       // probability that a packet is lost
	Duplicate  float64       // probability that a packet arrives twice
	ResetEvery int64         // mean number of bytes after which a stream breaks; 0: never

	// ResetOnHeal is the probability that a stream with held data breaks when the
	// link is healed.
	ResetOnHeal float64
}

// Stats counts what the network did to its users.
type Stats struct {
	Packets    uint64 // sent
	Lost       uint64 // dropped by chance or by a cut link
	Overflowed uint64 // dropped because a queue was full or nobody listened
	Duplicated uint64
	Streams    uint64 // opened
	Resets     uint64 // streams broken by chance, Reset or Crash
	Stalled    uint64 // stream ends that broke after StallTimeout
}

// Net is a network of hosts. It needs no closing.
type Net struct {
	cfg Config

	mu    sync.Mutex // guards everything in the network; nobody waits with it held
	hosts map[string]*host
	links map[[2]string]*link
	topo  signal // a link or host changed
	stats Stats
}

// host is the state behind all Host values of one name.
type host struct {
	name      string
	life      int // crashes so far
	paused    bool
	listeners map[int]*listener
	packets   map[int]*packetConn
	conns     map[*conn]struct{}
	lastPort  int
}

// link is one direction between two hosts.
type link struct {
	Link
	from, to *host
	seed     uint64
	cut      bool
	cutSince time.Time
	heals    uint64
	streams  uint64   // opened so far, from this side
	packets  uint64   // sent so far
	held     []packet // sent while the sender is paused
}

// New returns a network without hosts.
func New(cfg Config) *Net {
	if cfg.StreamBytes == 0 {
		cfg.StreamBytes = 64 << 10
	}
	if cfg.StallTimeout == 0 {
		cfg.StallTimeout = 15 * time.Second
	}
	return &Net{cfg: cfg, hosts: make(map[string]*host), links: make(map[[2]string]*link)}
}

// Host returns the network as seen from the host of that name, which comes into
// being with this. After a crash it is the host's next life.
func (n *Net) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hostLocked(name)
	return &Host{n: n, h: h, life: h.life}
}

func (n *Net) hostLocked(name string) *host {
	h := n.hosts[name]
	if h == nil {
		h = &host{
			name:      name,
			listeners: make(map[int]*listener),
			packets:   make(map[int]*packetConn),
			conns:     make(map[*conn]struct{}),
			lastPort:  49151, // ephemeral ports begin after it
		}
		n.hosts[name] = h
	}
	return h
}

func (n *Net) linkLocked(from, to string) *link {
	l := n.links[[2]string{from, to}]
	if l == nil {
		l = &link{Link: n.cfg.Link, from: n.hostLocked(from), to: n.hostLocked(to)}
		l.seed = mix(mix(n.cfg.Seed, hashString(from)), hashString(to))
		n.links[[2]string{from, to}] = l
	}
	return l
}

// SetLink gives one direction between two hosts its own behaviour.
func (n *Net) SetLink(from, to string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(from, to).Link = l
}

// Stats returns the counters.
func (n *Net) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// blocked reports whether nothing leaves on l now.
func (l *link) blocked() bool { return l.cut || l.from.paused }

// arrival is when something sent now on l arrives; roll decides the jitter.
func (l *link) arrival(now time.Time, roll uint64) time.Time {
	at := now.Add(l.Delay)
	if l.Jitter > 0 {
		at = at.Add(time.Duration(roll % uint64(l.Jitter)))
	}
	return at
}

// Addr is an address in the network, "host:port".
type Addr string

// Network returns "mem".
func (Addr) Network() string { return "mem" }

// String returns the address itself.
func (a Addr) String() string { return string(a) }

// join makes the address of a port of h.
func (h *host) join(port int) Addr { return Addr(net.JoinHostPort(h.name, strconv.Itoa(port))) }

func split(addr string) (name string, port int, err error) {
	name, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("address %s: bad port", addr)
	}
	return name, port, nil
}

// freePort returns a port that taken does not know.
func (h *host) freePort(taken func(port int) bool) (int, error) {
	for range 65535 - 49151 {
		if h.lastPort++; h.lastPort > 65535 {
			h.lastPort = 49152
		}
		if !taken(h.lastPort) {
			return h.lastPort, nil
		}
	}
	return 0, errors.New("no free port")
}
