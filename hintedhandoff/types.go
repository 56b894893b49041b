package hintedhandoff

import (
	"context"
	"log/slog"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// Hint is one stored hint.
type Hint struct {
	Partition uint16
	Name      string
	Object    vclock.Object
	Err       error // the record cannot be read; Object is zero then
}

// Count is how much is stored for one owner.
type Count struct {
	Owner        string
	Hints, Bytes int64
}

// Store is where the hints are.
type Store interface {
	// Hints returns one Count per owner with hints, unreadable ones included. It must be cheap:
	// it is called with every look.
	Hints() []Count
	// Scan shows an owner's hints in a fixed order, beginning behind the key (partition, name),
	// or with the first one if name is empty, until visit returns false. The hint is visit's.
	Scan(owner string, partition uint16, name string, visit func(Hint) bool) error
	// Drop deletes a hint whose object has that digest; 0 is that of one that cannot be read. It
	// must not block; done is called once, from any goroutine: with true when the hint is gone
	// for good, with false when its object is another one or on an error.
	Drop(owner string, partition uint16, name string, digest uint64, done func(dropped bool, err error))
}

// Item is one object on its way to a member that owns it.
type Item struct {
	Partition uint16
	N         int // replicas of the key's bucket
	Name      string
	Object    vclock.Object
}

// Sender sends items to members.
type Sender interface {
	// Send blocks until the member has answered for all items, or no longer can, at a pace that
	// it sets. acked is aligned with items: true where the member has the item durably. err is
	// nil if all are acknowledged. If err has a method Answered() bool that returns true, the
	// member has looked at every item and not taken some; after any other error it is not asked
	// again in the same pass.
	Send(ctx context.Context, member string, items []Item) (acked []bool, err error)
}

// View is one snapshot of the cluster.
type View struct {
	Ring *ring.Ring
	Self int // this node among Ring.Members(), -1 if it is no member
	// Alive tells whether the member at that index of Ring.Members() is reachable and takes
	// writes, as far as is known. It must not block.
	Alive func(member int) bool
}

// Config connects and bounds a Handoff. Store, Sender, View and Merge are required.
type Config struct {
	Store  Store
	Sender Sender
	View   func() *View // nil before there is a ring
	// Merge merges an object into this node's own copy of the key: see Store.Drop for done.
	Merge func(partition uint16, name string, o vclock.Object, done func(error))
	// N returns the number of replicas of the key's bucket; nil: the cluster's for all.
	N func(name string) int
	// Missed is told that a member lacks a write of a partition and no readable hint holds it.
	// It must not block. May be nil.
	Missed func(owner string, partition uint16)

	Owners   int           // owners served at once; 4
	Pipeline int           // pages under way per owner; 3
	Every    time.Duration // between two looks, plus or minus a third by chance; 3 s
	Logger   *slog.Logger  // discards
}

// WithDefaults returns c with the defaults in the place of zeros.
func (c Config) WithDefaults() Config {
	if c.N == nil {
		c.N = func(string) int { return 0 }
	}
	if c.Missed == nil {
		c.Missed = func(string, uint16) {}
	}
	if c.Owners <= 0 {
		c.Owners = 4
	}
	if c.Pipeline <= 0 {
		c.Pipeline = 3
	}
	if c.Every <= 0 {
		c.Every = 3 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// OwnerStatus is how things stand with the hints of one owner.
type OwnerStatus struct {
	Owner      string
	Hints      int64 // stored, unreadable ones included
	Bytes      int64 // that they take
	Delivering bool  // a pass is under way
	// Waiting are members that are to get some of the hints and were not alive in the latest
	// pass, sorted; empty before the first one.
	Waiting    []string
	Unreadable int       // of the hints, as of the latest complete pass: they go when Waiting have returned
	Failures   int       // passes in a row that met an error
	LastError  string    // of the latest pass that met one, since this owner has hints
	LastFailed time.Time // when that was; zero if never
	NextTry    time.Time // after a failure; zero if nothing is delayed
}

// Stats count what happened since the Handoff was made.
type Stats struct {
	Delivered  uint64 // hints that were acknowledged and deleted
	Retargeted uint64 // of them, those that went to other members than the one they waited for
	Changed    uint64 // hints that changed while they were sent, and stayed
	Failures   uint64 // passes that met an error
	Unreadable uint64 // hints that could not be read, told to Missed and deleted
}
