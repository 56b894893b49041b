package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"cartwheel/client"
)

// maxLineBytes bounds one line: the largest value that nodes take by default (1 MiB), in
// base64 or with some escapes, with room for key and metadata.
const maxLineBytes = 2<<20 + 64<<10

// errLineTooLong is a line beyond maxLineBytes; it was skipped.
var errLineTooLong = fmt.Errorf("the line is longer than %d bytes", maxLineBytes)

// errNoObject is a line that is not a whole JSON object, or more than one.
var errNoObject = errors.New("each line must be one JSON object")

// lineReader reads lines of bounded length. A line that is too long is skipped without being
// kept, and reading goes on after it.
type lineReader struct {
	r      *bufio.Reader
	number int   // of the line read last, from 1
	bytes  int64 // read so far
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10)}
}

// next returns the next line without its end; it is the caller's. At the end of the input it
// returns io.EOF; after errLineTooLong it can be called again.
func (l *lineReader) next() ([]byte, error) {
	var line []byte
	var tooLong bool
	for first := true; ; first = false {
		chunk, err := l.r.ReadSlice('\n')
		if first {
			if len(chunk) == 0 && err != nil {
				return nil, err
			}
			l.number++
		}
		l.bytes += int64(len(chunk))
		if len(line)+len(chunk) > maxLineBytes {
			line, tooLong = nil, true
		}
		if !tooLong {
			line = append(line, chunk...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case tooLong:
			return nil, errLineTooLong
		}
		return bytes.TrimRight(line, "\r\n"), nil
	}
}

// ready reports whether a whole line is at hand, so that next would not wait for input.
func (l *lineReader) ready() bool {
	there, err := l.r.Peek(l.r.Buffered())
	return err == nil && bytes.IndexByte(there, '\n') >= 0
}

// record is one line of the input.
type record struct {
	Key         string            `json:"key"`
	Value       json.RawMessage   `json:"value"`
	ValueBase64 *[]byte           `json:"value_base64"`
	ContentType string            `json:"content_type"`
	Meta        map[string]string `json:"meta"`
}

// parseRecord reads one line. A string is stored as its text; any other JSON value as its JSON
// text, exactly as it stands in the line; value_base64 as the bytes it stands for. What would
// be stored otherwise than written, such as text that is not UTF-8, is an error.
func parseRecord(line []byte) (key string, v client.Value, err error) {
	if !utf8.Valid(line) {
		return "", v, errors.New("the line is not UTF-8; give bytes as value_base64")
	}
	if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) { // an array, or a piece of what stands on several lines
		return "", v, errNoObject
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	var rec record
	if err := dec.Decode(&rec); err != nil {
		return "", v, malformed(err)
	}
	if rest := bytes.TrimSpace(line[dec.InputOffset():]); len(rest) > 0 {
		return "", v, fmt.Errorf("there is more after the object: %.20q; %w", rest, errNoObject)
	}
	switch {
	case rec.Key == "":
		return "", v, errors.New(`"key" is missing or empty`)
	case rec.Value == nil && rec.ValueBase64 == nil:
		return rec.Key, v, errors.New(`"value" is missing, and so is "value_base64"`)
	case rec.Value != nil && rec.ValueBase64 != nil:
		return rec.Key, v, errors.New(`both "value" and "value_base64" are given`)
	}
	if replacedSurrogate(line, rec.Key) {
		return "", v, errors.New("the key has half a surrogate pair, which is no character")
	}
	v = client.Value{ContentType: rec.ContentType, Meta: rec.Meta}
	guess := binaryType
	switch {
	case rec.ValueBase64 != nil:
		v.Body = *rec.ValueBase64
	case rec.Value[0] == '"':
		var text string
		if err := json.Unmarshal(rec.Value, &text); err != nil {
			return rec.Key, v, malformed(err)
		}
		if replacedSurrogate(rec.Value, text) {
			return rec.Key, v, errors.New("the value has half a surrogate pair, which is no character; give bytes as value_base64")
		}
		v.Body, guess = []byte(text), textType
	default:
		v.Body, guess = rec.Value, "application/json"
	}
	if v.ContentType == "" {
		v.ContentType = guess
	}
	return rec.Key, v, nil
}

// replacedSurrogate reports whether decoding raw brought in a replacement character: the JSON
// decoder puts one where half a surrogate pair is escaped, which would alter the text in silence.
func replacedSurrogate(raw []byte, text string) bool {
	const replacement = "\uFFFD"
	n := strings.Count(text, replacement)
	if n == 0 {
		return false
	}
	written := bytes.Count(raw, []byte(replacement)) + bytes.Count(bytes.ToLower(raw), []byte(`\ufffd`))
	return n > written
}

// malformed puts a JSON error into words for the person who wrote the line.
func malformed(err error) error {
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%q cannot be a JSON %s", kind.Field, kind.Value)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("the JSON object ends early; %w", errNoObject)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}
