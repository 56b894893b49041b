package transport

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what a request asks for. The transport gives no meaning to it,
// except that the kinds in [Config.Open] are served to any peer.
type Kind uint8

// Status is the outcome of a request that was answered.
type Status uint8

// The statuses below [StatusHandler] are the transport's; a handler may use
// them too. Those from StatusHandler on are free for handlers.
const (
	StatusOK       Status = 0
	StatusError    Status = 1 // the handler failed; the payload may say why
	StatusBusy     Status = 2 // too many requests in flight at the peer; not carried out
	StatusRefused  Status = 3 // no common cluster and the kind is not open; not carried out
	StatusTooLarge Status = 4 // carried out, but the answer is larger than a message may be

	StatusHandler Status = 16
)

// Request is one question to a peer.
type Request struct {
	Kind Kind
	// Ring is the version of the sender's ring document.
	Ring uint64
	// Budget is what is left of the request's time. The peer is told, rounded
	// up to a millisecond; more than 49 days count as 49. A call without any (zero or less) fails with
	// ErrTimeout and sends nothing.
	Budget time.Duration
	// Node, if not empty, is the uuid of the node that the caller means. If
	// another one answers at that address the call fails with ErrWrongNode and
	// the request is not sent: an address that changed hands must not make one
	// node count as two replicas. The field is not sent; a
	// handler finds it empty.
	Node string
	// Payload must not be changed any more once it was given to Call, not even
	// after the call has ended: a connection may still be writing it. A handler
	// owns the payload that it receives.
	Payload []byte
}

// Response is a peer's answer.
type Response struct {
	Status Status
	// Ring is the version of the answering node's ring document.
	Ring uint64
	// Payload must not be changed any more once it was given to reply. Who
	// receives an answer owns its payload.
	Payload []byte
}

// Peer is the other side of a connection, as it described itself in the
// handshake.
type Peer struct {
	Node    string // uuid
	Cluster string // uuid; empty if it has none yet
	Addr    string // where it is reached
	Member  bool   // both sides named the same cluster, and not the empty one
	Version uint16 // the protocol version in use on this connection
}

// Handler serves requests. It runs on the connection's reader and must not
// block; work that waits belongs on another goroutine. It, or what it started,
// calls reply exactly once, from any goroutine and without waiting; further
// calls do nothing. Until then the request counts against
// [Config.MaxInbound]. A reply whose connection has gone is dropped.
type Handler func(from Peer, req Request, reply func(Response))

// The errors of a call. Match them with errors.Is; most come wrapped with the
// address and the cause.
var (
	// ErrTimeout: no answer within the budget. The request may have been, or may
	// yet be, carried out.
	ErrTimeout = errors.New("transport: no answer in time")
	// ErrUnreachable: there is no connection to the peer, or it broke before the
	// answer came. In the second case the request may have been carried out.
	ErrUnreachable = errors.New("transport: peer unreachable")
	// ErrBusy: too many calls in flight or bytes waiting to be written. Nothing
	// was sent.
	ErrBusy = errors.New("transport: too many calls to the peer")
	// ErrTooLarge: the payload is over the message limit of this node or of the
	// peer. Nothing was sent.
	ErrTooLarge = errors.New("transport: message too large")
	// ErrWrongCluster: this node and the peer have no cluster in common and the
	// kind is not open. Nothing was sent.
	ErrWrongCluster = errors.New("transport: no cluster in common with the peer")
	// ErrWrongNode: another node than Request.Node answers at the address.
	// Nothing was sent.
	ErrWrongNode = errors.New("transport: another node answers at the address")
	// ErrVersion: no protocol version in common; the text names both ranges.
	// Nothing was sent.
	ErrVersion = errors.New("transport: no protocol version in common")
	// ErrSelf: the address leads back to this very Transport. Nothing was sent.
	ErrSelf = errors.New("transport: the address is this node's own")
	// ErrDuplicateNode: another live process has the uuid of this node, as
	// happens when a data directory is copied. Nothing was sent.
	ErrDuplicateNode = errors.New("transport: another process has this node's uuid")
	// ErrClosed: the Transport was closed. The request may have been carried out
	// if it was made before.
	ErrClosed = errors.New("transport: closed")
)

// VersionRange is the protocol versions that a side can speak, both included.
type VersionRange struct{ Min, Max uint16 }

func (v VersionRange) String() string { return fmt.Sprintf("%d-%d", v.Min, v.Max) }

// common returns the highest version in both ranges, or false.
func (v VersionRange) common(w VersionRange) (uint16, bool) {
	hi := min(v.Max, w.Max)
	return hi, hi >= max(v.Min, w.Min)
}
