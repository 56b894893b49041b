package storage

import (
	"cmp"
	"slices"
	"sync"
)

// snapshots hands out the timestamps that readers read at and knows which are in use, so that
// compaction keeps what they may still look at. Badger has the same in its unmanaged mode, but
// there a reader waits for every commit under way: reads would hang on a hung disk.
type snapshots struct {
	mu      sync.Mutex
	idle    sync.Cond // signalled when the last reader leaves a closed registry
	visible uint64    // the newest committed timestamp
	// open counts the readers of each timestamp that has some, oldest first: as visible only
	// grows, a new reader belongs to the last entry. It is as short as readers are few, however
	// long the oldest of them (a scan) takes and however many come and go meanwhile.
	open   []readers
	closed bool
}

type readers struct {
	at uint64
	n  int
}

func newSnapshots(visible uint64) *snapshots {
	s := &snapshots{visible: visible}
	s.idle.L = &s.mu
	return s
}

// acquire returns the timestamp to read at; ok is false after close. The caller calls release.
func (s *snapshots) acquire() (at uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false
	}
	if n := len(s.open); n == 0 || s.open[n-1].at != s.visible {
		s.open = append(s.open, readers{at: s.visible})
	}
	s.open[len(s.open)-1].n++
	return s.visible, true
}

func (s *snapshots) release(at uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.open, at, func(r readers, at uint64) int { return cmp.Compare(r.at, at) })
	if s.open[i].n--; s.open[i].n == 0 {
		s.open = slices.Delete(s.open, i, i+1)
	}
	if s.closed && len(s.open) == 0 {
		s.idle.Broadcast()
	}
}

// publish makes a commit visible to new readers and returns the timestamp below which no reader
// looks: of each key, only the newest version at or before it is still needed.
func (s *snapshots) publish(at uint64) (oldest uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visible = at
	if len(s.open) > 0 {
		return s.open[0].at
	}
	return at
}

// closing reports whether readers should end.
func (s *snapshots) closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// close refuses further readers and waits for those that are reading.
func (s *snapshots) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for len(s.open) > 0 {
		s.idle.Wait()
	}
}
