package quorum

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// keptSamples of each kind are remembered; later ones take the place of the oldest. It
	// is enough for a 99th percentile, and 8 KiB.
	keptSamples = 1024
	// sampleWindow is how often the share of answers to be sampled is fitted, so that there are
	// about samplesWanted in it: every one at a low rate, where the look at the clock costs
	// nothing that counts, and a bounded cost at a high one.
	sampleWindow  = 250 * time.Millisecond
	samplesWanted = 256
	maxShift      = 20 // one of a million
)

// Latencies are answer times of replicas as their coordinator saw them lately: a sample of
// at most 1024 of each kind, taken from all answers at a low rate and from some 1,000 reads
// and 1,000 writes per second at a high one. A read's is from asking until the copy or digest was here, a
// write's from sending, which is also when the local store began its commit, until the
// acknowledgement. Failures, hints and repairs are not among them. The local ones are those
// of this node's own replica.
type Latencies struct {
	Reads, Writes, LocalReads, LocalWrites Sampled
}

// Sampled are the samples of one kind.
type Sampled struct {
	Times []time.Duration // oldest first; the caller's; 4.29 s stand for anything longer
	// Of says, for each of Times, which operation it belongs to: those with the same number,
	// local or not, are of copies of one write, or of one read. The number means nothing
	// else. It may come again after 4.29 s, by chance.
	Of    []uint32
	Taken uint64 // since the node's start, those no longer in Times included
}

// Latencies returns the present samples. It takes microseconds and holds up no request. Of
// answers that come in just then some may be missing.
func (c *Coordinator) Latencies() Latencies {
	s := &c.samples
	return Latencies{
		Reads: s.reads.sampled(), Writes: s.writes.sampled(),
		LocalReads: s.localReads.sampled(), LocalWrites: s.localWrites.sampled(),
	}
}

// samples remembers answer times. Its zero value is ready for use. It is safe for concurrent
// use, without a lock: it stands in the way of every replica call.
type samples struct {
	readShare, writeShare                  sampleShare
	reads, writes, localReads, localWrites sampleRing
}

// read takes the answer to a read that was asked at since.
func (s *samples) read(err error, local bool, since, now time.Duration) {
	switch {
	case err != nil || !s.readShare.has(since):
		return
	case local:
		s.localReads.add(since, now-since)
	default:
		s.reads.add(since, now-since)
	}
	s.readShare.took(now)
}

// write takes the answer to a write that was sent at since. It looks at the clock only for
// those that are sampled.
func (s *samples) write(w WriteReply, hint, local bool, since time.Duration, p *peers) {
	if w.Err != nil || hint || !s.writeShare.has(since) {
		return
	}
	now := p.now()
	if local {
		s.localWrites.add(since, now-since)
	} else {
		s.writes.add(since, now-since)
	}
	s.writeShare.took(now)
}

// sampleShare is which share of the operations is sampled: one of 2^shift.
type sampleShare struct {
	shift atomic.Uint32
	taken atomic.Uint32 // samples of the window
	begin atomic.Int64  // of the window
}

// has reports whether an operation is in the share: by the digits of the moment at which it
// began, which are as good as random and, unlike a counter, written by nobody. So, except
// while the share changes, either all copies of a write are sampled or none. After a lull the
// first one is in it: a share found at a high rate would take long to be found too low.
func (s *sampleShare) has(since time.Duration) bool {
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio: spreads any low digits over the high ones
	return uint64(since)*golden>>(64-s.shift.Load()) == 0 || since-time.Duration(s.begin.Load()) > 2*sampleWindow
}

// took counts a sample and, at the end of a window, fits the share.
func (s *sampleShare) took(now time.Duration) {
	taken := s.taken.Add(1)
	begin := s.begin.Load()
	if now-time.Duration(begin) < sampleWindow || !s.begin.CompareAndSwap(begin, int64(now)) {
		return
	}
	s.taken.Store(0)
	// The window may have been longer than it should: what counts is the rate.
	perWindow := uint64(taken) * uint64(sampleWindow) / uint64(now-time.Duration(begin))
	s.shift.Store(fitted(s.shift.Load(), perWindow))
}

// fitted returns the shift for the next window after one with so many samples. Within twice
// and half of what is wanted it stays.
func fitted(shift uint32, taken uint64) uint32 {
	if taken >= 2*samplesWanted {
		return min(shift+uint32(bits.Len64(taken/samplesWanted))-1, maxShift)
	}
	for ; shift > 0 && taken < samplesWanted/2; shift-- {
		taken = max(2*taken, 1)
	}
	return shift
}

// sampleRing holds the last keptSamples times: nanoseconds, and above them the low half of the
// moment at which the operation began.
type sampleRing struct {
	next  atomic.Uint64
	times [keptSamples]atomic.Uint64
}

func (r *sampleRing) add(since, took time.Duration) {
	const longest = 1<<32 - 1
	r.times[(r.next.Add(1)-1)%keptSamples].Store(uint64(since)<<32 | uint64(min(max(took, 1), longest)))
}

func (r *sampleRing) sampled() Sampled {
	taken := r.next.Load()
	kept := min(taken, keptSamples)
	s := Sampled{Taken: taken, Times: make([]time.Duration, 0, kept), Of: make([]uint32, 0, kept)}
	for i := taken - kept; i < taken; i++ {
		// A place that was counted but not filled yet is 0, or still holds its previous
		// sample, which is one as well.
		if v := r.times[i%keptSamples].Load(); v != 0 {
			s.Times = append(s.Times, time.Duration(uint32(v)))
			s.Of = append(s.Of, uint32(v>>32))
		}
	}
	return s
}
