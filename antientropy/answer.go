package antientropy

import (
	"context"
	"errors"
	"slices"
)

// answering is one message being answered. Every pair that it names must be owned by both sides:
// a wrong answer could pass for a proof that they are equal.
type answering struct {
	k      *Keeper
	plan   *plan
	from   string
	member int
}

func (a *answering) check(q pair) error {
	if !a.plan.shares(a.member, q) {
		return refuse("partition %d with n=%d is not of both members in ring version %d",
			q.partition, q.n, a.plan.view.Ring.Version())
	}
	return nil
}

// tree reads a tree, false if it is not to be trusted now.
func (a *answering) tree(q pair, f func(*tree)) bool {
	p := a.k.part(q.partition)
	return p != nil && p.read(q.n, f)
}

func (a *answering) roots(r *reader) ([]byte, error) {
	q, err := r.roots()
	if err != nil {
		return nil, err
	}
	if !slices.Equal(q.levels, a.plan.view.Levels) {
		return nil, refuse("the n_vals in use are %v there and %v here", q.levels, a.plan.view.Levels)
	}
	if len(q.pairs) > maxPairs {
		return nil, refuse("%d pairs in one message", len(q.pairs))
	}
	b := []byte{byte(answered)}
	for i, pr := range q.pairs {
		if err := a.check(pr); err != nil {
			return nil, err
		}
		reply := rootReply{state: stateRebuilding}
		a.tree(pr, func(t *tree) {
			reply = rootReply{}
			if hash := t.root.hash(); hash != q.hashes[i] {
				reply = rootReply{stateDiffers, hash, uint64(t.root.count)}
			}
		})
		b = appendRoot(b, reply)
	}
	return b, nil
}

func (a *answering) branches(r *reader) ([]byte, error) {
	pairs, err := r.branches()
	if err != nil {
		return nil, err
	}
	if len(pairs) > maxHashes {
		return nil, refuse("%d pairs in one message", len(pairs))
	}
	b := []byte{byte(answered)}
	for _, q := range pairs {
		if err := a.check(q); err != nil {
			return nil, err
		}
		if !a.tree(q, func(t *tree) { b = appendHashes(append(b, byte(stateOK)), t.branches()) }) {
			b = append(b, byte(stateRebuilding))
		}
	}
	return b, nil
}

func (a *answering) leaves(r *reader) ([]byte, error) {
	list, err := r.leaves()
	if err != nil {
		return nil, err
	}
	groups := 0
	b := []byte{byte(answered)}
	for _, q := range list {
		if err := a.check(q.pair); err != nil {
			return nil, err
		}
		wanted := bitsOf(q.branches)
		if groups += len(wanted); groups > maxHashes {
			return nil, refuse("more than %d branches in one message", maxHashes)
		}
		if !a.tree(q.pair, func(t *tree) {
			b = append(b, byte(stateOK))
			for _, i := range wanted {
				b = appendHashes(b, t.leaves(i))
			}
		}) {
			b = append(b, byte(stateRebuilding))
		}
	}
	return b, nil
}

// bitsOf returns the bits that are set, ascending.
func bitsOf(set uint32) []int {
	var list []int
	for i := range fanout {
		if set>>i&1 == 1 {
			list = append(list, i)
		}
	}
	return list
}

// yields reports whether this node's own repair of the partition goes before the peer's. Of two
// that repair it with each other, the one with the lower uuid goes on.
func (a *answering) yields(partition uint16) bool {
	p := a.k.part(partition)
	if p == nil {
		return false
	}
	with := p.claimed()
	return with != "" && (with != a.from || a.plan.self < a.from)
}

func (a *answering) keys(r *reader) ([]byte, error) {
	q, err := r.keys()
	if err != nil {
		return nil, err
	}
	if err := a.check(q.pair); err != nil {
		return nil, err
	}
	if a.yields(q.pair.partition) {
		return nil, errClaimed
	}
	ctx, cancel := context.WithTimeout(context.Background(), serveTime)
	defer cancel()
	pg, err := a.k.page(ctx, span{pair: q.pair, leaves: &q.leaves, after: q.after, objects: q.objects})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, errBusy
	}
	if err != nil {
		return nil, err
	}
	return appendPage([]byte{byte(answered)}, pg, q.objects), nil
}

func (a *answering) fetch(r *reader) ([]byte, error) {
	q, names, err := r.fetch()
	if err != nil {
		return nil, err
	}
	if err := a.check(q); err != nil {
		return nil, err
	}
	if len(names) == 0 || len(names) > maxFetch {
		return nil, refuse("%d names in one message", len(names))
	}
	ctx, cancel := context.WithTimeout(context.Background(), serveTime)
	defer cancel()
	if err := a.k.waitToRead(ctx, len(names)); err != nil {
		return nil, errBusy
	}
	b := []byte{byte(answered)}
	for i, name := range names {
		if a.plan.view.Ring.Partition(name) != q.partition {
			return nil, refuse("key %.64q is not of partition %d", name, q.partition)
		}
		f := fetched{}
		switch o, err := a.k.cfg.Store.Get(q.partition, name); {
		case err != nil:
			f.state = stateUnreadable
		case o.Missing():
			f.state = stateMissing
		default:
			f.object = o
		}
		if i > 0 && len(b)+f.object.Size()+entryBytes > pageBytes {
			break
		}
		b = appendFetched(b, f)
	}
	return b, nil
}

func (a *answering) rescan(r *reader) ([]byte, error) {
	partitions, err := r.rescan()
	if err != nil {
		return nil, err
	}
	for _, partition := range partitions {
		if p := a.k.part(partition); p != nil {
			p.rescan()
		}
	}
	wake(a.k.building)
	return []byte{byte(answered)}, nil
}

func (a *answering) dirty(r *reader) ([]byte, error) {
	list, err := r.dirty()
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		if !a.plan.owns(m.partition) {
			return nil, refuse("this node does not own partition %d", m.partition)
		}
	}
	for _, m := range list {
		a.k.MarkDirty(m.member, m.partition)
	}
	return []byte{byte(answered)}, nil
}
