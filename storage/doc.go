// Package storage keeps one node's objects on disk and never loses a write that it acknowledged.
//
// # Model
//
// A Store maps a Key (partition and name) to a vclock.Record in one Badger database. A single
// goroutine, the committer, does all writing: it takes the Puts and Merges that wait, reads each
// record, applies the operations in order, mints the dots of puts, and makes the changed records
// durable with one sync (group commit; Dynamo §4.4 and §6.1 leave this to the storage engine). So
// writes of one key never race, no locks are needed, and 64 writers pay for one sync together. Get
// reads beside the committer, from the last committed state.
//
// # Promises
//
//   - An acknowledged write is on the disk (Durability Fsync) and is read by every later Get; a
//     crash at any point leaves each object as it was before or after a write, never in between.
//     A merge that brings nothing new writes nothing, and is acknowledged only when what it
//     brought is durable.
//   - No dot is minted twice, whatever was lost, restored or copied: every life of the process
//     mints under a run of its own, and a record without its history under a fresh actor.
//   - Puts are limited in value size, object size and siblings, checked before anything is minted.
//     Merges are never refused, or replicas could not converge.
//   - A retried put (same request id, same key) mints nothing and answers the stored object, as long
//     as its value is a sibling or its id among the latest; a later one leaves a sibling.
//   - Every record carries a checksum over its key and content. A corrupt one is never returned:
//     Get answers ErrCorrupt.
//   - When the disk fails (an I/O error, a failed sync, a commit of 30 s) or is nearly full, the
//     store fences itself until the process restarts: writes get ErrFenced with the reason, reads
//     go on. A disk that failed once is not trusted with an acknowledgement again, and a full one
//     would kill the process (SIGBUS) in the middle of anything. The store does not start on a
//     disk that is too full, and starts again once there is room.
//
// # Corrupt records
//
// A write to a corrupt record treats it as missing: a merge replaces it with what arrived, a put
// with the new value under a fresh actor. Refusing instead would leave the key unwritable on a
// single node and would block the very merge that repairs it. Dots stay unique either way. The
// damaged bytes are kept in a quarantine entry, one per key, so that no write destroys what only
// this replica had. What cannot be promised: from the write on, this replica answers without an
// error and may lack values that it once acknowledged. They come back from the other replicas
// by read repair (a background exchange comes later); if no sound copy exists, they are lost.
//
// # Large objects
//
// A record over 512 KiB is split into chunks under a new generation; the head that names the
// generation is written after them. A crash before that leaves the old object, and the chunks are
// deleted at the next Open, which finds them by the garbage entry that was written first. Chunks
// that were replaced are deleted right after the new head is durable, in the same way.
//
// # Bounds
//
// Memory: at most 3 memtables of 1.3 x MemTableBytes, MaxQueueBytes of operations, one batch (15 % of
// MemTableBytes, or one object of any size, three times, and as much again of records that were
// only read), 6 MB of request ids, and what Badger needs to build tables: one flush and two
// compactions at a time, whose buffers are pooled and grow with the size of values. Measured with
// defaults as private memory without pause: 12 MiB idle after Open; 64 writers of 1 KiB, 140 MiB
// live and 280 MiB with the garbage that Go's default target allows; 16 writers of 1 MiB, 390 and
// 730 MiB. The buffers are mostly garbage: with GOMEMLIMIT=400MiB the latter stays at 365 MiB.
// Mapped tables come on top in what the system reports as resident; it takes those pages back when
// it needs them.
//
// Disk: Stats.FloorBytes must stay free, with defaults 82.4 MiB plus the size of the tables of a small
// database, or plus the largest compactions of a large one.
//
// # Concurrency
//
// All methods are safe for concurrent use. Put and Merge return at once; their callbacks run on the
// committer's goroutine and must not block. Objects that Get returns are the caller's. Objects that
// go to Minted and Done are shared with the store and must not be changed.
//
//	s, err := storage.Open(storage.Config{Dir: dir})
//	if err != nil { return err }
//	defer s.Close()
//	s.Put(storage.Put{Key: k, Write: w, Done: func(o vclock.Object, err error) { answer <- err }})
package storage
