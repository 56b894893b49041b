// Package drive puts the same load on any store: so many clients, each with one
// request outstanding, on keys drawn uniformly, for a time after a warm-up.
//
// Model: a [Client] is one client's way to the store and makes one request at a
// time. A closed loop sends the next request when the last one was answered: it
// finds the highest rate. An open loop sends at the moments of a constant rate,
// and counts latency from the moment at which the schedule wanted the request
// sent, so a store that stalls cannot hide the requests that waited meanwhile. Timers
// may fire up to a millisecond late; that counts as latency, for all stores alike.
//
// Promises: a request counts in the interval in which it ended (closed loop) or
// was meant to begin (open loop), in that one alone. Meters are read at the two ends
// of the measured interval, so what they count belongs to the requests that count.
//
// Bounds: one goroutine, one histogram of about 200 KiB per client. An open loop that falls
// behind queues nothing in memory: the schedule is a counter. What it still owes a grace
// period after the end is counted in [Outcome.Unfinished].
//
// Concurrency: [Run] blocks, and returns after its last goroutine.
package drive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Client makes one request for a key, 0 to Keys-1, and returns when it was answered.
// An answer other than the wanted one is an error.
type Client func(ctx context.Context, key int) error

// Load is what is put on a store.
type Load struct {
	Clients []Client // each is used by one goroutine at a time
	Keys    int
	Rate    float64       // requests per second, all clients together; 0: closed loop
	WarmUp  time.Duration // not measured
	For     time.Duration // measured
	Seed    uint64        // of the keys
	// Meter is called at the begin and at the end of the measured interval, and returns
	// counters that only grow. Nil: none.
	Meter func() []float64
}

// Outcome is what was measured.
type Outcome struct {
	Seconds    float64   // measured interval
	Count      int64     // successful requests in it
	Errors     int64     // failed requests in it
	First      error     // the first of them
	Unfinished int64     // open loop: wanted by the schedule, not answered within the grace period
	Metered    []float64 // how much Meter's counters grew
	Latency    *hdrhistogram.Histogram
}

const (
	// grace is how long after the end outstanding requests may take.
	grace = 10 * time.Second
	// maxMicros is the longest latency that the histograms hold; longer ones count as that long.
	maxMicros = 120_000_000
	digits    = 3
)

// Rate returns successful requests per second.
func (o *Outcome) Rate() float64 {
	if o.Seconds <= 0 {
		return 0
	}
	return float64(o.Count) / o.Seconds
}

// run is the state that the clients share.
type run struct {
	Load
	began  time.Time // of the warm-up
	next   atomic.Int64
	phase  atomic.Int32
	cancel context.CancelFunc
}

const (
	warming int32 = iota
	measuring
	over
)

// Run puts the load on the store. It fails if the load is not valid or ctx ends; failed
// requests are in the outcome.
func Run(ctx context.Context, l Load) (*Outcome, error) {
	if len(l.Clients) == 0 || l.Keys < 1 || l.For <= 0 || l.WarmUp < 0 || l.Rate < 0 {
		return nil, fmt.Errorf("load of %d clients on %d keys for %v: use at least one of each", len(l.Clients), l.Keys, l.For)
	}
	limited, cancel := context.WithTimeout(ctx, l.WarmUp+l.For+grace)
	defer cancel()
	r := &run{Load: l, began: time.Now(), cancel: cancel}
	parts := make([]*Outcome, len(l.Clients))
	var clients sync.WaitGroup
	for i := range l.Clients {
		clients.Go(func() {
			if l.Rate > 0 {
				parts[i] = r.open(limited, i)
			} else {
				parts[i] = r.closed(limited, i)
			}
		})
	}
	total, err := r.watch(ctx)
	clients.Wait()
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		total.add(p)
	}
	if l.Rate > 0 {
		total.Unfinished = max(0, r.slots()-total.Count-total.Errors)
	}
	return total, nil
}

