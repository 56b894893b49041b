package httpapi

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"cartwheel/props"
)

// changeType sends a change of a bucket type as JSON.
func changeType(t *testing.T, a *API, typ, body string, status int, answer string) *http.Response {
	t.Helper()
	return want(t, do(a, "PUT", "/types/"+typ+"/props", body, "Content-Type", "application/json"), status, answer)
}

func TestTypes(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	list := func(answer string) {
		t.Helper()
		r := want(t, do(a, "GET", "/types", ""), 200, `{"types":[`+answer+`]}`+"\n")
		if r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("Content-Type %q", r.Header.Get("Content-Type"))
		}
	}
	list(`"default"`)
	const key = "/types/a%20b/buckets/b/keys/k"
	for _, target := range []string{key, "/types/a%20b/buckets/b/props", "/types/a%20b/props"} {
		r := want(t, do(a, "GET", target, ""), 404, "-")
		want(t, do(a, "HEAD", target, ""), 404, "")
		if strings.Contains(target, "keys") != (r.Header.Get("Content-Type") == "text/plain") {
			t.Errorf("%s: Content-Type %q", target, r.Header.Get("Content-Type"))
		}
	}
	want(t, do(a, "PUT", key, "x", "Content-Type", "text/plain"), 404, "Unknown bucket type: a b")
	want(t, do(a, "DELETE", key, ""), 404, "Unknown bucket type: a b")
	want(t, do(a, "GET", "/types/a%20b/props", ""), 404, `{"error":"Unknown bucket type: a b"}`+"\n")
	want(t, do(a, "DELETE", "/types/a%20b/props", ""), 404, "Unknown bucket type: a b")

	changeType(t, a, "a%20b", `{"props":{}}`, 204, "")
	list(`"a b","default"`)
	put(t, a, key, "x")
	want(t, do(a, "GET", key, ""), 200, "x")
	want(t, do(a, "GET", "/buckets/b/keys/k", ""), 404, "-") // another object
	changeType(t, a, "a%20b", `{"props":{"r":"one","pr":2,"backend":"x"}}`, 204, "")
	if p := shownProps(t, a, "/types/a%20b/props"); p["pr"] != 2.0 || p["backend"] != "x" || p["active"] != true || p["allow_mult"] != true {
		t.Errorf("shown of the type: %v", p)
	}
	if p := shownProps(t, a, "/types/a+b/buckets/b/props"); p["pr"] != 2.0 || p["name"] != "b" {
		t.Errorf("shown of its bucket: %v", p)
	}
	do(a, "GET", key, "")
	if o := c.gets[len(c.gets)-1].Options; o.R != 1 || o.PR != 2 {
		t.Errorf("the type does not steer a read: %+v", o)
	}
	want(t, do(a, "PUT", "/types/a%20b/buckets/b/props", `{"props":{"pr":1}}`, "Content-Type", "application/json"), 204, "")
	if p := shownProps(t, a, "/types/a%20b/buckets/b/props"); p["pr"] != 1.0 || p["r"] != "one" {
		t.Errorf("shown of a bucket with its own: %v", p)
	}
	want(t, do(a, "DELETE", "/types/a%20b/buckets/b/props", ""), 204, "")
	if p := shownProps(t, a, "/types/a%20b/buckets/b/props"); p["pr"] != 2.0 {
		t.Errorf("after the reset: %v", p)
	}
	if p := shownProps(t, a, "/types/default/props"); p["pr"] != 0.0 || p["n_val"] != 3.0 || p["name"] != nil {
		t.Errorf("shown of the type default: %v", p)
	}
	want(t, do(a, "HEAD", "/types/a%20b/props", ""), 200, "")
}

