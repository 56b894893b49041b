// Package props keeps the properties of buckets and bucket types: what they are, what values
// they take, and how the nodes of a cluster come to agree on them without a leader.
//
// # Model
//
// A bucket is named by (type, bucket); type "" is "default". Its document is one register
// per property and one reset mark. A register is a JSON value, or "back to the default",
// with a stamp (hybrid time, node uuid); the reset mark is a stamp alone. Merging takes the
// later register of each property and the later mark, then drops every register that is not
// later than the mark. So a reset also covers properties that the resetting node had not
// heard of yet, and a property set concurrently with a reset ends the same way everywhere.
// The merge is commutative, associative and idempotent. It looks at stamps, and at the bytes
// of values only should two stamps be equal, never at meaning: a value that this program does
// not understand (a newer node wrote it) is kept, passed on and read as the default.
//
// A local change is stamped later than everything this node knows about the bucket, even
// where a node with a clock far ahead wrote it. It is sent to the other nodes as a small
// document (delta) in the same encoding as the whole one; nodes whose digests differ
// exchange whole documents. Losing, repeating and reordering deltas does no harm.
//
// # Bucket types
//
// The properties of a type are a document of the same kind, that of the bucket with the empty
// name, which no bucket has. A type exists once that document has a register, so each change
// of a type also sets the property "active". A bucket has the properties of its own document,
// else those of its type, else the defaults; what this means for each bucket is computed when
// a document changes, not when a request asks. Buckets of a type keep siblings unless the type
// or they say otherwise, whatever the cluster's default is. The type "default" always exists
// and has no document. Types are never removed: a node that was away could bring one back, and
// its objects would have been unreachable meanwhile.
//
// # Promises and limits
//
// A change is given to Config.Save before a reader can see it or a delta leaves, so that no
// node acts on properties that it could forget. If saving fails, nothing changes in memory;
// the change may come back after a restart, as a write that was not acknowledged may.
// Changes are rare and each saves the whole document; reads are one map lookup.
//
// Client changes are refused when they would grow a bucket or type beyond 64 KiB, the document
// beyond 8 MiB, the buckets that have properties beyond 10,000, or the types beyond 1,000.
// Merges never are, so concurrent changes on several nodes can pass a limit; then only changes
// that shrink are taken. A reset mark (about 130 bytes) stays for good: a node that was away may still hold what it erased.
// It is the 8 MiB that bound the marks, at some 60,000.
//
// Names and defaults are those of Riak's HTTP API, with four departures: allow_mult has a
// configurable default; n_val is at most 64; sloppy_quorum, read_repair, require_context and resolve
// are properties; and what cannot be had here (consistent, write_once, datatype, commit hooks) is
// refused rather than ignored. Other
// properties without a meaning here (clock pruning, chash_keyfun, backend, any unknown name)
// are stored and shown and have no effect; their values may nest 32 levels deep.
//
// # Concurrency
//
// A Set is an immutable value. A Table may be used by any number of goroutines; its readers
// never wait for writers.
//
//	table, err := props.NewTable(cfg, saved)
//	p := table.Set().Bucket("default", "carts") // p.NVal, p.R, p.AllowMult, ...
//	change, err := props.ParseChange("default", "carts", body)
//	delta, err := table.Apply(change)           // durable here; send delta to the others
package props
