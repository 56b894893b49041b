package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"time"

	"cartwheel/antientropy"
	"cartwheel/gossip"
	"cartwheel/hintedhandoff"
	"cartwheel/pace"
	"cartwheel/quorum"
	"cartwheel/replica"
	"cartwheel/ring"
	"cartwheel/storage"
	"cartwheel/transport"
)

// Config says what a node is and where it lives. A zero field means the default given with
// it; fields without one are required.
type Config struct {
	Name      string   // unique in the cluster; letters, digits, dot, dash, underscore
	DataDir   string   // made if it does not exist
	HTTP      string   // host:port of the client API
	Peer      string   // host:port of all traffic between nodes, TCP and UDP
	Advertise string   // host that the others reach this node at; default the host of Peer
	Join      []string // peer addresses of other nodes
	Expect    int      // members of the first ring; 1
	Zone      string   // replicas are spread over zones
	Weight    int      // share of the data relative to the others, 1..100; 1

	Partitions int // of a new ring; 256
	N          int // replicas per key of a new ring; 3

	Durability        storage.Durability // Fsync
	NoDefaultSiblings bool               // allow_mult is false unless a bucket says otherwise
	AcceptEmptyStore  bool               // start although the objects are gone and no other member has copies
	Insecure          bool               // listen on other addresses than loopback without authentication
	Version           string             // of the program
	Logger            *slog.Logger       // discards

	// For simulated clusters and tests.
	Network transport.Network // sockets
	Storage storage.Config    // sizes; its Dir, Durability, Run and Logger are the node's
	Gossip  gossip.Config     // intervals; everything else is the node's
	Quorum  quorum.Config

	// How the repair works: durations and bounds; everything else is the node's.
	Pace        pace.Config
	AntiEntropy antientropy.Config
	Handoff     hintedhandoff.Config
	Breaker     replica.BreakerConfig
}

// WithDefaults returns c with the default in each field that is zero.
func (c Config) WithDefaults() Config {
	setDefault(&c.Expect, 1)
	setDefault(&c.Weight, 1)
	setDefault(&c.Partitions, ring.DefaultPartitions)
	setDefault(&c.N, ring.DefaultN)
	setDefault(&c.Version, "dev")
	if c.Network == nil {
		c.Network = transport.TCP()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if host, _, err := net.SplitHostPort(c.Peer); err == nil && c.Advertise == "" {
		c.Advertise = host
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// httpHost returns the host of the HTTP address as others reach it: its own, unless that is a
// wildcard.
func (c Config) httpHost() string {
	host, _, err := net.SplitHostPort(c.HTTP)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		return c.Advertise
	}
	return host
}

// names are what a node's name and zone may be: they travel in 512 bytes of gossip metadata
// and stand in logs, tables and file names.
var names = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Validate reports all that is wrong with c, whose defaults are filled in.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(names.MatchString(c.Name), "name %q: use 1 to 64 letters, digits, dots, dashes or underscores", c.Name)
	check(c.Zone == "" || names.MatchString(c.Zone), "zone %q: use up to 64 letters, digits, dots, dashes or underscores", c.Zone)
	check(c.DataDir != "", "data: name the data directory")
	check(c.Expect >= 1 && c.Expect <= 1024, "expect %d: use 1 to 1024 nodes", c.Expect)
	check(c.Weight >= 1 && c.Weight <= 100, "weight %d: use 1 to 100", c.Weight)
	check(c.Partitions >= 1 && c.Partitions <= 1<<16 && c.Partitions&(c.Partitions-1) == 0, "partitions %d: use a power of two up to 65536", c.Partitions)
	check(c.N >= 1 && c.N <= 64, "n %d: use 1 to 64 replicas", c.N)
	errs = append(errs, c.checkListen("http", c.HTTP), c.checkListen("peer", c.Peer))
	ip := net.ParseIP(c.Advertise)
	check(c.Advertise != "" && (ip == nil || !ip.IsUnspecified()), "advertise: name the host that the other nodes reach this one at, peer listens on %q", c.Peer)
	_, _, err := net.SplitHostPort(c.Advertise)
	check(err != nil, "advertise %q: name a host without a port", c.Advertise)
	for _, j := range c.Join {
		_, _, err := net.SplitHostPort(j)
		check(err == nil, "join %q: use the PEER_HOST:PORT of another node", j)
	}
	return errors.Join(errs...)
}

// checkListen refuses an address that is none, and one that strangers could reach while
// nothing authenticates them.
func (c Config) checkListen(flag, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%s %q: use HOST:PORT", flag, addr)
	}
	ip := net.ParseIP(host)
	if c.Insecure || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s %q is not a loopback address and nothing authenticates clients and peers: listen on 127.0.0.1, or give --insecure if the network is trusted", flag, addr)
}

// stopWithin bounds each step of an orderly stop that waits for others.
const stopWithin = 5 * time.Second

// ParseDurability returns the durability that the flag's word names.
func ParseDurability(word string) (storage.Durability, error) {
	for _, d := range []storage.Durability{storage.Fsync, storage.OS} {
		if word == d.String() {
			return d, nil
		}
	}
	return 0, fmt.Errorf("durability %q: use fsync or os", word)
}
