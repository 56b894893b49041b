package transfer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"cartwheel/vclock"
)

// Kind is the kind of a batch among the requests between nodes.
const Kind = 48

// ErrMalformed is wrapped by every decoding error.
var ErrMalformed = errors.New("transfer: malformed message")

// Item is one object on its way to a member that owns it.
type Item struct {
	Partition uint16
	N         int // replicas of the key's bucket, which decides who owns it; 0: the cluster's
	Name      string
	Object    vclock.Object
}

const (
	// format begins each batch and each answer; another one is a message of another version.
	format = 1

	// MaxBatchItems and MaxBatchBytes bound a batch. Together with its head a batch of small
	// objects fits in one frame of the transport.
	MaxBatchItems = 256
	MaxBatchBytes = 256 << 10

	headBytes    = 1 + 2*binary.MaxVarintLen64     // format, ring version, number of items
	minItemBytes = 1 + 1 + 1 + 1 + 3               // partition, n, two lengths, the empty object
	maxN         = 1 << 31                         // far above any real one, far below an overflow
	maxPause     = time.Minute                     // on the wire; real ones are a few seconds
	maxText      = 512                             // of an explanation, in bytes
	itemOverhead = 4 * (binary.MaxVarintLen64 - 2) // upper bound of what an item has around name and object
)

// itemBytes bounds the encoded size of an item.
func itemBytes(it *Item) int { return itemOverhead + len(it.Name) + it.Object.Size() }

// cut returns how many of the items go into the next batch, at least one of at least one, and
// a bound of the batch's encoded size.
func cut(items []Item) (n, size int) {
	size = headBytes
	for n < min(len(items), MaxBatchItems) {
		more := itemBytes(&items[n])
		if n > 0 && size+more > MaxBatchBytes {
			break
		}
		size += more
		n++
	}
	return n, size
}

// cost is what a batch of so many items and encoded bytes counts as, in objects.
func cost(items, size int) int { return max(items, (size+4<<10-1)/(4<<10)) }

// encodeBatch writes items for a receiver whose ring has that version. size is a guess of the
// result's length.
func encodeBatch(version uint64, items []Item, size int) []byte {
	b := append(make([]byte, 0, size), format)
	b = binary.AppendUvarint(b, version)
	b = binary.AppendUvarint(b, uint64(len(items)))
	for i := range items {
		it := &items[i]
		b = binary.AppendUvarint(b, uint64(it.Partition))
		b = binary.AppendUvarint(b, uint64(max(it.N, 0)))
		b = binary.AppendUvarint(b, uint64(len(it.Name)))
		b = append(b, it.Name...)
		b = binary.AppendUvarint(b, uint64(it.Object.Size()))
		b = it.Object.Append(b)
	}
	return b
}

// decodeBatch accepts only what encodeBatch writes. The objects' values alias b. The error
// wraps [ErrMalformed].
func decodeBatch(b []byte) (version uint64, items []Item, err error) {
	d := decoder{rest: b}
	if d.byte(format) != format {
		d.fail("unknown format")
	}
	version = d.uint(1<<64 - 1)
	count := d.uint(MaxBatchItems)
	if d.err == nil && (count == 0 || count > uint64(len(d.rest)/minItemBytes)) {
		d.fail("%d items in %d bytes", count, len(d.rest))
	}
	if d.err != nil {
		return 0, nil, d.err
	}
	items = make([]Item, 0, count)
	for range count {
		it := Item{Partition: uint16(d.uint(1<<16 - 1)), N: int(d.uint(maxN)), Name: string(d.bytes())}
		it.Object = d.object()
		items = append(items, it)
	}
	if err := d.end(); err != nil {
		return 0, nil, err
	}
	return version, items, nil
}

// outcome is what became of one item.
type outcome uint8

const (
	failed  outcome = iota // the receiver's store has not taken it
	refused                // the receiver does not own it
	stored                 // it is in the receiver's store

	outcomes // their number
)

// verdict is what became of a batch.
type verdict uint8

const (
	taken     verdict = iota // see the items' outcomes
	busy                     // nothing was done: too much is under way
	otherRing                // nothing was done: the receiver's ring has another version, or there is none

	verdicts // their number
)

// answer is the receiver's word on a batch.
type answer struct {
	verdict verdict
	pause   time.Duration // whole milliseconds on the wire, rounded up
	version uint64        // of the receiver's ring; 0 if it has none
	items   []outcome     // of each item in order, if taken
	text    string        // the first problem met, for people; at most maxText bytes
}

func (a answer) encode() []byte {
	ms := (min(max(a.pause, 0), maxPause) + time.Millisecond - 1) / time.Millisecond
	text := a.text[:min(len(a.text), maxText)]
	b := append(make([]byte, 0, len(a.items)+len(text)+40), format, byte(a.verdict))
	b = binary.AppendUvarint(b, uint64(ms))
	b = binary.AppendUvarint(b, a.version)
	b = binary.AppendUvarint(b, uint64(len(a.items)))
	for _, o := range a.items {
		b = append(b, byte(o))
	}
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// decodeAnswer accepts only what encode writes for a batch of so many items.
func decodeAnswer(b []byte, items int) (answer, error) {
	d := decoder{rest: b}
	if d.byte(format) != format {
		d.fail("unknown format")
	}
	a := answer{verdict: verdict(d.byte(byte(verdicts) - 1))}
	a.pause = time.Duration(d.uint(uint64(maxPause/time.Millisecond))) * time.Millisecond
	a.version = d.uint(1<<64 - 1)
	raw := d.bytes()
	text := d.bytes()
	if len(text) > maxText {
		d.fail("a text of %d bytes", len(text))
	}
	a.text = string(text)
	want := items
	if a.verdict != taken {
		want = 0
	}
	if d.err == nil && len(raw) != want {
		d.fail("%d outcomes for %d items", len(raw), want)
	}
	a.items = make([]outcome, 0, want)
	for _, o := range raw {
		if o >= byte(outcomes) {
			d.fail("unknown outcome")
			break
		}
		a.items = append(a.items, outcome(o))
	}
	if err := d.end(); err != nil {
		return answer{}, err
	}
	return a, nil
}

// decoder reads fields until the first error, after which every read returns zero.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	d.rest = nil
}

func (d *decoder) byte(limit byte) byte {
	if len(d.rest) == 0 || d.rest[0] > limit {
		d.fail("bad byte")
		return 0
	}
	v := d.rest[0]
	d.rest = d.rest[1:]
	return v
}

// uint reads an integer in its shortest form.
func (d *decoder) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > limit || n > 1 && d.rest[n-1] == 0 {
		d.fail("bad integer")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) bytes() []byte {
	n := int(d.uint(uint64(len(d.rest))))
	if n > len(d.rest) {
		d.fail("short field")
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) object() vclock.Object {
	b := d.bytes()
	if d.err != nil {
		return vclock.Object{}
	}
	o, err := vclock.DecodeObject(b)
	if err != nil {
		d.fail("%v", err)
	}
	return o
}

func (d *decoder) end() error {
	if d.err == nil && len(d.rest) != 0 {
		d.fail("%d bytes after the end", len(d.rest))
	}
	return d.err
}
