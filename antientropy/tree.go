package antientropy

import (
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"

	"cartwheel/vclock"
)

// The shape of every tree: a root, 32 branches, 32 leaves under each. The low bits of a name's
// hash choose the leaf, as the top bits have chosen the partition.
const (
	fanout = 32
	leaves = fanout * fanout
)

// corruptDigest stands in a tree and in a list of keys for a record that cannot be read. No
// object's digest equals it, save by a chance of 2^-64, so an exchange finds the key and fetches it.
const corruptDigest = ^uint64(0)

// digestOf is the digest by which trees know an object; 0 is a missing one.
func digestOf(o vclock.Object) uint64 {
	if o.Missing() {
		return 0
	}
	return o.Digest()
}

// mix returns 64 bits that depend on all bits of both. For one a, different b give different
// results.
func mix(a, b uint64) uint64 {
	const odd = 0xd6e8feb86659fd93
	x := a ^ bits.RotateLeft64(b*0x9e3779b97f4a7c15, 32)
	x ^= x >> 32
	x *= odd
	x ^= x >> 32
	x *= odd
	return x ^ x>>32
}

// A cell sums up a set of keys: the XOR of their entries and how many they are. An entry that was
// added twice would cancel itself out of the XOR alone.
type cell struct {
	xor   uint64
	count int64
}

// hash is what two replicas compare; 0 for the empty set.
func (c cell) hash() uint64 {
	if c == (cell{}) {
		return 0
	}
	return mix(c.xor, uint64(c.count))
}

// A block is the leaves of one branch, which exist from their first key on.
type block struct {
	xor   [fanout]uint64
	count [fanout]int32
}

// A tree sums up the keys of one (partition, n) pair. The zero tree is that of no key. It is
// guarded by its partition's lock.
type tree struct {
	n      int
	root   cell
	blocks [fanout]*block
}

func hashOf(name string) uint64 { return xxhash.Sum64String(name) }

func leafOf(hash uint64) int { return int(hash % leaves) }

func leafOfName(name string) int { return leafOf(hashOf(name)) }

// change replaces the digest of the name with that hash; 0 is a missing object. It returns false
// if the leaf cannot be that of any set of keys. It allocates only for the first key of a branch.
func (t *tree) change(hash, before, after uint64) bool {
	leaf := leafOf(hash)
	b := t.blocks[leaf/fanout]
	if b == nil {
		b = new(block)
		t.blocks[leaf/fanout] = b
	}
	at := leaf % fanout
	var delta uint64
	if before != 0 {
		delta = mix(hash, before)
		b.count[at]--
		t.root.count--
	}
	if after != 0 {
		delta ^= mix(hash, after)
		b.count[at]++
		t.root.count++
	}
	b.xor[at] ^= delta
	t.root.xor ^= delta
	return possible(b.xor[at], b.count[at])
}

// possible reports whether a set of keys can have that sum.
func possible(xor uint64, count int32) bool { return count > 0 || count == 0 && xor == 0 }

// possible reports whether every leaf can be that of a set of keys.
func (t *tree) possible() bool {
	for _, b := range t.blocks {
		if b == nil {
			continue
		}
		for i := range b.xor {
			if !possible(b.xor[i], b.count[i]) {
				return false
			}
		}
	}
	return true
}

// branches returns the hashes of the branches.
func (t *tree) branches() (hashes [fanout]uint64) {
	for i, b := range t.blocks {
		if b == nil {
			continue
		}
		var c cell
		for j := range b.xor {
			c.xor ^= b.xor[j]
			c.count += int64(b.count[j])
		}
		hashes[i] = c.hash()
	}
	return hashes
}

// leaves returns the hashes of the leaves of one branch.
func (t *tree) leaves(branch int) (hashes [fanout]uint64) {
	if b := t.blocks[branch]; b != nil {
		for j := range b.xor {
			hashes[j] = cell{b.xor[j], int64(b.count[j])}.hash()
		}
	}
	return hashes
}

// equal reports whether both sum up the same keys.
func (t *tree) equal(o *tree) bool {
	if t.root != o.root {
		return false
	}
	for i := range t.blocks {
		if t.leaves(i) != o.leaves(i) {
			return false
		}
	}
	return true
}

// treeOf returns the tree for n, making it if need be. They are few and sorted by n.
func treeOf(trees *[]*tree, n int) *tree {
	for i, t := range *trees {
		if t.n == n {
			return t
		}
		if t.n > n {
			t = &tree{n: n}
			*trees = slices.Insert(*trees, i, t)
			return t
		}
	}
	t := &tree{n: n}
	*trees = append(*trees, t)
	return t
}

// sameTrees reports whether both sum up the same keys for every n.
func sameTrees(a, b []*tree) bool {
	var none tree
	find := func(in []*tree, n int) *tree {
		for _, t := range in {
			if t.n == n {
				return t
			}
		}
		return &none
	}
	for _, t := range slices.Concat(a, b) {
		if !find(a, t.n).equal(find(b, t.n)) {
			return false
		}
	}
	return true
}

// A leafSet is a set of leaves, by branch.
type leafSet [fanout]uint32

func allLeaves() (s leafSet) {
	for i := range s {
		s[i] = ^uint32(0)
	}
	return s
}

func (s *leafSet) add(leaf int)      { s[leaf/fanout] |= 1 << (leaf % fanout) }
func (s *leafSet) has(leaf int) bool { return s[leaf/fanout]>>(leaf%fanout)&1 == 1 }
func (s *leafSet) empty() bool       { return *s == leafSet{} }

// without and common return the difference and the intersection.
func (s leafSet) without(o leafSet) leafSet {
	for i := range s {
		s[i] &^= o[i]
	}
	return s
}

func (s leafSet) common(o leafSet) leafSet {
	for i := range s {
		s[i] &= o[i]
	}
	return s
}

// branches returns the set of branches that have a leaf in s.
func (s *leafSet) branches() (set uint32) {
	for i := range s {
		if s[i] != 0 {
			set |= 1 << i
		}
	}
	return set
}
