package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"cartwheel/client"

	"github.com/cenkalti/backoff/v5"
)

// keepFailures is how many failed lines are kept to be named.
const keepFailures = 10

// The pauses between the attempts at the lines of one batch.
const (
	firstPause  = 100 * time.Millisecond
	longest     = 5 * time.Second
	pauseGrowth = 2
)

// item is a line that can be stored, on its way.
type item struct {
	line      int
	key       string
	requestID string
	value     client.Value
	err       error // of the last attempt
}

// storeFunc makes one attempt at storing items, and sets the err of each. Attempts with one
// request id store it once.
type storeFunc func(ctx context.Context, items []*item)

// loader stores the lines of an input. Memory is bounded: each worker holds one chunk of lines,
// and one more waits.
type loader struct {
	store       storeFunc
	clients     int           // workers
	batch       int           // lines that are stored together; below 1 counts as 1
	retryFor    time.Duration // for the lines of a batch; 0: one attempt
	stopOnError bool

	mu         sync.Mutex
	started    time.Time
	lastStored time.Time // zero: nothing yet
	counts     counts
	retrying   int           // batches under way of which lines failed in the last attempt
	lastError  error         // of such a line; read while there is one
	failures   []lineFailure // those with the lowest numbers, in order
	stop       error         // why reading should end, if it should
	stopped    chan struct{} // closed when stop is set
}

// counts is the progress of a load.
type counts struct {
	stored, failed int64
	lines          int           // read, with blank ones
	bytes          int64         // read
	took           time.Duration // since the start
	waiting        string        // the last error of a line that is being repeated; empty: none is
}

// lineFailure is a line that could not be stored.
type lineFailure struct {
	line int
	key  string // empty when the line has none
	err  error
}

func (f lineFailure) describe() string {
	text := sentence(f.err)
	if f.key != "" {
		return fmt.Sprintf("key %q: %s", f.key, text)
	}
	return text
}

type job struct {
	line   int
	record []byte
}

// run stores every line of r. The error says why it ended early; lines that failed are not an
// error but counted. It returns after its last worker has ended.
func (l *loader) run(ctx context.Context, r io.Reader) error {
	l.mu.Lock()
	l.started, l.stopped = time.Now(), make(chan struct{})
	l.mu.Unlock()
	jobs := make(chan []job)
	var wg sync.WaitGroup
	for range l.clients {
		wg.Go(func() {
			for chunk := range jobs {
				l.chunk(ctx, chunk)
			}
		})
	}
	err := l.feed(ctx, newLineReader(r), jobs)
	close(jobs)
	wg.Wait()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stop
}

