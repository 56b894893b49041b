package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A frame, all numbers big-endian:
//
//	 0  length  u32  bytes after this field
//	 4  crc     u32  CRC-32C of all that follows
//	 8  id      u64  pairs answer and request; 0 in a heartbeat
//	16  kind    u8   Kind of a request, Status of an answer
//	17  flags   u8
//	18  ring    u64  sender's ring version
//	26  budget  u32  milliseconds, requests only
//	30  payload
//
// A message larger than a frame is cut into parts with the same id, kind and
// direction: the first carries ring and budget and flagMore, those between
// flagPart and flagMore, the last flagPart. A part with flagAbort says that
// the rest will not come.
const (
	headerBytes = 30
	lengthBytes = 4
	crcBytes    = 4

	// A part that others follow is never smaller than this, so that what is kept
	// about a part is little beside the part.
	minPartBytes = 1 << 10
)

const (
	flagAnswer    = 1 << iota // an answer, not a request
	flagMore                  // parts of this message follow
	flagPart                  // continues a message
	flagAbort                 // ends a message that is not complete
	flagHeartbeat             // shows that the sender lives

	knownFlags = flagAnswer | flagMore | flagPart | flagAbort | flagHeartbeat
)

// header is the fixed part of a frame.
type header struct {
	id     uint64
	kind   uint8
	flags  uint8
	ring   uint64
	budget uint32
}

func (h header) has(flag uint8) bool { return h.flags&flag != 0 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errMalformed marks what a peer that keeps the rules never sends.
var errMalformed = errors.New("malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errMalformed}, args...)...)
}

// appendFrame appends the frame of h and payload to dst.
func appendFrame(dst []byte, h header, payload []byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(headerBytes-lengthBytes+len(payload)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, h.id)
	dst = append(dst, h.kind, h.flags)
	dst = binary.BigEndian.AppendUint64(dst, h.ring)
	dst = binary.BigEndian.AppendUint32(dst, h.budget)
	dst = append(dst, payload...)
	sum := crc32.Checksum(dst[start+lengthBytes+crcBytes:], castagnoli)
	binary.BigEndian.PutUint32(dst[start+lengthBytes:], sum)
	return dst
}

// readFrame reads one frame whose payload is at most maxPayload bytes. The
// payload is the caller's own, nil if empty. An error that is errMalformed
// means that the peer breaks the rules; others come from r.
func readFrame(r *bufio.Reader, maxPayload int) (header, []byte, error) {
	b, err := r.Peek(headerBytes)
	if err != nil {
		if err == io.EOF && len(b) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return header{}, nil, err
	}
	length := int64(binary.BigEndian.Uint32(b)) - (headerBytes - lengthBytes)
	if length < 0 || length > int64(maxPayload) {
		return header{}, nil, malformed("frame with a payload of %d bytes, at most %d", length, maxPayload)
	}
	sum := binary.BigEndian.Uint32(b[lengthBytes:])
	h := header{
		id:     binary.BigEndian.Uint64(b[8:]),
		kind:   b[16],
		flags:  b[17],
		ring:   binary.BigEndian.Uint64(b[18:]),
		budget: binary.BigEndian.Uint32(b[26:]),
	}
	got := crc32.Checksum(b[lengthBytes+crcBytes:], castagnoli)
	if _, err := r.Discard(headerBytes); err != nil {
		return header{}, nil, err
	}
	var payload []byte
	if length > 0 {
		payload = make([]byte, length)
		if _, err := io.ReadFull(r, payload); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return header{}, nil, err
		}
		got = crc32.Update(got, castagnoli, payload)
	}
	if got != sum {
		return header{}, nil, malformed("frame with checksum %08x, its bytes have %08x", sum, got)
	}
	return h, payload, h.check(len(payload))
}

// check reports what is wrong with a header that belongs to size bytes of
// payload. Each message has exactly one valid form.
func (h header) check(size int) error {
	if h.flags&^uint8(knownFlags) != 0 {
		return malformed("unknown flags %08b", h.flags)
	}
	if h.has(flagHeartbeat) {
		if h != (header{flags: flagHeartbeat}) || size != 0 {
			return malformed("heartbeat that says more")
		}
		return nil
	}
	switch {
	case h.id == 0:
		return malformed("message without an id")
	case h.has(flagAnswer) && h.budget != 0:
		return malformed("answer with a budget")
	case h.has(flagPart) && (h.ring != 0 || h.budget != 0):
		return malformed("continuation with a ring version or budget")
	case h.has(flagAbort) && (!h.has(flagPart) || h.has(flagMore) || size != 0):
		return malformed("abort that is more than that")
	case h.has(flagMore) && size < minPartBytes:
		return malformed("part of %d bytes", size)
	case h.has(flagPart) && !h.has(flagAbort) && size == 0:
		return malformed("empty last part")
	}
	return nil
}