func TestRefusedTypes(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	const form = "bucket type PUT must be a JSON object of the form:\n{\"props\":{...bucket properties...}}\n"
	for _, body := range []string{"", "{}", "[]", "nope", `{"props":1}`, "\xff"} {
		changeType(t, a, "t", body, 400, form)
	}
	changeType(t, a, "t", `{"props":{"r":0,"datatype":"set","consistent":true,"resolve":"x"}}`, 400,
		`{"consistent":"not_supported","datatype":"cannot_be_set","r":"not_valid_quorum","resolve":"not_valid_resolve"}`+"\n")
	changeType(t, a, "t", `{"props":{"x":"`+strings.Repeat("y", 100<<10)+`"}}`, 413, "-")
	changeType(t, a, "t", `{"props":{"x":"`+strings.Repeat("y", 200<<10)+`"}}`, 413, "-")
	want(t, do(a, "PUT", "/types/t/props", `{"props":{}}`, "Content-Type", "text/plain"), 415, "-")
	for _, name := range []string{"a%2Fb", "%00", "%0A", "%FF", strings.Repeat("x", 256)} {
		changeType(t, a, name, `{"props":{}}`, 400, `{"error":"the name of a bucket type is 1 to 255 bytes of printable UTF-8 without a slash; . and .. are none"}`+"\n")
	}
	changeType(t, a, strings.Repeat("x", 5000), `{"props":{}}`, 414, "-")

	r := changeType(t, a, "default", `{"props":{}}`, 405, "-")
	if r.Header.Get("Allow") != "HEAD, GET" {
		t.Errorf("the type default allows %q", r.Header.Get("Allow"))
	}
	r = want(t, do(a, "DELETE", "/types/default/props", ""), 405, "-")
	if r.Header.Get("Allow") != "HEAD, GET, PUT" {
		t.Errorf("a type allows %q", r.Header.Get("Allow"))
	}
	want(t, do(a, "PUT", "/types", `{}`), 405, "-")
	if c.table.Set().Stats().Entries != 0 {
		t.Error("something was changed")
	}
	c.apply = func(props.Change) error { return errors.New("no disk") }
	r = changeType(t, a, "t", `{"props":{}}`, 503, `{"error":"no disk"}`+"\n")
	if r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// The n_val of a type may change only while none of its buckets has an object.
func TestTypeNVal(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	changeType(t, a, "t", `{"props":{"n_val":5}}`, 204, "")
	changeType(t, a, "tt", `{"props":{}}`, 204, "")
	put(t, a, "/types/tt/buckets/b/keys/k", "x")
	put(t, a, at, "x")
	changeType(t, a, "t", `{"props":{"n_val":2}}`, 204, "")
	put(t, a, "/types/t/buckets/b/keys/k", "x")
	r := changeType(t, a, "t", `{"props":{"n_val":3}}`, 409, "-")
	if r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type %q", r.Header.Get("Content-Type"))
	}
	changeType(t, a, "t", `{"props":{"n_val":2,"r":"one"}}`, 204, "")
	if p := shownProps(t, a, "/types/t/props"); p["n_val"] != 2.0 || p["r"] != "one" {
		t.Errorf("properties %v", p)
	}
	// A bucket without objects is free to differ, and to come back.
	const other = "/types/t/buckets/other/props"
	want(t, do(a, "PUT", other, `{"props":{"n_val":1}}`, "Content-Type", "application/json"), 204, "")
	want(t, do(a, "DELETE", other, ""), 204, "")
	c.empty = func() (bool, error) { return false, errors.New("n2 is away") }
	changeType(t, a, "new", `{"props":{"n_val":3}}`, 204, "")
	changeType(t, a, "other", `{"props":{"n_val":1}}`, 503, `{"error":"n_val can change only while every bucket of the type is empty, which cannot be told now: n2 is away"}`+"\n")
}

// FuzzTypeProps: a name and a body make or change a type, or are refused with a sentence and
// change nothing.
func FuzzTypeProps(f *testing.F) {
	f.Add("t", `{"props":{"r":1}}`)
	f.Add("a/b", `{"props":{"n_val":-1,"x":[{}]}}`)
	f.Add("\xc3\xa4", `{"props":`)
	f.Add("default", `{"props":{}}`)
	f.Fuzz(func(t *testing.T, typ, body string) {
		c := newCluster(t)
		target := "/types/" + encodeSegment(typ) + "/props"
		if typ == "" {
			return // that is /types/props, which is not there
		}
		r := do(c.server(t), "PUT", target, body, "Content-Type", "application/json")
		got := text(t, r)
		switch {
		case r.StatusCode == 204 && got == "" && c.table.Set().HasType(typ):
		case (r.StatusCode == 400 || r.StatusCode == 405 || r.StatusCode == 413 || r.StatusCode == 414) && got != "" && c.table.Set().Stats().Entries == 0:
		default:
			t.Fatalf("%q %q: %d %q", typ, body, r.StatusCode, got)
		}
	})
}
