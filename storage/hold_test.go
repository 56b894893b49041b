package storage

import (
	"sync"
	"testing"

	"cartwheel/vclock"
)

// hold keeps the committer after its first batch, so that what is queued meanwhile shares a batch.
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

// mustPutHeld writes, and returns when the write is durable and the committer held.
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
