// Package load puts a load on a cluster over HTTP/1.1 and measures what its clients see.
//
// # Model
//
// A [Run] has a number of clients. Each has a connection of its own and one request under way at
// a time. In a closed loop (Config.Rate is 0) a client sends as soon as it has the last answer. In
// an open loop every operation has a moment at which it is due: operation k of client i at
// (i + k*Clients)/Rate after the start. Its latency is counted from that moment, not from when it
// was sent. A client that fell behind sends at once and keeps its schedule, so a stall is seen in
// the latency of every operation that it delayed (no coordinated omission).
//
// A run connects all clients, warms up without recording, measures, and lets the requests that are
// under way end, for at most a second. Operations that were due in the measured time and could
// not be sent before its end are counted as errors of the kind "unsent"; a backlog does not make
// a run longer, and is not dropped silently. That of the warm-up ends with the warm-up.
//
// # What is counted
//
//   - An answer of 2xx, or 300 (siblings) to a read, is a success. 404 to a read is a success too,
//     and counted as not found besides.
//   - Any other answer is an error under its status, "503". Without one the kinds are "timeout",
//     "connection" (refused, reset, closed), "malformed" (not HTTP, or more than the bounds
//     allow), "unsent", and "unfinished" (under way a second after the end).
//   - An update is a read and a write with the context of the read; its latency is that of both.
//   - Latencies are those of successful operations, in microseconds up to an hour with three
//     digits; those of the time line within one part in 64.
//   - An operation is recorded if it began (in an open loop: was due) in the measured time. One
//     that ended after it has a latency, and does not count for the rate. The time line has
//     operations where they ended, also the few that began in the warm-up.
//
// A put is blind: it does not carry the context of a read. On a bucket that keeps siblings, puts to
// existing keys add siblings; use updates there, or a bucket where the last write wins.
//
// # Connections
//
// The load path writes and reads HTTP/1.1 by itself on TCP connections, without net/http: a
// request is one write, an answer one read, and neither allocates. See [Conn] for what it
// accepts. After a broken connection the client dials the same node again; after a timeout, or if
// that does not answer, the next one, with pauses from 5 ms up to half a second. It stays where it
// got an answer.
//
// # Bounds
//
// A client holds one connection, some 20 KiB of buffers and one record of 4 KiB. The time line has
// at most 10,000 intervals. An answer may have 64 KiB of head and 64 MiB of body.
//
// # Precision and cost
//
// One goroutine for each connection, with blocking reads and writes, is all there is: with 64
// clients an operation costs about 10 us of processor time, nearly all of it in the kernel's write
// and read (BenchmarkRun, against a server in another process). With few clients, or far below
// what the machine can do, it costs more, because every request wakes a sleeping processor.
//
// A client of an open loop waits on a timer of the kernel, not of the runtime: on Linux the
// latter is up to a millisecond late in a process that is idle, the former some ten microseconds
// (BenchmarkAlarm). No processor time is burnt while waiting.
//
// # Concurrency
//
// A Run is used once. Snapshot and Elapsed may be called by any goroutine at any time. Do returns
// after its last goroutine has ended.
//
//	r, err := load.New(load.Config{Targets: targets, Bucket: "bench", Workload: w, Keys: keys, Sizes: sizes})
//	outcome, err := r.Do(ctx) // outcome.Ops, outcome.Timeline
package load