// watch moves the run through its phases and reads the meter between them.
func (r *run) watch(ctx context.Context) (*Outcome, error) {
	total := newOutcome()
	if err := waitUntil(ctx, r.began.Add(r.WarmUp)); err != nil {
		r.cancel()
		return nil, err
	}
	before, begin := r.meter(), time.Now()
	r.phase.Store(measuring)
	if err := waitUntil(ctx, begin.Add(r.For)); err != nil {
		r.cancel()
		return nil, err
	}
	r.phase.Store(over)
	total.Seconds = time.Since(begin).Seconds()
	after := r.meter()
	for i := range before {
		total.Metered = append(total.Metered, after[i]-before[i])
	}
	return total, nil
}

func (r *run) meter() []float64 {
	if r.Meter == nil {
		return nil
	}
	return r.Meter()
}

// closed sends requests one after the other until the measured interval is over.
func (r *run) closed(ctx context.Context, client int) *Outcome {
	o, keys := newOutcome(), r.keys(client)
	for r.phase.Load() != over && ctx.Err() == nil {
		begin := time.Now()
		err := r.Clients[client](ctx, keys.IntN(r.Keys))
		if took := time.Since(begin); r.phase.Load() == measuring {
			o.record(took, err)
		}
	}
	return o
}

// open takes the next moment of the schedule, waits for it and sends, until the schedule ends.
func (r *run) open(ctx context.Context, client int) *Outcome {
	o, keys := newOutcome(), r.keys(client)
	each := float64(time.Second) / r.Rate
	for {
		at := time.Duration(float64(r.next.Add(1)-1) * each)
		if at >= r.WarmUp+r.For || waitUntil(ctx, r.began.Add(at)) != nil {
			return o
		}
		err := r.Clients[client](ctx, keys.IntN(r.Keys))
		if ctx.Err() != nil {
			return o // the grace period is over: this one is unfinished
		}
		if at >= r.WarmUp {
			o.record(time.Since(r.began)-at, err)
		}
	}
}

// slots is how many requests the schedule wants in the measured interval.
func (r *run) slots() int64 {
	each := float64(time.Second) / r.Rate
	n := int64(0)
	for i := int64(float64(r.WarmUp)/each) - 1; ; i++ {
		at := time.Duration(float64(i) * each)
		if at >= r.WarmUp+r.For {
			return n
		}
		if i >= 0 && at >= r.WarmUp {
			n++
		}
	}
}

func (r *run) keys(client int) *rand.Rand {
	return rand.New(rand.NewPCG(r.Seed, uint64(client)))
}

func newOutcome() *Outcome {
	return &Outcome{Latency: hdrhistogram.New(1, maxMicros, digits)}
}

func (o *Outcome) record(took time.Duration, err error) {
	if err != nil {
		o.Errors++
		if o.First == nil {
			o.First = err
		}
		return
	}
	o.Count++
	_ = o.Latency.RecordValue(min(max(took.Microseconds(), 1), maxMicros)) // within its bounds
}

func (o *Outcome) add(p *Outcome) {
	o.Count += p.Count
	o.Errors += p.Errors
	if o.First == nil {
		o.First = p.First
	}
	o.Latency.Merge(p.Latency)
}

// waitUntil returns nil at the moment, or earlier with ctx's error.
func waitUntil(ctx context.Context, moment time.Time) error {
	left := time.Until(moment)
	if left <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fillTries is how often Fill requests a key before its error counts: a store that has just
// started may refuse a few.
const fillTries = 5

// Fill has every key requested with success once, all clients together, and returns the first
// error.
func Fill(ctx context.Context, clients []Client, keys int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var filling sync.WaitGroup
	for _, c := range clients {
		filling.Go(func() {
			for ctx.Err() == nil {
				key := int(next.Add(1)) - 1
				if key >= keys {
					return
				}
				if err := try(ctx, c, key); err != nil {
					cancel(fmt.Errorf("key %d: %w", key, err))
				}
			}
		})
	}
	filling.Wait()
	return context.Cause(ctx)
}

func try(ctx context.Context, c Client, key int) (err error) {
	for range fillTries {
		if err = c(ctx, key); err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}
