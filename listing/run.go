package listing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// run is one listing under way, or one pass of it. Its goroutines, one per stream, end before it
// does; everything else belongs to the caller's goroutine.
type run struct {
	c       *Coordinator
	ctx     context.Context
	q       Query
	mode    mode
	space   space
	version uint64 // of the ring
	of      int    // partitions of the ring

	behind  func(member int, partition uint16) bool
	tried   map[uint16][]int // owners that could not answer for a partition
	why     []string
	streams sync.WaitGroup
	shared  chan event // of streams in turn
}

// A stream is the pages of some partitions from one member.
type stream struct {
	r          *run
	member     int
	uuid, name string
	partitions []uint16
	from       string
	asked      bool // it has answered about a page
	pageBytes  int  // of the next page
	limit      int  // of pages
	out        chan event
}

// An event is a page, or partitions that the member cannot answer for, from a bound on: in turn, of
// the first of them. The last event of a stream has neither.
type event struct {
	page  *answer
	left  []uint16
	from  string
	owner int
	why   string
}

// run plans a listing and lets follow see it through.
func (c *Coordinator) run(ctx context.Context, q Query, m mode, follow func(*run) error) error {
	v := c.cfg.View()
	if v == nil {
		return ErrNoRing
	}
	if err := ended(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &run{
		c: c, ctx: ctx, q: q, mode: m, version: v.Ring.Version(), of: v.Ring.Partitions(),
		behind: c.cfg.Behind(ctx, v), space: newSpace(m, q.Type, q.Bucket, q.Prefix, q.Start), tried: make(map[uint16][]int), shared: make(chan event),
	}
	defer r.streams.Wait()
	defer cancel()
	return follow(r)
}

// all returns all partitions.
func (r *run) all() []uint16 {
	list := make([]uint16, r.of)
	for p := range list {
		list[p] = uint16(p)
	}
	return list
}

// assign returns streams for partitions, all from the same bound on, that are not started yet.
func (r *run) assign(partitions []uint16, from string) ([]*stream, error) {
	v := r.c.cfg.View()
	if v == nil || v.Ring.Version() != r.version {
		return nil, newIncomplete(partitions, r.of, []string{"the ring has changed meanwhile"})
	}
	groups, missing := plan(v, r.behind, r.q.N, partitions, r.tried)
	if len(missing) > 0 {
		return nil, newIncomplete(missing, r.of, append(left(v, r.behind, r.q.N, missing), r.why...))
	}
	var list []*stream
	for _, g := range groups {
		m := v.Ring.Members()[g.member]
		for rest := g.partitions; len(rest) > 0; {
			n := len(rest)
			if !r.mode.inTurn() {
				n = min(n, maxPagePartitions)
			}
			list = append(list, &stream{r: r, member: g.member, uuid: m.UUID, name: m.Name, partitions: rest[:n:n], from: from})
			rest = rest[n:]
		}
	}
	return list, nil
}

// start lets streams fetch pages, each one ahead of what was taken from out.
func (r *run) start(list []*stream, under int, out func() chan event) {
	for _, s := range list {
		s.limit = min(r.c.cfg.PageBytes, max(minPageBytes, r.c.cfg.BufferBytes/(2*under)))
		s.pageBytes = min(firstPageBytes, s.limit) // so that the first names come soon
		s.out = out()
		r.streams.Go(s.fetch)
	}
}

// firstPageBytes is the size of a stream's first page; the next ones are four times as large each,
// up to the limit.
const firstPageBytes = 16 << 10

// inTurn gives each page to take, in any order, as often as partitions have to be asked for elsewhere.
func (r *run) inTurn(take func(*answer) error) error {
	list, err := r.assign(r.all(), "")
	if err != nil {
		return err
	}
	out := func() chan event { return r.shared }
	r.start(list, len(list), out)
	for open := len(list); open > 0; {
		var e event
		select {
		case e = <-r.shared:
		case <-r.ctx.Done():
			return ended(r.ctx)
		}
		switch {
		case e.page != nil:
			if err := take(e.page); err != nil {
				return err
			}
		case e.left != nil:
			// The first of them may be half done, the others are not begun.
			r.failed(e)
			more, err := r.assign(e.left[:1], e.from)
			if err == nil && len(e.left) > 1 {
				var others []*stream
				others, err = r.assign(e.left[1:], "")
				more = append(more, others...)
			}
			if err != nil {
				return err
			}
			open += len(more)
			r.start(more, open, out)
		default:
			open--
		}
	}
	return nil
}

// failed notes that an owner could not answer for partitions.
func (r *run) failed(e event) {
	for _, p := range e.left {
		r.tried[p] = append(r.tried[p], e.owner)
	}
	if len(r.why) < 4*maxWhy {
		r.why = append(r.why, e.why)
	}
}

// fetch sends the stream's pages, and at last an empty event. It ends early with the run.
func (s *stream) fetch() {
	for len(s.partitions) > 0 {
		asked := s.partitions[:min(len(s.partitions), maxPagePartitions)]
		a, err := s.page(asked)
		switch {
		case s.r.ctx.Err() != nil:
			return
		case err != nil:
			if s.send(event{left: s.partitions, from: s.from, owner: s.member, why: fmt.Sprintf("member %s: %v", s.name, err)}) {
				s.send(event{})
			}
			return
		case len(a.refused) > 0:
			if !s.giveUp(a.refused) {
				return
			}
			continue
		}
		s.asked, s.from = true, a.from
		if s.partitions = s.partitions[a.finished:]; len(s.partitions) == 0 {
			s.partitions = nil
		}
		s.pageBytes = min(4*s.pageBytes, s.limit)
		if a.count > 0 && !s.send(event{page: &a}) {
			return
		}
	}
	s.send(event{})
}

// giveUp leaves refused partitions to others. In turn, only the first one has a bound.
func (s *stream) giveUp(list []refusal) bool {
	left := make([]uint16, 0, len(list))
	kept := make([]uint16, 0, len(s.partitions))
	next := 0
	for i, p := range s.partitions {
		if next < len(list) && list[next].at == i {
			left = append(left, p)
			next++
		} else {
			kept = append(kept, p)
		}
	}
	from := s.from
	if s.r.mode.inTurn() {
		if list[0].at == 0 {
			s.from = ""
		} else {
			from = ""
		}
	}
	s.partitions = kept
	why := fmt.Sprintf("member %s: %s", s.name, list[0].text)
	return s.send(event{left: left, from: from, owner: s.member, why: why})
}

func (s *stream) send(e event) bool {
	select {
	case s.out <- e:
		return true
	case <-s.r.ctx.Done():
		return false
	}
}

// page asks for the next page until the member is not busy any more.
func (s *stream) page(partitions []uint16) (a answer, err error) {
	r := s.r
	q := request{
		mode: r.mode, fresh: !s.asked, version: r.version, n: r.q.N, typ: r.q.Type, bucket: r.q.Bucket, prefix: r.q.Prefix, start: r.q.Start,
		from: s.from, pageBytes: s.pageBytes, names: r.q.Limit, partitions: partitions,
	}
	payload := q.encode()
	pause := 10 * time.Millisecond
	for until := time.Now().Add(r.c.cfg.BusyFor); ; pause = min(2*pause, time.Second) {
		a, err = s.ask(payload, &q)
		if err != nil || a.verdict == answered {
			return a, err
		}
		if a.verdict == refused {
			return a, errors.New(a.text)
		}
		if time.Now().After(until) {
			return a, errors.New("it makes too many pages of lists at once")
		}
		if err := wait(r.ctx, pause); err != nil {
			return a, err
		}
	}
}

func (s *stream) ask(payload []byte, q *request) (answer, error) {
	ctx, cancel := context.WithTimeout(s.r.ctx, s.r.c.cfg.PageTimeout)
	defer cancel()
	b, err := s.r.c.cfg.Ask(ctx, s.uuid, payload)
	switch {
	case ctx.Err() != nil && s.r.ctx.Err() == nil:
		return answer{}, fmt.Errorf("no answer within %v", s.r.c.cfg.PageTimeout)
	case err != nil:
		return answer{}, err
	}
	return decodeAnswer(b, q)
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
