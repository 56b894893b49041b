package httpapi

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"
)

// template is a path such as "/buckets/{bucket}/keys/{key}", one entry per segment; those in
// braces are variables, which match any segment that is not empty.
type template []string

func newTemplate(path string) template { return strings.Split(path[1:], "/") }

// matcher makes template a condition of a route. It is what the router's own Path does, for
// a tenth of the price: that runs a regular expression to match and another one to get at
// the variables.
func (t template) matcher(r *http.Request, m *mux.RouteMatch) bool {
	path := r.URL.EscapedPath()
	if !t.matches(path) {
		return false
	}
	if m.Vars == nil {
		m.Vars = make(map[string]string, len(t))
	}
	for _, name := range t {
		var segment string
		segment, path = firstSegment(path)
		if name[0] == '{' {
			m.Vars[name[1:len(name)-1]] = segment
		}
	}
	return true
}

func (t template) matches(path string) bool {
	for _, name := range t {
		var segment string
		if segment, path = firstSegment(path); segment == "" || name[0] != '{' && segment != name {
			return false
		}
	}
	return path == ""
}

// firstSegment cuts "/segment" from the front of path; "" if it does not begin so.
func firstSegment(path string) (segment, rest string) {
	if path == "" || path[0] != '/' {
		return "", path
	}
	if i := strings.IndexByte(path[1:], '/'); i >= 0 {
		return path[1 : i+1], path[i+1:]
	}
	return path[1:], ""
}
