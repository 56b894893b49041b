package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"

	"cartwheel/quorum"
	"cartwheel/vclock"
)

// batchAnswer is the line that answers one line of a batch.
type batchAnswer struct {
	Key     string `json:"key,omitempty"` // "" if the line had none that could be read
	Status  int    `json:"status"`        // of the request for the object alone
	Error   string `json:"error,omitempty"`
	Context string `json:"context,omitempty"`
	Receipt string `json:"receipt,omitempty"` // as in the header
	Deleted bool   `json:"deleted,omitempty"` // beside 404: there was a value
	ETag    string `json:"etag,omitempty"`    // as in the header, quotes included
	batchValue
	Siblings []batchValue `json:"siblings,omitempty"` // of a 300
}

// batchValue is one value: Value if it is UTF-8, else Base64. Metadata that is not UTF-8
// comes with U+FFFD in it.
type batchValue struct {
	VTag            string              `json:"vtag,omitempty"`          // none of a value that was made of siblings
	LastModified    string              `json:"last_modified,omitempty"` // as in the header
	ContentType     string              `json:"content_type,omitempty"`
	ContentEncoding string              `json:"content_encoding,omitempty"`
	Link            string              `json:"link,omitempty"`
	Meta            map[string]string   `json:"meta,omitempty"`
	Indexes         map[string][]string `json:"indexes,omitempty"`
	Value           *string             `json:"value,omitempty"`
	Base64          []byte              `json:"base64,omitempty"`
}

// encode returns the answer as one line.
func (b *batchAnswer) encode() []byte {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(b); err != nil {
		panic("httpapi: encode a line of a batch: " + err.Error())
	}
	return line.Bytes()
}

// refused is the answer to a line that failed.
func refused(key string, f failure) batchAnswer {
	return batchAnswer{Key: key, Status: f.status, Error: strings.TrimSuffix(f.text, "\n")}
}

// attest adds the receipt, if the request got as far as its owners.
func (b *batchAnswer) attest(r quorum.Receipt, notes string) {
	if r.N > 0 {
		b.Receipt = receiptText(r) + notes
	}
}

// shownValue is the answer that shows an object.
func shownValue(v *view, notes string) batchAnswer {
	b := batchAnswer{Key: v.key.Key, Status: http.StatusOK, Context: v.context}
	b.attest(v.receipt, notes)
	switch {
	case !v.exists():
		b.Status, b.Error, b.Deleted = http.StatusNotFound, "not found", v.context != ""
	case len(v.shown) == 1:
		b.ETag, b.batchValue = v.etag(), newBatchValue(&v.shown[0])
		if v.tag != "" {
			b.VTag = ""
		}
	default:
		b.Status, b.ETag = http.StatusMultipleChoices, v.etag()
		for i := range v.shown {
			b.Siblings = append(b.Siblings, newBatchValue(&v.shown[i]))
		}
	}
	return b
}

func newBatchValue(s *vclock.Sibling) batchValue {
	b := batchValue{VTag: s.Dot.Tag(), LastModified: httpDate(s.Time.Wall()), ContentType: typeOf(s)}
	for _, p := range s.Meta {
		name, user := strings.CutPrefix(p.Name, metaUser)
		field, index := strings.CutPrefix(p.Name, metaIndex)
		switch {
		case p.Name == metaCoding:
			b.ContentEncoding = p.Value
		case p.Name == metaLink:
			b.Link = p.Value
		case user:
			if b.Meta == nil {
				b.Meta = map[string]string{}
			}
			if before, ok := b.Meta[name]; ok {
				p.Value = before + ", " + p.Value
			}
			b.Meta[name] = p.Value
		case index:
			if b.Indexes == nil {
				b.Indexes = map[string][]string{}
			}
			b.Indexes[field] = append(b.Indexes[field], p.Value)
		}
	}
	if utf8.Valid(s.Value) {
		text := string(s.Value)
		b.Value = &text
	} else {
		b.Base64 = s.Value
	}
	return b
}

// contextAfter returns what a further write may send as its context after the put with this
// request id, "" if that cannot be told: the value stands beside others or was
// replaced already, and a write with that context would hide what the client never saw.
func contextAfter(o vclock.Object, id vclock.RequestID, bind uint64) string {
	if len(o.Siblings) != 1 || o.Siblings[0].RequestID != id || o.Siblings[0].Deleted {
		return ""
	}
	return vclock.EncodeContext(o.Clock, bind)
}
