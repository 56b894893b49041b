package client

import (
	"cmp"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
	"time"
)

// Conditions make a request depend on what the key holds. A read whose condition fails ends in an
// error that matches ErrNotModified or ErrPrecondition, a write in ErrPrecondition. The server
// reads the key and then writes: a check, not a lock, so of two writers at the same moment
// both may pass. Their values are siblings then.
type Conditions struct {
	IfMatch           string    // an ETag that the key must have, or "*": any value
	IfNoneMatch       string    // an ETag that it must not have, or "*": the key must hold nothing
	IfModifiedSince   time.Time // of reads
	IfUnmodifiedSince time.Time
}

// setHeader adds the conditions that are set.
func (c Conditions) setHeader(h http.Header) error {
	for _, tag := range [...]struct{ name, value string }{{"If-Match", c.IfMatch}, {"If-None-Match", c.IfNoneMatch}} {
		switch {
		case tag.value == "":
			continue
		case tag.value == "*":
			h.Set(tag.name, "*")
			continue
		case strings.Contains(tag.value, `"`):
			return fmt.Errorf("client: the entity tag %s has a quote in it: %w", tag.value, ErrBadRequest)
		}
		if err := checkHeaderValue(tag.name, tag.value); err != nil {
			return err
		}
		h.Set(tag.name, `"`+tag.value+`"`)
	}
	for _, date := range [...]struct {
		name  string
		value time.Time
	}{{"If-Modified-Since", c.IfModifiedSince}, {"If-Unmodified-Since", c.IfUnmodifiedSince}} {
		if !date.value.IsZero() {
			h.Set(date.name, date.value.UTC().Format(http.TimeFormat))
		}
	}
	return nil
}

// writeID names a write, so that repeating it is harmless. At most one field is set.
type writeID struct{ requestID, idempotencyKey string }

// setHeader adds the id, a fresh one if none is set. Conditions ask for an idempotency key: under a
// request id alone, a repetition would be judged by what the first attempt stored.
func (id writeID) setHeader(h http.Header, conditions Conditions) error {
	const maxKeyBytes = 255
	key := id.idempotencyKey
	if key == "" {
		request := cmp.Or(id.requestID, NewRequestID())
		if !isRequestID(request) {
			return fmt.Errorf("client: the request id %q is not 32 hex digits: %w", request, ErrBadRequest)
		}
		if conditions == (Conditions{}) {
			h.Set(headerRequestID, request)
			return nil
		}
		key = request
	} else if id.requestID != "" {
		return fmt.Errorf("client: a write takes a request id or an idempotency key, not both: %w", ErrBadRequest)
	}
	if len(key) > maxKeyBytes || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return fmt.Errorf("client: the idempotency key %.40q must be 1 to %d visible ASCII characters: %w", key, maxKeyBytes, ErrBadRequest)
	}
	h.Set(headerIdempotency, key)
	return nil
}

func isRequestID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// writeHeader sets the context, the id and the conditions of a write.
func writeHeader(h http.Header, context string, id writeID, conditions Conditions) error {
	if context != "" {
		if err := checkHeaderValue("context", context); err != nil {
			return err
		}
		h.Set(headerContext, context)
	}
	if err := id.setHeader(h, conditions); err != nil {
		return err
	}
	return conditions.setHeader(h)
}

// requestHeader returns the headers that describe a value. What HTTP cannot carry unchanged is
// refused here rather than altered on the way.
func (v Value) requestHeader() (http.Header, error) {
	h := http.Header{}
	for name, values := range v.Extra {
		h[http.CanonicalHeaderKey(name)] = values
	}
	contentType := v.ContentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	h.Set("Content-Type", contentType)
	if v.ContentEncoding != "" {
		h.Set("Content-Encoding", v.ContentEncoding)
	}
	for name, value := range v.Meta {
		if !isToken(name) {
			return nil, fmt.Errorf("client: the metadata name %q may have letters, digits and -_.!#$%%&'*+^`|~ only: %w", name, ErrBadRequest)
		}
		if h.Get(metaPrefix+name) != "" {
			return nil, fmt.Errorf("client: the metadata name %q occurs twice; names that differ in case only are the same: %w", name, ErrBadRequest)
		}
		h.Set(metaPrefix+name, value)
	}
	for name, values := range h {
		for _, value := range values {
			if err := checkHeaderValue(name, value); err != nil {
				return nil, err
			}
		}
	}
	return h, nil
}

// checkHeaderValue refuses what an HTTP header cannot carry: control characters, and blanks at
// either end, which are stripped on the way.
func checkHeaderValue(name, value string) error {
	bad := func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
	if strings.ContainsFunc(value, bad) || textproto.TrimString(value) != value {
		return fmt.Errorf("client: the value %q of %s has a control character or a blank at an end: %w", value, name, ErrBadRequest)
	}
	return nil
}

// isToken reports whether s can be part of a header name.
func isToken(s string) bool {
	for i := range len(s) {
		ch := s[i] | 0x20 // letters in lower case
		if (ch < 'a' || 'z' < ch) && (s[i] < '0' || '9' < s[i]) && !strings.ContainsRune("-_.!#$%&'*+^`|~", rune(s[i])) {
			return false
		}
	}
	return s != ""
}
