package antientropy

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// A mending is the repair of one pair.
type mending struct {
	x      *exchange
	w      *work
	found  leafSet // leaves with keys that differ
	failed bool    // a difference is left
	unsent bool    // one that the peer did not take is
}

// mend repairs the differences of one page. An error is the peer's or the context's.
func (m *mending) mend(ctx context.Context, list []difference) error {
	if len(list) == 0 {
		return nil
	}
	k := m.x.k
	for i := range list {
		m.found.add(leafOfName(list[i].name))
	}
	list = slices.DeleteFunc(list, func(d difference) bool {
		// The sides do not agree on the bucket's n_val: by ours, the key may not belong here.
		foreign := k.cfg.N(d.name) != m.w.n
		m.failed = m.failed || foreign
		return foreign
	})
	for len(list) > 0 {
		n := len(list)
		if !m.w.pull {
			var err error
			if n, err = m.fetch(ctx, list); err != nil {
				return err
			}
		}
		if err := m.settle(ctx, list[:n]); err != nil {
			return err
		}
		clear(list[:n]) // the objects are not needed any more
		list = list[n:]
	}
	return nil
}

// settle brings both sides' objects of differences to the other side.
func (m *mending) settle(ctx context.Context, list []difference) error {
	var merges, sends []Item
	for i := range list {
		to, from := list[i].repaired()
		if !to.Missing() {
			merges = append(merges, Item{m.w.partition, m.w.n, list[i].name, to})
		}
		if !from.Missing() {
			sends = append(sends, Item{m.w.partition, m.w.n, list[i].name, from})
		}
	}
	if err := m.merge(ctx, merges); err != nil {
		return err
	}
	return m.send(ctx, sends)
}

// fetch gets the peer's objects for the keys that it listed by digest, as many as one answer holds:
// all of them together may be far more than fit into memory. It returns how many of the
// differences, from the first one on, have their objects now; at least one.
func (m *mending) fetch(ctx context.Context, list []difference) (n int, err error) {
	var names []string
	var wanted []int
	for bytes := 0; n < len(list); n++ {
		if !list[n].remote.readable() {
			continue
		}
		if bytes += len(list[n].name); len(names) == maxFetch || bytes > maxFetchBytes && len(names) > 0 {
			break
		}
		names, wanted = append(names, list[n].name), append(wanted, n)
	}
	if len(names) == 0 {
		return n, nil
	}
	answer, err := m.x.call(ctx, kindFetch, encodeFetch(m.x.version, m.w.pair, names))
	if err != nil {
		return 0, err
	}
	got, err := decodeFetched(answer, len(names))
	if err != nil {
		return 0, err
	}
	for j, f := range got {
		remote := &list[wanted[j]].remote
		remote.object, remote.digest = f.object, digestOf(f.object)
		if f.state != stateOK {
			m.failed = true // it had one a moment ago
		}
	}
	if len(got) < len(wanted) {
		n = wanted[len(got)]
	}
	return n, nil
}

// maxMerges bounds the merges of one partition that wait in the store's queue.
const maxMerges = 512

// merge brings objects into the own store and waits until they are durable.
func (m *mending) merge(ctx context.Context, items []Item) error {
	k := m.x.k
	for chunk := range slices.Chunk(items, maxMerges) {
		if err := k.cfg.Throttle.Wait(ctx, len(chunk)); err != nil {
			return err
		}
		errs := make(chan error, len(chunk))
		for _, it := range chunk {
			k.cfg.Store.Merge(it.Partition, it.Name, it.Object, func(err error) { errs <- err })
		}
		var last error
		for range chunk {
			if err := <-errs; err != nil {
				last = err
				continue
			}
			k.stats.here.Add(1)
		}
		if last != nil {
			m.failed = true
			k.log.Warn("objects from a peer could not be stored", "peer", m.x.peer, "partition", m.w.partition, "err", last)
		}
	}
	return nil
}

// send brings objects to the peer, in batches of pageBytes or one object.
func (m *mending) send(ctx context.Context, items []Item) error {
	k := m.x.k
	for len(items) > 0 {
		n, size := 0, 0
		for ; n < len(items); n++ {
			cost := len(items[n].Name) + items[n].Object.Size() + entryBytes
			if n > 0 && size+cost > pageBytes {
				break
			}
			size += cost
		}
		if m.x.deaf.Load() {
			m.unsent = true
			return nil
		}
		acked, err := k.cfg.Sender.Send(ctx, m.x.peer, items[:n])
		k.stats.bytesOut.Add(uint64(size))
		for i := range n {
			if i < len(acked) && acked[i] {
				k.stats.there.Add(1)
			} else {
				m.unsent = true
			}
		}
		switch {
		case err != nil && k.Unsure(m.w.partition) && isRefusal(err):
			// A fenced peer, for example. What it has is needed here all the same, and must not
			// wait until somebody restarts it.
			m.x.deaf.Store(true)
		case err != nil:
			return fmt.Errorf("send %d objects: %w", n, err)
		}
		items = items[n:]
	}
	return nil
}

// isRefusal reports whether a Sender's error is the member's own word.
func isRefusal(err error) bool {
	var a interface{ Answered() bool }
	return errors.As(err, &a) && a.Answered()
}

// A phantom is where a difference was seen that no key shows.
type phantom struct {
	place
	n int
}

// verdict says what the repair of the pair came to. Leaves that differ although no key does are
// most often writes that were on their way; the second time in a row, the trees are scanned anew.
func (m *mending) verdict() result {
	k, w := m.x.k, m.w
	if m.failed {
		return failed
	}
	left := w.leaves.without(m.found)
	if w.whole && !m.found.empty() {
		left = leafSet{}
	}
	at := phantom{place{m.x.peer, w.partition}, w.n}
	k.mu.Lock()
	before := k.mu.phantoms[at]
	if again := before.common(left); left.empty() || !again.empty() {
		delete(k.mu.phantoms, at)
	} else {
		k.mu.phantoms[at] = left
	}
	twice := before.common(left)
	if !twice.empty() {
		m.x.rescan = append(m.x.rescan, w.partition)
	}
	k.mu.Unlock()
	switch {
	case left.empty() && m.unsent:
		return heard
	case left.empty():
		return same
	}
	if !twice.empty() {
		k.stats.drift.Add(1)
		k.log.Warn("digest trees differ although no key does; both sides scan the partition",
			"peer", m.x.peer, "partition", w.partition, "n", w.n)
		w.part.rescan()
		wake(k.building)
	}
	return suspect
}
