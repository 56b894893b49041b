package resolve

import (
	"cmp"
	"strings"
)

// kind is what a JSON value is, in the order in which values of different kinds are sorted.
type kind uint8

const (
	null kind = iota
	no
	yes
	number
	text
	array
	object
)

// value is one parsed JSON value. Values may share memory and are not changed once made.
type value struct {
	kind   kind
	text   string   // of a string, decoded; of a number, as it was written
	number *decimal // of a number
	items  []value  // of an array
	fields []field  // of an object, sorted by name, each name once
}

type field struct {
	name  string
	value value
}

// compare orders values by kind, then by what they mean: it is 0 for equal numbers and strings
// that are spelled differently.
func compare(a, b *value) int {
	if a.kind != b.kind {
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case number:
		return a.number.compare(b.number)
	case text:
		return strings.Compare(a.text, b.text)
	case array:
		return compareItems(a.items, b.items, compare)
	case object:
		return compareFields(a.fields, b.fields, compare)
	}
	return 0
}

// compareSpelling orders values that compare as equal by the spellings of their numbers, the
// shorter first. Nothing else of a spelling is kept.
func compareSpelling(a, b *value) int {
	switch a.kind {
	case number:
		return cmp.Or(cmp.Compare(len(a.text), len(b.text)), strings.Compare(a.text, b.text))
	case array:
		return compareItems(a.items, b.items, compareSpelling)
	case object:
		return compareFields(a.fields, b.fields, compareSpelling)
	}
	return 0
}

func compareItems(a, b []value, each func(a, b *value) int) int {
	for i := range min(len(a), len(b)) {
		if c := each(&a[i], &b[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func compareFields(a, b []field, each func(a, b *value) int) int {
	for i := range min(len(a), len(b)) {
		if c := strings.Compare(a[i].name, b[i].name); c != 0 {
			return c
		}
		if c := each(&a[i].value, &b[i].value); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// append appends the value as JSON without white space, fields sorted by name. It is not longer
// than the text that the value was parsed from.
func (v *value) append(b []byte) []byte {
	switch v.kind {
	case null:
		return append(b, "null"...)
	case no:
		return append(b, "false"...)
	case yes:
		return append(b, "true"...)
	case number:
		return append(b, v.text...)
	case text:
		return appendQuoted(b, v.text)
	case array:
		b = append(b, '[')
		for i := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.items[i].append(b)
		}
		return append(b, ']')
	}
	b = append(b, '{')
	for i := range v.fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendQuoted(b, v.fields[i].name), ':')
		b = v.fields[i].value.append(b)
	}
	return append(b, '}')
}

// appendQuoted escapes what JSON demands and nothing else: text in any script stays readable.
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ':
			b = append(b, c)
		case strings.IndexByte("\b\f\n\r\t", c) >= 0:
			b = append(b, '\\', "bfnrt"[strings.IndexByte("\b\f\n\r\t", c)])
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(b, '"')
}
