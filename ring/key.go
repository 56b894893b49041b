package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// DefaultType is the bucket type of keys that name none.
const DefaultType = "default"

// A Key names one object. The strings are arbitrary bytes. An empty Type means
// DefaultType; ParseName always returns it spelled out.
type Key struct {
	Type, Bucket, Key string
}

// Name returns the canonical byte string of k, which is what is hashed, stored
// and sent: uvarint(len(type)) type uvarint(len(bucket)) bucket key. Different
// keys have different names, except that an empty Type is DefaultType.
func (k Key) Name() string {
	if k.Type == "" {
		k.Type = DefaultType
	}
	var length [binary.MaxVarintLen64]byte
	var b strings.Builder // hands its bytes over without copying them
	b.Grow(2*binary.MaxVarintLen16 + len(k.Type) + len(k.Bucket) + len(k.Key))
	b.Write(length[:binary.PutUvarint(length[:], uint64(len(k.Type)))])
	b.WriteString(k.Type)
	b.Write(length[:binary.PutUvarint(length[:], uint64(len(k.Bucket)))])
	b.WriteString(k.Bucket)
	b.WriteString(k.Key)
	return b.String()
}

// ParseName is the inverse of Key.Name. It accepts exactly the strings that
// Name returns; the parts of the key share the memory of name. Limits on the
// length of names are the caller's.
func ParseName(name string) (Key, error) {
	typ, rest, err := cutPrefixed(name)
	if err != nil {
		return Key{}, fmt.Errorf("ring: parse type of name %.64q: %w", name, err)
	}
	if typ == "" {
		return Key{}, fmt.Errorf("ring: parse name %.64q: empty type, want it spelled out", name)
	}
	bucket, key, err := cutPrefixed(rest)
	if err != nil {
		return Key{}, fmt.Errorf("ring: parse bucket of name %.64q: %w", name, err)
	}
	return Key{Type: typ, Bucket: bucket, Key: key}, nil
}

// cutPrefixed splits a string that begins with the uvarint length of its first part.
func cutPrefixed(s string) (part, rest string, err error) {
	length, n := binary.Uvarint([]byte(s[:min(len(s), binary.MaxVarintLen64)]))
	switch {
	case n == 0:
		return "", "", errors.New("length cut short")
	case n < 0:
		return "", "", errors.New("length above 64 bits")
	case n > 1 && s[n-1] == 0:
		// A trailing zero group adds nothing: the same length has a shorter
		// form, and one object would have two names.
		return "", "", errors.New("length not in its shortest form")
	}
	s = s[n:]
	if length > uint64(len(s)) {
		return "", "", fmt.Errorf("length %d, only %d bytes left", length, len(s))
	}
	return s[:length], s[length:], nil
}

// Hash returns the 64 bits that bind a context to an object of one cluster:
// equal for the same cluster uuid and name, otherwise different except by a
// chance of 2^-64. It guards against mistakes, not against forgery.
func Hash(cluster, name string) uint64 {
	// The length in front keeps ("ab", "c") and ("a", "bc") apart.
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(cluster)))
	var d xxhash.Digest
	d.Reset()
	// Writes to a Digest never return an error.
	_, _ = d.Write(length[:])
	_, _ = d.WriteString(cluster)
	_, _ = d.WriteString(name)
	return d.Sum64()
}
