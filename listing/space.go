package listing

import (
	"encoding/binary"
	"errors"
	"fmt"

	"cartwheel/ring"
)

// A mode is what is asked of a member.
type mode uint8

const (
	keysInTurn mode = iota // the keys of one partition after the other, as they lie
	keysSorted             // the keys of all partitions together, sorted
	buckets                // the buckets of all partitions together, in the order of records
	countKeys              // like keysInTurn, without names

	modes
)

// inTurn says whether partitions are walked one after the other, rather than merged.
func (m mode) inTurn() bool { return m == keysInTurn || m == countKeys }

// A space is the names of records that a query is about. They begin with base, and are spoken of by
// what follows: a key, or for buckets
//
//	uvarint(len(bucket)) bucket key
//
// Records lie in the order of these strings. So buckets come by length first; see bucketOf.
type space struct {
	base    string
	buckets bool
	prefix  string
	low     string // the lowest name that can match: what was asked for in prefix and start
}

func newSpace(m mode, typ, bucket, prefix, start string) space {
	s := space{buckets: m == buckets, prefix: prefix, low: max(prefix, start)}
	s.base = ring.Key{Type: typ, Bucket: bucket}.Name()
	if s.buckets {
		s.base = s.base[:len(s.base)-1] // without the length 0 of the bucket
	}
	return s
}

// first returns where a walk begins.
func (s *space) first() string {
	if s.buckets {
		return ""
	}
	return s.low
}

// An act is what to do about a record.
type act uint8

const (
	take act = iota // it matches, if the object lives
	skip            // nothing matches before the record that the step names
	stop            // nothing matches from here on
)

var errName = errors.New("listing: a record has a name that is none")

// step looks at a record by the part of its name after base. What is returned is what a visitor gets for it, or
// where to go on: an inclusive bound. entry aliases suffix.
func (s *space) step(suffix []byte) (do act, entry []byte, next string, err error) {
	if !s.buckets {
		if !hasPrefix(suffix, s.prefix) {
			return stop, nil, "", nil // the walk began at or above the prefix
		}
		return take, suffix, "", nil
	}
	length, n := binary.Uvarint(suffix)
	if n <= 0 || length > uint64(len(suffix)-n) {
		return stop, nil, "", fmt.Errorf("%w: %.64q", errName, suffix)
	}
	whole := suffix[:n+int(length)]
	bucket := whole[n:]
	switch {
	case string(bucket) >= s.low && hasPrefix(bucket, s.prefix):
		return take, whole, "", nil
	case string(bucket) > s.low: // beyond the prefix: on to longer buckets
		return skip, nil, successor(string(suffix[:n])), nil
	case len(bucket) <= len(s.low) && string(bucket) == s.low[:len(bucket)]: // too short to be as high as low
		return skip, nil, successor(string(whole)), nil
	}
	return skip, nil, string(suffix[:n]) + s.low, nil
}

// past returns the lowest bound above all records that the entry stands for.
func (s *space) past(entry string) string {
	if s.buckets {
		return successor(entry)
	}
	return entry + "\x00"
}

// entryAt returns the entry of the bucket whose records a bound is among, or "" if it is no place of a record.
func (s *space) entryAt(bound string) string {
	length, n := binary.Uvarint([]byte(bound[:min(len(bound), binary.MaxVarintLen64)]))
	if n <= 0 || length > uint64(len(bound)-n) {
		return ""
	}
	return bound[:n+int(length)]
}

// hasPrefix is bytes.HasPrefix without a conversion that may allocate.
func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// successor returns the lowest string above all that begin with s. There is one as long as s has a
// byte below 255, as the length of a bucket always has.
func successor(s string) string {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] < 0xff {
			return s[:i] + string([]byte{s[i] + 1})
		}
	}
	return s + "\xff"
}

// bucketOf returns the bucket that an entry names.
func bucketOf(entry string) string {
	_, n := binary.Uvarint([]byte(entry[:min(len(entry), binary.MaxVarintLen64)]))
	return entry[max(n, 0):]
}
