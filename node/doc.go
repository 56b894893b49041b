// Package node assembles one Cartwheel node from its parts and runs it. The same wiring
// serves production, over sockets, and simulated clusters, over an in-memory network.
//
// # Data flow
//
// A request goes one straight road: httpapi -> quorum -> (this node's store | transport ->
// the peer's store). Everything else hangs off it: gossip says who is up and spreads the
// ring and the bucket properties, and each change of either becomes a new immutable view
// that the next request uses.
//
// # Life
//
// [New] takes the data directory, the store and the ports, so that whatever is wrong with
// them is said before anything starts. [Node.Run] starts the parts, finds or forms the ring,
// and blocks until its context ends or the node cannot go on. It stops in the order of the
// road: no new clients, their requests under way, a word of leaving to the peers, what the
// peers' requests began, gossip, the peer port, the store, the directory. Every request gets
// an answer; one that still waits for other nodes after some seconds is told that this node
// is stopping. What was acknowledged is in the store by then; a node that is killed instead
// loses nothing more than the time to replay its log.
//
// Ready means that the ring is known and the store takes writes; until then object requests
// are answered 503.
package node
