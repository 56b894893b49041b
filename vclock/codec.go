package vclock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// formatObject is the first byte of an encoded object.
const formatObject = 1

// ErrDecode is wrapped by every decoding error of this package.
var ErrDecode = errors.New("vclock: malformed object")

const (
	flagDeleted = 1 << iota
	flagExpiry
	flagRequest
	flagsKnown = flagDeleted | flagExpiry | flagRequest
)

// The layout, integers as unsigned varints unless sized:
//
//	object  = 0x01 clock count sibling*
//	clock   = count (run[8] epoch counter)*        sorted by actor
//	sibling = entry-index (counter-of-entry - counter) content
//	content = flags[1] request-id[16]? time[8] expiry? type meta-count (name value)* value
//
// A sibling's dot is given relative to its actor's clock entry, which every dot must have:
// it costs two bytes, and a dot beyond the clock cannot be written down.

// Size returns the length of the encoding.
func (o Object) Size() int {
	n := 1 + uvarintLen(uint64(len(o.Clock))) + uvarintLen(uint64(len(o.Siblings)))
	for _, d := range o.Clock {
		n += 8 + uvarintLen(d.Actor.Epoch) + uvarintLen(d.Counter)
	}
	for i := range o.Siblings {
		n += o.Siblings[i].size(o.Clock)
	}
	return n
}

func (s *Sibling) size(c Clock) int {
	i, _ := c.find(s.Dot.Actor)
	n := uvarintLen(uint64(i)) + uvarintLen(c.Get(s.Dot.Actor)-s.Dot.Counter) + 1 + 8
	if s.RequestID != (RequestID{}) {
		n += len(s.RequestID)
	}
	if s.Expiry != 0 {
		n += uvarintLen(uint64(s.Expiry))
	}
	n += bytesLen(len(s.ContentType)) + uvarintLen(uint64(len(s.Meta)))
	for _, p := range s.Meta {
		n += bytesLen(len(p.Name)) + bytesLen(len(p.Value))
	}
	return n + bytesLen(len(s.Value))
}

func bytesLen(n int) int { return uvarintLen(uint64(n)) + n }

func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// Append appends the encoding to dst. There is exactly one encoding per object.
func (o Object) Append(dst []byte) []byte {
	dst = append(dst, formatObject)
	dst = appendClock(dst, o.Clock)
	dst = binary.AppendUvarint(dst, uint64(len(o.Siblings)))
	for i := range o.Siblings {
		s := &o.Siblings[i]
		at, ok := o.Clock.find(s.Dot.Actor)
		if !ok || s.Dot.Counter > o.Clock[at].Counter {
			panic("vclock: a sibling's dot is not covered by its object's clock")
		}
		dst = binary.AppendUvarint(dst, uint64(at))
		dst = binary.AppendUvarint(dst, o.Clock[at].Counter-s.Dot.Counter)
		dst = s.appendContent(dst)
	}
	return dst
}

func appendClock(dst []byte, c Clock) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(c)))
	for _, d := range c {
		dst = binary.BigEndian.AppendUint64(dst, d.Actor.Run)
		dst = binary.AppendUvarint(dst, d.Actor.Epoch)
		dst = binary.AppendUvarint(dst, d.Counter)
	}
	return dst
}

func (s *Sibling) appendContent(dst []byte) []byte {
	var flags byte
	if s.Deleted {
		flags |= flagDeleted
	}
	if s.Expiry != 0 {
		flags |= flagExpiry
	}
	if s.RequestID != (RequestID{}) {
		flags |= flagRequest
	}
	dst = append(dst, flags)
	if flags&flagRequest != 0 {
		dst = append(dst, s.RequestID[:]...)
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.Time))
	if flags&flagExpiry != 0 {
		dst = binary.AppendUvarint(dst, uint64(s.Expiry))
	}
	dst = appendString(dst, s.ContentType)
	dst = binary.AppendUvarint(dst, uint64(len(s.Meta)))
	for _, p := range s.Meta {
		dst = appendString(dst, p.Name)
		dst = appendString(dst, p.Value)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Value)))
	return append(dst, s.Value...)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// DecodeObject decodes the whole of b. It accepts only what Append writes, so bytes and
// objects match one to one. The siblings' values alias b. Errors wrap [ErrDecode].
func DecodeObject(b []byte) (Object, error) {
	d := decoder{rest: b}
	o := d.object()
	if d.err == nil && len(d.rest) != 0 {
		d.fail("%d bytes after the object", len(d.rest))
	}
	if d.err != nil {
		return Object{}, d.err
	}
	return o, nil
}

