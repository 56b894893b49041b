//go:build !linux

package storage

import "os"

// ownSync: Badger syncs its logs itself. What is written through a mapping must be synced through it,
// says POSIX.
const ownSync = false

func syncData(f *os.File) error { return f.Sync() }

func calm(string, string) error { return nil }
