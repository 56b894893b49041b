package quorum

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/vclock"
)

// sleep-ok: every test here runs in a bubble, by this package's own helper.

func sloppy(n int) Options {
	o := defaults(n)
	o.Sloppy = true
	return o
}

// failures are the ways in which an owner can be away, and what a put loses by each.
var failures = map[string]struct {
	apply func(c *cluster, gone *node)
	took  time.Duration
}{
	"dead":       {func(c *cluster, n *node) { c.down(n) }, 0},
	"unnoticed":  {func(c *cluster, n *node) { c.down(n); c.believe(n, true) }, 0},
	"silent":     {func(c *cluster, n *node) { c.mute(n) }, 250 * time.Millisecond},
	"dead, mute": {func(c *cluster, n *node) { c.mute(n); c.believe(n, false) }, 0},
	"fenced":     {func(c *cluster, n *node) { n.store.writeErr = refuse(StorageDown) }, 0},
	"busy":       {func(c *cluster, n *node) { n.store.writeErr = refuse(Busy) }, 0},
	"other ring": {func(c *cluster, n *node) { n.store.writeErr = refuse(WrongRing) }, 0},
}

// believe makes gossip say of a node what it says.
func (c *cluster) believe(of *node, alive bool) {
	for _, n := range c.nodes {
		n.alive[of.index] = alive
	}
}

// checkHints checks that every owner in gone has its object on one fallback at least, and
// that no fallback keeps it for two of them.
func checkHints(t *testing.T, c *cluster, gone []*node, want vclock.Object) {
	t.Helper()
	for _, n := range c.nodes {
		if len(n.hints(testKey)) > 1 {
			t.Errorf("node %d keeps hints for %v", n.index, n.hints(testKey))
		}
	}
	for _, g := range gone {
		if !slices.ContainsFunc(c.nodes, func(n *node) bool { return n.hint(g, testKey).Equal(want) }) {
			t.Errorf("nobody has the hint for node %d", g.index)
		}
	}
}

// Dynamo §4.6: a write goes to the next node of the list for each owner that is away, which
// keeps it for that owner and counts; through whichever owner it comes.
func TestPaperSloppyPut(t *testing.T) {
	for how, f := range failures {
		for k := range 3 {
			t.Run(fmt.Sprintf("%d %s", k, how), func(t *testing.T) {
				bubble(t, 5, 3, func(t *testing.T, c *cluster) {
					owners := c.owners(testKey)
					gone := owners[1 : 1+k]
					for _, g := range gone {
						f.apply(c, g)
					}
					o := sloppy(3)
					o.W = LevelAll
					start := time.Now()
					res, err := owners[0].put("v", o)
					want := Receipt{Replicas: 3, Primaries: 3 - k, Fallbacks: k, Durable: 3, N: 3, Ring: 7}
					if err != nil || res.Receipt != want {
						t.Errorf("%+v, %v", res.Receipt, err)
					}
					if took := time.Since(start); took != f.took && k > 0 {
						t.Errorf("took %v", took)
					}
					checkHints(t, c, gone, res.Object)
					time.Sleep(20 * time.Second)
					checkHints(t, c, gone, res.Object)
					if m := c.takeMissed(); len(m) != 0 {
						t.Errorf("missed %v", m)
					}
					if s := owners[0].coordinator.Stats(); s.HintsSent != uint64(k) || s.HintsRefused != 0 {
						t.Errorf("%+v", s)
					}
				})
			})
		}
	}
}

