package check

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	settlePause = 300 * time.Millisecond // between two rounds of final reads
	settlers    = 16                     // final reads under way at a time
	finalClient = -1
)

// settle waits until every endpoint serves, then reads each key from every endpoint, again and
// again until the answers agree and nothing acknowledged is missing, or the time is over.
// What then is missing is for the judge to say.
func (r *Run) settle(ctx context.Context) error {
	deadline := time.Now().Add(r.cfg.Settle)
	r.setProgress(func(p *Progress) { p.Phase = "waiting for the nodes" })
	if err := r.awaitReady(ctx, deadline); err != nil {
		return err
	}
	r.history.ledger.resolve()
	open := r.finalKeys()
	r.setProgress(func(p *Progress) { p.Phase, p.Keys = "final reads", len(open) })
	s := &settler{run: r}
	for round := 1; len(open) > 0; round++ {
		open = s.round(ctx, round, open)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if len(open) > 0 && (time.Now().After(deadline) || sleep(ctx, settlePause) != nil) {
			return ctx.Err()
		}
	}
	return nil
}

// awaitReady waits for the endpoints until the deadline. One that is not ready then is no error:
// the final reads will say so, key by key.
func (r *Run) awaitReady(ctx context.Context, deadline time.Time) error {
	for i := range r.clients {
		for !ready(ctx, r.clients[i]) && time.Now().Before(deadline) {
			if err := sleep(ctx, preparePause); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// finalKeys returns the keys that writes went to, in order.
func (r *Run) finalKeys() []*keyLedger {
	var all []*keyLedger
	for _, k := range r.history.ledger.keys {
		if len(k.writes) > 0 {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b *keyLedger) int { return a.compare(b.keyName) })
	return all
}

// settler makes the final reads.
type settler struct {
	run *Run
	mu  sync.Mutex
	seq int
}

// round reads the keys from every endpoint and returns those that are not done, in order.
func (s *settler) round(ctx context.Context, round int, keys []*keyLedger) []*keyLedger {
	open := make([]bool, len(keys))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(settlers, len(keys)) {
		wg.Go(func() {
			for i := range next {
				if open[i] = !s.done(ctx, round, keys[i]); !open[i] {
					s.run.setProgress(func(p *Progress) { p.Final++ })
				}
			}
		})
	}
	for i := range keys {
		next <- i
	}
	close(next)
	wg.Wait()
	var rest []*keyLedger
	for i, k := range keys {
		if open[i] {
			rest = append(rest, k)
		}
	}
	return rest
}

// done reads one key from every endpoint, and reports whether the answers agree and have all.
func (s *settler) done(ctx context.Context, round int, k *keyLedger) bool {
	l := s.run.byName(k.workload)
	var reads []Op
	for _, e := range s.run.endpoints {
		if ctx.Err() != nil {
			return false
		}
		op := Op{
			Type: typeRead, Workload: k.workload, Client: finalClient, Key: k.key,
			Level: levelFinal, Final: true, Round: round, Start: s.run.now(),
		}
		s.run.read(ctx, l, &op, e)
		s.record(&op)
		reads = append(reads, op)
	}
	state, _ := settled(reads)
	return state != nil && (k.load.lossy || len(k.missing(state)) == 0)
}

// record numbers the reads in the order of the history.
func (s *settler) record(op *Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	op.Seq = s.seq
	s.run.history.add(op)
}

// byName returns the load of a workload that the run has.
func (r *Run) byName(name string) *load {
	for _, l := range r.loads {
		if l.name == name {
			return l
		}
	}
	panic(fmt.Sprintf("check: the run has no workload %q", name)) // not reached: the ledger has its keys only
}
