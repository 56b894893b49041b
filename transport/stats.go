package transport

import (
	"errors"
	"sync/atomic"
)

// Stats counts what a [Transport] has done since it was made, save the fields
// that say "now".
type Stats struct {
	Calls       uint64 // calls made
	Answered    uint64 // calls that got an answer, whatever its status
	Timeouts    uint64 // calls that got ErrTimeout
	Unreachable uint64 // calls that got ErrUnreachable
	Busy        uint64 // calls that got ErrBusy
	Failed      uint64 // calls that got any other error
	InFlight    int    // calls without an outcome, now

	Requests     uint64 // requests received whole, however answered
	BusyAnswers  uint64 // requests answered StatusBusy by the transport
	Refusals     uint64 // requests answered StatusRefused by the transport
	LargeAnswers uint64 // answers that were over the message limit
	InboundNow   int    // requests with the handler, now

	Dials         uint64 // attempts to connect
	DialFailures  uint64 // of these, without a finished handshake
	Accepted      uint64 // TCP connections accepted, of any sort
	Rejected      uint64 // of these, turned away: too many, no handshake, foreign bytes, no common version
	Malformed     uint64 // connections closed for a frame that breaks the rules or fails its checksum
	Silent        uint64 // connections closed because the peer sent nothing for four heartbeats
	Duplicates    uint64 // handshakes with another process that has this node's uuid
	GossipStreams uint64 // gossip streams handed over
	GossipDropped uint64 // gossip streams closed because nobody took them
	Outgoing      int    // connections that carry this node's calls, now
	Incoming      int    // connections that carry other nodes' calls, now

	FramesOut, BytesOut, Writes uint64 // on call connections; FramesOut / Writes tells how well frames coalesce
	FramesIn, BytesIn           uint64
}

// counters is the live form of Stats.
type counters struct {
	calls, answered, timeouts, unreachable, busy, failed       atomic.Uint64
	requests, busyAnswers, refusals, largeAnswers              atomic.Uint64
	dials, dialFailures, accepted, rejected, malformed, silent atomic.Uint64
	duplicates, gossipStreams, gossipDropped                   atomic.Uint64
	framesOut, bytesOut, writes, framesIn, bytesIn             atomic.Uint64
	inbound, outgoing, incoming                                atomic.Int64
}

// outcome counts how a call ended.
func (c *counters) outcome(err error) {
	switch {
	case err == nil:
		c.answered.Add(1)
	case errors.Is(err, ErrTimeout):
		c.timeouts.Add(1)
	case errors.Is(err, ErrUnreachable):
		c.unreachable.Add(1)
	case errors.Is(err, ErrBusy):
		c.busy.Add(1)
	default:
		c.failed.Add(1)
	}
}

// Stats returns the counters. They are read one by one, not as a snapshot.
func (t *Transport) Stats() Stats {
	c := &t.count
	s := Stats{
		Answered:      c.answered.Load(),
		Timeouts:      c.timeouts.Load(),
		Unreachable:   c.unreachable.Load(),
		Busy:          c.busy.Load(),
		Failed:        c.failed.Load(),
		Requests:      c.requests.Load(),
		BusyAnswers:   c.busyAnswers.Load(),
		Refusals:      c.refusals.Load(),
		LargeAnswers:  c.largeAnswers.Load(),
		InboundNow:    int(c.inbound.Load()),
		Dials:         c.dials.Load(),
		DialFailures:  c.dialFailures.Load(),
		Accepted:      c.accepted.Load(),
		Rejected:      c.rejected.Load(),
		Malformed:     c.malformed.Load(),
		Silent:        c.silent.Load(),
		Duplicates:    c.duplicates.Load(),
		GossipStreams: c.gossipStreams.Load(),
		GossipDropped: c.gossipDropped.Load(),
		Outgoing:      int(c.outgoing.Load()),
		Incoming:      int(c.incoming.Load()),
		FramesOut:     c.framesOut.Load(),
		BytesOut:      c.bytesOut.Load(),
		Writes:        c.writes.Load(),
		FramesIn:      c.framesIn.Load(),
		BytesIn:       c.bytesIn.Load(),
	}
	// Last, so that no outcome is counted whose call is not.
	s.Calls = c.calls.Load()
	s.InFlight = int(s.Calls - s.Answered - s.Timeouts - s.Unreachable - s.Busy - s.Failed)
	return s
}
