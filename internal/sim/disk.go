package sim

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
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
}

// stall is called before each transaction becomes durable. About every third takes a while, so
// that power cuts also hit writes that others have heard of and this node has not stored.
func (d *disk) stall() {
	d.mu.Lock()
	length := d.hang
	d.hang = 0
	if length == 0 && d.rng.IntN(3) == 0 {
		length = time.Duration(d.rng.IntN(60)) * time.Millisecond
	}
	d.mu.Unlock()
	if length > 0 {
		time.Sleep(length)
	}
}

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
