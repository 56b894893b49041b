package quorum

import (
	"errors"
	"fmt"
)

// Errors of the coordinator. What a client can do about each is in the text.
var (
	ErrTimeout    = errors.New("quorum: request timed out")
	ErrNotReady   = errors.New("quorum: this node has no ring yet; wait until /readyz answers 200")
	ErrOverloaded = errors.New("quorum: too many requests are under way; try again later")
	ErrClosed     = errors.New("quorum: the node is stopping")
)

// UnsatisfiedError says that a level was out of reach. errors.As and errors.Is see Causes.
type UnsatisfiedError struct {
	Level   string // "R", "PR", "W", "PW", "DW" or "node_confirms"
	Got     int    // replicas that met it; of a level above the effective N, which is refused unsent, the effective N
	Want    int
	Written bool // a write was minted, or forwarded to an owner that did not answer or was stopping: it may still become visible
	Receipt Receipt
	Causes  []error // of the replicas that failed, in order of arrival
}

func (e *UnsatisfiedError) Error() string {
	return fmt.Sprintf("quorum: %s-value unsatisfied: %d/%d", e.Level, e.Got, e.Want)
}

func (e *UnsatisfiedError) Unwrap() []error { return e.Causes }

// LevelError says that a level cannot hold for any state of the cluster, as it lies above
// the bucket's n_val.
type LevelError struct {
	Level string
	Value int
	N     int // the bucket's n_val
}

func (e *LevelError) Error() string {
	if e.Value < 0 {
		return fmt.Sprintf("quorum: %s=%d is neither a number of replicas nor a word", e.Level, e.Value)
	}
	return fmt.Sprintf("quorum: %s=%d is more than the bucket's n_val of %d", e.Level, e.Value, e.N)
}

// Reason is why a replica refused an operation.
type Reason uint8

// The reasons. TooLarge and TooManySiblings are the client's to mend; the others pass.
const (
	Unreachable     Reason = iota + 1 // no connection, or no answer in time
	Busy                              // queues are full
	StorageDown                       // the replica's store is fenced
	WrongRing                         // the replica has another ring version, or does not own the key there
	Corrupt                           // the copy cannot be read
	TooLarge                          // the object would be larger than allowed
	TooManySiblings                   // the object would have more siblings than allowed
	Failed                            // anything else; Text says what
	Unsure                            // the replica may have lost data and is being compared with the others
	HintsFull                         // the space for hints is used up
)

// RefusedError is a replica's refusal. All errors of Replica and Local are of this type, or
// those of a forwarded request.
type RefusedError struct {
	Reason Reason
	Text   string
}

func (e *RefusedError) Error() string { return e.Text }
