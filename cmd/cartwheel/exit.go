package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"cartwheel/client"
)

// The exit codes of every command.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
	exitSiblings = 4
	exitQuorum   = 5
)

// usageError is a command line that makes no sense.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// codeError ends the command with a code although there is nothing left to say.
type codeError int

func (e codeError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// writeError is a failed write, which its request id makes safe to repeat.
type writeError struct {
	error
	requestID string
}

func (e writeError) Unwrap() error { return e.error }

// again says how to repeat the write.
func (e writeError) again() string { return "repeat it safely with --request-id " + e.requestID }

// report says on w what went wrong and what to do, in one sentence and the nodes' own reasons below it, and
// returns the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	if code, ok := errors.AsType[codeError](err); ok {
		return int(code)
	}
	warn(w, "cartwheel: %s", sentence(err))
	if _, ok := errors.AsType[usageError](err); ok || refusedUnsent(err) {
		return exitUsage
	}
	if errors.Is(err, client.ErrNotFound) {
		return exitNotFound
	}
	if e, ok := errors.AsType[*client.QuorumError](err); ok && !notReady(e) {
		return exitQuorum
	}
	if e, ok := errors.AsType[*client.ListError](err); ok && e.Err == nil && !strings.HasPrefix(e.Message, notReadyText) {
		return exitQuorum // too few nodes for the whole list
	}
	return exitFailed
}

// sentence turns an error into plain words with a way out. It is one line, unless nodes gave
// reasons for a missed quorum: those follow, each on a line of its own.
func sentence(err error) string {
	if e, ok := errors.AsType[*client.NotFoundError](err); ok {
		if e.Deleted {
			return e.Key.String() + " was deleted"
		}
		return e.Key.String() + " was not found"
	}
	// Before what a node may have said that knows nothing of an earlier attempt.
	if e, ok := errors.AsType[*client.IndeterminateError](err); ok {
		wayOut := "read the key before writing again"
		if w, ok := errors.AsType[writeError](err); ok {
			wayOut = w.again()
		}
		return fmt.Sprintf("the answer is missing (%s), so the write may or may not have been stored; %s", cause(e.Err), wayOut)
	}
	if e, ok := errors.AsType[*client.QuorumError](err); ok {
		return quorumSentence(e, err)
	}
	if e, ok := errors.AsType[*client.ListError](err); ok {
		return listSentence(e)
	}
	if e, ok := errors.AsType[*client.StatusError](err); ok {
		return statusSentence(e)
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	if errors.Is(err, client.ErrUnreachable) {
		return fmt.Sprintf("no node answered (%s); start a cluster with \"cartwheel dev\", or name a running node with --endpoint or %s", cause(err), endpointVariable)
	}
	return strings.TrimSuffix(plain(err), ": bad request")
}

// refusedUnsent reports whether the client refused what the command line asks for, such as an
// empty name, before it asked a node.
func refusedUnsent(err error) bool {
	_, answered := errors.AsType[*client.StatusError](err)
	return errors.Is(err, client.ErrBadRequest) && !answered
}

// brief returns what went wrong without the way out.
func brief(err error) string {
	text, _, _ := strings.Cut(sentence(err), "; ")
	return text
}

// notReadyText begins the answer of a node that does not serve yet. Such a node asked nobody, so
// that no quorum was missed.
const notReadyText = "this node is not ready"

func notReady(e *client.QuorumError) bool { return strings.HasPrefix(e.Message, notReadyText) }

// quorumSentence passes on what the node said: why, and whether a write may become visible
// later. The reasons of the replicas come last, each on an indented line.
func quorumSentence(e *client.QuorumError, err error) string {
	if notReady(e) {
		return strings.TrimPrefix(plain(errors.New(e.Message)), "this node is ")
	}
	var said, reasons []string
	for line := range strings.SplitSeq(e.Message, "\n") {
		line = plain(errors.New(line))
		if strings.HasPrefix(line, "Because: ") {
			reasons = append(reasons, "\n  "+line)
			continue
		}
		said = append(said, strings.TrimSuffix(line, "."))
	}
	wayOut := `try again, or see "cartwheel status"`
	if w, ok := errors.AsType[writeError](err); ok {
		wayOut = `see "cartwheel status", or ` + w.again()
	} else if e.RetryAfter > 0 {
		wayOut = fmt.Sprintf(`try again in %v, or see "cartwheel status"`, e.RetryAfter)
	}
	return "quorum not reached: " + strings.Join(said, "; ") + "; " + wayOut + strings.Join(reasons, "")
}

// listSentence says how far a list came, and why no farther.
func listSentence(e *client.ListError) string {
	message := plain(errors.New(e.Message))
	if strings.HasPrefix(message, notReadyText) {
		return strings.TrimPrefix(message, "this node is ")
	}
	wayOut := `try again, or see "cartwheel status"`
	if e.Message == "timeout" || errors.Is(e.Err, context.DeadlineExceeded) {
		message, wayOut = "the time ran out", "give it more with --timeout"
	} else if e.RetryAfter > 0 {
		wayOut = fmt.Sprintf(`try again in %v, or see "cartwheel status"`, e.RetryAfter)
	}
	return fmt.Sprintf("the list is not complete after %d names: %s; %s", e.Names, message, wayOut)
}

func statusSentence(e *client.StatusError) string {
	message := strings.ReplaceAll(strings.TrimPrefix(e.Message, "Error:\n"), "\n", "; ")
	switch {
	case e.Status >= 500:
		return fmt.Sprintf("%s failed with status %d: %s; its log says more", e.Endpoint, e.Status, message)
	case e.Status >= 400 && message != http.StatusText(e.Status):
		return "the node refused: " + message
	}
	return fmt.Sprintf("%s answered status %d: %s; is it a Cartwheel node?", e.Endpoint, e.Status, message)
}

// cause returns the innermost words about why there was no answer, with the address.
func cause(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		text := u.Err.Error()
		if target, parseErr := url.Parse(u.URL); parseErr == nil && !strings.Contains(text, target.Host) {
			text = target.Host + ": " + text
		}
		return text
	}
	return plain(err)
}

// packageNames are before the texts of errors for those who read code, not for users.
var packageNames = regexp.MustCompile(`\b(bench|check|client|datadir|gossip|node|props|quorum|replica|ring|storage|transport|vclock): `)

// plain returns an error's text without the names of the packages it came from, on one line.
func plain(err error) string {
	return strings.ReplaceAll(packageNames.ReplaceAllString(err.Error(), ""), "\n", "; ")
}
