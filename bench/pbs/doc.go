// Package pbs predicts how stale the reads of a quorum system are, from how long its messages
// take: the WARS model of "Probabilistically Bounded Staleness for Practical Partial Quorums"
// (Bailis et al., VLDB 2012), solved by drawing random latencies.
//
// # Model
//
// A write is sent to N replicas at once. Each has it after a time W, and its acknowledgement
// is back after a further A. The write counts as acknowledged when Model.W of them are back. Some
// time t later a read is sent: each replica asked looks at its copy after R, and its
// answer is back after a further S. The read ends with the first Model.R answers; it is fresh
// if one of them comes from a replica that had the write when it looked. A [Model] draws W, A,
// R and S from [Legs]; the unit of time is the caller's, the same everywhere.
//
// One set of latencies has one moment from which on a read is fresh:
//
//	min over the replicas that are read of (W - R) - time of the acknowledgement
//
// so one round of draws ([Predict]) answers for every t and every probability. Latencies are
// drawn in the same order whatever the levels are: predictions from one seed, seen over t, R or
// W, never fall where they must rise.
//
// # What differs from the paper
//
//   - The paper's systems send every read to all N replicas and take the first R answers
//     ([Model].ReadAll). Cartwheel asks R replicas, and others only when those are slow; which
//     ones is then chosen without regard to how fast they will be.
//   - In the paper every message crosses the network. In Cartwheel the node that coordinates a
//     write is an owner of the key, and one that coordinates a read often is: with
//     [Model].Local set, their own replicas are written and read without the network, and own
//     replicas are read first. Writer and reader use different nodes, of [Model].Members in all.
//   - [Model].Client is the way between client and node, where the t that matters is the
//     client's.
//
// # What is not modelled
//
// Latencies are independent of each other. On a real machine they are not: a stall of a
// disk that replicas share delays all of them, and what is slow for the write is slow for the
// read after it. [Model].Writes keeps together what was measured of one write. A read that is
// slow asks further replicas, which makes it fresher; repair, hints and exchanges do too. No
// replica fails: what a fault does to freshness must be measured.
//
// # Promises
//
// The package is pure: equal arguments give equal results on every machine with one Go
// version. With n rounds a probability p is within 4*sqrt(p*(1-p)/n) of the model's, except
// once in some 16,000 times. A [Prediction] is safe for concurrent use.
//
//	ssd := pbs.Mix(0.9122, pbs.Pareto{Min: 0.235, Alpha: 10}, pbs.Exponential{Rate: 1.66}) // ms
//	m := pbs.Model{N: 3, R: 1, W: 1, ReadAll: true, Legs: pbs.Legs{W: ssd, A: ssd, R: ssd, S: ssd}}
//	p, err := pbs.Predict(m, 100_000, 1)
//	p.Fresh(0)      // 0.974: of the reads right after the acknowledgement
//	p.Within(0.999) // 2.1 ms later, 999 of 1000 are fresh
package pbs
