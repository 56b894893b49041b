package props

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"cartwheel/vclock"
)

// maxBucketBytes bounds the encoded properties of one bucket or type, stamps included: they are in
// the memory of every node.
const maxBucketBytes = 64 << 10

// limits bound what clients can store. Merges are not bound by them, or nodes would disagree.
type limits struct {
	buckets     int // with properties of their own
	types       int
	bucketBytes int
	totalBytes  int // of the document, which each change saves whole and nodes send in one message
}

var clientLimits = limits{buckets: 10_000, types: 1000, bucketBytes: maxBucketBytes, totalBytes: 8 << 20}

// Config is what a Table needs. All fields but Clock are required.
type Config struct {
	Node     string // uuid of this node, part of every stamp
	Defaults Defaults
	Save     func(document []byte) error // keeps the document durably; called by one goroutine at a time
	Clock    *vclock.HybridClock         // nil: one of the table's own
}

// Table holds the current Set of a node and changes it. It has no goroutine and needs no
// closing. It is safe for concurrent use; Save runs on the goroutine of the caller.
type Table struct {
	cfg     Config
	limits  limits
	current atomic.Pointer[Set]
	// writer serializes changes and is held while Save runs: the next change must not start
	// from a set that may not become durable. Readers never take it.
	writer sync.Mutex
}

// NewTable returns a table that holds a saved document, or nothing when document is empty.
// It refuses a damaged document or one of a newer format.
func NewTable(cfg Config, document []byte) (*Table, error) {
	switch {
	case cfg.Node == "":
		return nil, errors.New("props: Config.Node is empty")
	case cfg.Defaults.N < 1:
		return nil, fmt.Errorf("props: Config.Defaults.N is %d, it must be at least 1", cfg.Defaults.N)
	case cfg.Save == nil:
		return nil, errors.New("props: Config.Save is nil")
	case cfg.Clock == nil:
		cfg.Clock = new(vclock.HybridClock)
	}
	set := newSet(cfg.Defaults)
	if len(document) > 0 {
		states, err := decodeDocument(document)
		if err != nil {
			return nil, err
		}
		set, _ = set.merge(states)
	}
	t := &Table{cfg: cfg, limits: clientLimits}
	t.current.Store(set)
	return t, nil
}

// Set returns the current document. A request uses one for its whole life.
func (t *Table) Set() *Set { return t.current.Load() }

// Apply carries out a client's change, durably here, and returns the delta to send to the
// other nodes; nil when the change was empty. The delta is the caller's. It returns
// ErrTooLarge or ErrFull (wrapped) when a limit is reached, or the error of Save; then the
// current set is what it was.
func (t *Table) Apply(c Change) (delta []byte, err error) {
	if !c.reset && len(c.values) == 0 {
		return nil, nil
	}
	t.writer.Lock()
	defer t.writer.Unlock()
	set := t.Set()
	old := set.buckets[c.key]
	var latest vclock.Time
	if old != nil {
		latest = old.latest()
	}
	if latest >= maxTime {
		return nil, fmt.Errorf("props: the properties of %v carry the last possible time and cannot be changed", c.key)
	}
	change := c.stamped(stamp{t.cfg.Clock.Now(latest), t.cfg.Node})
	next, _ := set.merge(map[bucketKey]state{c.key: change})
	if err := t.limits.check(set, next, c.key); err != nil {
		return nil, err
	}
	if err := t.publishLocked(next); err != nil {
		return nil, err
	}
	return encodeDocument([][]byte{encodeBucket(c.key, change)}), nil
}

// Merge takes in a delta or a whole document of another node and reports whether it held
// anything new, durably here by then. It returns ErrDamaged (wrapped) for bytes that are
// neither, an error that says so for a newer format, or the error of Save; then nothing of
// it was taken in.
func (t *Table) Merge(document []byte) (changed bool, err error) {
	states, err := decodeDocument(document)
	if err != nil {
		return false, err
	}
	t.writer.Lock()
	defer t.writer.Unlock()
	next, n := t.Set().merge(states)
	if n == 0 {
		return false, nil
	}
	if err := t.publishLocked(next); err != nil {
		return false, err
	}
	return true, nil
}

// publishLocked makes a set durable, then visible.
func (t *Table) publishLocked(s *Set) error {
	if err := t.cfg.Save(s.Encode()); err != nil {
		return fmt.Errorf("save bucket properties: %w", err)
	}
	t.current.Store(s)
	return nil
}

// check refuses a client's change of bucket k that grows something beyond its limit. What is
// beyond it already, through merges, may still shrink.
func (l limits) check(before, after *Set, k bucketKey) error {
	oldSize := 0
	if e := before.buckets[k]; e != nil {
		oldSize = len(e.encoded)
	}
	size := len(after.buckets[k].encoded)
	switch {
	case size > l.bucketBytes && size > oldSize:
		return fmt.Errorf("%w: those of %v would take %d bytes, the limit is %d", ErrTooLarge, k, size, l.bucketBytes)
	case after.owners > l.buckets && after.owners > before.owners:
		return fmt.Errorf("%w: %d buckets have some, the limit is %d", ErrFull, before.owners, l.buckets)
	case after.types > l.types && after.types > before.types:
		return fmt.Errorf("%w: there are %d bucket types, the limit is %d", ErrFull, before.types, l.types)
	case after.bytes > l.totalBytes && after.bytes > before.bytes:
		return fmt.Errorf("%w: all buckets would take %d bytes, the limit is %d", ErrFull, after.bytes, l.totalBytes)
	}
	return nil
}
