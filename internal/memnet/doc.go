// Package memnet is an in-memory network for tests of whole clusters: streams
// and packets between named hosts, over links that can be slow, lossy or cut.
// Each [Host] is a network as package transport wants it.
//
// # Model
//
// A host is a name, "n1" or "10.0.0.1"; an address is "host:port". A link is
// one direction between two hosts and has its own parameters: [Link].
//
// Streams arrive whole and in order after the link's delay. A writer blocks
// when [Config.StreamBytes] are on their way or unread. While a link is cut
// ([Net.Cut]), what is written into a stream in that direction is held, and
// after [Config.StallTimeout] the writing end breaks, as TCP's does; when the
// link is healed before that, the stream goes on or breaks, as the seed says.
// The other direction of the stream is not touched: the network knows no
// acknowledgements. Attempts to connect wait for both directions.
//
// Packets are dropped, doubled, delayed and thereby reordered; a cut link
// swallows them.
//
// A paused host ([Net.Pause]) neither hears nor is heard: all is held until it
// is resumed. Its goroutines run on; the network cannot stop them. A crashed
// host ([Net.Crash]) loses all it has open at once, the other ends see a reset,
// and what still runs in it can do nothing on the network any more; a new
// [Host] of the same name is the machine after the restart.
//
// # Randomness
//
// Each decision is a function of the seed, the link, and the ordinal of the
// packet on the link, or the ordinal of the stream on the link and the offset
// in it. So the order in which goroutines run changes decisions only as far as
// it changes who sends first on one link.
//
// # Concurrency and time
//
// All methods may be used from several goroutines at once. The package starts
// no goroutine and waits only on channels and timers, so that it works in a
// testing/synctest bubble. Data is copied; queues are bounded.
package memnet
