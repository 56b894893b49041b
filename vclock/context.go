package vclock

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
)

// Errors of [DecodeContext]. A context that cannot be used is refused, never taken as an
// empty one: an empty or foreign context would silently cover or duplicate other values.
var (
	ErrContextDamaged = errors.New("vclock: the context is damaged or of an unknown version; send back the one that was read, unchanged")
	ErrContextForeign = errors.New("vclock: the context belongs to another key or another cluster; read this key and send back its own")
)

// formatContext is the first byte of a decoded context.
const formatContext = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// EncodeContext returns the opaque text that a client sends back with its next write: a
// version, bind, the clock and a checksum, in URL-safe base64. bind is 64 bits that name the
// cluster and the key.
func EncodeContext(c Clock, bind uint64) string {
	b := append(make([]byte, 0, 32+24*len(c)), formatContext)
	b = binary.BigEndian.AppendUint64(b, bind)
	b = appendClock(b, c)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return base64.RawURLEncoding.EncodeToString(b)
}

// DecodeContext returns the clock of a context that was made with the same bind. It returns
// [ErrContextDamaged] or [ErrContextForeign].
func DecodeContext(text string, bind uint64) (Clock, error) {
	// Strict refuses stray trailing bits; line ends, which the decoder would skip, are no
	// part of a context either.
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") || len(b) < 1+8+1+4 || b[0] != formatContext {
		return nil, ErrContextDamaged
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, ErrContextDamaged
	}
	if binary.BigEndian.Uint64(body[1:]) != bind {
		return nil, ErrContextForeign
	}
	d := decoder{rest: body[9:]}
	c := d.clock()
	if d.err != nil || len(d.rest) != 0 {
		return nil, ErrContextDamaged
	}
	return c, nil
}