// With no owner to mint, a fallback mints in place of one: whichever node the put came to.
func TestSloppyMint(t *testing.T) {
	for how, f := range failures {
		for from := range 5 {
			t.Run(fmt.Sprintf("%s, through %d", how, from), func(t *testing.T) {
				bubble(t, 5, 3, func(t *testing.T, c *cluster) {
					owners := c.owners(testKey)
					gone := owners[:3]
					for _, g := range gone {
						f.apply(c, g)
					}
					n := owners[from]
					if from < 3 {
						n.store.writeErr = refuse(StorageDown)
					}
					r := putOf("v", sloppy(3), nil)
					r.ReturnBody = true
					res, err := n.coordinator.Put(context.Background(), r)
					if err != nil || res.Receipt != (Receipt{Replicas: 2, Fallbacks: 2, Durable: 2, N: 3, Ring: 7}) {
						t.Fatalf("%+v, %v", res.Receipt, err)
					}
					time.Sleep(20 * time.Second)
					if owners[3].store.mints+owners[4].store.mints != 1 || len(owners[3].hints(testKey)) != 1 || len(owners[4].hints(testKey)) != 1 {
						t.Errorf("minted %d and %d times, hints for %v and %v", owners[3].store.mints, owners[4].store.mints,
							owners[3].hints(testKey), owners[4].hints(testKey))
					}
					got := slices.Concat(owners[3].hints(testKey), owners[4].hints(testKey), c.takeMissed())
					slices.Sort(got)
					want := []int{owners[0].index, owners[1].index, owners[2].index}
					slices.Sort(want)
					if !slices.Equal(got, want) {
						t.Errorf("kept for or missed by %v, want %v", got, want)
					}
					var mints, missed uint64
					for _, n := range c.nodes {
						s := n.coordinator.Stats()
						mints, missed = mints+s.FallbackMints, missed+s.Missed
					}
					if mints != 1 || missed != 1 {
						t.Errorf("%d fallback mints, %d missed", mints, missed)
					}
				})
			})
		}
	}
}

// A fallback mints only where that is allowed.
func TestStandInRefused(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"strict": func(o *Options) { o.Sloppy = false },
		"pw":     func(o *Options) { o.PW = 1 },
	} {
		bubble(t, 5, 3, func(t *testing.T, c *cluster) {
			owners := c.owners(testKey)
			c.down(owners[:3]...)
			o := sloppy(3)
			change(&o)
			_, err := owners[3].put("v", o)
			if e, ok := errors.AsType[*UnsatisfiedError](err); !ok || e.Got != 0 || owners[3].store.mints+owners[4].store.mints != 0 {
				t.Errorf("%s: %v", name, err)
			}
			_, err = owners[4].coordinator.Coordinate(context.Background(), putOf("v", o, nil), true)
			if e, ok := errors.AsType[*RefusedError](err); !ok || e.Reason != WrongRing {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		_, err := owners[4].coordinator.Coordinate(context.Background(), putOf("v", sloppy(3), nil), false)
		if e, ok := errors.AsType[*RefusedError](err); !ok || e.Reason != WrongRing {
			t.Error(err)
		}
		// One that cannot keep the hint passes the put on to the next.
		c.down(owners[:3]...)
		owners[3].store.hintErr = refuse(HintsFull)
		o := sloppy(3)
		o.W, o.DW = 1, 1
		if _, err := owners[3].put("v", o); err != nil || owners[4].store.mints != 1 {
			t.Error(err)
		}
		owners[4].store.hintErr = refuse(HintsFull)
		_, err = owners[3].put("w", o)
		if e := wantShort(t, err, "DW", 0, 1); e.Written != true || len(e.Causes) != 5 {
			t.Errorf("%+v", e) // the owners could not be reached: nobody knows
		}
	})
}

// A fallback stands in for an owner that is away rather than for one that is not, and if the
// asked node owns the key it mints as its owner.
func TestStandInChoosesOwner(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		c.down(owners[1])
		res, err := owners[3].coordinator.Coordinate(context.Background(), putOf("v", sloppy(3), nil), true)
		if err != nil || !slices.Equal(owners[3].hints(testKey), []int{owners[1].index}) || res.Receipt.Primaries < 1 {
			t.Errorf("%v, %+v, %v", owners[3].hints(testKey), res, err)
		}
		synctest.Wait()
		if owners[0].object(testKey).Missing() || owners[2].object(testKey).Missing() {
			t.Error("an owner that is there did not get it")
		}
		if _, err := owners[0].coordinator.Coordinate(context.Background(), putOf("v", sloppy(3), nil), true); err != nil || owners[0].store.mints != 1 {
			t.Error(err)
		}
	})
}

