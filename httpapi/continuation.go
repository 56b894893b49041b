package httpapi

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"

	"cartwheel/listing"
)

// A continuation says after which name a list with a limit stopped: a version, the name, and
// a checksum over the name and over what the list is of. Clients give it back as it is. It is
// no secret: the checksum is there for damage, and for continuations of another list, which
// would leave out names without a word.
const (
	continuationVersion = 1
	checksumBytes       = 8
)

var continuationCoding = base64.RawURLEncoding.Strict()

// encodeContinuation returns the continuation of the list q whose last name was last.
func encodeContinuation(q listing.Query, last string) string {
	b := make([]byte, 0, 1+len(last)+checksumBytes)
	b = append(append(b, continuationVersion), last...)
	return continuationCoding.EncodeToString(binary.BigEndian.AppendUint64(b, continuationSum(q, last)))
}

// decodeContinuation returns the last name of the page before. ok is false for a text that
// encodeContinuation never wrote for this list.
func decodeContinuation(q listing.Query, text string) (last string, ok bool) {
	b, err := continuationCoding.DecodeString(text)
	if err != nil || len(b) <= 1+checksumBytes || b[0] != continuationVersion {
		return "", false
	}
	end := len(b) - checksumBytes
	last = string(b[1:end])
	return last, binary.BigEndian.Uint64(b[end:]) == continuationSum(q, last)
}

// continuationSum is the checksum. Where the list began and how long its pages are is not
// part of it: a client may change its mind about the latter.
func continuationSum(q listing.Query, last string) uint64 {
	h := fnv.New64a()
	for _, s := range [...]string{q.Type, q.Bucket, q.Prefix, last} {
		// The length in front keeps ("ab", "c") and ("a", "bc") apart. Writes never fail.
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(s)))
		_, _ = h.Write(length[:])
		_, _ = h.Write([]byte(s))
	}
	return h.Sum64()
}
