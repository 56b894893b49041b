package check

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"cartwheel/client"
)

// Config says what a run does. A zero field means the default that stands with it.
type Config struct {
	Endpoints []string      // nodes' URLs; client.DefaultEndpoint
	For       time.Duration // of the load; 60 s
	Settle    time.Duration // how long to wait in the end for equal and complete answers; 60 s
	Timeout   time.Duration // of one operation; 2 s
	Clients   int           // 32
	Rate      float64       // operations per second of each client; 50
	Seed      uint64        // of all choices; 0 is a seed like others
	Workloads []string      // all
	Prefix    string        // of the buckets' names; "check"
	History   string        // file; a temporary one, which a clean run removes
	// Weak lets some writes need one replica only. Such a write may be lost with the one disk
	// that has it.
	Weak bool
	// Chaos is the URL of a "cartwheel dev --chaos" whose nodes get faults while the load runs.
	Chaos string
	// Wipe lets these faults include the loss of a node's objects, one node at a time.
	Wipe bool
}

// Limits of a run's configuration.
const (
	MaxClients = 1024
	MaxRate    = 10_000
)

// WithDefaults returns the configuration with its zero fields filled in.
func (c Config) WithDefaults() Config {
	if len(c.Endpoints) == 0 {
		c.Endpoints = []string{client.DefaultEndpoint}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.For, time.Minute}, {&c.Settle, time.Minute}, {&c.Timeout, 2 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.Clients == 0 {
		c.Clients = 32
	}
	if c.Rate == 0 {
		c.Rate = 50
	}
	if len(c.Workloads) == 0 {
		c.Workloads = Workloads()
	}
	if c.Prefix == "" {
		c.Prefix = "check"
	}
	return c
}

// Validate reports everything that is wrong with a configuration whose defaults are filled in.
func (c Config) Validate() error {
	var errs []error
	for name, d := range map[string]time.Duration{"load": c.For, "settling": c.Settle, "operations": c.Timeout} {
		if d < time.Millisecond || d > 7*24*time.Hour {
			errs = append(errs, fmt.Errorf("check: the time %v of %s is not between 1ms and 7 days", d, name))
		}
	}
	if c.Clients < 1 || c.Clients > MaxClients {
		errs = append(errs, fmt.Errorf("check: %d clients are not between 1 and %d", c.Clients, MaxClients))
	}
	if !(c.Rate > 0 && c.Rate <= MaxRate) {
		errs = append(errs, fmt.Errorf("check: the rate %v is not above 0 and up to %d", c.Rate, MaxRate))
	}
	if c.Prefix == "" {
		errs = append(errs, errors.New("check: there is no prefix for the buckets' names"))
	}
	for i, name := range c.Workloads {
		if lookup(name) == nil {
			errs = append(errs, fmt.Errorf("check: there is no workload %q; there are %s", name, strings.Join(Workloads(), ", ")))
		}
		if slices.Contains(c.Workloads[:i], name) {
			errs = append(errs, fmt.Errorf("check: the workload %q is named twice", name))
		}
	}
	return errors.Join(errs...)
}

// Run is one run. Make it with New; Do may be called once.
type Run struct {
	cfg       Config
	info      Info
	began     time.Time
	endpoints []*endpoint
	clients   []*client.Client // parallel to endpoints
	loads     []*load
	history   *recorder

	mu    sync.Mutex
	phase Progress
}

// Progress is how far a run has come.
type Progress struct {
	Phase string // in words
	Counts
	Took, For time.Duration
	// Final and Keys are, after the load, how many keys are done of how many.
	Final, Keys int
	Fault       string // under way; empty: none
}

// New prepares a run; nothing is sent yet.
func New(cfg Config) (*Run, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	r := &Run{cfg: cfg, phase: Progress{Phase: "starting", For: cfg.For}}
	r.info = Info{
		Seed: cfg.Seed, Suffix: hex.EncodeToString(random[:]), For: cfg.For.Seconds(), Clients: cfg.Clients, Rate: cfg.Rate,
		Endpoints: cfg.Endpoints, Workloads: cfg.Workloads, Weak: cfg.Weak,
	}
	for _, name := range cfg.Workloads {
		w := lookup(name)
		bucket := cfg.Prefix + "-" + r.info.Suffix + "-" + name
		r.info.Buckets = append(r.info.Buckets, bucket)
		r.loads = append(r.loads, &load{workload: w, bucket: bucket, keys: &keys{limit: w.keyWrites}})
	}
	for _, url := range cfg.Endpoints {
		// One endpoint and one attempt each: which node said what is what a history is about.
		c, err := client.New(client.Config{Endpoints: []string{url}, Retries: -1, Timeout: cfg.Timeout})
		if err != nil {
			r.closeClients()
			return nil, err
		}
		r.clients = append(r.clients, c)
		r.endpoints = append(r.endpoints, &endpoint{store: c, name: url})
	}
	return r, nil
}

func (r *Run) closeClients() {
	for _, c := range r.clients {
		c.Close()
	}
}

// now is the time since the run's start in microseconds.
func (r *Run) now() int64 { return time.Since(r.began).Microseconds() }

func (r *Run) interval() time.Duration { return time.Duration(float64(time.Second) / r.cfg.Rate) }

// Progress may be called at any time.
func (r *Run) Progress() Progress {
	r.mu.Lock()
	p, history := r.phase, r.history
	if history != nil {
		p.Took = time.Since(r.began)
	}
	r.mu.Unlock()
	if history != nil {
		p.Counts = history.total()
	}
	return p
}

func (r *Run) setProgress(change func(*Progress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.phase)
}

// Do runs to the end and returns the report. The path is that of the history file, empty if
// it was removed. An error means that there is no verdict.
func (r *Run) Do(ctx context.Context) (report *Report, path string, err error) {
	defer r.closeClients()
	if err := r.prepare(ctx); err != nil {
		return nil, "", err
	}
	return r.measure(ctx)
}

// measure makes the history and judges it; the buckets are there.
func (r *Run) measure(ctx context.Context) (report *Report, path string, err error) {
	history, err := newRecorder(r.cfg.History)
	if err != nil {
		return nil, "", err
	}
	path = history.path
	r.mu.Lock()
	r.began, r.history = time.Now(), history
	r.mu.Unlock()
	r.info.Began = r.began
	err = errors.Join(r.record(ctx), history.close())
	if err == nil {
		history.ledger = nil // the judge makes its own
		r.setProgress(func(p *Progress) { p.Phase = "judging" })
		report, err = Judge(ReadHistory(path))
	}
	if r.cfg.History == "" && err == nil && report.Clean {
		return report, "", os.Remove(path)
	}
	return report, path, err
}

// record makes the whole history.
func (r *Run) record(ctx context.Context) error {
	r.history.add(&Op{Type: typeRun, Run: &r.info})
	if err := r.load(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	r.history.add(&Op{Type: typeEnd, Start: r.now(), End: r.now()})
	return nil
}

// load runs the clients and the faults. Faults are undone when it returns, also after an error.
func (r *Run) load(ctx context.Context) error {
	r.setProgress(func(p *Progress) { p.Phase = "load" })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	until := r.began.Add(r.cfg.For)
	var wg sync.WaitGroup
	var chaosErr error
	if r.cfg.Chaos != "" {
		c, err := newChaos(ctx, r)
		if err != nil {
			return err
		}
		wg.Go(func() {
			if chaosErr = c.drive(ctx, until); chaosErr != nil {
				cancel() // a run without its faults would prove less than it says
			}
		})
	}
	for n := range r.cfg.Clients {
		w := newWorker(r, n)
		wg.Go(func() { w.work(ctx, until) })
	}
	done := make(chan struct{})
	go func() { // ends with the workers
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-r.history.failed:
		cancel()
		<-done
		return nil // close returns the error
	}
	if chaosErr != nil {
		return chaosErr
	}
	return ctx.Err()
}

// Times of the preparation.
const (
	preparePause = 100 * time.Millisecond
	knownWithin  = 15 * time.Second
)

// prepare makes the buckets, and waits until every endpoint knows them.
func (r *Run) prepare(ctx context.Context) error {
	r.setProgress(func(p *Progress) { p.Phase = "making buckets" })
	all, err := client.New(client.Config{Endpoints: r.cfg.Endpoints})
	if err != nil {
		return err
	}
	defer all.Close()
	for _, l := range r.loads {
		if err := all.SetProperties(ctx, client.Bucket{Name: l.bucket}, l.properties()); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, knownWithin)
	defer cancel()
	for i, c := range r.clients {
		for {
			err := r.known(ctx, c)
			if err == nil {
				break
			}
			if sleep(ctx, preparePause) != nil {
				return fmt.Errorf("check: %s does not know the buckets: %w", r.endpoints[i].name, err)
			}
		}
	}
	return nil
}

// known returns nil if the endpoint has the properties of all buckets.
func (r *Run) known(ctx context.Context, c *client.Client) error {
	for _, l := range r.loads {
		have, err := c.Properties(ctx, client.Bucket{Name: l.bucket})
		if err != nil {
			return err
		}
		for name, want := range l.properties() {
			if have[name] != want {
				return fmt.Errorf("check: bucket %s has %s=%v there, not %v", l.bucket, name, have[name], want)
			}
		}
	}
	return nil
}

// ready reports whether the endpoint serves.
func ready(ctx context.Context, c *client.Client) bool {
	// Only the status counts: that the body is no JSON, as its error says then, does not.
	err := c.GetJSON(ctx, "/readyz", nil, new(any))
	var status *client.StatusError
	var busy *client.QuorumError
	return !errors.As(err, &status) && !errors.As(err, &busy) && !errors.Is(err, client.ErrUnreachable) && ctx.Err() == nil
}
