package bench

import (
	"context"
	"fmt"
	"time"

	"cartwheel/bench/load"
	"cartwheel/bench/workload"
	"cartwheel/client"
)

// Times of the preparation.
const (
	preparePause = 50 * time.Millisecond
	knownWithin  = 15 * time.Second
)

// prepare makes the bucket, waits until every target knows it, and writes the keys.
func (r *Run) prepare(ctx context.Context, s series) error {
	r.phase("making the bucket " + s.bucket)
	all, err := client.New(client.Config{Endpoints: r.cfg.Targets})
	if err != nil {
		return err
	}
	defer all.Close()
	if err := all.SetProperties(ctx, client.Bucket{Name: s.bucket}, s.props); err != nil {
		return fmt.Errorf("bench: make the bucket %s: %w", s.bucket, err)
	}
	for _, target := range r.cfg.Targets {
		if err := awaitKnown(ctx, target, s); err != nil {
			return err
		}
	}
	if w := r.plan.workload; w.Share(workload.Get)+w.Share(workload.Update) == 0 && len(s.cells) == 1 {
		return nil // the only load writes what is missing
	}
	r.set(func() { r.now.Phase, r.now.Keys, r.now.Filled = "writing the keys", r.plan.keys.Len(), 0 })
	defer r.set(func() { r.now.Keys, r.now.Filled = 0, 0 })
	err = load.Fill(ctx, load.FillConfig{
		Targets: r.plan.addresses, Bucket: s.bucket, Keys: r.plan.keys.Len(), Sizes: r.plan.sizes,
		Clients: r.cfg.Clients, Timeout: r.cfg.Timeout, Seed: r.cfg.Seed,
		Progress: func(done int64) { r.set(func() { r.now.Filled = done }) },
	})
	if err != nil {
		return fmt.Errorf("bench: write the keys: %w", err)
	}
	return nil
}

// awaitKnown waits until a target has the properties of the bucket.
func awaitKnown(ctx context.Context, target string, s series) error {
	c, err := client.New(client.Config{Endpoints: []string{target}, Retries: -1, Timeout: answerWithin})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, knownWithin)
	defer cancel()
	for {
		have, err := c.Properties(ctx, client.Bucket{Name: s.bucket})
		for name, want := range s.props {
			if err == nil && fmt.Sprint(have[name]) != fmt.Sprint(want) {
				err = fmt.Errorf("%s is %v there, not %v", name, have[name], want)
			}
		}
		if err == nil {
			return nil
		}
		if sleep(ctx, preparePause) != nil {
			return fmt.Errorf("bench: %s does not know the bucket %s: %w", target, s.bucket, err)
		}
	}
}
