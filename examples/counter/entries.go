package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"cartwheel/client"
)

// entries says how much each writer has added so far. Only the writer itself changes its entry,
// and only upwards.
type entries map[string]int

func (e entries) sum() (n int) {
	for _, v := range e {
		n += v
	}
	return n
}

// mergeAll returns the greatest entry of each writer, which is its newest. Order and repetition of
// the siblings do not matter.
func mergeAll(siblings []client.Value) (entries, error) {
	merged := entries{}
	for _, s := range siblings {
		if s.Deleted {
			continue
		}
		var e entries
		if err := json.Unmarshal(s.Body, &e); err != nil {
			return nil, fmt.Errorf("read the counter: %w", err)
		}
		for writer, n := range e {
			merged[writer] = max(merged[writer], n)
		}
	}
	return merged, nil
}

func (e entries) value() (client.Value, error) {
	body, err := json.Marshal(e)
	return client.Value{ContentType: "application/json", Body: body}, err
}

// set makes the counter say that the writer has added n so far. To repeat it does no harm.
func set(ctx context.Context, c *client.Client, key client.Key, writer string, n int) error {
	_, err := c.Update(ctx, key, func(current client.Value, exists bool) (client.Value, error) {
		e := entries{}
		if exists {
			var err error
			if e, err = mergeAll([]client.Value{current}); err != nil {
				return client.Value{}, err
			}
		}
		e[writer] = max(e[writer], n)
		return e.value()
	}, client.UpdateOptions{
		Unguarded: true, // a concurrent write is a sibling that the next one merges
		Merge: func(siblings []client.Value) (client.Value, error) {
			e, err := mergeAll(siblings)
			if err != nil {
				return client.Value{}, err
			}
			return e.value()
		},
	})
	return err
}

// twoWithEntries is twoAddOne with an entry per writer: the two values that remain can be merged.
func twoWithEntries(ctx context.Context, c *client.Client, key client.Key) error {
	if err := set(ctx, c, key, "start", 10); err != nil {
		return err
	}
	read, err := c.Get(ctx, key, client.GetOptions{})
	if err != nil {
		return err
	}
	for _, writer := range []string{"alice", "bob"} { // both go on from the same read
		e, err := mergeAll(read.Values)
		if err != nil {
			return err
		}
		e[writer] = 1
		v, err := e.value()
		if err != nil {
			return err
		}
		if _, err := c.Put(ctx, key, v, client.PutOptions{Context: read.Context}); err != nil {
			return err
		}
	}
	last, err := c.Get(ctx, key, client.GetOptions{})
	if err != nil {
		return err
	}
	e, err := mergeAll(last.Values)
	if err != nil {
		return err
	}
	var text []string
	for _, writer := range slices.Sorted(maps.Keys(e)) {
		text = append(text, fmt.Sprintf("%s=%d", writer, e[writer]))
	}
	fmt.Printf("an entry per writer: the values are %s, together %d\n", strings.Join(text, " "), e.sum())
	if e.sum() != 12 || len(last.Values) != 2 {
		return fmt.Errorf("%d siblings make %d, not two of them 12", len(last.Values), e.sum())
	}
	return remove(ctx, c, key, last.Context)
}

const (
	workers = 4
	each    = 25
)

// countTogether has all workers count at the same time.
func countTogether(ctx context.Context, endpoints []string, key client.Key) error {
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for i := range workers {
		wg.Go(func() { errs[i] = work(ctx, endpoints[i%len(endpoints):], key, fmt.Sprintf("worker%d", i+1)) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	c, err := client.New(client.Config{Endpoints: endpoints})
	if err != nil {
		return err
	}
	defer c.Close()
	last, err := c.Get(ctx, key, client.GetOptions{})
	if err != nil {
		return err
	}
	e, err := mergeAll(last.Values)
	if err != nil {
		return err
	}
	if e.sum() != workers*each {
		return fmt.Errorf("%d workers added %d each, and together it is %d", workers, each, e.sum())
	}
	fmt.Printf("%d workers added %d each, together %d: nothing was lost\n", workers, each, e.sum())
	return remove(ctx, c, key, last.Context)
}

// work adds one as often as a worker does. Its own entry it knows without reading it.
func work(ctx context.Context, endpoints []string, key client.Key, writer string) error {
	c, err := client.New(client.Config{Endpoints: endpoints})
	if err != nil {
		return err
	}
	defer c.Close()
	for n := range each {
		if err := set(ctx, c, key, writer, n+1); err != nil {
			return err
		}
	}
	return nil
}
