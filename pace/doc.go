// Package pace says how fast a node may do what no client waits for: deliver hints, take
// part in exchanges, move partitions. One [Throttle] per node is shared by all of it.
//
// # Model
//
// The rate is a number of objects per second between [Config.Floor] and [Config.Ceiling],
// steered by how long the clients' operations take. The time of these is gathered in windows of
// 100 ms (longer, up to a second, until there are 8 operations). A window whose mean is more
// than half above the usual one, and more than 200 us above it, is slow: the rate falls to seven
// tenths. After any other window it rises by a fiftieth of the range. So from the ceiling it
// takes a second down and from the floor five seconds up. A second without any operation of a
// client puts the rate at the ceiling: there is nobody to yield to. While clients are busy (100
// operations per second) it stays at or below [Config.Busy]: on a machine without spare cores
// what is moved takes throughput from them before it shows in their latency.
//
// What is usual is learned only while the background is at rest: in windows in which it took
// nothing, or in which the rate was at the floor all along. Otherwise a long transfer would teach
// the throttle that its own interference is usual, and a baseline that only ever falls would be
// caught by the best moments of a noisy load. So that there are such windows, the rate rests at
// the floor for one second after ten above it. The usual mean moves by a thirty-second of the
// difference per window: a load that changes for good (larger values, another mix of reads and
// writes) first looks slow, the rate falls to the floor, and within some seconds there what was
// slow is usual.
//
// # Promises
//
//   - The rate is never below the floor, so repair ends whatever the clients do: 60,000 hints in
//     40 s at the default of 1,500, if nothing else is to be sent.
//   - Over any time t no more than rate*t objects and one burst of 256 pass each of the two
//     directions, however many goroutines and senders there are.
//   - What a node sends ([Throttle.Wait]) and what it is sent ([Throttle.Pause]) are counted
//     apart, each against the whole rate: with one account, two nodes that have hints for each
//     other would turn each other away because of what they are about to send.
//   - Pause never blocks and never asks for more than four seconds. When that much is owed, it
//     reserves nothing more; who serves senders turns them away then.
//
// A throttle measures one node. It cannot tell that a peer is slow because of what it is sent:
// that is for the peer's own throttle to say, through Pause.
//
// # Concurrency
//
// Everything is safe for concurrent use. No goroutine is started: windows are closed by whoever
// calls next.
//
// # Place in Dynamo
//
// §6.5 (balancing background vs. foreground tasks) describes the same: background tasks get time
// slices from an admission controller that watches the latency of foreground operations. It
// compares the 99th percentile of a minute with a threshold set by hand; here the threshold is
// learned, since a new user has none to give, and the mean of a short window is compared, since
// it costs one addition per operation and reacts within a second.
//
//	t := pace.New(pace.Config{})
//	t.Foreground(took)                           // after each operation of a client
//	if err := t.Wait(ctx, 256); err != nil { … } // before 256 objects are sent
//	pause := t.Pause(256)                        // told to who sent 256 objects
package pace
