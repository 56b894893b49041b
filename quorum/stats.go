package quorum

import "sync/atomic"

// Stats counts what a Coordinator did since New.
type Stats struct {
	Gets, Puts, Deletes uint64 // requests taken up, those within a delete not counted again
	Coordinated         uint64 // puts taken up for another node
	Forwarded           uint64 // puts sent to an owner to coordinate
	Reforwarded         uint64 // of them sent to a further owner, with the same request id

	Unsatisfied uint64 // requests that missed a level
	Timeouts    uint64 // requests that ran out of time
	Overloaded  uint64 // requests refused for MaxInFlight

	Hedges      uint64 // further owners asked because an asked one was slow
	Mismatches  uint64 // reads whose replicas differed
	ReadRepairs uint64 // merged objects sent to stale replicas
	// RepairsFailed of ReadRepairs were not acknowledged; RepairsDropped were not sent, for
	// MaxFollowUps or since the coordinator was closed.
	RepairsFailed, RepairsDropped uint64

	HintsSent     uint64 // objects sent to fallbacks, for owners that failed or are away
	HintsRefused  uint64 // of them not acknowledged
	Missed        uint64 // owners that lack a write, and no fallback took a hint of it
	FallbackReads uint64 // reads sent to fallbacks
	FallbackMints uint64 // puts minted here in place of an owner

	LateVotes    uint64 // replica answers after their request's own, failures not counted
	LateFailures uint64 // failures after the request's answer

	InFlight  int // requests without an answer now
	FollowUps int // repairs after the answer under way now
	Open      int // requests without an answer or with replica calls under way now
}

type counters struct {
	gets, puts, deletes, coordinated, forwarded, reforwarded atomic.Uint64
	unsatisfied, timeouts, overloaded                        atomic.Uint64
	hedges, mismatches                                       atomic.Uint64
	readRepairs, repairsFailed, repairsDropped               atomic.Uint64
	hintsSent, hintsRefused, missed                          atomic.Uint64
	fallbackReads, fallbackMints                             atomic.Uint64
	lateVotes, lateFailures                                  atomic.Uint64
}

// Stats returns the counters. They are read one by one: sums may be off by requests under
// way.
func (c *Coordinator) Stats() Stats {
	s := &c.stats
	return Stats{
		Gets: s.gets.Load(), Puts: s.puts.Load(), Deletes: s.deletes.Load(),
		Coordinated: s.coordinated.Load(), Forwarded: s.forwarded.Load(), Reforwarded: s.reforwarded.Load(),
		Unsatisfied: s.unsatisfied.Load(), Timeouts: s.timeouts.Load(), Overloaded: s.overloaded.Load(),
		Hedges: s.hedges.Load(), Mismatches: s.mismatches.Load(),
		ReadRepairs: s.readRepairs.Load(), RepairsFailed: s.repairsFailed.Load(), RepairsDropped: s.repairsDropped.Load(),
		HintsSent: s.hintsSent.Load(), HintsRefused: s.hintsRefused.Load(), Missed: s.missed.Load(),
		FallbackReads: s.fallbackReads.Load(), FallbackMints: s.fallbackMints.Load(),
		LateVotes: s.lateVotes.Load(), LateFailures: s.lateFailures.Load(),
		InFlight: int(c.waiting.Load()), FollowUps: int(c.followUps.Load()), Open: int(c.open.Load()),
	}
}

// late counts an answer that came after its request's.
func (c *counters) late(err error) {
	if err != nil {
		c.lateFailures.Add(1)
	} else {
		c.lateVotes.Add(1)
	}
}

// count counts how a request ended.
func (c *counters) count(err error) {
	switch err.(type) {
	case nil:
	case *UnsatisfiedError:
		c.unsatisfied.Add(1)
	default:
		if err == ErrTimeout {
			c.timeouts.Add(1)
		}
	}
}
