package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"cartwheel/bench/workload"
)

// drainTime is how long requests that are under way at the end may take.
const drainTime = time.Second

// The parts of a run that are counted apart.
const (
	warm = iota
	measured
	phases
)

// Run is one load. [New] makes one; it is used once.
type Run struct {
	config   Config
	places   *places
	newAlarm func() alarm
	used     atomic.Bool

	end      time.Duration // of the measured part, from the start; far away if operations end it
	timeline *timeline
	ledger   ledger

	start       atomic.Pointer[time.Time] // when all clients were connected; nil before
	ended       atomic.Int64              // when the measured part ended, from the start; 0 before
	ending      atomic.Bool               // what is under way is broken off
	interrupted atomic.Bool               // by the context
	claimed     atomic.Int64              // operations begun in the measured part, if these are limited
	begun       atomic.Int64              // operations begun, in an open loop

	succeeded, failed [phases]atomic.Int64
}

// New returns a run that has not begun. It opens nothing.
func New(config Config) (*Run, error) {
	config = config.WithDefaults()
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("check the load: %w", err)
	}
	r := &Run{
		config:   config,
		places:   newPlaces(config.Targets, config.Type, config.Bucket, config.GetQuery, config.PutQuery, config.Timeout),
		newAlarm: newAlarm,
		end:      math.MaxInt64,
	}
	length := config.For
	if length > 0 {
		r.end = config.WarmUp + length
	} else {
		length = maxPoints * config.Interval
	}
	r.timeline = newTimeline(config.WarmUp, length, config.Interval)
	return r, nil
}

// Do makes the run and blocks until it has ended. If ctx ends, the run ends at once, and Do
// returns the outcome so far, without an error. The error says why the load could not begin: no
// target answered, or the run was used before.
func (r *Run) Do(ctx context.Context) (*Outcome, error) {
	if r.used.Swap(true) {
		return nil, errors.New("do: the run was used before; make a new one")
	}
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	clients := r.clients()
	defer func() {
		for _, c := range clients {
			c.link.close()
		}
	}()
	if err := connectAll(own, clients); err != nil {
		if ctx.Err() == nil {
			return nil, err
		}
		r.interrupted.Store(true) // an outcome of nothing
		return r.outcome(0), nil
	}
	start := time.Now()
	r.start.Store(&start)
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() { c.work(own) })
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	r.watch(ctx, done)
	// From here on nobody begins anything. Whoever still waits is woken, and ends.
	cancel()
	for _, c := range clients {
		c.link.cut()
	}
	<-done
	end := r.endedBy(r.ledger.last)
	r.ended.Store(int64(end))
	return r.outcome(end), nil
}

// watch blocks until all clients are done, or have to be.
func (r *Run) watch(ctx context.Context, done <-chan struct{}) {
	var over <-chan time.Time
	if r.config.For > 0 {
		timer := time.NewTimer(r.end - r.now() + min(drainTime, r.config.Timeout))
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-done:
	case <-over:
		r.ending.Store(true)
	case <-ctx.Done():
		r.ended.Store(int64(max(r.now(), 1)))
		r.interrupted.Store(true)
		r.ending.Store(true)
	}
}

// clients makes the clients, not connected.
func (r *Run) clients() []*loader {
	c := r.config
	space, values := c.Keys.Open(), c.Sizes.Values(c.Seed)
	clients := make([]*loader, c.Clients)
	for i := range clients {
		clients[i] = &loader{
			run:      r,
			link:     newLink(r.places, i, r.newAlarm()),
			stream:   workload.NewStream(c.Workload, space, values, c.Seed, i),
			schedule: schedule{i, c.Clients, c.Rate},
			batch:    make([]record, 0, batchSize),
		}
	}
	return clients
}

// connectAll connects every client, each to its own target or the next that answers.
func connectAll(ctx context.Context, clients []*loader) error {
	errs := make([]error, len(clients))
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for range c.link.targets {
				if errs[i] = c.link.ready(ctx); errs[i] == nil || ctx.Err() != nil {
					break
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("connect to a node: %w", err)
		}
	}
	return nil
}

// now returns the time since the start.
func (r *Run) now() time.Duration { return time.Since(*r.start.Load()) }

// phase returns the part of the run that a moment is in.
func (r *Run) phase(at time.Duration) int {
	if at < r.config.WarmUp {
		return warm
	}
	return measured
}

// endedBy returns when the measured part ended, from the start, given when the last operation did.
func (r *Run) endedBy(last time.Duration) time.Duration {
	switch {
	case r.interrupted.Load():
		return min(time.Duration(r.ended.Load()), r.end)
	case r.config.Operations > 0:
		return min(last, r.end)
	}
	return r.end
}
