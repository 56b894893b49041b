package staleness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"cartwheel/bench/load"
)

func TestValue(t *testing.T) {
	for _, seq := range []int64{1, 9, 10, 1<<63 - 1} {
		for _, size := range []int{minValue, 100, 5000} {
			v := appendValue(nil, seq, size)
			if len(v) != size || newest(v) != seq {
				t.Errorf("version %d in %d bytes: %d in %d", seq, size, newest(v), len(v))
			}
		}
	}
	for body, want := range map[string]int64{
		"": 0, "version=": 0, "version=12": 0, "version=x;": 0, "Siblings:\na\nb\n": 0,
		"--x\r\n\r\nversion=7;..\r\n--x\r\n\r\nversion=31;..\r\n--x\r\n\r\nversion=8;..\r\n--x--": 31,
		"version=version=5;": 5, "version=99999999999999999999;": 0,
	} {
		if got := newest([]byte(body)); got != want {
			t.Errorf("newest of %q is %d, want %d", body, got, want)
		}
	}
}

func FuzzNewest(f *testing.F) {
	f.Add([]byte("version=3;version=12;"), int64(5))
	f.Fuzz(func(t *testing.T, body []byte, seq int64) {
		before := newest(body)
		seq = max(seq, 0)
		if got := newest(append(append(body, '\n'), appendValue(nil, seq, minValue)...)); got != max(before, seq) {
			t.Errorf("after version %d beside %d: %d", seq, before, got)
		}
	})
}

func TestNearestAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		var delays []time.Duration
		for range 1 + rng.IntN(6) {
			delays = append(delays, time.Duration(rng.IntN(50)))
		}
		delays = Config{Delays: delays}.WithDefaults().Delays
		passed := time.Duration(rng.IntN(60))
		want := slices.MinFunc(delays, func(a, b time.Duration) int { return int((passed - a).Abs() - (passed - b).Abs()) })
		if got := delays[nearest(delays, passed)]; (got - passed).Abs() != (want - passed).Abs() {
			t.Fatalf("%d of %v: %d, want %d", passed, delays, got, want)
		}
	}
}

// Nobody reads through the node that was written through, and all pairs of two take part.
func TestPairs(t *testing.T) {
	for n := 2; n <= 7; n++ {
		c := Config{}
		for i := range n {
			c.Targets = append(c.Targets, fmt.Sprint(i))
		}
		seen := map[[2]string]int{}
		for i := range 3 * n * (n - 1) {
			w, r := c.pair(i)
			if w == r {
				t.Errorf("%d targets: client %d reads where it writes", n, i)
			}
			seen[[2]string{w, r}]++
		}
		for p, times := range seen {
			if times != 3 || len(seen) != n*(n-1) {
				t.Errorf("%d targets: %v %d times, %d pairs", n, p, times, len(seen))
			}
		}
	}
}

func TestLater(t *testing.T) {
	all := []float64{1, 2, 3, 4}
	for _, c := range []struct {
		before, now uint64
		want        []float64
	}{
		{0, 4, all}, {10, 12, all[2:]}, {10, 10, nil}, {10, 5000, all}, {10, 2, all[2:]}, {0, 0, nil},
	} {
		if got := later(all, c.before, c.now); !slices.Equal(got, c.want) {
			t.Errorf("from %d to %d: %v, want %v", c.before, c.now, got, c.want)
		}
	}
}

// A reservoir keeps everything while there is room, then each time as likely as the others.
func TestReservoir(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var early int
	for range 2000 {
		r := reservoir{limit: 10}
		for i := range 100 {
			r.add(rng, time.Duration(i)*time.Microsecond)
		}
		if len(r.kept) != 10 {
			t.Fatalf("%d kept", len(r.kept))
		}
		for _, us := range r.kept {
			if us < 50 {
				early++
			}
		}
	}
	if early < 9500 || early > 10500 {
		t.Errorf("of 20000 kept times %d are of the first half", early)
	}
}

func TestKind(t *testing.T) {
	for want, err := range map[string]error{
		"503": statusError(503), "timeout": fmt.Errorf("get: %w", load.ErrTimeout), "malformed": load.ErrMalformed,
		"connection": errors.New("refused"),
	} {
		if got := kind(err); got != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
	}
}

// A wait is hardly too short, and ends with its context.
func TestWait(t *testing.T) {
	for _, d := range []time.Duration{0, 50 * time.Microsecond, ms, 3 * ms} {
		begin := time.Now()
		if !wait(context.Background(), d) || time.Since(begin) < d-100*time.Microsecond {
			t.Errorf("%v took %v", d, time.Since(begin))
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if wait(ctx, time.Hour) || wait(ctx, 0) {
		t.Error("waits after the end")
	}
}

// Where whole writes are known they are drawn: here, slow ones are slow everywhere.
func TestForecastOfWholeWrites(t *testing.T) {
	r := newRun(Config{Targets: []string{"a", "b", "c"}, N: 3, R: 1, W: 1}.WithDefaults())
	s := samples{reads: make([]float64, 100), localReads: make([]float64, 100)}
	for i := range 100 {
		us := float64(1 + i%2*999) // 1 or 1000
		s.writes, s.localWrites = append(s.writes, us, us), append(s.localWrites, us)
	}
	apart := r.forecast(newTally(&r.cfg), s)
	for i := range s.localWrites {
		s.whole = append(s.whole, []float64{s.localWrites[i], s.writes[2*i], s.writes[2*i+1]})
	}
	together := r.forecast(newTally(&r.cfg), s)
	if a, b := apart.fresh([]float64{0}), together.fresh([]float64{0}); a > 0.7 || b != 1 {
		t.Errorf("fresh at once: apart %v, together %v, want about 0.6 and 1", a, b)
	}
}

// Copies come in any order; a write without all of its copies, or with too many, is left out.
func TestWhole(t *testing.T) {
	got := whole(3, []uint32{7, 8, 9, 5}, []float64{1, 2, 3, 4}, []uint32{9, 7, 5, 9, 7, 6, 6, 5, 5}, []float64{30, 10, 40, 31, 11, 60, 61, 41, 42})
	if len(got) != 2 || !slices.Equal(got[0], []float64{1, 10, 11}) || !slices.Equal(got[1], []float64{3, 30, 31}) {
		t.Errorf("%v", got)
	}
	if got = whole(1, []uint32{1, 2}, []float64{5, 6}, nil, nil); len(got) != 2 {
		t.Errorf("of one copy: %v", got)
	}
	if got = whole(2, []uint32{1, 1}, []float64{5, 6}, nil, nil); len(got) != 1 {
		t.Errorf("one number twice: %v", got)
	}
}
