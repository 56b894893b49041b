package antientropy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// The kinds of messages on the wire: all from KindFirst to KindLast go to [Keeper.Serve].
const (
	KindFirst = 40
	KindLast  = 47
)

const (
	kindRoots    = KindFirst + iota // compare roots: begins an exchange
	kindBranches                    // hashes of all branches
	kindLeaves                      // hashes of the leaves of some branches
	kindKeys                        // a page of keys with their digests or objects
	kindFetch                       // objects by name
	kindRescan                      // a difference that no key shows: scan these partitions again
	kindDirty                       // marks handed over to an owner
	kindEnd                         // the exchange is over
)

// View is what the package needs to know of the cluster at one moment. It is immutable.
type View struct {
	Ring   *ring.Ring
	Self   int    // this node's index in Ring.Members; below 0 if it is none of them
	Alive  []bool // by member
	Levels []int  // every n_val in use, ascending
}

// Store is the node's own store.
type Store interface {
	// Scan visits the own records of a partition whose names come after the given one ("" is
	// before all), ascending by name, as of one snapshot, until visit returns false. began, if
	// not nil, is called between two commits: every change before it is in the snapshot, every
	// later one goes to [Keeper.Update]. A record that cannot be read comes with an error. Scan
	// blocks; the objects are the visitor's.
	Scan(partition uint16, after string, began func(), visit func(name string, o vclock.Object, err error) bool) error
	// Get returns an object, the zero one if it is missing. The object is the caller's.
	Get(partition uint16, name string) (vclock.Object, error)
	// Merge joins an object into the store and never mints. done is called once: nil when what
	// came is durable and Update has been told. Merge does not block.
	Merge(partition uint16, name string, o vclock.Object, done func(error))
}

// Item is one object on its way to another owner of its key.
type Item struct {
	Partition uint16
	N         int // n_val of the key's bucket
	Name      string
	Object    vclock.Object
}

// Sender moves objects to a member (by uuid), which merges them. It blocks for as long as the
// member asks. acked says of each item whether it is durable there; err is why some are not. If err
// has a method Answered() bool that returns true, the member was reached and did not take them.
type Sender interface {
	Send(ctx context.Context, member string, items []Item) (acked []bool, err error)
}

// Throttle is the pace of the node's background work; reading costs less of it than moving, and
// what goes to a peer is the Sender's to pay for. Wait blocks until n more objects may be
// read or sent, or ctx ends.
type Throttle interface {
	Wait(ctx context.Context, n int) error
}

// Config says how a [Keeper] works. Durations and numbers of zero mean the default given with
// them; the other fields are required, except UnsureChanged and Logger. N and View must not block.
type Config struct {
	View     func() *View          // the present view; nil before the ring is known
	N        func(name string) int // n_val of the bucket of a key; called for each commit
	Run      uint64                // the store's run, which stamps what Save returns
	Store    Store
	Sender   Sender
	Throttle Throttle
	// Call sends a message of one of the kinds of this package to a member, by uuid, and returns
	// the answer of its Serve.
	Call func(ctx context.Context, member string, kind uint8, payload []byte) ([]byte, error)
	// UnsureChanged is called with all unsure partitions soon after they have changed, once there
	// is a ring, so that the node can keep them for its next life. One call is made at a time, and
	// exchanges wait for it: it may write a small file. The slice is the callee's.
	UnsureChanged func(partitions []uint16)
	Logger        *slog.Logger

	Interval     time.Duration // from one regular exchange to the next, on average; 10 s
	Pause        time.Duration // between the two comparisons that must both differ; 1 s
	DeadAfter    time.Duration // an owner that was not alive for so long does not keep a partition unsure; 30 s
	ScrubEvery   time.Duration // each record is read again once in this time; 7 days
	CallTimeout  time.Duration // for the answer to one message; 10 s
	MaxExchanges int           // begun by this node at once, and as many served; 2
	Parallel     int           // partitions that one exchange repairs at once; 4
}

// WithDefaults returns c with the default in each field that is zero.
func (c Config) WithDefaults() Config {
	setDefault(&c.Interval, 10*time.Second)
	setDefault(&c.Pause, time.Second)
	setDefault(&c.DeadAfter, 30*time.Second)
	setDefault(&c.ScrubEvery, 7*24*time.Hour)
	setDefault(&c.CallTimeout, 10*time.Second)
	setDefault(&c.MaxExchanges, 2)
	setDefault(&c.Parallel, 4)
	if c.UnsureChanged == nil {
		c.UnsureChanged = func([]uint16) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T ~int | ~int64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Validate reports every problem of a configuration that has its defaults.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("antientropy: "+format, args...))
		}
	}
	check(c.View != nil, "the view is not set")
	check(c.N != nil, "the n_val of keys is not set")
	check(c.Store != nil, "the store is not set")
	check(c.Sender != nil, "the sender is not set")
	check(c.Throttle != nil, "the throttle is not set")
	check(c.Call != nil, "the call is not set")
	for _, d := range []struct {
		what  string
		value time.Duration
	}{
		{"interval", c.Interval}, {"pause", c.Pause}, {"time until dead", c.DeadAfter},
		{"time of a scrub", c.ScrubEvery}, {"call timeout", c.CallTimeout},
	} {
		check(d.value > 0, "the %s of %v is not positive", d.what, d.value)
	}
	check(c.MaxExchanges > 0, "%d exchanges at once are not positive", c.MaxExchanges)
	check(c.Parallel > 0, "%d partitions at once are not positive", c.Parallel)
	return errors.Join(errs...)
}