// Hints are no primaries, and a node counts once.
func TestHintsCountOnce(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		c.down(owners[1])
		o := sloppy(3)
		o.PW = LevelAll
		_, err := owners[0].put("v", o)
		if e := wantShort(t, err, "PW", 2, 3); e.Receipt.Fallbacks != 1 || !e.Written {
			t.Errorf("%+v", e)
		}
		checkHints(t, c, owners[1:2], owners[0].object(testKey))
		c.down(owners[2])
		o.PW = LevelQuorum
		_, err = owners[0].put("v", o)
		wantShort(t, err, "PW", 1, 2)
		o.PW = 1
		if _, err = owners[0].put("v", o); err != nil {
			t.Error(err)
		}
	})
	bubble(t, 4, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		c.down(owners[1:3]...)
		o := sloppy(3)
		o.W = LevelAll
		_, err := owners[0].put("v", o)
		if e := wantShort(t, err, "W", 2, 3); e.Receipt.Fallbacks != 1 {
			t.Errorf("%+v", e)
		}
		synctest.Wait()
		if got := slices.Concat(owners[3].hints(testKey), c.takeMissed()); len(got) != 2 || got[0] == got[1] {
			t.Errorf("kept and missed: %v", got)
		}
		o.NodeConfirms, o.W = 3, 1
		_, err = owners[0].put("v", o)
		wantShort(t, err, "node_confirms", 2, 3)
	})
}

// Strictly, hints are kept and count for nothing.
func TestStrictHints(t *testing.T) {
	for how, f := range failures {
		t.Run(how, func(t *testing.T) {
			bubble(t, 5, 3, func(t *testing.T, c *cluster) {
				owners := c.owners(testKey)
				for _, g := range owners[1:3] {
					f.apply(c, g)
				}
				o := defaults(3)
				o.Timeout = time.Second
				res, err := owners[0].put("v", o)
				if how == "silent" {
					if !errors.Is(err, ErrTimeout) {
						t.Error(err)
					}
				} else {
					wantShort(t, err, "DW", 1, 2)
				}
				if res.Receipt != (Receipt{Replicas: 1, Primaries: 1, Durable: 1, N: 3, Ring: 7}) {
					t.Errorf("%+v", res.Receipt)
				}
				time.Sleep(20 * time.Second)
				checkHints(t, c, owners[1:3], owners[0].object(testKey))
				if m := c.takeMissed(); len(m) != 0 {
					t.Errorf("missed %v", m)
				}
			})
		})
	}
}

// What happens after the answer still leads to hints.
func TestLateFailuresLeadToHints(t *testing.T) {
	for name, fail := range map[string]func(c *cluster, from, n *node){
		"refused late": func(c *cluster, from, n *node) {
			from.links[n.index].delay, n.store.writeErr = 100*time.Millisecond, refuse(StorageDown)
		},
		"silent": func(c *cluster, _, n *node) { c.mute(n) },
	} {
		for _, strict := range []bool{false, true} {
			bubble(t, 5, 3, func(t *testing.T, c *cluster) {
				owners := c.owners(testKey)
				fail(c, owners[0], owners[2])
				o := sloppy(3)
				o.Sloppy = !strict
				start := time.Now()
				res, err := owners[0].put("v", o)
				if err != nil || time.Since(start) != 0 || res.Receipt.Primaries != 2 {
					t.Errorf("%s: %+v, %v", name, res, err)
				}
				if len(owners[3].hints(testKey)) != 0 {
					t.Errorf("%s: too early", name)
				}
				time.Sleep(300 * time.Millisecond)
				if !owners[3].hint(owners[2], testKey).Equal(res.Object) {
					t.Errorf("%s, strict=%v: no hint after the answer", name, strict)
				}
				time.Sleep(20 * time.Second)
				if m := c.takeMissed(); len(m) != 0 || len(owners[4].hints(testKey)) != 0 {
					t.Errorf("%s: missed %v, the second fallback has %v", name, m, owners[4].hints(testKey))
				}
			})
		}
	}
}

