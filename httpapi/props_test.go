package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cartwheel/props"
)

const bucketProps = "/buckets/b/props"

// change sends a change of properties as JSON.
func change(t *testing.T, a *API, body string, status int, answer string) {
	t.Helper()
	want(t, do(a, "PUT", bucketProps, body, "Content-Type", "application/json"), status, answer)
}

func shownProps(t *testing.T, a *API, path string) map[string]any {
	t.Helper()
	r := do(a, "GET", path, "")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("GET %s: %d %v", path, r.StatusCode, r.Header)
	}
	var v struct{ Props map[string]any }
	if err := json.Unmarshal([]byte(text(t, r)), &v); err != nil {
		t.Fatal(err)
	}
	return v.Props
}

func TestProps(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	if p := shownProps(t, a, bucketProps); p["name"] != "b" || p["n_val"] != 3.0 || p["allow_mult"] != true || p["r"] != "quorum" {
		t.Errorf("defaults: %v", p)
	}
	change(t, a, `{"props":{"r":"one","pw":2,"notfound_ok":false,"read_repair":"before","backend":"x"}}`, 204, "")
	if p := shownProps(t, a, "/types/default"+bucketProps); p["r"] != "one" || p["pw"] != 2.0 || p["backend"] != "x" {
		t.Errorf("after the change: %v", p)
	}
	do(a, "GET", at, "")
	if o := c.gets[0].Options; o.R != 1 || o.NotFoundOK || !o.RepairBefore {
		t.Errorf("the properties do not steer a read: %+v", o)
	}
	want(t, do(a, "DELETE", bucketProps, ""), 204, "")
	want(t, do(a, "DELETE", bucketProps, ""), 204, "")
	if p := shownProps(t, a, bucketProps); p["r"] != "quorum" || p["backend"] != nil {
		t.Errorf("after the reset: %v", p)
	}
	want(t, do(a, "HEAD", bucketProps, ""), 200, "")
}

func TestRefusedProps(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	const form = "bucket PUT must be a JSON object of the form:\n{\"props\":{...bucket properties...}}\n"
	for _, body := range []string{"", "{}", "[]", "nope", `{"props":1}`, `{"props":null}`, `{"Props":{}}`, `{"props":{}`, "\xff"} {
		change(t, a, body, 400, form)
	}
	change(t, a, `{"props":{"r":0,"allow_mult":"maybe","w":"one"}}`, 400, `{"allow_mult":"not_boolean","r":"not_valid_quorum"}`+"\n")
	change(t, a, `{"props":{"x":"`+strings.Repeat("y", 100<<10)+`"}}`, 413, "-")
	change(t, a, `{"props":{"x":"`+strings.Repeat("y", 200<<10)+`"}}`, 413, "-")
	for _, kind := range []string{"text/plain", "", "application"} {
		want(t, do(a, "PUT", bucketProps, `{"props":{"w":"one"}}`, "Content-Type", kind), 415, `{"error":"Content-Type must be application/json"}`+"\n")
	}
	want(t, do(a, "PUT", "/types/nope"+bucketProps, `{}`), 404, `{"error":"Unknown bucket type: nope"}`+"\n")
	want(t, do(a, "GET", "/types/nope"+bucketProps, ""), 404, "-")
	r := want(t, do(a, "POST", bucketProps, `{}`), 405, "-")
	if r.Header.Get("Allow") != "HEAD, GET, PUT, DELETE" {
		t.Errorf("Allow: %q", r.Header.Get("Allow"))
	}
	if c.table.Set().Stats().Entries != 0 {
		t.Error("something was changed")
	}
	change(t, a, `{"props":{}}`, 204, "")
	want(t, do(a, "PUT", bucketProps, `{"props":{"w":"one"}}`, "Content-Type", "application/json; charset=utf-8"), 204, "")

	c.apply = func(props.Change) error { return fmt.Errorf("%w: too many", props.ErrFull) }
	change(t, a, `{"props":{}}`, 507, `{"error":"props: no room for more properties: too many"}`+"\n")
	c.apply = func(props.Change) error { return errors.New("no disk") }
	change(t, a, `{"props":{}}`, 503, `{"error":"no disk"}`+"\n")
}

// n_val may change only while the bucket is empty, by a change as well as by a reset.
func TestNVal(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	change(t, a, `{"props":{"n_val":5}}`, 204, "")
	put(t, a, "/buckets/other/keys/k", "x")
	change(t, a, `{"props":{"n_val":2}}`, 204, "")
	put(t, a, at, "x")
	change(t, a, `{"props":{"n_val":3}}`, 409, "-")
	change(t, a, `{"props":{"n_val":2,"r":"one"}}`, 204, "") // no change of it
	want(t, do(a, "DELETE", bucketProps, ""), 409, "-")
	if p := shownProps(t, a, bucketProps); p["n_val"] != 2.0 || p["r"] != "one" {
		t.Errorf("properties %v", p)
	}
	c.empty = func() (bool, error) { return true, errors.New("n2 is away") }
	r := do(a, "DELETE", bucketProps, "")
	want(t, r, 503, `{"error":"n_val can change only while the bucket is empty, which cannot be told now: n2 is away"}`+"\n")
	if r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	c.empty = func() (bool, error) { return true, nil }
	want(t, do(a, "DELETE", bucketProps, ""), 204, "")
}

// FuzzProps: a body is taken or refused with a sentence, and refused ones change nothing.
func FuzzProps(f *testing.F) {
	for _, s := range []string{`{"props":{"r":1}}`, `{"props":{"n_val":-1,"x":[{}]}}`, `{"props":`, "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		c := newCluster(t)
		r := do(c.server(t), "PUT", bucketProps, body, "Content-Type", "application/json")
		got := text(t, r)
		switch {
		case r.StatusCode == 204 && got == "":
		case (r.StatusCode == 400 || r.StatusCode == 413) && got != "" && c.table.Set().Stats().Entries == 0:
		default:
			t.Fatalf("%q: %d %q", body, r.StatusCode, got)
		}
	})
}
