package storage

import (
	"errors"
	"fmt"
	"time"
)

const (
	// watchInterval is how often the guard looks for a hanging commit and at the free space.
	watchInterval = time.Second
	// hungCloseWait is how long Close waits for a hanging commit after all.
	hungCloseWait = 5 * time.Second
)

// fence stops all writes until the process restarts. Waiting operations are answered here; those
// that are in a batch by the committer, or here as well if it hangs.
func (s *Store) fence(cause error, hung bool) {
	err := fmt.Errorf("%w: %w; writes are refused and reads go on until the process is restarted", ErrFenced, cause)
	orphans, reason, first := s.queue.fence(err, hung)
	if first {
		s.log.Error("store is fenced: no write is accepted until the process is restarted", "err", cause)
	}
	for _, o := range orphans {
		o.fail(reason)
	}
}

// busy returns for how long the committer or the batch writer has been at its present work, 0 if both
// wait.
func (s *Store) busy() time.Duration {
	return max(s.reading.running(s.opened), s.writing.running(s.opened))
}

// Fenced returns nil, or why writes are refused; the error wraps ErrFenced.
func (s *Store) Fenced() error { return s.queue.reason() }

// noteFailure takes a failure that Badger reports. It is called on Badger's goroutines, possibly
// under its locks, so the fencing itself, which calls back, is left to the guard.
func (s *Store) noteFailure(err error) {
	select {
	case s.failures <- err:
	default: // one is enough
	}
}

// watch is the guard's first goroutine. It touches neither disk nor database, so it works when both
// hang.
func (s *Store) watch() {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.stopGuard:
			return
		case err := <-s.failures:
			s.fence(err, false)
		case <-tick.C:
			if took := s.busy(); took >= s.cfg.CommitTimeout {
				s.fence(fmt.Errorf("the disk of %s has not finished a batch for %v", s.cfg.Dir, took.Round(time.Second)), true)
			}
		}
	}
}

// sample is the guard's second goroutine: it follows the size of the database and fences the idle
// store when the disk fills up from elsewhere.
func (s *Store) sample() {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	calmed := int64(-1) // the size of all tables when they were last calmed
	for {
		select {
		case <-s.stopGuard:
			return
		case <-tick.C:
			s.measureTables()
			if size := s.tables.Load(); size != calmed {
				s.calmTables()
				calmed = size
			}
			if err := s.checkSpace(); err != nil {
				s.fence(err, false)
			}
		}
	}
}

// calmTables is about what reads of a large database bring in from the disk: without it, all works as well.
func (s *Store) calmTables() {
	if err := calm(s.cfg.Dir, tableSuffix); err != nil {
		s.log.Warn("the kernel was not told to leave the tables alone; reads from the disk may be slower than they need", "err", err)
	}
}

// Close ends the store: it refuses further operations, waits until those that wait are durable and
// answered, and closes the database. It may be called twice; each call waits. After a commit hung
// or the disk filled up it leaves the database as a crash would, and says so: nothing durable is
// lost, but some goroutines and the directory's lock stay until the process ends.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closeErr = s.shutdown() })
	return s.closeErr
}

func (s *Store) shutdown() error {
	s.queue.close()
	// The guard goes on: the last batch can hang, too.
	if err := s.awaitCommitter(); err != nil {
		close(s.stopGuard)
		s.guards.Wait()
		return err
	}
	close(s.stopGuard)
	s.guards.Wait()
	s.cache.close()
	s.snapshots.close()
	if err := s.roomToClose(); err != nil {
		return errors.Join(err, s.wals.close())
	}
	if err := errors.Join(s.db.Close(), s.wals.close()); err != nil {
		return fmt.Errorf("close database in %s: %w", s.cfg.Dir, err)
	}
	return nil
}

// awaitCommitter waits for the end of committer and batch writer, but not much longer than until it counts as hung.
func (s *Store) awaitCommitter() error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return nil
		case <-tick.C:
		}
		if s.busy() >= s.cfg.CommitTimeout+hungCloseWait {
			return errors.Join(fmt.Errorf("storage: the disk of %s hangs; the database is left as after a crash", s.cfg.Dir), s.Fenced())
		}
	}
}
