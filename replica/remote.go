package replica

import (
	"errors"
	"fmt"

	"cartwheel/quorum"
	"cartwheel/transport"
)

// Caller sends requests to peers: see [transport.Transport.Call].
type Caller interface {
	Call(addr string, req transport.Request, done func(transport.Response, error))
}

// Remote is the replica of one peer. It is safe for concurrent use and holds no goroutine.
type Remote struct {
	calls   Caller
	node    string
	addr    string
	breaker *Breaker
}

var _ quorum.Replica = (*Remote)(nil)

// NewRemote returns the replica of the node with this uuid, reached at addr. An answer of
// another node at that address counts as no answer. breaker is the peer's own.
func NewRemote(calls Caller, node, addr string, breaker *Breaker) *Remote {
	return &Remote{calls: calls, node: node, addr: addr, breaker: breaker}
}

// Usable reports whether a call would be made now; if not, it would fail at once.
func (p *Remote) Usable() bool { return p.breaker.usable() }

// Closed reports whether the peer has answered lately, as far as it was asked.
func (p *Remote) Closed() bool { return p.breaker.closed.Load() }

// refused is the status of an answer that is a refusal: its reason is added to it, its
// payload is the text.
const refused = transport.StatusHandler

// lastReason is the highest reason there is.
const lastReason = quorum.HintsFull

// Read implements [quorum.Replica].
func (p *Remote) Read(q quorum.Read) {
	f, err := p.begin(0, false) // what a read holds is its answer, which the transport bounds
	if err != nil {
		q.Done(quorum.ReadReply{Err: err})
		return
	}
	req := transport.Request{Kind: KindRead, Ring: q.Ring, Budget: q.Budget, Node: p.node, Payload: encodeRead(q)}
	done, digest, did := q.Done, q.Digest, asksDid(q)
	p.calls.Call(p.addr, req, func(resp transport.Response, err error) {
		f.end(err)
		if err := p.check(resp, err); err != nil {
			done(quorum.ReadReply{Err: err})
			return
		}
		a, err := decodeReadReply(resp.Payload, digest, did)
		if err != nil {
			a.Err = p.malformed(err)
		}
		done(a)
	})
}

// Merge implements [quorum.Replica].
func (p *Remote) Merge(m quorum.Merge) {
	f, err := p.begin(len(m.Encoded), false)
	if err != nil {
		m.Done(quorum.WriteReply{Err: err})
		return
	}
	req := transport.Request{Kind: KindMerge, Ring: m.Ring, Budget: m.Budget, Node: p.node, Payload: encodeMerge(m)}
	done := m.Done
	p.calls.Call(p.addr, req, func(resp transport.Response, err error) {
		f.end(err)
		if err := p.check(resp, err); err != nil {
			done(quorum.WriteReply{Err: err})
			return
		}
		a, err := decodeWriteReply(resp.Payload)
		if err != nil {
			a.Err = p.malformed(err)
		}
		done(a)
	})
}

// Forward implements [quorum.Replica].
func (p *Remote) Forward(q quorum.Forward) {
	f, err := p.begin(len(q.Request.Value), true)
	if err != nil {
		q.Done(quorum.PutResult{}, err)
		return
	}
	req := transport.Request{Kind: KindForward, Ring: q.Ring, Budget: q.Budget, Node: p.node, Payload: encodeForward(&q.Request, q.StandIn)}
	done := q.Done
	p.calls.Call(p.addr, req, func(resp transport.Response, err error) {
		f.end(err)
		if err := p.check(resp, err); err != nil {
			done(quorum.PutResult{}, err)
			return
		}
		res, err, malformed := decodeResult(resp.Payload)
		if malformed != nil {
			res, err = quorum.PutResult{}, p.malformed(malformed)
		}
		done(res, err)
	})
}

// begin asks the breaker whether a call may be made; an error is a refusal. A call that is
// not made was not carried out, but Busy is for who is alive.
func (p *Remote) begin(size int, patient bool) (*flight, error) {
	f, err := p.breaker.begin(size, patient)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, errFull):
		return nil, &quorum.RefusedError{Reason: quorum.Busy, Text: fmt.Sprintf("replica %s: %v", p.addr, err)}
	}
	return nil, &quorum.RefusedError{Reason: quorum.Unreachable, Text: fmt.Sprintf("replica %s: %v", p.addr, err)}
}

// malformed is the refusal for an answer that cannot be read: it is no answer, and a write
// may have been carried out.
func (p *Remote) malformed(err error) error {
	return &quorum.RefusedError{Reason: quorum.Unreachable, Text: fmt.Sprintf("replica %s: %v", p.addr, err)}
}

// check returns why a call brought no usable answer, nil if it did. Unreachable says that it
// may have been carried out, so it stands for all that is not known to be a refusal.
func (p *Remote) check(resp transport.Response, err error) error {
	if err == nil && resp.Status == transport.StatusOK {
		return nil // most calls end here: nothing is formatted for them
	}
	reason, text := quorum.Unreachable, fmt.Sprintf("replica %s: status %d: %s", p.addr, resp.Status, resp.Payload)
	switch {
	case errors.Is(err, transport.ErrBusy):
		reason, text = quorum.Busy, err.Error()
	case errors.Is(err, transport.ErrTooLarge):
		reason, text = quorum.TooLarge, err.Error()
	case err != nil:
		text = err.Error()
	case resp.Status == transport.StatusBusy:
		reason, text = quorum.Busy, fmt.Sprintf("replica %s: too many requests are under way", p.addr)
	case resp.Status == transport.StatusRefused:
		reason, text = quorum.Failed, fmt.Sprintf("replica %s: it does not take this node for a member of its cluster", p.addr)
	case resp.Status == transport.StatusTooLarge:
		text = fmt.Sprintf("replica %s: its answer is too large for a message", p.addr)
	case resp.Status > refused && resp.Status <= refused+transport.Status(lastReason):
		reason, text = quorum.Reason(resp.Status-refused), string(resp.Payload)
	}
	return &quorum.RefusedError{Reason: reason, Text: text}
}
