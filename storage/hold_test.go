package storage

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// hold keeps the batch writer after its first batch, so that what is queued meanwhile shares a batch.
type hold struct {
	hooks   hooks
	entered chan struct{}
	held    chan struct{}
	once    sync.Once
}

func newHold() *hold {
	h := &hold{hooks: defaultHooks(), entered: make(chan struct{}), held: make(chan struct{})}
	h.hooks.synced = func() {
		h.once.Do(func() {
			close(h.entered)
			<-h.held
		})
	}
	return h
}

func (h *hold) release() { close(h.held) }

// mustPutHeld writes, and returns when the write is durable and the batch writer held.
func mustPutHeld(t *testing.T, s *Store, h *hold, k Key, w vclock.Write) (o vclock.Object) {
	t.Helper()
	s.Put(Put{
		Key: k, Write: w, Minted: func(made vclock.Object) { o = made },
		Done: func(_ vclock.Object, err error) {
			if err != nil {
				t.Error(err)
			}
		},
	})
	<-h.entered
	return o
}

// traffic sends operations to a store whose batches can be stopped, and notes what becomes of them.
type traffic struct {
	t             *testing.T
	s             *Store
	before, after chan *stop // takes the one that the next commit, or the end of the next batch, meets

	mu    sync.Mutex
	notes []string
	under sync.WaitGroup // operations that are not answered
}

// stop keeps the batch writer until it gets a verdict.
type stop struct {
	met     chan struct{}
	verdict chan error
}

func newTraffic(t *testing.T, cfg Config) *traffic {
	f := &traffic{t: t, before: make(chan *stop, 1), after: make(chan *stop, 1)}
	h := defaultHooks()
	if cfg.FreeBytes != nil {
		h.free = func(string) (int64, error) { return cfg.FreeBytes(), nil }
	}
	commit := h.commit
	h.commit = func(txn *badger.Txn, at uint64) error {
		if err := meet(f.before); err != nil {
			return err
		}
		return commit(txn, at)
	}
	h.synced = func() { f.note("durable", nil); meet(f.after) }
	if cfg.Changed == nil {
		cfg.Changed = func(c Change) { f.note("changed "+c.Key.Name, nil) }
	}
	f.s = mustOpenHooked(t, cfg, h)
	return f
}

func (f *traffic) stops(late bool) chan *stop {
	if late {
		return f.after
	}
	return f.before
}

func meet(stops chan *stop) error {
	select {
	case s := <-stops:
		close(s.met)
		return <-s.verdict
	default:
		return nil
	}
}

func place(stops chan *stop) *stop {
	s := &stop{met: make(chan struct{}), verdict: make(chan error, 1)}
	stops <- s
	return s
}

func (f *traffic) note(what string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case errors.Is(err, ErrFenced):
		what += ": fenced"
	case errors.Is(err, ErrHintsFull):
		what += ": full"
	case err != nil:
		f.t.Errorf("%s: %v", what, err)
	}
	f.notes = append(f.notes, what)
}

// want compares all notes since the last call with those wanted.
func (f *traffic) want(notes ...string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if fmt.Sprintf("%q", f.notes) != fmt.Sprintf("%q", notes) {
		f.t.Errorf("notes %q\n want %q", f.notes, notes)
	}
	f.notes = nil
}

// begun notes an operation's outcome when it is answered.
func (f *traffic) begun(name string) (answer func(error)) {
	f.under.Add(1)
	return func(err error) { f.note(name, err); f.under.Done() }
}

// put returns when the put is minted, and with it all before it are applied.
func (f *traffic) put(name string, k Key, w vclock.Write) vclock.Object {
	minted, answer := make(chan vclock.Object, 1), f.begun(name)
	f.s.Put(Put{Key: k, Write: w, Minted: func(o vclock.Object) { minted <- o }, Done: func(_ vclock.Object, err error) { answer(err) }})
	return <-minted
}

// send is put for a write that may not be minted; if it is, that is noted.
func (f *traffic) send(name string, k Key) {
	answer := f.begun(name)
	f.s.Put(Put{
		Key: k, Write: blind("sent"), Minted: func(vclock.Object) { f.note("minted", nil) },
		Done: func(_ vclock.Object, err error) { answer(err) },
	})
}

func (f *traffic) merge(name string, k Key, o vclock.Object) {
	f.s.Merge(Merge{Key: k, Object: o, Done: f.begun(name)})
}

func (f *traffic) drop(name string, k Key, digest uint64) {
	answer := f.begun(name)
	f.s.Drop(Drop{Key: k, Digest: digest, Done: func(dropped bool, err error) { answer(err) }})
}

// mark is the beginning of a scan; see gets the snapshot.
func (f *traffic) mark(name string, see func(txn *badger.Txn)) {
	answer := f.begun(name)
	f.s.submit(&op{kind: opMark, size: opOverheadBytes, began: func() { f.note("began", nil) }, doneMark: func(at uint64, err error) {
		if err == nil {
			txn := f.s.db.NewTransactionAt(at, false)
			see(txn)
			txn.Discard()
			f.s.snapshots.release(at)
		}
		answer(err)
	}})
}
