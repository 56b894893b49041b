package hintedhandoff_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/hintedhandoff"
	"cartwheel/pace"
	"cartwheel/ring"
	"cartwheel/transfer"
	"cartwheel/vclock"
)

// shelf is a store of hints for one owner, in order of their names.
type shelf struct {
	mu    sync.Mutex
	hints []hintedhandoff.Hint
	gone  map[string]bool
}

func (s *shelf) Hints() []hintedhandoff.Count {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []hintedhandoff.Count{{Owner: "b", Hints: int64(len(s.hints) - len(s.gone))}}
}

func (s *shelf) Scan(_ string, _ uint16, name string, visit func(hintedhandoff.Hint) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, found := slices.BinarySearchFunc(s.hints, name, func(h hintedhandoff.Hint, name string) int {
		if h.Name < name {
			return -1
		} else if h.Name > name {
			return 1
		}
		return 0
	})
	if found {
		at++
	}
	for _, h := range s.hints[at:] {
		if !s.gone[h.Name] && !visit(h) {
			break
		}
	}
	return nil
}

func (s *shelf) Drop(_ string, _ uint16, name string, _ uint64, done func(bool, error)) {
	s.mu.Lock()
	s.gone[name] = true
	s.mu.Unlock()
	time.AfterFunc(5*time.Millisecond, func() { done(true, nil) })
}

// home is the owner's store and its ring.
type home struct {
	mu     sync.Mutex
	stored int
}

func (o *home) Version() uint64               { return 1 }
func (o *home) Owns(uint16, string, int) bool { return true }

func (o *home) Merge(_ uint16, _ string, _ vclock.Object, done func(error)) {
	time.AfterFunc(5*time.Millisecond, func() {
		o.mu.Lock()
		o.stored++
		o.mu.Unlock()
		done(nil)
	})
}

// batches sends through package transfer.
type batches struct{ to *transfer.Sender }

func (b batches) Send(ctx context.Context, member string, items []hintedhandoff.Item) ([]bool, error) {
	out := make([]transfer.Item, len(items))
	for i, it := range items {
		out[i] = transfer.Item(it)
	}
	return b.to.Send(ctx, member, out)
}

// TestRepairEndsAtTheFloor: 60,000 hints of 1 KiB get home in less than a minute while both nodes
// have yielded to their clients, on a link with 20 ms of round trip; and not faster than the floor.
func TestRepairEndsAtTheFloor(t *testing.T) {
	const hints = 60000
	synctest.Test(t, func(t *testing.T) {
		r, err := ring.New(ring.Document{Cluster: "c", Version: 1, Partitions: 16, N: 1, Tokens: 64,
			Members: []ring.Member{{UUID: "b", Name: "b", Weight: 1, Status: ring.StatusMember}}})
		if err != nil {
			t.Fatal(err)
		}
		object := vclock.Record{}.Put(vclock.Write{Value: make([]byte, 1024)}, vclock.NewActors(1)).Object
		s := &shelf{gone: map[string]bool{}}
		for i := range hints {
			s.hints = append(s.hints, hintedhandoff.Hint{Name: fmt.Sprintf("\x07default\x01b%06d", i), Object: object})
		}
		floor := pace.Config{Floor: 1500, Ceiling: 1500}
		owner := &home{}
		receiver := transfer.NewReceiver(transfer.ReceiverConfig{
			View: func() transfer.Ownership { return owner }, Store: owner, Pause: pace.New(floor).Pause,
		})
		call := func(_ context.Context, _ string, _ uint8, payload []byte) ([]byte, error) {
			type answer struct {
				b   []byte
				err error
			}
			time.Sleep(10 * time.Millisecond)
			answers := make(chan answer, 1)
			receiver.Serve(payload, func(b []byte, err error) { answers <- answer{b, err} })
			a := <-answers
			time.Sleep(10 * time.Millisecond)
			return a.b, a.err
		}
		sender := transfer.NewSender(transfer.SenderConfig{Call: call, Version: r.Version, Wait: pace.New(floor).Wait})
		h := hintedhandoff.New(hintedhandoff.Config{
			Store: s, Sender: batches{sender}, Merge: nil,
			View: func() *hintedhandoff.View {
				return &hintedhandoff.View{Ring: r, Self: -1, Alive: func(int) bool { return true }}
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- h.Run(ctx) }()
		for h.Stats().Delivered < hints && time.Since(began) < 2*time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		took := time.Since(began)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		t.Logf("%d hints in %v, %+v, %+v", hints, took, sender.Stats(), receiver.Stats())
		if took > 55*time.Second || took < 39*time.Second || owner.stored != hints {
			t.Errorf("%d hints took %v at 1500 per second, %d were stored", hints, took, owner.stored)
		}
	})
}
