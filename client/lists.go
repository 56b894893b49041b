package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// How long a list may take when neither its options nor its context say so.
const (
	keysTimeout    = 8 * time.Minute
	bucketsTimeout = 5 * time.Minute
	// defaultPage is the length of a page without a limit.
	defaultPage = 1000
)

// ListOptions choose what is listed and how. Names are compared byte by byte.
type ListOptions struct {
	Prefix string // only names that begin with it
	Start  string // only names that do not come before it
	Limit  int    // at most so many names, the first ones; they come sorted. 0 means all
	Sorted bool   // ascending; a list that breaks off can then go on at another endpoint
	// Continuation of an earlier Page: go on after it. The prefix must be the same.
	Continuation string
	// Timeout limits the whole list, also the time that the caller takes for the names; 0 means
	// 8 minutes for keys and 5 for buckets. A deadline of the context shortens it.
	Timeout time.Duration
}

// Page is a part of a list.
type Page struct {
	Names        []string // sorted, the caller's
	Continuation string   // for ListOptions of the next page; empty: this is the last one
}

// ListError says that a list could not be completed: no node could list some part of the ring, the
// time ran out, or the connection broke off. What was listed before is true, but not all.
type ListError struct {
	Endpoint   string
	Message    string        // names what could not be listed
	Names      int64         // that came before
	RetryAfter time.Duration // the server's advice; 0 if it gave none
	Err        error         // what broke off; nil if the server said so itself
	begun      bool          // the server had begun to list, so that another one may go on
}

func (e *ListError) Error() string {
	return fmt.Sprintf("client: %s: the list is not complete after %d names: %s", e.Endpoint, e.Names, e.Message)
}

// Unwrap returns the cause.
func (e *ListError) Unwrap() error { return e.Err }

// timedOut reports whether the list took longer than it might.
func (e *ListError) timedOut() bool {
	return e.Message == "timeout" || errors.Is(e.Err, context.DeadlineExceeded)
}

// Keys lists the keys of a bucket as they come from the server, each once. The loop holds a
// few thousand names at a time, and a slow one slows the server down. An error is the last
// thing that comes; then the list is not complete, see ListError. Leaving the loop
// ends the request. A key written or deleted meanwhile may be listed or not.
//
// A list is a scan of all that the cluster stores in the bucket: it is for maintenance, not for
// serving requests.
func (c *Client) Keys(ctx context.Context, bucket Bucket, opts ListOptions) iter.Seq2[string, error] {
	path, err := bucket.path()
	return c.names(ctx, path+"/keys", "keys", opts, err)
}

// Buckets lists the buckets of a type that hold at least one key, otherwise like Keys. An empty
// typ is the default type.
func (c *Client) Buckets(ctx context.Context, typ string, opts ListOptions) iter.Seq2[string, error] {
	return c.names(ctx, typePath(typ)+"/buckets", "buckets", opts, nil)
}

// KeysPage returns the first keys of a bucket in order, opts.Limit of them or 1000, and where to
// go on. It is never longer than what fits in 64 MiB.
func (c *Client) KeysPage(ctx context.Context, bucket Bucket, opts ListOptions) (Page, error) {
	path, err := bucket.path()
	if err != nil {
		return Page{}, err
	}
	return c.page(ctx, path+"/keys", "keys", opts)
}

// BucketsPage returns the first buckets of a type in order, like KeysPage.
func (c *Client) BucketsPage(ctx context.Context, typ string, opts ListOptions) (Page, error) {
	return c.page(ctx, typePath(typ)+"/buckets", "buckets", opts)
}

// Count returns how many keys a bucket holds, of those that opts.Prefix and opts.Start choose. The
// cluster scans the bucket for it. Other options are refused.
func (c *Client) Count(ctx context.Context, bucket Bucket, opts ListOptions) (int64, error) {
	path, err := bucket.path()
	if err != nil {
		return 0, err
	}
	if opts.Limit != 0 || opts.Continuation != "" {
		return 0, fmt.Errorf("client: a count has no limit and no continuation: %w", ErrBadRequest)
	}
	cl, err := opts.call(path+"/keys", "keys", "count")
	if err != nil {
		return 0, err
	}
	rep, err := c.do(ctx, cl)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Count *int64 `json:"count"`
	}
	if rep.status != http.StatusOK {
		return 0, rep.listError()
	}
	if err := json.Unmarshal(rep.body, &answer); err != nil || answer.Count == nil {
		return 0, fmt.Errorf("client: %s did not answer with a count: %.100q", rep.endpoint, rep.body)
	}
	return *answer.Count, nil
}

