package httpapi

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"net/http"
	"sync"
	"time"

	"cartwheel/quorum"
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
func namedRequest(what byte, key ring.Key, name string) (id vclock.RequestID) {
	sum := named(what, key, name)
	copy(id[:], sum[:])
	if id == (vclock.RequestID{}) {
		id[0] = 1 // zero would mean none
	}
	return id
}

// namedKey is the key that a node chooses for an object stored under an Idempotency-Key. It
// looks like those chosen at random.
func namedKey(bucket ring.Key, name string) string {
	sum := named(namesKey, bucket, name)
	return base32.StdEncoding.EncodeToString(sum[:])[:26]
}

// Bounds of outcomes. An entry takes some 100 bytes, all together 7 MB.
const (
	outcomeTime           = 10 * time.Minute
	outcomesPerGeneration = 32 << 10
)

// outcomes remembers the receipts of writes with an Idempotency-Key that this node has
// acknowledged. The object itself says that a write was done while its value is a sibling;
// this says it also when that has been replaced since. An entry is kept for ten to twenty
// minutes, and less when there are many: of the two generations the older one is forgotten
// when the younger one is full. It does not survive a restart. Safe for concurrent use.
type outcomes struct {
	limit int // of a generation

	mu             sync.Mutex
	began          time.Time // when the younger generation did
	younger, older map[vclock.RequestID]quorum.Receipt
}

func newOutcomes(limit int) *outcomes {
	return &outcomes{limit: limit, younger: map[vclock.RequestID]quorum.Receipt{}}
}

// add notes an acknowledged write.
func (o *outcomes) add(id vclock.RequestID, receipt quorum.Receipt, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.age(now)
	if len(o.younger) >= o.limit {
		o.next(now)
	}
	o.younger[id] = receipt
}

// find returns the receipt of a write that was acknowledged; ok is false if none is known.
func (o *outcomes) find(id vclock.RequestID, now time.Time) (receipt quorum.Receipt, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.age(now)
	if receipt, ok = o.younger[id]; !ok {
		receipt, ok = o.older[id]
	}
	return receipt, ok
}

// age forgets what is too old. o.mu is held.
func (o *outcomes) age(now time.Time) {
	switch since := now.Sub(o.began); {
	case since < outcomeTime:
	case since < 2*outcomeTime:
		o.next(now)
	default:
		o.next(now)
		o.older = nil
	}
}

func (o *outcomes) next(now time.Time) {
	o.older, o.younger, o.began = o.younger, make(map[vclock.RequestID]quorum.Receipt), now
}
