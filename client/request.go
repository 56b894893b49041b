package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxReplyBytes bounds a reply in memory: a server's largest object (16 MiB with all
	// siblings) fits several times.
	maxReplyBytes = 64 << 20
	// maxMessageBytes bounds the text of an error.
	maxMessageBytes = 1 << 10
	// expectBytes is the size from which a value waits for the server's consent before it is
	// sent. It is the server's default limit: a larger value is probably refused, and a refusal
	// that meets a half-sent body may be lost with the connection.
	expectBytes = 1 << 20
	// serverGrace is how much longer than the server's own limit an attempt waits, so that the
	// server's answer about its timeout still arrives.
	serverGrace = 2 * time.Second
	// maxTimeout is the longest limit of an attempt; a longer one counts as this. Servers read
	// up to 24 days, and no sum with a limit overflows.
	maxTimeout = 24 * time.Hour

	backoffBase = 50 * time.Millisecond
	backoffMax  = time.Second
)

// call is one request, to be sent as often as it takes.
type call struct {
	method  string
	path    string // escaped
	query   url.Values
	header  http.Header
	accept  string
	body    []byte
	timeout time.Duration // the server's limit; 0: the client's
	write   bool
	hedge   bool // a second endpoint may be asked meanwhile, see Config.HedgeAfter
	stream  bool // an answer of 200 is left unread, in reply.stream
	// silence is how long a stream may say nothing; 0: as long as the call may take.
	silence time.Duration
}

// reply is an answer, read to its end.
type reply struct {
	endpoint string
	index    int // of the endpoint
	status   int
	header   http.Header
	body     []byte
	stream   io.ReadCloser // in place of body; closing it ends the request
	doubtful bool          // an earlier attempt of this write may have been executed
}

func (r *reply) receipt() Receipt { return parseReceipt(r.header.Get("X-Cartwheel-Receipt")) }

// message returns the text of an error reply, or its status in words. Outside the object API
// errors are JSON objects with the text under "error".
func (r *reply) message() string {
	var coded struct{ Error string }
	if strings.HasPrefix(r.header.Get("Content-Type"), "application/json") && json.Unmarshal(r.body, &coded) == nil && coded.Error != "" {
		return coded.Error
	}
	text := strings.TrimSpace(string(r.body[:min(len(r.body), maxMessageBytes)]))
	if text == "" || strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
		return http.StatusText(r.status)
	}
	return text
}

// do sends a call until an answer is final, as the package comment describes.
func (c *Client) do(ctx context.Context, cl call) (*reply, error) {
	var (
		tried    = make([]bool, len(c.endpoints.bases))
		busy     *reply // the last 503, of a node that serves if there was one
		lastErr  error
		doubtful bool
		round    int
	)
	if cl.timeout < 0 {
		return nil, fmt.Errorf("client: the timeout %v is negative: %w", cl.timeout, ErrBadRequest)
	}
	for attempt := 0; attempt <= max(c.cfg.Retries, 0); attempt++ {
		i, ok := c.endpoints.pick(time.Now(), tried)
		if !ok {
			if busy != nil {
				break
			}
			if err := pause(ctx, round); err != nil {
				break
			}
			round++
			clear(tried)
			i, _ = c.endpoints.pick(time.Now(), tried)
		}
		tried[i] = true
		out := c.attempt(ctx, cl, i, tried)
		c.note(ctx, out)
		if err := out.err; err != nil {
			lastErr = err
			doubtful = doubtful || cl.write && !neverSent(err)
			if ctx.Err() != nil || out.hopeless() {
				break
			}
			continue
		}
		rep := out.rep
		rep.doubtful, rep.index = doubtful, out.endpoint
		if rep.status != http.StatusServiceUnavailable || rep.quorumError().timedOut() {
			if doubtful && rep.disowns() {
				return nil, cl.inDoubt(rep.statusError())
			}
			return rep, nil
		}
		if notReady := rep.notReady(); !notReady || busy == nil {
			busy = rep
			doubtful = doubtful || cl.write && !notReady
		}
	}
	// A node that serves nobody cannot speak for one whose answer was lost.
	if busy != nil && ctx.Err() == nil && !(doubtful && busy.notReady()) {
		return busy, nil
	}
	return nil, giveUp(ctx, cl, lastErr, doubtful)
}

// giveUp returns the error of a call that got no answer.
func giveUp(ctx context.Context, cl call, err error, doubtful bool) error {
	if cause := ctx.Err(); cause != nil {
		err = fmt.Errorf("client: %s %s: %w", cl.method, cl.path, cause)
	} else if !errors.Is(err, errReplyTooLarge) && !errors.Is(err, ErrBadRequest) {
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
	} else {
		err = fmt.Errorf("client: %w", err)
	}
	if doubtful {
		return cl.inDoubt(err)
	}
	return err
}

