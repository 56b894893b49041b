package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
)

// object turns the answer to a read, or to a write that returns the body, into an object or an
// error.
func (r *reply) object(method string, key Key) (*Object, error) {
	obj := &Object{Context: r.header.Get(headerContext), ETag: unquoted(r.header.Get("Etag")), Receipt: r.receipt()}
	switch {
	case r.status == http.StatusOK || r.status == http.StatusCreated || r.status == http.StatusNoContent:
		obj.Values = []Value{newValue(r.header, r.body)}
		return obj, nil
	case r.status == http.StatusMultipleChoices:
		obj.Siblings = true
		if method == http.MethodHead {
			return obj, nil
		}
		values, err := parseSiblings(r.header.Get("Content-Type"), r.body)
		if err != nil {
			return nil, fmt.Errorf("client: siblings of %v from %s: %w", key, r.endpoint, err)
		}
		obj.Values = values
		return obj, nil
	case r.status == http.StatusNotFound && r.isNotFound():
		return nil, r.notFound(key)
	}
	return nil, r.statusError()
}

// isNotFound tells the 404 of a key from that of an unknown bucket type, or of a server that is
// no node at all.
func (r *reply) isNotFound() bool {
	return r.header.Get(headerContext) != "" || r.header.Get("X-Cartwheel-Receipt") != "" || strings.TrimSpace(string(r.body)) == "not found"
}

func (r *reply) notFound(key Key) error {
	return &NotFoundError{
		Key: key, Deleted: r.header.Get(headerDeleted) == "true",
		Context: r.header.Get(headerContext), Receipt: r.receipt(),
	}
}

// parseSiblings reads a multipart/mixed body. Every part is a value byte for byte; a body that
// ends early is an error, so that no sibling is lost in silence.
func parseSiblings(contentType string, body []byte) ([]Value, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "multipart/mixed" || params["boundary"] == "" {
		return nil, fmt.Errorf("the content type %q is not multipart/mixed with a boundary", contentType)
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	var values []Value
	for {
		// The raw part: NextPart would decode a Content-Transfer-Encoding that the value's
		// writer happened to send.
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		values = append(values, newValue(http.Header(part.Header), data))
	}
	if len(values) == 0 {
		return nil, errors.New("the body has no part")
	}
	return values, nil
}

// newValue reads one value from its headers, of a reply or of a part.
func newValue(h http.Header, body []byte) Value {
	v := Value{
		ContentType:     h.Get("Content-Type"),
		ContentEncoding: h.Get("Content-Encoding"),
		VTag:            unquoted(h.Get("Etag")),
		Deleted:         h.Get(headerDeleted) == "true",
		Body:            body,
	}
	if t, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		v.LastModified = t
	}
	for name, values := range h {
		// A server may send names that are not canonical, so the prefix is matched without case.
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case strings.HasPrefix(canonical, metaPrefix):
			if v.Meta == nil {
				v.Meta = make(map[string]string)
			}
			v.Meta[strings.ToLower(canonical[len(metaPrefix):])] = strings.Join(values, ", ")
		case strings.HasPrefix(canonical, indexPrefix):
			v.addExtra(canonical, values)
		case canonical == "Link":
			v.addExtra(canonical, storedLinks(values))
		}
	}
	return v
}

// unquoted returns an entity tag without its quotes.
func unquoted(etag string) string { return strings.Trim(etag, `"`) }

func (v *Value) addExtra(name string, values []string) {
	if len(values) == 0 {
		return
	}
	if v.Extra == nil {
		v.Extra = make(http.Header)
	}
	v.Extra[name] = append(v.Extra[name], values...)
}

// storedLinks drops the link to the bucket that the server adds to every object; stored back it
// would be refused.
func storedLinks(values []string) []string {
	var out []string
	for _, value := range values {
		for link := range strings.SplitSeq(value, ", <") {
			if !strings.HasPrefix(link, "<") {
				link = "<" + link
			}
			if !strings.HasSuffix(link, `; rel="up"`) {
				out = append(out, link)
			}
		}
	}
	return out
}
