package httpapi

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"cartwheel/quorum"
)

// Every error of the coordinator has its status, text and retry hint, on reads and writes.
func TestCoordinatorErrors(t *testing.T) {
	receipt := quorum.Receipt{Replicas: 1, Primaries: 1, N: 3, Ring: 17}
	const shown = "replicas=1 primaries=1 fallbacks=0 durable=0 n=3 ring=17"
	refused := func(r quorum.Reason) error { return &quorum.RefusedError{Reason: r, Text: "because"} }
	const mayAppear = "The write may have been stored on fewer replicas than asked for and may still become visible.\n"
	for _, test := range []struct {
		err     error
		status  int
		read    string
		write   string // "" if the same
		retry   bool
		receipt string
	}{
		{quorum.ErrTimeout, 503, "request timed out\n", "request timed out\nThe write may still become visible.\n", false, ""},
		{fmt.Errorf("get: %w", context.DeadlineExceeded), 503, "request timed out\n", "", false, ""},
		{context.Canceled, 499, "the client is gone\n", "", false, ""},
		{&quorum.UnsatisfiedError{Level: "PR", Got: 1, Want: 2, Receipt: receipt}, 503, "PR-value unsatisfied: 1/2\n", "", true, shown},
		{&quorum.UnsatisfiedError{Level: "node_confirms", Got: 0, Want: 2, Receipt: receipt}, 503, "node_confirms-value unsatisfied: 0/2\n", "", true, shown},
		{&quorum.UnsatisfiedError{Level: "W", Got: 1, Want: 2, Written: true, Receipt: receipt}, 503, "W-value unsatisfied: 1/2\n" + mayAppear, "", true, shown},
		{&quorum.UnsatisfiedError{Level: "W", Got: 1, Want: 2, Receipt: receipt, Causes: []error{refused(quorum.StorageDown), errors.New("two\nlines"), refused(quorum.Busy)}}, 503, "W-value unsatisfied: 1/2\nBecause: because\nBecause: two; lines\n", "", true, shown},
		{&quorum.LevelError{Level: "W", Value: 4, N: 3}, 400, "Specified w/dw/pw/node_confirms values invalid for bucket n value of 3\n", "", false, ""},
		{quorum.ErrOverloaded, 503, "too many requests are under way; try again later\n", "", true, ""},
		{quorum.ErrNotReady, 503, "this node is not ready: it has no ring yet; wait until /readyz answers 200\n", "", true, ""},
		{quorum.ErrClosed, 503, "the node is stopping\n", "", true, ""},
		{refused(quorum.TooLarge), 413, "the object would be too large: because\n", "", false, ""},
		{refused(quorum.TooManySiblings), 409, "the object has too many siblings: read it, merge its values, and write the result with its X-Riak-Vclock\n", "", false, ""},
		{refused(quorum.Busy), 503, "busy: because\n", "", true, ""},
		{refused(quorum.StorageDown), 503, "unavailable: because\n", "", true, ""},
		{refused(quorum.Unreachable), 503, "unavailable: because\n", "", true, ""},
		{refused(quorum.WrongRing), 503, "unavailable: because\n", "", true, ""},
		{refused(quorum.Corrupt), 503, "unavailable: because\n", "", true, ""},
		{errors.New("surprise"), 500, "Error:\nsurprise\n", "", false, ""},
	} {
		c := newCluster(t)
		c.get = func(quorum.GetRequest) (quorum.GetResult, error) { return quorum.GetResult{}, test.err }
		c.put = func(quorum.PutRequest) (quorum.PutResult, error) { return quorum.PutResult{}, test.err }
		c.delete = func(quorum.DeleteRequest) (quorum.DeleteResult, error) { return quorum.DeleteResult{}, test.err }
		a := c.server(t)
		if test.write == "" {
			test.write = test.read
		}
		const path = "/buckets/b/keys/k"
		for method, body := range map[string]string{"GET": test.read, "PUT": test.write, "POST": test.write, "DELETE": test.write} {
			r := want(t, do(a, method, path, "", "Content-Type", "text/plain"), test.status, body)
			if got := r.Header.Get("Retry-After") != ""; got != test.retry {
				t.Errorf("%v: Retry-After %v, want %v", test.err, got, test.retry)
			}
			if got := r.Header.Get("X-Cartwheel-Receipt"); got != test.receipt {
				t.Errorf("%v: receipt %q, want %q", test.err, got, test.receipt)
			}
			if got := r.Header.Get("Content-Type"); got != "text/plain" {
				t.Errorf("%v: Content-Type %q", test.err, got)
			}
		}
		want(t, do(a, "PUT", path, "", "Content-Type", "text/plain", "If-Match", "*"), test.status, test.read) // the read fails first
	}
}

// A write that had no time was not sent: nothing can become visible.
func TestNoTimeNoWrite(t *testing.T) {
	c := newCluster(t)
	want(t, do(c.server(t), "PUT", "/buckets/b/keys/k?timeout=0", "x", "Content-Type", "text/plain"), 503, "request timed out\n")
}

// A receipt that comes beside an error is shown.
func TestReceiptBesideError(t *testing.T) {
	c := newCluster(t)
	c.get = func(r quorum.GetRequest) (quorum.GetResult, error) {
		return quorum.GetResult{Receipt: c.receipt(r.Options, 0)}, quorum.ErrTimeout
	}
	r := want(t, do(c.server(t), "GET", "/buckets/b/keys/k", ""), 503, "request timed out\n")
	if got := r.Header.Get("X-Cartwheel-Receipt"); got != "replicas=2 primaries=2 fallbacks=0 durable=0 n=3 ring=17" {
		t.Errorf("receipt %q", got)
	}
}
