// Package datadir owns a node's data directory: who may use it, which format it has, which
// node it belongs to, and the small documents that are kept in it.
//
// # Model
//
// A directory holds the file cartwheel.json with its format version and the node's UUID, a file
// LOCK that the owning process holds locked, and one file per document. Other packages keep
// their files in sub-directories, such as the object store's objects/.
//
// # Promises
//
// Open refuses a directory that another process uses, that a newer Cartwheel wrote, that is not
// writable, or that holds files but no identity: starting there under a new UUID would present
// an old member's data as a new member's. Each refusal is a sentence that names the directory.
// Save is atomic and durable: after it returned nil the new content survives a power cut, and at
// any earlier point a reader finds the whole old content or the whole new one. It never touches
// the old file: the new one is written under a temporary name, synced, renamed over it, and the
// directory is synced. Temporary files of a crashed process are removed by the next Open.
//
// Not promised: protection against programs that ignore the lock, and the lock itself on network
// file systems that do not implement flock.
//
// # Concurrency
//
// A Dir is safe for concurrent use. Concurrent saves of one name leave one of them.
//
//	dir, err := datadir.Open("/var/lib/cartwheel")
//	if err != nil { return err }
//	defer dir.Close()
//	err = dir.Save("ring.json", document)
package datadir
