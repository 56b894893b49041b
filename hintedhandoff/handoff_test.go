package hintedhandoff

// sleep-ok: every test here runs in a bubble, through inWorld.

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"cartwheel/ring"
)

// TestOwnerReturns is Dynamo §4.6: hints wait for their owner and go home when it is back.
func TestOwnerReturns(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.dead["a"] = true
		names := w.hintsFor("a", 700, 10)
		h, stop := run(t, w.config())
		defer stop()
		settle(time.Second)
		for i := range 60 { // they grow with every write
			names = w.hintsFor("a", 700+10*(i+1), 10)
			settle(time.Minute)
		}
		if w.calls != 0 || w.pending() != 1300 {
			t.Fatalf("%d calls while the owner was away, %d hints left", w.calls, w.pending())
		}
		if st := h.Status(); len(st) != 1 || st[0].Hints != 1300 || st[0].Failures != 0 || !reflect.DeepEqual(st[0].Waiting, []string{"a"}) {
			t.Errorf("%+v", st)
		}
		if w.shown > 700+256 {
			t.Errorf("the hints of an absent owner were read again and again: %d of them", w.shown)
		}
		w.locked(func() { delete(w.dead, "a") })
		h.Wake()
		w.drained(time.Second)
		for _, name := range names {
			if w.copies["a"][name].Missing() {
				t.Fatalf("%q is not at its owner", name)
			}
		}
		if s := h.Stats(); s.Delivered != 1300 || s.Retargeted != 0 || s.Failures != 0 {
			t.Errorf("%+v", s)
		}
		if st := h.Status(); len(st) != 0 {
			t.Errorf("nothing is stored: %+v", st)
		}
	})
}

// TestHolderRestarts: what the store has is delivered without a word from anybody.
func TestHolderRestarts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hintsFor("a", 300, 10)
		w.hintsFor("b", 300, 10)
		_, stop := run(t, w.config())
		w.drained(time.Second)
		stop()
	})
}

func TestLateHintsAreNoticed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, stop := run(t, w.config())
		defer stop()
		for range 20 {
			settle(2 * time.Second)
			w.hintsFor("a", 3, 10)
			w.drained(8 * time.Second)
		}
		if w.scans > 20*5 {
			t.Errorf("%d scans for 20 hints", w.scans)
		}
	})
}

// TestChangedWhileSent: the hint that is stored is not the one that arrived, so it stays.
func TestChangedWhileSent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		name := w.hintsFor("a", 1, 10)[0]
		newer := written(99, 20)
		first := true
		w.network = func(context.Context, string, []Item) (int, error) {
			if first {
				first = false
				w.hint("a", name, newer)
			}
			return -1, nil
		}
		h, stop := run(t, w.config())
		defer stop()
		w.drained(10 * time.Second)
		if !w.has("a", name, newer) {
			t.Error("the value that came during the delivery is lost")
		}
		if s := h.Stats(); s.Changed != 1 || s.Delivered != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestNothingIsDroppedUnacknowledged: whatever the answer, what did not arrive stays.
func TestNothingIsDroppedUnacknowledged(t *testing.T) {
	for name, network := range map[string]func(context.Context, string, []Item) (int, error){
		"refused":      func(context.Context, string, []Item) (int, error) { return 0, errGone },
		"ack lost":     func(context.Context, string, []Item) (int, error) { return -1, errGone },
		"none taken":   func(context.Context, string, []Item) (int, error) { return 0, errPartial },
		"no word":      func(context.Context, string, []Item) (int, error) { return 0, nil },
		"never ending": func(ctx context.Context, _ string, _ []Item) (int, error) { <-ctx.Done(); return 0, ctx.Err() },
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.hintsFor("a", 300, 10)
			w.network = network
			h, stop := run(t, w.config())
			settle(time.Hour)
			st := h.Status()
			if w.pending() != 300 || len(st) != 1 {
				t.Fatalf("%s: %d of 300 hints are left", name, w.pending())
			}
			if name != "never ending" && (st[0].Failures < 50 || st[0].LastError == "" || st[0].LastFailed.IsZero() || st[0].NextTry.IsZero()) {
				t.Errorf("%s: %+v", name, st)
			}
			if w.calls > 5*60*2 {
				t.Errorf("%s: %d calls in an hour", name, w.calls)
			}
			stop()
		})
	}
}

// TestPartialAnswers: what was taken goes, the rest is sent again until it is taken too.
func TestPartialAnswers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hintsFor("a", 600, 10)
		w.network = func(_ context.Context, _ string, items []Item) (int, error) {
			time.Sleep(time.Millisecond)
			if len(items) > 10 {
				return len(items) / 2, errPartial
			}
			return -1, nil
		}
		_, stop := run(t, w.config())
		defer stop()
		w.drained(2 * time.Minute)
	})
}