func (c *Client) page(ctx context.Context, path, noun string, opts ListOptions) (Page, error) {
	if opts.Limit == 0 {
		opts.Limit = defaultPage
	}
	cl, err := opts.call(path, noun, "true")
	if err != nil {
		return Page{}, err
	}
	rep, err := c.do(ctx, cl)
	if err != nil {
		return Page{}, err
	}
	if rep.status != http.StatusOK {
		return Page{}, rep.listError()
	}
	var o listObject
	if err := json.Unmarshal(rep.body, &o); err != nil {
		return Page{}, fmt.Errorf("client: decode the list of %s: %w", rep.endpoint, err)
	}
	names, err := o.names(noun)
	if err == nil && names == nil {
		err = errors.New("the answer has no list")
	}
	if err != nil || o.Error != "" {
		return Page{}, o.failure(rep, 0, err)
	}
	return Page{Names: names, Continuation: o.Continuation}, nil
}

// call makes the request of a list. form is "true", "stream" or "count".
func (o ListOptions) call(path, noun, form string) (call, error) {
	if o.Limit < 0 {
		return call{}, fmt.Errorf("client: the limit %d is negative: %w", o.Limit, ErrBadRequest)
	}
	// Names are any bytes, which JSON strings are not: they come percent-encoded.
	query := url.Values{noun: {form}, "encoding": {"url"}}
	for _, p := range [...]struct{ name, value string }{
		{"prefix", o.Prefix}, {"start", o.Start}, {"continuation", o.Continuation},
	} {
		if p.value != "" {
			query.Set(p.name, p.value)
		}
	}
	if o.Limit > 0 {
		query.Set("limit", strconv.Itoa(o.Limit))
	}
	if o.Sorted {
		query.Set("sort", "true")
	}
	return call{method: http.MethodGet, path: path, query: query, accept: "application/json", timeout: o.within(noun)}, nil
}

// within is how long the whole list may take.
func (o ListOptions) within(noun string) time.Duration {
	if noun == "buckets" {
		return cmp.Or(o.Timeout, bucketsTimeout)
	}
	return cmp.Or(o.Timeout, keysTimeout)
}

// listObject is one object of a list.
type listObject struct {
	Keys         []string `json:"keys"`
	Buckets      []string `json:"buckets"`
	Continuation string   `json:"continuation"`
	Error        string   `json:"error"`
}

// names returns the object's names, decoded; nil if it has no list at all.
func (o *listObject) names(noun string) ([]string, error) {
	list := o.Keys
	if noun == "buckets" {
		list = o.Buckets
	}
	for i, name := range list {
		if strings.IndexByte(name, '%') < 0 {
			continue
		}
		decoded, err := url.PathUnescape(name)
		if err != nil {
			return nil, fmt.Errorf("the name %.100q is not percent-encoded", name)
		}
		list[i] = decoded
	}
	return list, nil
}

// failure is the error of an object that has one, or could not be read.
func (o *listObject) failure(rep *reply, names int64, err error) error {
	e := &ListError{Endpoint: rep.endpoint, Message: o.Error, Names: names, Err: err, begun: true}
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		e.Message = "the answer ends early"
	case errors.Is(err, context.DeadlineExceeded):
		e.Message = "the time ran out"
	case err != nil:
		e.Message = err.Error()
	}
	return e
}

// listError turns an answer that is no list into its error.
func (r *reply) listError() error {
	err := r.statusError()
	busy, ok := errors.AsType[*QuorumError](err)
	if !ok {
		return err
	}
	return &ListError{Endpoint: r.endpoint, Message: busy.Message, RetryAfter: busy.RetryAfter}
}
