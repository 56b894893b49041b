package antientropy

import (
	"context"
	"slices"
)

// compareRoots returns those that differ.
func (x *exchange) compareRoots(ctx context.Context, open []*work) (differ []*work, err error) {
	for chunk := range slices.Chunk(open, maxPairs) {
		q := rootsRequest{levels: x.plan.view.Levels}
		var asked []*work
		for _, w := range chunk {
			if w.local(func(t *tree) {
				q.pairs = append(q.pairs, w.pair)
				q.hashes = append(q.hashes, t.root.hash())
				w.count = uint64(t.root.count)
			}) {
				asked = append(asked, w)
			}
		}
		answer, err := x.call(ctx, kindRoots, encodeRoots(x.version, q))
		if err != nil {
			return nil, err
		}
		replies, err := decodeRootReplies(answer, len(asked))
		if err != nil {
			return nil, err
		}
		for i, w := range asked {
			switch r := replies[i]; r.state {
			case stateOK:
				w.result = same
			case stateRebuilding:
				w.result = skipped
			case stateDiffers:
				w.peerHash, w.peer = r.hash, r.count
				differ = append(differ, w)
			}
		}
	}
	return differ, nil
}

// local reads this side's tree; without one the pair is skipped.
func (w *work) local(f func(*tree)) bool {
	if w.part.read(w.n, f) {
		return true
	}
	w.result = skipped
	return false
}

// compareLeaves returns those with leaves that differ twice, a pause apart. Each leaf that does not
// was equal at one of the two moments, and that is what the exchange has to prove.
func (x *exchange) compareLeaves(ctx context.Context, open []*work) ([]*work, error) {
	open, err := x.compareBranches(ctx, open)
	if err != nil || len(open) == 0 {
		return nil, err
	}
	if open, err = x.narrow(ctx, open); err != nil || len(open) == 0 {
		return nil, err
	}
	sleep(ctx, x.k.cfg.Pause)
	return x.narrow(ctx, open)
}

// compareBranches sets the leaves of each work to those of the branches that differ.
func (x *exchange) compareBranches(ctx context.Context, open []*work) (differ []*work, err error) {
	for chunk := range slices.Chunk(open, maxHashes) {
		pairs := make([]pair, len(chunk))
		groups := make([]int, len(chunk))
		for i, w := range chunk {
			pairs[i], groups[i] = w.pair, 1
		}
		answer, err := x.call(ctx, kindBranches, encodeBranches(x.version, pairs))
		if err != nil {
			return nil, err
		}
		theirs, err := decodeHashes(answer, groups)
		if err != nil {
			return nil, err
		}
		for i, w := range chunk {
			if theirs[i] == nil {
				w.result = skipped
				continue
			}
			if w.local(func(t *tree) {
				for b, ours := range t.branches() {
					if ours != theirs[i][0][b] {
						w.leaves[b] = ^uint32(0)
					}
				}
			}) {
				differ = w.keepIf(differ)
			}
		}
	}
	return differ, nil
}

// keepIf appends w if leaves are left; else it was equal.
func (w *work) keepIf(differ []*work) []*work {
	if w.leaves.empty() {
		w.result = same
		return differ
	}
	return append(differ, w)
}

// narrow takes from the leaves of each work those that are equal now.
func (x *exchange) narrow(ctx context.Context, open []*work) (differ []*work, err error) {
	for len(open) > 0 {
		var list []leavesRequest
		var groups []int
		total := 0
		for _, w := range open {
			set := w.leaves.branches()
			n := len(bitsOf(set))
			if total += n; total > maxHashes {
				break
			}
			list = append(list, leavesRequest{w.pair, set})
			groups = append(groups, n)
		}
		answer, err := x.call(ctx, kindLeaves, encodeLeaves(x.version, list))
		if err != nil {
			return nil, err
		}
		theirs, err := decodeHashes(answer, groups)
		if err != nil {
			return nil, err
		}
		for i, w := range open[:len(list)] {
			if theirs[i] == nil {
				w.result = skipped
			} else if w.local(func(t *tree) { w.narrow(t, bitsOf(list[i].branches), theirs[i]) }) {
				differ = w.keepIf(differ)
			}
		}
		open = open[len(list):]
	}
	return differ, nil
}

func (w *work) narrow(t *tree, branches []int, theirs [][fanout]uint64) {
	for i, branch := range branches {
		for leaf, ours := range t.leaves(branch) {
			if ours == theirs[i][leaf] {
				w.leaves[branch] &^= 1 << leaf
			}
		}
	}
}
