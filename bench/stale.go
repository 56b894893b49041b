package bench

import (
	"context"
	"fmt"
	"strconv"

	"cartwheel/bench/result"
	"cartwheel/bench/staleness"
)

// staleness measures how old the answers of reads are under the levels of a cell.
func (r *Run) staleness(ctx context.Context, bucket, get, put string, l result.Levels, members int) (*result.Staleness, error) {
	reads, writes := effective(l)
	found, err := staleness.Run(ctx, staleness.Config{
		Targets: r.plan.addresses, Bucket: bucket, GetQuery: get, PutQuery: put,
		N: l.N, R: reads, W: writes, Members: members,
		For: r.cfg.StalenessFor, Timeout: r.cfg.Timeout, Seed: r.cfg.Seed,
	})
	if err != nil {
		return nil, fmt.Errorf("measure the staleness: %w", err)
	}
	return found, nil
}

// effective returns how many replicas answer a read and a write before their client is answered. What
// a cell does not name is the bucket's: a quorum for r, w and dw, none of the owners in particular.
func effective(l result.Levels) (reads, writes int) {
	quorum := l.N/2 + 1
	of := func(level string, unset int) int {
		if v, err := strconv.Atoi(level); err == nil {
			return v
		}
		return unset
	}
	w := of(l.W, quorum)
	reads = max(of(l.R, quorum), of(l.PR, 0), 1)
	writes = max(w, of(l.DW, map[bool]int{true: quorum, false: w}[l.W == ""]), of(l.PW, 0), 1)
	return reads, writes
}
