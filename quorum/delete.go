package quorum

import (
	"context"
	"slices"
	"time"

	"cartwheel/vclock"
)

// Delete writes a tombstone. With a context it covers what the client had read, whatever
// there is now. Without one the object is read first: if nothing live is found the answer is
// NotFound and nothing is written; else the tombstone covers what was read, and a value
// written meanwhile stays as its sibling. Errors are those of Get and Put.
func (c *Coordinator) Delete(ctx context.Context, r DeleteRequest) (DeleteResult, error) {
	if ctx.Err() != nil {
		return DeleteResult{}, contextError(ctx)
	}
	c.stats.deletes.Add(1)
	deadline := time.Now().Add(r.Timeout)
	w := PutRequest{Key: r.Key, Context: r.Context, RequestID: r.RequestID, Deleted: true, Options: r.Options}
	if !r.HasContext {
		// Impossible write levels are refused whatever the read would find.
		if err := (&put{c: c, request: w}).check(); err != nil {
			c.stats.count(err)
			return DeleteResult{}, err
		}
		read, err := c.get(ctx, &GetRequest{Key: r.Key, Options: r.Options})
		if err != nil {
			return DeleteResult{Receipt: read.Receipt}, err
		}
		if !live(read.Object, time.Now()) {
			return DeleteResult{NotFound: true, Object: read.Object, Receipt: read.Receipt}, nil
		}
		w.Context = read.Object.Clock
		w.Timeout = time.Until(deadline)
	}
	written, err := c.put(ctx, &put{request: w, mayForward: true})
	return DeleteResult{Receipt: written.Receipt}, err
}

// live reports whether o has a value that is neither deleted nor expired.
func live(o vclock.Object, now time.Time) bool {
	return slices.ContainsFunc(o.Siblings, func(s vclock.Sibling) bool {
		return !s.Deleted && (s.Expiry == 0 || s.Expiry > now.UnixMilli())
	})
}
