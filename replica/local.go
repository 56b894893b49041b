package replica

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"cartwheel/quorum"
	"cartwheel/storage"
	"cartwheel/vclock"
)

// Store is what a replica needs of the node's store: see package storage, which is the
// one implementation in production.
type Store interface {
	Get(storage.Key) (vclock.Object, error)
	GetCached(storage.Key) (o vclock.Object, ok bool) // Get if it is in memory; never blocks
	Put(storage.Put)
	Merge(storage.Merge)
	// Did reports whether the write is part of the object that was read under the key.
	Did(k storage.Key, id vclock.RequestID, o vclock.Object) bool
}

// maxReads bounds the reads under way. Coordinator and transport bound the requests that
// wait, but a request that has timed out no longer waits while its read still may, on a disk
// that hangs. More reads are refused as Busy.
const maxReads = 16384

// maxIdle bounds the goroutines that wait for the next read, some 2 MiB of stacks. When more
// would wait, they end.
const maxIdle = 256

// Local is this node's replica. It is safe for concurrent use; Close waits for its reads.
// It does not look at budgets: the store's answer is worth having late, and who asked keeps
// the time.
type Local struct {
	store   Store
	durable bool
	unsure  func(partition uint16) bool

	jobs    chan quorum.Read // to a goroutine that waits for one
	readers sync.WaitGroup   // the goroutines

	mu struct {
		sync.Mutex
		count   int // of reads under way
		readers int // goroutines
		closed  bool
	}
	closed atomic.Bool // before mu.closed
	reads  sync.WaitGroup
	end    sync.Once
}

var _ quorum.Local = (*Local)(nil)

// NewLocal returns the replica over store. durable says whether what the store acknowledges
// has been fsynced. unsure says whether the node may have lost data of a partition: then its
// own copies there are not read; it must be cheap, not block, and be safe for concurrent use.
func NewLocal(store Store, durable bool, unsure func(partition uint16) bool) *Local {
	return &Local{store: store, durable: durable, unsure: unsure, jobs: make(chan quorum.Read)}
}

func storeKey(t quorum.Target) storage.Key {
	return storage.Key{Partition: t.Partition, Name: t.Name, Hint: t.For}
}

// errUnsure refuses reads of a partition. Writes go on: what is merged is there.
var errUnsure = errors.New("replica: this node may have lost data and compares itself with the other replicas before it answers reads")

// Read implements [quorum.Replica]. What is in memory is answered at once, before Read returns. A
// store on a slow disk must hold up neither a coordinator that has other replicas to ask nor a
// connection, so every other read has a goroutine. They are kept: a new one would have to grow its stack first, which costs half as much as the read.
func (l *Local) Read(q quorum.Read) {
	if q.For == "" && !l.closed.Load() && !l.unsure(q.Partition) {
		if o, ok := l.store.GetCached(storeKey(q.Target)); ok {
			q.Done(reply(q, o, l.did(q, storeKey(q.Target), o)))
			return
		}
	}
	if err := l.beginRead(); err != nil {
		q.Done(quorum.ReadReply{Err: refusal(err)})
		return
	}
	select {
	case l.jobs <- q:
	default: // all have work
		l.startReader(q)
	}
}

// startReader makes a goroutine for q and for reads to come.
func (l *Local) startReader(q quorum.Read) {
	l.mu.Lock()
	l.mu.readers++
	l.mu.Unlock()
	l.readers.Go(func() {
		l.read(q)
		for l.endRead() {
			q, open := <-l.jobs
			if !open {
				return
			}
			l.read(q)
		}
	})
}

func (l *Local) read(q quorum.Read) {
	o, did, err := l.get(q)
	if err != nil {
		q.Done(quorum.ReadReply{Err: refusal(err)})
		return
	}
	q.Done(reply(q, o, did))
}

// did answers Read.Did for what was read under a key.
func (l *Local) did(q quorum.Read, k storage.Key, o vclock.Object) bool {
	return asksDid(q) && l.store.Did(k, q.Did, o)
}

