package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"cartwheel/bench/load"
	"cartwheel/bench/result"
)

// unsent are operations that were due in an open loop and never sent; they are not in Count.
const unsent = "unsent"

// causes lists errors by kind, the most frequent first.
func causes(errs map[string]int64) string {
	kinds := slices.SortedFunc(maps.Keys(errs), func(a, b string) int {
		if errs[a] != errs[b] {
			return int(max(-1, min(1, errs[b]-errs[a])))
		}
		return strings.Compare(a, b)
	})
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%d x %s", errs[kind], kind)
	}
	return strings.Join(kinds, ", ")
}

// interval returns that of the time line: a round one that gives up to 60 points.
func interval(length time.Duration) time.Duration {
	const points = 60
	for _, d := range []time.Duration{
		100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute,
	} {
		if length <= points*d {
			return d
		}
	}
	return 30 * time.Minute
}

// cell measures one cell.
func (r *Run) cell(ctx context.Context, bucket string, members int, levels result.Levels) (result.Cell, error) {
	cell := result.Cell{Name: Name(levels), Levels: levels}
	get, put := Queries(levels)
	l, err := load.New(load.Config{
		Targets: r.plan.addresses, Bucket: bucket, GetQuery: get, PutQuery: put,
		Workload: r.plan.workload, Keys: r.plan.keys, Sizes: r.plan.sizes,
		Clients: r.cfg.Clients, Rate: r.cfg.Rate, WarmUp: r.cfg.WarmUp, For: r.cfg.For, Timeout: r.cfg.Timeout,
		Interval: interval(r.cfg.For), Seed: r.cfg.Seed,
	})
	if err != nil {
		return cell, err
	}
	r.set(func() { r.load = l })
	out, err := r.apply(ctx, l, &cell)
	r.set(func() { r.load = nil })
	if err != nil {
		return cell, err
	}
	cell.Seconds, cell.Ops, cell.Timeline = out.Seconds, out.Ops, out.Timeline
	if r.faults != nil {
		r.awaitCalm(ctx)
	}
	if r.cfg.Staleness {
		r.phase("staleness")
		if cell.Staleness, err = r.staleness(ctx, bucket, get, put, levels, members); err != nil {
			return cell, err
		}
	}
	return cell, ctx.Err()
}

// apply carries out the load, with its faults, and reads what it uses.
func (r *Run) apply(ctx context.Context, l *load.Run, cell *result.Cell) (*load.Outcome, error) {
	aside, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var before reading
	wg.Go(func() {
		if reach(aside, 0, l.Elapsed) {
			before = r.meter.read(aside)
		}
	})
	loadCtx, stop := context.WithCancel(ctx)
	defer stop()
	var faultErr error
	if r.faults != nil {
		wg.Go(func() {
			show := func(words string) { r.set(func() { r.now.Fault = words }) }
			cell.Events, faultErr = r.faults.drive(aside, r.cfg.For, l.Elapsed, show)
			if faultErr != nil {
				stop() // a measurement without its faults would say less than it seems to
			}
		})
	}
	out, err := l.Do(loadCtx)
	after := r.meter.read(ctx)
	if err != nil || out.Interrupted {
		cancel()
	}
	wg.Wait() // a node that is being started may take longer than the load
	if faultErr != nil {
		return nil, faultErr // before ctx's own: what could not be undone must be said
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	if before.nodes == nil { // the measured part was over before it was seen to begin
		before = reading{nodes: make([]map[string]float64, len(after.nodes)), own: after.own}
	}
	cell.Nodes, cell.Generator = r.meter.between(before, after)
	return out, nil
}

// calmWithin bounds the wait for the nodes after faults.
const calmWithin = time.Minute

// awaitCalm waits until every node serves, sees all members alive and keeps no hints for others, or
// a minute is over: the next measurement would pay for what is left to do.
func (r *Run) awaitCalm(ctx context.Context) {
	r.set(func() { r.now.Phase = "waiting until the faults are made good" })
	ctx, cancel := context.WithTimeout(ctx, calmWithin)
	defer cancel()
	for _, n := range r.meter.nodes {
		for {
			if v, err := ask(ctx, n.URL); err == nil && v.calm() {
				break
			}
			if sleep(ctx, preparePause) != nil {
				return
			}
		}
	}
}

// calm reports whether a node has nothing left to do for others.
func (v *view) calm() bool {
	for _, m := range v.Members {
		if !m.Alive {
			return false
		}
	}
	return v.Ready && v.Repair.HintsPending == 0
}
