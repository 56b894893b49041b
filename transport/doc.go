// Package transport carries requests and answers between nodes: bytes, not
// their meaning. One address serves everything that nodes say to each other:
// calls over TCP, and the gossip protocol's streams (TCP, same port) and
// packets (UDP, same port number). The first four bytes of a TCP connection
// tell calls ("CWR1") from gossip streams ("CWG1").
//
// # Model
//
// A [Transport] keeps one TCP connection to each address it calls. Many calls
// share it: a call is a frame with an id, and its answer is a frame with the
// same id, in any order. Frames that are ready at the same moment leave in one
// write. A message larger than a frame goes in parts, which alternate with
// other frames, so that a large object never holds up a small answer for long.
// A connection carries calls in one direction only: two nodes that call each
// other have two connections, and neither has to decide which one to keep.
//
// A handshake opens each connection. Both sides name their protocol versions
// (the highest common one is used), their cluster, their node and the address
// at which they are reached. Sides without a common cluster, for example while
// a cluster is formed, may exchange only the kinds that [Config.Open] lists.
//
// # Promises
//
//   - The function given to [Transport.Call] is called exactly once, and no
//     later than a few milliseconds after the call's budget.
//   - A payload arrives as it was sent or not at all: each frame carries a
//     CRC-32C over header and payload. TCP's own checksum misses one damaged
//     segment in 65,536, and an object has no other protection on the wire.
//   - A peer that answers nothing, on a connection that still looks open, is
//     noticed within four heartbeats (2 s by default), and its calls fail.
//   - Nothing waits without bound. A full queue is answered with [ErrBusy] or
//     [StatusBusy] at once. Calls wait for a connection only during the first
//     attempt after the peer was last well; after that they fail at once with
//     [ErrUnreachable], while attempts go on in the background.
//   - A peer cannot make this node allocate more than it has really sent, save
//     one frame.
//
// # Not promised
//
// [ErrTimeout] and [ErrUnreachable] don't say whether the request was carried
// out. Calls may arrive in another order than they were made. A request may
// not be repeated by the transport: no call is ever sent twice. There is no
// encryption here; a [Network] may add it.
//
// # Concurrency
//
// All methods of [Transport] and [Gossip] may be used from several goroutines
// at once. The handler and the done functions run on the goroutine that reads
// a connection and hold up all other messages of that connection: they must
// not block.
//
// # Place in Dynamo
//
// The paper says nothing about the protocol between its nodes. Section 4.2's
// coordinator sends to the top N nodes and section 4.8.3's failure detection is
// local: a peer that does not answer is avoided by who noticed it. Failing
// calls at once while a peer is away serves that.
//
//	t, err := transport.New(transport.Config{Listen: ":8099", Node: uuid, Handler: serve})
//	if err != nil {
//		return err
//	}
//	t.Start()
//	defer t.Close()
//	t.SetCluster(cluster)
//	t.Call("10.0.0.2:8099", transport.Request{Kind: get, Budget: time.Second, Payload: key},
//		func(res transport.Response, err error) { answers <- answer{res, err} })
package transport
