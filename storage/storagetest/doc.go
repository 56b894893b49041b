// Package storagetest makes from a running store's directory what a power cut, or the kill of the
// process, would leave of it. It also has [Bare], the least that a store on Badger can be, to measure by.
//
// # What a power cut leaves
//
// Badger writes its write-ahead logs through shared memory maps. Reading such a file shows all that
// was written, synced or not, so a plain copy of the directory is what a killed process leaves, not
// what a power cut leaves: a store that never syncs would pass every test. The kernel knows the
// difference. A page of a map is dirty from the write to it until a sync (or the kernel's own
// writeback) has stored it, and /proc/self/smaps counts the dirty pages of every map of this process.
// A log is only appended to, so its dirty pages are its last ones.
//
// CrashCopy therefore copies everything but, of each log, only what is surely on the disk; of the
// rest each page is there or is not, by a seeded coin, as the disk may have stored them in any order.
//
// Where the first dirty page holds both synced and unsynced entries, the border is the beginning of
// the last transaction if that alone explains the dirty pages (a store that syncs each transaction has
// no other state), else the beginning of the page, which may take more than a power cut would.
//
// # What is not simulated
//
// Directory entries and file sizes are taken as durable. The kernel's own writeback, some seconds after
// a write, counts as a sync, as it is one.
//
// # Use
//
// The store may go on writing meanwhile. Take the set of acknowledged writes first, then the
// copy; open the copy and look for each of them:
//
//	want := maps.Clone(acknowledged) // under its lock
//	err := storagetest.CrashCopy(dir, crashed, seed)
//	s, err := storage.Open(storage.Config{Dir: crashed})
//
// It needs Linux and a file system on a disk: a tmpfs is never clean. Elsewhere CrashCopy returns an
// error that wraps errors.ErrUnsupported. It may run inside a synctest bubble.
//
// # Bare
//
// A [Bare] keeps bytes under keys in a Badger with a store's sizes and syncs, and its one goroutine
// commits in batches as a store's does. It has no objects, clocks, checksums, cache or limits, so that
// what a store costs beyond it is the store's own. It is for benchmarks, not for data.
package storagetest
