// Package replica carries the coordinator's operations to the stores: read, digest, merge
// and forwarded put, on this node and on others.
//
// It has three parts. [Local] is this node's own replica over its store; it is where dots
// are minted. [Remote] is a peer's replica behind the transport. [Server] answers the peers'
// requests with Local and, for forwarded puts, with the coordinator. Local and Remote are
// the same [quorum.Replica] to the coordinator.
//
// A target that names an owner ([quorum.Target].For) is for a node that stands in for it:
// what it merges or mints goes to the hint for that owner, what it reads is the merge of its
// hints for all owners of the key. Own copies and hints never mix.
//
// # Gray failures
//
// Each peer has a [Breaker]. It opens when calls fail or have no answer in time, seen from
// outside, while they are still awaited: a merge may wait ten seconds for its answer, and a
// stopped peer must cost its clients one. Then calls fail at once, and one in a while is let
// through to see. It also bounds the bytes that wait for a peer's answer; the number of calls
// is bounded by the transport.
//
// # Promises
//
// Every operation answers exactly once. A read or merge may be repeated without harm; a
// forwarded put may be repeated with its request id. A merge is acknowledged only when the
// store has it, fsynced unless the node runs with another durability, which the answer
// says. A request of another ring version, for a key that this node does not own there, or
// for the hint of one that does not own it either is refused with [quorum.WrongRing], never
// redirected. While the node may have lost data of a partition, reads of its own copies there
// are refused with [quorum.Unsure]; writes and hints are not.
//
// Every error is a [quorum.RefusedError], or, for a forwarded put, the coordinator's own
// error as it came. A merge or a forwarded put that ended in [quorum.Unreachable] may have
// been carried out; ended in any other refusal, it was not. Only a store that fenced itself
// while the write waited leaves that open, and says [quorum.StorageDown].
//
// # Wire format
//
// One request and one answer per operation; integers are unsigned varints, strings and
// objects have their length before them, objects are those of package vclock. Decoders are
// strict and refuse trailing bytes: two versions of a message never parse as each other
// unnoticed.
package replica
