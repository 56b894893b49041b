package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"cartwheel/bench/workload"
)

// latencies returns samples of different shapes, in microseconds.
func latencies(n int) map[string][]int64 {
	r := rand.New(rand.NewPCG(1, 1))
	made := map[string][]int64{}
	for range n {
		made["even"] = append(made["even"], 1+r.Int64N(5000))
		made["exponential"] = append(made["exponential"], 1+int64(r.ExpFloat64()*1500))
		two := 200 + r.Int64N(20)
		if r.IntN(50) == 0 {
			two = 2_000_000 + r.Int64N(100_000)
		}
		made["two peaks"] = append(made["two peaks"], two)
		made["constant"] = append(made["constant"], 777)
	}
	return made
}

// nearestRank is the definition: the smallest value that at least a share q does not exceed.
func nearestRank(sorted []int64, q float64) float64 {
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return float64(sorted[max(i, 0)])
}

func TestPercentiles(t *testing.T) {
	for shape, sample := range latencies(20_000) {
		var l ledger
		var s sketch
		var batch []record
		sum := 0.0
		for _, v := range sample {
			sum += float64(v)
			s.success(v)
			batch = append(batch, record{micros: uint32(v), kind: workload.Put})
		}
		l.take(batch)
		slices.Sort(sample)
		near := func(what string, got, want, part float64) {
			if math.Abs(got-want) > want*part {
				t.Errorf("%s: %s is %v, want %v", shape, what, got, want)
			}
		}
		op, inTime := l.op(workload.Put, 10)
		if op.Count != 20_000 || inTime != 20_000 || op.Rate != 2000 {
			t.Errorf("%s: %+v", shape, op)
		}
		const threeDigits = 1.0 / 1000
		near("mean", op.Latency.Mean, sum/20_000, threeDigits)
		near("min", op.Latency.Min, float64(sample[0]), threeDigits)
		near("max", op.Latency.Max, float64(sample[len(sample)-1]), threeDigits)
		for q, got := range map[float64]float64{.5: op.Latency.P50, .9: op.Latency.P90, .99: op.Latency.P99, .999: op.Latency.P999} {
			near("a percentile", got, nearestRank(sample, q), threeDigits)
		}
		last := -1.0
		for _, c := range op.Latency.Curve {
			if c.Q <= last && c.Q != 1 || c.Q > 1 {
				t.Errorf("%s: the curve has %v after %v", shape, c.Q, last)
			}
			last = c.Q
			if c.Q > 0 && c.Q < 1 {
				i := int(c.Q*20_000) - 1
				low, high := float64(sample[max(i-1, 0)]), float64(sample[min(i+2, 19_999)])
				if c.Micros < low*(1-threeDigits) || c.Micros > high*(1+threeDigits) {
					t.Errorf("%s: the curve has %v at %v, want %v to %v", shape, c.Micros, c.Q, low, high)
				}
			}
		}
		if n := len(op.Latency.Curve); n < 2 || n > 500 || last != 1 {
			t.Errorf("%s: a curve of %d points up to %v", shape, n, last)
		}
		f := s.figures()
		near("p50 of the time line", f.p50, nearestRank(sample, .5), 1.0/64)
		near("p99 of the time line", f.p99, nearestRank(sample, .99), 1.0/64)
		if f.count != 20_000 || f.max != float64(sample[len(sample)-1]) {
			t.Errorf("%s: %+v", shape, f)
		}
	}
	if got := Summary(newHistogram()); got.Max != 0 || got.Curve != nil {
		t.Errorf("summary of nothing: %+v", got)
	}
	if f := new(sketch).figures(); f != (figures{}) {
		t.Errorf("figures of nothing: %+v", f)
	}
}

// The counters of a sketch cover all values in order, each within a part in 64 of its middle.
func TestSketchSlots(t *testing.T) {
	last := 0
	for v := int64(0); v < 1<<topBits; v += 1 + v/1000 {
		i := slot(v)
		if i < last || i > last+1 || i >= counters {
			t.Fatalf("value %d has counter %d after %d", v, i, last)
		}
		last = i
		if off := math.Abs(middle(i) - float64(v)); off > float64(v)/64 {
			t.Fatalf("value %d counts as %v", v, middle(i))
		}
	}
	if last != counters-1 || slot(math.MaxInt64) != last || slot(-1) != 0 {
		t.Errorf("last counter %d of %d", last, counters)
	}
}

func TestMicros(t *testing.T) {
	for d, want := range map[time.Duration]int64{
		-time.Second: 1, 0: 1, 1499: 1, 1500: 2, time.Millisecond: 1000, 100 * time.Hour: maxMicros,
	} {
		if got := micros(d); got != want {
			t.Errorf("%v is %d us, want %d", d, got, want)
		}
	}
	if maxMicros >= 1<<topBits {
		t.Error("a sketch does not have room for the largest latency")
	}
}

// The number of operations before a moment is that of counting them.
func TestSchedule(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		clients := 1 + r.IntN(100)
		s := schedule{r.IntN(clients), clients, math.Exp(r.Float64() * 12)}
		for range 20 {
			at := time.Duration(r.Int64N(int64(2 * time.Second)))
			if r.IntN(2) == 0 {
				at = s.due(r.Int64N(1000)) // the borders
			}
			if at > 10*time.Second {
				continue
			}
			want := int64(0)
			for s.due(want) < at {
				want++
			}
			if got := s.before(at); got != want {
				t.Fatalf("%+v: %d operations before %v, want %d", s, got, at, want)
			}
		}
	}
	// After a year it still has the right microsecond.
	s := schedule{3, 64, 5000}
	k := int64(365 * 24 * 3600 * 5000 / 64)
	if gap := s.due(k+1) - s.due(k); gap < 64*200*time.Microsecond-time.Microsecond || gap > 64*200*time.Microsecond+time.Microsecond {
		t.Errorf("a gap of %v", gap)
	}
}

// No interval of the time line lies in both the warm-up and the measured part.
func TestTimelineSlots(t *testing.T) {
	for _, c := range []struct {
		warm, length, interval time.Duration
		at                     map[time.Duration]int
	}{
		{0, 3 * time.Second, time.Second, map[time.Duration]int{0: 0, 999_999_999: 0, time.Second: 1, 3 * time.Second: 2, time.Hour: 2}},
		{2 * time.Second, 2 * time.Second, time.Second, map[time.Duration]int{0: 0, time.Second - 1: 0, time.Second: 1, 2*time.Second - 1: 1, 2 * time.Second: 2, 4 * time.Second: 3}},
		{2500 * time.Millisecond, time.Second, time.Second, map[time.Duration]int{0: 0, 499_999_999: 0, 500 * time.Millisecond: 1, 2_499_999_999: 2, 2500 * time.Millisecond: 3}},
	} {
		l := newTimeline(c.warm, c.length, c.interval)
		for at, want := range c.at {
			if got := l.slot(at); got != want {
				t.Errorf("warm-up %v, interval %v: %v is in %d, want %d", c.warm, c.interval, at, got, want)
			}
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	b.Run("sketch", func(b *testing.B) {
		var s sketch
		for b.Loop() {
			s.success(1234)
		}
	})
	b.Run("ledger/batch=512", func(b *testing.B) {
		var l ledger
		batch := make([]record, batchSize)
		for i := range batch {
			batch[i] = record{micros: uint32(100 + i*7)}
		}
		b.ReportAllocs()
		for b.Loop() {
			l.take(batch)
		}
	})
}
