package client

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Errors to match with errors.Is. Those with more to say have a type of their own, for
// errors.As.
var (
	ErrNotFound    = errors.New("client: not found")            // a *NotFoundError
	ErrBadRequest  = errors.New("client: bad request")          // the server's (400, 415), or found before sending
	ErrTooLarge    = errors.New("client: too large")            // the value (413) or the names (414)
	ErrUnreachable = errors.New("client: no endpoint answered") // every attempt failed before an answer came
	// Of conditions (Conditions) and of the bucket property require_context.
	ErrNotModified     = errors.New("client: not modified")           // 304: what the caller has is still true
	ErrPrecondition    = errors.New("client: a condition failed")     // 412: the key holds something else
	ErrContextRequired = errors.New("client: the context is missing") // 428: the bucket takes no blind writes
)

// NotFoundError says that the key holds no value. It matches ErrNotFound.
type NotFoundError struct {
	Key     Key
	Deleted bool   // the key held a value once; Context covers the deletion
	Context string // of the deletion; pass it to a Put to replace it. Empty for a key never written
	Receipt Receipt
}

func (e *NotFoundError) Error() string {
	if e.Deleted {
		return fmt.Sprintf("client: %v was deleted", e.Key)
	}
	return fmt.Sprintf("client: %v not found", e.Key)
}

// Is makes errors.Is(err, ErrNotFound) true.
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// QuorumError says that a request did not meet its quorum: too few replicas, too slow ones, or
// a node without room (503). A write that ends so may become visible later.
type QuorumError struct {
	Endpoint    string
	Message     string        // the server's text
	Requirement string        // which one failed, such as "PW"; empty if the text names none
	Got, Wanted int           // for Requirement
	RetryAfter  time.Duration // the server's advice; 0 if it gave none
	Receipt     Receipt
}

func (e *QuorumError) Error() string {
	return fmt.Sprintf("client: %s: quorum not reached: %s", e.Endpoint, e.Message)
}

// timedOut reports whether the request's own time ran out, so that another attempt would only
// make the caller wait longer than it asked for.
func (e *QuorumError) timedOut() bool {
	return strings.HasPrefix(e.Message, "request timed out") || e.Message == "timeout" // of a list
}

// notReady reports whether the answer is that of a node that serves no request yet, or no more.
func (r *reply) notReady() bool {
	return r.status == http.StatusServiceUnavailable && strings.HasPrefix(r.message(), "this node is not ready")
}

// disowns reports whether a node refused a request without asking what came of an earlier attempt
// elsewhere. A failed condition does not count: that is judged for all attempts at once, by their
// idempotency key. Nor does a key that is not there, which is what a delete wants.
func (r *reply) disowns() bool {
	return r.status >= 400 && r.status < 500 && r.status != http.StatusPreconditionFailed && !(r.status == http.StatusNotFound && r.isNotFound())
}

// unsatisfied matches the server's text about a quorum that was not met.
var unsatisfied = regexp.MustCompile(`^(\w+)-value unsatisfied: (\d{1,9})/(\d{1,9})`)

// StatusError is any other answer that is not a success. It matches the error above that belongs
// to its status.
type StatusError struct {
	Endpoint string
	Status   int
	Message  string // the server's text, one line or a few
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("client: %s: %d %s: %s", e.Endpoint, e.Status, http.StatusText(e.Status), e.Message)
}

// Is matches the sentinel of the status.
func (e *StatusError) Is(target error) bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType:
		return target == ErrBadRequest
	case http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong:
		return target == ErrTooLarge
	case http.StatusNotModified:
		return target == ErrNotModified
	case http.StatusPreconditionFailed:
		return target == ErrPrecondition
	case http.StatusPreconditionRequired:
		return target == ErrContextRequired
	}
	return false
}

// IndeterminateError says that a write may or may not have been executed: the connection broke,
// or the caller's context ended, after the request may have reached a node. What another node then
// answered, if one did, is in Err. Repeating the write with the same RequestID or IdempotencyKey,
// whichever is set, is safe. Both are empty for a batch, whose operations have ids of their own.
type IndeterminateError struct {
	RequestID      string
	IdempotencyKey string
	Err            error
}

func (e *IndeterminateError) Error() string {
	return "client: the write may or may not have been stored: " + strings.TrimPrefix(e.Err.Error(), "client: ")
}

// Unwrap returns the cause.
func (e *IndeterminateError) Unwrap() error { return e.Err }

// quorumError turns a 503 into its error.
func (r *reply) quorumError() *QuorumError {
	e := &QuorumError{
		Endpoint: r.endpoint, Message: r.message(),
		RetryAfter: parseRetryAfter(r.header.Get("Retry-After")), Receipt: r.receipt(),
	}
	if m := unsatisfied.FindStringSubmatch(e.Message); m != nil {
		e.Requirement = m[1]
		// At most nine digits were matched, so neither can fail.
		e.Got, _ = strconv.Atoi(m[2])
		e.Wanted, _ = strconv.Atoi(m[3])
	}
	return e
}

// statusError turns any other failure into its error.
func (r *reply) statusError() error {
	if r.status == http.StatusServiceUnavailable {
		return r.quorumError()
	}
	return &StatusError{Endpoint: r.endpoint, Status: r.status, Message: r.message()}
}

// parseRetryAfter reads the seconds form of the header; the date form, which nodes do not send,
// counts as none.
func parseRetryAfter(s string) time.Duration {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}
