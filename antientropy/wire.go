package antientropy

import (
	"encoding/binary"
	"math"

	"cartwheel/vclock"
)

// pageBytes bounds an answer with keys or objects; one larger object goes alone.
const pageBytes = 256 << 10

// Requests begin with the ring version, answers with an outcome. Integers are unsigned varints,
// hashes 8 bytes, strings have their length in front.
//
//	roots     levels [pair hash]        -> [state (differs: hash count)]
//	branches  [pair]                    -> [state (else: 32 hashes)]
//	leaves    [pair branches]           -> [state (else: 32 hashes per branch)]
//	keys      pair objects leaves after -> done upto [name digest | name object]
//	fetch     pair [name]               -> [state object]
//	rescan    [partition]               -> nothing
//	dirty     [member partition]        -> nothing
//	end                                 -> nothing
//
// The answer to fetch covers as many of the names as fit, from the first one on.

// An outcome is how a request as a whole fared.
type outcome byte

const (
	answered outcome = iota
	busy             // too many exchanges are served: come again
	refused          // not now: another ring version, not an owner; the rest is the reason as text
	claimed          // the partition is being repaired with another member: come again
)

// A state is what is to be said of one pair or object.
type state byte

const (
	stateOK         state = iota // of a pair: equal, or the hashes follow
	stateDiffers                 // the answer to roots
	stateRebuilding              // there are no trees to be trusted
	stateMissing                 // of an object
	stateUnreadable              // of an object
)

func request(version uint64) []byte { return appendUint(nil, version) }

// A rootsRequest compares whole pairs.
type rootsRequest struct {
	levels []int
	pairs  []pair
	hashes []uint64 // of the sender, by pair
}

func encodeRoots(version uint64, q rootsRequest) []byte {
	b := appendUint(request(version), len(q.levels))
	for _, n := range q.levels {
		b = appendUint(b, n)
	}
	b = appendUint(b, len(q.pairs))
	for i, p := range q.pairs {
		b = binary.BigEndian.AppendUint64(appendPair(b, p), q.hashes[i])
	}
	return b
}

func (r *reader) roots() (q rootsRequest, err error) {
	for range r.count(1) {
		q.levels = append(q.levels, int(r.uint(maxLevel)))
	}
	for range r.count(10) {
		q.pairs = append(q.pairs, r.pair())
		q.hashes = append(q.hashes, r.uint64())
	}
	return q, r.end()
}

// A rootReply is what the peer has of one pair.
type rootReply struct {
	state state
	hash  uint64 // of the peer, if it differs
	count uint64 // of keys, if it differs
}

func appendRoot(b []byte, a rootReply) []byte {
	b = append(b, byte(a.state))
	if a.state == stateDiffers {
		b = appendUint(binary.BigEndian.AppendUint64(b, a.hash), a.count)
	}
	return b
}

func decodeRootReplies(b []byte, n int) ([]rootReply, error) {
	r := reader{rest: b}
	replies := make([]rootReply, n)
	for i := range replies {
		a := rootReply{state: state(r.uint(uint64(stateRebuilding)))}
		if a.state == stateDiffers {
			a.hash, a.count = r.uint64(), r.uint(math.MaxInt64)
		}
		replies[i] = a
	}
	return replies, r.end()
}

func encodeBranches(version uint64, pairs []pair) []byte {
	b := appendUint(request(version), len(pairs))
	for _, p := range pairs {
		b = appendPair(b, p)
	}
	return b
}

func (r *reader) branches() (pairs []pair, err error) {
	for range r.count(2) {
		pairs = append(pairs, r.pair())
	}
	return pairs, r.end()
}

// A leavesRequest asks for the leaves of the branches in the set.
type leavesRequest struct {
	pair     pair
	branches uint32
}

func encodeLeaves(version uint64, list []leavesRequest) []byte {
	b := appendUint(request(version), len(list))
	for _, q := range list {
		b = appendUint(appendPair(b, q.pair), q.branches)
	}
	return b
}

func (r *reader) leaves() (list []leavesRequest, err error) {
	for range r.count(3) {
		list = append(list, leavesRequest{r.pair(), uint32(r.uint(math.MaxUint32))})
	}
	return list, r.end()
}

// decodeHashes decodes the answer to branches and to leaves: for each i, groups[i] times 32
// hashes, or nil if the peer has no trees for it.
func decodeHashes(b []byte, groups []int) ([][][fanout]uint64, error) {
	r := reader{rest: b}
	all := make([][][fanout]uint64, len(groups))
	for i, n := range groups {
		switch state(r.uint(uint64(stateRebuilding))) {
		case stateOK:
			all[i] = make([][fanout]uint64, n)
			for j := range all[i] {
				all[i][j] = r.hashes()
			}
		case stateRebuilding:
		default:
			r.fail("bad state")
		}
	}
	return all, r.end()
}

