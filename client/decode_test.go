package client

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Whatever bytes two values hold, they come back unchanged as long as the boundary is not in
// them, which the server guarantees.
func FuzzSiblings(f *testing.F) {
	f.Add("a", "b", "B")
	f.Add("\r\n", "--B", "Bound")
	f.Add("\r\n--B", "", "B7")
	other := func(r rune) bool {
		return r < '0' || '9' < r && r < 'A' || 'Z' < r && r < 'a' || 'z' < r
	}
	f.Fuzz(func(t *testing.T, a, b, bound string) {
		if bound == "" || len(bound) > 70 || strings.ContainsFunc(bound, other) ||
			strings.Contains(a, "--"+bound) || strings.Contains(b, "--"+bound) {
			return
		}
		body := fmt.Sprintf("\r\n--%[1]s\r\nEtag: 1\r\n\r\n%[2]s\r\n--%[1]s\r\nEtag: 2\r\n\r\n%[3]s\r\n--%[1]s--\r\n", bound, a, b)
		got, err := parseSiblings("multipart/mixed; boundary="+bound, []byte(body))
		if err != nil || len(got) != 2 || string(got[0].Body) != a || string(got[1].Body) != b || got[1].VTag != "2" {
			t.Errorf("values %q, %q, boundary %q: got %+v, %v", a, b, bound, got, err)
		}
	})
}

// What a server sends may be anything: reading it never panics, and a receipt keeps each field.
func FuzzReplies(f *testing.F) {
	f.Add("multipart/mixed; boundary=x", "\r\n--x\r\n\r\na\r\n--x--", "replicas=2 n=3 ring=17 more=1")
	f.Add("multipart/mixed", "", "replicas=-1 n=99999999999999999999 lossy=maybe =")
	f.Fuzz(func(t *testing.T, contentType, body, text string) {
		values, err := parseSiblings(contentType, []byte(body))
		if (err == nil) != (len(values) > 0) {
			t.Errorf("%d values and error %v", len(values), err)
		}
		r := parseReceipt(text)
		if r.String() != text || r.Replicas < 0 || r.N < 0 {
			t.Errorf("receipt %q became %+v", text, r)
		}
		known := []string{"replicas", "primaries", "fallbacks", "durable", "n", "ring", "lossy"}
		for field := range strings.FieldsSeq(text) {
			name, _, _ := strings.Cut(field, "=")
			if _, kept := r.Extra[name]; !kept && !slices.Contains(known, name) {
				t.Errorf("receipt %q lost %q", text, name)
			}
		}
		h := http.Header{"Link": {contentType}, "Etag": {body}, "X-Riak-Meta-A": {text}, "Last-Modified": {text}}
		if v := newValue(h, nil); v.Meta["a"] != text {
			t.Errorf("metadata %q became %q", text, v.Meta["a"])
		}
		e := (&reply{status: 503, header: h, body: []byte(body)}).quorumError()
		if e.Got < 0 || e.Wanted < 0 {
			t.Errorf("text %q became %+v", body, e)
		}
	})
}
