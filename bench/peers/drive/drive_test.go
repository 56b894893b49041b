package drive

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// same returns n clients that all do the same.
func same(n int, c Client) []Client {
	all := make([]Client, n)
	for i := range all {
		all[i] = c
	}
	return all
}

// takes is a store that answers after a while, if it is not told to stop before.
func takes(d time.Duration) Client {
	return func(ctx context.Context, _ int) error { return waitUntil(ctx, time.Now().Add(d)) }
}

// near allows what three digits of a histogram lose.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > want/500 {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestClosedLoopCountsTheMeasuredIntervalOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		o, err := Run(t.Context(), Load{
			Clients: same(4, takes(10*time.Millisecond)), Keys: 7, WarmUp: time.Second, For: 2*time.Second + 5*time.Millisecond,
			Meter: func() []float64 { return []float64{time.Since(began).Seconds()} },
		})
		if err != nil {
			t.Fatal(err)
		}
		// A request that ends just when the measured interval begins is on either side of it.
		if o.Count < 4*200 || o.Count > 4*201 || o.Errors != 0 || o.Unfinished != 0 {
			t.Errorf("%d requests, %d errors, %d unfinished; want 800 to 804 and none", o.Count, o.Errors, o.Unfinished)
		}
		near(t, "interval", o.Seconds, 2.005)
		near(t, "meter", o.Metered[0], 2.005)
		near(t, "p50", float64(o.Latency.ValueAtQuantile(50)), 10_000)
	})
}

// A store that stalls for a second owes the requests of that second, and an open loop counts
// from when each was wanted: of 1000 requests in 10 s, those of the stalled second wait 500 ms
// on average. A closed loop of one client would have seen a single slow one.
func TestOpenLoopCountsFromTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		stall := func(ctx context.Context, _ int) error {
			if at := time.Since(began); at >= 5*time.Second && at < 6*time.Second {
				return waitUntil(ctx, began.Add(6*time.Second))
			}
			return nil
		}
		o, err := Run(t.Context(), Load{Clients: same(3, stall), Keys: 1, Rate: 100, WarmUp: time.Second, For: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if o.Count != 1000 || o.Unfinished != 0 {
			t.Errorf("%d requests, %d unfinished; want 1000 and 0", o.Count, o.Unfinished)
		}
		if p := o.Latency.ValueAtQuantile(89); p > 1 {
			t.Errorf("p89 is %d us although only a tenth was late", p)
		}
		near(t, "p95", float64(o.Latency.ValueAtQuantile(95)), 500_000)
		near(t, "max", float64(o.Latency.Max()), 1_000_000)
	})
}

// What the schedule wanted and the store never gave is counted, and the run still ends.
func TestOpenLoopCountsUnfinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		hang := func(ctx context.Context, _ int) error {
			if time.Since(began) < 500*time.Millisecond {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		o, err := Run(t.Context(), Load{Clients: same(2, hang), Keys: 1, Rate: 100, For: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if o.Count != 50 || o.Unfinished != 50 || o.Errors != 0 {
			t.Errorf("%d requests, %d unfinished, %d errors; want 50, 50 and 0", o.Count, o.Unfinished, o.Errors)
		}
		near(t, "whole run", time.Since(began).Seconds(), (time.Second + grace).Seconds())
	})
}

func TestErrorsAreCountedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		odd := errors.New("odd")
		every := func(ctx context.Context, key int) error {
			if err := waitUntil(ctx, time.Now().Add(time.Millisecond)); err != nil {
				return err
			}
			if n.Add(1)%4 == 0 {
				return odd
			}
			return nil
		}
		o, err := Run(t.Context(), Load{Clients: same(1, every), Keys: 1, For: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if !errors.Is(o.First, odd) || o.Errors < 249 || o.Errors > 250 || o.Latency.TotalCount() != o.Count {
			t.Errorf("%d errors (%v), %d counted, %d latencies", o.Errors, o.First, o.Count, o.Latency.TotalCount())
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	for _, rate := range []float64{0, 10} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			began := time.Now()
			_, err := Run(ctx, Load{Clients: same(3, takes(time.Hour)), Keys: 1, Rate: rate, WarmUp: time.Second, For: time.Minute})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("rate %v: error %v", rate, err)
			}
			near(t, "whole run", time.Since(began).Seconds(), 1.5)
		})
	}
}

func TestRunRefuses(t *testing.T) {
	ok := Load{Clients: same(1, takes(0)), Keys: 1, For: time.Second}
	for name, spoil := range map[string]func(*Load){
		"no client": func(l *Load) { l.Clients = nil },
		"no key":    func(l *Load) { l.Keys = 0 },
		"no time":   func(l *Load) { l.For = 0 },
		"rate":      func(l *Load) { l.Rate = -1 },
	} {
		l := ok
		spoil(&l)
		if _, err := Run(t.Context(), l); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The schedule is what open loops send, so the number owed and the number sent must agree
// for every rate.
func TestSlotsAreWhatIsSent(t *testing.T) {
	for _, rate := range []float64{0.3, 1, 3, 7.7, 333.3} {
		synctest.Test(t, func(t *testing.T) {
			r := run{Load: Load{Rate: rate, WarmUp: 1300 * time.Millisecond, For: 9 * time.Second}}
			o, err := Run(t.Context(), Load{Clients: same(5, takes(0)), Keys: 1, Rate: rate, WarmUp: r.WarmUp, For: r.For})
			if err != nil {
				t.Fatal(err)
			}
			if o.Count != r.slots() || math.Abs(float64(o.Count)-rate*9) > 1 {
				t.Errorf("rate %v: %d sent, %d owed", rate, o.Count, r.slots())
			}
		})
	}
}

func TestFill(t *testing.T) {
	var mu sync.Mutex
	seen := map[int]int{}
	refused := map[int]int{}
	c := func(_ context.Context, key int) error {
		mu.Lock()
		defer mu.Unlock()
		if refused[key]++; refused[key] < fillTries && key%10 == 0 {
			return errors.New("not yet")
		}
		seen[key]++
		return nil
	}
	if err := Fill(t.Context(), same(8, c), 100); err != nil {
		t.Fatal(err)
	}
	for key := range 100 {
		if seen[key] != 1 {
			t.Errorf("key %d was written %d times", key, seen[key])
		}
	}
	broken := errors.New("broken")
	err := Fill(t.Context(), same(8, func(_ context.Context, key int) error {
		if key == 3 {
			return broken
		}
		return nil
	}), 100)
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}
