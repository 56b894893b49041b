package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cartwheel/listing"
	"cartwheel/props"
	"cartwheel/quorum"
	"cartwheel/ring"
)

// Coordinator runs object requests against the replicas; *quorum.Coordinator is one. Every method may be called by any
// number of goroutines, blocks until the request is decided or its timeout has passed, and
// answers with the errors of package quorum. Where the receipt of a result is not zero it is
// valid also beside an error.
type Coordinator interface {
	Get(context.Context, quorum.GetRequest) (quorum.GetResult, error)
	Put(context.Context, quorum.PutRequest) (quorum.PutResult, error)
	Delete(context.Context, quorum.DeleteRequest) (quorum.DeleteResult, error)
	// Explain asks every owner of a key for its copy, for a bucket with n_val n. The
	// answers are in the order of the preference list.
	Explain(ctx context.Context, key ring.Key, n int) ([]quorum.Copy, error)
	// Latencies returns what replicas took lately. It never blocks.
	Latencies() quorum.Latencies
}

// Properties holds the properties of all buckets and agrees on them with the other nodes.
// Its methods may be called by any number of goroutines.
type Properties interface {
	// Set returns the current properties. It never blocks.
	Set() *props.Set
	// Apply carries out a checked change. When it returns nil the change is durable here
	// and on its way to the other nodes.
	Apply(context.Context, props.Change) error
	// BucketEmpty reports whether no node holds an object of the bucket, or with an
	// empty bucket of any bucket of the type, tombstones included. An error means that this cannot be told now. The answer may be
	// outdated by a concurrent write when it arrives.
	BucketEmpty(ctx context.Context, typ, bucket string) (bool, error)
}

// Node is the node that serves the API, as far as requests and the pages about the cluster
// need to know it. Its methods may be called by any number of goroutines.
type Node interface {
	// Ring returns the present ring, nil before there is one. It never blocks.
	Ring() *ring.Ring
	// Status returns a snapshot for the pages about the node. It never blocks.
	Status() Status
	// Samples returns what else the node counts, for /metrics; the same names at every call.
	// It may ask the disk for its free space.
	Samples() []Sample
	// Repair returns what the node knows of copies that are not where they belong. It asks
	// no other node and no disk.
	Repair() Repair
}

// Status is a snapshot of a node.
type Status struct {
	Name     string
	UUID     string
	NotReady string       // why the node cannot serve object requests now; "" if it can
	Fenced   string       // why the store takes no writes; "" if it does
	Members  []Member     // as gossip knows them, aligned with Ring().Members(); may be shorter
	Settled  bool         // no change of the ring is open and no transfer runs
	Quorum   quorum.Stats // of the coordinator
}

// Member is what a node knows of a member of the ring now.
type Member struct {
	Alive       bool
	StorageDown bool   // it said that its store takes no writes
	Silent      bool   // it did not answer this node's calls, which are not sent for a while
	HTTP, Peer  string // addresses; the ring document has those of its making
}

// Sample is one number of /metrics.
type Sample struct {
	Name  string // without the prefix "cartwheel_"
	Help  string
	Value float64
	Gauge bool // goes up and down; else a counter
}

// Config is what an API needs. A zero field means its default.
type Config struct {
	Coordinator Coordinator    // required
	Properties  Properties     // required
	Node        Node           // required
	Lister      listing.Lister // of keys and buckets; nil answers such requests 503
	Logger      *slog.Logger

	Version          string        // of this program; default "dev"
	Durability       string        // when a write counts, "fsync" or "os"; for /cluster
	MaxValueBytes    int64         // of one value; default 1 MiB, more is 413
	MaxMetadataBytes int64         // of one value's metadata, names included; default 64 KiB, more is 431
	Timeout          time.Duration // of a request that names none; default 60 s
	MaxTimeout       time.Duration // upper bound of the timeout parameter; default 5 min
}

// maxNameBytes bounds type, bucket and key together: they are part of every record and
// message. Longer is 414.
const maxNameBytes = 4096

// WithDefaults returns c with the defaults in place of zero fields.
func (c Config) WithDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.MaxValueBytes == 0 {
		c.MaxValueBytes = 1 << 20
	}
	if c.MaxMetadataBytes == 0 {
		c.MaxMetadataBytes = 64 << 10
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.MaxTimeout == 0 {
		c.MaxTimeout = 5 * time.Minute
	}
	return c
}

// Validate returns everything that is wrong with c, nil if nothing is.
func (c Config) Validate() error {
	var errs []error
	if c.Coordinator == nil || c.Properties == nil || c.Node == nil {
		errs = append(errs, errors.New("httpapi: Coordinator, Properties and Node are required"))
	}
	for _, v := range []struct {
		name  string
		value int64
	}{
		{"MaxValueBytes", c.MaxValueBytes}, {"MaxMetadataBytes", c.MaxMetadataBytes},
		{"Timeout", int64(c.Timeout)}, {"MaxTimeout", int64(c.MaxTimeout)},
	} {
		if v.value < 0 {
			errs = append(errs, fmt.Errorf("httpapi: %s is negative: %d", v.name, v.value))
		}
	}
	return errors.Join(errs...)
}
