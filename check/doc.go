// Package check finds out whether a running cluster keeps its promises: it writes and reads as
// many clients at once, writes down what each of them did and saw, and judges that history. It
// sees the cluster as its users do, over HTTP, and needs nothing else of it.
//
// # Model
//
// A run ([New], [Run.Do]) loads the cluster through several endpoints, then waits until all is
// healed, reads every key from every endpoint, and judges. Everything that happens becomes an
// [Op], a line of the history file; [Judge] computes the [Report] from these lines and nothing
// else, so a saved history can be judged again.
//
// Every write has an identity, CLIENT.SEQ, that is stored with it as metadata. An operation
// ends in one of three ways: ok (it was answered with 2xx, or a read with 300 or 404), fail (it
// surely had no effect: refused, or never sent), unknown (anything else: it may have had an
// effect, or have one later). Only ok acknowledges a write. Times are microseconds since the
// run's start, all on the checker's own clock: that A ended before B began is certain.
//
// What an answer *accounts for* depends on the workload. In sets the values are sets of the
// identities of adds, and siblings are merged by union. A counter's values map writers to
// counts, merged by maximum: the n-th increment of a writer is there if its count is at least n.
// In registers a write is accounted for if its value is there, or one that replaced it: whose
// client had read it, or had read one that accounts for it.
//
// # What is a violation
//
//   - lost: an acknowledged write that the final state does not account for;
//   - stale: a strict read (a quorum of owners) that does not account for a write which a quorum
//     of owners had acknowledged before the read began; a false "not found" is one of these;
//   - session: a strict read that shows less than its client had seen or written before;
//   - vanished: a write, acknowledged or not, that a strict read with read_repair=before showed
//     and that the final state does not account for;
//   - unwritten, altered, refused: a value that nobody wrote, or not yet, or otherwise, or whose
//     write was refused;
//   - tag: two values under one tag of one key, which is a dot used twice;
//   - resurrected: a value beside another whose client had read and so replaced the first;
//   - diverged: endpoints that keep showing different final states;
//   - unverified: a key that could not be read in the end, or a workload in which no write was
//     acknowledged: nothing is known of it, which is no reason to call it good.
//
// On a last-write-wins bucket losses are what the bucket was asked for. They are counted and
// shown, and are no violation.
//
// # What is not found
//
// A history shows what its clients met. A run without a violation is evidence, not proof; run
// it longer, with faults. Writes with w=1 and dw=1 have one durable copy only and may be lost
// with it, so they are part of a run only on request.
//
// # Concurrency and bounds
//
// A [Run] is used once; its Progress may be called at any time. The history is streamed to its
// file. Memory grows with the number of writes, about 400 bytes each, so the operations per
// second of each client are limited.
package check
