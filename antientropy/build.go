package antientropy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

const (
	// scanStep is how many records are read between two waits at the throttle.
	scanStep = 256
	// scanRetry is the pause after a scan that could not be used.
	scanRetry = time.Second
)

// buildTrees scans partitions, one at a time, until ctx ends: those without trees first, then
// those that are to be scanned again, and all of them by turns within ScrubEvery.
func (k *Keeper) buildTrees(ctx context.Context) {
	at := 0                              // where the search goes on
	scrubbed := rand.IntN(maxPartitions) // where the scrub does: anywhere, or restarts would favour the first
	lastScrub := time.Now()
	for ctx.Err() == nil {
		p, found := k.nextBuild(&at)
		if found {
			if err := k.build(ctx, p); err != nil && ctx.Err() == nil {
				k.log.Warn("a partition's digest tree could not be built; it is tried again", "partition", p, "err", err)
				sleep(ctx, scanRetry)
			}
			continue
		}
		wake(k.kick) // what waited for its trees can be exchanged; until now it was by the second
		owned := k.currentPlan().ownedOrNone()
		if len(owned) == 0 {
			k.awaitBuild(ctx, time.Second)
			continue
		}
		due := lastScrub.Add(k.cfg.ScrubEvery / time.Duration(len(owned)))
		if wait := time.Until(due); wait > 0 {
			k.awaitBuild(ctx, wait)
			continue
		}
		lastScrub = time.Now()
		scrubbed = (scrubbed + 1) % len(owned)
		if part := k.part(owned[scrubbed]); part != nil {
			part.rescan()
		}
	}
}

// awaitBuild waits until there may be something to scan.
func (k *Keeper) awaitBuild(ctx context.Context, atMost time.Duration) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-k.building:
	case <-timer.C:
	}
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// nextBuild finds a partition to scan from *at on, by turns; one without trees goes before others.
func (k *Keeper) nextBuild(at *int) (partition uint16, found bool) {
	parts := k.parts.Load()
	if parts == nil {
		return 0, false
	}
	for _, urgent := range []bool{true, false} {
		for i := range *parts {
			turn := (*at + i) % len(*parts)
			p := &(*parts)[turn]
			p.mu.Lock()
			wanted := p.owned && p.want && (!urgent || !p.ready)
			p.mu.Unlock()
			if wanted {
				*at = turn + 1 // one that fails every time must not keep the others from theirs
				return uint16(turn), true
			}
		}
	}
	return 0, false
}

// errChanged says that a scan was of no use, as a record that it met was replaced unread.
var errChanged = errors.New("antientropy: the partition changed in a way that a scan cannot follow")

// readsPerMove is how many records may be read at the price of moving one, which is a message and
// a commit. A scan at the full price would take the whole pace from those who deliver.
const readsPerMove = 16

// waitToRead waits until n more records may be read.
func (k *Keeper) waitToRead(ctx context.Context, n int) error {
	return k.cfg.Throttle.Wait(ctx, (n+readsPerMove-1)/readsPerMove)
}

// build scans one partition and puts the result in the place of its trees.
func (k *Keeper) build(ctx context.Context, partition uint16) error {
	p := k.part(partition)
	found := make(map[string]bool)
	damaged := 0
	count := 0
	var waited error
	err := k.cfg.Store.Scan(partition, "", p.begin, func(name string, o vclock.Object, err error) bool {
		if count++; count%scanStep == 0 {
			// The snapshot stays open meanwhile: it keeps old versions on disk, for one partition.
			if waited = k.waitToRead(ctx, scanStep); waited != nil {
				return false
			}
		}
		digest := digestOf(o)
		if err != nil {
			digest = corruptDigest
			damaged++
			if len(found) < maxKnownCorrupt {
				found[name] = true
			}
			if !k.genuine(partition, name) {
				return true
			}
		}
		p.scanned(k.cfg.N(name), hashOf(name), digest)
		return true
	})
	if err == nil {
		err = waited
	}
	if rest := count % scanStep; err == nil && rest > 0 {
		err = k.waitToRead(ctx, rest)
	}
	if err != nil {
		p.abort()
		return fmt.Errorf("scan partition %d: %w", partition, err)
	}
	return k.finish(partition, p, found, damaged)
}

// genuine reports whether a record that cannot be read is under a name that it can have. If the name
// itself is damaged, trees and pages leave the record out, as no peer has one of that name; the one
// that it was is missing then, and is fetched.
func (k *Keeper) genuine(partition uint16, name string) bool {
	_, err := ring.ParseName(name)
	p := k.currentPlan()
	return err == nil && p != nil && p.view.Ring.Partition(name) == partition
}

func (k *Keeper) finish(partition uint16, p *part, found map[string]bool, damaged int) error {
	done := p.finish(found)
	k.stats.rebuilds.Add(1)
	if done.drift {
		k.stats.drift.Add(1)
		k.log.Warn("a partition's digest tree was not that of its records", "partition", partition)
	}
	if len(done.damaged) > 0 {
		k.stats.corrupt.Add(uint64(len(done.damaged)))
		k.log.Error("records cannot be read; they are fetched from the other owners",
			"partition", partition, "records", damaged)
		k.mark(partition)
	}
	if !done.installed {
		return errChanged
	}
	return nil
}
