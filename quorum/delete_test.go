package quorum

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/vclock"
)

// sleep-ok: every test here runs in a bubble, by this package's own helper.

func TestDelete(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		n := c.nodes[0].coordinator
		ctx := context.Background()
		del := DeleteRequest{Key: testKey, RequestID: vclock.RequestID{9}, Options: defaults(3)}

		res, err := n.Delete(ctx, del)
		if err != nil || !res.NotFound || !res.Object.Missing() || c.nodes[0].store.mints != 0 {
			t.Fatalf("missing: %+v, %v", res, err)
		}
		if _, err = c.nodes[1].put("v", defaults(3)); err != nil {
			t.Fatal(err)
		}
		if res, err = n.Delete(ctx, del); err != nil || res.NotFound || res.Receipt.Durable != 2 {
			t.Fatalf("live: %+v, %v", res, err)
		}
		got, err := c.nodes[2].get(defaults(3))
		if err != nil || values(got.Object) != "deleted" || len(got.Object.Siblings) != 1 {
			t.Fatalf("after: %+v, %v", got, err)
		}
		del.RequestID = vclock.RequestID{10}
		if res, err = n.Delete(ctx, del); err != nil || !res.NotFound || !res.Object.Equal(got.Object) {
			t.Fatalf("deleted: %+v, %v", res, err)
		}

		// With a context nothing is read, and a concurrent value stays.
		if _, err = c.nodes[1].put("w", defaults(3)); err != nil {
			t.Fatal(err)
		}
		reads := c.nodes[0].coordinator.Stats().Gets
		del.RequestID, del.HasContext, del.Context = vclock.RequestID{11}, true, got.Object.Clock
		if res, err = n.Delete(ctx, del); err != nil || res.NotFound {
			t.Fatalf("context: %+v, %v", res, err)
		}
		if got, err = c.nodes[2].get(defaults(3)); err != nil || values(got.Object) != "w" || len(got.Object.Siblings) != 2 {
			t.Errorf("concurrent: %v, %v", values(got.Object), err)
		}
		if s := c.nodes[0].coordinator.Stats(); s.Gets != reads || s.Deletes != 4 {
			t.Errorf("%+v", s)
		}
	})
}

// A delete's read and write share its time.
func TestDeleteTimeout(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		if _, err := c.nodes[0].put("v", defaults(3)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, l := range c.nodes[0].links[1:] {
			l.delay = 300 * time.Millisecond
		}
		o := defaults(3)
		o.Timeout = 500 * time.Millisecond
		start := time.Now()
		_, err := c.nodes[0].coordinator.Delete(context.Background(), DeleteRequest{Key: testKey, Options: o})
		if !errors.Is(err, ErrTimeout) || time.Since(start) != o.Timeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// An impossible write level of a delete is refused before anything is read, found or not.
func TestDeleteLevels(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		o := defaults(3)
		o.W = 4
		_, err := c.nodes[0].coordinator.Delete(context.Background(), DeleteRequest{Key: testKey, Options: o})
		if _, ok := errors.AsType[*LevelError](err); !ok {
			t.Error(err)
		}
	})
}

// An expired value is as good as deleted.
func TestDeleteExpired(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		r := putOf("v", defaults(3), nil)
		r.Expiry = time.Now().Add(time.Minute).UnixMilli()
		if _, err := c.nodes[0].coordinator.Put(context.Background(), r); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		res, err := c.nodes[0].coordinator.Delete(context.Background(), DeleteRequest{Key: testKey, Options: defaults(3)})
		if err != nil || !res.NotFound {
			t.Errorf("%+v, %v", res, err)
		}
	})
}