// Missed is told of an owner exactly when nobody took its hint.
func TestMissed(t *testing.T) {
	for name, tc := range map[string]struct {
		nodes int
		fail  func(c *cluster, owners []*node)
		want  int // how many are missed, of owners[1:]
		after time.Duration
	}{
		"no fallbacks, refused": {3, func(c *cluster, owners []*node) { c.down(owners[2]) }, 1, 0},
		"no fallbacks, silent":  {3, func(c *cluster, owners []*node) { c.mute(owners[2]) }, 1, 11 * time.Second},
		"fallbacks are full": {5, func(c *cluster, owners []*node) {
			c.down(owners[2])
			owners[3].store.hintErr, owners[4].store.hintErr = refuse(HintsFull), refuse(HintsFull)
		}, 1, 0},
		"first fallback is full": {5, func(c *cluster, owners []*node) {
			c.down(owners[2])
			owners[3].store.hintErr = refuse(HintsFull)
		}, 0, 0},
		"first fallback is silent": {5, func(c *cluster, owners []*node) {
			c.down(owners[2])
			c.mute(owners[3])
		}, 0, 11 * time.Second},
		"all silent":        {5, func(c *cluster, owners []*node) { c.mute(owners[2:]...) }, 1, 11 * time.Second},
		"fallbacks dead":    {5, func(c *cluster, owners []*node) { c.down(owners[2:]...) }, 1, 0},
		"too large there":   {5, func(c *cluster, owners []*node) { owners[2].store.writeErr = refuse(TooLarge) }, 1, 0},
		"two, one room":     {4, func(c *cluster, owners []*node) { c.down(owners[1:3]...) }, 1, 0},
		"owner is slow":     {3, func(c *cluster, owners []*node) { owners[0].links[owners[2].index].delay = 900 * time.Millisecond }, 0, 11 * time.Second},
		"all is well":       {5, func(c *cluster, owners []*node) {}, 0, 11 * time.Second},
		"commit fails here": {3, func(c *cluster, owners []*node) { owners[0].store.failCommit = refuse(StorageDown) }, 1, 0},
	} {
		for _, strict := range []bool{false, true} {
			bubble(t, tc.nodes, 3, func(t *testing.T, c *cluster) {
				owners := c.owners(testKey)
				tc.fail(c, owners)
				o := sloppy(3)
				o.W, o.DW, o.Sloppy = 1, 1, !strict
				if _, err := owners[0].put("v", o); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				time.Sleep(tc.after)
				synctest.Wait()
				if got := c.takeMissed(); len(got) != tc.want {
					t.Errorf("%s, strict=%v: missed %v, want %d", name, strict, got, tc.want)
				}
				time.Sleep(20 * time.Second)
				if got := c.takeMissed(); len(got) != 0 {
					t.Errorf("%s, strict=%v: missed %v later", name, strict, got)
				}
			})
		}
	}
}

// A fallback that is silent too is replaced like an owner, before the answer and after it.
func TestSilentFallback(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		c.mute(owners[2], owners[3])
		o := sloppy(3)
		o.W = LevelAll
		start := time.Now()
		res, err := owners[0].put("v", o)
		if err != nil || time.Since(start) != 500*time.Millisecond || res.Receipt.Fallbacks != 1 {
			t.Errorf("%+v, %v after %v", res.Receipt, err, time.Since(start))
		}
	})
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		owners[0].store.fsync, owners[0].store.failCommit = 400*time.Millisecond, refuse(StorageDown)
		c.mute(owners[3])
		if _, err := owners[0].put("v", sloppy(3)); err != nil {
			t.Error(err)
		}
		time.Sleep(700 * time.Millisecond)
		if owners[4].hint(owners[0], testKey).Missing() {
			t.Error("nobody keeps what the minting store lost")
		}
	})
}

// An owner that answers after its fallback still counts as a primary.
func TestOwnerAfterFallback(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		// Later than a put that is lost would wait.
		owners[0].links[owners[2].index].delay = 700 * time.Millisecond
		o := sloppy(3)
		o.W, o.PW = LevelAll, LevelAll
		start := time.Now()
		res, err := owners[0].put("v", o)
		if err != nil || time.Since(start) != 700*time.Millisecond || res.Receipt != (Receipt{Replicas: 3, Primaries: 3, Durable: 3, N: 3, Ring: 7}) {
			t.Errorf("%+v, %v after %v", res.Receipt, err, time.Since(start))
		}
		if len(owners[3].hints(testKey)) != 1 {
			t.Error("the fallback was not asked")
		}
		time.Sleep(latencyAge + time.Second) // it is no longer known to be slow
		o.PW = 0
		start = time.Now()
		if res, err = owners[0].put("w", o); err != nil || time.Since(start) != 250*time.Millisecond || res.Receipt.Fallbacks != 1 {
			t.Errorf("%+v, %v after %v", res.Receipt, err, time.Since(start))
		}
		// Near the deadline the fallback is asked sooner.
		o.Timeout = 100 * time.Millisecond
		start = time.Now()
		if res, err = owners[0].put("x", o); err != nil || time.Since(start) != 50*time.Millisecond {
			t.Errorf("%+v, %v after %v", res.Receipt, err, time.Since(start))
		}
	})
}

