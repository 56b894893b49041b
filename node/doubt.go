package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"

	"cartwheel/antientropy"
	"cartwheel/datadir"
	"cartwheel/storage"
)

// Small documents that tell, at a start, whether the objects are those that this node left.
const (
	storeFile  = "store.json"  // life
	unsureFile = "unsure.json" // doubtful partitions
	treesFile  = "trees"       // of the last orderly stop
)

// life is what a node remembers of its store outside it: the last run that opened it and noted,
// if need be, that it is in doubt; and how durable that run's writes were. A run that ended
// before that may have left its mark in the store, but not here, so that the next one doubts.
type life struct {
	Run        uint64 `json:"run"`
	Durability string `json:"durability"`
}

// loadLife returns nil if there never was a store.
func loadLife(dir *datadir.Dir) (*life, error) {
	data, err := dir.Load(storeFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var l life
	if err == nil {
		err = json.Unmarshal(data, &l)
	}
	if err != nil {
		return nil, fmt.Errorf("read what is known of the store: %w", err)
	}
	return &l, nil
}

func (l life) save(dir *datadir.Dir) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return dir.Save(storeFile, append(data, '\n'))
}

// doubt returns why the store may lack what this node has acknowledged, "" if it has it all.
// former is the run that the store saw last; clean says that it was stopped in order.
func (l *life) doubt(former uint64, clean bool) string {
	switch {
	case l == nil:
		return ""
	case former != l.Run:
		return "the objects are not those that this node stored last: restored or exchanged, or a start ended before it was sure of them"
	case l.Durability == storage.OS.String() && !clean:
		return "the node was not stopped in order, and under durability=os the last writes may be lost"
	}
	return ""
}

// doubts keeps on disk which partitions are unsure, so that a restart does not make them sure.
type doubts struct {
	dir *datadir.Dir
	log *slog.Logger

	mu    sync.Mutex // held over the saving, so that the file is what was said last
	known doubtful
}

// doubtful is the document. All includes partitions of a ring that is not known yet.
type doubtful struct {
	All        bool     `json:"all,omitempty"`
	Partitions []uint16 `json:"partitions,omitempty"` // ascending
}

func loadDoubts(dir *datadir.Dir, log *slog.Logger) (*doubts, error) {
	d := &doubts{dir: dir, log: log}
	data, err := dir.Load(unsureFile)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &d.known)
	}
	if err != nil {
		return nil, fmt.Errorf("read which partitions are unsure: %w", err)
	}
	return d, nil
}

// renew marks in k what the life before was unsure of.
func (d *doubts) renew(k *antientropy.Keeper) {
	if d.known.All {
		k.MarkAllUnsure()
	}
	for _, p := range d.known.Partitions {
		k.MarkUnsure(p)
	}
}

// all makes all partitions doubtful, durably.
func (d *doubts) all() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.saveLocked(doubtful{All: true})
}

// add makes a partition doubtful and returns when that is on disk. It is called before the
// request that met the damage is answered; one that cannot be saved only lasts for this life.
// While all are doubtful it is noted all the same: set may be about to say which are left of
// them, by a count that is older.
func (d *doubts) add(partition uint16) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, found := slices.BinarySearch(d.known.Partitions, partition)
	if found {
		return
	}
	next := doubtful{All: d.known.All, Partitions: slices.Insert(slices.Clone(d.known.Partitions), at, partition)}
	if err := d.saveLocked(next); err != nil {
		d.log.Error("an unsure partition could not be noted: a restart would forget it", "partition", partition, "err", err)
	}
}

// set replaces the doubtful partitions by these. What was added since they were counted stays:
// unsure says so.
func (d *doubts) set(partitions []uint16, unsure func(uint16) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := slices.Clone(partitions)
	for _, p := range d.known.Partitions {
		if unsure(p) {
			next = append(next, p)
		}
	}
	slices.Sort(next)
	next = slices.Compact(next)
	if !d.known.All && slices.Equal(d.known.Partitions, next) {
		return
	}
	if err := d.saveLocked(doubtful{Partitions: next}); err != nil {
		d.log.Error("the unsure partitions could not be noted", "count", len(next), "err", err)
	}
}

func (d *doubts) saveLocked(next doubtful) error {
	data, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := d.dir.Save(unsureFile, append(data, '\n')); err != nil {
		return err
	}
	d.known = next
	return nil
}
