package storage

import (
	"slices"
	"sync"

	"cartwheel/vclock"
)

// Put is one client write for the committer.
type Put struct {
	Key Key
	// Write is kept until Done is called; its slices must not change until then, nor after as
	// they become part of the object. Its Time is filled in by the store.
	Write vclock.Write
	// Minted, if not nil, is called once with the object after the put, before it is durable: it
	// may be sent to other replicas, which must not count it as stored here. A put whose request
	// id is known mints nothing and gets the object as it is; what its first try did not reach
	// must be sent again. It is not called when the put is refused.
	Minted func(vclock.Object)
	// Done is called once, with the object after the put when it is durable, or with an error.
	Done func(vclock.Object, error)
}

// Merge is one replicated object for the committer.
type Merge struct {
	Key Key
	// Object is kept until Done is called and must not change.
	Object vclock.Object
	// Done is called once: with nil when everything in Object is durable here, be it that it
	// was before.
	Done func(error)
}

// Drop deletes one record if it still is what the caller saw, for the committer.
type Drop struct {
	Key Key
	// Digest is that of the object that may go. 0 stands for a record whose object cannot be read:
	// a corrupt record goes with it (its bytes stay in quarantine), and a sound one never.
	Digest uint64
	// Done is called once. dropped is true when the deletion is durable, or there was no record;
	// false when the object is another one, which stays, or with an error: ErrCorrupt if the record
	// is and Digest is not 0, else those of a Put. After ErrFenced the outcome is unknown.
	Done func(dropped bool, err error)
}

// opKind is what an op does.
type opKind uint8

const (
	opPut opKind = iota
	opMerge
	opDrop
	opMark // takes a snapshot between two batches, for a Scan
)

// op is one operation on its way through the committer. Only the committer's goroutine touches
// what is below the callbacks.
type op struct {
	kind   opKind
	key    Key
	size   int64         // bytes it counts in the queue
	write  vclock.Write  // of a put
	object vclock.Object // of a merge
	digest uint64        // of a drop

	minted    func(vclock.Object)
	donePut   func(vclock.Object, error)
	doneMerge func(error)
	doneDrop  func(bool, error)
	began     func()              // of a mark
	doneMark  func(uint64, error) // gets the snapshot, and releases it

	result  vclock.Object // of a put
	dropped bool
	at      uint64 // of a mark: the snapshot that it holds; 0 if none
	err     error
}

func (o *op) tellMinted() {
	if o.minted != nil {
		o.minted(o.result)
	}
}

// succeed answers with the operation's own outcome.
func (o *op) succeed() {
	if o.err != nil {
		o.fail(o.err)
		return
	}
	switch o.kind {
	case opPut:
		o.donePut(o.result, nil)
	case opMerge:
		o.doneMerge(nil)
	case opDrop:
		o.doneDrop(o.dropped, nil)
	case opMark:
		o.doneMark(o.at, nil)
	}
}

// fail answers with an error, whatever the outcome would have been.
func (o *op) fail(err error) {
	switch o.kind {
	case opPut:
		o.donePut(vclock.Object{}, err)
	case opMerge:
		o.doneMerge(err)
	case opDrop:
		o.doneDrop(false, err)
	case opMark:
		o.doneMark(0, err)
	}
}

// opOverheadBytes is what an operation costs besides its values: the op, closures, slices.
const opOverheadBytes = 512

func writeSize(w *vclock.Write) int64 {
	n := opOverheadBytes + len(w.Value) + len(w.ContentType) + 32*len(w.Context)
	for _, p := range w.Meta {
		n += len(p.Name) + len(p.Value) + 32
	}
	return int64(n)
}

// queue is the bounded way from the callers to the committer. Each operation is answered by
// whoever takes it out: the committer in order, or whoever fences the store.
type queue struct {
	mu       sync.Mutex
	filled   sync.Cond // signalled when pending is not empty, there are news, or closed
	pending  []*op     // accepted, oldest first
	inflight []*op     // taken by the committer and not answered
	bytes    int64     // size of pending and inflight
	news     news      // what the committer does not know yet
	fenced   error     // set once; no operation is accepted afterwards
	closed   bool

	maxOps   int
	maxBytes int64
}

func newQueue(maxOps int, maxBytes int64) *queue {
	q := &queue{maxOps: maxOps, maxBytes: maxBytes}
	q.filled.L = &q.mu
	return q
}

// push accepts an operation or says why not.
func (q *queue) push(o *op) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.pending) + len(q.inflight)
	switch {
	case q.closed:
		return ErrClosed
	case q.fenced != nil:
		return q.fenced
	case n >= q.maxOps, n > 0 && q.bytes+o.size > q.maxBytes:
		return ErrBusy
	}
	q.pending = append(q.pending, o)
	q.bytes += o.size
	if len(q.pending) == 1 {
		q.filled.Signal()
	}
	return nil
}

// news are what the batch writer tells the committer.
type news struct {
	done   bool // the batch is durable, or has failed
	rested bool // another one may come
}

// take waits for operations or news. It moves up to n operations in flight, and returns false once the
// queue is closed and empty and the committer idle. Only the committer calls it.
func (q *queue) take(n int, idle bool) (ops []*op, what news, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case q.news != news{}:
			what, q.news = q.news, news{}
			return q.moveLocked(n), what, true
		case n > 0 && len(q.pending) > 0:
			return q.moveLocked(n), news{}, true
		case q.closed && idle && len(q.pending) == 0:
			return nil, news{}, false
		}
		q.filled.Wait()
	}
}

// poll is take for who does not wait.
func (q *queue) poll(n int) []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.moveLocked(n)
}

func (q *queue) moveLocked(n int) []*op {
	n = max(0, min(n, len(q.pending)))
	ops := slices.Clone(q.pending[:n])
	clear(q.pending[:n]) // the array is appended to for some time
	q.pending = q.pending[n:]
	q.inflight = append(q.inflight, ops...)
	return ops
}

// tell gives the committer news.
func (q *queue) tell(n news) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.news.done = q.news.done || n.done
	q.news.rested = q.news.rested || n.rested
	q.filled.Signal()
}

// settle takes the first n operations out of flight; false means that the guard answered them, as the
// disk hung.
func (q *queue) settle(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.inflight == nil {
		return false
	}
	for _, o := range q.inflight[:n] {
		q.bytes -= o.size
	}
	q.inflight = slices.Delete(q.inflight, 0, n)
	return true
}

// fence makes err the answer to every later operation and returns those that now have to be
// answered with it: the waiting ones, and if the disk hangs also those that the committer holds. first is
// false if the queue was fenced before; then the first reason stays, and is returned.
func (q *queue) fence(err error, hung bool) (orphans []*op, reason error, first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if first = q.fenced == nil; first {
		q.fenced = err
	}
	if hung {
		orphans, q.inflight = q.inflight, nil
	}
	orphans = append(orphans[:len(orphans):len(orphans)], q.pending...)
	q.pending = nil
	for _, o := range orphans {
		q.bytes -= o.size
	}
	return orphans, q.fenced, first
}

func (q *queue) reason() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.fenced
}

// close refuses further operations.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
}

func (q *queue) load() (ops int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.pending) + len(q.inflight), q.bytes
}