// Where all disks are slow, hints would only give them more to write: they are taken for who is
// silent, not for who is slow.
func TestSlowDisksGetNoHints(t *testing.T) {
	for _, fsync := range []time.Duration{260, 400, 700, 900} {
		t.Run(fmt.Sprint(int(fsync), " ms"), func(t *testing.T) {
			bubble(t, 7, 3, func(t *testing.T, c *cluster) {
				for _, n := range c.nodes {
					n.store.fsync = fsync * time.Millisecond
				}
				owners := c.owners(testKey)
				for range 20 {
					if _, err := owners[0].put("v", sloppy(3)); err != nil {
						t.Error(err)
					}
				}
				if s := owners[0].coordinator.Stats(); s.HintsSent > 6 {
					t.Errorf("%d hints for 20 puts", s.HintsSent)
				}
				// One that falls silent is noticed all the same, and sooner when it is a while
				// since it was slow.
				c.mute(owners[1:3]...)
				for _, n := range owners[3:5] {
					n.store.fsync = 0
				}
				for _, most := range []time.Duration{time.Second, 250 * time.Millisecond} {
					owners[0].store.fsync = 0
					start := time.Now()
					if _, err := owners[0].put("v", sloppy(3)); err != nil || time.Since(start) > most {
						t.Errorf("%v after %v, want it within %v", err, time.Since(start), most)
					}
					time.Sleep(latencyAge + time.Second)
				}
			})
		})
	}
}

// What gossip says is no fact: an owner believed dead is asked where no fallback does as well.
func TestBelievedDead(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes[1:] {
			c.believe(n, false)
		}
		o := sloppy(3)
		o.W, o.R = LevelAll, LevelAll
		if res, err := c.nodes[0].put("v", o); err != nil || res.Receipt.Primaries != 3 {
			t.Errorf("%+v, %v", res.Receipt, err)
		}
		if res, err := c.nodes[1].get(o); err != nil || res.Receipt.Primaries != 3 {
			t.Errorf("%+v, %v", res.Receipt, err)
		}
	})
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		c.believe(owners[1], false)
		o := sloppy(3)
		o.PW, o.PR, o.R = LevelAll, LevelAll, LevelAll
		if res, err := owners[0].put("v", o); err != nil || res.Receipt.Primaries != 3 {
			t.Errorf("%+v, %v", res.Receipt, err)
		}
		synctest.Wait()
		if res, err := owners[4].get(o); err != nil || res.Receipt.Primaries != 3 {
			t.Errorf("%+v, %v", res.Receipt, err)
		}
		// With all fallbacks full the owner gets it after all.
		o = sloppy(3)
		o.W = LevelAll
		owners[3].store.hintErr, owners[4].store.hintErr = refuse(HintsFull), refuse(HintsFull)
		if res, err := owners[0].put("v", o); err != nil || res.Receipt.Primaries != 3 {
			t.Errorf("%+v, %v", res.Receipt, err)
		}
	})
	// Nobody waits for the dead.
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		c.mute(c.nodes[2])
		c.believe(c.nodes[2], false)
		o := sloppy(3)
		o.W, o.R = LevelAll, LevelAll
		start := time.Now()
		_, err := c.nodes[0].put("v", o)
		wantShort(t, err, "W", 2, 3)
		_, err = c.nodes[0].get(o)
		wantShort(t, err, "R", 2, 3)
		if took := time.Since(start); took != 2*lostGrace {
			t.Errorf("took %v", took)
		}
	})
}
