package sim

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// objectsDir is where a data directory has its store.
	objectsDir = "objects"
	// goneDir is where it is while the disk is unplugged.
	goneDir = "unplugged"
	// hungAfter is the commit timeout of the simulated nodes: shorter than in production, so that
	// a hanging disk is found within a history.
	hungAfter = 4 * time.Second
)

// disk is how a machine's disk behaves at the moment. It is safe for concurrent use.
type disk struct {
	mu   sync.Mutex
	rng  *rand.Rand
	hang time.Duration // the next transaction takes so long
	fail failure       // of the next transaction
	full bool
}

// failure is how a transaction fails.
type failure uint8

const (
	works      failure = iota
	failsWrite         // nothing is stored
	failsSync          // it is stored, and nobody can be sure
)

var errDisk = errors.New("sim: input/output error")

// commit makes a transaction durable by calling store. About every third takes a while, so that
// power cuts also hit writes that others have heard of and this node has not stored.
func (d *disk) commit(store func() error) error {
	d.mu.Lock()
	length, fail := d.hang, d.fail
	d.hang, d.fail = 0, works
	if length == 0 && d.rng.IntN(3) == 0 {
		length = time.Duration(d.rng.IntN(60)) * time.Millisecond
	}
	d.mu.Unlock()
	if length > 0 {
		time.Sleep(length)
	}
	if fail == failsWrite {
		return errDisk
	}
	if err := store(); err != nil {
		return err
	}
	if fail == failsSync {
		return errDisk
	}
	return nil
}

// free returns how much is free: plenty, or nothing.
func (d *disk) free() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return 0
	}
	return 1 << 40
}

func (d *disk) setFull(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// failNext makes the next transaction fail.
func (d *disk) failNext(how failure) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = how
}

// clock is a machine's wall clock: the bubble's, off by so much. It is safe for concurrent use.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// hangFor makes the next transaction take that long.
func (d *disk) hangFor(length time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hang = length
}

// unplug takes the disk away from a running store: what it asks of the directory fails from now
// on. plug brings it back; it does nothing to a disk that is there.
func unplug(dir string) error {
	return os.Rename(filepath.Join(dir, objectsDir), filepath.Join(dir, goneDir))
}

func plug(dir string) error {
	err := os.Rename(filepath.Join(dir, goneDir), filepath.Join(dir, objectsDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// wipe deletes the objects of a stopped node and leaves all else.
func wipe(dir string) error { return os.RemoveAll(filepath.Join(dir, objectsDir)) }

// valueMark is in every value that a client writes with a text: see session.write.
var valueMark = []byte(" of c")

// flipBit flips one bit within a stored value of a stopped node. It reports false if no table
// has a value: then nothing was done.
func flipBit(dir string, rng *rand.Rand) (bool, error) {
	tables, err := filepath.Glob(filepath.Join(dir, objectsDir, "*.sst"))
	if err != nil {
		return false, err
	}
	type place struct {
		table  string
		offset int
	}
	var places []place
	for _, table := range tables {
		data, err := os.ReadFile(table)
		if err != nil {
			return false, err
		}
		for at := 0; ; at++ {
			i := bytes.Index(data[at:], valueMark)
			if i < 0 {
				break
			}
			at += i
			places = append(places, place{table, at})
		}
	}
	if len(places) == 0 {
		return false, nil
	}
	p := places[rng.IntN(len(places))]
	data, err := os.ReadFile(p.table)
	if err != nil {
		return false, err
	}
	data[p.offset+rng.IntN(len(valueMark))] ^= 1 << rng.IntN(8)
	if err := os.WriteFile(p.table, data, 0o644); err != nil {
		return false, fmt.Errorf("flip a bit: %w", err)
	}
	return true, nil
}
