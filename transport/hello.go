package transport

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"time"
)

// The first bytes of a TCP connection say what it is for.
const (
	callMagic   = "CWR1"
	gossipMagic = "CWG1"
	magicBytes  = 4
)

// maxHelloBytes is a bound on the body of a hello, with room for fields that
// later versions add.
const maxHelloBytes = 4 << 10

// hello is what each side says first:
//
//	magic "CWR1", length u16 of the body, CRC-32C u32 of the body, body:
//	versions min u16, max u16; run u64; largest frame u32; largest message u32;
//	node, cluster, address: each a length u8 and as many bytes
//
// Bytes after these are ignored: a hello comes before a version is agreed on,
// so a later version may add to it.
type hello struct {
	versions   VersionRange
	run        uint64 // drawn by each Transport: tells two processes with one uuid apart
	maxFrame   uint32
	maxMessage uint32
	node       string
	cluster    string
	addr       string
}

// append appends the hello, magic included, to dst.
func (h hello) append(dst []byte) []byte {
	dst = append(dst, callMagic...)
	start := len(dst)
	dst = append(dst, make([]byte, 6)...)
	dst = binary.BigEndian.AppendUint16(dst, h.versions.Min)
	dst = binary.BigEndian.AppendUint16(dst, h.versions.Max)
	dst = binary.BigEndian.AppendUint64(dst, h.run)
	dst = binary.BigEndian.AppendUint32(dst, h.maxFrame)
	dst = binary.BigEndian.AppendUint32(dst, h.maxMessage)
	for _, s := range []string{h.node, h.cluster, h.addr} {
		dst = append(dst, byte(len(s)))
		dst = append(dst, s...)
	}
	body := dst[start+6:]
	binary.BigEndian.PutUint16(dst[start:], uint16(len(body)))
	binary.BigEndian.PutUint32(dst[start+2:], crc32.Checksum(body, castagnoli))
	return dst
}

// readHello reads a hello that follows the magic.
func readHello(r io.Reader) (hello, error) {
	var fixed [6]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return hello{}, err
	}
	size := int(binary.BigEndian.Uint16(fixed[:]))
	if size > maxHelloBytes {
		return hello{}, malformed("hello of %d bytes, at most %d", size, maxHelloBytes)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return hello{}, err
	}
	if got, want := crc32.Checksum(body, castagnoli), binary.BigEndian.Uint32(fixed[2:]); got != want {
		return hello{}, malformed("hello with checksum %08x, its bytes have %08x", want, got)
	}
	return decodeHello(body)
}

func decodeHello(b []byte) (hello, error) {
	const numbers = 2 + 2 + 8 + 4 + 4
	if len(b) < numbers {
		return hello{}, malformed("hello of %d bytes", len(b))
	}
	h := hello{
		versions:   VersionRange{Min: binary.BigEndian.Uint16(b), Max: binary.BigEndian.Uint16(b[2:])},
		run:        binary.BigEndian.Uint64(b[4:]),
		maxFrame:   binary.BigEndian.Uint32(b[12:]),
		maxMessage: binary.BigEndian.Uint32(b[16:]),
	}
	b = b[numbers:]
	for _, s := range []*string{&h.node, &h.cluster, &h.addr} {
		if len(b) == 0 || len(b)-1 < int(b[0]) {
			return hello{}, malformed("hello that ends early")
		}
		end := 1 + int(b[0])
		*s, b = string(b[1:end]), b[end:]
	}
	switch {
	case h.node == "":
		return hello{}, malformed("hello without a node")
	case h.versions.Min > h.versions.Max:
		return hello{}, malformed("hello with versions %v", h.versions)
	case h.maxFrame < minFrameBytes || h.maxMessage < h.maxFrame:
		return hello{}, malformed("hello with frames of %d bytes and messages of %d", h.maxFrame, h.maxMessage)
	}
	return h, nil
}

// judge decides, on either side, whether a connection can serve: what this side
// said and what the other said. addr is for the error's text.
func judge(own, other hello, addr string) (Peer, error) {
	version, ok := own.versions.common(other.versions)
	switch {
	case other.node == own.node && other.run == own.run:
		return Peer{}, fmt.Errorf("%w: %s", ErrSelf, addr)
	case other.node == own.node:
		return Peer{}, fmt.Errorf("%w: %s at %s", ErrDuplicateNode, own.node, addr)
	case !ok:
		return Peer{}, fmt.Errorf("%w: this node speaks %v, %s speaks %v", ErrVersion, own.versions, addr, other.versions)
	}
	return Peer{
		Node:    other.node,
		Cluster: other.cluster,
		Addr:    other.addr,
		Member:  own.cluster != "" && own.cluster == other.cluster,
		Version: version,
	}, nil
}

// shakeHands exchanges hellos on a connection that this side opened, until ctx
// ends, and leaves it without a deadline.
func shakeHands(ctx context.Context, nc net.Conn, own hello) (hello, error) {
	deadline, _ := ctx.Deadline()
	if err := nc.SetDeadline(deadline); err != nil {
		return hello{}, err
	}
	if _, err := nc.Write(own.append(nil)); err != nil {
		return hello{}, err
	}
	var magic [magicBytes]byte
	if _, err := io.ReadFull(nc, magic[:]); err != nil {
		return hello{}, err
	}
	if string(magic[:]) != callMagic {
		return hello{}, malformed("peer begins with %q", magic[:])
	}
	other, err := readHello(nc)
	if err != nil {
		return hello{}, err
	}
	return other, nc.SetDeadline(time.Time{})
}
