package resolve

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parser makes values of text that is known to be valid JSON.
type parser struct {
	rest []byte
	left int // how many values it may still make
}

// parse returns the value of a whole text. ok is false if it is not JSON in UTF-8, or something
// that cannot be merged with certainty: see the package document.
func (p *parser) parse(b []byte) (v value, ok bool) {
	// The standard library judges the grammar. It takes ill-formed strings as well, and so
	// would make equal what was different: those are refused here and in unquote.
	if !utf8.Valid(b) || !json.Valid(b) {
		return v, false
	}
	p.rest = b
	return p.next(MaxDepth)
}

// peek skips white space and returns the byte after it.
func (p *parser) peek() byte {
	n := 0
	for p.rest[n] <= ' ' {
		n++
	}
	p.rest = p.rest[n:]
	return p.rest[0]
}

// next parses the next value, whose arrays and objects may lie depth deep in each other.
func (p *parser) next(depth int) (v value, ok bool) {
	if p.left--; p.left < 0 {
		return v, false
	}
	switch c := p.peek(); c {
	case 'n':
		return p.word(null, "null"), true
	case 'f':
		return p.word(no, "false"), true
	case 't':
		return p.word(yes, "true"), true
	case '"':
		v.kind = text
		v.text, ok = p.str()
		return v, ok
	case '[', '{':
		if depth == 0 {
			return v, false
		}
		if c == '[' {
			return p.array(depth - 1)
		}
		return p.object(depth - 1)
	}
	n := 0
	for n < len(p.rest) && strings.IndexByte("+-.eE0123456789", p.rest[n]) >= 0 {
		n++
	}
	v = value{kind: number, text: string(p.rest[:n])}
	p.rest = p.rest[n:]
	d, ok := parseDecimal(v.text)
	v.number = &d
	return v, ok
}

func (p *parser) word(k kind, spelled string) value {
	p.rest = p.rest[len(spelled):]
	return value{kind: k}
}

func (p *parser) array(depth int) (v value, ok bool) {
	v.kind = array
	p.rest = p.rest[1:]
	for p.peek() != ']' {
		item, ok := p.next(depth)
		if !ok {
			return v, false
		}
		v.items = append(v.items, item)
		p.comma()
	}
	p.rest = p.rest[1:]
	return v, true
}

func (p *parser) object(depth int) (v value, ok bool) {
	v.kind = object
	p.rest = p.rest[1:]
	for p.peek() != '}' {
		name, ok := p.str()
		if !ok {
			return v, false
		}
		p.peek() // the colon
		p.rest = p.rest[1:]
		member, ok := p.next(depth)
		if !ok {
			return v, false
		}
		v.fields = append(v.fields, field{name, member})
		p.comma()
	}
	p.rest = p.rest[1:]
	slices.SortFunc(v.fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(v.fields); i++ {
		if v.fields[i].name == v.fields[i-1].name {
			return v, false // which of the two is meant, readers disagree about
		}
	}
	return v, true
}

// comma skips one, if it comes next.
func (p *parser) comma() {
	if p.peek() == ',' {
		p.rest = p.rest[1:]
	}
}

// str parses a string.
func (p *parser) str() (s string, ok bool) {
	n, escaped := 1, false
	for p.rest[n] != '"' {
		if p.rest[n] == '\\' {
			escaped = true
			n++
		}
		n++
	}
	quoted := p.rest[1:n]
	p.rest = p.rest[n+1:]
	if !escaped {
		return string(quoted), true
	}
	return unquote(quoted)
}

// unquote replaces the escapes of a string without its quotes. ok is false if half of a
// surrogate pair stands alone: no text has such a character.
func unquote(b []byte) (s string, ok bool) {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\\')
		if n < 0 {
			n = len(b)
		}
		out, b = append(out, b[:n]...), b[n:]
		switch {
		case len(b) == 0:
		case b[1] == 'u':
			r := hex4(b[2:])
			b = b[6:]
			if utf16.IsSurrogate(r) {
				if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
					return "", false
				}
				if r = utf16.DecodeRune(r, hex4(b[2:])); r == utf8.RuneError {
					return "", false
				}
				b = b[6:]
			}
			out = utf8.AppendRune(out, r)
		default:
			c := b[1]
			if i := strings.IndexByte("bfnrt", c); i >= 0 {
				c = "\b\f\n\r\t"[i]
			}
			out, b = append(out, c), b[2:]
		}
	}
	return string(out), true
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte) (r rune) {
	for _, c := range b[:4] {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = (c | 0x20) - 'a' + 10
		}
		r = r<<4 | rune(c)
	}
	return r
}
