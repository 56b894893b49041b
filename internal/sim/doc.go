// Package sim runs whole clusters inside a testing/synctest bubble: real nodes with real
// stores on disk, over an in-memory network, under a seeded schedule of faults, and checks
// what clients saw.
//
// A history has a cluster, clients and a nemesis, all driven by one seed. The clients read,
// write with what they read, write blindly, and delete, through random nodes; most let
// fallbacks stand in for owners, some want owners only. The nemesis
//
//   - cuts links one way or both, isolates machines, leaves one machine as the only bridge between
//     two halves, lets links flap, splits the cluster for more than a minute;
//   - drops, doubles and delays packets, resets connections, pauses hosts;
//   - stops nodes, one or all, and crashes them with the power: what their disk had not synced is
//     gone;
//   - lets disks hang, and takes them away from a running node;
//   - lets a disk lose what it had stored durably: everything, or one record to a flipped bit, but
//     never at two nodes before all copies are whole again, so that a write that two disks had is
//     never gone from all.
//
// A round ends with everything mended and no requests. Then the cluster has to converge by itself:
// within bounded time all owners of every key have the same object, no hint is kept, and nothing
// is left to repair; and it stays so. These must hold ([History.Check]):
//
//   - no acknowledged write is lost: it is there, or a write whose client had read it is. Excused
//     are writes that were acknowledged with one durable copy before a disk lost data;
//   - a read sees every write that was acknowledged before it began, if the owners that the two
//     counted must have one in common. Fallbacks promise no more than the line above;
//   - what a read with repair before the answer has seen, later reads see, likewise. With owners'
//     majorities each client so reads its own writes, and never goes back;
//   - no dot was ever used for two writes.
//
// One more client lists. A list that is not an error has every key, once, that all owners had before the first
// fault, whatever became of their disks since, and none that nobody wrote; when all have converged, every node
// lists just what lives.
//
// Another one speaks HTTP and gives each write an Idempotency-Key, under which it repeats it, also when it has
// replaced it. If all owners had the write and none was started again since, it stays replaced. In a quarter
// of the histories only links fail, so that this is so for all of its writes.
//
// The clock is the bubble's, so a minute of faults takes a second. The schedule is a
// function of the seed; the interleaving of goroutines is not, so a seed that failed may
// need several runs to fail again.
package sim