// feed hands out the lines until the input ends or there is a reason to stop.
func (l *loader) feed(ctx context.Context, lines *lineReader, jobs chan<- []job) error {
	for {
		chunk, err := l.nextChunk(ctx, lines)
		if len(chunk) > 0 {
			select {
			case jobs <- chunk:
			case <-l.stopped:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// chunkBytes is the size that ends a chunk.
const chunkBytes = 1 << 20

// nextChunk reads lines to be stored together: as many as make a batch, or as are there before
// the input lets wait for more. Lines beside the error are to be stored all the same; at the end of the
// input, or when there is a reason to stop, it is io.EOF.
func (l *loader) nextChunk(ctx context.Context, lines *lineReader) (chunk []job, err error) {
	for size := 0; len(chunk) < max(l.batch, 1) && size < chunkBytes && (len(chunk) == 0 || lines.ready()); {
		select { // or an endless run of blank lines would go on
		case <-l.stopped:
			return chunk, io.EOF
		case <-ctx.Done():
			return chunk, ctx.Err()
		default:
		}
		line, err := lines.next()
		l.read(lines)
		switch {
		case errors.Is(err, io.EOF):
			return chunk, err
		case errors.Is(err, errLineTooLong):
			l.failed(lineFailure{line: lines.number, err: err})
			continue
		case err != nil:
			return chunk, fmt.Errorf("read line %d: %w", lines.number+1, err)
		}
		if lines.number == 1 {
			line = bytes.TrimPrefix(line, []byte("\uFEFF")) // the mark that some editors put first
		}
		if len(bytes.TrimSpace(line)) > 0 {
			chunk = append(chunk, job{lines.number, line})
			size += len(line)
		}
	}
	return chunk, nil
}

// chunk stores lines.
func (l *loader) chunk(ctx context.Context, chunk []job) {
	var items []*item
	for _, j := range chunk {
		key, value, err := parseRecord(j.record)
		if err != nil {
			l.failed(lineFailure{j.line, key, err})
			continue
		}
		items = append(items, &item{line: j.line, key: key, requestID: client.NewRequestID(), value: value})
	}
	if len(items) == 0 {
		return
	}
	began := time.Now()
	for _, i := range l.attempts(ctx, items) {
		l.failed(lineFailure{i.line, i.key, i.err})
		if ctx.Err() == nil {
			l.giveUp(began, i.err)
		}
	}
}

// attempts stores items, repeating what fails for a passing reason. It returns those that still
// do at the end.
func (l *loader) attempts(ctx context.Context, items []*item) (left []*item) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = firstPause, longest, pauseGrowth
	left = items
	retrying := false
	defer func() {
		if retrying {
			l.retry(-1, nil)
		}
	}()
	_, _ = backoff.Retry(ctx, func() (struct{}, error) { // each item has its own error
		l.store(ctx, left)
		if left = l.settle(left); len(left) == 0 {
			return struct{}{}, nil
		}
		last := left[0].err
		switch {
		case l.retryFor == 0:
			return struct{}{}, backoff.Permanent(last)
		case retrying:
			l.retry(0, last)
		default:
			retrying = true
			l.retry(1, last)
		}
		if q, ok := errors.AsType[*client.QuorumError](last); ok && q.RetryAfter > 0 {
			// The server's word counts; half a pause more, or all workers would return at once.
			return struct{}{}, &backoff.RetryAfterError{Duration: q.RetryAfter + pauses.NextBackOff()/2}
		}
		return struct{}{}, last
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(l.retryFor))
	return left
}

// settle counts what an attempt has decided, and returns the items that failed for a passing reason.
func (l *loader) settle(items []*item) (left []*item) {
	stored := 0
	for _, i := range items {
		switch {
		case i.err == nil:
			stored++
		case passing(i.err):
			left = append(left, i)
		default:
			l.failed(lineFailure{i.line, i.key, i.err})
		}
	}
	if stored > 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.counts.stored += int64(stored)
		l.lastStored = time.Now()
	}
	return left
}

// retry changes the number of batches that are being repeated, and keeps why one of them is.
func (l *loader) retry(change int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retrying += change
	if err != nil {
		l.lastError = err
	}
}

// passing reports whether an attempt failed for a reason that may pass.
func passing(err error) bool {
	if _, ok := errors.AsType[*client.QuorumError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*client.IndeterminateError](err); ok {
		return true
	}
	if s, ok := errors.AsType[*client.StatusError](err); ok {
		return s.Status >= 500
	}
	return errors.Is(err, client.ErrUnreachable)
}

// failed counts a failed line and keeps it if it is among the first.
func (l *loader) failed(f lineFailure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.failed++
	at, _ := slices.BinarySearchFunc(l.failures, f.line, func(f lineFailure, line int) int { return f.line - line })
	l.failures = slices.Insert(l.failures, at, f)
	if len(l.failures) > keepFailures {
		l.failures = l.failures[:keepFailures]
	}
	if l.stopOnError {
		l.stopLocked("stopped at line %d, which could not be stored", f.line)
	}
}

// giveUp ends the load when a line's attempts all failed and no other line was stored
// meanwhile: with the whole cluster away, every further line would only wait as long again.
func (l *loader) giveUp(began time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retryFor > 0 && l.lastStored.Before(began) {
		l.stopLocked("gave up, since no line could be stored for %v: %s", l.retryFor, firstLine(sentence(err)))
	}
}

// firstLine leaves out the reasons of replicas, which the line's own failure names.
func firstLine(s string) string {
	first, _, _ := strings.Cut(s, "\n")
	return first
}

// stopLocked ends the reading; the first reason counts.
func (l *loader) stopLocked(format string, args ...any) {
	if l.stop == nil {
		l.stop = fmt.Errorf(format, args...)
		close(l.stopped)
	}
}

func (l *loader) read(lines *lineReader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.lines, l.counts.bytes = lines.number, lines.bytes
}

// progress returns what was done so far.
func (l *loader) progress() counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts
	if !l.started.IsZero() {
		c.took = time.Since(l.started)
	}
	if l.retrying > 0 {
		c.waiting = brief(l.lastError)
	}
	return c
}
