package client

import (
	"context"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
)

// Header names of the object API, in Go's canonical form.
const (
	headerContext   = "X-Riak-Vclock"
	headerDeleted   = "X-Riak-Deleted"
	headerRequestID = "X-Cartwheel-Request-Id"
	metaPrefix      = "X-Riak-Meta-"
	indexPrefix     = "X-Riak-Index-"
)

// acceptValues asks for siblings with their values; anything else is served as stored.
const acceptValues = "multipart/mixed, */*;q=0.5"

// Get reads an object. A key without a value is a *NotFoundError, a missed quorum a
// *QuorumError.
func (c *Client) Get(ctx context.Context, key Key, opts GetOptions) (*Object, error) {
	return c.read(ctx, http.MethodGet, key, opts)
}

// Head reads what Get reads, without the bodies: for the context alone, and for whether the key
// exists. With several siblings no value is described, only Object.Siblings is set.
func (c *Client) Head(ctx context.Context, key Key, opts GetOptions) (*Object, error) {
	return c.read(ctx, http.MethodHead, key, opts)
}

func (c *Client) read(ctx context.Context, method string, key Key, opts GetOptions) (*Object, error) {
	path, err := key.path()
	if err != nil {
		return nil, err
	}
	query := opts.query()
	if opts.VTag != "" {
		query.Set("vtag", opts.VTag)
	}
	rep, err := c.do(ctx, call{method: method, path: path, query: query, accept: acceptValues, timeout: opts.Timeout})
	if err != nil {
		return nil, err
	}
	if rep.status == http.StatusNotFound && opts.VTag != "" {
		return nil, rep.notFound(key)
	}
	return rep.object(method, key)
}

// Put stores a value. Without opts.Context it is a blind write that becomes a sibling of
// whatever the key holds. The Object has the Receipt, and with opts.ReturnBody what the key
// holds now.
func (c *Client) Put(ctx context.Context, key Key, value Value, opts PutOptions) (*Object, error) {
	path, err := key.path()
	if err != nil {
		return nil, err
	}
	header, err := value.requestHeader()
	if err != nil {
		return nil, err
	}
	if err := writeHeader(header, opts.Context, opts.RequestID); err != nil {
		return nil, err
	}
	query := opts.query()
	if opts.ReturnBody {
		query.Set("returnbody", "true")
	}
	body := value.Body
	if body == nil {
		body = []byte{} // an empty value is a value
	}
	rep, err := c.do(ctx, call{
		method: http.MethodPut, path: path, query: query, header: header,
		accept: acceptValues, body: body, timeout: opts.Timeout, write: true,
	})
	if err != nil {
		return nil, err
	}
	if rep.status == http.StatusNoContent && !opts.ReturnBody {
		return &Object{Receipt: rep.receipt()}, nil
	}
	return rep.object(http.MethodPut, key)
}

// Delete deletes an object: a write of a tombstone. With opts.Context it replaces what that
// read saw, whether or not the key still holds it. Without one the server reads first, and a
// key without a value is a *NotFoundError; but when an earlier attempt of the same call may
// have deleted it, finding it deleted is a success.
func (c *Client) Delete(ctx context.Context, key Key, opts DeleteOptions) (Receipt, error) {
	path, err := key.path()
	if err != nil {
		return Receipt{}, err
	}
	header := http.Header{}
	if err := writeHeader(header, opts.Context, opts.RequestID); err != nil {
		return Receipt{}, err
	}
	rep, err := c.do(ctx, call{
		method: http.MethodDelete, path: path, query: opts.query(), header: header,
		accept: "*/*", timeout: opts.Timeout, write: true,
	})
	if err != nil {
		return Receipt{}, err
	}
	switch {
	case rep.status == http.StatusNoContent:
		return rep.receipt(), nil
	case rep.status == http.StatusNotFound && rep.doubtful && rep.header.Get(headerDeleted) == "true":
		return rep.receipt(), nil
	case rep.status == http.StatusNotFound && rep.isNotFound():
		return rep.receipt(), rep.notFound(key)
	}
	return rep.receipt(), rep.statusError()
}

// writeHeader sets the context and the request id of a write.
func writeHeader(h http.Header, context, requestID string) error {
	if context != "" {
		if err := checkHeaderValue("context", context); err != nil {
			return err
		}
		h.Set(headerContext, context)
	}
	if requestID == "" {
		requestID = NewRequestID()
	} else if len(requestID) != 32 || strings.Trim(requestID, "0123456789abcdefABCDEF") != "" {
		return fmt.Errorf("client: the request id %q is not 32 hex digits: %w", requestID, ErrBadRequest)
	}
	h.Set(headerRequestID, requestID)
	return nil
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
