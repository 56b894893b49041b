package client

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Header names of the object API, in Go's canonical form.
const (
	headerContext     = "X-Riak-Vclock"
	headerDeleted     = "X-Riak-Deleted"
	headerRequestID   = "X-Cartwheel-Request-Id"
	headerIdempotency = "Idempotency-Key"
	metaPrefix        = "X-Riak-Meta-"
	indexPrefix       = "X-Riak-Index-"
)

// acceptValues asks for siblings with their values; anything else is served as stored.
const acceptValues = "multipart/mixed, */*;q=0.5"

// Get reads an object. A key without a value is a *NotFoundError, a missed quorum a
// *QuorumError.
func (c *Client) Get(ctx context.Context, key Key, opts GetOptions) (*Object, error) {
	return c.read(ctx, http.MethodGet, key, opts)
}

// Head reads what Get reads, without the bodies: for the context alone, and for whether the key
// exists. With several siblings no value is described, only Object.Siblings is set. An error has no
// text of the server's, as HTTP allows no body in the answer: who has to know why calls Get.
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
	if opts.Resolve != "" {
		query.Set("resolve", opts.Resolve)
	}
	var header http.Header
	if opts.Conditions != (Conditions{}) {
		header = http.Header{}
		if err := opts.setHeader(header); err != nil {
			return nil, err
		}
	}
	rep, err := c.do(ctx, call{
		method: method, path: path, query: query, header: header, accept: acceptValues, timeout: opts.Timeout, hedge: true,
	})
	if err != nil {
		return nil, err
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
	rep, err := c.write(ctx, http.MethodPut, path, value, opts)
	if err != nil {
		return nil, err
	}
	if rep.status == http.StatusNoContent && !opts.ReturnBody {
		return &Object{Receipt: rep.receipt()}, nil
	}
	return rep.object(http.MethodPut, key)
}

// Create stores a value under a key that the server chooses, and returns that key and what Put
// returns.
func (c *Client) Create(ctx context.Context, bucket Bucket, value Value, opts PutOptions) (Key, *Object, error) {
	path, err := bucket.path()
	if err != nil {
		return Key{}, nil, err
	}
	if opts.IdempotencyKey == "" { // a repetition must find the key of the first time
		opts.IdempotencyKey, opts.RequestID = cmp.Or(opts.RequestID, NewRequestID()), ""
	}
	rep, err := c.write(ctx, http.MethodPost, path+"/keys", value, opts)
	if err != nil {
		return Key{}, nil, err
	}
	if rep.status != http.StatusCreated {
		return Key{}, nil, rep.statusError()
	}
	location := rep.header.Get("Location")
	name, err := url.PathUnescape(location[strings.LastIndexByte(location, '/')+1:])
	if err != nil || name == "" {
		return Key{}, nil, fmt.Errorf("client: %s stored the value, but its Location %q names no key", rep.endpoint, location)
	}
	key := bucket.Key(name)
	if !opts.ReturnBody {
		return key, &Object{Receipt: rep.receipt()}, nil
	}
	obj, err := rep.object(http.MethodPost, key)
	return key, obj, err
}

// write sends a value.
func (c *Client) write(ctx context.Context, method, path string, value Value, opts PutOptions) (*reply, error) {
	header, err := value.requestHeader()
	if err != nil {
		return nil, err
	}
	id := writeID{opts.RequestID, opts.IdempotencyKey}
	if err := writeHeader(header, opts.Context, id, opts.Conditions); err != nil {
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
	return c.do(ctx, call{
		method: method, path: path, query: query, header: header,
		accept: acceptValues, body: body, timeout: opts.Timeout, write: true,
	})
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
	id := writeID{opts.RequestID, opts.IdempotencyKey}
	if err := writeHeader(header, opts.Context, id, opts.Conditions); err != nil {
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
