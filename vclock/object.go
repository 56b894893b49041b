package vclock

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// RequestID names one client write, so that a retry of it can be told from another write.
// The zero RequestID means none.
type RequestID [16]byte

// lasting begins the ids for which Lasting is true.
const lasting = "ik"

// Lasting returns the id in a form that replicas remember also when its value has been replaced.
func (id RequestID) Lasting() RequestID {
	copy(id[:], lasting)
	return id
}

// IsLasting reports whether id has that form. Of ids made at random few have, and it does no harm.
func (id RequestID) IsLasting() bool { return string(id[:len(lasting)]) == lasting }

// Pair is one entry of a sibling's user metadata. What names mean is the client API's affair.
type Pair struct{ Name, Value string }

// Sibling is one value of an object, or a tombstone.
type Sibling struct {
	Dot         Dot
	RequestID   RequestID // of the client write that made it; zero if unknown
	Time        Time      // of the minting coordinator; shown, and decides in last-write-wins buckets
	Expiry      int64     // unix milliseconds after which it is not shown; 0 never
	Deleted     bool      // a tombstone; Value is empty
	ContentType string
	Meta        []Pair // in the writer's order
	Value       []byte
}

// equal compares everything, the dot included.
func (s *Sibling) equal(o *Sibling) bool { return s.compare(o) == 0 }

// compare orders siblings by dot and, since two siblings with one dot can exist after a
// corruption, by their content.
func (s *Sibling) compare(o *Sibling) int {
	if c := s.Dot.Compare(o.Dot); c != 0 {
		return c
	}
	if s.RequestID == o.RequestID && s.Time == o.Time && s.Expiry == o.Expiry && s.Deleted == o.Deleted &&
		s.ContentType == o.ContentType && slices.Equal(s.Meta, o.Meta) && bytes.Equal(s.Value, o.Value) {
		return 0
	}
	return bytes.Compare(s.appendContent(nil), o.appendContent(nil))
}

// Object is one replica's knowledge of a key: the clock and every sibling that it does not
// cover out. Siblings are sorted by dot and each dot is covered by the clock. The zero
// Object is a key that was never written.
type Object struct {
	Clock    Clock
	Siblings []Sibling
}

// Missing reports whether the object was never written. A deleted object is not missing.
func (o Object) Missing() bool { return len(o.Clock) == 0 }

// Equal reports whether both replicas are the same to the byte.
func (o Object) Equal(p Object) bool {
	return o.Clock.Equal(p.Clock) &&
		slices.EqualFunc(o.Siblings, p.Siblings, func(s, t Sibling) bool { return s.equal(&t) })
}

// Digest returns 64 bits of a SHA-256 over clock and dots. Equal digests mean the same
// history; values are not hashed since a dot stands for exactly one value.
func (o Object) Digest() uint64 {
	var buf [512]byte
	b := binary.AppendUvarint(buf[:0], uint64(len(o.Clock)))
	for _, d := range o.Clock {
		b = appendDot(b, d)
	}
	for i := range o.Siblings {
		b = appendDot(b, o.Siblings[i].Dot)
	}
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

func appendDot(b []byte, d Dot) []byte {
	b = binary.BigEndian.AppendUint64(b, d.Actor.Run)
	b = binary.BigEndian.AppendUint64(b, d.Actor.Epoch)
	return binary.BigEndian.AppendUint64(b, d.Counter)
}

// Conflicts returns how many siblings share a dot with another one before them: 0 unless
// bytes were corrupted or a dot was used twice.
func (o Object) Conflicts() int {
	n := 0
	for i := 1; i < len(o.Siblings); i++ {
		if o.Siblings[i].Dot == o.Siblings[i-1].Dot {
			n++
		}
	}
	return n
}

// HasRequest reports whether a sibling was made by the client write id.
func (o Object) HasRequest(id RequestID) bool {
	if id == (RequestID{}) {
		return false
	}
	for i := range o.Siblings {
		if o.Siblings[i].RequestID == id {
			return true
		}
	}
	return false
}

// LatestTime returns the highest hybrid time among the siblings, 0 without siblings.
func (o Object) LatestTime() Time {
	var t Time
	for i := range o.Siblings {
		t = max(t, o.Siblings[i].Time)
	}
	return t
}

// Shown returns the siblings that a reader is shown, sorted by dot: the live ones, of those
// with one request id only the first (a retried write that was minted twice is one value).
// A tombstone beside live siblings is not shown. If nothing lives, the newest tombstone is
// shown alone. Missing objects show nothing. The siblings are shared with o.
func (o Object) Shown() []Sibling {
	if len(o.Siblings) == 1 {
		return o.Siblings
	}
	var live []Sibling
	for _, s := range o.Siblings {
		if s.Deleted || slices.ContainsFunc(live, func(t Sibling) bool {
			return t.RequestID == s.RequestID && s.RequestID != RequestID{}
		}) {
			continue
		}
		live = append(live, s)
	}
	if live == nil {
		if s, ok := o.Winner(); ok {
			live = []Sibling{s}
		}
	}
	return live
}

// Winner returns the sibling that last-write-wins shows: the one with the highest
// (Time, Dot), tombstones included. ok is false without siblings.
func (o Object) Winner() (s Sibling, ok bool) {
	for i := range o.Siblings {
		t := &o.Siblings[i]
		if !ok || t.Time > s.Time || t.Time == s.Time && t.compare(&s) > 0 {
			s, ok = *t, true
		}
	}
	return s, ok
}
