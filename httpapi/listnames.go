package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// wholeBytes of a list in one object are held back: as long as nothing was sent, a list
	// that turns out to be incomplete is 503 and no broken answer.
	wholeBytes = 256 << 10
	// sendTimeout is how long a client may take for one piece of a list. The limit of the
	// server is for whole answers, and lists may take longer.
	sendTimeout = time.Minute
)

// errEnough ends a listing that has found as many names as were asked for.
var errEnough = errors.New("the list is as long as it may be")

// moreTime moves the deadline of what is sent next.
func (x *exchange) moreTime() {
	// Where it cannot be moved (a writer of a test) there is none.
	_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Now().Add(sendTimeout))
}

// push sends b at once, as one chunk.
func (x *exchange) push(b []byte) error {
	x.moreTime()
	if _, err := x.Write(b); err != nil {
		return err
	}
	return http.NewResponseController(x.ResponseWriter).Flush()
}

// page counts names up to the limit of a request.
type page struct {
	l    *listRequest
	seen int    // names taken
	last string // of them, if there is a limit
	more bool   // there are names beyond the limit
}

// take returns those of names that belong to the page.
func (p *page) take(names []string) []string {
	if p.l.limit == 0 {
		return names
	}
	if room := p.l.limit - p.seen; len(names) > room {
		names, p.more = names[:room], true
	}
	if p.seen += len(names); len(names) > 0 {
		p.last = strings.Clone(names[len(names)-1]) // so that it does not keep the rest of its batch
	}
	return names
}

// enough ends the listing when the page is full and known not to be the last one.
func (p *page) enough() error {
	if p.more {
		return errEnough
	}
	return nil
}

// appendTail appends the continuation, if there is one, as a further member of an object.
func (p *page) appendTail(b []byte) []byte {
	if p.more {
		b = append(append(append(b, `,"continuation":"`...), encodeContinuation(p.l.query, p.last)...), '"')
	}
	return b
}

// appendProps appends the properties that come with the keys.
func (a *API) appendProps(b []byte, l *listRequest) []byte {
	shown, err := json.Marshal(a.cfg.Properties.Set().JSON(l.query.Type, l.query.Bucket))
	if err != nil {
		panic("httpapi: encode properties: " + err.Error())
	}
	return append(append(b, `"props":`...), shown...)
}

// listWhole answers with one object. When the listing fails after a part of it was sent, the
// answer ends in a way that no client takes for a list: it is no JSON, and it is cut off.
func (a *API) listWhole(ctx context.Context, x *exchange, l listRequest) {
	p := page{l: &l}
	b := []byte{'{'}
	if l.props {
		b = append(a.appendProps(b, &l), ',')
	}
	b = append(append(append(b, '"'), l.noun...), `":[`...)
	first, sent := true, false
	var gone error
	err := a.cfg.Lister.List(ctx, l.query, func(names []string) error {
		for _, name := range p.take(names) {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = appendName(b, name, l.escaped)
			if len(b) >= wholeBytes {
				sent = true
				if gone = x.push(b); gone != nil {
					return gone
				}
				b = b[:0]
			}
		}
		return p.enough()
	})
	switch {
	case gone != nil:
	case err != nil && !errors.Is(err, errEnough) && !sent:
		x.failList(err)
	case err != nil && !errors.Is(err, errEnough):
		f := listFailure(err)
		_ = x.push(append(appendError(append(b, '\n'), f), '\n')) // the client may be gone, too
		x.status = f.status
		panic(http.ErrAbortHandler)
	default:
		b = append(p.appendTail(append(b, ']')), "}\n"...)
		x.moreTime()
		if sent {
			_, _ = x.Write(b) // an error means that the client is gone
			return
		}
		x.send(http.StatusOK, b)
	}
}

// appendError appends the object that ends a list that is not complete.
func appendError(b []byte, f failure) []byte {
	b = append(b, `{"error":`...)
	return append(appendName(b, strings.TrimSuffix(f.text, "\n"), false), '}')
}

// appendName appends a name as a JSON string, with nothing escaped that need not be. A byte
// that is not part of UTF-8 becomes U+FFFD, as JSON has no form for it; percent-encoded
// names keep it.
func appendName(b []byte, name string, escaped bool) []byte {
	if escaped {
		name = encodeSegment(name)
	}
	b = append(b, '"')
	done := 0 // bytes of name that are in b
	for i := 0; i < len(name); {
		c := name[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		size, instead := 1, ""
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(name[i:]); r == utf8.RuneError && size == 1 {
				instead = "\uFFFD"
			}
		}
		if c < utf8.RuneSelf {
			b = appendEscape(append(b, name[done:i]...), c)
			done = i + 1
		} else if instead != "" {
			b = append(append(b, name[done:i]...), instead...)
			done = i + 1
		}
		i += size
	}
	return append(append(b, name[done:]...), '"')
}

// appendEscape appends a quote, a backslash or a control character.
func appendEscape(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(append(b, `\u00`...), hex[c>>4], hex[c&15])
}
