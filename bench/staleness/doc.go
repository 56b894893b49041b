// Package staleness measures how old the answers are that readers of a cluster get after
// acknowledged writes, and puts beside it what the model of package pbs expects from replica
// latencies measured in the same run.
//
// # Model
//
// A measurement ([Run]) has two parts, both with the same levels (the queries of reads and writes).
//
// In the first, each of [Config].Clients probes has keys of its own, writes through one node, waits,
// and reads through another. The answer is fresh if it holds the version just acknowledged, or a
// later one. One write has one read, as a read may repair what it finds stale. The wait is drawn
// from [Config].Delays; counted is the time that really passed from the answer to the write until
// the read was sent, and its mean is what a result names.
//
// In the second, half as many pairs have a key each: a writer that writes it without pause
// through one node, and a reader that reads it through another. Counted is how many versions,
// acknowledged before the read began, the answer misses (k-staleness).
//
// Values carry their sequence number. Of siblings the newest counts. A missing key is stale. A
// request that fails says nothing of staleness: it is counted as an error under its status
// ("503"), or as "timeout", "connection" or "malformed", and its probe is void.
//
// # Prediction
//
// Nodes keep samples of how long replicas took to answer (GET /cluster/latencies); those taken
// during a part feed the model of that part. They are times of a whole round trip. The way of an
// answer is not measured by itself, so it is taken to be half of what a remote read takes:
//
//   - R and S are half of a remote read each;
//   - A is as long as S, and W is what remains of a remote write's time, at least 0;
//   - a coordinator's own replica has the write after the whole of a local write, and looks
//     after half of a local read;
//   - what a client's read takes beyond the model's, at the median, is the client's way to the
//     node and back; half of it each.
//
// Where nodes say which samples are of one write, as Cartwheel's do, and there are 50 writes with
// samples of all copies, whole writes are drawn: what slows all copies alike stays together.
//
// What this misses: each version of a key is drawn apart from the one before, though a stall of
// a replica delays all versions behind it, so more versions may be missing than predicted; the
// ways of one message are drawn apart, and a read apart from the write before it, though a
// stall of the machine hits both; a replica has a write somewhat before it acknowledges it; reads
// that are slow ask further replicas. So the prediction of times is good to some percentage points,
// that of versions to some tens of them on a machine with more work than processors.
//
// With R=1 nodes may never ask each other for a read. So that there are samples of remote reads
// at all, one further client reads with r=all, some 200 times per second. Its keys are its own.
//
// There is no prediction (-1) without [Config].N, or with too few samples. With R+W>N it is 1.
//
// # Bounds
//
// A run takes [Config].For and some tens of milliseconds; at its end requests under way are cut.
// Looking at the nodes' samples may take [Config].Timeout more for each node that is silent. A run
// holds at most two connections per client, and one per target besides. Of measured times 4,096
// per delay and kind are kept, chosen at random. After an error a probe waits 20 ms: a dead node
// is asked some 50 times per second by each of its probes.
//
// # Concurrency
//
// Run blocks until all of its goroutines have ended. Several runs may go on at once; their keys differ.
package staleness
