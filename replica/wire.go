package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// errMalformed is wrapped by every decoding error of this package.
var errMalformed = errors.New("replica: malformed message")

// The kinds of requests on the wire.
const (
	KindRead    = 16
	KindMerge   = 17
	KindForward = 18
)

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

func (r *reader) bytes() []byte {
	n := int(r.uint(uint64(len(r.rest))))
	if n > len(r.rest) {
		r.fail("short field")
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) bool() bool { return r.uint(1) == 1 }

// name reads the canonical name of a key: whatever else the store would keep, nobody could
// list, move or repair.
func (r *reader) name() (string, ring.Key) {
	name := string(r.bytes())
	if r.err != nil {
		return "", ring.Key{}
	}
	key, err := ring.ParseName(name)
	if err != nil {
		r.fail(err.Error())
	}
	return name, key
}

// object reads an object that takes all that is left.
func (r *reader) object() vclock.Object {
	if r.err != nil {
		return vclock.Object{}
	}
	o, err := vclock.DecodeObject(r.rest)
	if err != nil {
		r.fail(err.Error())
	}
	r.rest = nil
	return o
}

func (r *reader) end() error {
	if r.err == nil && len(r.rest) != 0 {
		r.fail("bytes after the end")
	}
	return r.err
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// maxInt bounds counts on the wire: far above any real one, far below an overflow.
const maxInt = 1 << 31

func appendTarget(b []byte, t quorum.Target) []byte {
	b = binary.AppendUvarint(b, uint64(t.Partition))
	b = binary.AppendUvarint(b, uint64(t.N))
	b = appendBytes(b, t.For)
	return appendBytes(b, t.Name)
}

// target reads a target; the ring version travels in the frame's header.
func (r *reader) target(version uint64) quorum.Target {
	t := quorum.Target{Partition: uint16(r.uint(1<<16 - 1)), N: int(r.uint(maxInt)), Ring: version, For: string(r.bytes())}
	t.Name, _ = r.name()
	return t
}

// The flags of a read.
const (
	digestOnly = 1
	askDid     = 2 // a request id follows
)

func encodeRead(q quorum.Read) []byte {
	var flags byte
	if q.Digest {
		flags = digestOnly
	}
	asks := asksDid(q)
	if asks {
		flags |= askDid
	}
	b := append(make([]byte, 0, len(q.For)+len(q.Name)+32), flags)
	if asks {
		b = append(b, q.Did[:]...)
	}
	return appendTarget(b, q.Target)
}

// asksDid reports whether a read asks for a write, so that the answer to it says more.
func asksDid(q quorum.Read) bool { return q.Did != vclock.RequestID{} }

func decodeRead(b []byte, version uint64) (q quorum.Read, err error) {
	r := reader{rest: b}
	flags := r.uint(digestOnly | askDid)
	q.Digest = flags&digestOnly != 0
	if flags&askDid != 0 {
		if copy(q.Did[:], r.rest) < len(q.Did) || !asksDid(q) {
			r.fail("bad request id")
			return q, r.err
		}
		r.rest = r.rest[len(q.Did):]
	}
	q.Target = r.target(version)
	return q, r.end()
}

func encodeMerge(m quorum.Merge) []byte {
	b := make([]byte, 0, len(m.For)+len(m.Name)+len(m.Encoded)+16)
	return append(appendTarget(b, m.Target), m.Encoded...)
}

func decodeMerge(b []byte, version uint64) (quorum.Merge, error) {
	r := reader{rest: b}
	m := quorum.Merge{Target: r.target(version), Encoded: r.rest}
	m.Object = r.object()
	return m, r.err
}

func encodeWriteReply(a quorum.WriteReply) []byte { return appendBool(nil, a.Durable) }

func decodeWriteReply(b []byte) (quorum.WriteReply, error) {
	r := reader{rest: b}
	a := quorum.WriteReply{Durable: r.bool()}
	return a, r.end()
}

// encodeReadReply writes the copy whole, or only its digest; before it, if did is set, whether
// the replica knows the write that it was asked for.
func encodeReadReply(a quorum.ReadReply, digest, did bool) []byte {
	size := 9
	if !digest {
		size = a.Object.Size()
	}
	b := make([]byte, 0, size+1)
	if did {
		b = appendBool(b, a.Did)
	}
	if digest {
		return binary.BigEndian.AppendUint64(appendBool(b, a.Missing), a.Digest)
	}
	return a.Object.Append(b)
}

func decodeReadReply(b []byte, digest, did bool) (a quorum.ReadReply, err error) {
	if !did {
		return decodeCopy(b, digest)
	}
	if len(b) == 0 || b[0] > 1 {
		return a, fmt.Errorf("%w: an answer of %d bytes", errMalformed, len(b))
	}
	a, err = decodeCopy(b[1:], digest)
	a.Did = b[0] == 1
	return a, err
}

func decodeCopy(b []byte, digest bool) (quorum.ReadReply, error) {
	if digest {
		if len(b) != 9 || b[0] > 1 {
			return quorum.ReadReply{}, fmt.Errorf("%w: digest of %d bytes", errMalformed, len(b))
		}
		return quorum.ReadReply{Missing: b[0] == 1, Digest: binary.BigEndian.Uint64(b[1:])}, nil
	}
	r := reader{rest: b}
	o := r.object()
	if r.err != nil {
		return quorum.ReadReply{}, r.err
	}
	return quorum.ReadReply{Object: o, Missing: o.Missing(), Digest: o.Digest()}, nil
}

// placeholder is the dot under which a write that has none yet travels: as a one-sibling
// object it needs no codec of its own.
var placeholder = vclock.Dot{Actor: vclock.Actor{Run: 1, Epoch: 1}, Counter: 1}

func encodeForward(p *quorum.PutRequest, standIn bool) []byte {
	write := vclock.Object{Clock: vclock.Clock{placeholder}, Siblings: []vclock.Sibling{{
		Dot: placeholder, RequestID: p.RequestID, Expiry: p.Expiry, Deleted: p.Deleted,
		ContentType: p.ContentType, Meta: p.Meta, Value: p.Value,
	}}}
	context := vclock.Object{Clock: p.Context}
	b := make([]byte, 0, write.Size()+context.Size()+len(p.Key.Bucket)+len(p.Key.Key)+len(p.Key.Type)+48)
	b = appendBytes(b, p.Key.Name())
	b = appendOptions(b, p.Options)
	b = appendBool(b, p.ReturnBody)
	b = appendBool(b, standIn)
	b = appendBytes(b, context.Append(nil))
	return write.Append(b)
}

// decodeForward returns the put, and whether the receiver may stand in for an owner.
func decodeForward(b []byte, budget time.Duration) (p quorum.PutRequest, standIn bool, err error) {
	r := reader{rest: b}
	_, key := r.name()
	p = quorum.PutRequest{Key: key, Options: r.options(), ReturnBody: r.bool()}
	standIn = r.bool()
	p.Timeout = budget
	context := reader{rest: r.bytes(), err: r.err}
	read := context.object()
	if r.err == nil {
		r.err = context.err
	}
	write := r.object()
	if r.err != nil {
		return p, false, r.err
	}
	if len(read.Siblings) != 0 || len(write.Siblings) != 1 || !write.Clock.Equal(vclock.Clock{placeholder}) || write.Siblings[0].Time != 0 {
		return p, false, fmt.Errorf("%w: not a forwarded write", errMalformed)
	}
	s := write.Siblings[0]
	p.Context, p.RequestID, p.Deleted, p.Expiry = read.Clock, s.RequestID, s.Deleted, s.Expiry
	p.ContentType, p.Meta, p.Value = s.ContentType, s.Meta, s.Value
	return p, standIn, nil
}

func appendOptions(b []byte, o quorum.Options) []byte {
	b = binary.AppendUvarint(b, uint64(o.N))
	for _, l := range [...]quorum.Level{o.R, o.PR, o.W, o.PW, o.DW, o.NodeConfirms} {
		b = binary.AppendUvarint(b, uint64(l-quorum.LevelAll)) // the lowest level is 0
	}
	b = appendBool(b, o.NotFoundOK)
	b = appendBool(b, o.BasicQuorum)
	b = appendBool(b, o.RepairBefore)
	b = appendBool(b, o.Sloppy)
	return appendBool(b, o.Lossy)
}

func (r *reader) options() quorum.Options {
	level := func() quorum.Level { return quorum.Level(r.uint(maxInt)) + quorum.LevelAll }
	return quorum.Options{
		N: int(r.uint(maxInt)), R: level(), PR: level(), W: level(), PW: level(), DW: level(), NodeConfirms: level(),
		NotFoundOK: r.bool(), BasicQuorum: r.bool(), RepairBefore: r.bool(), Sloppy: r.bool(), Lossy: r.bool(),
	}
}
