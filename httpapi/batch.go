package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
)

// Bounds of batches. Those of values, names and metadata hold for every line as well.
const (
	maxBatchLines = 1000    // more is 413, before anything is done
	maxBatchBytes = 8 << 20 // of the body; likewise
	// batchWindow is how many lines of one batch are under way, or done and waiting for an
	// earlier one to be answered. It bounds what answers take in memory, since they leave in
	// the order of the lines.
	batchWindow = 64
	// maxBatches is how many batches a node has under way; further ones are 503. With all
	// of them half of the places for requests are left to others, and the bodies take 256 MiB.
	maxBatches = 32
)

// batch is a batch of operations on one bucket on its way.
type batch struct {
	api      *API
	object   object // of no key; its name is that of each line, as the key makes part of request ids
	put      quorum.Options
	delete   quorum.Options
	blind    bool   // puts need no context
	notes    string // for all receipts
	cluster  string // uuid, part of what a context is bound to
	deadline time.Time
	lines    [][]byte // of the request, without blank ones
	started  int
	answers  []chan []byte            // for the lines from the one that is answered next to started, at their index modulo batchWindow
	last     map[string]chan struct{} // of each key, closed when the last line started for it is done
	written  map[string]bool          // keys, under an Idempotency-Key
	wg       sync.WaitGroup
}

// postBatch answers a batch: each line of the body is an operation of its own, and the
// answer has a line for each in the same order. Lines of one key are done one after the
// other, all others as they come. What one line does or fails to do changes nothing for
// the others.
func (a *API) postBatch(x *exchange, r *http.Request) {
	if a.batches.Add(1) > maxBatches {
		a.batches.Add(-1)
		x.refuseJSON(failure{http.StatusServiceUnavailable, overloaded, "too many batches are under way; try again later", true})
		return
	}
	defer a.batches.Add(-1)
	b, f := a.batch(x, r)
	if f != nil {
		x.refuseJSON(*f)
		return
	}
	b.run(x, r)
}

// batch reads everything of a batch but its lines' content.
func (a *API) batch(x *exchange, r *http.Request) (*batch, *failure) {
	media, _, _ := strings.Cut(header(r.Header, "Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(media), "application/x-ndjson") {
		return nil, &failure{status: http.StatusUnsupportedMediaType, reason: badHeader, text: "Content-Type must be application/x-ndjson"}
	}
	if coding := header(r.Header, "Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, &failure{status: http.StatusUnsupportedMediaType, reason: badHeader, text: "a batch must come without a Content-Encoding"}
	}
	o, f := a.object(x, r)
	if f == nil {
		o.name, f = batchName(r.Header)
	}
	if f == nil {
		f = a.checkType(o.key)
	}
	if f == nil {
		f = a.bindTo(&o)
	}
	if f != nil {
		return nil, f
	}
	b := &batch{api: a, put: a.options(&o), delete: a.deleteOptions(&o), notes: x.notes, cluster: a.cfg.Node.Ring().Cluster(),
		answers: make([]chan []byte, batchWindow), last: map[string]chan struct{}{}, written: map[string]bool{}}
	b.blind = !a.cfg.Properties.Set().Bucket(o.key.Type, o.key.Bucket).RequireContext
	b.object, b.deadline = o, x.start.Add(b.put.Timeout)
	body, err := readBody(x, r, maxBatchBytes)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &failure{status: http.StatusRequestEntityTooLarge, reason: valueTooLarge, text: fmt.Sprintf("the batch is longer than %d bytes", tooLarge.Limit)}
	case err != nil:
		return nil, x.bodyFailure(err)
	}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			b.lines = append(b.lines, line)
		}
		if len(b.lines) > maxBatchLines {
			return nil, &failure{status: http.StatusRequestEntityTooLarge, reason: badBody, text: fmt.Sprintf("the batch has more than %d lines", maxBatchLines)}
		}
	}
	return b, nil
}

// batchName returns the Idempotency-Key of a batch, "" without one, and refuses headers that speak
// of one object: to leave them aside would be to do what they were to prevent.
func batchName(h http.Header) (string, *failure) {
	for _, name := range [...]string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "X-Riak-If-Not-Modified", "X-Riak-Vclock", "X-Cartwheel-Request-Id"} {
		if len(h[name]) > 0 {
			f := bad(badHeader, "a batch takes no "+name+": it would hold for one object; lines have \"context\" and \"request_id\"")
			return "", &f
		}
	}
	return idempotencyKey(h)
}

// run does the lines and sends their answers. It returns when all lines that were started are
// done; when the client goes away no more are.
func (b *batch) run(x *exchange, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer b.wg.Wait()
	defer cancel()
	x.Header()["Content-Type"] = []string{"application/x-ndjson"}
	x.WriteHeader(http.StatusOK)
	out := bufio.NewWriterSize(x, 16<<10)
	for i := range b.lines {
		for b.started < min(len(b.lines), i+batchWindow) {
			b.start(ctx)
		}
		if _, err := out.Write(<-b.answers[i%batchWindow]); err != nil {
			return
		}
	}
	_ = out.Flush() // an error means that the client is gone
}

// start begins the next line.
func (b *batch) start(ctx context.Context) {
	i := b.started
	b.started++
	answer := make(chan []byte, 1)
	b.answers[i%batchWindow] = answer
	line, f := b.parse(i)
	if f != nil {
		refusal := b.refuse(line.key, *f)
		answer <- refusal.encode()
		return
	}
	before, done := b.last[line.key], make(chan struct{})
	b.last[line.key] = done
	b.wg.Go(func() {
		defer close(done)
		if before != nil {
			<-before
		}
		answer <- b.do(ctx, &line)
	})
}

// parse reads a line and checks its bounds.
func (b *batch) parse(i int) (batchLine, *failure) {
	a, raw := b.api, b.lines[i]
	// Any value fits as base64, and any text of which most need no escapes.
	if limit := 2*a.cfg.MaxValueBytes + a.cfg.MaxMetadataBytes; int64(len(raw)) > limit {
		return batchLine{}, &failure{status: http.StatusRequestEntityTooLarge, reason: valueTooLarge, text: fmt.Sprintf("the line is longer than %d bytes", limit)}
	}
	line, err := parseBatchLine(raw)
	if err != nil {
		f := bad(badBody, err.Error())
		return line, &f
	}
	if int64(len(line.value)) > a.cfg.MaxValueBytes {
		return line, &failure{status: http.StatusRequestEntityTooLarge, reason: valueTooLarge,
			text: "the value is longer than " + strconv.FormatInt(a.cfg.MaxValueBytes, 10) + " bytes"}
	}
	if b.object.name != "" && line.op != batchGet {
		if len(line.header["X-Cartwheel-Request-Id"]) > 0 {
			f := bad(badHeader, "request_id and Idempotency-Key both name the write; send one of them")
			return line, &f
		}
		// Of two writes the repetition would find only the later one, and do the earlier again.
		if b.written[line.key] {
			f := bad(badBody, "under an Idempotency-Key a batch writes a key only once")
			return line, &f
		}
		b.written[line.key] = true
	}
	return line, checkLength(b.key(&line))
}

func (b *batch) key(l *batchLine) ring.Key {
	k := b.object.key
	k.Key = l.key
	return k
}
