package client

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// outcome is what one endpoint made of an attempt: an answer or an error.
type outcome struct {
	endpoint int
	rep      *reply
	err      error
}

// final reports whether another endpoint could not do better.
func (o outcome) final() bool { return o.err == nil && o.rep.status != http.StatusServiceUnavailable }

// hopeless reports whether the call fails everywhere.
func (o outcome) hopeless() bool {
	return errors.Is(o.err, errReplyTooLarge) || errors.Is(o.err, ErrBadRequest)
}

// attempt sends a call to endpoint i. A read that may be hedged goes to a second endpoint too
// when the first one is slow; that one is then marked as tried.
func (c *Client) attempt(ctx context.Context, cl call, i int, tried []bool) outcome {
	if !cl.hedge || c.cfg.HedgeAfter == 0 || len(tried) < 2 {
		rep, err := c.send(ctx, c.endpoints.bases[i], cl)
		return outcome{i, rep, err}
	}
	return c.hedged(ctx, cl, i, tried)
}

// hedged returns the first final outcome of one or two endpoints, and waits until the other
// request is called off.
func (c *Client) hedged(ctx context.Context, cl call, i int, tried []bool) outcome {
	within, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel() // before the wait
	results := make(chan outcome, 2)
	begin := func(i int) {
		wg.Go(func() {
			rep, err := c.send(within, c.endpoints.bases[i], cl)
			results <- outcome{i, rep, err}
		})
	}
	begin(i)
	late := time.NewTimer(c.cfg.HedgeAfter)
	defer late.Stop()
	select {
	case o := <-results:
		return o
	case <-late.C:
	}
	second, ok := c.endpoints.pickHealthy(time.Now(), tried)
	if !ok {
		return <-results
	}
	tried[second] = true
	begin(second)
	won := <-results
	if won.final() {
		if won.endpoint == second {
			c.endpoints.overtaken(i, time.Now())
		}
		return won
	}
	lost := won
	won = <-results
	if won.err != nil && (lost.err == nil || lost.hopeless()) {
		lost, won = won, lost // an answer that might be better says more than none
	}
	c.note(ctx, lost)
	return won
}

// note remembers of an endpoint whether it answered. What the end of the caller's context broke
// off says nothing about it.
func (c *Client) note(ctx context.Context, o outcome) {
	switch {
	case o.err == nil && o.rep.notReady():
		c.endpoints.failed(o.endpoint, time.Now())
	case o.err == nil:
		c.endpoints.answered(o.endpoint)
	case ctx.Err() == nil && !o.hopeless():
		c.endpoints.failed(o.endpoint, time.Now())
	}
}
