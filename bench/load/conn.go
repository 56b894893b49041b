package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Errors of a connection, besides those of the network.
var (
	ErrTimeout   = errors.New("load: no answer in time")
	ErrMalformed = errors.New("load: malformed answer")
	errUsed      = errors.New("load: the connection has ended; dial again")
)

// ConnConfig is what all requests of a connection have in common. Only Bucket has no default.
type ConnConfig struct {
	Bucket string
	Type   string // bucket type; empty: the default one

	GetQuery, PutQuery string // as "r=2&pr=1", without "?"

	Timeout time.Duration // of dialing, and of each request within a twentieth; 10 s
}

// Answer is the answer to a request. The slices are valid until the next call on the connection.
type Answer struct {
	Status  int
	Body    []byte
	Vclock  []byte // X-Riak-Vclock, the context for a Put; empty: none
	Receipt []byte // X-Cartwheel-Receipt; empty: none
}

// Conn is one HTTP/1.1 connection to one node. It accepts answers with Content-Length or in chunks,
// skips interim ones, and takes anything else, or more than the package's bounds, for malformed.
// One goroutine uses it at a time; Close may be called by another one and ends a call under way.
type Conn struct {
	wire
	requests requests
}

// Dial connects to host:port.
func Dial(ctx context.Context, addr string, config ConnConfig) (*Conn, error) {
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	}
	errs := append(checkPlace([]string{addr}, config.Bucket), checkQuery(config.GetQuery), checkQuery(config.PutQuery), checkTimeout(config.Timeout))
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	nc, err := (&net.Dialer{Timeout: config.Timeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err // names the address
	}
	return &Conn{
		wire:     newWire(nc, config.Timeout),
		requests: newRequests(addr, config.Type, config.Bucket, config.GetQuery, config.PutQuery),
	}, nil
}

// Get reads a key. Any status is an answer. An error is ErrTimeout, ErrMalformed, or one of the
// network, and ends the connection.
func (c *Conn) Get(key string) (Answer, error) {
	b := append(c.requests.beginGet(c.out[:0]), url.PathEscape(key)...)
	c.out = c.requests.endGet(b)
	return c.answer()
}

// Put writes a key, with the context of a read if vclock is not empty. The errors are those of Get; the
// write may have happened nevertheless.
func (c *Conn) Put(key string, value, vclock []byte) (Answer, error) {
	if strings.ContainsAny(string(vclock), "\r\n") {
		return Answer{}, errors.New("put: the context has a line break")
	}
	b := append(c.requests.beginPut(c.out[:0]), url.PathEscape(key)...)
	c.out = c.requests.endPut(b, value, vclock)
	return c.answer()
}

func (c *Conn) answer() (Answer, error) {
	status, err := c.roundTrip(wantBody | wantVclock | wantReceipt)
	if err != nil {
		return Answer{}, err
	}
	return Answer{status, c.in.body, c.in.vclock, c.in.receipt}, nil
}

// Usable says whether another request can be made: no error occurred and the node did not announce
// the end of the connection. If not, dial again.
func (c *Conn) Usable() bool { return !c.ended }

// Close ends the connection. It may be called twice.
func (c *Conn) Close() error {
	if err := c.nc.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close connection: %w", err)
	}
	return nil
}

// wire sends requests and reads answers, one at a time. The steady state allocates nothing.
type wire struct {
	nc      net.Conn
	timeout time.Duration
	until   time.Time // the deadline that nc has
	ended   bool      // no further request
	out     []byte    // the request
	in      answerReader
}

func newWire(nc net.Conn, timeout time.Duration) wire {
	return wire{nc: nc, timeout: timeout, out: make([]byte, 0, 2<<10), in: answerReader{from: nc}}
}

// attach begins with a new connection. The buffers are kept.
func (c *wire) attach(nc net.Conn) {
	c.nc, c.until, c.ended = nc, time.Time{}, false
	c.in.from, c.in.r, c.in.w = nc, 0, 0
}

// roundTrip sends what is in out and reads the answer into in. It returns the status.
func (c *wire) roundTrip(w want) (int, error) {
	if c.ended {
		return 0, errUsed
	}
	// A deadline is set a little too late and then serves all requests that it gives at least
	// their time, so setting it costs nothing.
	if need := time.Now().Add(c.timeout); c.until.Before(need) {
		c.until = need.Add(c.timeout / 20)
		if err := c.nc.SetDeadline(c.until); err != nil {
			return 0, c.end(err)
		}
	}
	if _, err := c.nc.Write(c.out); err != nil {
		return 0, c.end(err)
	}
	if err := c.in.next(w); err != nil {
		return 0, c.end(err)
	}
	if c.in.closing {
		c.ended = true
		c.nc.Close()
	}
	return c.in.status, nil
}

// end closes the connection because of an error and returns it.
func (c *wire) end(err error) error {
	c.ended = true
	c.nc.Close()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTimeout
	}
	return err
}
