package quorum

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A put through an owner is minted there once, reaches all owners, and says so.
func TestPutOwner(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		res, err := c.nodes[0].put("v", defaults(3))
		if err != nil || values(res.Object) != "v" {
			t.Fatalf("put: %v, %v", res, err)
		}
		synctest.Wait()
		for i, n := range c.nodes {
			if !n.object(testKey).Equal(res.Object) {
				t.Errorf("node %d has %v", i, n.object(testKey))
			}
		}
		if c.nodes[0].store.mints != 1 || c.nodes[1].store.mints+c.nodes[2].store.mints != 0 {
			t.Error("minted elsewhere or twice")
		}
		want := Receipt{Replicas: 2, Primaries: 2, Durable: 2, N: 3, Ring: 7}
		if res.Receipt != want {
			t.Errorf("receipt %+v, want %+v", res.Receipt, want)
		}
	})
}

// The local store's fsync and the sends run at the same time.
func TestPutParallel(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.store.fsync = 10 * time.Millisecond
		}
		c.nodes[0].links[1].delay, c.nodes[0].links[2].delay = time.Millisecond, time.Millisecond
		start := time.Now()
		o := defaults(3)
		o.W = LevelAll
		if _, err := c.nodes[0].put("v", o); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 11*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

// Dynamo §4.5: the latency of a put is that of the slowest of W replicas, and a slower one
// gets the write after the answer.
func TestPaperWritesWaitForWReplicasOnly(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		c.nodes[0].links[1].delay, c.nodes[0].links[2].delay = 3*time.Millisecond, 800*time.Millisecond
		start := time.Now()
		res, err := c.nodes[0].put("v", defaults(3))
		if err != nil || time.Since(start) != 3*time.Millisecond {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		if !c.nodes[2].object(testKey).Missing() {
			t.Fatal("the slow replica has it already")
		}
		if s := c.nodes[0].coordinator.Stats(); s.Open != 1 || s.InFlight != 0 {
			t.Fatalf("%+v", s)
		}
		c.nodes[0].coordinator.Close()
		if !c.nodes[2].object(testKey).Equal(res.Object) {
			t.Error("the slow replica never got it, or Close did not wait")
		}
		if s := c.nodes[0].coordinator.Stats(); s.LateVotes != 1 || s.Open != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A request that ran out of time is a timeout, in time, and its write goes on.
func TestPutTimeout(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		c.nodes[0].links[1].delay, c.nodes[0].links[2].silent = 700*time.Millisecond, true
		o := defaults(3)
		o.W, o.Timeout = LevelAll, 500*time.Millisecond
		start := time.Now()
		res, err := c.nodes[0].put("v", o)
		if !errors.Is(err, ErrTimeout) || time.Since(start) != o.Timeout {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		if res.Receipt.Replicas != 1 || res.Receipt.Durable != 1 {
			t.Errorf("receipt %+v", res.Receipt)
		}
		c.nodes[0].coordinator.Close()
		if c.nodes[1].object(testKey).Missing() {
			t.Error("the slow replica did not get the write")
		}
		if s := c.nodes[0].coordinator.Stats(); s.Timeouts != 1 || s.LateVotes != 1 || s.LateFailures != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestNoTime(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		o := defaults(3)
		o.Timeout = 0
		n := c.nodes[0]
		res, err := n.put("v", o)
		if !errors.Is(err, ErrTimeout) || n.store.mints != 0 || res.Receipt != (Receipt{N: 3, Ring: 7}) {
			t.Errorf("put: %+v, %v, %d mints", res, err, n.store.mints)
		}
		if _, err = n.get(o); !errors.Is(err, ErrTimeout) || n.links[0].calls.Load() != 0 {
			t.Errorf("get: %v", err)
		}
		if _, err = n.coordinator.Delete(context.Background(), DeleteRequest{Key: testKey, Options: o}); !errors.Is(err, ErrTimeout) {
			t.Errorf("delete: %v", err)
		}
	})
}

// Levels out of reach: at once if the ring is too small, else with what was reached.
func TestPutUnsatisfied(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		n := c.nodes[0]
		n.links[2].cut = true
		n.store.fsync, n.links[1].delay = 5*time.Millisecond, 7*time.Millisecond
		o := defaults(3)
		o.PW = LevelAll
		start := time.Now()
		_, err := n.put("v", o)
		e := wantShort(t, err, "PW", 2, 3)
		if took := time.Since(start); took != 7*time.Millisecond {
			t.Errorf("took %v: the refusal came at once, but the others were to be heard", took)
		}
		if !e.Written || e.Receipt.Replicas != 2 || len(e.Causes) != 1 {
			t.Errorf("%+v", e)
		}
		// The others are not waited for beyond the grace.
		n.links[1].silent = true
		start = time.Now()
		_, err = n.put("w", o)
		wantShort(t, err, "PW", 1, 3)
		if took := time.Since(start); took != lostGrace {
			t.Errorf("took %v", took)
		}
	})
	bubble(t, 1, 3, func(t *testing.T, c *cluster) {
		n := c.nodes[0]
		if _, err := n.put("v", defaults(3)); err != nil {
			t.Fatalf("words follow the members: %v", err)
		}
		o := defaults(3)
		o.W = 3
		_, err := n.put("w", o)
		if e := wantShort(t, err, "W", 1, 3); e.Written || n.store.mints != 1 {
			t.Errorf("%+v, %d mints", e, n.store.mints)
		}
		o.W = 4
		_, err = n.put("w", o)
		if e, ok := errors.AsType[*LevelError](err); !ok || e.Level != "W" || e.Value != 4 || e.N != 3 {
			t.Errorf("w=4: %v", err)
		}
		o = defaults(3)
		o.R = 2
		_, err = n.get(o)
		wantShort(t, err, "R", 1, 2)
	})
}

