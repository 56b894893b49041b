package pace

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// clients performs operations that take as long as latency says, per of them per
// millisecond, for so long.
func clients(t *Throttle, per int, long time.Duration, latency func() time.Duration) {
	for end := time.Now().Add(long); time.Now().Before(end); {
		for range per {
			t.Foreground(latency())
		}
		time.Sleep(time.Millisecond)
	}
}

func steady(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// background takes what it can get until ctx ends and counts it.
func background(ctx context.Context, t *Throttle, passed *atomic.Int64) {
	for t.Wait(ctx, 64) == nil {
		passed.Add(64)
	}
}

// bubble runs f with a throttle and a background that wants more than it can get.
func bubble(t *testing.T, f func(t *testing.T, th *Throttle, passed *atomic.Int64)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		th := New(Config{})
		ctx, cancel := context.WithCancel(t.Context())
		var passed atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { background(ctx, th, &passed) })
		}
		f(t, th, &passed)
		cancel()
		wg.Wait()
	})
}

func TestNobodyToYieldTo(t *testing.T) {
	bubble(t, func(t *testing.T, th *Throttle, passed *atomic.Int64) {
		if r := th.Rate(); r != 1500 {
			t.Errorf("a new throttle is at %v objects/s, want the floor", r)
		}
		time.Sleep(1100 * time.Millisecond)
		if r := th.Rate(); r != 20000 || th.Yielding() {
			t.Errorf("a second without clients: %v objects/s, yielding %v", r, th.Yielding())
		}
		passed.Store(0)
		time.Sleep(10 * time.Second)
		if n := passed.Load(); n < 190_000 || n > 200_000+burst {
			t.Errorf("%d objects in 10 s at 20000 objects/s", n)
		}
	})
}

// Clients that are not slowed leave the background the ceiling as long as they are few, and what is
// allowed beside busy ones else.
func TestUnharmedClientsDoNotSlowTheBackground(t *testing.T) {
	for every, want := range map[time.Duration]float64{time.Millisecond: 6000, 9 * time.Millisecond: 6000, 12 * time.Millisecond: 20000} {
		bubble(t, func(t *testing.T, th *Throttle, passed *atomic.Int64) {
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(every) {
				th.Foreground(2 * time.Millisecond)
			}
			if r := th.Rate(); r != want {
				t.Errorf("10 s of steady clients, one operation each %v: %v objects/s, want %v", every, r, want)
			}
		})
	}
}

func TestSlowedClientsGetRoomButRepairEnds(t *testing.T) {
	bubble(t, func(t *testing.T, th *Throttle, passed *atomic.Int64) {
		clients(th, 1, 12*time.Second, steady(2*time.Millisecond))
		// The background is to blame: clients are slow in proportion to its rate, and at the
		// floor they are not. Then the rate must find a place in between, for minutes.
		caused := func() time.Duration {
			return 2*time.Millisecond + time.Duration((th.Rate()-1500)/18500*float64(10*time.Millisecond))
		}
		clients(th, 1, 2*time.Second, caused)
		low, high := math.Inf(1), 0.0
		clients(th, 1, 3*time.Minute, func() time.Duration {
			low, high = min(low, th.Rate()), max(high, th.Rate())
			return caused()
		})
		if low < 1500 {
			t.Errorf("the rate fell to %v, below the floor", low)
		}
		// At 3350 objects/s the mean is 3 ms, half above the usual; one step up is 370.
		if high > 5500 {
			t.Errorf("the rate rose to %v: clients at %v are taken for usual", high, th.mu.usual)
		}
		// Now they are slow whatever the background does, ever more so: it keeps the floor.
		passed.Store(0)
		worse := 20 * time.Millisecond
		began := time.Now()
		clients(th, 1, 40*time.Second, func() time.Duration {
			worse += worse / 13000
			return min(worse, maxTook)
		})
		if got, want := float64(passed.Load()), 1500*time.Since(began).Seconds(); got < want*0.98 {
			t.Errorf("%v objects in %v, the floor is %v", got, time.Since(began), want)
		}
	})
}

func TestFallsWithinASecond(t *testing.T) {
	bubble(t, func(t *testing.T, th *Throttle, passed *atomic.Int64) {
		clients(th, 1, 9*time.Second, steady(2*time.Millisecond))
		clients(th, 1, time.Second, steady(30*time.Millisecond))
		if r := th.Rate(); r < 1500 || r > 1600 || !th.Yielding() {
			t.Errorf("a second of slow clients: %v objects/s, yielding %v", r, th.Yielding())
		}
		clients(th, 1, 7*time.Second, steady(2*time.Millisecond))
		if r := th.Rate(); r != 6000 {
			t.Errorf("7 s after they are fast again: %v objects/s", r)
		}
	})
}

