// Package ring places keys on members. A Ring is an immutable value computed
// from a Document, the agreed description of a cluster: equal documents give
// equal rings on every node, whatever the order of their members. Nothing here
// does I/O, reads a clock or draws a random number.
//
// # Model
//
// The hash space (xxhash64 of [Key.Name]) is cut into Q equal partitions, Q a
// power of two fixed when the cluster is created. A key belongs to the
// partition that the top bits of its hash name. A member has tokens: points of
// the same space, derived from its uuid, Document.Tokens of them for each unit
// of weight. The distance of a member from a partition is measured clockwise,
// from the end of the partition to the member's first token.
//
// Owners are chosen by a capped match. All (partition, member) pairs are taken
// nearest first; a pair is passed over if the partition has its N owners, or if
// the member is full: it already owns its share of the Q*N replicas by weight
// plus 5 %, rounded down. A slot that nobody with room can take then goes to
// the nearest member that lacks the partition, full or not.
//
// Zones: a member is passed over if its zone already holds a replica of the
// partition and all slots that are left are needed for zones that hold none.
// Because a slot once needed stays needed, one walk over the pairs is enough. A
// member without a zone counts as a zone of its own; so with no zone
// configured, or one zone for all, the rule changes nothing, and a cluster whose
// members get their zones one at a time never sees "no zone" as a place.
//
// Members with status member or leaving own partitions, joining ones do not:
// the owners of a document are those that hold the data while it is in force. A
// leaving member still holds its copies, a joining one has none yet. The owners
// that a transition leads to are those of the document that follows it, with
// the joining as members and the leaving gone.
//
// The preference list of a partition names every member once: the N owners,
// then the others that may own, then the joining (which can only stand in for
// somebody), each group nearest first. A bucket with its own n_val takes the
// first n entries; so that these too lie in distinct zones, each group is
// ordered in rounds, the k-th entry of every zone before the (k+1)-th of any.
// That differs from nearest first only where zones repeat within a group.
//
// # Promises
//
// In this order, each before the next:
//   - every partition has min(N, members that may own) distinct owners;
//   - they lie in as many distinct zones as N and the existing zones allow,
//     also when a small zone must then carry more than its share;
//   - no member owns more than its share by weight plus 5 %, as far as the
//     greedy walk finds room. It may not where shares are few partitions each,
//     where a zone is too small for its part or its fair share comes near to
//     every partition (up to 30 % above the mean was seen, at sizes 3, 3, 2, 1),
//     or where a weight asks for more than all partitions. The overflow follows
//     the tokens, and so again the weights. There is no such bound from below:
//     a member may own a third less than its share.
//   - a member that joins or leaves moves little more than its own share: 1.0
//     to 1.2 times the ideal with 4 to 32 members and 1024 partitions.
//
// Not promised: the same balance for buckets whose n_val is not the cluster's
// N; for them nearness decides alone which n of the list hold the data.
//
// # Documents
//
// Documents form a chain: each version carries the hash of its parent, the
// SHA-256 of its canonical encoding. The encoding carries a format number that
// stands for the encoding and for the placement rule above; nodes that would
// compute different owners from one document must refuse it instead, so any
// change of the rule raises the number.
//
// # Concurrency
//
// A Ring is never written after New and may be read by any number of
// goroutines. Slices it hands out are shared and must not be written to. Users
// keep the present one behind an atomic.Pointer and use one snapshot for the
// whole of a request.
//
// # Departures from the paper
//
// DeCandia et al., "Dynamo", SOSP 2007, §4.2, §4.3 and strategy 3 of §6.2:
//   - the paper gives each of S nodes Q/S tokens that are partitions at once,
//     redistributed at random when a node leaves and stolen when one joins, so
//     that placement depends on history and must itself be replicated. Here
//     placement is a function of the membership alone: tokens only express
//     nearness, and the cap provides the balance that Q/S tokens provide there.
//   - the paper walks the ring and skips positions to get distinct physical
//     nodes (§4.3); here also full members and zones already used are skipped.
//   - the paper hashes with MD5; xxhash64 is faster and not meant to resist
//     chosen keys: who can write keys at will can fill one partition.
package ring
