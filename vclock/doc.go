// Package vclock holds an object's values together with their causal history and merges
// replicas of it.
//
// # Model
//
// An [Object] is a version vector and a set of siblings. Each sibling is named by the [Dot]
// of the write that made it: one event (actor, counter). The version vector, a [Clock], says
// which dots this replica has seen. A dot that the clock covers and that names no sibling
// was seen and replaced. This is the dotted version vector set of Preguiça, Baquero et al.
// (arXiv 1011.5808, "Dotted Version Vectors", and its successor DVVSet), in the place of
// Dynamo's vector clocks (§4.4): a clock alone cannot tell two writes apart that went
// through one coordinator with the same context; a dot beside each value can.
//
// Three operations change an object:
//
//   - [Record.Put] drops the siblings that the writer had read (its context covers their
//     dots), adds the new value under a fresh dot, and joins the context into the clock. A
//     put without context drops nothing: its value becomes a sibling.
//   - [Merge] joins two replicas. A sibling survives if both have it, or if the other
//     replica's clock does not cover its dot. Merge is commutative, associative and
//     idempotent, and looks at nothing but clocks and dots: no wall clock, no properties.
//   - A delete is a put whose sibling is a tombstone.
//
// A clock may only travel together with every sibling whose dot it covers; what is sent,
// hinted or transferred is therefore always a whole object.
//
// # Actors
//
// Dots must never be used twice, or an acknowledged value would look replaced. An [Actor]
// is a pair (run, epoch): 64 random bits drawn at every process start and a counter in
// memory. A replica opens an actor for a record when it first mints there and keeps it in
// the [Record], outside the replicated object. Whatever breaks the rule "this replica's copy
// knows every dot that the actor made for this key" (a crash, a restored disk, a copy that
// was lost and came back from elsewhere) also breaks the use of the old actor: the run
// differs, the record has no actor, or [Record.Merge] cleared it. No lease and no proof of a
// clean stop is needed; the price is one clock entry per key and coordinator restart.
//
// Entries are never pruned by size or age: an entry may be forgotten only when no replica
// can still send the values that it covers out.
//
// # Promises
//
// Values are immutable by convention: no function changes its arguments, results may share
// memory with them. Decoding is strict (one encoding per object) and aliases its input.
// Every function is safe for concurrent use except those of [Actors], which the one
// committer of a node owns. Nothing in the package reads the wall clock but [HybridClock],
// which orders values only where a bucket explicitly asked for last-write-wins.
//
//	ids := vclock.NewActors(run)
//	rec = rec.Put(vclock.Write{Context: read.Clock, Value: v}, ids)
//	theirs, _ = vclock.Merge(theirs, rec.Object)
package vclock
