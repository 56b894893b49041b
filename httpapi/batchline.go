package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The operations of a batch.
const (
	batchGet    = "get"
	batchPut    = "put"
	batchDelete = "delete"
)

// batchLine is one operation of a batch. Context, request id and metadata are kept as the
// headers that a request for the object alone would have, so that they are judged by the
// same functions.
type batchLine struct {
	op, key     string
	value       []byte
	contentType string
	header      http.Header
}

// batchFields are the fields of a line before they are judged. Those not given are nil.
type batchFields struct {
	op, key, value, base64, contentType, context, requestID, link, coding *string
	meta                                                                  members[string]
	indexes                                                               members[indexValues]
}

// members are those of a JSON object whose names are header names: in lower case, each once. A
// null in the place of the object is none.
type members[T any] map[string]T

func (m *members[T]) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	*m = members[T]{}
	return eachMember(json.NewDecoder(bytes.NewReader(b)), func(d *json.Decoder, name string) error {
		var v *T
		if err := d.Decode(&v); err != nil {
			return err
		}
		if v == nil {
			return errors.New("null is no value")
		}
		(*m)[strings.ToLower(name)] = *v
		return nil
	})
}

// indexValues are the values of one index field: a string, a whole number, or a list of these.
type indexValues []string

// UnmarshalJSON takes numbers digit by digit: as floats the larger ones would change.
func (v *indexValues) UnmarshalJSON(b []byte) error {
	var list []json.RawMessage
	if json.Unmarshal(b, &list) != nil {
		list = []json.RawMessage{b}
	}
	*v = nil
	for _, raw := range list {
		var text string
		var number json.Number
		switch {
		case json.Unmarshal(raw, &number) == nil && number != "" && raw[0] != '"':
			text = number.String()
		case raw[0] != '"' || json.Unmarshal(raw, &text) != nil:
			return errors.New("no string, number or list of them")
		}
		*v = append(*v, text)
	}
	return nil
}

// parseBatchLine reads one line, the JSON object of one operation. Unlike encoding/json it
// is strict: whatever it let pass, a field spelled wrong or given twice, text that is not
// UTF-8, would be stored as something else than what was meant. After an error the line
// has its key, if that could be read; the error is one sentence.
func parseBatchLine(b []byte) (batchLine, error) {
	f, err := batchObject(b)
	l := batchLine{}
	if f.key != nil {
		l.key = *f.key
	}
	if err != nil {
		return l, err
	}
	switch {
	case f.op == nil:
		return l, errors.New(`the line has no "op": use get, put or delete`)
	case l.key == "":
		return l, errors.New(`the line has no "key"`)
	}
	l.op = *f.op
	return l, f.fill(&l)
}

// fill checks that the fields fit the operation and moves them to the line.
func (f *batchFields) fill(l *batchLine) error {
	plain := f.value == nil && f.base64 == nil && f.contentType == nil && f.link == nil && f.coding == nil && f.meta == nil && f.indexes == nil
	var err error
	switch l.op {
	case batchGet:
		if !plain || f.context != nil || f.requestID != nil {
			err = errors.New("a get takes no value, metadata, context or request_id")
		}
	case batchDelete:
		if !plain {
			err = errors.New("a delete takes no value or metadata")
		}
	case batchPut:
		err = f.fillValue(l)
	default:
		err = fmt.Errorf("the op %s is unknown: use get, put or delete", strconv.Quote(l.op))
	}
	if err != nil {
		return err
	}
	return f.fillHeader(l)
}

func (f *batchFields) fillValue(l *batchLine) error {
	switch {
	case (f.value == nil) == (f.base64 == nil):
		return errors.New(`a put needs one of "value" and "base64"`)
	case f.value != nil:
		l.value, l.contentType = []byte(*f.value), "text/plain; charset=utf-8"
	default:
		var err error
		if l.value, err = base64.StdEncoding.DecodeString(*f.base64); err != nil {
			return errors.New(`"base64" is not base64 (standard alphabet, with padding)`)
		}
		l.contentType = "application/octet-stream"
	}
	if f.contentType != nil {
		stored, ok := contentType(*f.contentType)
		if !ok {
			return fmt.Errorf("%s is no media type", strconv.Quote(*f.contentType))
		}
		l.contentType = stored
	}
	return nil
}

