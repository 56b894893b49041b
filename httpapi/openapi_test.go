package httpapi

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// describedAPI returns the document that the API serves.
func describedAPI(t *testing.T, a *API) *openapi3.T {
	t.Helper()
	r := do(a, "GET", "/openapi.yaml", "")
	body := text(t, r)
	doc, err := openapi3.NewLoader().LoadFromData([]byte(body))
	if err != nil || r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/yaml" {
		t.Fatalf("%d %v: %v", r.StatusCode, r.Header, err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("the document is not valid OpenAPI: %v", err)
	}
	return doc
}

func TestOpenAPIHasEveryPathAndMethod(t *testing.T) {
	a := newCluster(t).server(t)
	described := map[string]string{}
	for path, item := range describedAPI(t, a).Paths.Map() {
		var names []string
		for _, m := range methods {
			if item.GetOperation(m) != nil {
				names = append(names, m)
			}
		}
		described[path] = strings.Join(names, ", ")
		if n := len(item.Operations()); n != len(names) {
			t.Errorf("%s: %d operations, of which the API knows %v", path, n, names)
		}
		// Every variable of a path is one of its parameters, and no other.
		var variables []string
		for _, segment := range strings.Split(path, "/") {
			if strings.HasPrefix(segment, "{") {
				variables = append(variables, strings.Trim(segment, "{}"))
			}
		}
		if got := parameterNames(item.Parameters, "path"); !slices.Equal(got, slices.Sorted(slices.Values(variables))) {
			t.Errorf("%s: the parameters of the path are %v", path, got)
		}
	}
	for path, allow := range a.paths {
		if described[path] != allow {
			t.Errorf("%s: the API has %s, the document %q", path, allow, described[path])
		}
		delete(described, path)
	}
	if len(described) > 0 {
		t.Errorf("the API does not have %v", described)
	}
}

func parameterNames(list openapi3.Parameters, in string) []string {
	var names []string
	for _, p := range list {
		if p.Value.In == in {
			names = append(names, p.Value.Name)
		}
	}
	slices.Sort(names)
	return names
}

func TestOpenAPIHasEveryParameter(t *testing.T) {
	a := newCluster(t).server(t)
	doc := describedAPI(t, a)
	named := func(path string, methods ...string) []string {
		all := map[string]bool{}
		for _, m := range methods {
			for _, name := range parameterNames(doc.Paths.Value(path).GetOperation(m).Parameters, "query") {
				all[name] = true
			}
		}
		return slices.Sorted(maps.Keys(all))
	}
	var object []string
	for _, p := range parameters {
		object = append(object, p.name)
	}
	slices.Sort(object)
	for _, root := range []string{"/buckets/{bucket}", "/types/{type}/buckets/{bucket}"} {
		if got := named(root+"/keys/{key}", "GET", "PUT", "POST", "DELETE"); !slices.Equal(got, object) {
			t.Errorf("objects below %s: %v, the API has %v", root, got, object)
		}
		// A batch reads no single sibling.
		if got, want := named(root+"/batch", "POST"), slices.DeleteFunc(slices.Clone(object), func(s string) bool { return s == "vtag" }); !slices.Equal(got, want) {
			t.Errorf("batches below %s: %v, the API has %v", root, got, want)
		}
	}
	for path, want := range map[string]struct{ noun, without string }{
		"/buckets/{bucket}/keys": {"keys", "props"}, "/types/{type}/buckets/{bucket}/keys": {"keys", "props"}, "/riak/{bucket}": {"keys", ""},
		"/buckets": {"buckets", "props"}, "/types/{type}/buckets": {"buckets", "props"}, "/riak": {"buckets", "props"},
	} {
		list := []string{want.noun}
		for _, name := range listParamNames {
			if name != "" && name != want.without {
				list = append(list, name)
			}
		}
		slices.Sort(list)
		for _, m := range []string{"GET", "HEAD"} {
			if got := named(path, m); !slices.Equal(got, list) {
				t.Errorf("%s %s: %v, the API has %v", m, path, got, list)
			}
		}
	}
}

// The words that the document allows are those that the API takes, and no others.
func TestOpenAPIHasEveryWord(t *testing.T) {
	a := newCluster(t).server(t)
	doc := describedAPI(t, a)
	put(t, a, at, "v")
	for _, p := range doc.Components.Parameters {
		schema := p.Value.Schema.Value
		if p.Value.In != "query" || schema.Enum == nil || !slices.ContainsFunc(parameters[:], func(k parameter) bool { return k.name == p.Value.Name }) {
			continue
		}
		for _, word := range schema.Enum {
			if r := do(a, "GET", at+"?"+p.Value.Name+"="+word.(string), ""); r.StatusCode != 200 {
				t.Errorf("%s=%s is %d", p.Value.Name, word, r.StatusCode)
			}
		}
		if r := do(a, "GET", at+"?"+p.Value.Name+"=other", ""); r.StatusCode != 400 && p.Value.Name != "returnbody" { // of which everything but true is false
			t.Errorf("%s=other is %d", p.Value.Name, r.StatusCode)
		}
	}
}

// Each JSON body that is described is described whole, so that an answer with a field that the
// document does not have fails the tests with real nodes.
func TestOpenAPIHasNoOpenObject(t *testing.T) {
	doc := describedAPI(t, newCluster(t).server(t))
	var walk func(at string, ref *openapi3.SchemaRef)
	walk = func(at string, ref *openapi3.SchemaRef) {
		if ref == nil {
			return
		}
		s := ref.Value
		if s.Type.Is("object") && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
			t.Errorf("%s does not say whether there are other fields", at)
		}
		for name, p := range s.Properties {
			walk(at+"."+name, p)
		}
		walk(at+"[]", s.Items)
		walk(at+".*", s.AdditionalProperties.Schema)
		for _, one := range s.AnyOf {
			walk(at, one)
		}
	}
	for name, s := range doc.Components.Schemas {
		walk(name, s)
	}
	for name, r := range doc.Components.Responses {
		media, ok := r.Value.Content["application/json"]
		if ok && media.Schema == nil {
			t.Errorf("%s is JSON without a schema", name)
		} else if ok {
			walk(name, media.Schema)
		}
	}
}
