package httpapi

import (
	"encoding/json"
	"strings"
	"testing"

	"cartwheel/vclock"
)

// Old and present paths lead to the same objects; the paths in answers have the form of the
// request's.
func TestOldPaths(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	plain := []string{"Content-Type", "text/plain"}
	want(t, do(a, "PUT", "/riak/a%2Fb/k%20", "v", append(plain, "Link",
		`</riak/a%2Fb>; rel="up", </riak/a%2Fb/x>; riaktag="t, </buckets/", </buckets/c/keys/y%2Fz>; riaktag="u"`)...), 204, "")
	const present = `</buckets/a%2Fb>; rel="up", </buckets/a%2Fb/keys/x>; riaktag="t, </buckets/", </buckets/c/keys/y%2Fz>; riaktag="u"`
	const old = `</riak/a%2Fb>; rel="up", </riak/a%2Fb/x>; riaktag="t, </buckets/", </riak/c/y%2Fz>; riaktag="u"`
	r := want(t, do(a, "GET", "/buckets/a%2Fb/keys/k+", ""), 200, "v")
	o := want(t, do(a, "GET", "/riak/a%2Fb/k+", ""), 200, "v")
	if r.Header.Get("Link") != present || o.Header.Get("Link") != old {
		t.Errorf("Link\n%s\n%s", r.Header.Get("Link"), o.Header.Get("Link"))
	}
	if o.Header.Get("ETag") != r.Header.Get("ETag") || o.Header.Get("X-Riak-Vclock") != r.Header.Get("X-Riak-Vclock") || o.Header.Get("X-Riak-Vclock") == "" {
		t.Errorf("%v\n%v", r.Header, o.Header)
	}
	want(t, do(a, "HEAD", "/riak/a%2Fb/k+", ""), 200, "")
	want(t, do(a, "POST", "/riak/a%2Fb/k+", "w", plain...), 204, "")
	body := text(t, do(a, "GET", "/riak/a%2Fb/k+", "", "Accept", "multipart/mixed"))
	if strings.Count(body, `Link: </riak/a%2Fb>; rel="up"`) != 2 || strings.Contains(body, "Link: </buckets/") {
		t.Errorf("got %s", body)
	}
	body = text(t, do(a, "GET", "/buckets/a%2Fb/keys/k+", "", "Accept", "multipart/mixed"))
	if strings.Count(body, `Link: </buckets/a%2Fb>; rel="up"`) != 2 || strings.Contains(body, "Link: </riak/") {
		t.Errorf("got %s", body)
	}
	want(t, do(a, "GET", "/riak/a%2Fb/k+?r=x", ""), 400, "-")
	r = want(t, do(a, "POST", "/riak/a%2Fb", "w", plain...), 201, "")
	place := r.Header.Get("Location")
	if !strings.HasPrefix(place, "/riak/a%2Fb/") {
		t.Fatalf("Location %q", place)
	}
	r = want(t, do(a, "GET", place, ""), 200, "w")
	if r.Header.Get("Link") != `</riak/a%2Fb>; rel="up"` {
		t.Errorf("Link %q", r.Header.Get("Link"))
	}
	want(t, do(a, "DELETE", place, ""), 204, "")
	want(t, do(a, "GET", "/buckets/a%2Fb/keys/"+strings.TrimPrefix(place, "/riak/a%2Fb/"), ""), 404, "not found\n")
	r = want(t, do(a, "OPTIONS", "/riak/b/k", ""), 405, "-")
	if r.Header.Get("Allow") != "HEAD, GET, POST, PUT, DELETE" {
		t.Errorf("Allow %q", r.Header.Get("Allow"))
	}
}

// /riak/BUCKET is the properties, the keys, or both.
func TestOldBucket(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	c.fill("k")
	want(t, do(a, "PUT", "/riak/b", `{"props":{"allow_mult":false}}`, "Content-Type", "application/json"), 204, "")
	props := strings.TrimSuffix(text(t, do(a, "GET", "/buckets/b/props", "")), "\n")
	if !strings.Contains(props, `"allow_mult":false`) {
		t.Fatal(props)
	}
	for query, body := range map[string]string{
		"":                             props + "\n",
		"?props=true":                  props + "\n",
		"?props=True&keys=False":       props + "\n",
		"?props=false":                 "{}\n",
		"?keys=true":                   props[:len(props)-1] + `,"keys":["k"]}` + "\n",
		"?keys=true&props=false":       `{"keys":["k"]}` + "\n",
		"?keys=stream":                 props + `{"keys":["k"]}{"keys":[]}`,
		"?keys=stream&props=false":     `{"keys":["k"]}{"keys":[]}`,
		"?keys=stream&prefix=x":        props + `{"keys":[]}`,
		"?keys=count":                  `{"count":1}` + "\n",
		"?keys=true&limit=1&props=no":  props[:len(props)-1] + `,"keys":["k"]}` + "\n",
		"?keys=true&props=FALSE&start": `{"keys":["k"]}` + "\n",
	} {
		want(t, do(a, "GET", "/riak/b"+query, ""), 200, body)
	}
	want(t, do(a, "GET", "/riak", ""), 200, `{"buckets":[]}`+"\n")
	want(t, do(a, "GET", "/riak/?buckets=true", ""), 200, `{"buckets":["b"]}`+"\n")
	want(t, do(a, "GET", "/riak/b?timeout=x", ""), 400, `{"error":"Bad timeout value \"x\""}`+"\n")
	if !json.Valid([]byte(text(t, do(a, "GET", "/riak/b?keys=true", "")))) {
		t.Error("not JSON")
	}
}

// FuzzLinkForms: conversion there and back is the same as conversion alone, and what comes
// out is a list of links as they are stored.
func FuzzLinkForms(f *testing.F) {
	f.Add(`</buckets/b/keys/k>; riaktag="t", </riak/b/k>; riaktag="</riak/"`)
	f.Add(`</buckets/b/keys/keys>; riaktag="a"`)
	f.Fuzz(func(t *testing.T, list string) {
		pairs, refused := addLinks(nil, list)
		if refused != nil || len(pairs) == 0 {
			return
		}
		stored := pairs[0].Value
		for _, old := range []bool{false, true} {
			converted := convertLinks(stored, old)
			if back := convertLinks(convertLinks(converted, !old), old); back != converted {
				t.Fatalf("%q became %q", converted, back)
			}
			again, refused := addLinks(nil, links("b", &vclock.Sibling{Meta: pairs}, old))
			if refused != nil || len(again) != 1 || again[0].Value != converted {
				t.Fatalf("%q is shown as %q", stored, again)
			}
		}
	})
}
