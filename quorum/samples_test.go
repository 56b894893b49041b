package quorum

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const manyRequests = 50

// Each kind holds what the calls of that kind took: the local ones the time of the disk, the
// remote ones the way there besides.
func TestLatenciesKinds(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		n := c.nodes[0]
		for _, other := range c.nodes {
			other.store.fsync = 10 * time.Millisecond
		}
		n.links[1].delay, n.links[2].delay = 2*time.Millisecond, 2*time.Millisecond
		o := defaults(3)
		o.R, o.W = LevelAll, LevelAll
		for range manyRequests {
			if _, err := n.put("v", o); err != nil {
				t.Fatal(err)
			}
			if _, err := n.get(o); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		l := n.coordinator.Latencies()
		for _, k := range []struct {
			name string
			got  Sampled
			want time.Duration
			per  int // of one request
		}{
			{"local writes", l.LocalWrites, 10 * time.Millisecond, 1}, {"writes", l.Writes, 12 * time.Millisecond, 2},
			{"local reads", l.LocalReads, 1, 1}, {"reads", l.Reads, 2 * time.Millisecond, 2},
		} {
			if want := manyRequests * k.per; k.got.Taken != uint64(want) || len(k.got.Times) != want {
				t.Errorf("%s: %d of %d samples, want all %d", k.name, len(k.got.Times), k.got.Taken, want)
			}
			groups := map[uint32]int{}
			for _, of := range k.got.Of {
				groups[of]++
			}
			for of, n := range groups {
				if n != k.per {
					t.Errorf("%s: %d samples are of the operation %d, want %d", k.name, n, of, k.per)
				}
			}
			if slices.ContainsFunc(k.got.Times, func(d time.Duration) bool { return d != k.want }) {
				t.Errorf("%s: %v, all should be %v", k.name, k.got.Times, k.want)
			}
		}
		if !slices.Equal(slices.Sorted(slices.Values(l.LocalWrites.Of)), slices.Compact(slices.Sorted(slices.Values(l.Writes.Of)))) {
			t.Error("local and remote copies are not of the same writes")
		}
	})
}

// What failed and what a fallback keeps says nothing of how fast owners are.
func TestLatenciesOfSuccessOnly(t *testing.T) {
	var s samples
	p := newPeers()
	for i := range manyRequests {
		since := time.Duration(i)
		s.read(errors.New("cut"), false, since, since+1)
		s.read(errors.New("corrupt"), true, since, since+1)
		s.write(WriteReply{Err: errors.New("full")}, false, false, since, p)
		s.write(WriteReply{}, true, false, since, p)
		s.write(WriteReply{}, true, true, since, p)
	}
	if n := s.reads.next.Load() + s.writes.next.Load() + s.localReads.next.Load() + s.localWrites.next.Load(); n != 0 {
		t.Errorf("%d samples of failures and hints", n)
	}
}

// One of 2^shift is chosen, whatever the steps of the clock are.
func TestSampleShare(t *testing.T) {
	for shift := range uint32(7) {
		for _, step := range []time.Duration{1, 7, 16, 25, 100, 250, 1000, 4096, 999_983} {
			const of = 100_000
			var s sampleShare
			s.shift.Store(shift)
			s.begin.Store(1 << 60) // no lull
			n := 0
			for i := range time.Duration(of) {
				if s.has(i*step + 123_456_789) {
					n++
				}
			}
			if want := of >> shift; n < want*7/10 || n > want*13/10 {
				t.Errorf("steps of %v: %d of %d, want about %d", step, n, of, want)
			}
		}
	}
}

// At any rate there are some 1,000 samples per second, or all; also when the rate changes.
func TestSampleRate(t *testing.T) {
	var s sampleShare
	now := time.Hour
	for _, rate := range []int{100, 900, 5000, 300_000, 20_000, 100, 200_000, 10} {
		// A second to find the share, and one to count.
		counts := [2]int{}
		for i := range counts {
			n := max(rate, 20)
			for range n {
				if now += time.Second/time.Duration(rate) + 3; s.has(now) {
					counts[i]++
					s.took(now)
				}
			}
		}
		perSecond := counts[1] * rate / max(rate, 20)
		if want := min(rate, 4*samplesWanted); perSecond < want*4/10 || perSecond > want*21/10 {
			t.Errorf("%d operations per second: %d samples, want about %d; before %d", rate, perSecond, want, counts[0])
		}
	}
}

