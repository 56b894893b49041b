// Package quorum coordinates the reads and writes of one node: it asks the replicas of a
// key, counts their answers against the levels of the request, and mends what a read finds
// to differ.
//
// # Model
//
// A request takes one [View] of the cluster and keeps it. The key's owners, the first N
// members of its preference list, are the slots of the request; each votes once. Tallies
// turn votes into one of three outcomes, pending, won or lost, and know neither time nor
// network; a request is lost as soon as no further vote can save it, not when its time runs
// out. Words among the levels follow the effective N, so that one node alone is a cluster;
// a number above it is out of reach and refused before anything is sent.
//
// All other members of the list are the key's fallbacks. A fallback stands in for one named
// owner and keeps for it what it is sent, the hint, apart from its own copies. In a sloppy
// request it can fill that owner's slot, which then counts toward every level but PR and PW.
// Within a request a fallback is asked for one slot only, so that a node counts once. A slot
// has failed when its owner and every fallback that was left have failed.
//
// Put: an owner's store mints the dot, and the object goes to the other owners while that
// store syncs. For an owner that fails, is believed dead, or has been silent for
// [Config].HintAfter the next fallback that is believed alive gets the object, and if that
// fails the next one; this goes on after the answer. An owner that acknowledges after its
// fallback makes the slot a primary's. If no fallback took the hint, [Config].Missed is told.
// What gossip says is a hint whom to ask, never a fact: an owner believed dead is asked all
// the same when no fallback is left, or when PW needs it, but nobody waits for it. Without
// Sloppy hints are kept just so, and count for nothing.
//
// A node that owns no replica, or whose store takes no writes, forwards the put to an owner
// with the client's request id, and to the next one with the same id if the first is silent;
// a forwarded put is never forwarded again. When no owner believed alive takes it, a fallback
// may mint in place of an owner, first of all this node, if the put is sloppy and has no PW.
// With PW no fallback mints: some owner must be reached for it in any case, and can mint.
//
// Get: the nearest owner sends its copy, as many others as the levels need a digest of
// theirs. Copies that differ are fetched and merged; the merge is the answer. An owner that
// failed is replaced at once, a slow one after the time it usually takes (the hedge): by
// another owner, or, if those that are left cannot meet the levels, by a fallback; for owners
// that are merely silent fallbacks are asked after HintAfter. Owners' copies seen to be
// stale, missing or damaged get the merged object after the answer, or before it where a
// read must not be able to see less than an earlier one ([Options].RepairBefore). Read
// repair mints nothing, and leaves fallbacks alone.
//
// # Promises
//
// A write that was answered without an error is in the stores of as many nodes as its levels
// say; Receipt.Durable of them had it fsynced. With r+w > N among primaries (PR and PW), and
// every replica that acknowledged keeping what it stored, a later read finds it. What was
// acknowledged with the help of fallbacks is found while the same nodes are reachable, and
// else when the hints have been delivered. An error does not undo a write: one that missed
// its levels, or ran out of time, may become visible later and is never taken back. "Not
// found" is answered only by owners that looked, as many as R says: a fallback that has
// nothing knows nothing. A replica that may have lost data ([Unsure]) is no vote. A
// replica's refusal, timeouts, missed levels and impossible ones are different errors.
//
// # Concurrency
//
// Everything here runs on the goroutines of callers, of the replicas' answers, and of
// timers; no request starts one. Each request has one lock, under which nothing is called.
// The answer and what follows it are apart: late answers still count, repair, and keep the
// request open until [Coordinator.Close] has seen them or its time is up. Requests and
// repairs after the answer are bounded; beyond the bounds requests fail at once and repairs
// are dropped and counted. What goes on after a put's answer ends after FollowUpTimeout. What
// one peer may have under way, and for how long a silent one is asked at all, is for the
// replicas to bound; one that says that calls would fail is asked last.
//
// # Dynamo
//
// §4.5 (get and put operations), §4.6 (sloppy quorum; the hints are taken here and delivered
// elsewhere) and §5 (coordination as a state machine, read repair) are followed, but for
// this: the coordinator of a put is any owner, nearest first, instead of the first of the
// list; a put is minted by exactly one replica and merged by the others;
// reads send one copy and digests instead of N copies; the paper's coordinator waits for all
// N on reads to find stale copies, here only those counted are looked at. The rest is left to
// later reads and the background exchange. The paper's write goes to the first N healthy
// nodes; here owners are always tried, unless gossip says that they are down, and each
// fallback stands in for a named one, so that a client may ask for primaries.
//
//	c := quorum.New(quorum.Config{}, view.Load)
//	defer c.Close()
//	got, err := c.Get(ctx, quorum.GetRequest{Key: key, Options: options})
package quorum
