package load

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A closed loop makes one operation after the other, and counts those of the measured time.
func TestClosedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(func(string, int, request) reply { return reply{after: 10 * time.Millisecond} })
		c := testLoad(t, "ycsb-a", "a:1", "b:1", "c:1")
		c.Clients, c.For, c.WarmUp = 6, 3500*time.Millisecond, 1200*time.Millisecond
		began := time.Now()
		r, o := f.run(t, t.Context(), c)
		if took := time.Since(began); took != c.WarmUp+c.For {
			t.Errorf("took %v", took)
		}
		all := o.Ops[0]
		if all.Kind != "all" || all.Count != 6*350 || all.Rate != 600 || len(all.Errors) > 0 || all.NotFound != 0 {
			t.Errorf("%+v", all)
		}
		if l := all.Latency; l.P50 < 9990 || l.Max > 10010 || l.Min < 9990 {
			t.Errorf("latency %v to %v, want 10 ms", l.Min, l.Max)
		}
		if o.Ops[1].Kind != "get" || o.Ops[2].Kind != "put" || o.Ops[1].Count+o.Ops[2].Count != all.Count {
			t.Errorf("kinds %+v", o.Ops[1:])
		}
		if len(o.Timeline) != 4 || o.Timeline[3].Seconds != 0.5 {
			t.Fatalf("time line %+v", o.Timeline)
		}
		var sum int64
		for i, p := range o.Timeline {
			sum += p.Count
			if math.Abs(p.P50-10_000) > 10_000.0/64 || p.Max < 9_990 || p.At != float64(i) {
				t.Errorf("point %+v", p)
			}
		}
		if math.Abs(float64(sum-all.Count)) > 6 { // those that end on the borders
			t.Errorf("%d on the time line, %d in all", sum, all.Count)
		}
		for addr, n := range f.dials {
			if n != 2 {
				t.Errorf("%d connections to %s", n, addr)
			}
		}
		if r.Elapsed() != c.For || r.Snapshot().Phase != Ended || o.Seconds != 3.5 {
			t.Errorf("elapsed %v, snapshot %+v, seconds %v", r.Elapsed(), r.Snapshot(), o.Seconds)
		}
	})
}

func TestEndsAfterOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(func(string, int, request) reply { return reply{after: 10 * time.Millisecond} })
		c := testLoad(t, "put", "a:1")
		c.Clients, c.Operations = 5, 1003
		_, o := f.run(t, t.Context(), c)
		if o.Ops[0].Count != 1003 || math.Abs(o.Seconds-2.01) > 1e-9 || len(o.Timeline) != 3 {
			t.Errorf("%d operations in %v s, %d points", o.Ops[0].Count, o.Seconds, len(o.Timeline))
		}
		if f.seq != 1003 {
			t.Errorf("%d requests", f.seq)
		}
	})
}

// A stall of 200 ms shows in the latency of every operation that was due in it: the schedule
// goes on while nothing is sent.
func TestOpenLoopCountsFromTheIntendedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stall = 200 * time.Millisecond
		f := newFakes(func(_ string, seq int, _ request) reply {
			if seq == 301 { // due 300 ms after the start
				return reply{after: stall}
			}
			return reply{}
		})
		c := testLoad(t, "put", "a:1")
		c.Clients, c.Rate, c.For, c.Interval = 1, 1000, time.Second, 100*time.Millisecond
		_, o := f.run(t, t.Context(), c)
		all := o.Ops[0]
		if all.Count != 1000 || all.Rate != 1000 || len(all.Errors) > 0 {
			t.Errorf("%+v", all)
		}
		// The operation itself waited 200 ms, the next ones 199, 198 and so on to 1.
		waited := int64(0)
		for _, b := range o.All.Distribution() {
			if b.From >= 990 {
				waited += b.Count
			}
		}
		if waited != 200 {
			t.Errorf("%d operations waited at least a millisecond, want 200", waited)
		}
		for q, want := range map[float64]float64{99.9: 199_000, 95: 150_000, 90: 100_000, 81: 10_000} {
			if got := float64(o.All.ValueAtPercentile(q)); math.Abs(got-want) > 1100 {
				t.Errorf("percentile %v is %v us, want %v", q, got, want)
			}
		}
		if all.Latency.P50 > 10 {
			t.Errorf("p50 %v us, want next to nothing", all.Latency.P50)
		}
		// Nothing ended in the interval within the stall; all of it ended with it.
		if p := o.Timeline; p[4].Count != 0 || p[5].Count != 300 || math.Abs(p[5].Max-200_000) > 500 {
			t.Errorf("time line %+v", p)
		}
	})
}

