package listing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Kind is the kind of a page among the requests between nodes.
const Kind = 56

// ErrMalformed is wrapped by every decoding error.
var ErrMalformed = errors.New("listing: malformed message")

const (
	// format begins each message; another one is of another version.
	format = 1

	// maxPageBytes bounds the names of a page, their lengths included, together with a few of the largest names;
	// minPageBytes is the least that may be asked for.
	maxPageBytes = 256 << 10
	minPageBytes = 1 << 10
	// maxAnswerBytes is above every page: the store's names end at 8 KiB.
	maxAnswerBytes = maxPageBytes + 64<<10
	// maxPagePartitions bounds the partitions of a page. Sorted ones cost a seek each.
	maxPagePartitions = 256
	// maxNameBytes bounds each string of a request; cursors have a little more than names.
	maxNameBytes = 16 << 10
	maxText      = 256 // of an explanation, in bytes
	maxN         = 1 << 31
)

// A request asks a member for a page of some of its partitions. Every string may hold any bytes.
type request struct {
	mode       mode
	fresh      bool   // the first page that a listing asks this member for
	version    uint64 // of the sender's ring
	n          int    // the n_val by which the member owns the partitions
	typ        string
	bucket     string // "" in mode buckets
	prefix     string
	start      string
	from       string // where to go on: in the first partition, or when merged in all
	pageBytes  int    // how much to answer about
	names      int    // how many names to answer at most, 0 for no such bound
	partitions []uint16
}

// Integers are unsigned varints, strings have their length in front.
//
//	request = 0x01 mode fresh version n pageBytes names type bucket prefix start from count partition*
func (q *request) encode() []byte {
	size := 64 + len(q.typ) + len(q.bucket) + len(q.prefix) + len(q.start) + len(q.from) + 3*len(q.partitions)
	fresh := byte(0)
	if q.fresh {
		fresh = 1
	}
	b := append(make([]byte, 0, size), format, byte(q.mode), fresh)
	b = binary.AppendUvarint(b, q.version)
	b = binary.AppendUvarint(b, uint64(max(q.n, 0)))
	b = binary.AppendUvarint(b, uint64(q.pageBytes))
	b = binary.AppendUvarint(b, uint64(q.names))
	for _, s := range []string{q.typ, q.bucket, q.prefix, q.start, q.from} {
		b = appendString(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(q.partitions)))
	for _, p := range q.partitions {
		b = binary.AppendUvarint(b, uint64(p))
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeRequest accepts only what encode writes. The error wraps [ErrMalformed].
func decodeRequest(b []byte) (q request, err error) {
	d := decoder{rest: string(b)}
	d.format()
	q.mode = mode(d.uint(uint64(modes) - 1))
	q.fresh = d.uint(1) == 1
	q.version = d.uint(1<<64 - 1)
	q.n = int(d.uint(maxN))
	q.pageBytes = int(d.uint(maxPageBytes))
	q.names = int(d.uint(maxN))
	for _, s := range []*string{&q.typ, &q.bucket, &q.prefix, &q.start, &q.from} {
		*s = d.string(maxNameBytes)
	}
	count := d.uint(maxPagePartitions)
	if q.pageBytes < minPageBytes || count == 0 || q.mode == buckets && q.bucket != "" {
		d.fail("nothing is asked for")
	}
	if d.err == nil {
		q.partitions = make([]uint16, 0, count)
	}
	for range count {
		q.partitions = append(q.partitions, uint16(d.uint(1<<16-1)))
	}
	if err := d.end(); err != nil {
		return request{}, err
	}
	return q, nil
}

// A verdict is what became of a request as a whole.
type verdict uint8

const (
	answered verdict = iota
	busy             // too many pages are being made: come again
	refused          // for the reason in text: another ring, or none

	verdicts
)

// A refusal says that the member cannot answer for a partition.
type refusal struct {
	at   int // in the request's partitions
	text string
}

// An answer is a page, or says why there is none.
type answer struct {
	verdict verdict
	text    string    // of refused
	refused []refusal // ascending; if there are any, the rest is empty, and they are to be left out
	// The first finished partitions of the request are done; what is left goes on at from.
	finished int
	from     string
	count    uint64 // how many matched: names, and what a count counted
	names    []byte // each with its length in front; made here
	list     string // the same, received
}

// The answer is encoded with its names last, so that they are copied once.
//
//	answer = 0x01 verdict text count (at text)* finished from count names
func (a *answer) encode() []byte {
	b := append(make([]byte, 0, 64+len(a.text)+len(a.from)+len(a.names)), format, byte(a.verdict))
	b = appendString(b, cut(a.text))
	b = binary.AppendUvarint(b, uint64(len(a.refused)))
	for _, r := range a.refused {
		b = appendString(binary.AppendUvarint(b, uint64(r.at)), cut(r.text))
	}
	b = binary.AppendUvarint(b, uint64(a.finished))
	b = appendString(b, a.from)
	b = binary.AppendUvarint(b, a.count)
	return append(b, a.names...)
}

// cut bounds a text for people.
func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxText)], "") }

