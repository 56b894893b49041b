// Package antientropy makes the replicas of a partition equal, however they came to differ, and
// knows when they last were.
//
// # Model
//
// A [Keeper] holds one digest tree for each (partition, n) pair that its node owns, n being the
// n_val of a key's bucket: all owners of a pair hold the same keys, so their trees compare
// directly. A tree has 1024 leaves under 32 branches under a root. A leaf is the XOR of one 64-bit
// entry per key, mixed from the hash of the name and the digest of the object (its clock and
// dots), and the number of keys; branches and root are the same sums over more keys. Every commit
// of the store changes one leaf ([Keeper.Update]).
//
// Trees are built from a scan of one snapshot. Changes that come after the snapshot go into the new
// tree as they happen, before or after the scan adds the key: XOR and addition do not mind the
// order. Until the scan has ended the old tree answers; without one the partition is left out of
// exchanges, and only that partition. Trees are saved after an orderly stop ([Keeper.Save]) and
// built after any other; all records are read again once in Config.ScrubEvery, which finds damage
// that nobody has read yet.
//
// An exchange goes from the roots of all shared pairs down: roots, a pause, roots again; of those
// that differed both times the branches, then leaves, a pause, leaves again, and once more when the
// partition's turn comes; of leaves that differed each time the keys. So writes on their way are no
// differences, and keys are read in partitions that differ only. Where one side has less than a
// quarter of the other's keys the steps between are left out, and if it is this side, whole objects
// come instead of digests. A key
// that differs is merged here from the peer's object and there from ours, or from the merge of
// both; nothing is ever minted, and a clock travels only with every sibling that it does not cover.
//
// [Keeper.Run] exchanges with one member every Config.Interval, by turns. What is dirty (an owner
// lacks a write and no hint waits for it) or unsure goes first and at once, with a wait that
// doubles from 1 s to 30 s while it fails. All reading and sending waits at the node's Throttle.
//
// # Promises
//
//   - A (partition, member) is called verified only if, since the exchange began, each part of the
//     partition was equal on both sides at some moment or was repaired, durable on both sides; and
//     if this node's trees were to be trusted all the while.
//   - A partition marked unsure stays so until an exchange begun after the mark, and after a new
//     scan, has brought here all of it that every other owner has, those not alive for Config.DeadAfter without a
//     break excepted, and with at least half of n (rounded down, one at least): together with this
//     node that is a majority. If it has no other owner it is sure at once.
//   - A tree that turns out wrong (a leaf that no set of keys has, a scan with another result, a
//     difference twice in a row that no key shows, a corrupt record replaced unread) is built anew,
//     counted and logged.
//   - A record that cannot be read is listed under a digest of its own, so that the next exchange
//     fetches it, and makes its partition unsure once. Known ones do not mark it again: a record
//     that is corrupt at every owner must not make a partition unreadable for ever.
//   - Both sides must be owners of a pair in the same version of the ring and know the same n_vals;
//     else there is no answer, never a wrong one.
//
// # Not promised
//
// Equality is that of 64-bit sums: differences that cancel out go unseen with a chance of 2^-64.
// Marks of dirty partitions are lost with the process; regular exchanges find the same. Unsure
// marks are the node's to keep (Config.UnsureChanged) and to make again at the next start. That two
// nodes repair one partition with the same third at once is avoided, not excluded: it costs traffic.
//
// # Costs
//
// An exchange that finds nothing takes 10 bytes per pair, one message and no reading: 3 KiB for 256
// partitions. Each partition that differs is scanned once on both sides. An update takes 0.1 to 0.2
// us and allocates nothing but a branch's leaves at its first key. A tree takes 12 KiB with all
// leaves in use, as 256 partitions are at a million keys (3 MiB together); a partition without keys
// takes 100 bytes. A scan pins the versions of one snapshot while it waits for the throttle. An
// exchange holds at most Config.Parallel pages of 256 KiB from either side, or as many single
// objects.
//
// # Bounds
//
// Config.MaxExchanges are begun at once and as many are served; others are answered "busy" and come
// again. Messages and answers are at most 256 KiB, or one object. Marks are bounded by members times
// partitions, known corrupt records by 1024 per partition.
//
// # Concurrency
//
// All methods are safe for concurrent use. Update takes one short lock per partition and is called
// by the store's batch writer in the order of commits; Unsure is one atomic load. Serve blocks and
// needs a goroutine of its own.
//
// # Departures from the paper
//
// DeCandia et al., "Dynamo", SOSP 2007, §4.7: each node keeps a Merkle tree for each key range and
// two nodes compare the trees of the ranges that they share.
//   - Ranges here are fixed partitions (strategy 3 of §6.2), so a ring change never makes a tree
//     useless; the paper's trees had to be calculated anew then.
//   - A leaf of the paper is the hash of one key's value. Here it is a sum over all keys that hash
//     to it, so that a tree has a fixed size and a write costs the same at any depth. XOR resists
//     accidents, not somebody who chooses digests; peers are trusted.
//   - Trees are compared twice, as the paper's in-flight writes would be differences.
//   - The paper repairs by the tree alone; here keys are compared before anything is sent.
//
// # Use
//
//	k, err := antientropy.New(antientropy.Config{View: view, N: levelOf, Run: store.Run(), Store: own,
//		Sender: sender, Throttle: pace, Call: call})
//	if err != nil {
//		return err
//	}
//	k.Load(saved, store.FormerRun()) // the store's Config.Changed calls k.Update from here on
//	err = k.Run(ctx)                 // meanwhile k.Serve answers the peers
//	k.Close()                        // then close the store, and keep k.Save()
package antientropy
