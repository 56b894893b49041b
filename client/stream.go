package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"sync/atomic"
	"time"
)

// nameList is a list under way.
type nameList struct {
	c     *Client
	path  string
	noun  string
	opts  ListOptions // Start, Limit and Continuation move on when the list is resumed
	count int64       // names handed out
	last  string      // of them
}

// listSilence is how long a stream may be silent. A node that finds nothing for long says so every
// ten seconds.
const listSilence = 45 * time.Second

// errLeft says that the caller left the loop.
var errLeft = errors.New("client: the loop was left")

// names returns the iterator of a list; one that cannot begin yields err.
func (c *Client) names(ctx context.Context, path, noun string, opts ListOptions, err error) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err == nil {
			// Each loop over the iterator is a list of its own.
			l := nameList{c: c, path: path, noun: noun, opts: opts}
			if err := l.run(ctx, yield); err != nil && !errors.Is(err, errLeft) {
				yield("", err)
			}
			return
		}
		yield("", err)
	}
}

// run hands out the names. A list that breaks off is resumed where it stood, if it is sorted; an
// unsorted one only before its first name, because nobody knows which ones are left.
func (l *nameList) run(ctx context.Context, yield func(string, error) bool) error {
	deadline := time.Now().Add(l.opts.within(l.noun))
	for failures := 0; ; failures++ {
		before := l.count
		err := l.once(ctx, yield)
		broken, ok := errors.AsType[*ListError](err)
		if !ok || !broken.begun || broken.timedOut() || !l.resumable() {
			return err
		}
		if l.count > before {
			failures = 0
		}
		if failures >= max(l.c.cfg.Retries, 0) || pause(ctx, failures) != nil {
			return err
		}
		if l.count > before && l.advance(l.count-before) {
			return nil
		}
		if l.opts.Timeout = time.Until(deadline); l.opts.Timeout <= 0 {
			return err
		}
	}
}

func (l *nameList) resumable() bool { return l.opts.Sorted || l.opts.Limit > 0 || l.count == 0 }

// advance moves the options behind the last of the n names that came, and reports whether those
// were all that was asked for.
func (l *nameList) advance(n int64) (done bool) {
	l.opts.Start, l.opts.Continuation = l.last+"\x00", "" // the next name there can be
	if l.opts.Limit == 0 {
		return false
	}
	l.opts.Limit -= int(n)
	return l.opts.Limit <= 0
}

// once makes one request and hands out its names.
func (l *nameList) once(ctx context.Context, yield func(string, error) bool) error {
	cl, err := l.opts.call(l.path, l.noun, "stream")
	if err != nil {
		return err
	}
	cl.stream, cl.silence = true, listSilence
	rep, err := l.c.do(ctx, cl)
	if err != nil {
		return err
	}
	if rep.status != http.StatusOK {
		err := rep.listError()
		if e, ok := errors.AsType[*ListError](err); ok {
			e.Names = l.count
		}
		return err
	}
	// Closing ends a request of which the rest is not wanted; what the body still says then is of
	// no interest.
	defer func() { _ = rep.stream.Close() }()
	err = l.read(rep, yield)
	if broken, ok := errors.AsType[*ListError](err); ok && broken.Err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("client: list %s after %d names: %w", l.path, l.count, ctx.Err())
		}
		if !broken.timedOut() {
			l.c.endpoints.failed(rep.index, time.Now())
		}
	}
	return err
}

// read hands out the names of one answer, object by object, up to the last one: an empty list, or
// one with a continuation. An answer that ends before that is broken off.
func (l *nameList) read(rep *reply, yield func(string, error) bool) error {
	body := &boundedReader{r: rep.stream}
	dec := json.NewDecoder(body)
	left := l.opts.Limit
	for ended := false; ; {
		var o listObject
		body.left = maxReplyBytes
		err := dec.Decode(&o)
		if errors.Is(err, io.EOF) && ended {
			return nil
		}
		var names []string
		if err == nil {
			names, err = o.names(l.noun)
		}
		if err != nil || o.Error != "" {
			return o.failure(rep, l.count, err)
		}
		for _, name := range names {
			l.count, l.last = l.count+1, name
			if !yield(name, nil) {
				return errLeft
			}
			if left--; left == 0 {
				return nil
			}
		}
		ended = names != nil && len(names) == 0 || o.Continuation != ""
	}
}

// openBody is a body that is read after the call; closing it ends the request.
type openBody struct {
	io.ReadCloser
	silence time.Duration
	cancel  context.CancelFunc
	silent  atomic.Bool // the server said nothing for so long
}

// errSilent is what a read of a body returns whose server fell silent.
var errSilent = errors.New("the server fell silent")

// watch ends the request unless the function that it returns is called in time.
func (b *openBody) watch() (stop func()) {
	if b.silence == 0 {
		return func() {}
	}
	t := time.AfterFunc(b.silence, func() {
		b.silent.Store(true)
		b.cancel()
	})
	return func() { t.Stop() }
}

// judge returns the reason of an error.
func (b *openBody) judge(err error) error {
	if err != nil && b.silent.Load() {
		return errSilent
	}
	return err
}

// Read waits for the server; the time that the caller takes between two reads does not count.
func (b *openBody) Read(p []byte) (int, error) {
	stop := b.watch()
	n, err := b.ReadCloser.Read(p)
	stop()
	return n, b.judge(err)
}

func (b *openBody) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}

// boundedReader ends in an error when one object of an answer is larger than anything a node sends.
type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errReplyTooLarge
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}
