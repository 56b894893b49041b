package antientropy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"cartwheel/vclock"
)

// errMalformed is wrapped by every decoding error of this package.
var errMalformed = errors.New("antientropy: malformed message")

// reader reads fields until the first error, after which every read returns zero.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errMalformed, what)
	}
	r.rest = nil
}

func (r *reader) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > limit || n > 1 && r.rest[n-1] == 0 {
		r.fail("bad integer")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count reads a number of items of at least size bytes each, so that a damaged count cannot make
// the decoder allocate more than a small multiple of the input.
func (r *reader) count(size int) int { return int(r.uint(uint64(len(r.rest) / size))) }

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.fail("short field")
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) bytes() []byte { return r.take(int(r.uint(uint64(len(r.rest))))) }

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) bool() bool { return r.uint(1) == 1 }

func (r *reader) partition() uint16 { return uint16(r.uint(math.MaxUint16)) }

// maxLevel bounds an n_val on the wire.
const maxLevel = 1 << 15

func (r *reader) pair() pair { return pair{r.partition(), int(r.uint(maxLevel))} }

func (r *reader) hashes() (h [fanout]uint64) {
	b := r.take(fanout * 8)
	for i := range h {
		if b != nil {
			h[i] = binary.BigEndian.Uint64(b[i*8:])
		}
	}
	return h
}

// object reads an object in its own field. Its values share the memory of the message.
func (r *reader) object(b []byte) vclock.Object {
	if r.err != nil {
		return vclock.Object{}
	}
	o, err := vclock.DecodeObject(b)
	if err != nil {
		r.fail(err.Error())
	}
	return o
}

func (r *reader) end() error {
	if r.err == nil && len(r.rest) != 0 {
		r.fail("bytes after the end")
	}
	return r.err
}

func appendUint[T ~int | ~uint16 | ~uint32 | ~uint64](b []byte, v T) []byte {
	return binary.AppendUvarint(b, uint64(v))
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(appendUint(b, len(s)), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendPair(b []byte, q pair) []byte { return appendUint(appendUint(b, q.partition), q.n) }

func appendHashes(b []byte, h [fanout]uint64) []byte {
	for _, v := range h {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}