// decodeAnswer accepts only what can answer q, so that nothing that a peer says leads to an endless
// or a disordered list. The names share the memory of one copy of b.
func decodeAnswer(b []byte, q *request) (a answer, err error) {
	if len(b) > maxAnswerBytes {
		return answer{}, fmt.Errorf("%w: a page of %d bytes", ErrMalformed, len(b))
	}
	d := decoder{rest: string(b)}
	d.format()
	a.verdict = verdict(d.uint(uint64(verdicts) - 1))
	a.text = d.string(maxText)
	for range d.uint(uint64(len(q.partitions))) {
		r := refusal{at: int(d.uint(uint64(len(q.partitions) - 1))), text: d.string(maxText)}
		if k := len(a.refused); k > 0 && a.refused[k-1].at >= r.at {
			d.fail("refusals out of order")
		}
		if d.err != nil {
			break
		}
		a.refused = append(a.refused, r)
	}
	a.finished = int(d.uint(uint64(len(q.partitions))))
	a.from = d.string(maxNameBytes)
	a.count = d.uint(1<<64 - 1)
	if d.err != nil {
		return answer{}, d.err
	}
	a.list = d.rest
	if err := a.check(q); err != nil {
		return answer{}, err
	}
	return a, nil
}

// check holds an answer against what was asked.
func (a *answer) check(q *request) error {
	wrong := func(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }
	if a.verdict != answered || len(a.refused) > 0 {
		if a.finished != 0 || a.from != "" || a.count != 0 || a.list != "" || a.verdict != answered && len(a.refused) > 0 {
			return wrong("a refusal with names")
		}
		return nil
	}
	all := len(q.partitions)
	switch {
	case a.finished == all && a.from != "", !q.mode.inTurn() && a.finished != 0 && a.finished != all:
		return wrong("bad bounds")
	case a.finished == 0 && a.from <= q.from:
		return wrong("a page that gets nowhere")
	}
	found, last := uint64(0), ""
	for rest := a.list; rest != ""; found++ {
		name, tail, ok := cutName(rest)
		if !ok || q.mode == countKeys {
			return wrong("bad names")
		}
		if q.mode.inTurn() {
			rest = tail
			continue
		}
		// A bound may lie among the records of a bucket; then that one can still come.
		below := name < q.from && !(q.mode == buckets && strings.HasPrefix(q.from, name))
		if below || found > 0 && name <= last || a.finished == 0 && name >= a.from {
			return wrong("names out of order")
		}
		last, rest = name, tail
	}
	if q.mode != countKeys && found != a.count {
		return wrong("bad count")
	}
	return nil
}

// cutName takes the first name off.
func cutName(s string) (name, rest string, ok bool) {
	var length uint64
	n := 0
	if s != "" && s[0] < 0x80 { // nearly always
		length, n = uint64(s[0]), 1
	} else {
		length, n = binary.Uvarint([]byte(s[:min(len(s), binary.MaxVarintLen64)]))
	}
	if n <= 0 || n > 1 && s[n-1] == 0 || length > uint64(len(s)-n) {
		return "", "", false
	}
	return s[n : n+int(length)], s[n+int(length):], true
}

// decoder reads fields until the first error, after which every read returns zero.
type decoder struct {
	rest string
	err  error
}

func (d *decoder) fail(text string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, text)
	}
	d.rest = ""
}

func (d *decoder) format() {
	if d.uint(255) != format {
		d.fail("unknown format")
	}
}

func (d *decoder) uint(limit uint64) uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint([]byte(d.rest[:min(len(d.rest), binary.MaxVarintLen64)]))
	if n <= 0 || n > 1 && d.rest[n-1] == 0 || v > limit {
		d.fail("bad integer")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) string(limit int) string {
	if d.err != nil {
		return ""
	}
	s, rest, ok := cutName(d.rest)
	if !ok || len(s) > limit {
		d.fail("bad string")
		return ""
	}
	d.rest = rest
	return s
}

func (d *decoder) end() error {
	if d.err == nil && d.rest != "" {
		d.fail("bytes after the end")
	}
	return d.err
}