// A keysRequest asks for a page of the keys of some leaves, after a name.
type keysRequest struct {
	pair    pair
	objects bool // whole, not only digests
	leaves  leafSet
	after   string
}

func encodeKeys(version uint64, q keysRequest) []byte {
	b := appendBool(appendPair(request(version), q.pair), q.objects)
	for _, set := range q.leaves {
		b = binary.BigEndian.AppendUint32(b, set)
	}
	return appendBytes(b, q.after)
}

func (r *reader) keys() (q keysRequest, err error) {
	q.pair, q.objects = r.pair(), r.bool()
	for i := range q.leaves {
		if b := r.take(4); b != nil {
			q.leaves[i] = binary.BigEndian.Uint32(b)
		}
	}
	q.after = string(r.bytes())
	return q, r.end()
}

// An entry is a key with its digest, and its object where that was asked for.
type entry struct {
	name   string
	digest uint64 // corruptDigest: it cannot be read
	object vclock.Object
}

// A page is the keys after some name up to upto, or to the end if done; ascending by name.
type page struct {
	entries []entry
	upto    string // "" if done
	done    bool
}

func appendPage(b []byte, p page, objects bool) []byte {
	b = appendUint(appendBytes(appendBool(b, p.done), p.upto), len(p.entries))
	for i := range p.entries {
		e := &p.entries[i]
		b = appendBytes(b, e.name)
		switch {
		case !objects:
			b = binary.BigEndian.AppendUint64(b, e.digest)
		case e.digest == corruptDigest:
			b = appendUint(b, 0)
		default:
			b = e.object.Append(appendUint(b, e.object.Size()))
		}
	}
	return b
}

// decodePage decodes the answer to keys. It refuses a page that is out of order or gets nowhere.
func decodePage(b []byte, objects bool, after string) (p page, err error) {
	r := reader{rest: b}
	p.done, p.upto = r.bool(), string(r.bytes())
	last := after
	for range r.count(2) {
		e := entry{name: string(r.bytes())}
		if !objects {
			e.digest = r.uint64()
		} else if encoded := r.bytes(); len(encoded) == 0 {
			e.digest = corruptDigest
		} else {
			e.object = r.object(encoded)
			e.digest = digestOf(e.object)
		}
		if e.name <= last || !p.done && e.name > p.upto || e.digest == 0 {
			r.fail("keys out of order")
			break
		}
		last = e.name
		p.entries = append(p.entries, e)
	}
	if p.done != (p.upto == "") || !p.done && p.upto <= after {
		r.fail("bad bounds")
	}
	return p, r.end()
}

func encodeFetch(version uint64, q pair, names []string) []byte {
	b := appendUint(appendPair(request(version), q), len(names))
	for _, name := range names {
		b = appendBytes(b, name)
	}
	return b
}

func (r *reader) fetch() (q pair, names []string, err error) {
	q = r.pair()
	for range r.count(1) {
		names = append(names, string(r.bytes()))
	}
	return q, names, r.end()
}

// A fetched object is what became of one name that was asked for.
type fetched struct {
	state  state // OK, missing or unreadable
	object vclock.Object
}

func appendFetched(b []byte, f fetched) []byte {
	b = append(b, byte(f.state))
	if f.state == stateOK {
		b = f.object.Append(appendUint(b, f.object.Size()))
	}
	return b
}

// decodeFetched decodes what was sent of asked objects, at least one.
func decodeFetched(b []byte, asked int) ([]fetched, error) {
	r := reader{rest: b}
	var list []fetched
	for len(r.rest) > 0 && len(list) < asked {
		f := fetched{state: state(r.uint(uint64(stateUnreadable)))}
		switch f.state {
		case stateOK:
			f.object = r.object(r.bytes())
		case stateMissing, stateUnreadable:
		default:
			r.fail("bad state")
		}
		list = append(list, f)
	}
	if len(list) == 0 {
		r.fail("no object")
	}
	return list, r.end()
}

func encodeRescan(version uint64, partitions []uint16) []byte {
	b := appendUint(request(version), len(partitions))
	for _, p := range partitions {
		b = appendUint(b, p)
	}
	return b
}

func (r *reader) rescan() (partitions []uint16, err error) {
	for range r.count(1) {
		partitions = append(partitions, r.partition())
	}
	return partitions, r.end()
}

func encodeDirty(version uint64, list []dirtyMark) []byte {
	b := appendUint(request(version), len(list))
	for _, m := range list {
		b = appendUint(appendBytes(b, m.member), m.partition)
	}
	return b
}

func (r *reader) dirty() (list []dirtyMark, err error) {
	for range r.count(2) {
		list = append(list, dirtyMark{string(r.bytes()), r.partition()})
	}
	return list, r.end()
}
