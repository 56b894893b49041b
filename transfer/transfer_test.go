package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestSendStoresAndAcknowledges(t *testing.T) {
	m := &memory{}
	s := senderTo(receiver(m, view{version: 7}))
	items := itemsOf(600, 100)
	acked, err := s.Send(t.Context(), "b", items)
	if err != nil || slices.Contains(acked, false) || len(acked) != 600 {
		t.Fatalf("%v, %d acknowledged", err, len(acked))
	}
	for i := range items {
		if !m.objects[items[i].Name].Equal(items[i].Object) {
			t.Fatalf("item %d did not arrive as it was", i)
		}
	}
	if st := s.Stats(); st != (SenderStats{Batches: 3, Acked: 600}) {
		t.Errorf("%+v", st)
	}
	if acked, err := s.Send(t.Context(), "b", nil); err != nil || len(acked) != 0 {
		t.Errorf("nothing to send: %v, %v", acked, err)
	}
}

// TestPartialAnswer: of one batch some items are stored, some refused, some fail.
func TestPartialAnswer(t *testing.T) {
	m := &memory{refuse: func(name string) error {
		if strings.HasSuffix(name, "5") {
			return errors.New("disk on fire")
		}
		return nil
	}}
	r := receiver(m, view{version: 7, not: map[uint16]bool{2: true, 3: true, 300: true}})
	items := itemsOf(301, 10)
	acked, err := senderTo(r).Send(t.Context(), "b", items)
	var partial *RefusedError
	if !errors.As(err, &partial) || partial.Refused != 3 || partial.Failed != 30 || partial.Member != "b" || !partial.Answered() {
		t.Fatalf("%v: %+v", err, partial)
	}
	for i, ok := range acked {
		if ok != m.has(items[i].Name) {
			t.Errorf("item %d: acknowledged %v, stored %v", i, ok, !ok)
		}
	}
	if st := r.Stats(); st != (ReceiverStats{Stored: 268, Refused: 3, Failed: 30}) {
		t.Errorf("%+v", st)
	}
}

func TestOtherRingTakesNothing(t *testing.T) {
	for name, v := range map[string]Ownership{"newer": view{version: 8}, "older": view{version: 6}, "none": nil} {
		m := &memory{}
		acked, err := senderTo(receiver(m, v)).Send(t.Context(), "b", itemsOf(3, 10))
		if !errors.Is(err, ErrRing) || slices.Contains(acked, true) || m.merges != 0 {
			t.Errorf("%s: %v, %v, %d merges", name, acked, err, m.merges)
		}
	}
}

// TestUnconfirmedIsNotAcknowledged: whatever goes wrong with the answer to the second batch,
// only the first one counts.
func TestUnconfirmedIsNotAcknowledged(t *testing.T) {
	gone := errors.New("gone")
	for name, damage := range map[string]func([]byte) ([]byte, error){
		"lost":             func([]byte) ([]byte, error) { return nil, gone },
		"empty":            func([]byte) ([]byte, error) { return nil, nil },
		"cut short":        func(b []byte) ([]byte, error) { return b[:len(b)-1], nil },
		"too long":         func(b []byte) ([]byte, error) { return append(b, 0), nil },
		"for fewer items":  func([]byte) ([]byte, error) { return answer{items: make([]outcome, 43)}.encode(), nil },
		"for more items":   func([]byte) ([]byte, error) { return answer{items: make([]outcome, 45)}.encode(), nil },
		"unknown outcome":  func(b []byte) ([]byte, error) { b[5] = 99; return b, nil },
		"another protocol": func(b []byte) ([]byte, error) { b[0] = 2; return b, nil },
	} {
		m, calls := &memory{}, 0
		r := receiver(m, view{version: 7})
		s := senderTo(r)
		s.cfg.Call = func(ctx context.Context, _ string, _ uint8, payload []byte) ([]byte, error) {
			b, err := call(ctx, r, payload)
			if calls++; calls == 2 {
				return damage(b)
			}
			return b, err
		}
		acked, err := s.Send(t.Context(), "b", itemsOf(300, 10))
		if err == nil || !errors.Is(err, gone) && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		for i, ok := range acked {
			if ok != (i < 256) {
				t.Fatalf("%s: item %d acknowledged: %v", name, i, ok)
			}
		}
		if calls != 2 || s.Stats().Failed != 1 {
			t.Errorf("%s: %d calls, %+v", name, calls, s.Stats())
		}
	}
}

func TestMalformedRequest(t *testing.T) {
	r := receiver(&memory{}, view{version: 7})
	for range 100 { // a place in the receiver would be lost each time
		if b, err := call(t.Context(), r, []byte("nonsense")); b != nil || !errors.Is(err, ErrMalformed) {
			t.Fatalf("%x, %v", b, err)
		}
	}
	if _, err := senderTo(r).Send(t.Context(), "b", itemsOf(1, 1)); err != nil {
		t.Error(err)
	}
}

func TestSilentMemberTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{hold: true}
		s := senderTo(receiver(m, view{version: 7}))
		began := time.Now()
		acked, err := s.Send(t.Context(), "b", itemsOf(2, 10))
		if !errors.Is(err, context.DeadlineExceeded) || slices.Contains(acked, true) || time.Since(began) != 10*time.Second {
			t.Errorf("%v, %v after %v", acked, err, time.Since(began))
		}
		for _, done := range m.held { // the late answer goes nowhere
			done(nil)
		}
	})
}