// Append appends the encoding of the record: the actor, then the object.
func (r Record) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, r.Actor.Run)
	dst = binary.AppendUvarint(dst, r.Actor.Epoch)
	return r.Object.Append(dst)
}

// DecodeRecord decodes the whole of b, as strictly as [DecodeObject] and aliasing b alike.
func DecodeRecord(b []byte) (Record, error) {
	d := decoder{rest: b}
	r := Record{Actor: Actor{Run: d.fixed64(), Epoch: d.uvarint()}}
	if d.err == nil && (r.Actor.Run == 0) != (r.Actor.Epoch == 0) {
		d.fail("half an actor")
	}
	if d.err != nil {
		return Record{}, d.err
	}
	o, err := DecodeObject(d.rest)
	r.Object = o
	return r, err
}

// decoder reads from rest until its first error, after which every read returns zero.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrDecode, fmt.Sprintf(format, args...))
	}
	d.rest = nil
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || n != uvarintLen(v) {
		d.fail("bad integer")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads a number of items of at least size bytes each, so that a damaged count cannot
// make the decoder allocate more than a small multiple of the input.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.rest)/size) {
		d.fail("%d items in %d bytes", n, len(d.rest))
		return 0
	}
	return int(n)
}

func (d *decoder) take(n int) []byte {
	if n > len(d.rest) {
		d.fail("%d bytes wanted, %d left", n, len(d.rest))
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) fixed64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) bytes() []byte { return d.take(d.count(1)) }

const (
	minEntry   = 8 + 1 + 1             // run, epoch, counter
	minSibling = 1 + 1 + 1 + 8 + 1 + 1 // dot, flags, time, type, meta count
	minPair    = 1 + 1
)

func (d *decoder) clock() Clock {
	n := d.count(minEntry)
	if n == 0 {
		return nil
	}
	c := make(Clock, 0, n)
	for range n {
		e := Dot{Actor: Actor{Run: d.fixed64(), Epoch: d.uvarint()}, Counter: d.uvarint()}
		if d.err != nil {
			return nil
		}
		if e.Counter == 0 || e.Actor.Run == 0 || e.Actor.Epoch == 0 {
			d.fail("empty clock entry")
			return nil
		}
		if len(c) > 0 && c[len(c)-1].Actor.Compare(e.Actor) >= 0 {
			d.fail("clock out of order")
			return nil
		}
		c = append(c, e)
	}
	return c
}

func (d *decoder) object() Object {
	if f := d.take(1); f == nil || f[0] != formatObject {
		d.fail("unknown format")
		return Object{}
	}
	o := Object{Clock: d.clock()}
	n := d.count(minSibling)
	if n > 0 {
		o.Siblings = make([]Sibling, 0, n)
	}
	for range n {
		s := d.sibling(o.Clock)
		if d.err != nil {
			return Object{}
		}
		if k := len(o.Siblings); k > 0 && o.Siblings[k-1].compare(&s) >= 0 {
			d.fail("siblings out of order")
			return Object{}
		}
		o.Siblings = append(o.Siblings, s)
	}
	return o
}

func (d *decoder) sibling(c Clock) Sibling {
	at, back := d.uvarint(), d.uvarint()
	if d.err != nil {
		return Sibling{}
	}
	if at >= uint64(len(c)) || back >= c[at].Counter {
		d.fail("dot outside of the clock")
		return Sibling{}
	}
	s := Sibling{Dot: Dot{Actor: c[at].Actor, Counter: c[at].Counter - back}}
	flags := d.take(1)
	if flags == nil || flags[0]&^flagsKnown != 0 {
		d.fail("unknown flags")
		return Sibling{}
	}
	s.Deleted = flags[0]&flagDeleted != 0
	if flags[0]&flagRequest != 0 {
		copy(s.RequestID[:], d.take(len(s.RequestID)))
		if s.RequestID == (RequestID{}) {
			d.fail("empty request id")
		}
	}
	s.Time = Time(d.fixed64())
	if flags[0]&flagExpiry != 0 {
		s.Expiry = int64(d.uvarint())
		if s.Expiry <= 0 {
			d.fail("bad expiry")
		}
	}
	s.ContentType = string(d.bytes())
	if n := d.count(minPair); n > 0 {
		s.Meta = make([]Pair, 0, n)
		for range n {
			s.Meta = append(s.Meta, Pair{Name: string(d.bytes()), Value: string(d.bytes())})
		}
	}
	s.Value = d.bytes()
	if s.Deleted && len(s.Value) > 0 {
		d.fail("a tombstone with a value")
	}
	return s
}