// TestPoisonDoesNotBlock: more hints than a pass gives up after are never taken; those behind
// them get through.
func TestPoisonDoesNotBlock(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		names := w.hintsFor("a", 3000, 10)
		w.refuse = map[string]bool{}
		for _, name := range names {
			w.refuse[name] = w.ring.Partition(name) < 10
		}
		_, stop := run(t, w.config())
		defer stop()
		settle(10 * time.Minute)
		for _, name := range names {
			if _, left := w.hints["a"][name]; left != w.refuse[name] {
				t.Fatalf("partition %d: left is %v", w.ring.Partition(name), left)
			}
		}
	})
}

// TestRemovedOwner: hints for a member that left the ring go to all owners of their keys; the one
// that is away keeps them here, but not from the others.
func TestRemovedOwner(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		names := w.hintsFor("a", 400, 10)
		w.dead["a"] = true
		h, stop := run(t, w.config())
		defer stop()
		settle(10 * time.Second)
		w.locked(func() {
			w.dead["c"] = true
			w.ring = ringOf(t, 2, 3, "self", "b", "c", "d")
		})
		h.Wake()
		settle(5 * time.Minute)
		waiting := 0
		for _, name := range names {
			p := w.ring.Partition(name)
			here := !w.hints["a"][name].Missing()
			c, _ := w.ring.Index("c")
			if here != w.ring.Owns(c, p, 0) {
				t.Fatalf("partition %d: left is %v", p, here)
			}
			for _, m := range w.ring.Preference(p)[:3] {
				if member := w.ring.Members()[m].UUID; member != "c" && w.copies[member][name].Missing() {
					t.Fatalf("%s lacks a hint of partition %d", member, p)
				}
			}
			if here {
				waiting++
			}
		}
		if st := h.Status(); waiting == 0 || waiting == 400 || !reflect.DeepEqual(st[0].Waiting, []string{"c"}) {
			t.Fatalf("%d of 400 wait, %+v", waiting, st)
		}
		calls := w.calls
		settle(time.Hour)
		if w.calls != calls {
			t.Errorf("%d calls while everything waited for a member that is away", w.calls-calls)
		}
		w.locked(func() { delete(w.dead, "c") })
		w.drained(10 * time.Second)
		if s := h.Stats(); s.Retargeted != 400 {
			t.Errorf("%+v", s)
		}
	})
}

// TestUnreadableHint: what cannot be read is told, and is in nobody's way once an exchange can
// bring it from elsewhere.
func TestUnreadableHint(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		names := w.hintsFor("a", 600, 10)
		want := map[string]bool{}
		for _, i := range []int{0, 300, 301} {
			w.corrupt[names[i]] = true
			want[fmt.Sprint("a/", w.ring.Partition(names[i]))] = true
		}
		w.dead["a"] = true
		h, stop := run(t, w.config())
		defer stop()
		settle(time.Hour)
		for at := range want {
			if w.missed[at] == 0 {
				t.Errorf("missed %v, want %v", w.missed, want)
			}
		}
		if st := h.Status(); w.pending() != 600 || len(w.missed) != len(want) || st[0].Unreadable != 3 || h.Stats().Unreadable != 0 {
			t.Errorf("%d hints left, missed %v: %+v %+v", w.pending(), w.missed, st, h.Stats())
		}
		// A later write replaces one: it goes home.
		w.locked(func() { delete(w.corrupt, names[300]); delete(w.dead, "a") })
		h.Wake()
		w.drained(time.Minute)
		if w.copies["a"][names[300]].Missing() {
			t.Error("a hint that was replaced did not go home")
		}
		if s := h.Stats(); s.Unreadable != 2 || s.Delivered != 598 || s.Failures != 0 {
			t.Errorf("%+v", s)
		}
		// Another one, of an owner that is there.
		w.locked(func() { w.corrupt[names[5]] = true; w.missed = map[string]int{} })
		w.hint("a", names[5], written(5, 5))
		w.drained(time.Minute)
		if len(w.missed) != 1 {
			t.Errorf("one more damaged hint: missed %v", w.missed)
		}
	})
}

// TestFlappingOwner: an owner that comes and goes gets its hints in the moments when it is there.
func TestFlappingOwner(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hintsFor("a", 2000, 10)
		w.network = func(context.Context, string, []Item) (int, error) {
			time.Sleep(10 * time.Millisecond)
			return -1, nil
		}
		h, stop := run(t, w.config())
		defer stop()
		for i := 0; w.pending() > 0; i++ {
			if i > 200 {
				t.Fatalf("%d hints are left after 200 returns", w.pending())
			}
			w.locked(func() { w.dead["a"] = !w.dead["a"] })
			h.Wake()
			settle(15 * time.Millisecond)
		}
	})
}

