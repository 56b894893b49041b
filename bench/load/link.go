package load

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Pauses between attempts to reach a node that does not answer.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 500 * time.Millisecond
	// maxDialTime bounds one attempt to connect, below the timeout of requests.
	maxDialTime = time.Second
)

// places are the nodes that a load goes to. They are not changed, and shared by all clients.
type places struct {
	targets  []string
	requests []requests // parallel to targets
	timeout  time.Duration
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
}

func newPlaces(targets []string, bucketType, bucket, getQuery, putQuery string, timeout time.Duration) *places {
	p := &places{targets: targets, timeout: timeout, dial: (&net.Dialer{}).DialContext}
	for _, t := range targets {
		p.requests = append(p.requests, newRequests(t, bucketType, bucket, getQuery, putQuery))
	}
	return p
}

// link keeps one client connected. One goroutine uses it; cut may be called by another.
type link struct {
	*places
	wire
	at    int // the target
	alarm alarm

	pauses *backoff.ExponentialBackOff
	ailing bool          // the last thing that happened was a failure
	pause  time.Duration // before the next attempt

	connected         bool // has been
	redials, dialFail int64

	mu      sync.Mutex
	nc      net.Conn // that of wire, for cut
	severed bool
}

func newLink(p *places, at int, a alarm) *link {
	l := &link{places: p, at: at % len(p.targets), alarm: a, pauses: backoff.NewExponentialBackOff()}
	l.pauses.InitialInterval, l.pauses.MaxInterval = firstPause, lastPause
	l.wire = newWire(nil, p.timeout)
	l.wire.ended = true
	return l
}

// rest waits for as long as the last failures demand. It returns false if the link was cut.
func (l *link) rest() bool {
	if l.pause == 0 {
		return true
	}
	pause := l.pause
	l.pause = 0
	return l.alarm.wait(pause)
}

// ready makes one attempt to connect, if there is no connection.
func (l *link) ready(ctx context.Context) error {
	if !l.wire.ended {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(l.places.timeout, maxDialTime))
	defer cancel()
	nc, err := l.dial(ctx, "tcp", l.targets[l.at])
	if err == nil && !l.adopt(nc) {
		nc.Close()
		err = net.ErrClosed
	}
	if err != nil {
		l.dialFail++
		l.fail()
		l.at = (l.at + 1) % len(l.targets)
		return err
	}
	if l.connected {
		l.redials++
	}
	l.connected = true
	l.wire.attach(nc)
	return nil
}

// adopt makes a connection the one that cut closes.
func (l *link) adopt(nc net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nc = nc
	return !l.severed
}

// fail takes note of a failure: after the first in a row the next attempt is made at once, after
// further ones there is a pause.
func (l *link) fail() {
	if l.ailing {
		l.pause = l.pauses.NextBackOff()
	}
	l.ailing = true
}

// well takes note of an answer.
func (l *link) well() {
	if l.ailing {
		l.pauses.Reset()
		l.ailing = false
	}
}

// broken takes note of a request without an answer and returns what became of it.
func (l *link) broken(err error) fate {
	l.fail()
	switch {
	case errors.Is(err, ErrTimeout):
		l.at = (l.at + 1) % len(l.targets) // a node that hangs accepts connections all the same
		return timedOut
	case errors.Is(err, ErrMalformed):
		return garbled
	}
	return disconnected
}

// cut ends what the link does and all that it will do. It may be called more than once.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.severed {
		return
	}
	l.severed = true
	l.alarm.cut()
	if l.nc != nil {
		l.nc.Close()
	}
}

// close releases everything. The owner calls it last.
func (l *link) close() {
	l.cut()
	l.alarm.close()
}
