package staleness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// keysPerProbe are written in turn, so that a version has time to spread before its key is
// written again.
const keysPerProbe = 8

// times is the first part: many probes, each alone with its keys.
func (r *run) times(ctx context.Context, d time.Duration) *tally {
	return r.together(ctx, d, r.cfg.Clients, func(ctx context.Context, i int, t *tally) {
		w, y := r.cfg.pair(i)
		writer, reader := r.session(w, ""), r.session(y, r.cfg.GetQuery)
		defer writer.close()
		defer reader.close()
		rng := rand.New(rand.NewPCG(r.cfg.Seed, uint64(i)))
		var keys [keysPerProbe]probed
		for k := range keys {
			keys[k].key = fmt.Sprintf("%s-t%d-%d", r.id, i, k)
		}
		for n := 0; ctx.Err() == nil; n++ {
			if err := r.probe(ctx, &keys[n%keysPerProbe], writer, reader, rng, t); err != nil && !r.failed(ctx, t, err) {
				return
			}
		}
	})
}

// probed is a key and what its probe knows of it.
type probed struct {
	key     string
	seq     int64 // of the last write, acknowledged or not
	context []byte
}

// probe writes a key once and reads it once.
func (r *run) probe(ctx context.Context, k *probed, writer, reader *session, rng *rand.Rand, t *tally) error {
	// Both connections first: the wait must not hold the dialing.
	if err := writer.ready(ctx); err != nil {
		return err
	}
	if err := reader.ready(ctx); err != nil {
		return err
	}
	k.seq++
	value := appendValue(nil, k.seq, r.cfg.ValueBytes)
	begin := time.Now()
	err := writer.put(k.key, value, k.context)
	acknowledged := time.Now()
	if err != nil {
		return err
	}
	t.writes++
	t.puts.add(rng, acknowledged.Sub(begin))
	delay := r.cfg.Delays[rng.IntN(len(r.cfg.Delays))]
	if delay > 0 && !r.wait(ctx, delay-time.Since(acknowledged)) {
		return ctx.Err()
	}
	begin = time.Now()
	seen, context, err := reader.get(ctx, k.key)
	took := time.Since(begin)
	if err != nil {
		return err
	}
	// An answer never has more than was read; with it the next write replaces siblings, if the
	// bucket keeps them.
	k.context = append(k.context[:0], context...)
	t.gets.add(rng, took)
	passed := begin.Sub(acknowledged)
	t.bins[nearest(r.cfg.Delays, passed)].add(rng, passed, seen >= k.seq)
	return nil
}

// versions is the second part: pairs of a writer that never pauses and a reader.
func (r *run) versions(ctx context.Context, d time.Duration) *tally {
	pairs := max(1, r.cfg.Clients/2)
	shared := make([]written, pairs)
	return r.together(ctx, d, 2*pairs, func(ctx context.Context, i int, t *tally) {
		pair := i / 2
		s := &shared[pair]
		key := fmt.Sprintf("%s-v%d", r.id, pair)
		w, y := r.cfg.pair(pair)
		rng := rand.New(rand.NewPCG(r.cfg.Seed, uint64(maxClients+i)))
		step, to := r.write, w
		if i%2 == 1 {
			step, to = r.follow, y
		}
		at := r.session(to, r.cfg.GetQuery)
		defer at.close()
		for ctx.Err() == nil {
			err := at.ready(ctx)
			if err == nil {
				err = step(ctx, key, s, at, rng, t)
			}
			if err != nil && !r.failed(ctx, t, err) {
				return
			}
		}
	})
}

// written is what the two clients of a key tell each other.
type written struct {
	sent         int64 // the writer's own
	acknowledged atomic.Int64
	context      atomic.Pointer[[]byte] // of the reader's last answer

	mu     sync.Mutex
	failed []int64 // versions that were not acknowledged, rising; a few per second at most
}

// between returns how many versions above seen, up to last, were acknowledged.
func (w *written) between(seen, last int64) int64 {
	if seen >= last {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	from, _ := slices.BinarySearch(w.failed, seen+1)
	to, _ := slices.BinarySearch(w.failed, last+1)
	return last - seen - int64(to-from)
}

// write writes the next version.
func (r *run) write(_ context.Context, key string, s *written, at *session, rng *rand.Rand, t *tally) error {
	s.sent++
	var context []byte
	if c := s.context.Load(); c != nil {
		context = *c
	}
	begin := time.Now()
	if err := at.put(key, appendValue(nil, s.sent, r.cfg.ValueBytes), context); err != nil {
		// Its number is not used again: the write may yet appear.
		s.mu.Lock()
		s.failed = append(s.failed, s.sent)
		s.mu.Unlock()
		return err
	}
	s.acknowledged.Store(s.sent)
	t.writes++
	t.puts.add(rng, time.Since(begin))
	return nil
}

// follow reads once and counts what is missing.
func (r *run) follow(ctx context.Context, key string, s *written, at *session, rng *rand.Rand, t *tally) error {
	acknowledged := s.acknowledged.Load()
	if acknowledged == 0 {
		r.wait(ctx, time.Millisecond)
		return nil
	}
	begin := time.Now()
	seen, context, err := at.get(ctx, key)
	if err != nil {
		return err
	}
	t.gets.add(rng, time.Since(begin))
	context = slices.Clone(context)
	s.context.Store(&context)
	missed := s.between(seen, acknowledged)
	t.missed[min(missed, int64(len(t.missed)-1))]++
	return nil
}

// companion reads with r=all until ctx ends, so that nodes have samples of remote reads.
func (r *run) companion(ctx context.Context) {
	const pause = 5 * time.Millisecond
	var all []*session
	for _, target := range r.cfg.Targets {
		all = append(all, r.session(target, "r=all"))
	}
	key, made := r.id+"-all", false
	for n := 0; ctx.Err() == nil; n++ {
		s := all[n%len(all)]
		err := s.ready(ctx)
		switch {
		case err != nil:
		case made:
			_, _, err = s.get(ctx, key)
		default:
			err = s.put(key, appendValue(nil, 1, r.cfg.ValueBytes), nil)
			made = err == nil
		}
		if err != nil {
			r.wait(ctx, afterError)
		}
		r.wait(ctx, pause)
	}
	for _, s := range all {
		s.close()
	}
}

// together runs the clients of one part for d, and the companion with them, and merges what the
// clients saw.
func (r *run) together(ctx context.Context, d time.Duration, clients int, client func(context.Context, int, *tally)) *tally {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { r.companion(ctx) })
	tallies := make([]*tally, clients)
	for i := range tallies {
		tallies[i] = newTally(&r.cfg)
		wg.Go(func() { client(ctx, i, tallies[i]) })
	}
	wg.Wait()
	sum := newTally(&r.cfg)
	for _, t := range tallies {
		sum.merge(t)
	}
	return sum
}

// failed counts an error and waits a little; false: the part is over, and the error is its end's.
func (r *run) failed(ctx context.Context, t *tally, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	t.errors[kind(err)]++
	return r.wait(ctx, afterError)
}
