package storage

import (
	"encoding/binary"
	"math/bits"
)

// Key names one stored copy of an object: the node's own, or one that waits for its owner.
type Key struct {
	Partition uint16
	// Name is the canonical name of type, bucket and key, 1 byte to 8 KiB.
	Name string
	// Hint is the uuid of the owner that this copy is kept for, at most 64 bytes; "" is the node's
	// own copy. Copies of one name under different hints have nothing to do with each other.
	Hint string
}

// Kinds of database keys, part of the format. The key of an own copy is
//
//	kind | partition (2 bytes, big endian) | name | suffix
//
// so that the records of a partition are one contiguous range. That of a hint is
//
//	kind + kindHint | length of owner (uvarint) | owner | partition | name | suffix
//
// so that the hints of an owner are one range, and within it those of a partition.
const (
	kindMeta       byte = 1 // the store's own, partition 0
	kindRecord     byte = 2 // a record, or the head of one in chunks
	kindChunk      byte = 3 // suffix: generation (8 bytes), index (4 bytes)
	kindGarbage    byte = 4 // suffix: generation; chunks that no head names once this is visible
	kindQuarantine byte = 5 // the bytes of a corrupt record that a later write replaced

	kindHint byte = 0x80
)

const (
	// maxNameBytes bounds Key.Name. Clients' names end at 4 KiB; Badger's keys at 65,000 bytes.
	maxNameBytes = 8 << 10
	// maxHintBytes bounds Key.Hint: an uuid has 36 bytes.
	maxHintBytes = 64

	chunkSuffixBytes   = 8 + 4
	garbageSuffixBytes = 8
)

// appendOwner appends what the keys of all own copies (hint "") or of an owner's hints begin with.
func appendOwner(dst []byte, kind byte, hint string) []byte {
	if hint == "" {
		return append(dst, kind)
	}
	dst = append(dst, kind|kindHint)
	return append(binary.AppendUvarint(dst, uint64(len(hint))), hint...)
}

func appendPartition(dst []byte, kind byte, hint string, partition uint16) []byte {
	return binary.BigEndian.AppendUint16(appendOwner(dst, kind, hint), partition)
}

func appendKey(dst []byte, kind byte, k Key) []byte {
	return append(appendPartition(dst, kind, k.Hint, k.Partition), k.Name...)
}

// keyBytes returns the length of k in the database without suffix.
func keyBytes(k Key) int {
	if k.Hint == "" {
		return 3 + len(k.Name)
	}
	return 3 + uvarintBytes(uint64(len(k.Hint))) + len(k.Hint) + len(k.Name)
}

func recordKey(k Key) []byte {
	return appendKey(make([]byte, 0, keyBytes(k)), kindRecord, k)
}

func chunkKey(k Key, generation uint64, index uint32) []byte {
	b := appendKey(make([]byte, 0, keyBytes(k)+chunkSuffixBytes), kindChunk, k)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, generation), index)
}

func garbageKey(k Key, generation uint64) []byte {
	b := appendKey(make([]byte, 0, keyBytes(k)+garbageSuffixBytes), kindGarbage, k)
	return binary.BigEndian.AppendUint64(b, generation)
}

// parseKey reads a database key of a kind with a suffix of a fixed length, which aliases b. It
// accepts only what appendKey writes for a key that the store accepts.
func parseKey(b []byte, kind byte, suffixBytes int) (k Key, suffix []byte, ok bool) {
	if len(b) == 0 || b[0]&^kindHint != kind {
		return Key{}, nil, false
	}
	rest := b[1:]
	if b[0]&kindHint != 0 {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n == 0 || n > maxHintBytes || size != uvarintBytes(n) || uint64(len(rest)-size) < n {
			return Key{}, nil, false
		}
		k.Hint, rest = string(rest[size:size+int(n)]), rest[size+int(n):]
	}
	name := len(rest) - 2 - suffixBytes
	if name < 1 || name > maxNameBytes {
		return Key{}, nil, false
	}
	k.Partition, rest = binary.BigEndian.Uint16(rest), rest[2:]
	k.Name, suffix = string(rest[:name]), rest[name:]
	return k, suffix, true
}

// parseGarbageKey is the inverse of garbageKey.
func parseGarbageKey(b []byte) (k Key, generation uint64, ok bool) {
	k, suffix, ok := parseKey(b, kindGarbage, garbageSuffixBytes)
	if !ok {
		return Key{}, 0, false
	}
	return k, binary.BigEndian.Uint64(suffix), true
}

// uvarintBytes returns the length of v as an unsigned varint.
func uvarintBytes(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }
