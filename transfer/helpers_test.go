package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cartwheel/vclock"
)

// object returns the object that client number i wrote, with a value of that size.
func object(i, size int) vclock.Object {
	ids := vclock.NewActors(uint64(i) + 1)
	return vclock.Record{}.Put(vclock.Write{Value: make([]byte, size), ContentType: "text/plain"}, ids).Object
}

func itemsOf(n, size int) []Item {
	items := make([]Item, n)
	for i := range items {
		items[i] = Item{Partition: uint16(i), N: 3, Name: fmt.Sprintf("\x07default\x01bkey%d", i), Object: object(i, size)}
	}
	return items
}

// memory is a store. It answers after delay, or with what refuse says.
type memory struct {
	delay  time.Duration
	refuse func(name string) error

	mu      sync.Mutex
	objects map[string]vclock.Object
	merges  int
	held    []func(error) // with hold, unanswered merges
	hold    bool
}

func (m *memory) Merge(_ uint16, name string, o vclock.Object, done func(error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.merges++
	if m.refuse != nil {
		if err := m.refuse(name); err != nil {
			go done(err)
			return
		}
	}
	if m.objects == nil {
		m.objects = make(map[string]vclock.Object)
	}
	m.objects[name], _ = vclock.Merge(m.objects[name], o)
	switch {
	case m.hold:
		m.held = append(m.held, done)
	case m.delay > 0:
		time.AfterFunc(m.delay, func() { done(nil) })
	default:
		done(nil)
	}
}

func (m *memory) has(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.objects[name]
	return ok
}

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.objects)
}

// view owns everything but the named partitions.
type view struct {
	version uint64
	not     map[uint16]bool
}

func (v view) Version() uint64                             { return v.version }
func (v view) Owns(partition uint16, _ string, _ int) bool { return !v.not[partition] }

func noPause(int) time.Duration { return 0 }

func receiver(m *memory, v Ownership) *Receiver {
	return NewReceiver(ReceiverConfig{View: func() Ownership { return v }, Store: m, Pause: noPause})
}

func noWait(ctx context.Context, _ int) error { return ctx.Err() }

// call serves with r on this goroutine and waits for the answer.
func call(ctx context.Context, r *Receiver, payload []byte) ([]byte, error) {
	type result struct {
		b   []byte
		err error
	}
	done := make(chan result, 1)
	r.Serve(payload, func(b []byte, err error) { done <- result{b, err} })
	select {
	case res := <-done:
		return res.b, res.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// senderTo returns a sender at ring version 7 whose every member is r.
func senderTo(r *Receiver) *Sender {
	return NewSender(SenderConfig{
		Call: func(ctx context.Context, _ string, kind uint8, payload []byte) ([]byte, error) {
			if kind != Kind {
				return nil, errors.New("wrong kind")
			}
			return call(ctx, r, payload)
		},
		Version: func() uint64 { return 7 }, Wait: noWait,
	})
}
