package listing

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"cartwheel/ring"
)

// View is the cluster as listings see it: an immutable snapshot.
type View struct {
	Ring *ring.Ring
	Self int // this node's index among the members, -1 if it is none
	// Usable says whether a member, by index, can be asked now; this node can.
	Usable func(member int) bool
}

// Store is this node's records.
type Store interface {
	// Names calls read with a walker at a snapshot, on the caller's goroutine, and returns its error.
	// With settled the snapshot has all writes that were given to the store before the call.
	Names(settled bool, read func(Walker) error) error
}

// ServerConfig is what a Server needs. A zero field means its default.
type ServerConfig struct {
	View   func() *View      // nil before the ring is known
	Unsure func(uint16) bool // this node may lack acknowledged objects of the partition
	Store  Store

	// Pages is how many pages are made at once: half of the processors, at least 1. Clients'
	// requests have the rest.
	Pages int
	// Waiting is how many may wait for that: 64. Others are answered busy, and come again.
	Waiting int

	PageTime    time.Duration // bounds the making of a page: 50 ms; merged partitions look at one record each even so
	PageRecords int           // records looked at for a page: 50,000
	PageRead    int64         // bytes read for a page: 32 MiB
}

// WithDefaults returns c with the defaults in place of zero fields.
func (c ServerConfig) WithDefaults() ServerConfig {
	if c.Pages == 0 {
		c.Pages = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if c.Waiting == 0 {
		c.Waiting = 64
	}
	if c.PageTime == 0 {
		c.PageTime = 50 * time.Millisecond
	}
	if c.PageRecords == 0 {
		c.PageRecords = 50_000
	}
	if c.PageRead == 0 {
		c.PageRead = 32 << 20
	}
	return c
}

// Server answers other nodes', and this node's own, requests for pages. It is safe for concurrent
// use and has no goroutine.
type Server struct {
	cfg     ServerConfig
	making  chan struct{} // a slot per page that is being made
	waiting atomic.Int64
	scratch sync.Pool // of *scratch

	pages, busy atomic.Uint64
}

// ServerStats counts what a Server has answered since it was made.
type ServerStats struct {
	Pages uint64 // made, refusals included
	Busy  uint64 // turned away, as too many were being made
}

// Stats returns the counts as they are now. It does not block.
func (s *Server) Stats() ServerStats { return ServerStats{s.pages.Load(), s.busy.Load()} }

// NewServer returns a server of the records of this node.
func NewServer(cfg ServerConfig) *Server {
	cfg = cfg.WithDefaults()
	s := &Server{cfg: cfg, making: make(chan struct{}, cfg.Pages)}
	s.scratch.New = func() any { return new(scratch) }
	return s
}

// Serve answers one request. It blocks: until ctx ends for its turn, then for PageTime and what one
// record takes. An error means that the request was malformed, ctx ended, or the store is closed;
// everything else that cannot be is part of the answer.
func (s *Server) Serve(ctx context.Context, payload []byte) ([]byte, error) {
	q, err := decodeRequest(payload)
	if err != nil {
		return nil, err
	}
	if s.waiting.Add(1) > int64(s.cfg.Waiting) {
		s.waiting.Add(-1)
		s.busy.Add(1)
		return (&answer{verdict: busy}).encode(), nil
	}
	select {
	case s.making <- struct{}{}:
		s.waiting.Add(-1)
	case <-ctx.Done():
		s.waiting.Add(-1)
		return nil, ctx.Err()
	}
	defer func() { <-s.making }()
	s.pages.Add(1)
	mem := s.scratch.Get().(*scratch)
	defer s.scratch.Put(mem)
	a, err := s.answer(&q, mem)
	if err != nil {
		return nil, err
	}
	return a.encode(), nil // copies the names out of mem
}

func (s *Server) answer(q *request, mem *scratch) (a answer, err error) {
	v := s.cfg.View()
	if v == nil {
		return answer{verdict: refused, text: "it has no ring yet"}, nil
	}
	if v.Ring.Version() != q.version {
		return answer{verdict: refused, text: "it has another version of the ring"}, nil
	}
	if a.refused = s.unfit(v, q); len(a.refused) > 0 {
		return a, nil
	}
	cost := budget{time: s.cfg.PageTime, records: s.cfg.PageRecords, read: s.cfg.PageRead}
	// A write acknowledged by other replicas may still wait to be committed here: who writes and then
	// lists would miss it. Once a listing has had a page from here, that is over.
	err = s.cfg.Store.Names(q.fresh, func(w Walker) error {
		a, err = makePage(q, w, cost, mem)
		return err
	})
	if err != nil {
		return answer{}, err
	}
	// What was in doubt by the end of the walk may have been so during it.
	if unfit := s.unfit(v, q); len(unfit) > 0 {
		return answer{refused: unfit}, nil
	}
	return a, nil
}

// unfit returns the partitions of a request that this node must not answer for.
func (s *Server) unfit(v *View, q *request) (list []refusal) {
	for i, p := range q.partitions {
		switch {
		case v.Self < 0 || !v.Ring.Owns(v.Self, p, q.n):
			list = append(list, refusal{i, "it does not own the partition"})
		case s.cfg.Unsure(p):
			list = append(list, refusal{i, "it may lack acknowledged objects, until it has compared itself with the other owners"})
		}
	}
	return list
}