// The clients' schedules interleave: all operations together are evenly spaced.
func TestOpenLoopIsStaggered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var last time.Time
		f := newFakes(func(_ string, seq int, r request) reply {
			mu.Lock()
			defer mu.Unlock()
			if gap := r.begun.Sub(last); seq > 1 && (gap < 999*time.Microsecond || gap > 1001*time.Microsecond) {
				t.Errorf("request %d came %v after the one before", seq, gap)
			}
			last = r.begun
			return reply{}
		})
		c := testLoad(t, "put", "a:1")
		c.Clients, c.Rate, c.For, c.WarmUp = 10, 1000, time.Second, 505*time.Millisecond
		_, o := f.run(t, t.Context(), c)
		if f.seq != 1505 || o.Ops[0].Count != 1000 {
			t.Errorf("%d requests, %d recorded", f.seq, o.Ops[0].Count)
		}
	})
}

// A backlog that never clears does not make the run longer, and nothing is dropped silently.
func TestOpenLoopCountsWhatItCouldNotSend(t *testing.T) {
	for _, warm := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakes(func(string, int, request) reply { return reply{after: 10 * time.Millisecond} })
			c := testLoad(t, "put", "a:1")
			c.Clients, c.Rate, c.WarmUp, c.For = 2, 1000, warm, 2*time.Second // and 200 per second is what there is
			began := time.Now()
			r, o := f.run(t, t.Context(), c)
			if took := time.Since(began); took > c.WarmUp+c.For+10*time.Millisecond {
				t.Errorf("took %v", took)
			}
			// The backlog of the warm-up ends with it: what follows is the same with one and without.
			const want, wait = 400.0, 1.55e6
			all := o.Ops[0]
			if all.Count+all.Errors["unsent"] != 2000 || math.Abs(float64(all.Count)-want) > 2 {
				t.Errorf("%d operations and %d unsent, want %v and the rest of 2000", all.Count, all.Errors["unsent"], want)
			}
			if all.Latency.Max < wait || all.Latency.Max > 1.1*wait {
				t.Errorf("longest wait %v us, want %v", all.Latency.Max, wait)
			}
			if math.Abs(all.Rate-want/2) > 2 || math.Abs(float64(o.Timeline[0].Count+o.Timeline[1].Count)-want) > 4 || r.Snapshot().Behind != 0 {
				t.Errorf("rate %v, behind %d", all.Rate, r.Snapshot().Behind)
			}
		})
	}
}

// Operations that end after the measured time have a latency, and do not make the rate higher.
func TestRateCountsTheMeasuredTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(func(string, int, request) reply { return reply{after: 300 * time.Millisecond} })
		c := testLoad(t, "put", "a:1")
		c.Clients, c.For = 2, time.Second
		_, o := f.run(t, t.Context(), c)
		if all := o.Ops[0]; all.Count != 8 || all.Rate != 6 || o.All.TotalCount() != 8 || o.Timeline[0].Count != 6 {
			t.Errorf("%+v, time line %v", all, o.Timeline)
		}
	})
}

// A node that stops answering does not hold the run for longer than a second.
func TestEndsInTimeWhenNobodyAnswers(t *testing.T) {
	for _, rate := range []float64{0, 100} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			f := newFakes(func(string, int, request) reply {
				return reply{hang: time.Since(start) > 500*time.Millisecond, after: 10 * time.Millisecond}
			})
			c := testLoad(t, "put", "a:1")
			c.Clients, c.Rate, c.For = 4, rate, 2*time.Second
			_, o := f.run(t, t.Context(), c)
			if took := time.Since(start); took != c.For+drainTime {
				t.Errorf("rate %v: took %v", rate, took)
			}
			errs := o.Ops[0].Errors
			if errs["unfinished"] != 4 || len(errs) > 2 {
				t.Errorf("rate %v: errors %v, want 4 unfinished", rate, errs)
			}
			if sum := o.Ops[0].Count + errs["unsent"]; rate > 0 && sum != 200 {
				t.Errorf("%d operations accounted for, want 200", sum)
			}
		})
	}
}

func TestContextEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(func(_ string, seq int, _ request) reply {
			return reply{hang: seq == 77, after: 10 * time.Millisecond}
		})
		c := testLoad(t, "put", "a:1")
		c.Clients, c.For = 3, time.Hour
		c.Interval, c.Timeout = time.Second, time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), 2345*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, o := f.run(t, ctx, c)
		if took := time.Since(began); took > 2355*time.Millisecond { // the fake node sleeps on
			t.Errorf("took %v", took)
		}
		if !o.Interrupted || math.Abs(o.Seconds-2.345) > 1e-9 || len(o.Timeline) != 3 || len(o.Ops[0].Errors) > 0 {
			t.Errorf("%+v", o)
		}
		if n := o.Ops[0].Count; n < 2*230 || n > 2*235+77 {
			t.Errorf("%d operations", n)
		}
	})
}

// Neither a client that waits for its next operation nor one that pauses holds the run.
func TestContextEndsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(always)
		c := testLoad(t, "put", "a:1")
		c.Clients, c.Rate, c.For = 3, 0.1, time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, o := f.run(t, ctx, c)
		if took := time.Since(began); took != time.Second || !o.Interrupted || o.Ops[0].Count != 1 {
			t.Errorf("took %v, %+v", took, o.Ops[0])
		}
	})
}

func TestContextEndsConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(always)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, o := f.run(t, ctx, testLoad(t, "put", "a:1"))
		if !o.Interrupted || o.Ops[0].Count != 0 || o.Seconds != 0 {
			t.Errorf("%+v", o)
		}
	})
}

func TestNobodyThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(always)
		f.down["a:1"], f.down["b:1"] = true, true
		r := f.newRun(t, testLoad(t, "put", "a:1", "b:1"))
		if o, err := r.Do(t.Context()); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("Do = %v, %v", o, err)
		}
		if _, err := r.Do(t.Context()); err == nil || !strings.Contains(err.Error(), "used before") {
			t.Errorf("second Do: %v", err)
		}
	})
}

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(func(_ string, seq int, _ request) reply {
			if seq%10 == 0 {
				return reply{raw: status(503), after: 10 * time.Millisecond}
			}
			return reply{after: 10 * time.Millisecond}
		})
		c := testLoad(t, "put", "a:1")
		c.Clients, c.Rate, c.WarmUp, c.For = 1, 200, 2*time.Second, 4*time.Second
		r := f.newRun(t, c)
		if s := r.Snapshot(); s.Phase != Connecting || r.Elapsed() != 0 {
			t.Errorf("before: %+v", s)
		}
		done := make(chan *Outcome)
		go func() {
			o, err := r.Do(t.Context())
			if err != nil {
				t.Error(err)
			}
			done <- o
		}()
		time.Sleep(1505 * time.Millisecond)
		if s := r.Snapshot(); s.Phase != WarmingUp || s.Length != 2*time.Second || s.Ops != 135 || s.Errors != 15 ||
			s.Rate != 90 || math.Abs(s.P50-500_000) > 250_000 || r.Elapsed() != 0 {
			t.Errorf("warming up: %+v", s)
		}
		time.Sleep(3 * time.Second)
		s := r.Snapshot()
		if s.Phase != Measuring || s.Elapsed != 2505*time.Millisecond || s.Length != 4*time.Second || s.Rate != 90 || r.Elapsed() != s.Elapsed {
			t.Errorf("measuring: %+v", s)
		}
		if s.Behind < 240 || s.Behind > 260 {
			t.Errorf("%d behind, want 250: in 2.5 s half of 500 are sent, and the backlog of the warm-up is none", s.Behind)
		}
		o := <-done
		if s := r.Snapshot(); s.Phase != Ended || s.Ops+s.Errors != o.Ops[0].Count || s.Elapsed != 4*time.Second {
			t.Errorf("ended: %+v, outcome %+v", s, o.Ops[0])
		}
		f.wg.Wait()
	})
}
