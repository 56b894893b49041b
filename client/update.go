package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// defaultUpdates is how often Update reads and writes, unless its options say otherwise.
const defaultUpdates = 10

// UpdateOptions steer an Update.
type UpdateOptions struct {
	Quorum // of the reads and the writes
	// Merge makes one value of several, from which Change goes on. It must not depend on their
	// order. nil means that siblings end the update with a *SiblingsError.
	Merge func(siblings []Value) (Value, error)
	// Attempts is how often the key is read and written before the update is given up because
	// others keep changing it; 0 means 10.
	Attempts int
	// Unguarded leaves out the condition on the write, which costs the server a read. The write then
	// always succeeds, and is a sibling of what was written since the read.
	Unguarded bool
}

// SiblingsError says that a key has several values and nobody to make one of them.
type SiblingsError struct {
	Key    Key
	Object *Object // the siblings and their context
}

func (e *SiblingsError) Error() string {
	return fmt.Sprintf("client: %v has %d siblings: merge them, and write the result with their context", e.Key, len(e.Object.Values))
}

// Update reads a key, calls change with its value, and writes what change returns with the
// context of the read. Without a value exists is false. It returns what the key holds after the
// write. An error of change or of opts.Merge ends the update and is returned as it is; so a change that
// finds nothing to do returns an error of its own, and nothing is written.
//
// When another writer was faster the key is read again and change called anew, after a pause that
// grows, until opts.Attempts; the last error then matches ErrPrecondition. So change must be free of effects. Two
// writers at the very same moment can both pass: then the object that Update returns has siblings,
// nothing is lost, and the next Update merges them.
func (c *Client) Update(ctx context.Context, key Key, change func(current Value, exists bool) (Value, error), opts UpdateOptions) (*Object, error) {
	attempts := opts.Attempts
	if attempts == 0 {
		attempts = defaultUpdates
	}
	if attempts < 0 {
		return nil, fmt.Errorf("client: %d attempts are negative: %w", attempts, ErrBadRequest)
	}
	for n := 0; ; n++ {
		current, put, err := c.readForUpdate(ctx, key, opts)
		if err != nil {
			return nil, err
		}
		exists := current != nil
		if !exists {
			current = &Value{}
		}
		value, err := change(*current, exists)
		if err != nil {
			return nil, err
		}
		obj, err := c.Put(ctx, key, value, put)
		if !errors.Is(err, ErrPrecondition) && !errors.Is(err, ErrContextRequired) {
			return obj, err
		}
		if n+1 >= attempts {
			return nil, fmt.Errorf("client: %v was changed by others during all of %d attempts: %w", key, attempts, err)
		}
		if pause(ctx, n) != nil {
			return nil, fmt.Errorf("client: update %v: %w", key, ctx.Err())
		}
	}
}

// readForUpdate returns the one value of a key, nil if it has none, and how to write the next one.
func (c *Client) readForUpdate(ctx context.Context, key Key, opts UpdateOptions) (*Value, PutOptions, error) {
	put := PutOptions{Quorum: opts.Quorum, ReturnBody: true}
	obj, err := c.Get(ctx, key, GetOptions{Quorum: opts.Quorum})
	if missing, ok := errors.AsType[*NotFoundError](err); ok {
		put.Context = missing.Context
		if !opts.Unguarded {
			put.IfNoneMatch = "*"
		}
		return nil, put, nil
	}
	if err != nil {
		return nil, put, err
	}
	put.Context = obj.Context
	if !opts.Unguarded {
		put.IfMatch = obj.ETag // without one there is no condition
	}
	if !obj.Siblings {
		return &obj.Values[0], put, nil
	}
	// A deletion beside values: the context covers it, and it has nothing to merge.
	live := slices.DeleteFunc(slices.Clone(obj.Values), func(v Value) bool { return v.Deleted })
	switch {
	case len(live) == 0:
		return nil, put, nil
	case len(live) == 1:
		return &live[0], put, nil
	case opts.Merge == nil:
		return nil, put, &SiblingsError{Key: key, Object: obj}
	}
	merged, err := opts.Merge(live)
	return &merged, put, err
}
