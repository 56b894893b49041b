package storage

import "sync/atomic"

// Stats are counters since Open and the present state.
type Stats struct {
	Gets, Puts, Merges, Drops int64 // operations that reached the database; refused ones are not counted

	Replays         int64 // puts whose request id was known: nothing was minted
	UnchangedMerges int64 // merges that brought nothing new: nothing was written
	Refused         int64 // puts over a limit of size or siblings
	Busy            int64 // operations refused because the queue was full
	Corrupt         int64 // times a corrupt record was met
	Conflicts       int64 // merges that met two values under one dot
	HintsRefused    int64 // puts and merges of hints that there was no room for

	Batches      int64 // groups of operations that became durable together
	Transactions int64 // syncs, in effect

	HintCount int64 // hints stored for all owners
	HintBytes int64 // what they take, see Config.MaxHintBytes

	QueueOps   int   // operations waiting or being committed
	QueueBytes int64 // their size

	TableBytes int64 // of the tables on disk, without logs; up to a second old
	FreeBytes  int64 // of the file system; -1 if it cannot be known
	FloorBytes int64 // free space under which the store fences itself
	Fenced     bool
}

type counters struct {
	gets, puts, merges, drops                             atomic.Int64
	replays, unchanged, refused, busy, corrupt, conflicts atomic.Int64
	batches, transactions, hintsRefused                   atomic.Int64
}

// Stats returns the counters; they are not one snapshot. It does not block on the disk beyond
// asking for its free space.
func (s *Store) Stats() Stats {
	st := Stats{
		Gets: s.stats.gets.Load(), Puts: s.stats.puts.Load(), Merges: s.stats.merges.Load(), Drops: s.stats.drops.Load(),
		Replays: s.stats.replays.Load(), UnchangedMerges: s.stats.unchanged.Load(), Refused: s.stats.refused.Load(),
		Busy: s.stats.busy.Load(), Corrupt: s.stats.corrupt.Load(), Conflicts: s.stats.conflicts.Load(),
		Batches: s.stats.batches.Load(), Transactions: s.stats.transactions.Load(),
		HintsRefused: s.stats.hintsRefused.Load(),
		TableBytes:   s.tables.Load(), FreeBytes: -1, FloorBytes: s.floor(), Fenced: s.Fenced() != nil,
	}
	for _, h := range s.Hints() {
		st.HintCount += h.Count
		st.HintBytes += h.Bytes
	}
	st.QueueOps, st.QueueBytes = s.queue.load()
	if free, err := s.hooks.free(s.cfg.Dir); err == nil {
		st.FreeBytes = free
	}
	return st
}
