package httpapi

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzAccept: weights are weights, a form of siblings is one that is acceptable, and what is
// said to be acceptable is acceptable by its weight.
func FuzzAccept(f *testing.F) {
	f.Add("text/*;q=0.3, multipart/mixed", "text/plain", "gzip;q=0.5, identity;q=0")
	f.Add("*/*;q=NaN,;=", "a/b; charset=x", "*;q=0")
	f.Fuzz(func(t *testing.T, accept, kind, coding string) {
		q, fit := mediaQuality(accept, kind)
		if !(q >= 0 && q <= 1) || fit < fitsNot || fit > fitsExactly || fit == fitsNot && q != 0 {
			t.Fatalf("%q for %q: weight %v, fit %d", accept, kind, q, fit)
		}
		if chosen, ok := siblingForm(accept, asMultipart); ok && accept != "" {
			name := map[form]string{asText: "text/plain", asMultipart: "multipart/mixed"}[chosen]
			if q, _ := mediaQuality(accept, name); q == 0 {
				t.Fatalf("%q: %s was chosen", accept, name)
			}
		}
		h := http.Header{"Accept-Encoding": {coding}, "Accept-Charset": {accept}}
		p, ok := choosePacking(h, kind, 5000)
		if again, okAgain := choosePacking(h, kind, 5000); p != again || ok != okAgain {
			t.Fatalf("%q: two choices", coding)
		}
		if ok && p != unpacked && tokenQuality(coding, "gzip") == 0 {
			t.Fatalf("%q: gzip was chosen", coding)
		}
		acceptsValue(h, kind, coding)
	})
}

// FuzzContentType: what is stored is taken again as it is.
func FuzzContentType(f *testing.F) {
	f.Add("text/plain; format=flowed; charset=\"utf-8\"")
	f.Add("a/b;;charset=;x")
	f.Fuzz(func(t *testing.T, given string) {
		stored, ok := contentType(given)
		if !ok {
			return
		}
		if again, ok := contentType(stored); !ok || again != stored || strings.ContainsAny(stored, "\r\n") {
			t.Fatalf("%q is stored as %q, that as %q", given, stored, again)
		}
	})
}

// FuzzMetadata: metadata is refused, or sorted, within the limit, and the same again when it is
// sent back.
func FuzzMetadata(f *testing.F) {
	f.Add("X-Riak-Index-age_int", "1, 2", "Content-Encoding")
	f.Add("X-Riak-Meta-x", "", "X-Riak-Index-n_bin")
	f.Fuzz(func(t *testing.T, name, value, other string) {
		if !token(name) || !token(other) {
			return // net/http lets no such name through, nor does a batch
		}
		h := http.Header{}
		h.Add(name, value)
		h.Add(other, value)
		pairs, refused := metadata(h, 1000)
		if refused != nil {
			if refused.status != 400 && refused.status != 431 || refused.text == "" {
				t.Fatalf("%q: %+v", h, refused)
			}
			return
		}
		size, back := 0, http.Header{}
		for i, p := range pairs {
			size += len(p.Name) + len(p.Value)
			if p.Name != strings.ToLower(p.Name) || i > 0 && pairs[i-1].Name > p.Name {
				t.Fatalf("%q: pairs %q", h, pairs)
			}
			back.Add(p.Name, p.Value)
		}
		again, refused := metadata(back, 1000)
		if size > 1000 || refused != nil || !slices.Equal(again, pairs) {
			t.Fatalf("%q: kept %q, then %q", h, pairs, again)
		}
	})
}

// FuzzConditions: every condition has one of its statuses, and a header that is not there
// forbids nothing.
func FuzzConditions(f *testing.F) {
	f.Add(`"a", *`, "Fri, 17 May 2024 12:00:00 GMT", "ctx")
	f.Add(`W/"e.gzip"`, "x", "")
	at := time.Date(2024, 5, 17, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, tags, date, context string) {
		there := validators{exists: true, etag: `"e"`, modified: at, context: "ctx"}
		zipped := there
		zipped.sent = `"e.gzip"`
		for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "X-Riak-If-Not-Modified", "Other"} {
			h := http.Header{name: {map[bool]string{true: tags, false: date}[strings.HasSuffix(name, "Match")]}}
			if name == "X-Riak-If-Not-Modified" {
				h[name] = []string{context}
			}
			for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
				r := &http.Request{Method: method, Header: h}
				for _, v := range []validators{there, zipped, {}} {
					got := writeStatus(r, v)
					if method == "GET" {
						got = readStatus(h, v, at)
					}
					allowed := []int{0, 304, 412, 409, 404}
					if name == "Other" || !conditional(r) && method != "GET" {
						allowed = allowed[:1]
					}
					if !slices.Contains(allowed, got) {
						t.Fatalf("%s %q: %d", method, h, got)
					}
				}
			}
		}
	})
}