// w=0 does not acknowledge what no store has.
func TestPutZero(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		n := c.nodes[0]
		n.store.fsync = 5 * time.Millisecond
		n.links[1].delay, n.links[2].delay = time.Second, time.Second
		o := defaults(3)
		o.W, o.DW = 0, 0
		start := time.Now()
		res, err := n.put("v", o)
		if err != nil || time.Since(start) != 5*time.Millisecond || res.Receipt.Durable != 1 {
			t.Errorf("%v after %v: %+v", err, time.Since(start), res.Receipt)
		}
	})
}

// A store that acknowledges from the page cache counts as a replica, and not as durable.
func TestPutVolatile(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		c.nodes[0].store.volatile = true
		o := defaults(3)
		o.W = LevelAll
		res, err := c.nodes[0].put("v", o)
		if err != nil || res.Receipt.Replicas != 3 || res.Receipt.Durable != 2 {
			t.Errorf("%+v, %v", res.Receipt, err)
		}
	})
}

// A commit that fails after the object went out costs the local vote only.
func TestPutCommitFails(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		n := c.nodes[0]
		n.store.failCommit = refuse(StorageDown)
		res, err := n.put("v", defaults(3))
		if err != nil || res.Receipt.Replicas != 2 || values(res.Object) != "v" {
			t.Errorf("%+v, %v", res, err)
		}
		o := defaults(3)
		o.W = LevelAll
		_, err = n.put("w", o)
		if e := wantShort(t, err, "W", 2, 3); !e.Written {
			t.Error("written, but not said")
		}
		if s := n.coordinator.Stats(); s.Forwarded != 0 {
			t.Error("a minted write was forwarded")
		}
	})
}

// The client may go; the write stays.
func TestPutCancelled(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		n := c.nodes[0]
		n.store.fsync = 20 * time.Millisecond
		n.links[1].delay, n.links[2].delay = 20*time.Millisecond, 20*time.Millisecond
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Millisecond, cancel)
		_, err := n.coordinator.Put(ctx, putOf("v", defaults(3), nil))
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		n.coordinator.Close()
		for i, n := range c.nodes {
			if n.object(testKey).Missing() {
				t.Errorf("node %d lacks the write", i)
			}
		}
		ctx, cancel = context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if _, err = c.nodes[1].coordinator.Put(ctx, putOf("v", defaults(3), nil)); err != nil {
			t.Error(err)
		}
		c.nodes[1].store.fsync = time.Second
		o := defaults(3)
		o.W = LevelAll
		if _, err = c.nodes[1].coordinator.Put(ctx, putOf("v", o, nil)); !errors.Is(err, ErrTimeout) {
			t.Errorf("a context's deadline: %v", err)
		}
	})
}

// A lossy bucket's put replaces what the minting replica has.
func TestPutLossy(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		o := defaults(3)
		o.Lossy = true
		for _, v := range []string{"a", "b"} {
			res, err := c.nodes[0].put(v, o)
			if err != nil || values(res.Object) != v || !res.Receipt.Lossy {
				t.Errorf("%s: %+v, %v", v, res, err)
			}
		}
	})
}

// What the client must mend goes back to it; nobody else is asked.
func TestPutTooLarge(t *testing.T) {
	for _, reason := range []Reason{TooLarge, TooManySiblings} {
		bubble(t, 4, 3, func(t *testing.T, c *cluster) {
			owners := c.owners(testKey)
			owners[0].store.writeErr = refuse(reason)
			for _, n := range []*node{owners[0], owners[3]} {
				_, err := n.put("v", defaults(3))
				if e, ok := errors.AsType[*RefusedError](err); !ok || e.Reason != reason {
					t.Errorf("%v", err)
				}
			}
			if s := owners[3].coordinator.Stats(); s.Forwarded != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A put retried with its id at the same node mints once.
func TestPutRetriedID(t *testing.T) {
	bubble(t, 3, 3, func(t *testing.T, c *cluster) {
		r := putOf("v", defaults(3), nil)
		for range 2 {
			if _, err := c.nodes[0].coordinator.Put(context.Background(), r); err != nil {
				t.Fatal(err)
			}
		}
		if o := c.nodes[2].object(testKey); len(o.Siblings) != 1 || c.nodes[0].store.mints != 1 {
			t.Errorf("%v", o)
		}
	})
}
