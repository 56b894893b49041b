package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Bounds of one request of a batch, which are the server's.
const (
	maxBatchLines = 1000
	maxBatchBytes = 8 << 20
	// maxBatchRest bounds what may follow the last answer: nothing but the end.
	maxBatchRest = 1 << 10
)

// BatchKind is what an operation of a batch does.
type BatchKind string

// The operations of a batch.
const (
	BatchGet    BatchKind = "get"
	BatchPut    BatchKind = "put"
	BatchDelete BatchKind = "delete"
)

// BatchOp is one operation of a batch.
type BatchOp struct {
	Kind      BatchKind
	Key       string // UTF-8: a batch is JSON
	Value     Value  // of a put
	Context   string // of a put or delete, as in PutOptions and DeleteOptions
	RequestID string // likewise
}

// BatchResult is what came of one operation.
type BatchResult struct {
	Key       Key
	RequestID string // of a put or delete, to repeat it
	// Object is what was read, or of a write its receipt. After a put that stands alone under
	// its key it has the context for the next write. nil if there is an error.
	Object *Object
	// Err is one of the errors of Get, Put and Delete, or the error of the whole batch.
	Err error
}

// BatchOptions hold for all operations of a batch. The timeout is that of one request of up to
// 1,000 operations.
type BatchOptions struct {
	Quorum
	ReturnBody bool // of puts, as in PutOptions
}

// BatchDo carries out operations on one bucket, in few requests instead of one each. It is not a
// transaction: each operation succeeds or fails for itself, in no order except that those of
// one key follow each other. The results are in the order of the operations.
//
// An operation that the server refused, or that missed its quorum, has an error in its result and
// is not repeated. A request that broke off is repeated for the operations without an answer; writes
// are stored once all the same. The error that BatchDo returns is about a whole request: bad
// input, found before anything was sent (no results then), or no answer; the operations
// without an answer have it in their results too, and those after them were not sent.
func (c *Client) BatchDo(ctx context.Context, bucket Bucket, ops []BatchOp, opts BatchOptions) ([]BatchResult, error) {
	path, err := bucket.path()
	if err != nil {
		return nil, err
	}
	b := &batch{c: c, path: path + "/batch", opts: opts, results: make([]BatchResult, len(ops)), lines: make([][]byte, len(ops)), ops: ops}
	for i, op := range ops {
		r := &b.results[i]
		r.Key = bucket.Key(op.Key)
		if op.Kind != BatchGet {
			if r.RequestID = op.RequestID; r.RequestID == "" {
				r.RequestID = NewRequestID()
			}
		}
		if b.lines[i], err = op.line(r.RequestID); err != nil {
			return nil, fmt.Errorf("client: operation %d of the batch: %w", i+1, err)
		}
	}
	for i := 0; i < len(ops) && err == nil; {
		end := b.fits(i)
		err = b.run(ctx, i, end)
		i = end
	}
	if err != nil {
		for i := range b.results {
			if r := &b.results[i]; r.Object == nil && r.Err == nil {
				r.Err = err
			}
		}
	}
	return b.results, err
}

// batch is a batch under way. Its slices are parallel.
type batch struct {
	c       *Client
	path    string
	opts    BatchOptions
	ops     []BatchOp
	lines   [][]byte
	results []BatchResult
}

// fits returns the end of the operations that go into one request from i on, at least one.
func (b *batch) fits(i int) int {
	bytes, end := 0, i
	for end < len(b.lines) && end-i < maxBatchLines {
		bytes += len(b.lines[end])
		if bytes > maxBatchBytes && end > i {
			break
		}
		end++
	}
	return end
}

// run carries out the operations from..end, in one request unless it breaks off.
func (b *batch) run(ctx context.Context, from, end int) error {
	for failures := 0; ; failures++ {
		again := failures > 0
		next, err := b.once(ctx, from, end, again)
		broken, ok := errors.AsType[*brokenBatch](err)
		switch {
		case ok:
		case again:
			return b.giveUp(from, end, err)
		default:
			return err
		}
		if next > from {
			from, failures = next, 0
		}
		if ctx.Err() != nil {
			broken.err = ctx.Err() // which says nothing about the endpoint
		} else {
			b.c.endpoints.failed(broken.index, time.Now())
		}
		if ctx.Err() != nil || failures >= max(b.c.cfg.Retries, 0) || pause(ctx, failures) != nil {
			return b.giveUp(from, end, fmt.Errorf("client: the answer of %s to a batch broke off: %w", broken.endpoint, broken.err))
		}
	}
}

// brokenBatch is an answer that ended before its last line.
type brokenBatch struct {
	endpoint string
	index    int
	err      error
}

func (e *brokenBatch) Error() string { return e.err.Error() }

// giveUp returns err, which ends a batch of which something was sent: it says whether what has no
// answer may have been done.
func (b *batch) giveUp(from, end int, err error) error {
	if _, said := errors.AsType[*IndeterminateError](err); err != nil && !said && b.writes(from, end) {
		return &IndeterminateError{Err: err}
	}
	return err
}

func (b *batch) writes(from, end int) bool {
	for _, op := range b.ops[from:end] {
		if op.Kind != BatchGet {
			return true
		}
	}
	return false
}

// once makes one request and takes its answers. It returns the first operation without one.
func (b *batch) once(ctx context.Context, from, end int, again bool) (next int, err error) {
	query := b.opts.query()
	if b.opts.ReturnBody {
		query.Set("returnbody", "true")
	}
	var body []byte
	for _, line := range b.lines[from:end] {
		body = append(body, line...)
	}
	rep, err := b.c.do(ctx, call{
		method: http.MethodPost, path: b.path, query: query, header: http.Header{"Content-Type": {ndjson}},
		accept: ndjson, body: body, timeout: b.opts.Timeout, write: b.writes(from, end), stream: true,
	})
	if err != nil {
		return from, err
	}
	if rep.status != http.StatusOK {
		return from, rep.statusError()
	}
	// Closing a body that was read, or of which the rest is not wanted.
	defer func() { _ = rep.stream.Close() }()
	rep.doubtful = rep.doubtful || again
	lines := &boundedReader{r: rep.stream}
	dec := json.NewDecoder(lines)
	for i := from; i < end; i++ {
		var a batchAnswer
		lines.left = maxReplyBytes
		if err := dec.Decode(&a); err != nil {
			return i, &brokenBatch{rep.endpoint, rep.index, err}
		}
		if a.Key != "" && a.Key != b.ops[i].Key {
			return i, b.giveUp(i, end, fmt.Errorf("client: %s answered for %.100q where %.100q was due", rep.endpoint, a.Key, b.ops[i].Key))
		}
		b.results[i].Object, b.results[i].Err = a.result(rep, b.results[i].Key, b.ops[i].Kind)
	}
	// Only a connection whose answer was read to its end serves again. All answers are here, so
	// nothing hangs on how it ends.
	_, _ = io.CopyN(io.Discard, rep.stream, maxBatchRest)
	return end, nil
}
