package props

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"unicode/utf8"

	"cartwheel/vclock"
)

// ErrDamaged means that bytes are no document or delta of this package.
var ErrDamaged = errors.New("props: damaged document")

// formatVersion is the version of the encoding that this program writes and reads.
const formatVersion = 1

// maxTime bounds hybrid times, far beyond any real one. It keeps a damaged stamp from being
// one that no later change could replace.
const maxTime = vclock.Time(1) << 63

type (
	wireDocument struct {
		Version int               `json:"version"`
		Buckets []json.RawMessage `json:"buckets"`
	}
	// Type and bucket are percent-encoded: they may be bytes that no JSON string can hold.
	wireBucket struct {
		Type   string         `json:"type"`
		Bucket string         `json:"bucket"`
		Reset  *wireStamp     `json:"reset,omitempty"`
		Props  []wireRegister `json:"props,omitempty"`
	}
	wireStamp struct {
		Time vclock.Time `json:"time"`
		Node string      `json:"node"`
	}
	// A register without a value means the default; a value null is a value.
	wireRegister struct {
		Name  string          `json:"name"`
		Time  vclock.Time     `json:"time"`
		Node  string          `json:"node"`
		Value json.RawMessage `json:"value,omitempty"`
	}
)

// encodeBucket returns the canonical form of one bucket: names in order, no white space.
func encodeBucket(k bucketKey, s state) []byte {
	w := wireBucket{Type: url.PathEscape(k.typ), Bucket: url.PathEscape(k.bucket)}
	if s.reset != (stamp{}) {
		w.Reset = &wireStamp{s.reset.time, s.reset.node}
	}
	for _, name := range slices.Sorted(maps.Keys(s.props)) {
		r := s.props[name]
		w.Props = append(w.Props, wireRegister{name, r.time, r.node, r.value})
	}
	return marshal(w)
}

// encodeDocument joins encoded buckets, which are in the order of their keys.
func encodeDocument(buckets [][]byte) []byte {
	b := fmt.Appendf(nil, `{"version":%d,"buckets":[`, formatVersion)
	for i, encoded := range buckets {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, encoded...)
	}
	return append(b, "]}"...)
}

// decodeDocument reads a document or delta. Exactly one byte string is valid for each
// content: what encodes differently is damaged. A newer version is an error of its own.
func decodeDocument(data []byte) (map[bucketKey]state, error) {
	var doc wireDocument
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	if doc.Version > formatVersion {
		return nil, fmt.Errorf("props: document has format version %d, this program reads versions up to %d", doc.Version, formatVersion)
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrDamaged)
	}
	states := make(map[bucketKey]state, len(doc.Buckets))
	encoded := make([][]byte, 0, len(doc.Buckets))
	var last bucketKey
	for i, raw := range doc.Buckets {
		k, s, err := decodeBucket(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: bucket %d: %w", ErrDamaged, i, err)
		}
		if i > 0 && last.compare(k) >= 0 {
			return nil, fmt.Errorf("%w: bucket %d is out of order", ErrDamaged, i)
		}
		last = k
		states[k] = s
		encoded = append(encoded, encodeBucket(k, s))
	}
	if !bytes.Equal(encodeDocument(encoded), data) {
		return nil, fmt.Errorf("%w: not in canonical form", ErrDamaged)
	}
	return states, nil
}

func decodeBucket(raw []byte) (k bucketKey, s state, err error) {
	var w wireBucket
	if err := json.Unmarshal(raw, &w); err != nil {
		return k, s, err
	}
	typ, err := url.PathUnescape(w.Type)
	if err != nil {
		return k, s, err
	}
	bucket, err := url.PathUnescape(w.Bucket)
	if err != nil {
		return k, s, err
	}
	if w.Reset == nil && len(w.Props) == 0 {
		return k, s, errors.New("holds nothing")
	}
	if w.Reset != nil {
		s.reset = stamp{w.Reset.Time, w.Reset.Node}
		if !s.reset.valid() {
			return k, s, errors.New("bad stamp of the reset")
		}
	}
	s.props = make(map[string]register, len(w.Props))
	for _, p := range w.Props {
		r := register{stamp{p.Time, p.Node}, p.Value}
		if !r.valid() || r.stamp.compare(s.reset) <= 0 {
			return k, s, fmt.Errorf("bad stamp of property %q", p.Name)
		}
		s.props[p.Name] = r
	}
	return newKey(typ, bucket), s, nil
}

func (s stamp) valid() bool { return s.time > 0 && s.time <= maxTime && s.node != "" }
