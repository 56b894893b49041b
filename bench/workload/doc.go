// Package workload says what a load consists of: which operations, on which keys, with values of
// which size. It decides and sends nothing.
//
// # Model
//
// A [Workload] is a mix of the four kinds of operation, with the names and shares of the YCSB
// core workloads (Cooper et al., SoCC 2010) or a ratio of one's own. [Keys] is a number of keys
// and how they are chosen: uniform, zipfian (exponent 0.99), or latest, where the popular ones
// are those inserted last. [Sizes] is the range of the values' lengths.
//
// A [Space] is the set of keys of one run, which inserts make larger; all clients share it. A
// [Stream] is what one client does, one operation after the other.
//
// # Promises
//
//   - The same seed and the same client's number give the same stream. Only inserted keys depend
//     on what other clients did meanwhile: numbers are given out in the order of asking, and
//     latest chooses among those whose insertion has ended.
//   - The zipfian law is exact for every rank and needs no sum over all keys, so ten million keys
//     cost no more than ten. Popular keys are spread over the key space by a permutation: no two
//     ranks share a key, as they do where ranks are hashed.
//   - A draw allocates nothing and takes well below a microsecond.
//   - Values cannot be compressed on their own: each is a piece of one block of random bytes. Two
//     values may overlap in it, so a compressor that sees a megabyte at a time finds repetition.
//
// # Concurrency
//
// Workload, Keys and Sizes are values. A Space and [Values] may be used by any number of
// goroutines, a Stream and a [Chooser] by one.
//
//	w, err := workload.Parse("ycsb-b")
//	keys, err := workload.ParseKeys(w.Distribution(), 100_000)
//	sizes, err := workload.ParseSizes("1024")
//	space, values := keys.Open(), sizes.Values(seed)
//	stream := workload.NewStream(w, space, values, seed, client)
//	op := stream.Next() // op.Kind, op.Key, op.Value
//	stream.Done(op)
package workload
