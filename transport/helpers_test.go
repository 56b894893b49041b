package transport

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/internal/memnet"
)

const (
	echoKind Kind = iota + 1 // answers with the payload
	lateKind                 // answers after the time that the payload names
	deafKind                 // never answers
	openKind                 // served to anybody
)

// world is an in-memory network with nodes; it lives in a bubble, which fails
// the test if any goroutine is left at its end.
type world struct {
	*testing.T
	net *memnet.Net
}

func inWorld(t *testing.T, cfg memnet.Config, f func(w world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(world{t, memnet.New(cfg)}) })
}

// node starts a node at name:8099 in cluster "c".
func (w world) node(name string, change ...func(*Config)) *Transport {
	w.Helper()
	cfg := Config{
		Network: w.net.Host(name),
		Listen:  name + ":8099",
		Node:    "uuid-" + name,
		Cluster: "c",
		Handler: serveTest,
		Open:    []Kind{openKind},
		Seed:    1,
	}
	for _, f := range change {
		f(&cfg)
	}
	t, err := New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	t.Start()
	w.Cleanup(func() { t.Close() })
	return t
}

func serveTest(_ Peer, req Request, reply func(Response)) {
	switch req.Kind {
	case deafKind:
	case lateKind:
		d, err := time.ParseDuration(string(req.Payload))
		if err != nil {
			reply(Response{Status: StatusError})
			return
		}
		time.AfterFunc(d, func() { reply(Response{Payload: req.Payload}) })
	default:
		reply(Response{Ring: req.Ring, Payload: req.Payload})
	}
}

type outcome struct {
	Response
	err  error
	took time.Duration
}

// start makes a call; its outcome arrives in the channel.
func start(t *Transport, addr string, req Request) <-chan outcome {
	if req.Budget == 0 {
		req.Budget = 10 * time.Second
	}
	begin := time.Now()
	c := make(chan outcome, 2) // a second outcome would be seen
	t.Call(addr, req, func(res Response, err error) { c <- outcome{res, err, time.Since(begin)} })
	return c
}

func ask(t *Transport, addr string, req Request) outcome { return <-start(t, addr, req) }

// mustEcho checks that calls work.
func (w world) mustEcho(t *Transport, addr string) {
	w.Helper()
	if got := ask(t, addr, Request{Kind: echoKind, Payload: []byte("hello")}); got.err != nil || string(got.Payload) != "hello" {
		w.Fatalf("echo from %s: %q, %v", addr, got.Payload, got.err)
	}
}

// rawHello is what a peer without a Transport says.
func rawHello(change ...func(*hello)) hello {
	h := hello{versions: VersionRange{1, 1}, run: 7, maxFrame: 256 << 10, maxMessage: 128 << 20, node: "raw", cluster: "c", addr: "raw:1"}
	for _, f := range change {
		f(&h)
	}
	return h
}

// raw is a peer that speaks by hand.
type raw struct {
	net.Conn
	r *bufio.Reader
}

func (w world) dialRaw(addr string) raw {
	w.Helper()
	c, err := w.net.Host("raw").Dial(context.Background(), addr)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { c.Close() })
	return raw{c, bufio.NewReader(c)}
}

// greet shakes hands on either side: write own, read other's.
func (w world) greet(c raw, own hello) hello {
	w.Helper()
	if _, err := c.Write(own.append(nil)); err != nil {
		w.Fatal(err)
	}
	var magic [4]byte
	if _, err := io.ReadFull(c.r, magic[:]); err != nil || string(magic[:]) != callMagic {
		w.Fatalf("magic %q, %v", magic, err)
	}
	other, err := readHello(c.r)
	if err != nil {
		w.Fatal(err)
	}
	return other
}

func (w world) sendFrames(c raw, frames ...[]byte) {
	w.Helper()
	for _, f := range frames {
		if _, err := c.Write(f); err != nil {
			w.Fatal(err)
		}
	}
}

// next returns the next frame that is no heartbeat.
func (c raw) next() (header, []byte, error) {
	for {
		h, payload, err := readFrame(c.r, 256<<10)
		if err != nil || !h.has(flagHeartbeat) {
			return h, payload, err
		}
	}
}

func frame(h header, payload []byte) []byte { return appendFrame(nil, h, payload) }
