package antientropy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
)

// saveFormat begins every saved file; another layout, or another way to hash, is another format.
const saveFormat = "cwtrees1"

// The layout, integers as unsigned varints unless sized:
//
//	format run[8] partitions (partition trees (n (branches[4] (leaves[4] (count xor[8])*)*))*)* checksum[8]
//
// with a bit set for each branch that has leaves and each leaf that has keys.

// Save returns the trees of all partitions whose trees are to be trusted, for Load in the next
// life. It is right only after the store was closed in good order: from then on nothing changes.
func (k *Keeper) Save() []byte {
	b := binary.BigEndian.AppendUint64([]byte(saveFormat), k.cfg.Run)
	parts := k.parts.Load()
	if parts == nil {
		parts = new([]part)
	}
	b = appendUint(b, len(*parts))
	for i := range *parts {
		b = (*parts)[i].save(b, i)
	}
	return binary.BigEndian.AppendUint64(b, xxhash.Sum64(b))
}

// save appends the partition, unless it is to be scanned at the next start: without trees, doubted,
// or with corrupt records, which a new life has to find and mark again.
func (p *part) save(b []byte, partition int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ready || p.want || len(p.corrupt) > 0 {
		return b
	}
	b = appendUint(appendUint(b, partition), len(p.trees))
	for _, t := range p.trees {
		b = t.save(appendUint(b, t.n))
	}
	return b
}

func (t *tree) save(b []byte) []byte {
	var branches uint32
	for i, blk := range t.blocks {
		if blk != nil && blk.used() != 0 {
			branches |= 1 << i
		}
	}
	b = binary.BigEndian.AppendUint32(b, branches)
	for _, i := range bitsOf(branches) {
		blk := t.blocks[i]
		used := blk.used()
		b = binary.BigEndian.AppendUint32(b, used)
		for _, j := range bitsOf(used) {
			b = binary.BigEndian.AppendUint64(appendUint(b, uint32(blk.count[j])), blk.xor[j])
		}
	}
	return b
}

// used returns the set of leaves with keys.
func (b *block) used() (set uint32) {
	for i, n := range b.count {
		if n > 0 {
			set |= 1 << i
		}
	}
	return set
}

// Load takes in what Save returned in the store's former life, before the first Update. It refuses
// everything if the data is damaged or not of that run: then the store may have changed since, and
// all trees are built anew. The caller deletes the saved data first, so that it serves one life.
func (k *Keeper) Load(data []byte, former uint64) bool {
	loaded, partitions, err := decodeSaved(data, former)
	if err != nil {
		k.log.Info("saved digest trees are of no use; all are built anew", "err", err)
		return false
	}
	parts := make([]part, partitions)
	for partition, trees := range loaded {
		if !k.Unsure(partition) { // what is unsure is scanned
			parts[partition].trees, parts[partition].ready = trees, true
			parts[partition].owned = true // until the ring says otherwise, it takes in updates
		}
	}
	k.parts.CompareAndSwap(nil, &parts)
	return true
}

// bits32 reads a set of branches or leaves, which is never empty where it says so.
func (r *reader) bits32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func decodeSaved(data []byte, former uint64) (loaded map[uint16][]*tree, partitions int, err error) {
	body := len(data) - 8
	if body < len(saveFormat) || string(data[:len(saveFormat)]) != saveFormat {
		return nil, 0, errors.New("not in this format")
	}
	if binary.BigEndian.Uint64(data[body:]) != xxhash.Sum64(data[:body]) {
		return nil, 0, errors.New("damaged")
	}
	r := &reader{rest: data[len(saveFormat):body]}
	if run := r.uint64(); run != former || former == 0 {
		return nil, 0, fmt.Errorf("of run %x, the store was last used by %x", run, former)
	}
	partitions = int(r.uint(maxPartitions))
	loaded = make(map[uint16][]*tree)
	for last := -1; len(r.rest) > 0; {
		partition := int(r.uint(math.MaxUint16))
		if partition <= last || partition >= partitions {
			r.fail("partitions out of order")
			break
		}
		last = partition
		loaded[uint16(partition)] = r.trees()
	}
	return loaded, partitions, r.end()
}

func (r *reader) trees() (trees []*tree) {
	for range r.count(5) {
		t := &tree{n: int(r.uint(maxLevel))}
		if len(trees) > 0 && t.n <= trees[len(trees)-1].n {
			r.fail("trees out of order")
			return nil
		}
		r.tree(t)
		trees = append(trees, t)
	}
	return trees
}

func (r *reader) tree(t *tree) {
	for _, i := range bitsOf(r.bits32()) {
		b := new(block)
		t.blocks[i] = b
		set := r.bits32()
		for _, j := range bitsOf(set) {
			b.count[j], b.xor[j] = int32(r.uint(math.MaxInt32)), r.uint64()
			if b.count[j] == 0 {
				r.fail("empty leaf")
				return
			}
			t.root.count += int64(b.count[j])
			t.root.xor ^= b.xor[j]
		}
		if set == 0 {
			r.fail("empty branch")
			return
		}
	}
}
