package load

import (
	"net/url"
	"strconv"
)

// requests makes the bytes of requests. Everything that does not change is made beforehand.
type requests struct {
	get, getEnd []byte // around the key
	put, putEnd []byte // around the key; the length and the value follow
}

func newRequests(host, bucketType, bucket, getQuery, putQuery string) requests {
	path := "/buckets/" + url.PathEscape(bucket) + "/keys/"
	if bucketType != "" {
		path = "/types/" + url.PathEscape(bucketType) + path
	}
	end := func(query string) string {
		if query != "" {
			query = "?" + query
		}
		return query + " HTTP/1.1\r\nHost: " + host + "\r\n"
	}
	return requests{
		get:    []byte("GET " + path),
		getEnd: []byte(end(getQuery) + "\r\n"),
		put:    []byte("PUT " + path),
		putEnd: []byte(end(putQuery) + "Content-Type: application/octet-stream\r\n"),
	}
}

// beginGet and beginPut append the part before the key. The key, escaped, and the end follow.
func (q *requests) beginGet(b []byte) []byte { return append(b, q.get...) }
func (q *requests) endGet(b []byte) []byte   { return append(b, q.getEnd...) }
func (q *requests) beginPut(b []byte) []byte { return append(b, q.put...) }

// endPut appends the rest of a write. The value is copied: one write of all is cheaper than the
// call that takes two pieces, up to sizes where neither matters.
func (q *requests) endPut(b, value, vclock []byte) []byte {
	b = append(b, q.putEnd...)
	if len(vclock) > 0 {
		b = append(b, "X-Riak-Vclock: "...)
		b = append(b, vclock...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(value)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, value...)
}

const (
	keyPrefix = "user"
	keyDigits = 10
)

// KeyName returns the name of key i, 0 <= i: "user" and at least ten digits, as in user0000000042.
// It needs no escaping in a path.
func KeyName(i int64) string { return string(AppendKey(nil, i)) }

// AppendKey appends the name of key i to b.
func AppendKey(b []byte, i int64) []byte {
	b = append(b, keyPrefix...)
	for bound := int64(1e9); i < bound && bound > 1; bound /= 10 {
		b = append(b, '0')
	}
	return strconv.AppendInt(b, i, 10)
}
