package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// greetWithin bounds how long a connection may take to say who it is, and how
	// long the answer may take to leave.
	greetWithin = 5 * time.Second
	// maxGreeted bounds the connections that were not given to Accept yet; further
	// ones are closed.
	maxGreeted = 256
)

// Listen listens. At the node's own address it accepts other Networks only.
func (n *Network) Listen(addr string) (net.Listener, error) {
	inner, err := n.inner.Listen(addr)
	if err != nil || addr != n.self {
		return inner, err
	}
	l := &listener{Listener: inner, n: n, ready: make(chan accepted), slots: make(chan struct{}, maxGreeted)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.wg.Go(l.run)
	return l, nil
}

// listener greets connections in the background, so that one that says nothing holds
// up no other.
type listener struct {
	net.Listener
	n     *Network
	ready chan accepted
	slots chan struct{} // one for each connection that waits in here

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
}

type accepted struct {
	c   net.Conn
	err error
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.ready:
		return a.c, a.err
	case <-l.ctx.Done():
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close ends the listener and waits for its goroutines. Connections that nobody has
// accepted are closed. It may be called again.
func (l *listener) Close() (err error) {
	l.once.Do(func() {
		l.cancel()
		err = l.Listener.Close()
	})
	l.wg.Wait()
	return err
}

func (l *listener) run() {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			select { // who accepts knows how long to wait before the next attempt
			case l.ready <- accepted{err: err}:
				continue
			case <-l.ctx.Done():
				return
			}
		}
		select {
		case l.slots <- struct{}{}:
			l.wg.Go(func() {
				l.welcome(inner)
				<-l.slots
			})
		default:
			_ = inner.Close() // it is turned away: nobody wants to know more
		}
	}
}

// welcome gives a connection to Accept once it said who it is and was answered.
func (l *listener) welcome(inner net.Conn) {
	stop := context.AfterFunc(l.ctx, func() { _ = inner.SetDeadline(longAgo) }) // it fails only on a closed stream
	c, err := l.greet(inner)
	if !stop() || err != nil {
		_ = c.Close() // as above
		return
	}
	select {
	case l.ready <- accepted{c: c}:
	case <-l.ctx.Done():
		_ = c.Close() // as above
	}
}

// greet returns the connection of a known peer. With an error it returns what has to
// be closed.
func (l *listener) greet(inner net.Conn) (net.Conn, error) {
	if err := inner.SetDeadline(time.Now().Add(greetWithin)); err != nil {
		return inner, err
	}
	peer, err := readIntroduction(inner)
	if err != nil {
		return inner, err
	}
	c := newConn(l.n, inner, peer)
	for healed := l.n.blocked(peer); healed != nil; healed = l.n.blocked(peer) {
		if err := l.linger(inner, healed); err != nil {
			return c, err
		}
	}
	if err := c.SetDeadline(time.Now().Add(greetWithin)); err != nil {
		return c, err
	}
	if _, err := c.Write([]byte(greeting)); err != nil {
		return c, err
	}
	return c, c.SetDeadline(time.Time{})
}

// linger waits until the cut is healed or the other end gives up. Between the
// introduction and the answer the other end says nothing.
func (l *listener) linger(inner net.Conn, healed <-chan struct{}) error {
	if err := inner.SetDeadline(time.Time{}); err != nil {
		return err
	}
	over := make(chan error, 1)
	go func() { // waited for below
		k, err := inner.Read(make([]byte, 1))
		if k > 0 {
			err = errors.New("bytes before the answer")
		}
		over <- err
	}()
	select {
	case err := <-over:
		return err
	case <-l.ctx.Done():
	case <-healed:
	}
	err := inner.SetReadDeadline(longAgo)
	if read := <-over; !errors.Is(read, os.ErrDeadlineExceeded) {
		return read
	}
	return errors.Join(err, l.ctx.Err())
}

// readIntroduction reads what introduce has written, and not a byte more.
func readIntroduction(r io.Reader) (peer string, err error) {
	var head [len(greeting) + 1]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	if string(head[:len(greeting)]) != greeting {
		return "", fmt.Errorf("a connection that begins with %q", head[:len(greeting)])
	}
	name := make([]byte, head[len(greeting)])
	if _, err := io.ReadFull(r, name); err != nil {
		return "", err
	}
	return string(name), nil
}
