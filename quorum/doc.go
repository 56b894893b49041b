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
// Put: an owner's store mints the dot, and the object goes to the other owners while that
// store syncs. A node that owns no replica, or whose store takes no writes, forwards the put
// to an owner with the client's request id, and to the next one with the same id if the
// first is silent; a forwarded put is never forwarded again.
//
// Get: the nearest owner sends its copy, as many others as the levels need a digest of
// theirs. Copies that differ are fetched and merged; the merge is the answer. An owner that
// failed is replaced at once, a slow one after the time it usually takes (the hedge).
// Copies seen to be stale, missing or damaged get the merged object after the answer, or
// before it where a read must not be able to see less than an earlier one
// ([Options].RepairBefore). Read repair mints nothing.
//
// # Promises
//
// A write that was answered without an error is in the stores of as many replicas as its
// levels say; Receipt.Durable of them had it fsynced. With r+w > N, and every replica that
// acknowledged keeping what it stored, a later read finds it. An error does not undo a
// write: one that missed its levels, or ran out of time, may become visible later and is
// never taken back. "Not found" is answered only by owners that looked, as many as R says.
// A replica's refusal, timeouts, missed levels and impossible ones are different errors.
//
// # Concurrency
//
// Everything here runs on the goroutines of callers, of the replicas' answers, and of
// timers; no request starts one. Each request has one lock, under which nothing is called.
// The answer and what follows it are apart: late answers still count, repair, and keep the
// request open until [Coordinator.Close] has seen them or its time is up. Requests and
// repairs after the answer are bounded; beyond the bounds requests fail at once and repairs
// are dropped and counted. What one peer may have under way is for the transport to bound.
//
// # Dynamo
//
// §4.5 (get and put operations) and §5 (coordination as a state machine, read repair) are
// followed, but for this: the coordinator of a put is any owner, nearest first, instead of
// the first of the list; a put is minted by exactly one replica and merged by the others;
// reads send one copy and digests instead of N copies; the paper's coordinator waits for all
// N on reads to find stale copies, here only those counted are looked at. The rest is left to
// later reads; a background exchange comes later.
//
//	c := quorum.New(quorum.Config{}, view.Load)
//	defer c.Close()
//	got, err := c.Get(ctx, quorum.GetRequest{Key: key, Options: options})
package quorum