// inDoubt returns the error of a write that may have been executed.
func (cl call) inDoubt(err error) error {
	return &IndeterminateError{
		RequestID: cl.header.Get(headerRequestID), IdempotencyKey: cl.header.Get(headerIdempotency), Err: err,
	}
}

// pause waits before round n (0, 1, ...) of attempts: exponential, with half of it at random so
// that clients that failed together do not return together.
func pause(ctx context.Context, n int) error {
	d := min(backoffBase<<min(max(n, 0), 10), backoffMax)
	t := time.NewTimer(d/2 + rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errReplyTooLarge = fmt.Errorf("the reply exceeds %d MiB", maxReplyBytes>>20)

// send makes one attempt at one endpoint. A gateway that answers in place of a node (502, 504)
// is an error like a broken connection.
func (c *Client) send(ctx context.Context, base string, cl call) (*reply, error) {
	limit := cl.timeout
	if limit == 0 {
		limit = c.cfg.Timeout
	}
	limit = min(limit, maxTimeout)
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	if limit <= 0 {
		<-ctx.Done() // the deadline has passed; its timer may be a moment behind
	}
	if err := ctx.Err(); err != nil {
		return nil, notSent{err}
	}
	ctx, cancel := context.WithTimeout(ctx, limit+serverGrace)
	if !cl.stream {
		defer cancel()
		return c.exchange(ctx, base, cl, limit)
	}
	body := &openBody{silence: cl.silence, cancel: cancel}
	stop := body.watch()
	rep, err := c.exchange(ctx, base, cl, limit)
	if stop(); err != nil {
		cancel()
		return nil, body.judge(err)
	}
	if rep.stream == nil {
		cancel()
		return rep, nil
	}
	body.ReadCloser, rep.stream = rep.stream, body
	return rep, nil
}

// exchange sends one request and reads the answer, but for what is to be streamed.
func (c *Client) exchange(ctx context.Context, base string, cl call, limit time.Duration) (*reply, error) {
	req, err := cl.request(ctx, base, limit)
	if err != nil {
		return nil, notSent{fmt.Errorf("build the request: %w: %w", ErrBadRequest, err)}
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if cl.stream && res.StatusCode == http.StatusOK {
		return &reply{endpoint: base, status: res.StatusCode, header: res.Header, stream: res.Body}, nil
	}
	defer res.Body.Close()
	body, err := readBody(res)
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", base, err)
	}
	rep := &reply{endpoint: base, status: res.StatusCode, header: res.Header, body: body}
	if rep.status == http.StatusBadGateway || rep.status == http.StatusGatewayTimeout {
		return nil, rep.statusError()
	}
	return rep, nil
}

// readBody reads a reply to its end, in one piece when its length is known.
func readBody(res *http.Response) ([]byte, error) {
	if n := res.ContentLength; n >= 0 && n <= maxReplyBytes && res.Request.Method != http.MethodHead {
		body := make([]byte, n)
		_, err := io.ReadFull(res.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxReplyBytes+1))
	if err == nil && len(body) > maxReplyBytes {
		return nil, errReplyTooLarge
	}
	return body, err
}

// request builds the HTTP request of one attempt.
func (cl call) request(ctx context.Context, base string, limit time.Duration) (*http.Request, error) {
	query := url.Values{"timeout": {millis(limit)}}
	for name, values := range cl.query {
		query[name] = values
	}
	var body io.Reader
	if cl.body != nil {
		body = bytes.NewReader(cl.body)
	}
	req, err := http.NewRequestWithContext(ctx, cl.method, base+cl.path+"?"+query.Encode(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range cl.header {
		req.Header[name] = values
	}
	req.Header.Set("Accept", cl.accept)
	// Said explicitly, or a transport other than the client's own would ask for gzip and decode
	// it. The second part lets a value pass that is stored with an encoding.
	req.Header.Set("Accept-Encoding", "identity, *;q=0.5")
	if len(cl.body) > expectBytes {
		req.Header.Set("Expect", "100-continue")
	}
	return req, nil
}

// notSent marks an error from before anything was sent.
type notSent struct{ error }

func (e notSent) Unwrap() error { return e.error }

// neverSent reports whether err proves that no byte of the request reached a server: there was
// no connection. Anything else counts as possibly sent.
func neverSent(err error) bool {
	var unsent notSent
	var op *net.OpError
	return errors.As(err, &unsent) || errors.As(err, &op) && op.Op == "dial"
}
