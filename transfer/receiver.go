package transfer

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cartwheel/vclock"
)

// Ownership is one immutable view of the ring from this node.
type Ownership interface {
	// Version returns the version of the ring.
	Version() uint64
	// Owns reports whether this node holds the key of that name for buckets with n replicas (0: the
	// cluster's number). It must be false if name is no canonical name of a key, or one of
	// another partition: what is stored under it, nobody could find again.
	Owns(partition uint16, name string, n int) bool
}

// Store is where items end.
type Store interface {
	// Merge merges o into this node's copy of the key. It must not block; done is called once,
	// from any goroutine, with nil when everything in o is durable here.
	Merge(partition uint16, name string, o vclock.Object, done func(error))
}

// ReceiverConfig connects and bounds a Receiver. View, Store and Pause are required.
type ReceiverConfig struct {
	View  func() Ownership // nil before there is a ring
	Store Store
	// Pause counts n objects as received and returns for how long their sender is to wait; it
	// must not block. Pause(0) returns what is owed already.
	Pause      func(n int) time.Duration
	MaxBatches int   // at work at once; 32
	MaxBytes   int64 // of their payloads; 64 MiB
}

// ReceiverStats count what a Receiver did since it was made.
type ReceiverStats struct {
	Stored  uint64 // items
	Refused uint64 // items that this node does not own
	Failed  uint64 // items that the store did not take
	Busy    uint64 // batches turned away because too much was under way
	Ring    uint64 // batches turned away because they were of another ring version
}

// Receiver serves batches. It is safe for concurrent use.
type Receiver struct {
	cfg   ReceiverConfig
	stats struct{ stored, refused, failed, busy, ring atomic.Uint64 }

	mu      sync.Mutex
	batches int
	bytes   int64
}

// NewReceiver returns a Receiver.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	if cfg.MaxBatches <= 0 {
		cfg.MaxBatches = 32
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 64 << 20
	}
	return &Receiver{cfg: cfg}
}

const (
	// maxOwed is for how long senders may be made to wait before new batches are turned away. It
	// is below what a throttle counts at most, so that the account stays exact.
	maxOwed = 3 * time.Second
	// fullPause is what a sender waits at least when too much is under way.
	fullPause = 100 * time.Millisecond
)

// Serve answers one batch. reply is called exactly once, with the answer or with an error that
// wraps [ErrMalformed], possibly before Serve returns. Serve does not block and keeps payload
// until then.
func (r *Receiver) Serve(payload []byte, reply func([]byte, error)) {
	if pause := r.begin(len(payload)); pause > 0 {
		r.stats.busy.Add(1)
		reply(answer{verdict: busy, pause: pause, text: "too much is under way"}.encode(), nil)
		return
	}
	version, items, err := decodeBatch(payload)
	if err != nil {
		r.end(len(payload))
		reply(nil, err)
		return
	}
	view := r.cfg.View()
	if view == nil || view.Version() != version {
		r.end(len(payload))
		r.stats.ring.Add(1)
		reply(elsewhere(view, version).encode(), nil)
		return
	}
	b := &batch{r: r, size: len(payload), reply: reply, began: time.Now()}
	b.answer = answer{version: version, items: make([]outcome, len(items))}
	b.pause = r.cfg.Pause(cost(len(items), len(payload)))
	b.open.Store(int64(len(items)))
	for i := range items {
		it := &items[i]
		if !view.Owns(it.Partition, it.Name, it.N) {
			b.done(i, refused, fmt.Errorf("this node does not own partition %d with n=%d in ring version %d", it.Partition, it.N, version))
			continue
		}
		r.cfg.Store.Merge(it.Partition, it.Name, it.Object, func(err error) {
			if err != nil {
				b.done(i, failed, err)
				return
			}
			b.done(i, stored, nil)
		})
	}
}

func elsewhere(view Ownership, version uint64) answer {
	a := answer{verdict: otherRing, text: "this node has no ring yet"}
	if view != nil {
		a.version = view.Version()
		a.text = fmt.Sprintf("the batch is of ring version %d, this node is at %d", version, a.version)
	}
	return a
}

// begin takes a place for a batch of so many bytes, or returns for how long its sender is to
// wait. A lone batch may have any size.
func (r *Receiver) begin(size int) time.Duration {
	owed := r.cfg.Pause(0)
	r.mu.Lock()
	defer r.mu.Unlock()
	if owed > maxOwed || r.batches >= r.cfg.MaxBatches || r.batches > 0 && r.bytes+int64(size) > r.cfg.MaxBytes {
		return max(owed, fullPause)
	}
	r.batches++
	r.bytes += int64(size)
	return 0
}

func (r *Receiver) end(size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches--
	r.bytes -= int64(size)
}

// batch is one batch at work. Each item's outcome is written once, by whoever ends it; the last
// one to end sees them all.
type batch struct {
	r     *Receiver
	size  int
	reply func([]byte, error)
	began time.Time
	open  atomic.Int64 // items that have not ended

	textOnce sync.Once
	answer
}

func (b *batch) done(i int, o outcome, err error) {
	b.items[i] = o
	if err != nil {
		b.textOnce.Do(func() { b.text = err.Error() })
	}
	if b.open.Add(-1) > 0 {
		return
	}
	b.r.end(b.size)
	b.r.stats.stored.Add(b.count(stored))
	b.r.stats.refused.Add(b.count(refused))
	b.r.stats.failed.Add(b.count(failed))
	b.pause -= time.Since(b.began) // what the work took has been waited already
	b.reply(b.encode(), nil)
}

// Stats returns the counters.
func (r *Receiver) Stats() ReceiverStats {
	return ReceiverStats{
		Stored: r.stats.stored.Load(), Refused: r.stats.refused.Load(), Failed: r.stats.failed.Load(),
		Busy: r.stats.busy.Load(), Ring: r.stats.ring.Load(),
	}
}