// fillHeader makes the headers. A name or value that could not travel in one is refused:
// readers of the object alone would get something else.
func (f *batchFields) fillHeader(l *batchLine) error {
	l.header = http.Header{}
	var err error
	set := func(name, field, value string) {
		if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) || strings.TrimSpace(value) != value {
			err = fmt.Errorf("%s has control characters, or blanks at its ends", field)
		}
		l.header[name] = append(l.header[name], value)
	}
	for _, one := range [...]struct {
		name, field string
		value       *string
	}{
		{"X-Riak-Vclock", "context", f.context}, {"X-Cartwheel-Request-Id", "request_id", f.requestID},
		{"Link", "link", f.link}, {"Content-Encoding", "content_encoding", f.coding},
	} {
		if one.value != nil && *one.value != "" {
			set(one.name, one.field, *one.value)
		}
	}
	for name, value := range f.meta {
		if !token(name) {
			return fmt.Errorf("%s is no name of metadata: use letters, digits and dashes", strconv.Quote(name))
		}
		set(http.CanonicalHeaderKey(metaUser+name), "meta."+name, value)
	}
	for name, values := range f.indexes {
		if !token(name) {
			return fmt.Errorf("%s is no name of an index: use letters, digits, _bin or _int", strconv.Quote(name))
		}
		for _, v := range values {
			set(http.CanonicalHeaderKey(metaIndex+name), "indexes."+name, v)
		}
	}
	return err
}

// batchObject reads the fields of a line.
func batchObject(b []byte) (f batchFields, err error) {
	if !utf8.Valid(b) {
		return f, errors.New("the line is not UTF-8: give bytes as base64")
	}
	if hasLoneSurrogate(b) {
		return f, errors.New(`the line has half of a pair of \u escapes: give bytes as base64`)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := eachMember(d, f.decode); err != nil {
		return f, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return f, errors.New("something follows the JSON object: one line, one object")
	}
	return f, nil
}

// twiceError is a name that occurs twice in an object.
type twiceError string

func (e twiceError) Error() string { return "the field " + strconv.Quote(string(e)) + " occurs twice" }

// eachMember reads an object and calls member for each name, to decode the value. A name that
// occurs twice, or in another case, is an error: encoding/json would take the last one.
func eachMember(d *json.Decoder, member func(d *json.Decoder, name string) error) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("the line is not a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return errors.New("the line is not a whole JSON object")
		}
		folded := strings.ToLower(name)
		if seen[folded] {
			return twiceError(name)
		}
		seen[folded] = true
		if err := member(d, name); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errors.New("the line is not a whole JSON object")
	}
	return nil
}

// decode reads the value of one field.
func (f *batchFields) decode(d *json.Decoder, name string) error {
	kind, to := "a string", any(nil)
	switch name {
	case "op":
		to = &f.op
	case "key":
		to = &f.key
	case "value":
		to = &f.value
	case "base64":
		to = &f.base64
	case "content_type":
		to = &f.contentType
	case "context":
		to = &f.context
	case "request_id":
		to = &f.requestID
	case "link":
		to = &f.link
	case "content_encoding":
		to = &f.coding
	case "meta":
		kind, to = "an object of strings", &f.meta
	case "indexes":
		kind, to = "an object of strings, whole numbers, or lists of them", &f.indexes
	default:
		return fmt.Errorf("the field %s is unknown", strconv.Quote(name))
	}
	switch err := d.Decode(to); err.(type) {
	case nil, twiceError:
		return err
	case *json.SyntaxError:
		return errors.New("the line is not a whole JSON object")
	default:
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("the line is not a whole JSON object")
		}
		return fmt.Errorf("%s must be %s", name, kind)
	}
}

// hasLoneSurrogate reports whether JSON text has a \u escape that is half of a character.
// encoding/json would put another character in its place.
func hasLoneSurrogate(b []byte) bool {
	high := -1 // where the escape after a first half must begin
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 >= len(b) {
			continue
		}
		i++
		if b[i] != 'u' || i+4 >= len(b) {
			continue
		}
		code, err := strconv.ParseUint(string(b[i+1:i+5]), 16, 16)
		at := i - 1
		i += 4
		switch {
		case err != nil: // no JSON anyway
		case code >= 0xdc00 && code <= 0xdfff:
			if high != at {
				return true
			}
			high = -1
			continue
		case code >= 0xd800 && code <= 0xdbff:
			if high >= 0 {
				return true
			}
			high = i + 1
			continue
		}
		if high >= 0 {
			return true
		}
	}
	return high >= 0
}