// TestReceiverIsBounded: what goes beyond the bounds is turned away untouched, and the sender
// comes again until it is taken.
func TestReceiverIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Three rounds of it are shorter than a sender's patience, which is seven pauses of 100 ms at least.
		m := &memory{delay: 200 * time.Millisecond}
		r := NewReceiver(ReceiverConfig{View: func() Ownership { return view{version: 7} }, Store: m, Pause: noPause, MaxBatches: 2, MaxBytes: 4000})
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				// Each from a node of its own: a pause for one is none for the others.
				if _, err := senderTo(r).Send(t.Context(), "b", []Item{{Name: fmt.Sprint(i), Object: object(i, 1900)}}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := m.count(); n != 2 {
			t.Errorf("%d batches at work, the bound is 2", n)
		}
		wg.Wait()
		if n := m.count(); n != 5 || r.Stats().Busy == 0 {
			t.Errorf("%d of 5 batches arrived, %+v", n, r.Stats())
		}
		if _, err := senderTo(r).Send(t.Context(), "b", itemsOf(1, 5000)); err != nil {
			t.Errorf("a lone batch larger than the bound: %v", err)
		}
	})
}

func TestBusyForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r := receiver(m, view{version: 7})
		r.cfg.Pause = func(int) time.Duration { return maxOwed + time.Second }
		s := senderTo(r)
		began := time.Now()
		_, err := s.Send(t.Context(), "b", itemsOf(1, 1))
		if took := time.Since(began); !errors.Is(err, ErrBusy) || m.merges != 0 || took < 7*4*time.Second || took > 7*9*time.Second {
			t.Errorf("%v after %v, %d merges", err, took, m.merges)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if _, err := s.Send(ctx, "b", itemsOf(1, 1)); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v: a pause outlives its context", err, time.Since(began))
		}
	})
}

// account is a pace: objects per second for all senders together.
type account struct {
	mu   sync.Mutex
	rate float64
	paid time.Time // until when what was received is paid for
}

func (a *account) Pause(n int) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); a.paid.Before(now) {
		a.paid = now
	}
	a.paid = a.paid.Add(time.Duration(float64(n) / a.rate * float64(time.Second)))
	return time.Until(a.paid)
}

// TestPauseHoldsForAll: several nodes with several goroutines each send to one member; together
// they keep the rate that it sets, and none is starved.
func TestPauseHoldsForAll(t *testing.T) {
	for _, nodes := range []int{1, 3, 12} {
		synctest.Test(t, func(t *testing.T) {
			m := &memory{delay: 5 * time.Millisecond}
			pace := &account{rate: 2000}
			r := receiver(m, view{version: 7})
			r.cfg.Pause = pace.Pause
			var wg sync.WaitGroup
			sent, items := make([]atomic.Int64, nodes), itemsOf(256, 10)
			const seconds = 20
			ctx, cancel := context.WithTimeout(t.Context(), seconds*time.Second)
			defer cancel()
			for i := range nodes {
				s := senderTo(r)
				for range 4 {
					wg.Go(func() {
						for ctx.Err() == nil {
							acked, err := s.Send(ctx, "b", items)
							if err == nil {
								sent[i].Add(int64(len(acked)))
							}
						}
					})
				}
			}
			wg.Wait()
			total, least := int64(0), int64(1<<62)
			for i := range sent {
				total, least = total+sent[i].Load(), min(least, sent[i].Load())
			}
			// Beyond the rate: what was admitted within maxOwed, and one batch each.
			if high := int64(2000*seconds + 2000*3 + nodes*4*256); total > high || total < 2000*seconds*9/10 {
				t.Errorf("%d nodes: %d objects in %d s at 2000/s", nodes, total, seconds)
			}
			if least == 0 {
				t.Errorf("%d nodes: one of them sent only %d of %d", nodes, least, total)
			}
			if busy, stored := r.Stats().Busy, r.Stats().Stored/256; busy > 3*stored {
				t.Errorf("%d nodes: %d batches turned away for %d that were taken", nodes, busy, stored)
			}
		})
	}
}

func TestPaceOfTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := senderTo(receiver(&memory{}, view{version: 7}))
		var asked []int
		s.cfg.Wait = func(ctx context.Context, n int) error {
			if asked = append(asked, n); len(asked) == 3 {
				return context.Canceled
			}
			return nil
		}
		items := append(itemsOf(256, 10), Item{Name: "large", Object: object(1, 1<<20)}, Item{Name: "never", Object: object(1, 1<<20)})
		acked, err := s.Send(t.Context(), "b", items)
		if !errors.Is(err, context.Canceled) || !slices.Equal(asked, []int{256, 257, 257}) || !acked[256] || acked[257] {
			t.Errorf("%v, paid %v", err, asked)
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	items := itemsOf(235, 1024)
	_, size := cut(items)
	payload := encodeBatch(7, items, size)
	b.Run("encode/items=235", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(payload)))
		for b.Loop() {
			_, size := cut(items)
			encodeBatch(7, items, size)
		}
	})
	b.Run("decode/items=235", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(payload)))
		for b.Loop() {
			if _, _, err := decodeBatch(payload); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSend(b *testing.B) {
	b.ReportAllocs()
	items := itemsOf(256, 900)
	s := senderTo(receiver(&memory{}, view{version: 7}))
	for b.Loop() {
		if _, err := s.Send(b.Context(), "b", items); err != nil {
			b.Fatal(err)
		}
	}
}
