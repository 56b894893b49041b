package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// described is the interface as /openapi.yaml has it, and what of it was seen.
type described struct {
	t   *testing.T
	doc *openapi3.T
	// answers are "METHOD template status", headers "response header" by the name of the
	// response among the components.
	answers, headers map[string]bool
}

func newDescribed(t *testing.T, text string) *described {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &described{t: t, doc: doc, answers: map[string]bool{}, headers: map[string]bool{}}
}

// template returns the path of the document that a request's path belongs to: of several the
// one with the fewest variables.
func (d *described) template(path string) string {
	path, _, _ = strings.Cut(path, "?")
	best, fewest := "", 99
	for template := range d.doc.Paths.Map() {
		if n := strings.Count(template, "{"); n < fewest && fits(template, path) {
			best, fewest = template, n
		}
	}
	return best
}

func fits(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	for i := range want {
		if len(got) != len(want) || want[i] != got[i] && !strings.HasPrefix(want[i], "{") {
			return false
		}
	}
	return true
}

// check compares an answer with the document and notes that it was seen.
func (d *described) check(method, path string, a reply) {
	d.t.Helper()
	template := d.template(path)
	name := fmt.Sprintf("%s %s %d", method, template, a.status)
	var answer *openapi3.ResponseRef
	if item := d.doc.Paths.Value(template); item != nil && item.GetOperation(method) != nil {
		answer = item.GetOperation(method).Responses.Value(fmt.Sprint(a.status))
	}
	if answer == nil {
		d.t.Errorf("%.60s %s: the document does not have %s: %.200v", method, path, name, a)
		return
	}
	d.answers[name] = true
	if err := d.checkHeaders(answer, a); err != nil {
		d.t.Errorf("%s: %v", name, err)
	}
	if err := checkContent(answer.Value, method, a); err != nil {
		d.t.Errorf("%s: %v", name, err)
	}
}

// plainHeaders come with any answer and say nothing of the interface.
var plainHeaders = []string{"Content-Length", "Content-Type", "Date", "Connection", "Allow", "Transfer-Encoding"}

func (d *described) checkHeaders(answer *openapi3.ResponseRef, a reply) error {
	for name, values := range a.header {
		if slices.Contains(plainHeaders, name) || strings.HasPrefix(name, "X-Riak-Meta-") || strings.HasPrefix(name, "X-Riak-Index-") {
			continue
		}
		h := headerNamed(answer.Value, name)
		if h == nil {
			return fmt.Errorf("the document does not have the header %s: %q", name, values)
		}
		if err := h.Value.Schema.Value.VisitJSON(strings.Join(values, ", "), openapi3.EnableJSONSchema2020()); err != nil {
			return fmt.Errorf("header %s: %q: %w", name, values, err)
		}
		d.headers[answer.Ref+" "+name] = true
	}
	return nil
}

func headerNamed(answer *openapi3.Response, name string) *openapi3.HeaderRef {
	for documented, h := range answer.Headers {
		if http.CanonicalHeaderKey(documented) == name {
			return h
		}
	}
	return nil
}

// checkContent compares the body with the document: its media type, and JSON with its schema.
func checkContent(answer *openapi3.Response, method string, a reply) error {
	if a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		return nil // some have the Content-Type of what was stored
	}
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	media := answer.Content.Get(kind)
	if media == nil {
		return fmt.Errorf("the document does not have the content type %q", kind)
	}
	if media.Schema == nil || method == http.MethodHead {
		return nil
	}
	values := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	for {
		var v any
		switch err := values.Decode(&v); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%q is no JSON: %w", a.body, err)
		}
		if err := media.Schema.Value.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
			return fmt.Errorf("%.200q: %w", a.body, err)
		}
	}
}

// unseen reports all that the document has and nobody saw, except for what has a reason.
// except holds "METHOD template status" and "response header", the former also as "status" alone.
func (d *described) unseen(except map[string]string) {
	for template, item := range d.doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				if name := method + " " + template + " " + status; !d.answers[name] && except[status] == "" && except[name] == "" {
					d.t.Errorf("nothing was answered with %s", name)
				}
			}
		}
	}
	for response, r := range d.doc.Components.Responses {
		for _, header := range slices.Sorted(maps.Keys(r.Value.Headers)) {
			name := "#/components/responses/" + response + " " + http.CanonicalHeaderKey(header)
			if !d.headers[name] && except[response+" "+header] == "" {
				d.t.Errorf("no answer %s had the header %s", response, header)
			}
		}
	}
}