// TestLoadChangesForGood: whatever the new usual is, the throttle finds it, up and down.
func TestLoadChangesForGood(t *testing.T) {
	for _, usual := range []time.Duration{300 * time.Microsecond, 3 * time.Millisecond, 40 * time.Millisecond, 600 * time.Millisecond} {
		bubble(t, func(t *testing.T, th *Throttle, passed *atomic.Int64) {
			clients(th, 1, 15*time.Second, steady(2*time.Millisecond))
			clients(th, 1, 15*time.Second, steady(usual))
			if r := th.Rate(); r < 6000 || th.Yielding() {
				t.Errorf("15 s after the usual went from 2 ms to %v: %v objects/s, usual %v", usual, r, th.mu.usual)
			}
			clients(th, 1, 3*time.Minute, steady(usual))
			if d := th.mu.usual - usual; d.Abs() > usual/20+2*time.Microsecond {
				t.Errorf("3 min later the usual is %v, want %v", th.mu.usual, usual)
			}
			// The new baseline is one: twice as slow is slow.
			clients(th, 1, time.Second, steady(2*usual+time.Millisecond))
			if !th.Yielding() && th.mu.rest == 0 && 2*usual < maxTook {
				t.Errorf("twice the usual of %v is not slow", usual)
			}
		})
	}
}

// TestNoiseIsNotSlowness: a load whose windows differ by chance leaves the background its pace.
func TestNoiseIsNotSlowness(t *testing.T) {
	bubble(t, func(t *testing.T, th *Throttle, passed *atomic.Int64) {
		rnd := rand.New(rand.NewPCG(1, 2))
		noisy := func() time.Duration { return time.Duration(rnd.ExpFloat64() * float64(3*time.Millisecond)) }
		clients(th, 1, 20*time.Second, noisy)
		passed.Store(0)
		clients(th, 1, 2*time.Minute, noisy)
		if n := passed.Load(); n < 120*4500 {
			t.Errorf("%d objects in 2 min beside a noisy load that is not disturbed, want nearly 6000 per second", n)
		}
	})
}

func TestFewOperationsAreJudgedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := New(Config{})
		th.Foreground(time.Millisecond)
		time.Sleep(window)
		th.Foreground(time.Millisecond)
		if th.Rate(); th.mu.samples != 0 {
			t.Error("two operations in 100 ms were judged")
		}
		time.Sleep(patience)
		if th.Rate(); th.mu.samples != 1 {
			t.Error("two operations in a second were not judged")
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := New(Config{Floor: 10, Ceiling: 10})
		ctx, cancel := context.WithCancel(t.Context())
		if err := th.Wait(ctx, burst); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		if err := th.Wait(ctx, 1000); !errors.Is(err, context.Canceled) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := th.Wait(ctx, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting for nothing under an ended context: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := th.Wait(ctx, 1000); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a deadline that is too near: %v", err)
		}
	})
}

// TestPauseIsForAllSenders: senders that wait as told keep the rate together, however many.
func TestPauseIsForAllSenders(t *testing.T) {
	for _, senders := range []int{1, 3, 20} {
		synctest.Test(t, func(t *testing.T) {
			th := New(Config{Floor: 2000, Ceiling: 2000})
			var received atomic.Int64
			var wg sync.WaitGroup
			began := time.Now()
			for range senders {
				wg.Go(func() {
					for time.Since(began) < 60*time.Second {
						received.Add(256)
						time.Sleep(th.Pause(256) + time.Millisecond)
					}
				})
			}
			wg.Wait()
			got, took := float64(received.Load()), time.Since(began).Seconds()
			if want := 2000 * took; got > want+burst+float64(senders)*256 || got < want*0.95 {
				t.Errorf("%d senders: %v objects in %v s, want %v", senders, got, took, want)
			}
		})
	}
}

func TestPauseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := New(Config{Floor: 1000, Ceiling: 1000})
		if p := th.Pause(burst); p != 0 {
			t.Errorf("the first batch: %v", p)
		}
		if p := th.Pause(1000); p != time.Second {
			t.Errorf("1000 more objects at 1000/s: %v", p)
		}
		for range 100 {
			if p := th.Pause(1 << 40); p > maxPause {
				t.Fatalf("a pause of %v", p)
			}
		}
		// What is beyond the bound was not counted: it is over in time.
		time.Sleep(maxPause + 300*time.Millisecond)
		if p := th.Pause(0); p != 0 {
			t.Errorf("%v is owed after the longest pause", p)
		}
	})
}

func TestSendingDoesNotHoldUpReceiving(t *testing.T) {
	bubble(t, func(t *testing.T, th *Throttle, passed *atomic.Int64) {
		time.Sleep(5 * time.Second)
		if owed, p := th.Pause(0), th.Pause(1); owed != 0 || p != 0 {
			t.Errorf("a first received object is to wait %v, then %v, for what is sent", owed, p)
		}
	})
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		cfg Config
		ok  bool
	}{
		{Config{}, true}, {Config{Floor: 30000}, true}, {Config{Floor: 1, Ceiling: 1}, true},
		{Config{Floor: -1}, false}, {Config{Floor: 10, Ceiling: 5}, false}, {Config{Floor: math.NaN()}, false},
		{Config{Ceiling: math.Inf(1)}, false}, {Config{Floor: 0.5}, false},
	} {
		if err := c.cfg.WithDefaults().Validate(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	th := New(Config{Floor: 1e9, Ceiling: 1e9})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				th.Foreground(time.Millisecond)
				th.Pause(3)
				th.Rate()
				th.Yielding()
				if err := th.Wait(t.Context(), 300); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkForeground(b *testing.B) {
	for _, parallel := range []bool{false, true} {
		name := "callers=1"
		if parallel {
			name = "callers=all"
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			th := New(Config{})
			if parallel {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						th.Foreground(time.Millisecond)
					}
				})
				return
			}
			for b.Loop() {
				th.Foreground(time.Millisecond)
			}
		})
	}
}
