package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"cartwheel/bench/load"
	"cartwheel/bench/result"
)

// Run is one run. Make it with New; Do may be called once.
type Run struct {
	cfg    Config
	plan   plan
	bucket string // beginning of the buckets' names
	meter  *meter
	faults *faults // nil: none

	mu    sync.Mutex
	now   Progress
	load  *load.Run // of the cell under way; nil: none
	began time.Time // of the present part of the cell
	base  time.Duration
	whole time.Duration // of all cells
}

// Progress is how far a run has come.
type Progress struct {
	Phase       string // in words
	Cell, Cells int    // from 1; 0 before the first
	Name        string // of the cell
	// Of the cell under way: successful operations and failed ones so far, and of the last
	// interval the rate and the latencies.
	Ops, Errors int64
	Rate        float64 // per second
	P50, P99    time.Duration
	Fault       string // in force; empty: none
	Filled      int64  // keys written before the first cell, of Keys
	Keys        int64  // 0: none are being written
	Share       float64
	Left        time.Duration // about, for the cells; 0 before their number is known
}

// New prepares a run; nothing is sent yet.
func New(cfg Config) (*Run, error) {
	cfg = cfg.WithDefaults()
	p, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return &Run{cfg: cfg, plan: p, bucket: cfg.Prefix + "-" + hex.EncodeToString(random[:]), now: Progress{Phase: "asking the nodes"}}, nil
}

// Progress may be called at any time.
func (r *Run) Progress() Progress {
	r.mu.Lock()
	p, l := r.now, r.load
	done := r.base
	if !r.began.IsZero() {
		done += min(time.Since(r.began), r.cellTime()) // what a cell takes besides was not foreseen
	}
	whole := r.whole
	r.mu.Unlock()
	if whole > 0 {
		done = min(done, whole)
		p.Share, p.Left = float64(done)/float64(whole), whole-done
	}
	if l != nil {
		s := l.Snapshot()
		p.Phase, p.Ops, p.Errors, p.Rate = s.Phase, s.Ops, s.Errors, s.Rate
		p.P50, p.P99 = micros(s.P50), micros(s.P99)
	}
	return p
}

func micros(v float64) time.Duration { return time.Duration(v * float64(time.Microsecond)) }

func (r *Run) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *Run) phase(words string) { r.set(func() { r.now.Phase = words }) }

// series is the cells of one bucket.
type series struct {
	bucket string
	props  map[string]any
	cells  []result.Levels
}

// Do runs to the end and blocks until then. After an error, and when ctx has ended, the result has the
// cells that were complete before; it is nil if there is none.
func (r *Run) Do(ctx context.Context) (*result.Run, error) {
	began := time.Now()
	found, err := look(ctx, r.cfg.Targets)
	if err != nil {
		return nil, err
	}
	all, err := r.series(found.cluster)
	if err != nil {
		return nil, err
	}
	r.meter = newMeter(found.watched)
	defer r.meter.close()
	if r.cfg.Chaos != "" {
		if r.faults, err = newFaults(ctx, r.cfg.Chaos, r.cfg.During); err != nil {
			return nil, err
		}
		defer r.faults.close()
	}
	out := r.describe(found, all)
	out.Began = began
	err = r.measure(ctx, all, out)
	out.Seconds = time.Since(began).Seconds()
	if len(out.Cells) == 0 && err != nil {
		return nil, err
	}
	return out, err
}