// TestBackoff: an owner that looks alive but does not answer is tried ever more seldom, until it
// is seen to return.
func TestBackoff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hintsFor("a", 10, 10)
		var tries []time.Duration
		began := time.Now()
		w.network = func(context.Context, string, []Item) (int, error) {
			tries = append(tries, time.Since(began))
			return 0, errGone
		}
		h, stop := run(t, w.config())
		defer stop()
		settle(30 * time.Minute)
		if n := len(tries); n < 20 || n > 60 {
			t.Errorf("%d tries in 30 min", n)
		}
		if gap := tries[1] - tries[0]; gap > time.Second {
			t.Errorf("the first pause is %v", gap)
		}
		if h.Stats().Failures != uint64(len(tries)) {
			t.Errorf("%d tries, %+v", len(tries), h.Stats())
		}
		w.locked(func() { w.network, w.dead["a"] = nil, true })
		h.Wake()
		settle(time.Second)
		w.locked(func() { delete(w.dead, "a") })
		h.Wake()
		w.drained(100 * time.Millisecond)
	})
}

// TestOwnersAreServedTogether: no more at once than configured, none left out, and one that is
// slow holds up nobody.
func TestOwnersAreServedTogether(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		names := []string{"self"}
		for i := range 12 {
			names = append(names, fmt.Sprintf("m%02d", i))
		}
		w.ring = ringOf(t, 1, 3, names...)
		for _, name := range names[1:] {
			w.hintsFor(name, 520, 10)
		}
		w.network = func(ctx context.Context, member string, _ []Item) (int, error) {
			if member == "m00" || member == "m01" || member == "m02" {
				select {
				case <-time.After(20 * time.Second):
				case <-ctx.Done():
				}
				return -1, ctx.Err()
			}
			time.Sleep(50 * time.Millisecond)
			return -1, nil
		}
		_, stop := run(t, w.config())
		defer stop()
		settle(10 * time.Second)
		if w.pending() != 3*520 {
			t.Errorf("%d hints left, want those of the three slow owners", w.pending())
		}
		w.drained(2 * time.Minute)
		if w.peaked > 4 || w.peak["m05"] > 3 || w.peak["m00"] != 3 {
			t.Errorf("%d owners at once, calls to one: %v", w.peaked, w.peak)
		}
	})
}

// TestLongDeliveryMakesRoom: an owner whose pass is long gives its place to others in between.
func TestLongDeliveryMakesRoom(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hintsFor("a", 60, 200<<10) // a page each
		w.network = func(ctx context.Context, member string, _ []Item) (int, error) {
			if member == "a" {
				time.Sleep(5 * time.Second)
			}
			return -1, nil
		}
		cfg := w.config()
		cfg.Owners, cfg.Pipeline = 1, 1
		_, stop := run(t, cfg)
		defer stop()
		settle(time.Second)
		w.hintsFor("b", 10, 10)
		settle(turn + 6*time.Second)
		if left := len(w.hints["b"]); left > 0 {
			t.Errorf("%d hints of the other owner wait", left)
		}
		w.drained(10 * time.Minute)
	})
}

func TestDropFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hintsFor("a", 10, 10)
		w.dropErr = errors.New("the store is fenced")
		h, stop := run(t, w.config())
		defer stop()
		settle(time.Minute)
		if st := h.Status(); w.pending() != 10 || st[0].LastError != "the store is fenced" {
			t.Errorf("%d left, %+v", w.pending(), st)
		}
		w.locked(func() { w.dropErr = nil })
		w.drained(2 * time.Minute)
	})
}

func TestNoRingYet(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hintsFor("a", 10, 10)
		cfg, known := w.config(), atomic.Bool{}
		cfg.View = func() *View {
			if !known.Load() {
				return nil
			}
			return w.View()
		}
		h, stop := run(t, cfg)
		defer stop()
		settle(time.Minute)
		known.Store(true)
		h.Wake()
		w.drained(time.Second)
		if err := h.Run(t.Context()); err == nil {
			t.Error("it runs a second time")
		}
	})
}

// TestHopelessPassEndsEarly: of an owner that does not answer no more hints are read than a few
// pages, however many there are.
func TestHopelessPassEndsEarly(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hintsFor("a", 3000, 10)
		w.network = func(context.Context, string, []Item) (int, error) { return 0, errGone }
		h, stop := run(t, w.config())
		defer stop()
		settle(5 * time.Minute)
		if n := int(h.Stats().Failures); n < 5 || w.shown > n*(hopeless+3)*257 {
			t.Errorf("%d hints were read in %d passes", w.shown, n)
		}
	})
}

// turncoat is a Sender after whose first answer the ring has changed.
type turncoat struct {
	*world
	to *ring.Ring
}

func (s *turncoat) Send(ctx context.Context, member string, items []Item) ([]bool, error) {
	acked, err := s.world.Send(ctx, member, items)
	s.locked(func() { s.ring = s.to })
	return acked, err
}

// TestRingChangesBeforeTheDrop: the owner has acknowledged and is removed. The hints go to those
// who own the keys now.
func TestRingChangesBeforeTheDrop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hintsFor("a", 100, 10)
		cfg := w.config()
		cfg.Sender = &turncoat{w, ringOf(t, 2, 3, "self", "b", "c", "d")}
		h, stop := run(t, cfg)
		defer stop()
		w.drained(10 * time.Second) // Drop checks who has them
		if s := h.Stats(); s.Retargeted != 100 {
			t.Errorf("%+v", s)
		}
	})
}
