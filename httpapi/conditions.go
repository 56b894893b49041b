package httpapi

import (
	"cmp"
	"net/http"
	"strings"
	"time"
)

// validators are what conditional headers are compared with. The zero value is a missing or
// deleted object.
type validators struct {
	exists   bool
	etag     string // quoted
	sent     string // the tag of the form in which a read would be answered, see gzipTag; "" for etag itself
	modified time.Time
	context  string // as the client gets it; also of a deleted object
}

// conditional reports whether a write carries a condition, so that the object must be read
// first.
func conditional(r *http.Request) bool {
	h := r.Header
	return len(h["If-Match"]) > 0 || len(h["If-None-Match"]) > 0 || len(h["If-Unmodified-Since"]) > 0 ||
		r.Method == http.MethodPut && len(h["X-Riak-If-Not-Modified"]) > 0
}

// readStatus returns 412, 304, or 0 when nothing speaks against answering a read of an
// object that exists.
func readStatus(h http.Header, v validators, now time.Time) int {
	if tags := header(h, "If-Match"); tags != "" && !listed(tags, v.etag) {
		return http.StatusPreconditionFailed
	}
	if since, ok := httpTime(h, "If-Unmodified-Since"); ok && v.modified.After(since) {
		return http.StatusPreconditionFailed
	}
	if tags := header(h, "If-None-Match"); tags != "" {
		// A client that has the other form of the value has something else than it asks for now.
		if listedExactly(tags, cmp.Or(v.sent, v.etag)) {
			return http.StatusNotModified
		}
		return 0 // RFC 9110: If-Modified-Since is not looked at beside it
	}
	if since, ok := httpTime(h, "If-Modified-Since"); ok && !since.After(now) && !v.modified.After(since) {
		return http.StatusNotModified
	}
	return 0
}

// writeStatus returns 412, 409, 404, or 0 when nothing speaks against a write.
func writeStatus(r *http.Request, v validators) int {
	h := r.Header
	if tags := header(h, "If-Match"); tags != "" && !(v.exists && listed(tags, v.etag)) {
		return http.StatusPreconditionFailed
	}
	if since, ok := httpTime(h, "If-Unmodified-Since"); ok {
		if v.exists && v.modified.After(since) {
			return http.StatusPreconditionFailed
		}
		if !v.exists && r.Method == http.MethodDelete {
			return http.StatusNotFound
		}
	}
	if tags := header(h, "If-None-Match"); tags != "" && v.exists && listed(tags, v.etag) {
		return http.StatusPreconditionFailed
	}
	if r.Method != http.MethodPut {
		return 0
	}
	if context := header(h, "X-Riak-If-Not-Modified"); context != "" && !(v.exists && context == v.context) {
		return http.StatusConflict
	}
	return 0
}

// listed reports whether a list of entity tags names etag, in whatever form the value was
// sent, or is "*". Tags are compared to the letter, and none of ours has a comma in it.
func listed(tags, etag string) bool {
	for tag := range strings.SplitSeq(tags, ",") {
		if tag = strings.TrimSpace(tag); tag == etag || tag == "*" || isGzipTag(tag, etag) {
			return true
		}
	}
	return false
}

// listedExactly is listed for one form.
func listedExactly(tags, etag string) bool {
	for tag := range strings.SplitSeq(tags, ",") {
		if tag = strings.TrimSpace(tag); tag == etag || tag == "*" {
			return true
		}
	}
	return false
}

// httpTime returns a date header. One that cannot be read counts as not there.
func httpTime(h http.Header, name string) (t time.Time, ok bool) {
	v := header(h, name)
	if v == "" {
		return time.Time{}, false
	}
	t, err := http.ParseTime(v)
	return t, err == nil
}
