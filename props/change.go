package props

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrForm means that the body of a change is no properties object; its text is the answer
// that clients expect.
var ErrForm = errors.New("bucket PUT must be a JSON object of the form:\n{\"props\":{...bucket properties...}}")

// ErrTypeForm is ErrForm for a change of a bucket type.
var ErrTypeForm = errors.New("bucket type PUT must be a JSON object of the form:\n{\"props\":{...bucket properties...}}")

// ErrTypeName means that no bucket type can have this name; its text says which it can.
var ErrTypeName = errors.New("the name of a bucket type is 1 to 255 bytes of printable UTF-8 without a slash; . and .. are none")

// ErrDefaultType means that the properties of the type "default" were to be changed.
var ErrDefaultType = errors.New("the properties of the bucket type default are the cluster's defaults and cannot be changed; set those of its buckets, or make a type")

// ErrTooLarge means that a change, or the bucket after it, exceeds the limit per bucket.
var ErrTooLarge = errors.New("props: properties are too large")

// ErrFull means that the document has no room for the change; resetting buckets that need
// no properties of their own makes some.
var ErrFull = errors.New("props: no room for more properties")

// InvalidError lists the properties with refused values.
type InvalidError struct {
	Messages map[string]string // property -> what is wrong, such as not_boolean
}

// Error names the properties in order.
func (e *InvalidError) Error() string {
	var b strings.Builder
	b.WriteString("props: invalid")
	for _, name := range slices.Sorted(maps.Keys(e.Messages)) {
		b.WriteString(" " + strconv.Quote(name) + ": " + e.Messages[name])
	}
	return b.String()
}

// Change is a checked change of one bucket or bucket type that is not applied yet: values for
// some properties, or the reset of all. It is an immutable value.
type Change struct {
	key    bucketKey
	reset  bool
	values map[string]json.RawMessage // nil value: back to the type's, or the default
}

// ParseChange checks the body of a client's change of a bucket, whose name is not empty:
// {"props":{...}}. It returns ErrForm, ErrTooLarge, or an *InvalidError that names every
// refused property. A change may be empty.
func ParseChange(typ, bucket string, body []byte) (Change, error) {
	return parseChange(newKey(typ, bucket), body)
}

// ParseTypeChange checks the body of a client's change of a bucket type, which makes the type
// if there is none of this name. The body is that of a bucket's change and may be empty of
// properties. It returns ErrTypeName, ErrDefaultType, ErrTypeForm, or what ParseChange does.
func ParseTypeChange(typ string, body []byte) (Change, error) {
	switch {
	case typ == defaultType:
		return Change{}, ErrDefaultType
	case !validTypeName(typ):
		return Change{}, ErrTypeName
	}
	c, err := parseChange(typeKey(typ), body)
	if errors.Is(err, ErrForm) {
		err = ErrTypeForm
	}
	if err != nil {
		return Change{}, err
	}
	c.values[activeName] = json.RawMessage("true")
	return c, nil
}

func parseChange(key bucketKey, body []byte) (Change, error) {
	if len(body) > maxBucketBytes {
		return Change{}, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(body), maxBucketBytes)
	}
	// Maps, not structs: the decoder would take "Props" for a field called props.
	var top map[string]json.RawMessage
	if !utf8.Valid(body) || json.Unmarshal(body, &top) != nil {
		return Change{}, ErrForm
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(top["props"], &given); err != nil || given == nil {
		return Change{}, ErrForm
	}
	c := Change{key: key, values: make(map[string]json.RawMessage, len(given))}
	invalid := make(map[string]string)
	for name, raw := range given {
		k := schema[name].kind
		if k == skipped {
			continue
		}
		stored, problem := normalizeRaw(k, raw)
		if problem != "" {
			invalid[name] = problem
		}
		c.values[name] = stored
	}
	if len(invalid) > 0 {
		return Change{}, &InvalidError{Messages: invalid}
	}
	return c, nil
}

// normalizeRaw is normalize for a value that is valid JSON.
func normalizeRaw(k kind, raw []byte) (stored json.RawMessage, problem string) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		panic("props: decode a value decoded before: " + err.Error())
	}
	return normalize(k, v)
}

// ResetChange returns the change that puts all properties of a bucket, whose name is not
// empty, back to its type's or the defaults.
func ResetChange(typ, bucket string) Change {
	return Change{key: newKey(typ, bucket), reset: true}
}

// NVal returns the n_val that the bucket or type has after the change, and whether that
// differs from the one it has in s. Such a change is allowed only while the bucket, or every
// bucket of the type, is empty, which the caller decides.
func (c Change) NVal(s *Set) (n int, changed bool) {
	before := s.Bucket(c.key.typ, c.key.bucket)
	after := before
	value, given := c.values["n_val"]
	switch {
	case c.reset:
		after = s.parent(c.key)
	case given:
		after.assign("n_val", value)
	}
	return after.NVal, after.NVal != before.NVal
}

// stamped turns the change into the delta that carries it out.
func (c Change) stamped(at stamp) state {
	if c.reset {
		return state{reset: at}
	}
	s := state{props: make(map[string]register, len(c.values))}
	for name, value := range c.values {
		s.props[name] = register{at, value}
	}
	return s
}
