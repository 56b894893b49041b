package replica

import (
	"context"
	"fmt"
	"sync"

	"cartwheel/quorum"
	"cartwheel/transport"
)

// Coordinator runs a forwarded put and never forwards it again; standIn allows it to mint in
// place of an owner: see [quorum.Coordinator].
type Coordinator interface {
	Coordinate(ctx context.Context, r quorum.PutRequest, standIn bool) (quorum.PutResult, error)
}

// Server answers the peers' requests with this node's replica. It is safe for concurrent
// use; Close waits for the forwarded puts.
type Server struct {
	local       *Local
	coordinator Coordinator
	view        func() *quorum.View
	forwards    sync.WaitGroup
}

// NewServer returns a server. view returns the present view, nil before there is a ring.
func NewServer(local *Local, coordinator Coordinator, view func() *quorum.View) *Server {
	return &Server{local: local, coordinator: coordinator, view: view}
}

// Serve answers one request of the kinds of this package. It does not block; reply is called
// exactly once. A request that is malformed, of another ring version, for a copy of a key that
// this node does not own, or for the hint of a node that does not own it either is refused.
func (s *Server) Serve(req transport.Request, reply func(transport.Response)) {
	view := s.view()
	if view == nil {
		refuse(reply, 0, &quorum.RefusedError{Reason: quorum.WrongRing, Text: "replica: this node has no ring yet"})
		return
	}
	version := view.Ring.Version()
	var err error
	switch req.Kind {
	case KindRead:
		err = s.read(view, req, reply)
	case KindMerge:
		err = s.merge(view, req, reply)
	case KindForward:
		err = s.forward(view, req, reply)
	default:
		err = fmt.Errorf("replica: unknown request kind %d", req.Kind)
	}
	if err != nil {
		refuse(reply, version, err)
	}
}

// read, merge and forward begin a request and answer it later; after an error they have not
// begun it.
func (s *Server) read(view *quorum.View, req transport.Request, reply func(transport.Response)) error {
	q, err := decodeRead(req.Payload, req.Ring)
	if err == nil {
		err = placed(view, q.Target)
	}
	if err != nil {
		return err
	}
	if q.For != "" {
		q.Owners = view.Owners(q.Target)
	}
	digest, did, version := q.Digest, asksDid(q), req.Ring // the answer holds no more of the request
	q.Done = func(a quorum.ReadReply) {
		if a.Err != nil {
			refuse(reply, version, a.Err)
			return
		}
		reply(transport.Response{Ring: version, Payload: encodeReadReply(a, digest, did)})
	}
	s.local.Read(q)
	return nil
}

func (s *Server) merge(view *quorum.View, req transport.Request, reply func(transport.Response)) error {
	m, err := decodeMerge(req.Payload, req.Ring)
	if err == nil {
		err = placed(view, m.Target)
	}
	if err != nil {
		return err
	}
	version := req.Ring
	m.Done = func(a quorum.WriteReply) {
		if a.Err != nil {
			refuse(reply, version, a.Err)
			return
		}
		reply(transport.Response{Ring: version, Payload: encodeWriteReply(a)})
	}
	s.local.Merge(m)
	return nil
}

// forward runs a put that another node could not coordinate. The coordinator itself checks
// that this node may mint it.
func (s *Server) forward(view *quorum.View, req transport.Request, reply func(transport.Response)) error {
	p, standIn, err := decodeForward(req.Payload, req.Budget)
	if err == nil {
		err = sameRing(view, req.Ring)
	}
	if err != nil {
		return err
	}
	s.forwards.Go(func() {
		// The put has its own deadline, the sender's budget.
		res, err := s.coordinator.Coordinate(context.Background(), p, standIn)
		reply(transport.Response{Ring: req.Ring, Payload: encodeResult(res, err, p.ReturnBody)})
	})
	return nil
}

// Close waits for the forwarded puts under way. Each ends with its budget, or when the
// coordinator is closed. The caller has seen to it that no request comes any more.
func (s *Server) Close() { s.forwards.Wait() }

// placed returns why this node is not to serve the target, nil if it is: it owns the key, or
// it does not and stands in for a node that does.
func placed(view *quorum.View, t quorum.Target) error {
	if err := sameRing(view, t.Ring); err != nil {
		return err
	}
	owns := view.Ring.Owns(view.Self, t.Partition, t.N)
	switch {
	case view.Self < 0 || t.Partition != view.Ring.Partition(t.Name) || t.For == "" && !owns:
		return &quorum.RefusedError{Reason: quorum.WrongRing,
			Text: fmt.Sprintf("replica: this node does not own partition %d with n=%d in ring version %d", t.Partition, t.N, t.Ring)}
	case t.For == "":
		return nil
	}
	if owner, known := view.Ring.Index(t.For); owns || !known || !view.Ring.Owns(owner, t.Partition, t.N) {
		return &quorum.RefusedError{Reason: quorum.WrongRing,
			Text: fmt.Sprintf("replica: this node cannot stand in for %q at partition %d with n=%d in ring version %d", t.For, t.Partition, t.N, t.Ring)}
	}
	return nil
}

func sameRing(view *quorum.View, version uint64) error {
	if ours := view.Ring.Version(); version != ours {
		return &quorum.RefusedError{Reason: quorum.WrongRing,
			Text: fmt.Sprintf("replica: the request is of ring version %d, this node is at %d", version, ours)}
	}
	return nil
}

func refuse(reply func(transport.Response), version uint64, err error) {
	reply(transport.Response{Status: refused + transport.Status(reasonOf(err)), Ring: version, Payload: []byte(err.Error())})
}
