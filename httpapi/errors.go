package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"cartwheel/quorum"
)

// failure is an answer that is not what was asked for.
type failure struct {
	status int
	reason reason // under which it is counted as rejected; 0 not at all
	text   string // ends in a newline where the object API wants one
	retry  bool   // the same request may succeed soon: say so in Retry-After
}

// reason is why a request was rejected, the label of a counter.
type reason uint8

const (
	badPath reason = iota + 1
	badParameter
	badHeader
	badContext
	badBody
	badProperties
	unknownType
	nameTooLong
	valueTooLarge
	metadataTooLarge
	tooManySiblings
	contextRequired
	overloaded
	unavailable
	reasons
)

var reasonNames = [reasons]string{
	badPath: "path", badParameter: "parameter", badHeader: "header", badContext: "context", badBody: "body",
	badProperties: "properties", unknownType: "type", nameTooLong: "name_too_long", valueTooLarge: "value_too_large",
	metadataTooLarge: "metadata_too_large", tooManySiblings: "too_many_siblings",
	contextRequired: "context_required", overloaded: "overloaded",
	unavailable: "unavailable",
}

// statusClientGone counts requests whose client went away before the answer. Nobody sees it.
const statusClientGone = 499

// classify is the one place where errors of the coordinator become answers. The receipt is
// zero unless the error carries one.
func classify(err error) (failure, quorum.Receipt) {
	var unsatisfied *quorum.UnsatisfiedError
	var level *quorum.LevelError
	var refused *quorum.RefusedError
	switch {
	// First, as its causes are errors of the other kinds.
	case errors.As(err, &unsatisfied):
		return unsatisfiedFailure(unsatisfied), unsatisfied.Receipt
	case errors.As(err, &level):
		text := fmt.Sprintf("Specified w/dw/pw/node_confirms values invalid for bucket n value of %d\n", level.N)
		return failure{status: http.StatusBadRequest, reason: badParameter, text: text}, quorum.Receipt{}
	case errors.Is(err, quorum.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return failure{status: http.StatusServiceUnavailable, text: "request timed out\n"}, quorum.Receipt{}
	case errors.Is(err, context.Canceled):
		return failure{status: statusClientGone, text: "the client is gone\n"}, quorum.Receipt{}
	case errors.Is(err, quorum.ErrOverloaded):
		return failure{http.StatusServiceUnavailable, overloaded, "too many requests are under way; try again later\n", true}, quorum.Receipt{}
	case errors.Is(err, quorum.ErrNotReady):
		return notReady(""), quorum.Receipt{}
	case errors.Is(err, quorum.ErrClosed):
		return failure{http.StatusServiceUnavailable, unavailable, "the node is stopping\n", true}, quorum.Receipt{}
	case errors.As(err, &refused):
		return refusedFailure(refused), quorum.Receipt{}
	}
	return failure{status: http.StatusInternalServerError, text: "Error:\n" + err.Error() + "\n"}, quorum.Receipt{}
}

// unsatisfiedFailure says what was reached. A write that some replica has taken is not
// undone, and the client must not think it is.
func unsatisfiedFailure(e *quorum.UnsatisfiedError) failure {
	text := fmt.Sprintf("%s-value unsatisfied: %d/%d\n", e.Level, e.Got, e.Want)
	if e.Written {
		text += "The write may have been stored on fewer replicas than asked for and may still become visible.\n"
	}
	return failure{status: http.StatusServiceUnavailable, text: text + causes(e.Causes), retry: true}
}

// maxCauses bounds how many replicas' reasons an answer gives.
const maxCauses = 5

// causes returns a line for each different reason that replicas gave.
func causes(errs []error) string {
	var lines []string
	for _, err := range errs {
		line := "Because: " + strings.ReplaceAll(err.Error(), "\n", "; ") + "\n"
		if len(lines) < maxCauses && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// refusedFailure answers a replica's refusal. Too many siblings is 409: the request is well
// formed and clashes with the state of the object, which the client can mend.
func refusedFailure(e *quorum.RefusedError) failure {
	switch e.Reason {
	case quorum.TooLarge:
		return failure{status: http.StatusRequestEntityTooLarge, reason: valueTooLarge,
			text: "the object would be too large: " + e.Text + "\n"}
	case quorum.TooManySiblings:
		return failure{status: http.StatusConflict, reason: tooManySiblings,
			text: "the object has too many siblings: read it, merge its values, and write the result with its X-Riak-Vclock\n"}
	case quorum.Busy:
		return failure{http.StatusServiceUnavailable, overloaded, "busy: " + e.Text + "\n", true}
	default:
		return failure{http.StatusServiceUnavailable, unavailable, "unavailable: " + e.Text + "\n", true}
	}
}

// notReady answers object requests of a node that cannot serve them.
func notReady(why string) failure {
	if why == "" {
		why = "it has no ring yet"
	}
	return failure{http.StatusServiceUnavailable, unavailable, "this node is not ready: " + why + "; wait until /readyz answers 200\n", true}
}

// known reports whether a method is one of HTTP itself. Others are 501 everywhere.
func known(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete,
		http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return true
	}
	return false
}

// refuseMethod answers in the form of the resource: text for objects, JSON for all others.
func (x *exchange) refuseMethod(status int, text string) {
	if _, object := x.match.Vars["key"]; object {
		x.text(status, text)
		return
	}
	x.jsonError(status, strings.TrimSuffix(text, "\n"))
}

// bad is a malformed request.
func bad(r reason, text string) failure {
	return failure{status: http.StatusBadRequest, reason: r, text: text + "\n"}
}
