package httpapi

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

var errEscape = errors.New("malformed percent-encoding in the path")

// canonical returns r with a path that the router can match segment by segment: it begins
// with a slash, has no empty segments (they mean nothing) and is validly escaped. Escapes
// stay: "%2F" is part of a key, never a separator, and "." and ".." are keys like others.
// It returns r itself, which is the common case, or a shallow copy.
func canonical(r *http.Request) (*http.Request, error) {
	raw := r.URL.RawPath
	if raw == "" {
		raw = r.URL.EscapedPath()
	}
	// A raw path that net/url finds wrongly escaped (say, with a quote or with bytes above
	// 127) is replaced by one made from the decoded path, where "%2F" is lost already.
	valid := r.URL.RawPath == "" || r.URL.EscapedPath() == raw
	if valid && strings.HasPrefix(raw, "/") && !strings.Contains(raw, "//") && (len(raw) == 1 || raw[len(raw)-1] != '/') {
		return r, nil
	}
	path, err := rebuild(raw)
	if err != nil {
		return nil, err
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return nil, errEscape
	}
	u := *r.URL
	u.Path, u.RawPath = decoded, path
	c := *r
	c.URL = &u
	return &c, nil
}

// rebuild writes a path anew from its segments, without the empty ones.
func rebuild(raw string) (string, error) {
	var b strings.Builder
	for segment := range strings.SplitSeq(raw, "/") {
		if segment == "" {
			continue
		}
		s, err := decodeSegment(segment)
		if err != nil {
			return "", err
		}
		b.WriteByte('/')
		b.WriteString(encodeSegment(s))
	}
	if b.Len() == 0 {
		return "/", nil
	}
	return b.String(), nil
}

// decodeSegment decodes one path segment, once. A plus sign means a space, as Riak's
// clients expect.
func decodeSegment(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, nil
	}
	d, err := url.QueryUnescape(s)
	if err != nil {
		return "", errEscape
	}
	return d, nil
}

// encodeSegment escapes everything but letters, digits and "-_.~", so that the result is one
// segment for every client. decodeSegment is its inverse.
func encodeSegment(s string) string {
	n := 0
	for i := range len(s) {
		if !unreserved(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}
