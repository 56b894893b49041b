package load

import (
	"context"
	"net/http"
	"time"

	"cartwheel/bench/workload"
)

// batchSize is how many records a client gathers before it hands them in.
const batchSize = 512

// loader is one client of a run. One goroutine uses it, except for cut.
type loader struct {
	run      *Run
	link     *link
	stream   *workload.Stream
	schedule schedule
	k        int64 // operations of the schedule that were begun, or are not to be
	batch    []record
	last     time.Duration // when the last operation ended
	// measuring says that the warm-up is over, in an open loop that has one.
	measuring bool
}

// work makes operations until the run ends.
func (c *loader) work(ctx context.Context) {
	for {
		begin, ok := c.next()
		if !ok {
			break
		}
		op := c.stream.Next()
		f := c.do(ctx, op)
		c.stream.Done(op)
		c.last = c.run.now()
		c.record(op.Kind, f, begin)
	}
	c.run.ledger.take(c.batch)
	c.run.ledger.leave(c.unsent(), c.link.redials, c.link.dialFail, c.last)
}

// next blocks until the client is to begin an operation and returns the moment that its latency
// counts from, or false at the end of the run.
func (c *loader) next() (time.Duration, bool) {
	r := c.run
	if !c.link.rest() {
		return 0, false
	}
	now := r.now()
	begin := now
	if r.config.Rate > 0 {
		c.dropBacklog(now)
		begin = c.schedule.due(c.k)
		if begin >= r.end {
			return 0, false
		}
		if begin > now {
			if !c.link.alarm.wait(begin - now) {
				return 0, false
			}
			now = begin
		}
	}
	if now >= r.end || r.ending.Load() {
		return 0, false
	}
	if begin >= r.config.WarmUp && r.config.Operations > 0 && r.claimed.Add(1) > r.config.Operations {
		return 0, false
	}
	c.k++
	if r.config.Rate > 0 {
		r.begun.Add(1)
	}
	return begin, true
}

// dropBacklog ends the backlog of the warm-up with the warm-up: worked off in the measured time, it
// would take the place of operations that count, and count for nothing itself.
func (c *loader) dropBacklog(now time.Duration) {
	warm := c.run.config.WarmUp
	if now < warm || warm == 0 || c.measuring {
		return
	}
	c.measuring = true
	if skip := c.schedule.before(warm) - c.k; skip > 0 {
		c.k += skip
		c.run.begun.Add(skip)
	}
}

// unsent counts the operations of an open loop that were due in the measured time and not begun.
func (c *loader) unsent() int64 {
	r := c.run
	if r.config.Rate <= 0 || r.config.Operations > 0 {
		return 0
	}
	from := max(c.k, c.schedule.before(r.config.WarmUp))
	return max(c.schedule.before(r.endedBy(c.last))-from, 0)
}

// do makes one operation.
func (c *loader) do(ctx context.Context, op workload.Op) fate {
	switch op.Kind {
	case workload.Get:
		return c.get(ctx, op.Key, 0)
	case workload.Update:
		read := c.get(ctx, op.Key, wantVclock)
		if !read.success() {
			return read
		}
		if written := c.put(ctx, op, c.link.in.vclock); !written.success() {
			return written
		}
		return read
	}
	return c.put(ctx, op, nil)
}

func (c *loader) get(ctx context.Context, key int64, w want) fate {
	l := c.link
	if l.ready(ctx) != nil {
		return disconnected
	}
	q := &l.places.requests[l.at]
	l.out = q.endGet(AppendKey(q.beginGet(l.out[:0]), key))
	status, err := l.roundTrip(w)
	if err != nil {
		return l.broken(err)
	}
	l.well()
	switch {
	case status == http.StatusNotFound:
		return notFound
	case status < 300 || status == http.StatusMultipleChoices:
		return fine
	}
	return fate(status)
}

func (c *loader) put(ctx context.Context, op workload.Op, vclock []byte) fate {
	l := c.link
	if l.ready(ctx) != nil {
		return disconnected
	}
	q := &l.places.requests[l.at]
	l.out = q.endPut(AppendKey(q.beginPut(l.out[:0]), op.Key), op.Value, vclock)
	status, err := l.roundTrip(0)
	if err != nil {
		return l.broken(err)
	}
	l.well()
	if status < 300 {
		return fine
	}
	return fate(status)
}

// record takes down an operation that began at begin and has just ended.
func (c *loader) record(kind workload.Kind, f fate, begin time.Duration) {
	r := c.run
	if r.ending.Load() && !f.success() {
		if r.interrupted.Load() {
			return // it was ended, and says nothing
		}
		f = unfinished
	}
	took := micros(c.last - begin)
	phase := r.phase(begin)
	if f.success() {
		r.succeeded[phase].Add(1)
	} else {
		r.failed[phase].Add(1)
	}
	if c.last <= r.end {
		s := r.timeline.at(c.last)
		if f.success() {
			s.success(took)
		} else {
			s.errors.Add(1)
		}
	}
	if phase == warm {
		return
	}
	c.batch = append(c.batch, record{uint32(took), f, kind, c.last > r.end})
	if len(c.batch) == cap(c.batch) {
		r.ledger.take(c.batch)
		c.batch = c.batch[:0]
	}
}
