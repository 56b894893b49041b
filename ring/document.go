package ring

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Defaults for the Document of a new cluster. Documents spell all values out;
// zero is not read as a default there.
const (
	DefaultPartitions = 256
	DefaultN          = 3
	DefaultTokens     = 256
)

// format is the number of the encoding and of the placement rule. A node that
// knows other rules would compute other owners, so it must refuse the document.
const format = 1

// Status is a member's place in its life in the ring.
type Status string

// A member that is joining owns no partitions yet; one that is leaving still
// owns its own.
const (
	StatusJoining Status = "joining"
	StatusMember  Status = "member"
	StatusLeaving Status = "leaving"
)

// A Member is one node as the ring document records it.
type Member struct {
	UUID   string `json:"uuid"`           // identity, for ever; the tokens derive from it
	Name   string `json:"name"`           // what people call it; unique within a document
	HTTP   string `json:"http,omitempty"` // addresses when the record was made; nodes may have moved since
	Peer   string `json:"peer,omitempty"`
	Zone   string `json:"zone,omitempty"` // "" counts as a zone of its own
	Weight int    `json:"weight"`         // 1..100, share of the data relative to the others
	Status Status `json:"status"`
}

// owns says whether the member owns partitions under the document it is in.
func (m Member) owns() bool { return m.Status != StatusJoining }

// A Document is one version of the agreed description of a cluster. The order
// of Members and Removed has no meaning: Encode and Hash sort both by uuid.
type Document struct {
	Cluster    string   `json:"cluster"`          // uuid, the same in all versions
	Version    uint64   `json:"version"`          // 1 for the first
	Parent     string   `json:"parent,omitempty"` // Hash of version-1; "" for the first
	Partitions int      `json:"partitions"`       // Q, a power of two, 1..65536, the same in all versions
	N          int      `json:"n"`                // replicas per key, 1..64, unless the bucket says otherwise
	Tokens     int      `json:"tokens"`           // per unit of weight, 1..4096
	Members    []Member `json:"members"`
	Removed    []string `json:"removed,omitempty"` // uuids that may never be members again
}

// canonical returns a copy of d, sharing no memory with it, in the order that is encoded.
func (d Document) canonical() Document {
	d.Members = slices.Clone(d.Members)
	slices.SortStableFunc(d.Members, func(a, b Member) int { return strings.Compare(a.UUID, b.UUID) })
	d.Removed = slices.Clone(d.Removed)
	slices.Sort(d.Removed)
	return d
}

// encoded is the JSON form of a document.
type encoded struct {
	Format int `json:"format"`
	Document
}

func (d Document) marshal() []byte {
	b, err := json.Marshal(encoded{Format: format, Document: d.canonical()})
	if err != nil {
		// Only strings and integers: there is nothing that JSON cannot hold.
		panic(fmt.Sprintf("ring: encode document: %v", err))
	}
	return b
}

// Encode returns the canonical encoding of d: one line of JSON, the same bytes
// for equal documents. It returns the error of Validate if d is not valid.
func (d Document) Encode() ([]byte, error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("ring: encode document: %w", err)
	}
	return d.marshal(), nil
}

// Hash returns the SHA-256 of the canonical encoding in lower-case hex, 64
// characters; the next version carries it as Parent.
func (d Document) Hash() string {
	sum := sha256.Sum256(d.marshal())
	return hex.EncodeToString(sum[:])
}

// DecodeDocument is the inverse of Encode. It accepts exactly what Encode
// returns, so that bytes, document and hash determine each other, and the
// result is valid. It keeps no reference to b. A document of another format,
// made by another version of the program, is refused by name.
func DecodeDocument(b []byte) (Document, error) {
	// The format first, and leniently: of a newer format nothing else is known.
	var probe struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &probe); err != nil {
		return Document{}, fmt.Errorf("ring: decode document: %w", err)
	}
	if probe.Format != format {
		return Document{}, fmt.Errorf("ring: decode document: format %d, this program knows format %d", probe.Format, format)
	}
	var e encoded
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return Document{}, fmt.Errorf("ring: decode document: %w", err)
	}
	if err := e.Validate(); err != nil {
		return Document{}, fmt.Errorf("ring: decode document: %w", err)
	}
	// Spelled in any other way (spaces, order, repeated or oddly cased fields)
	// it would have two encodings and, for a careless reader, two hashes.
	if !bytes.Equal(b, e.marshal()) {
		return Document{}, fmt.Errorf("ring: decode document: version %d is not in canonical form", e.Version)
	}
	return e.Document, nil
}
