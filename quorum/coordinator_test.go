package quorum

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Without a ring nothing is answered.
func TestNotReady(t *testing.T) {
	for _, v := range []*View{nil, {Self: -1}} {
		c := New(Config{}, func() *View { return v })
		ctx := context.Background()
		if _, err := c.Get(ctx, GetRequest{Key: testKey, Options: defaults(3)}); !errors.Is(err, ErrNotReady) {
			t.Error(err)
		}
		o := defaults(3)
		o.Lossy = true
		if res, err := c.Put(ctx, putOf("v", o, nil)); !errors.Is(err, ErrNotReady) || res.Receipt != (Receipt{}) {
			t.Error(res, err)
		}
		if _, err := c.Delete(ctx, DeleteRequest{Key: testKey, Options: defaults(3)}); !errors.Is(err, ErrNotReady) {
			t.Error(err)
		}
		if _, err := c.Explain(ctx, testKey, 3); !errors.Is(err, ErrNotReady) {
			t.Error(err)
		}
		c.Close()
	}
}

// Requests beyond the bound are refused at once, and only those.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 3, Config{MaxInFlight: 2})
		n := c.nodes[0]
		n.links[1].delay, n.links[2].delay = time.Second, time.Second
		results := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := n.put("v", defaults(3))
				results <- err
			}()
		}
		synctest.Wait()
		if _, err := n.get(defaults(3)); !errors.Is(err, ErrOverloaded) {
			t.Error(err)
		}
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if _, err := n.get(defaults(3)); err != nil {
			t.Error(err)
		}
		if s := n.coordinator.Stats(); s.Overloaded != 1 || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
		c.close()
	})
}

// Close waits for requests, refuses new ones, and gives up after DrainTimeout.
func TestClose(t *testing.T) {
	for _, wait := range []time.Duration{10 * time.Second, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 3, 3, Config{DrainTimeout: wait})
			n := c.nodes[0]
			n.links[1].delay, n.links[2].delay = 2*time.Second, 2*time.Second
			result := make(chan error, 1)
			go func() {
				_, err := n.put("v", defaults(3))
				result <- err
			}()
			synctest.Wait()
			start := time.Now()
			second := make(chan time.Duration, 1)
			go func() {
				n.coordinator.Close()
				second <- time.Since(start)
			}()
			n.coordinator.Close()
			n.coordinator.Close()
			took, want := time.Since(start), min(wait, 2*time.Second)
			if took != want || <-second != want {
				t.Errorf("took %v, want %v", took, want)
			}
			if err := <-result; (wait > 2*time.Second) != (err == nil) || err != nil && !errors.Is(err, ErrClosed) {
				t.Errorf("drain %v: %v", wait, err)
			}
			if _, err := n.put("w", defaults(3)); !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
			time.Sleep(2 * time.Second)
		})
	}
}

// Explain shows every owner's copy in preference order, and why one has none to show.
func TestExplain(t *testing.T) {
	bubble(t, 5, 3, func(t *testing.T, c *cluster) {
		owners := c.owners(testKey)
		a, b := made(9, "a"), made(10, "b")
		owners[0].plant(testKey, a)
		owners[2].plant(testKey, b)
		owners[1].store.readErr = refuse(Corrupt)
		n := owners[4]
		n.links[owners[2].index].delay = time.Second
		copies, err := n.coordinator.Explain(context.Background(), testKey, 3)
		if err != nil || len(copies) != 3 {
			t.Fatalf("%v, %v", copies, err)
		}
		for i, o := range owners[:3] {
			if copies[i].Member != o.index {
				t.Errorf("copy %d is of member %d", i, copies[i].Member)
			}
		}
		if !copies[0].Object.Equal(a) || copies[1].Err == nil || !copies[2].Object.Equal(b) {
			t.Errorf("%+v", copies)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if _, err = n.coordinator.Explain(ctx, testKey, 3); !errors.Is(err, ErrTimeout) {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if s := n.coordinator.Stats(); s.ReadRepairs != 0 {
			t.Error("Explain repaired")
		}
	})
}
