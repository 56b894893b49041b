package httpapi

import (
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

// Listener hands out connections that cost a server of net/http less: it moves the deadlines
// of a connection six times per request and starts a read to learn of a client that goes
// away, while nearly all requests are over before any of that matters. What a deadline
// promises stays; that a client has gone is noticed a little later, see patience.
//
// It also bounds how many connections are open. Each takes a file descriptor, which the store
// and the other nodes need as well: a store that cannot open its next file takes no writes
// until the process is restarted. A connection beyond the bound is answered 503 and closed.
type Listener struct {
	net.Listener
	most          int64
	open, refused atomic.Int64
}

// NewListener returns a listener that takes its connections from l, and closes l when it is
// closed. conns is how many may be open at once; 0 means no bound.
func NewListener(l net.Listener, conns int) *Listener {
	return &Listener{Listener: l, most: int64(conns)}
}

// Open returns how many connections are open now.
func (l *Listener) Open() int64 { return l.open.Load() }

// Refused returns how many connections were turned away since the start.
func (l *Listener) Refused() int64 { return l.refused.Load() }

// Accept waits for the next connection that may stay.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.most || l.most == 0 {
			return newConn(nc, func() { l.open.Add(-1) }), nil
		}
		l.open.Add(-1)
		l.refused.Add(1)
		refuseConn(nc)
	}
}

const crowded = "too many connections are open to this node; close idle ones, and try again later\n"

var crowdedAnswer = []byte("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: " + strconv.Itoa(len(crowded)) +
	"\r\nContent-Type: text/plain\r\nRetry-After: 1\r\n\r\n" + crowded)

// refuseConn says why a connection is closed and closes it. A client that has sent its request
// by then may see no more than the end: to wait for that would keep what is too many.
func refuseConn(nc net.Conn) {
	// The answer fits what the system buffers for a new connection, so nobody waits.
	_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = nc.Write(crowdedAnswer)
	_ = nc.Close()
}
