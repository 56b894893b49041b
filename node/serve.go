package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cartwheel/antientropy"
	"cartwheel/gossip"
	"cartwheel/listing"
	"cartwheel/replica"
	"cartwheel/transfer"
	"cartwheel/transport"
)

// The kinds of the questions between nodes that are this package's own; those of gossip
// lie below 16, those of replica from 16 on, those of antientropy from 40 on, that of transfer is 48,
// that of listing 56.
const (
	kindBucketEmpty = 32
	kindBehind      = 33 // see behind.go
)

// The answers to kindBucketEmpty.
const (
	bucketIsUsed  = "\x00"
	bucketIsEmpty = "\x01"
)

// serve dispatches a peer's request. It runs on the connection's reader: what may wait for
// a disk or another node gets a goroutine, bounded by the transport's inbound limit.
func (n *Node) serve(from transport.Peer, req transport.Request, reply func(transport.Response)) {
	switch {
	case req.Kind < replica.KindRead:
		n.requests.Go(func() {
			payload, err := n.serveGossip(uint8(req.Kind), req.Payload)
			answer(reply, payload, err)
		})
	case req.Kind >= antientropy.KindFirst && req.Kind <= antientropy.KindLast:
		n.requests.Go(func() {
			payload, err := n.repair.keeper.Serve(from.Node, uint8(req.Kind), req.Payload)
			answer(reply, payload, err)
		})
	case req.Kind == transfer.Kind:
		n.repair.receiver.Serve(req.Payload, func(payload []byte, err error) { answer(reply, payload, err) })
	case req.Kind == listing.Kind:
		n.requests.Go(func() { n.servePage(req, reply) })
	case req.Kind == kindBucketEmpty:
		n.requests.Go(func() {
			payload, err := n.serveBucketEmpty(string(req.Payload))
			answer(reply, payload, err)
		})
	case req.Kind == kindBehind:
		n.requests.Go(func() {
			payload, err := json.Marshal(n.behindHere())
			answer(reply, payload, err)
		})
	case req.Kind == replica.KindForward: // waits for others
		n.server.Serve(req, reply)
	default:
		// A replica is busy with the clients of other nodes, too.
		began := time.Now()
		n.server.Serve(req, func(resp transport.Response) {
			n.repair.throttle.Foreground(time.Since(began))
			reply(resp)
		})
	}
}

func (n *Node) serveGossip(kind uint8, payload []byte) ([]byte, error) {
	switch kind {
	case gossip.KindHello, gossip.KindForm:
		return n.former.Serve(kind, payload)
	}
	if g := n.gossip.Load(); g != nil {
		return g.Serve(kind, payload)
	}
	return nil, errNoRing
}

func (n *Node) serveBucketEmpty(prefix string) ([]byte, error) {
	if !isNamePrefix(prefix) {
		return nil, errors.New("malformed bucket")
	}
	empty, err := n.bucketEmptyHere(prefix)
	if !empty {
		return []byte(bucketIsUsed), err
	}
	return []byte(bucketIsEmpty), err
}

func answer(reply func(transport.Response), payload []byte, err error) {
	if err != nil {
		reply(transport.Response{Status: transport.StatusError, Payload: []byte(err.Error())})
		return
	}
	reply(transport.Response{Payload: payload})
}

// callBudget bounds a call whose context has no deadline.
const callBudget = 5 * time.Second

// call asks whichever node is at addr and waits: see [gossip.Call].
func (n *Node) call(ctx context.Context, addr string, kind uint8, payload []byte) ([]byte, error) {
	return n.ask(ctx, "", addr, kind, payload)
}

// ask asks the node with this uuid, "" for any, at addr and waits for its answer until ctx
// ends; what it asked for may then still happen.
func (n *Node) ask(ctx context.Context, uuid, addr string, kind uint8, payload []byte) ([]byte, error) {
	budget := callBudget
	if deadline, ok := ctx.Deadline(); ok {
		budget = time.Until(deadline)
	}
	var version uint64
	if v := n.view.Load(); v != nil {
		version = v.Ring.Version()
	}
	type result struct {
		resp transport.Response
		err  error
	}
	done := make(chan result, 1) // room for the answer that comes after ctx ended
	n.transport.Call(addr, transport.Request{Kind: transport.Kind(kind), Ring: version, Budget: budget, Node: uuid, Payload: payload},
		func(resp transport.Response, err error) { done <- result{resp, err} })
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-done:
		switch {
		case errors.Is(r.err, transport.ErrDuplicateNode):
			return nil, fmt.Errorf("%w: it listens at %s", gossip.ErrDuplicate, addr)
		case errors.Is(r.err, transport.ErrSelf):
			return nil, gossip.ErrSelf
		case r.err != nil:
			return nil, r.err
		case r.resp.Status == transport.StatusError:
			return nil, fmt.Errorf("node at %s: %s", addr, r.resp.Payload)
		case r.resp.Status != transport.StatusOK:
			return nil, fmt.Errorf("node at %s: status %d", addr, r.resp.Status)
		}
		return r.resp.Payload, nil
	}
}
