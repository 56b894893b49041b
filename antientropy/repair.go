package antientropy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// repair goes through the partitions, some of them at once. An error of the peer ends all; what
// concerns one partition only leaves that one unverified.
func (x *exchange) repair(ctx context.Context, open []*work) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slices.SortFunc(open, func(a, b *work) int { return int(a.partition) - int(b.partition) })
	groups := slices.Collect(byPartition(open))
	// From anywhere on: exchanges that repair the same partitions with others, or from the other
	// side, then seldom meet in one, and where they come later they find it done.
	if len(groups) > 1 {
		at := rand.IntN(len(groups))
		groups = slices.Concat(groups[at:], groups[:at])
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(x.k.cfg.Parallel, len(groups)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(groups) {
					return
				}
				if err := x.repairPartition(ctx, groups[i]); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// byPartition yields the runs of works of one partition.
func byPartition(works []*work) func(func([]*work) bool) {
	return func(yield func([]*work) bool) {
		for len(works) > 0 {
			n := 1
			for n < len(works) && works[n].partition == works[0].partition {
				n++
			}
			if !yield(works[:n]) {
				return
			}
			works = works[n:]
		}
	}
}

func (x *exchange) repairPartition(ctx context.Context, works []*work) error {
	p := works[0].part
	if !p.take(x.peer) {
		for _, w := range works {
			w.result = skipped
		}
		return nil
	}
	defer p.release()
	for _, w := range works {
		var err error
		w.result, err = x.repairPair(ctx, w)
		if r, ok := errors.AsType[*refusal](err); ok && r.outcome != refused {
			w.result = skipped
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// repairPair compares the keys of the leaves that differ, page by page, and repairs both sides.
func (x *exchange) repairPair(ctx context.Context, w *work) (result, error) {
	if done, err := x.settled(ctx, w); done || err != nil {
		return w.result, err
	}
	m := &mending{x: x, w: w}
	var remote page
	for after, done := "", false; !done; {
		if !remote.done && remote.upto <= after {
			var err error
			if remote, err = x.keys(ctx, w, after); err != nil {
				return pending, err
			}
		}
		local, err := x.k.page(ctx, span{pair: w.pair, leaves: &w.leaves, after: after, upto: remote.upto, objects: true})
		if err != nil {
			return pending, err
		}
		n := len(remote.entries)
		if !local.done {
			for n = 0; n < len(remote.entries) && remote.entries[n].name <= local.upto; n++ {
			}
		}
		if err := m.mend(ctx, join(local.entries, remote.entries[:n])); err != nil {
			return pending, err
		}
		remote.entries = remote.entries[n:]
		after, done = local.upto, local.done
	}
	return m.verdict(), nil
}

// settled looks once more whether a pair still differs, when its turn has come: that may be long after
// the comparisons, and to read its keys costs as much as the partition is large. By now writes that
// were slow have arrived everywhere, or another exchange has brought here what the peer has.
func (x *exchange) settled(ctx context.Context, w *work) (bool, error) {
	if !w.whole {
		open, err := x.narrow(ctx, []*work{w})
		return len(open) == 0, err
	}
	equal := false
	if !w.local(func(t *tree) { equal = t.root.hash() == w.peerHash }) {
		return true, nil
	}
	if equal {
		w.result = same
	}
	return equal, nil
}

// keys asks for a page and checks that it is of this pair.
func (x *exchange) keys(ctx context.Context, w *work, after string) (page, error) {
	answer, err := x.call(ctx, kindKeys, encodeKeys(x.version, keysRequest{pair: w.pair, objects: w.pull, leaves: w.leaves, after: after}))
	if err != nil {
		return page{}, err
	}
	pg, err := decodePage(answer, w.pull, after)
	if err != nil {
		return page{}, err
	}
	for _, e := range pg.entries {
		if _, err := ring.ParseName(e.name); err != nil {
			return page{}, fmt.Errorf("%w: %w", errMalformed, err)
		}
		if x.plan.view.Ring.Partition(e.name) != w.partition || !w.leaves.has(leafOfName(e.name)) {
			return page{}, fmt.Errorf("%w: key %.64q is not of partition %d", errMalformed, e.name, w.partition)
		}
	}
	return pg, nil
}

// A difference is a key that the two sides do not have alike. A side that lacks it has the zero
// entry.
type difference struct {
	name          string
	local, remote entry
}

// join returns the differences between two lists that are ascending by name.
func join(local, remote []entry) (list []difference) {
	for len(local) > 0 || len(remote) > 0 {
		switch {
		case len(remote) == 0 || len(local) > 0 && local[0].name < remote[0].name:
			list = append(list, difference{name: local[0].name, local: local[0]})
			local = local[1:]
		case len(local) == 0 || remote[0].name < local[0].name:
			list = append(list, difference{name: remote[0].name, remote: remote[0]})
			remote = remote[1:]
		default:
			if local[0].digest != remote[0].digest {
				list = append(list, difference{local[0].name, local[0], remote[0]})
			}
			local, remote = local[1:], remote[1:]
		}
	}
	return list
}

// readable says whether the side has an object of the key.
func (e *entry) readable() bool { return e.digest != 0 && e.digest != corruptDigest }

// repaired decides what a difference calls for, given both sides' objects: to is what this node
// must merge, from what the peer must; missing objects are nothing. Nothing is ever minted: both
// are joins of what there is.
func (d *difference) repaired() (to, from vclock.Object) {
	switch {
	case d.local.readable() && d.remote.readable():
		merged, _ := vclock.Merge(d.local.object, d.remote.object)
		digest := digestOf(merged)
		if digest != d.local.digest {
			to = d.remote.object
		}
		if digest != d.remote.digest {
			from = merged
		}
	case d.remote.readable():
		to = d.remote.object
	case d.local.readable():
		from = d.local.object
	}
	return to, from
}
