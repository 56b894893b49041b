// Package storage keeps one node's objects on disk and never loses a write that it acknowledged.
//
// # Model
//
// A Store maps a Key to a vclock.Record in one Badger database: partition and name for the node's
// own copies, and with an owner before them for the hints, the copies that wait for that owner
// (Dynamo §4.6). A single goroutine, the committer, decides what is written: it takes the Puts, Merges and
// Drops that wait, reads each record, applies the operations in order and mints the dots of puts. A
// second one, the batch writer, makes the changed records durable with one sync per batch (group
// commit; Dynamo §4.4 and §6.1 leave this to the storage engine), while the committer applies the next
// batch on top of it; then the committer answers. So writes of one key never race, no locks are needed,
// 64 writers pay for one sync together, and a put is minted without waiting for a sync. Get and Scan
// read beside them, from a committed state. What was written
// or read last is also in memory (Config.CacheBytes), as it is on the disk, and answers a Get or serves
// as the base of a write without Badger.
//
// # Promises
//
//   - An acknowledged write is on the disk (Durability Fsync) and is read by every later Get; a
//     crash at any point leaves each object as it was before or after a write, never in between.
//     A merge that brings nothing new writes nothing, and is acknowledged only when what it
//     brought is durable. Answers come in the order of the operations; a batch that fails takes
//     the one on top of it with it.
//   - No dot is minted twice, whatever was lost, restored or copied: every life of the process
//     mints under a run of its own, and a record without its history under a fresh actor.
//   - Puts are limited in value size, object size and siblings, checked before anything is minted.
//     Merges of own copies are never refused, or replicas could not converge.
//   - A record leaves only by a Drop that names the digest of its object. What changed meanwhile
//     stays. Its actor goes with it: the next put to the key mints under a fresh one.
//   - A retried put (same request id, same key) mints nothing and answers the stored object, as long
//     as its value is a sibling or its id is remembered; a later one leaves a sibling. The latest
//     puts are remembered, and of writes with a lasting id the latest whose value was replaced here,
//     merged ones too: 32 to 64 thousand of each, until the store is closed.
//   - Every record carries a checksum over its key and content. A corrupt one is never returned:
//     Get answers ErrCorrupt.
//   - When the disk fails (an I/O error, a failed sync, a commit of 30 s) or is nearly full, the
//     store fences itself until the process restarts: writes get ErrFenced with the reason, reads
//     go on. A disk that failed once is not trusted with an acknowledgement again, and a full one
//     would kill the process (SIGBUS) in the middle of anything. The store does not start on a
//     disk that is too full, and starts again once there is room.
//
// # Hints
//
// A hint is a record like any other: whole object, minted to, merged, in chunks if large. Copies of
// one name under several owners, and the own copy, have nothing to do with each other but the run
// that mints, whose dots differ. Hints have a space of their own, Config.MaxHintBytes for all owners
// together. When it is full, a Put or Merge that would make it grow fails with ErrHintsFull before
// anything is minted: the hint then is nobody's, and the caller has to note that the owner missed
// something. Nothing makes room by age: hints go by Drop alone, when their owner has them. Hints
// and Stats say what is stored. Counting them is one pass over the range at Open.
//
// # Following changes
//
// Config.Changed gets the digest of each own record before and after each batch, in the order of
// batches; a Scan with Began reads a snapshot at a known place in that stream. So snapshot plus later
// changes is the present state, at every moment, and whoever folds digests (a Merkle tree, §4.7) needs
// no lock against writers. After a failed batch the stream ends, as the store is fenced: whether the
// changes of that batch are there is known after the next start only. A record that a batch
// makes and drops again, or leaves as it was, is no change.
//
// # Corrupt records
//
// A write to a corrupt record treats it as missing: a merge replaces it with what arrived, a put
// with the new value under a fresh actor. Refusing instead would leave the key unwritable on a
// single node and would block the very merge that repairs it. Dots stay unique either way. The
// damaged bytes are kept in a quarantine entry, one per key, so that no write destroys what only
// this replica had. What cannot be promised: the write is merged into nothing, so from then on this
// replica answers without an error and may lack values that it once acknowledged. Therefore
// Config.Damaged is told of the key as soon as the damage is met, before the write is acknowledged,
// so that the node can stop counting this replica's answers for the partition until the others
// have given it what it lacks. If no sound copy exists elsewhere, the values are lost. A corrupt hint
// is an error item of its owner's Scan, whose holder tells the cluster that the owner missed
// something and then drops the hint (Digest 0).
//
// # Large objects
//
// A record over 327 KiB (less with small memtables, at most 512 KiB) is split into chunks under a new generation; the head that names the
// generation is written after them. A crash before that leaves the old object, and the chunks are
// deleted at the next Open, which finds them by the garbage entry that was written first. Chunks
// that were replaced are deleted right after the new head is durable, in the same way.
//
// # Bounds
//
// Memory: at most 4 memtables of 2 x MemTableBytes, MaxQueueBytes of operations, two batches (each 15 %
// of MemTableBytes, or one object of any size, three times, and as much again of records that were
// only read), 12 MB of request ids, CacheBytes, one object per Scan, and what Badger needs to build
// tables: one flush and two compactions at a time, whose buffers are pooled and grow with the size of
// values. Measured with defaults as private memory without pause: 64 writers of 1 KiB as fast as the
// disk lets them, 420 MiB live and 700 MiB with the garbage that Go's default target allows; half of
// that at 7,000 writes/s. GOMEMLIMIT and a smaller MemTableBytes make it less. Mapped tables come on
// top in what the system reports as resident; it takes those pages back when it needs them.
//
// A Scan keeps the tables and memtables it began with, and the versions in them, until it ends: with
// many writes a long one costs disk space and memory. It is for the caller to end it.
//
// Disk: Stats.FloorBytes must stay free, with defaults 76.2 MiB plus the size of the tables of a small
// database, or plus the largest compactions of a large one.
//
// # Concurrency
//
// All methods are safe for concurrent use. Put, Merge and Drop return at once; their callbacks, and
// Began, run on the committer's goroutine, Changed on the batch writer's, Damaged on the committer's and
// on readers'; what a fence answers is told by whoever fences. None of them may block.
// Scan calls Visit on the caller's goroutine. Close waits for readers. Objects that Scan
// gives are the caller's. Objects that Get returns, or that go to Minted and Done, are shared and must
// not be changed.
//
//	s, err := storage.Open(storage.Config{Dir: dir})
//	if err != nil { return err }
//	defer s.Close()
//	s.Put(storage.Put{Key: k, Write: w, Done: func(o vclock.Object, err error) { answer <- err }})
package storage