// series decides which cells are measured on which bucket.
func (r *Run) series(c result.Cluster) ([]series, error) {
	ns, own := r.cfg.N, len(r.cfg.N) > 0
	if !own {
		ns = []int{min(c.N, c.Members)}
	}
	var all []series
	var errs []error
	count := 0
	for _, n := range ns {
		if n > c.Members {
			errs = append(errs, fmt.Errorf("bench: n=%d needs %d members, the cluster has %d", n, n, c.Members))
			continue
		}
		cells, err := r.plan.matrix.Cells(n)
		if err == nil && len(cells) == 0 {
			err = fmt.Errorf("bench: no cell of the matrix is for n=%d", n)
		}
		errs = append(errs, err)
		s := series{bucket: fmt.Sprintf("%s-n%d", r.bucket, n), cells: cells, props: map[string]any{"allow_mult": false}}
		if own {
			s.props["n_val"] = n
		}
		all = append(all, s)
		count += len(cells)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if count > MaxCells {
		return nil, fmt.Errorf("bench: %d cells; up to %d are possible", count, MaxCells)
	}
	r.set(func() { r.now.Cells, r.whole = count, time.Duration(count)*r.cellTime() })
	return all, nil
}

// cellTime is what one cell is to take.
func (r *Run) cellTime() time.Duration {
	d := r.cfg.WarmUp + r.cfg.For
	if r.cfg.Staleness {
		d += r.cfg.StalenessFor
	}
	return d
}

// describe returns a result that has everything but cells.
func (r *Run) describe(found *survey, all []series) *result.Run {
	var buckets []string
	for _, s := range all {
		buckets = append(buckets, s.bucket)
	}
	props := map[string]any{"allow_mult": false}
	if len(r.cfg.N) > 0 {
		props["n_val"] = r.cfg.N
		if len(r.cfg.N) == 1 {
			props["n_val"] = r.cfg.N[0]
		}
	}
	return &result.Run{
		Schema: result.Schema, Command: r.cfg.Command,
		Software: result.Software{Version: r.cfg.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH},
		Machine:  machine(),
		Cluster:  found.cluster,
		Load: result.Load{
			Workload: r.plan.workload.String(), Mix: r.plan.workload.Mix(), Bucket: strings.Join(buckets, ","), Properties: props,
			Keys: int(r.plan.keys.Len()), Distribution: r.plan.keys.String(), ValueMin: r.plan.sizes.Min, ValueMax: r.plan.sizes.Max,
			Clients: r.cfg.Clients, Rate: r.cfg.Rate, WarmUp: r.cfg.WarmUp.Seconds(), For: r.cfg.For.Seconds(), Seed: r.cfg.Seed,
		},
		Cells: []result.Cell{},
	}
}

// measure measures all cells.
func (r *Run) measure(ctx context.Context, all []series, out *result.Run) error {
	for _, s := range all {
		if err := r.prepare(ctx, s); err != nil {
			return err
		}
		for _, l := range s.cells {
			r.begin(l)
			cell, err := r.cell(ctx, s.bucket, out.Cluster.Members, l)
			r.end()
			if err != nil {
				return fmt.Errorf("measure %s: %w", Name(l), err)
			}
			out.Cells = append(out.Cells, cell)
		}
	}
	return nil
}

// begin and end keep the progress of a cell.
func (r *Run) begin(l result.Levels) {
	r.set(func() {
		r.now.Cell++
		r.now.Name = Name(l)
		r.now.Ops, r.now.Errors, r.now.Rate, r.now.P50, r.now.P99 = 0, 0, 0, 0, 0
		r.began = time.Now()
	})
}

func (r *Run) end() {
	r.set(func() { r.load, r.began, r.base = nil, time.Time{}, r.base+r.cellTime() })
}

// Barren returns an error that names the cells in which no operation succeeded, with what went
// wrong; nil if there is none.
func Barren(run *result.Run) error {
	var errs []error
	for _, c := range run.Cells {
		if len(c.Ops) == 0 || c.Ops[0].Count == 0 {
			errs = append(errs, fmt.Errorf("no operation was made in the cell %s", c.Name))
			continue
		}
		var failed int64
		for kind, n := range c.Ops[0].Errors {
			if kind != unsent {
				failed += n
			}
		}
		if failed >= c.Ops[0].Count {
			errs = append(errs, fmt.Errorf("no operation succeeded in the cell %s: %s", c.Name, causes(c.Ops[0].Errors)))
		}
	}
	return errors.Join(errs...)
}
