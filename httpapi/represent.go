package httpapi

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// view is an object as one request sees it.
type view struct {
	key     ring.Key
	object  vclock.Object
	shown   []vclock.Sibling // one tombstone alone means deleted; none means missing
	context string           // "" if the object is missing
	tag     string           // of a value that was resolved, quoted; else ""
	receipt quorum.Receipt
}

// newView picks the siblings that are shown. bind ties the context to cluster and key.
func newView(key ring.Key, o vclock.Object, lossy bool, bind uint64, receipt quorum.Receipt) view {
	v := view{key: key, object: o, shown: o.Siblings, receipt: receipt}
	if !o.Missing() {
		v.context = vclock.EncodeContext(o.Clock, bind)
	}
	if lossy && len(o.Siblings) > 1 {
		winner, _ := o.Winner()
		v.shown = []vclock.Sibling{winner}
	} else if !lossy {
		v.shown = o.Shown()
	}
	return v
}

// exists reports whether there is a live value.
func (v *view) exists() bool { return len(v.shown) > 0 && !v.shown[0].Deleted }

// etag is the quoted tag of the one value, or of the whole set. The dot in the latter keeps
// it apart from every sibling's.
func (v *view) etag() string {
	switch {
	case v.tag != "":
		return v.tag
	case len(v.shown) == 1:
		return quotedTag(&v.shown[0])
	}
	return `"set.` + strconv.FormatUint(v.object.Digest(), 16) + `"`
}

func quotedTag(s *vclock.Sibling) string { return `"` + s.Dot.Tag() + `"` }

// modified is the time of the newest value, in whole seconds, as the header can say it.
func (v *view) modified() time.Time {
	var t vclock.Time
	for i := range v.shown {
		t = max(t, v.shown[i].Time)
	}
	return t.Wall().Truncate(time.Second)
}

func (v *view) validators() validators {
	if !v.exists() {
		return validators{context: v.context}
	}
	return validators{exists: true, etag: v.etag(), modified: v.modified(), context: v.context}
}

func httpDate(t time.Time) string {
	var b [len(http.TimeFormat)]byte
	return string(t.AppendFormat(b[:0], http.TimeFormat))
}

// meta returns the value of the first pair with that name, "" without one.
func meta(s *vclock.Sibling, name string) string {
	for i := range s.Meta {
		if s.Meta[i].Name == name {
			return s.Meta[i].Value
		}
	}
	return ""
}

func typeOf(s *vclock.Sibling) string {
	if s.ContentType == "" {
		return "application/octet-stream"
	}
	return s.ContentType
}

// notFound answers for a missing or deleted object. The context of a deleted one lets a new
// write replace the tombstone.
func (x *exchange) notFound(v *view) {
	h := newHeaders(x)
	h.receipt(v.receipt)
	if v.context != "" {
		h.set("X-Riak-Vclock", v.context)
		h.set("X-Riak-Deleted", "true")
	}
	x.text(http.StatusNotFound, "not found\n")
}

// value answers with one sibling of v under the entity tag that it has there.
func (x *exchange) value(status int, v *view, s *vclock.Sibling, etag string) {
	h := newHeaders(x)
	h.receipt(v.receipt)
	h.set("X-Riak-Vclock", v.context)
	h.set("ETag", etag)
	h.set("Last-Modified", httpDate(s.Time.Wall()))
	h.set("Content-Type", typeOf(s))
	h.set("Vary", "Accept-Encoding")
	h.set("Link", links(v.key.Bucket, s, x.old))
	for _, p := range s.Meta {
		switch {
		case p.Name == metaCoding:
			h.set("Content-Encoding", p.Value)
		case p.Name == metaLink:
		case strings.HasPrefix(p.Name, metaIndex) && len(h.h[p.Name]) > 0:
			h.set(p.Name, h.h[p.Name][0]+", "+p.Value)
		case len(h.h[p.Name]) > 0:
			h.h[p.Name] = append(h.h[p.Name], p.Value)
		default:
			h.set(p.Name, p.Value)
		}
	}
	x.sendValue(status, &h, etag, s.Value)
}

// siblings answers with all values of v, or their tags.
func (x *exchange) siblings(v *view, f form) {
	h := newHeaders(x)
	h.receipt(v.receipt)
	h.set("X-Riak-Vclock", v.context)
	h.set("ETag", v.etag())
	h.set("Last-Modified", httpDate(v.modified()))
	h.set("Vary", "Accept, Accept-Encoding")
	if f == asText {
		b := []byte("Siblings:\n")
		for i := range v.shown {
			b = append(append(b, v.shown[i].Dot.Tag()...), '\n')
		}
		h.set("Content-Type", "text/plain")
		x.send(http.StatusMultipleChoices, b)
		return
	}
	boundary := newBoundary(v.shown, rand.Text)
	h.set("Content-Type", "multipart/mixed; boundary="+boundary)
	x.send(http.StatusMultipleChoices, parts(v, boundary, x.old)...)
}

// newBoundary returns a boundary that occurs in none of the values: they are sent as they
// are, so nothing else would keep them apart. random returns another text at each call.
func newBoundary(shown []vclock.Sibling, random func() string) string {
	for {
		boundary := random()
		free := true
		for i := range shown {
			free = free && !bytes.Contains(shown[i].Value, []byte(boundary))
		}
		if free {
			return boundary
		}
	}
}

// parts returns a multipart body in pieces; the values are not copied. old says which form
// its paths have.
func parts(v *view, boundary string, old bool) [][]byte {
	pieces := make([][]byte, 0, 2*len(v.shown)+1)
	for i := range v.shown {
		s := &v.shown[i]
		b := append(make([]byte, 0, 256), "\r\n--"+boundary+"\r\n"...)
		b = appendField(b, "Content-Type", typeOf(s))
		b = appendField(b, "Link", links(v.key.Bucket, s, old))
		b = appendField(b, "Etag", s.Dot.Tag())
		b = appendField(b, "Last-Modified", httpDate(s.Time.Wall()))
		if s.Deleted {
			b = appendField(b, "X-Riak-Deleted", "true")
		}
		for _, p := range s.Meta {
			switch p.Name {
			case metaLink:
			case metaCoding:
				b = appendField(b, "Content-Encoding", p.Value)
			default:
				b = appendField(b, p.Name, p.Value)
			}
		}
		pieces = append(pieces, append(b, "\r\n"...), s.Value)
	}
	return append(pieces, []byte("\r\n--"+boundary+"--\r\n"))
}

// appendField appends one header line. Line ends inside the value would start a new one.
func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	for i := range len(value) {
		if c := value[i]; c == '\r' || c == '\n' {
			b = append(b, ' ')
		} else {
			b = append(b, c)
		}
	}
	return append(b, "\r\n"...)
}
