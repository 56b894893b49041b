package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

const ndjson = "application/x-ndjson"

// batchLine is the line of one operation.
type batchLine struct {
	Op              BatchKind           `json:"op"`
	Key             string              `json:"key"`
	Value           *string             `json:"value,omitempty"`
	Base64          []byte              `json:"base64,omitempty"`
	ContentType     string              `json:"content_type,omitempty"`
	ContentEncoding string              `json:"content_encoding,omitempty"`
	Context         string              `json:"context,omitempty"`
	RequestID       string              `json:"request_id,omitempty"`
	Link            string              `json:"link,omitempty"`
	Meta            map[string]string   `json:"meta,omitempty"`
	Indexes         map[string][]string `json:"indexes,omitempty"`
}

// batchAnswer is the line that answers it.
type batchAnswer struct {
	Key      string       `json:"key"`
	Status   int          `json:"status"`
	Error    string       `json:"error"`
	Context  string       `json:"context"`
	Receipt  string       `json:"receipt"`
	Deleted  bool         `json:"deleted"`
	ETag     string       `json:"etag"`
	Siblings []batchValue `json:"siblings"`
	batchValue
}

// batchValue is one value in an answer: Value if it is UTF-8, else Base64.
type batchValue struct {
	VTag            string              `json:"vtag"`
	LastModified    string              `json:"last_modified"`
	ContentType     string              `json:"content_type"`
	ContentEncoding string              `json:"content_encoding"`
	Link            string              `json:"link"`
	Meta            map[string]string   `json:"meta"`
	Indexes         map[string][]string `json:"indexes"`
	Value           *string             `json:"value"`
	Base64          []byte              `json:"base64"`
}

// line returns the operation as a line, or why it can be none.
func (op *BatchOp) line(requestID string) ([]byte, error) {
	l := batchLine{Op: op.Kind, Key: op.Key, Context: op.Context, RequestID: requestID}
	switch op.Kind {
	case BatchGet:
		if op.Context != "" || op.RequestID != "" {
			return nil, fmt.Errorf("a get takes no context and no request id: %w", ErrBadRequest)
		}
	case BatchPut, BatchDelete:
		if !isRequestID(requestID) {
			return nil, fmt.Errorf("the request id %q is not 32 hex digits: %w", requestID, ErrBadRequest)
		}
		if err := checkHeaderValue("context", op.Context); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("the kind %q is none of get, put and delete: %w", op.Kind, ErrBadRequest)
	}
	if op.Key == "" || !utf8.ValidString(op.Key) {
		return nil, fmt.Errorf("the key %q is empty or not UTF-8, which a batch cannot carry: %w", op.Key, ErrBadRequest)
	}
	if op.Kind == BatchPut {
		if err := l.setValue(op.Value); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b) // ends the line
	enc.SetEscapeHTML(false)
	if err := enc.Encode(l); err != nil {
		return nil, fmt.Errorf("encode it: %w: %w", ErrBadRequest, err)
	}
	return b.Bytes(), nil
}

// setValue is strict as the headers of a Put are: what JSON would alter is refused.
func (l *batchLine) setValue(v Value) error {
	header, err := v.requestHeader()
	if err != nil {
		return err
	}
	l.ContentType, l.ContentEncoding, l.Meta = header.Get("Content-Type"), v.ContentEncoding, v.Meta
	for name, values := range header {
		for _, value := range values {
			if !utf8.ValidString(value) {
				return fmt.Errorf("the value %q of %s is not UTF-8, which a batch cannot carry: %w", value, name, ErrBadRequest)
			}
		}
	}
	for name, values := range v.Extra {
		field, index := strings.CutPrefix(http.CanonicalHeaderKey(name), indexPrefix)
		switch {
		case index:
			if l.Indexes == nil {
				l.Indexes = map[string][]string{}
			}
			l.Indexes[strings.ToLower(field)] = values
		case http.CanonicalHeaderKey(name) == "Link":
			l.Link = strings.Join(values, ", ")
		default:
			return fmt.Errorf("a batch cannot carry the header %s: %w", name, ErrBadRequest)
		}
	}
	if utf8.Valid(v.Body) && !muchEscaped(v.Body) {
		text := string(v.Body)
		l.Value = &text
	} else {
		l.Base64 = v.Body
	}
	return nil
}

// muchEscaped reports whether text would be more than twice as long as a JSON string, and so too
// long for a line though the server takes the value alone.
func muchEscaped(text []byte) bool {
	more := 0
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			more++
		case c == 0xe2: // U+2028 begins so
			more += 3
		case c < ' ':
			more += 5
		}
	}
	return more > len(text)
}

// result turns an answer into what the operation alone would have returned.
func (a *batchAnswer) result(rep *reply, key Key, kind BatchKind) (*Object, error) {
	obj := &Object{Context: a.Context, ETag: unquoted(a.ETag), Receipt: parseReceipt(a.Receipt)}
	switch {
	case a.Status == http.StatusOK:
		obj.Values = []Value{a.batchValue.value()}
	case a.Status == http.StatusMultipleChoices:
		obj.Siblings = true
		for i := range a.Siblings {
			obj.Values = append(obj.Values, a.Siblings[i].value())
		}
	case a.Status == http.StatusNoContent:
	case a.Status == http.StatusNotFound && kind == BatchDelete && a.Deleted && rep.doubtful:
		// Deleted by the attempt whose answer is missing.
	case a.Status == http.StatusNotFound:
		return nil, &NotFoundError{Key: key, Deleted: a.Deleted, Context: a.Context, Receipt: obj.Receipt}
	default:
		one := reply{endpoint: rep.endpoint, status: a.Status, body: []byte(a.Error), header: http.Header{"X-Cartwheel-Receipt": {a.Receipt}}}
		return nil, one.statusError()
	}
	return obj, nil
}

// value returns the value with its headers where Get has them.
func (b *batchValue) value() Value {
	v := Value{ContentType: b.ContentType, ContentEncoding: b.ContentEncoding, Meta: b.Meta, VTag: b.VTag, Body: b.Base64}
	if b.Value != nil {
		v.Body = []byte(*b.Value)
	} else if v.Body == nil {
		v.Body = []byte{}
	}
	if t, err := http.ParseTime(b.LastModified); err == nil {
		v.LastModified = t
	}
	for field, values := range b.Indexes {
		v.addExtra(http.CanonicalHeaderKey(indexPrefix+field), values)
	}
	if b.Link != "" {
		v.addExtra("Link", storedLinks([]string{b.Link}))
	}
	return v
}
