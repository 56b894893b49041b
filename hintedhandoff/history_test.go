package hintedhandoff

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

var seed = flag.Uint64("seed", 0, "run TestHistories with this seed alone")

// TestHistories drives random histories: hints come and change, owners come and go, the holder
// crashes, requests and answers are lost or late, members are removed. In the end everybody
// is well, and then every hint must be gone and every object be where it belongs.
func TestHistories(t *testing.T) {
	if *seed != 0 {
		history(t, *seed)
		return
	}
	for s := uint64(1); s <= 4; s++ {
		history(t, s)
		if t.Failed() {
			t.Fatalf("to repeat: go test -run TestHistories -seed %d", s)
		}
	}
}

type sent struct {
	owner, name string
	object      vclock.Object
}

func history(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		members := []string{"self", "a", "b", "c", "d", "e"}
		w := newWorld(t, ringOf(t, 1, 3, members...))
		calm := false
		net := rand.New(rand.NewPCG(seed, 2))
		w.network = func(ctx context.Context, member string, items []Item) (arrive int, err error) {
			wait, what, part := time.Millisecond, 9, 0
			w.locked(func() {
				if !calm {
					wait, what, part = time.Duration(net.IntN(300))*time.Millisecond, net.IntN(10), net.IntN(len(items)+1)
				}
			})
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return part, ctx.Err() // it may have arrived
			}
			switch what {
			case 0:
				return 0, errGone
			case 1:
				return -1, errGone // the answer is lost
			case 2:
				return part, errPartial
			case 3:
				return part, errGone
			}
			return -1, nil
		}
		var all []sent
		h, stop := run(t, w.config())
		for step := range 120 {
			time.Sleep(time.Duration(rnd.IntN(2000)) * time.Millisecond)
			switch rnd.IntN(12) {
			case 0, 1, 2, 3, 4:
				for range 1 + rnd.IntN(60) {
					s := sent{members[1+rnd.IntN(len(members)-1)], nameOf(rnd.IntN(300)), written(uint64(len(all))+1, rnd.IntN(20))}
					all = append(all, s)
					w.hint(s.owner, s.name, s.object)
				}
			case 5, 6:
				w.locked(func() { w.dead[members[1+rnd.IntN(len(members)-1)]] = true })
				h.Wake()
			case 7, 8, 9:
				w.locked(func() { delete(w.dead, members[1+rnd.IntN(len(members)-1)]) })
				if rnd.IntN(2) == 0 {
					h.Wake()
				}
			case 10: // the holder crashes
				stop()
				h, stop = run(t, w.config())
			case 11:
				if v := w.ring.Version(); step > 60 && v < 3 {
					left := ringOf(t, v+1, 3, members[:len(members)-int(v)]...)
					w.locked(func() { w.move(left) })
				}
			}
		}
		w.locked(func() { calm, w.dead = true, map[string]bool{} })
		h.Wake()
		w.drained(10 * time.Minute)
		stop()
		view := w.View()
		for _, s := range all {
			for _, m := range view.targets(s.owner, w.ring.Partition(s.name), 0) {
				if !w.has(view.uuid(m), s.name, s.object) {
					t.Fatalf("seed %d: a write of %q, kept for %s, is lost: %s lacks it", seed, s.name, s.owner, view.uuid(m))
				}
			}
		}
		if s := h.Stats(); testing.Verbose() {
			fmt.Printf("seed %d: %d writes, ring %d, last life %+v\n", seed, len(all), w.ring.Version(), s)
		}
	})
}

// move changes the ring as a transition does: the new owners of each key get what all members
// hold of it. With the lock held.
func (w *world) move(to *ring.Ring) {
	w.ring = to
	for _, member := range slices.Sorted(maps.Keys(w.copies)) {
		for name, o := range w.copies[member] {
			p := to.Partition(name)
			for _, m := range to.Preference(p)[:to.EffectiveN(0)] {
				w.store(to.Members()[m].UUID, name, o)
			}
		}
	}
}