func reply(q quorum.Read, o vclock.Object, did bool) quorum.ReadReply {
	a := quorum.ReadReply{Object: o, Missing: o.Missing(), Did: did, Digest: o.Digest()}
	if q.Digest {
		a.Object = vclock.Object{}
	}
	return a
}

// get returns the node's own copy or, standing in for an owner, all that its hints have of
// the key: with several owners away the newest may be kept for another one than is asked for.
func (l *Local) get(q quorum.Read) (o vclock.Object, did bool, err error) {
	if q.For == "" {
		if l.unsure(q.Partition) {
			return vclock.Object{}, false, errUnsure
		}
		k := storeKey(q.Target)
		o, err = l.store.Get(k)
		// Again: the loss may be what this very read met.
		if l.unsure(q.Partition) {
			return vclock.Object{}, false, errUnsure
		}
		return o, l.did(q, k, o), err
	}
	for _, owner := range q.Owners {
		k := storage.Key{Partition: q.Partition, Name: q.Name, Hint: owner}
		hint, err := l.store.Get(k)
		if err != nil {
			return vclock.Object{}, false, err
		}
		o, _ = vclock.Merge(o, hint)
		did = did || l.did(q, k, hint)
	}
	return o, did, nil
}

func (l *Local) beginRead() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.mu.closed:
		return storage.ErrClosed
	case l.mu.count == maxReads:
		return fmt.Errorf("%w: %d reads are under way", storage.ErrBusy, maxReads)
	}
	l.mu.count++
	l.reads.Add(1)
	return nil
}

// endRead reports whether the goroutine that has read is to wait for another read.
func (l *Local) endRead() bool {
	l.mu.Lock()
	l.mu.count--
	stay := l.mu.readers-l.mu.count <= maxIdle
	if !stay {
		l.mu.readers--
	}
	l.mu.Unlock()
	l.reads.Done()
	return stay
}

// Merge implements [quorum.Replica].
func (l *Local) Merge(m quorum.Merge) {
	l.store.Merge(storage.Merge{Key: storeKey(m.Target), Object: m.Object, Done: func(err error) {
		m.Done(l.reply(err))
	}})
}

// Mint implements [quorum.Local].
func (l *Local) Mint(m quorum.Mint) {
	l.store.Put(storage.Put{Key: storeKey(m.Target), Write: m.Write, Minted: m.Minted, Done: func(o vclock.Object, err error) {
		m.Done(o, l.reply(err))
	}})
}

// Forward implements [quorum.Replica]. A coordinator forwards only because its own replica
// cannot take the write, so this one refuses.
func (l *Local) Forward(f quorum.Forward) {
	f.Done(quorum.PutResult{}, &quorum.RefusedError{Reason: quorum.WrongRing, Text: "replica: a put is not forwarded to the node that forwards it"})
}

// Close refuses further reads and waits for those under way. It may be called again. Writes
// end with the store.
func (l *Local) Close() {
	l.closed.Store(true)
	l.mu.Lock()
	l.mu.closed = true
	l.mu.Unlock()
	l.reads.Wait()
	l.end.Do(func() { close(l.jobs) })
	l.readers.Wait()
}

func (l *Local) reply(err error) quorum.WriteReply {
	if err != nil {
		return quorum.WriteReply{Err: refusal(err)}
	}
	return quorum.WriteReply{Durable: l.durable}
}

// refusal says what an error of the store means to a coordinator.
func refusal(err error) error {
	reason := quorum.Failed
	var large *storage.TooLargeError
	var many *storage.TooManySiblingsError
	switch {
	case errors.As(err, &large):
		reason = quorum.TooLarge
	case errors.As(err, &many):
		reason = quorum.TooManySiblings
	case errors.Is(err, storage.ErrFenced), errors.Is(err, storage.ErrClosed):
		reason = quorum.StorageDown
	case errors.Is(err, storage.ErrBusy):
		reason = quorum.Busy
	case errors.Is(err, storage.ErrCorrupt):
		reason = quorum.Corrupt
	case errors.Is(err, storage.ErrHintsFull):
		reason = quorum.HintsFull
	case errors.Is(err, errUnsure):
		reason = quorum.Unsure
	}
	return &quorum.RefusedError{Reason: reason, Text: err.Error()}
}
