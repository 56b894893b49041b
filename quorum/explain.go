package quorum

import (
	"context"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// explainTimeout is for how long Explain waits for an owner.
const explainTimeout = 5 * time.Second

// Copy is what one owner of a key has: its object, zero if missing, or why it did not say.
type Copy struct {
	Member int // index into the ring's members
	Object vclock.Object
	Err    error
}

// Explain reads the full copy of every owner of a key in a bucket with n_val n and returns
// them in preference order, one per owner. It repairs nothing and waits 5 s at most. The
// objects are shared, read-only. The error says that no owner could be asked.
func (c *Coordinator) Explain(ctx context.Context, key ring.Key, n int) ([]Copy, error) {
	at, err := c.place(key, n)
	if err != nil {
		return nil, err
	}
	if err := c.begin(); err != nil {
		return nil, err
	}
	defer c.end()
	defer c.answered()
	type reply struct {
		at int
		ReadReply
	}
	replies := make(chan reply, len(at.owners)) // room for all: an answer after ctx ended must not block
	for i, member := range at.owners {
		at.view.Replicas[member].Read(Read{Target: at.target, Budget: explainTimeout, Done: func(r ReadReply) {
			replies <- reply{i, r}
		}})
	}
	copies := make([]Copy, len(at.owners))
	for range copies {
		select {
		case r := <-replies:
			copies[r.at] = Copy{Member: at.owners[r.at], Object: r.Object, Err: r.Err}
		case <-ctx.Done():
			return nil, contextError(ctx)
		case <-c.stop:
			return nil, ErrClosed
		}
	}
	return copies, nil
}
