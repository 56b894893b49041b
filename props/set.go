package props

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
)

// bucketKey names a bucket, or with an empty bucket a type; typ is never empty.
type bucketKey struct{ typ, bucket string }

func newKey(typ, bucket string) bucketKey {
	return bucketKey{cmp.Or(typ, defaultType), bucket}
}

func (k bucketKey) compare(o bucketKey) int {
	return cmp.Or(cmp.Compare(k.typ, o.typ), cmp.Compare(k.bucket, o.bucket))
}

// entry is one bucket or type of a Set with everything that is derived from its state, and
// from its type's.
type entry struct {
	state
	parsed  Properties
	encoded []byte
	sum     uint64 // of encoded
}

// Set is the whole document at one moment: the properties of all buckets and bucket types. It
// is immutable and safe for concurrent use.
type Set struct {
	shown    map[string]json.RawMessage // the default of every property that has one
	base     Properties                 // the same for requests
	typeBase Properties                 // the same for buckets of types other than "default"
	buckets  map[bucketKey]*entry
	owners   int    // buckets that have a property of their own
	types    int    // bucket types that have a document
	bytes    int    // sum of the lengths of the encoded buckets
	digest   uint64 // XOR of the sums
}

// Stats describes the size of a document.
type Stats struct {
	Buckets int // buckets with properties of their own
	Types   int // bucket types, "default" not counted
	Entries int // entries of the document: those, and those with a reset mark or default registers only
	Bytes   int // length of the encoded document without its frame
}

func newSet(d Defaults) *Set {
	s := &Set{shown: make(map[string]json.RawMessage, len(schema)), buckets: make(map[bucketKey]*entry)}
	for name, p := range schema {
		if p.value != "" {
			s.shown[name] = json.RawMessage(p.value)
		}
	}
	s.shown["n_val"] = json.RawMessage(strconv.Itoa(d.N))
	s.shown["allow_mult"] = json.RawMessage(strconv.FormatBool(d.AllowMult))
	for name, value := range s.shown {
		s.base.assign(name, value)
	}
	s.typeBase = s.base
	s.typeBase.AllowMult = true
	return s
}

// Bucket returns the properties of a bucket: its own, else those of its type, else the
// defaults. It allocates nothing.
func (s *Set) Bucket(typ, bucket string) Properties {
	k := newKey(typ, bucket)
	if e := s.buckets[k]; e != nil {
		return e.parsed
	}
	return s.typed(k.typ)
}

// Levels returns the different n_vals in use, ascending: the default's and those of types and
// buckets that have one of their own. The slice is the caller's.
func (s *Set) Levels() []int {
	levels := []int{s.base.NVal}
	for _, e := range s.buckets {
		levels = append(levels, e.parsed.NVal)
	}
	slices.Sort(levels)
	return slices.Compact(levels)
}

// Placement is a hash of which types have another n_val than the default, which buckets have
// another one than their type, and which: as long as it stays the same, so does every key's
// number of replicas.
func (s *Set) Placement() uint64 {
	var sum uint64
	for k, e := range s.buckets {
		if e.parsed.NVal != s.parent(k).NVal {
			h := fnv.New64a()
			fmt.Fprintf(h, "%d %d %s%s", e.parsed.NVal, len(k.typ), k.typ, k.bucket) // never fails
			sum ^= h.Sum64()
		}
	}
	return sum
}

// JSON returns everything that is shown of a bucket: property -> JSON value, unknown names
// and all defaults included. The map is the caller's, the values are shared and read-only.
func (s *Set) JSON(typ, bucket string) map[string]json.RawMessage {
	shown := s.TypeJSON(typ)
	if e := s.buckets[newKey(typ, bucket)]; e != nil {
		maps.Insert(shown, e.effective)
	}
	shown["name"] = marshal(bucket)
	return shown
}

// Digest is a hash of the document, 0 when it is empty. Two sets with equal digests hold the
// same document, whatever the order in which they came to it; defaults are not part of it.
func (s *Set) Digest() uint64 { return s.digest }

// Encode returns the whole document in its canonical form. The bytes are the caller's.
func (s *Set) Encode() []byte {
	keys := slices.SortedFunc(maps.Keys(s.buckets), bucketKey.compare)
	encoded := make([][]byte, len(keys))
	for i, k := range keys {
		encoded[i] = s.buckets[k].encoded
	}
	return encodeDocument(encoded)
}

// Stats returns the size of the document.
func (s *Set) Stats() Stats {
	return Stats{Buckets: s.owners, Types: s.types, Entries: len(s.buckets), Bytes: s.bytes}
}

// effective yields the bucket's own values that mean something here. What a newer node wrote
// and this program would refuse stays in the document and counts as the default.
func (s state) effective(yield func(string, json.RawMessage) bool) {
	for name, r := range s.props {
		if r.value == nil {
			continue
		}
		value, problem := normalizeRaw(schema[name].kind, r.value)
		if problem == "" && value != nil && !yield(name, value) {
			return
		}
	}
}

// merge returns a set that also holds what is in states, and the number of buckets that this
// changed. The receiver is returned when there were none.
func (s *Set) merge(states map[bucketKey]state) (m *Set, changed int) {
	m = s
	types := make(map[string]bool) // changed
	for k, other := range states {
		var old state
		e := s.buckets[k]
		if e != nil {
			old = e.state
		}
		joined, differs := old.merge(other)
		if !differs {
			continue
		}
		if changed++; changed == 1 {
			copied := *s
			copied.buckets = maps.Clone(s.buckets)
			m = &copied
		}
		m.replace(k, e, m.newEntry(k, joined))
		if k.isType() {
			types[k.typ] = true
		}
	}
	m.inherit(types)
	return m, changed
}

func (s *Set) newEntry(k bucketKey, st state) *entry {
	e := &entry{state: st, encoded: encodeBucket(k, st)}
	s.derive(k, e)
	sum := sha256.Sum256(e.encoded)
	e.sum = binary.BigEndian.Uint64(sum[:])
	return e
}

// replace is only for a set that nobody else has seen yet.
func (s *Set) replace(k bucketKey, old, e *entry) {
	if old != nil {
		s.count(k, old, -1)
	}
	s.count(k, e, 1)
	s.buckets[k] = e
}

// count adds e to the totals, or with sign -1 takes it off.
func (s *Set) count(k bucketKey, e *entry, sign int) {
	s.bytes += sign * len(e.encoded)
	s.digest ^= e.sum
	switch {
	case k.isType() && e.exists():
		s.types += sign
	case e.own() > 0:
		s.owners += sign
	}
}
