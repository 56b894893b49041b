package staleness

import (
	"bytes"
	"strconv"
)

// minValue is the length of the longest mark.
const minValue = 32

// mark begins what a value says of itself. Keys are a run's own, so a sequence number is enough.
const mark = "version="

// appendValue appends a value of at least size bytes that carries seq.
func appendValue(b []byte, seq int64, size int) []byte {
	start := len(b)
	b = append(b, mark...)
	b = strconv.AppendInt(b, seq, 10)
	b = append(b, ';')
	for len(b)-start < size {
		b = append(b, '.')
	}
	return b
}

// newest returns the highest sequence number in a body, which may hold several values in parts
// of a multipart message; 0 if it has none.
func newest(body []byte) (seq int64) {
	for {
		_, rest, found := bytes.Cut(body, []byte(mark))
		if !found {
			return seq
		}
		digits, _, closed := bytes.Cut(rest[:min(len(rest), minValue)], []byte(";"))
		if n, err := strconv.ParseInt(string(digits), 10, 64); err == nil && closed {
			seq = max(seq, n)
		}
		body = rest
	}
}
