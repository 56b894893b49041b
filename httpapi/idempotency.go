package httpapi

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"net/http"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// maxIdempotencyBytes bounds an Idempotency-Key.
const maxIdempotencyBytes = 255

// idempotencyKey returns the name that a client gave to a write, "" if it gave none.
func idempotencyKey(h http.Header) (string, *failure) {
	lines, ok := h["Idempotency-Key"]
	if !ok {
		return "", nil
	}
	if len(lines) != 1 || lines[0] == "" || len(lines[0]) > maxIdempotencyBytes {
		f := bad(badHeader, "Idempotency-Key must be given once and have 1 to 255 bytes")
		return "", &f
	}
	if len(h["X-Cartwheel-Request-Id"]) > 0 {
		f := bad(badHeader, "Idempotency-Key and X-Cartwheel-Request-Id both name the write; send one of them")
		return "", &f
	}
	return lines[0], nil
}

// What an Idempotency-Key is turned into. The kind of the write takes part: a client that uses
// one name for a put and a delete of a key means two writes.
const (
	namesPut    = 'p'
	namesDelete = 'd'
	namesKey    = 'k' // of an object that the node chooses a key for
)

// named returns the hash of what names a write: any node comes to the same one, also after a
// restart, and nothing has to be kept for that.
func named(what byte, key ring.Key, name string) [sha256.Size]byte {
	object := key.Name()
	b := make([]byte, 0, 1+binary.MaxVarintLen64+len(object)+len(name))
	b = binary.AppendUvarint(append(b, what), uint64(len(object)))
	return sha256.Sum256(append(append(b, object...), name...))
}

// namedRequest is the request id of a write with an Idempotency-Key.
func namedRequest(what byte, key ring.Key, name string) vclock.RequestID {
	sum := named(what, key, name)
	return vclock.RequestID(sum[:16]).Lasting()
}

// namedKey is the key that a node chooses for an object stored under an Idempotency-Key. It
// looks like those chosen at random.
func namedKey(bucket ring.Key, name string) string {
	sum := named(namesKey, bucket, name)
	return base32.StdEncoding.EncodeToString(sum[:])[:26]
}
