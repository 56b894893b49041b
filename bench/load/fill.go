package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"cartwheel/bench/workload"
)

// FillConfig says which keys to write. Targets, Bucket, Keys and Sizes have no default.
type FillConfig struct {
	Targets []string // host:port, as in Config
	Bucket  string
	Type    string

	PutQuery string

	Keys  int64 // writes keys 0..Keys-1
	Sizes workload.Sizes

	Clients  int           // connections; 64
	Timeout  time.Duration // of one request; 10 s
	Patience time.Duration // how long one key is tried in vain before Fill gives up; 30 s
	Seed     uint64        // of the values
	// Progress is called with the number of keys written, five times a second and at the end,
	// by one goroutine. May be nil.
	Progress func(done int64)
}

// progressEvery is the time between calls of Progress.
const progressEvery = 200 * time.Millisecond

// WithDefaults returns the configuration with every zero field that has a default set to it.
func (c FillConfig) WithDefaults() FillConfig {
	if c.Clients == 0 {
		c.Clients = defaultClients
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Patience == 0 {
		c.Patience = 30 * time.Second
	}
	return c
}

// Validate reports everything that is wrong with the configuration, defaults applied.
func (c FillConfig) Validate() error {
	errs := append(checkPlace(c.Targets, c.Bucket), checkQuery(c.PutQuery), checkClients(c.Clients), checkTimeout(c.Timeout))
	if c.Keys < 0 || c.Keys > workload.MaxKeys {
		errs = append(errs, fmt.Errorf("%d keys: choose up to %d", c.Keys, int64(workload.MaxKeys)))
	}
	if !c.Sizes.Valid() {
		errs = append(errs, errSizes(c.Sizes))
	}
	return errors.Join(errs...)
}

// Fill writes each key once, as fast as the cluster takes them, and blocks until all are
// written. Answers of 503, timeouts and broken connections are tried again, with pauses; another
// status, or a key that cannot be written for Patience, ends it with an error, and so does ctx.
func Fill(ctx context.Context, config FillConfig) error {
	config = config.WithDefaults()
	if err := config.Validate(); err != nil {
		return fmt.Errorf("check the filling: %w", err)
	}
	f := &filling{
		config: config,
		places: newPlaces(config.Targets, config.Type, config.Bucket, "", config.PutQuery, config.Timeout),
		values: config.Sizes.Values(config.Seed),
	}
	if err := f.run(ctx); err != nil {
		return fmt.Errorf("fill the bucket %q: %w", config.Bucket, err)
	}
	return nil
}

// filling is one call of Fill.
type filling struct {
	config     FillConfig
	places     *places
	values     *workload.Values
	next, done atomic.Int64
}

func (f *filling) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var wg sync.WaitGroup
	for i := range min(int64(f.config.Clients), f.config.Keys) {
		wg.Go(func() {
			if err := f.work(ctx, int(i)); err != nil {
				fail(err) // the first one stays
			}
		})
	}
	stop := make(chan struct{})
	var reporter sync.WaitGroup
	if f.config.Progress != nil {
		reporter.Go(func() { f.report(stop) })
	}
	wg.Wait()
	close(stop)
	reporter.Wait()
	if f.done.Load() == f.config.Keys {
		return nil
	}
	return context.Cause(ctx)
}

// report tells the progress until stop is closed, and then once more.
func (f *filling) report(stop <-chan struct{}) {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f.config.Progress(f.done.Load())
		case <-stop:
			f.config.Progress(f.done.Load())
			return
		}
	}
}

// work writes keys until there are none left.
func (f *filling) work(ctx context.Context, client int) error {
	l := newLink(f.places, client, newTimerAlarm())
	defer l.close()
	defer context.AfterFunc(ctx, l.cut)()
	r := workload.Rand(f.config.Seed, client)
	for {
		key := f.next.Add(1) - 1
		if key >= f.config.Keys {
			return nil
		}
		if err := f.write(ctx, l, key, f.values.Next(r)); err != nil {
			return fmt.Errorf("write %s: %w", KeyName(key), err)
		}
		f.done.Add(1)
	}
}

// write writes one key, with as many attempts as it needs.
func (f *filling) write(ctx context.Context, l *link, key int64, value []byte) error {
	for begun := time.Now(); ; {
		err := f.attempt(ctx, l, key, value)
		var refused *refusedError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &refused) && refused.status != http.StatusServiceUnavailable:
			return err
		case time.Since(begun) > f.config.Patience:
			return fmt.Errorf("gave up after %v: %w", f.config.Patience, err)
		}
		if !l.rest() {
			return context.Cause(ctx)
		}
	}
}

func (f *filling) attempt(ctx context.Context, l *link, key int64, value []byte) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	q := &l.places.requests[l.at]
	l.out = q.endPut(AppendKey(q.beginPut(l.out[:0]), key), value, nil)
	status, err := l.roundTrip(wantBody)
	if err != nil {
		l.broken(err)
		return err
	}
	if status >= 300 {
		l.fail()
		return &refusedError{status, string(l.in.body[:min(len(l.in.body), 200)])}
	}
	l.well()
	return nil
}

// refusedError is an answer that is not a success.
type refusedError struct {
	status int
	text   string
}

func (e *refusedError) Error() string { return fmt.Sprintf("status %d: %q", e.status, e.text) }
