package load

import (
	"bytes"
	"fmt"
	"io"
)

const (
	// maxHeadBytes bounds the head of an answer, interim ones included; maxBodyBytes its body: an
	// object with siblings may be several times a value.
	maxHeadBytes = 64 << 10
	maxBodyBytes = 64 << 20
	// maxInterim bounds the 1xx answers before the one that counts.
	maxInterim = 16
	// bufferBytes takes the usual answer in one read. It grows with bodies that are kept.
	bufferBytes = 16 << 10
)

// want says what of an answer is kept. What is not is read and dropped.
type want uint8

const (
	wantBody want = 1 << iota
	wantVclock
	wantReceipt
)

// answerReader reads answers from a connection, one after the other. It accepts HTTP/1.1 with
// Content-Length or chunked bodies and refuses what is ambiguous.
type answerReader struct {
	from io.Reader
	buf  []byte
	r, w int // buf[r:w] is read from the connection and not used yet
	head int // bytes that the head may still have

	status  int
	closing bool // the node will close the connection after this answer
	length  int64
	chunked bool
	body    []byte // aliases buf or chunks
	chunks  []byte
	vclock  []byte
	receipt []byte
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// next reads one answer.
func (a *answerReader) next(w want) error {
	if a.r != a.w {
		return malformed("%d bytes that nobody asked for", a.w-a.r)
	}
	if a.buf == nil {
		a.buf = make([]byte, bufferBytes)
	}
	a.head = maxHeadBytes
	a.body, a.vclock, a.receipt = nil, a.vclock[:0], a.receipt[:0]
	for range maxInterim {
		if err := a.readHead(w); err != nil {
			return err
		}
		switch {
		case a.status == 101:
			return malformed("a change of protocol")
		case a.status < 200:
			continue
		case a.status == 204 || a.status == 304:
			return nil // without a body, whatever the head says
		case a.chunked:
			return a.readChunks(w&wantBody != 0)
		case a.length < 0:
			return malformed("status %d without a length", a.status)
		case w&wantBody != 0:
			return a.keep(int(a.length))
		}
		return a.drop(a.length)
	}
	return malformed("more than %d interim answers", maxInterim)
}

// readHead reads the status line and the fields.
func (a *answerReader) readHead(w want) error {
	line, err := a.line()
	if err != nil {
		return err
	}
	if a.status = parseStatus(line); a.status == 0 {
		return malformed("status line %.40q", line)
	}
	a.length, a.chunked, a.closing = -1, false, false
	for {
		line, err := a.line()
		if err != nil {
			return noEOF(err)
		}
		if len(line) == 0 {
			break
		}
		if err := a.field(line, w); err != nil {
			return err
		}
	}
	if a.chunked && a.length >= 0 {
		return malformed("a length and chunks")
	}
	return nil
}

// parseStatus returns the status of a status line, 0 if it is not one of HTTP/1.1.
func parseStatus(line []byte) int {
	const version = "HTTP/1.1 "
	if len(line) < len(version)+3 || string(line[:len(version)]) != version {
		return 0
	}
	status := 0
	for _, d := range line[len(version):][:3] {
		if d < '0' || d > '9' {
			return 0
		}
		status = status*10 + int(d-'0')
	}
	if rest := line[len(version)+3:]; status < 100 || len(rest) > 0 && rest[0] != ' ' {
		return 0
	}
	return status
}

// field takes one header field.
func (a *answerReader) field(line []byte, w want) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || line[0] == ' ' || line[0] == '\t' || line[colon-1] == ' ' || line[colon-1] == '\t' {
		return malformed("field %.40q", line)
	}
	name, value := line[:colon], line[colon+1:]
	// The length of the name decides about most fields without a look at the rest.
	switch colon {
	case len("connection"):
		if equalFold(name, "connection") && equalFold(bytes.TrimSpace(value), "close") {
			a.closing = true
		}
	case len("content-length"):
		if equalFold(name, "content-length") {
			length, ok := parseLength(bytes.TrimSpace(value))
			if !ok || a.length >= 0 && a.length != length {
				return malformed("length %.40q", value)
			}
			a.length = length
		}
	case len("transfer-encoding"):
		if equalFold(name, "transfer-encoding") {
			if a.chunked || !equalFold(bytes.TrimSpace(value), "chunked") {
				return malformed("transfer encoding %.40q", value)
			}
			a.chunked = true
		}
	case len("x-riak-vclock"):
		if w&wantVclock != 0 && equalFold(name, "x-riak-vclock") {
			a.vclock = append(a.vclock[:0], bytes.TrimSpace(value)...)
		}
	case len("x-cartwheel-receipt"):
		if w&wantReceipt != 0 && equalFold(name, "x-cartwheel-receipt") {
			a.receipt = append(a.receipt[:0], bytes.TrimSpace(value)...)
		}
	}
	return nil
}

// parseLength returns the number of a decimal text, at most maxBodyBytes.
func parseLength(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > 18 {
		return 0, false
	}
	var n int64
	for _, d := range text {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	return n, n <= maxBodyBytes
}

// equalFold compares a name with one in lower case, both ASCII.
func equalFold(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// line returns the next line without its end, valid until more is read.
func (a *answerReader) line() ([]byte, error) {
	for seen := 0; ; {
		if i := bytes.IndexByte(a.buf[a.r+seen:a.w], '\n'); i >= 0 {
			line := a.buf[a.r : a.r+seen+i]
			a.r += seen + i + 1
			if a.head -= len(line) + 1; a.head < 0 {
				return nil, malformed("a head of more than %d bytes", maxHeadBytes)
			}
			if len(line) == 0 || line[len(line)-1] != '\r' {
				return nil, malformed("line %.40q does not end in CR LF", line)
			}
			return line[:len(line)-1], nil
		}
		if seen = a.w - a.r; seen > a.head {
			return nil, malformed("a head of more than %d bytes", maxHeadBytes)
		}
		begun := a.w > 0
		if err := a.more(); err != nil {
			if begun {
				err = noEOF(err)
			}
			return nil, err
		}
	}
}

// more reads from the connection once, behind buf[r:w], which may move.
func (a *answerReader) more() error {
	if a.r == a.w {
		a.r, a.w = 0, 0
	}
	if a.w == len(a.buf) {
		if a.r > 0 {
			a.w = copy(a.buf, a.buf[a.r:a.w])
			a.r = 0
		} else {
			a.buf = append(a.buf, make([]byte, len(a.buf))...)
		}
	}
	n, err := a.from.Read(a.buf[a.w:])
	a.w += n
	if n > 0 {
		return nil // an error comes again with the next read
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// noEOF makes an end within an answer an error of its own.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// keep reads a body of n bytes and sets a.body to it.
func (a *answerReader) keep(n int) error {
	for a.w-a.r < n { // the buffer grows as bytes come: a length is only a claim
		if err := a.more(); err != nil {
			return noEOF(err)
		}
	}
	a.body = a.buf[a.r : a.r+n : a.r+n]
	a.r += n
	return nil
}

// drop reads n bytes and forgets them.
func (a *answerReader) drop(n int64) error {
	for {
		have := min(int64(a.w-a.r), n)
		a.r += int(have)
		if n -= have; n == 0 {
			return nil
		}
		if err := a.more(); err != nil {
			return noEOF(err)
		}
	}
}
