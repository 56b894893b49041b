package client

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Key names an object. An empty Type and "default" are the same.
type Key struct{ Type, Bucket, Key string }

// String returns the key for people: bucket/key or type/bucket/key.
func (k Key) String() string {
	if k.Type == "" || k.Type == "default" {
		return k.Bucket + "/" + k.Key
	}
	return k.Type + "/" + k.Bucket + "/" + k.Key
}

// path returns the escaped path of the object.
func (k Key) path() (string, error) {
	if k.Bucket == "" || k.Key == "" {
		return "", fmt.Errorf("client: bucket and key must not be empty: %w", ErrBadRequest)
	}
	return typePath(k.Type) + "/buckets/" + escapeSegment(k.Bucket) + "/keys/" + escapeSegment(k.Key), nil
}

// Bucket names a bucket. An empty Type and "default" are the same.
type Bucket struct{ Type, Name string }

// Key returns a key of the bucket.
func (b Bucket) Key(key string) Key { return Key{Type: b.Type, Bucket: b.Name, Key: key} }

// String returns the bucket for people: bucket or type/bucket.
func (b Bucket) String() string {
	if b.Type == "" || b.Type == "default" {
		return b.Name
	}
	return b.Type + "/" + b.Name
}

// path returns the escaped path of the bucket.
func (b Bucket) path() (string, error) {
	if b.Name == "" {
		return "", fmt.Errorf("client: the bucket must not be empty: %w", ErrBadRequest)
	}
	return typePath(b.Type) + "/buckets/" + escapeSegment(b.Name), nil
}

// typePath returns what stands before /buckets: nothing for the default type.
func typePath(name string) string {
	if name == "" || name == "default" {
		return ""
	}
	return "/types/" + escapeSegment(name)
}

// escapeSegment escapes one path segment so that any byte string arrives unchanged. It escapes
// "+" too, which servers of this API read as a space, and the segments "." and "..", which
// would otherwise be taken for a step within the path.
func escapeSegment(s string) string {
	dots := s == "." || s == ".."
	var b strings.Builder
	for i := range len(s) {
		ch := s[i]
		switch {
		case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9', ch == '-', ch == '_', ch == '~', ch == '.' && !dots:
			b.WriteByte(ch)
		default:
			fmt.Fprintf(&b, "%%%02X", ch)
		}
	}
	return b.String()
}

// Value is one value of an object.
type Value struct {
	ContentType     string            // empty in a Put means application/octet-stream
	ContentEncoding string            // as stored; the body is not decoded
	Meta            map[string]string // user metadata; names in lower case, as HTTP does not keep their case
	Extra           http.Header       // Link and X-Riak-Index-* headers; keep them when writing a value back
	Body            []byte

	// Of a value that was read; ignored in a Put.
	VTag         string    // names this value among siblings
	LastModified time.Time // in whole seconds, zero if unknown
	Deleted      bool      // a tombstone: the key was deleted, Body is empty
}

// Object is what a key holds.
type Object struct {
	// Context says what was read; pass it to the write that replaces it. Opaque.
	Context string
	// Values has one value, or all siblings in the server's order. It is the caller's.
	Values []Value
	// Siblings: the key has several values. After Head, Values is empty then.
	Siblings bool
	// ETag names this state of the key, for Conditions; it changes with every write. Empty if the
	// answer had none.
	ETag    string
	Receipt Receipt
}

// Receipt says what a request really met. A reply without one leaves it zero.
type Receipt struct {
	Replicas  int    // distinct nodes that answered in time
	Primaries int    // of them owners of the key
	Fallbacks int    // of them nodes that stood in for an owner
	Durable   int    // of them that had the write on disk
	N         int    // effective N
	Ring      uint64 // ring version
	Lossy     bool   // the bucket keeps one value and drops concurrent ones
	// Consistency is the named level of the request; empty if it named none.
	Consistency string
	// Resolved says how siblings became the one value that was shown: the bucket's property
	// "resolve". Empty if there was nothing to resolve.
	Resolved string
	Extra    map[string]string // names this client does not know; nil if none
	text     string
}

// String returns the receipt as the server sent it.
func (r Receipt) String() string { return r.text }

// parseReceipt reads a receipt header. A name it does not know, or whose value it cannot read,
// is kept in Extra: a newer server must not fail an older client.
func parseReceipt(s string) Receipt {
	r := Receipt{text: s}
	for field := range strings.FieldsSeq(s) {
		name, value, _ := strings.Cut(field, "=")
		if !r.set(name, value) {
			if r.Extra == nil {
				r.Extra = make(map[string]string)
			}
			r.Extra[name] = value
		}
	}
	return r
}

// set stores a known field and reports whether it did.
func (r *Receipt) set(name, value string) bool {
	number := map[string]*int{
		"replicas": &r.Replicas, "primaries": &r.Primaries, "fallbacks": &r.Fallbacks, "durable": &r.Durable, "n": &r.N,
	}
	var err error
	switch dst := number[name]; {
	case dst != nil:
		var n uint64
		if n, err = strconv.ParseUint(value, 10, 31); err == nil {
			*dst = int(n)
		}
	case name == "ring":
		var n uint64
		if n, err = strconv.ParseUint(value, 10, 64); err == nil {
			r.Ring = n
		}
	case name == "lossy":
		var b bool
		if b, err = strconv.ParseBool(value); err == nil {
			r.Lossy = b
		}
	case name == "consistency":
		r.Consistency = value
	case name == "resolved":
		r.Resolved = value
	default:
		return false
	}
	return err == nil
}
