package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config says how a [Transport] works. Sizes are bytes. A zero field means the
// default given with it.
type Config struct {
	Network   Network      // TCP()
	Listen    string       // host:port, required; port 0 picks one that is free for TCP and UDP
	Advertise string       // the address told to peers; where Listen ended up
	Node      string       // this node's uuid, required, at most 255 bytes
	Cluster   string       // its cluster's uuid if it has one already, at most 255 bytes; see SetCluster
	Versions  VersionRange // 1-1
	Handler   Handler      // answers StatusRefused to everything
	Open      []Kind       // kinds served without a common cluster; none
	Logger    *slog.Logger // discards

	// Duplicate, if set, is told of another live process with this node's uuid,
	// and of its address. It runs on a connection's goroutine and must not block.
	Duplicate func(addr string)

	// MaxFrameBytes bounds the payload of one frame. 256 KiB; at least 4 KiB.
	MaxFrameBytes int64
	// MaxMessageBytes bounds a payload, the payloads of this size class waiting
	// to be sent as requests on one connection, and those being received in
	// parts on one connection, each. 128 MiB; at most 4 GiB.
	MaxMessageBytes int64
	// MaxQueuedBytes bounds the encoded frames waiting to be written on one
	// connection: over it, calls fail with ErrBusy, and no further request is
	// read until answers have left. 8 MiB; at least two frames.
	MaxQueuedBytes int64
	// MaxInFlight bounds the unanswered calls to one address. 4096.
	MaxInFlight int
	// MaxInbound bounds the requests of one connection that the handler has not
	// answered. Above it they get StatusBusy. 4096.
	MaxInbound int
	// MaxConns bounds the accepted connections, gossip streams not counted, and
	// the addresses called, each. More are turned away (ErrBusy). 1024.
	MaxConns int

	// DialTimeout bounds one attempt to connect, handshake included. 2 s.
	DialTimeout time.Duration
	// Heartbeat is how often a side with nothing to say shows that it is alive.
	// After four of them without a byte a connection is given up. 500 ms.
	Heartbeat time.Duration
	// BackoffMin and BackoffMax bound the pause between attempts to connect,
	// which doubles each time; a random part of up to half is taken off. 50 ms,
	// 5 s.
	BackoffMin, BackoffMax time.Duration
	// IdleTimeout is how long an address is remembered, and its connection kept,
	// without a call. 5 min.
	IdleTimeout time.Duration

	// Seed makes the jitter of the backoff repeatable. 0 draws one.
	Seed uint64
}

const (
	minFrameBytes   = 4 << 10
	maxNameBytes    = 255
	maxMessageBytes = 1<<32 - 1
)

// WithDefaults returns c with the default in each field that is zero.
func (c Config) WithDefaults() Config {
	if c.Network == nil {
		c.Network = TCP()
	}
	if c.Handler == nil {
		c.Handler = func(_ Peer, _ Request, reply func(Response)) { reply(Response{Status: StatusRefused}) }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Versions == (VersionRange{}) {
		c.Versions = VersionRange{Min: 1, Max: 1}
	}
	setDefault(&c.MaxFrameBytes, 256<<10)
	setDefault(&c.MaxMessageBytes, 128<<20)
	setDefault(&c.MaxQueuedBytes, 8<<20)
	setDefault(&c.MaxInFlight, 4096)
	setDefault(&c.MaxInbound, 4096)
	setDefault(&c.MaxConns, 1024)
	setDefault(&c.DialTimeout, 2*time.Second)
	setDefault(&c.Heartbeat, 500*time.Millisecond)
	setDefault(&c.BackoffMin, 50*time.Millisecond)
	setDefault(&c.BackoffMax, 5*time.Second)
	setDefault(&c.IdleTimeout, 5*time.Minute)
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports all that is wrong with c, whose defaults are filled in.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("transport: "+format, args...))
		}
	}
	check(c.Listen != "", "no address to listen on")
	check(c.Node != "", "no node uuid")
	check(len(c.Node) <= maxNameBytes, "node uuid of %d bytes, at most %d", len(c.Node), maxNameBytes)
	check(len(c.Cluster) <= maxNameBytes, "cluster uuid of %d bytes, at most %d", len(c.Cluster), maxNameBytes)
	check(len(c.Advertise) <= maxNameBytes, "advertised address of %d bytes, at most %d", len(c.Advertise), maxNameBytes)
	check(c.Versions.Min <= c.Versions.Max, "protocol versions %v", c.Versions)
	check(c.MaxFrameBytes >= minFrameBytes && c.MaxFrameBytes <= maxMessageBytes/2, "frames of %d bytes", c.MaxFrameBytes)
	check(c.MaxMessageBytes >= c.MaxFrameBytes && c.MaxMessageBytes <= maxMessageBytes,
		"messages of %d bytes, with frames of %d", c.MaxMessageBytes, c.MaxFrameBytes)
	check(c.MaxQueuedBytes >= 2*c.MaxFrameBytes, "a queue of %d bytes, with frames of %d", c.MaxQueuedBytes, c.MaxFrameBytes)
	check(c.MaxInFlight > 0, "%d calls in flight", c.MaxInFlight)
	check(c.MaxInbound > 0, "%d requests in flight", c.MaxInbound)
	check(c.MaxConns > 0, "%d connections", c.MaxConns)
	check(c.DialTimeout > 0, "dial timeout %v", c.DialTimeout)
	check(c.Heartbeat > 0, "heartbeat %v", c.Heartbeat)
	check(c.BackoffMin > 0 && c.BackoffMin <= c.BackoffMax, "backoff %v to %v", c.BackoffMin, c.BackoffMax)
	check(c.IdleTimeout > 0, "idle timeout %v", c.IdleTimeout)
	return errors.Join(errs...)
}