func TestFitted(t *testing.T) {
	for _, c := range []struct {
		shift uint32
		taken uint64
		want  uint32
	}{
		{0, 0, 0}, {0, 256, 0}, {0, 511, 0}, {0, 512, 1}, {3, 512, 4}, {0, 25_600, 6}, {5, 200, 5}, {5, 128, 5}, {5, 127, 4},
		{5, 1, 0}, {5, 0, 0}, {20, 0, 12}, {maxShift, 1 << 40, maxShift},
	} {
		if got := fitted(c.shift, c.taken); got != c.want {
			t.Errorf("after %d at %d: %d, want %d", c.taken, c.shift, got, c.want)
		}
	}
}

func TestSampleRing(t *testing.T) {
	var r sampleRing
	if s := r.sampled(); len(s.Times) != 0 || s.Taken != 0 {
		t.Errorf("new: %v", s)
	}
	for _, d := range []time.Duration{-1, 0, 5, time.Hour} {
		r.add(9, d)
	}
	if s := r.sampled(); !slices.Equal(s.Times, []time.Duration{1, 1, 5, 1<<32 - 1}) || !slices.Equal(s.Of, []uint32{9, 9, 9, 9}) || s.Taken != 4 {
		t.Errorf("bounds: %v", s)
	}
	for i := range time.Duration(3*keptSamples + 10) {
		r.add(1<<32+i, i+1)
	}
	s := r.sampled()
	if s.Taken != 3*keptSamples+14 || len(s.Times) != keptSamples || s.Times[0] != 2*keptSamples+11 || !slices.IsSorted(s.Times) {
		t.Errorf("full: %d taken, %d kept from %d on", s.Taken, len(s.Times), s.Times[0])
	}
	for i, d := range s.Times {
		if uint32(d) != s.Of[i]+1 {
			t.Fatalf("the time %d is of %d", d, s.Of[i])
		}
	}
}

// Under the race detector: writers and readers at once. Every sample read is one that was taken.
func TestSampleRingConcurrent(t *testing.T) {
	var r sampleRing
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for range 5000 {
				r.add(1, time.Duration(w+1))
			}
		})
	}
	for range 50 {
		if s := r.sampled(); slices.ContainsFunc(s.Times, func(d time.Duration) bool { return d < 1 || d > 4 }) {
			t.Error("a sample that nobody took")
		}
	}
	wg.Wait()
	if s := r.sampled(); s.Taken != 20000 || len(s.Times) != keptSamples {
		t.Errorf("%d taken, %d kept", s.Taken, len(s.Times))
	}
}

func BenchmarkSamples(b *testing.B) {
	p := newPeers()
	// The share of a busy node: 50,000 operations and more per second.
	b.Run("read", func(b *testing.B) {
		var s samples
		s.readShare.shift.Store(6)
		s.writeShare.shift.Store(6)
		s.readShare.begin.Store(1 << 60)
		s.writeShare.begin.Store(1 << 60)
		b.ReportAllocs()
		for i := time.Duration(0); b.Loop(); i += 1013 {
			s.read(nil, false, i, i+1)
		}
	})
	b.Run("write", func(b *testing.B) {
		var s samples
		s.readShare.shift.Store(6)
		s.writeShare.shift.Store(6)
		s.readShare.begin.Store(1 << 60)
		s.writeShare.begin.Store(1 << 60)
		b.ReportAllocs()
		for i := time.Duration(0); b.Loop(); i += 1013 {
			s.write(WriteReply{}, false, false, i, p)
		}
	})
	b.Run("write/parallel", func(b *testing.B) {
		var s samples
		s.readShare.shift.Store(6)
		s.writeShare.shift.Store(6)
		s.readShare.begin.Store(1 << 60)
		s.writeShare.begin.Store(1 << 60)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := time.Duration(0); pb.Next(); i += 1013 {
				s.write(WriteReply{}, false, false, i, p)
			}
		})
	})
}
