// Package gossip tells which nodes are up, spreads small documents, and makes the first ring.
//
// # The first ring
//
// A [Former] finds or makes the first ring. Nodes that were started with the same expected
// number greet each other over the peer port. Of those that it has heard within the last
// seconds, the one with the lowest uuid proposes a document with the expected number of them,
// every one of them promises durably to take no other, and when all have promised the
// proposer saves it: that is the moment the cluster exists. The others learn it with the next
// greeting. Serving begins only after that. A node that is left over gets [ErrNotMember].
//
// Two first rings never have a member in common, whatever messages are lost, late or doubled
// and whichever processes die while they form: a member's promise outlives its process, and
// only the proposer's own word, asked for after the promise, that it proposes something else
// releases it; the proposer never comes back to a document that it has dropped, and promises
// nothing while it proposes. The price: if the proposer dies between the first promise and
// the ring, those who promised wait for it. When it is back they go on, with a new proposal;
// when its disk is lost, their (still empty) data directories have to be emptied as well.
//
// A process that meets another one with its uuid ends with [ErrDuplicate]. Of two that are
// both forming the ring at that moment, both may end.
//
// # Gossip
//
// Liveness is not membership. The ring document says who the members are; hashicorp/
// memberlist (SWIM with Lifeguard's refinements, in the place of Dynamo §4.8's gossip) says
// which of them answer. Nothing here ever changes the ring because a node is silent.
//
// A [Gossip] runs memberlist under the cluster's uuid as label, so that two clusters that
// meet on reused addresses never mix. Nodes are named by uuid; names and addresses are data in
// their metadata, which also carries the digest of each document. A node whose digest differs
// from a peer's asks the peer for the whole document and merges it; a change is also pushed
// to every live node at once. Members that are not seen alive are joined again for ever, from
// addresses that are kept on disk and from those that others name: memberlist by itself never
// heals a cut that outlasts its memory of the dead, and refuses a member that has moved.
//
// Documents converge on all nodes that can reach each other, directly or through others.
// With the default intervals and few members a silent node is taken for dead within about ten
// seconds, a cut of any length is healed within a few rounds of joining (every five seconds,
// longer while many members do not answer), and a member that comes back at another address is
// believed soon after the old one is found dead.
// [Gossip.Peers] is a snapshot that never changes; it may lag behind the network by that much.
//
// Close waits for this package's goroutines; memberlist's own end within seconds after it,
// touch nothing that was passed in but the Wire and the Logger, and need no waiting for.
package gossip
