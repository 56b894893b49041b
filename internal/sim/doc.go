// Package sim runs whole clusters inside a testing/synctest bubble: real nodes with real
// stores on disk, over an in-memory network, under a seeded schedule of faults, and checks
// what clients saw.
//
// A history has a cluster, clients and a nemesis, all driven by one seed. The clients read,
// write with what they read, write blindly, and delete, through random nodes. The nemesis
// cuts links one way or both, drops, doubles and delays packets, resets connections, pauses
// hosts, stops nodes, and crashes them with the power: what their disk had not synced is
// gone. In the end everything heals, and these must hold ([History.Check]):
//
//   - no acknowledged write is lost: it is there, or a write whose client had read it is;
//   - a quorum read sees every quorum write that was acknowledged before it began;
//   - no dot was ever used for two writes;
//   - after one repairing read of each key all its owners have the same object.
//
// The clock is the bubble's, so a minute of faults takes a second. The schedule is a
// function of the seed; the interleaving of goroutines is not, so a seed that failed may
// need several runs to fail again.
package sim
