// Package resolve makes one value of several siblings, by a rule that a bucket has chosen. It
// is pure: siblings in, one sibling out, whatever their order.
//
// # Model
//
// Concurrent writes leave siblings, and by default a reader gets them all and decides (§4.4 of
// the Dynamo paper). For some kinds of data the decision is always the same, and a bucket may
// leave it to the server:
//
//   - [LWW]: the sibling with the latest (time, dot). For any content type.
//   - [Union]: JSON arrays as sets. Each element once, in an order of its own: null, false,
//     true, numbers by value, strings by their bytes, arrays, objects.
//   - [Max]: the greatest of JSON numbers, compared exactly, whatever their length.
//   - [JSONMerge]: JSON objects laid over each other in the order of (time, dot), the latest on
//     top: fields of all of them, objects within objects likewise; where two siblings have
//     different values for a field, the later sibling's.
//
// The resolved value is made for one answer and not stored. The answer's context covers all
// siblings, so the reader's next write replaces them.
//
// # What is promised
//
// The result depends on the set of siblings alone: not on their order, not on repetitions, and
// adding the result to them changes nothing. So any two nodes that know the same siblings show
// the same bytes. Numbers keep their spelling and lose no digit: 1, 1.0 and 1e0 are equal; of
// equal ones the shortest spelling stays in a union, and the latest sibling with [Max].
// Tombstones beside live siblings count as absent.
//
// Nothing is guessed. Union, Max and JSONMerge refuse, and the siblings are shown, unless each
// live sibling has the same JSON content type (application/json or one that ends in +json, in
// UTF-8) and a value that parses, has the right form, names no field twice, spells no half of a
// surrogate pair, and keeps within [MaxDepth], [MaxBytes] and [MaxValues].
//
// # What is not promised
//
// A sibling does not say what its writer changed, only what came out. So what one writer removed
// from a set or an object comes back if another one still had it, as in the shopping cart of
// §4.4. And with JSONMerge a field that the later writer merely carried along wins over the
// change of it that the earlier one made: it is for fields that are mostly written apart, and
// wrong for counters. Time decides in LWW and JSONMerge, and clocks may be wrong.
//
// # Concurrency
//
// Functions without state; siblings are only read.
//
//	one, ok := resolve.Siblings(resolve.Union, object.Shown())
package resolve
