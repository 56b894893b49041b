package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"cartwheel/props"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// setProps changes the properties of bucket b.
func setProps(t *testing.T, a http.Handler, json string) {
	t.Helper()
	want(t, do(a, "PUT", "/buckets/b/props", `{"props":`+json+`}`, "Content-Type", "application/json"), 204, "")
}

// writeAll stores values that know nothing of each other as JSON under key k of bucket b.
func writeAll(t *testing.T, a http.Handler, values ...string) {
	t.Helper()
	for _, v := range values {
		want(t, do(a, "PUT", "/buckets/b/keys/k", v, "Content-Type", "application/json"), 204, "")
	}
}

func TestResolvedRead(t *testing.T) {
	a := newCluster(t).server(t)
	writeAll(t, a, `["milk"]`, `["bread","milk"]`)
	const path = "/buckets/b/keys/k"
	siblings := want(t, do(a, "GET", path, ""), 300, "-") // the default
	setProps(t, a, `{"resolve":"union"}`)

	r := want(t, do(a, "GET", path, ""), 200, `["bread","milk"]`)
	for name, value := range map[string]string{
		"X-Riak-Vclock": siblings.Header.Get("X-Riak-Vclock"), "Content-Type": "application/json",
		"Last-Modified": siblings.Header.Get("Last-Modified"),
	} {
		if got := r.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	receipt, tag := r.Header.Get("X-Cartwheel-Receipt"), etagOf(r)
	if !strings.HasSuffix(receipt, " resolved=union") {
		t.Errorf("receipt: %s", receipt)
	}
	if tag == etagOf(siblings) || !strings.HasPrefix(tag, `"union.`) {
		t.Errorf("ETag %s, of the siblings %s", tag, etagOf(siblings))
	}
	if head := want(t, do(a, "HEAD", path, ""), 200, ""); etagOf(head) != tag {
		t.Errorf("HEAD has the tag %s, GET %s", etagOf(head), tag)
	}
	want(t, do(a, "GET", path, "", "If-None-Match", tag), 304, "")
	want(t, do(a, "GET", path, "", "If-None-Match", etagOf(siblings)), 200, "-")
	want(t, do(a, "GET", path, "", "Accept", "text/html"), 406, "-")

	// What stands behind it can still be seen.
	all := want(t, do(a, "GET", path+"?resolve=siblings", ""), 300, "-")
	if got := all.Header.Get("X-Cartwheel-Receipt"); strings.Contains(got, "resolved") {
		t.Errorf("receipt of siblings: %s", got)
	}
	lines := strings.Split(text(t, do(a, "GET", path+"?resolve=siblings", "")), "\n")
	one := want(t, do(a, "GET", path+"?vtag="+lines[1], ""), 200, "-")
	if etagOf(one) != `"`+lines[1]+`"` || strings.Contains(one.Header.Get("X-Cartwheel-Receipt"), "resolved") {
		t.Errorf("a sibling by its vtag: %v", one.Header)
	}
	want(t, do(a, "GET", path+"?resolve=lww", ""), 200, `["bread","milk"]`)

	// Another sibling changes the tag, though not the value.
	writeAll(t, a, `["milk"]`)
	if r := want(t, do(a, "GET", path, ""), 200, `["bread","milk"]`); etagOf(r) == tag {
		t.Error("a new sibling did not change the tag")
	}
}

// TestResolvedIsWrittenBack: the next write with the context of the answer replaces the siblings.
func TestResolvedIsWrittenBack(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	setProps(t, a, `{"resolve":"json_merge"}`)
	writeAll(t, a, `{"theme":"dark"}`, `{"name":"Anna"}`)
	r := want(t, do(a, "GET", "/buckets/b/keys/k", ""), 200, `{"name":"Anna","theme":"dark"}`)
	writeAllWith(t, a, r, `{"name":"Anna","theme":"light"}`)
	r = want(t, do(a, "GET", "/buckets/b/keys/k", ""), 200, `{"name":"Anna","theme":"light"}`)
	if got := r.Header.Get("X-Cartwheel-Receipt"); strings.Contains(got, "resolved") {
		t.Errorf("one value was resolved: %s", got)
	}
	if n := len(c.records[(ring.Key{Type: "default", Bucket: "b", Key: "k"}).Name()].Object.Siblings); n != 1 {
		t.Errorf("%d siblings are stored", n)
	}
}

func writeAllWith(t *testing.T, a http.Handler, read *http.Response, value string) {
	t.Helper()
	want(t, do(a, "PUT", "/buckets/b/keys/k", value, "Content-Type", "application/json",
		"X-Riak-Vclock", read.Header.Get("X-Riak-Vclock")), 204, "")
}

func TestResolvedConditions(t *testing.T) {
	a := newCluster(t).server(t)
	setProps(t, a, `{"resolve":"max"}`)
	writeAll(t, a, "7", "5")
	put := func(query, tag string, status int) {
		t.Helper()
		want(t, do(a, "PUT", "/buckets/b/keys/k"+query, "1", "Content-Type", "application/json", "If-Match", tag), status, "-")
	}
	resolved := etagOf(do(a, "GET", "/buckets/b/keys/k", ""))
	siblings := etagOf(do(a, "GET", "/buckets/b/keys/k?resolve=siblings", ""))
	put("", siblings, 412)
	put("?resolve=siblings", resolved, 412)
	put("?resolve=siblings", siblings, 204)
	put("", resolved, 412) // the write has made a third sibling
	put("", etagOf(do(a, "GET", "/buckets/b/keys/k", "")), 204)
}

func TestResolvedReturnBody(t *testing.T) {
	a := newCluster(t).server(t)
	setProps(t, a, `{"resolve":"max"}`)
	writeAll(t, a, "7")
	const path = "/buckets/b/keys/k?returnbody=true"
	r := want(t, do(a, "PUT", path, "5", "Content-Type", "application/json"), 200, "7")
	if !strings.HasSuffix(r.Header.Get("X-Cartwheel-Receipt"), " resolved=max") {
		t.Errorf("receipt: %s", r.Header.Get("X-Cartwheel-Receipt"))
	}
	want(t, do(a, "PUT", path+"&resolve=siblings", "6", "Content-Type", "application/json"), 300, "-")
}

// TestNotResolved has siblings that no rule may touch.
func TestNotResolved(t *testing.T) {
	for _, c := range []struct {
		name, how string
		headers   []string
		value     string
	}{
		{"another content type", "union", []string{"Content-Type", "text/plain"}, `["x"]`},
		{"a value that does not parse", "union", []string{"Content-Type", "application/json"}, `["x"`},
		{"a value of another form", "max", []string{"Content-Type", "application/json"}, `["x"]`},
		{"a compressed value", "union", []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}, `["x"]`},
		{"no rule", "siblings", []string{"Content-Type", "application/json"}, `["x"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newCluster(t).server(t)
			setProps(t, a, `{"resolve":"`+c.how+`"}`)
			writeAll(t, a, `["y"]`)
			want(t, do(a, "PUT", "/buckets/b/keys/k", c.value, c.headers...), 204, "")
			r := want(t, do(a, "GET", "/buckets/b/keys/k", ""), 300, "-")
			if strings.Contains(r.Header.Get("X-Cartwheel-Receipt"), "resolved") {
				t.Errorf("receipt: %s", r.Header.Get("X-Cartwheel-Receipt"))
			}
			want(t, do(a, "GET", "/buckets/b/keys/k?resolve=lww", "", "Accept-Encoding", "gzip"), 200, "-") // lww fits all
		})
	}
}

func TestResolvedBesideTombstone(t *testing.T) {
	a := newCluster(t).server(t)
	setProps(t, a, `{"resolve":"union"}`)
	writeAll(t, a, `[1]`)
	first := do(a, "GET", "/buckets/b/keys/k", "")
	writeAll(t, a, `[2]`, `[3]`)
	want(t, do(a, "DELETE", "/buckets/b/keys/k", "", "X-Riak-Vclock", first.Header.Get("X-Riak-Vclock")), 204, "")
	want(t, do(a, "GET", "/buckets/b/keys/k", ""), 200, `[2,3]`)
	all := do(a, "GET", "/buckets/b/keys/k", "")
	want(t, do(a, "DELETE", "/buckets/b/keys/k", "", "X-Riak-Vclock", all.Header.Get("X-Riak-Vclock")), 204, "")
	r := want(t, do(a, "GET", "/buckets/b/keys/k", ""), 404, "not found\n")
	if strings.Contains(r.Header.Get("X-Cartwheel-Receipt"), "resolved") {
		t.Errorf("receipt: %s", r.Header.Get("X-Cartwheel-Receipt"))
	}
}

// TestLossyBucketIsNotResolved: such a bucket shows one value already, and says that it drops others.
func TestLossyBucketIsNotResolved(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	writeAll(t, a, `[1]`, `[2]`)
	setProps(t, a, `{"resolve":"union","last_write_wins":true}`)
	r := want(t, do(a, "GET", "/buckets/b/keys/k", ""), 200, `[2]`)
	if got := r.Header.Get("X-Cartwheel-Receipt"); !strings.HasSuffix(got, "lossy=true") {
		t.Errorf("receipt: %s", got)
	}
}

func TestResolveParameter(t *testing.T) {
	a := newCluster(t).server(t)
	for _, word := range []string{"union", "UNION", "", "newest"} {
		status := 400
		if word == "union" {
			status = 404
		}
		r := do(a, "GET", "/buckets/b/keys/none?resolve="+word, "")
		if body := text(t, r); r.StatusCode != status || status == 400 && !strings.Contains(body, "resolve query parameter must be one of") {
			t.Errorf("%q: %d %q", word, r.StatusCode, body)
		}
	}
	setProps(t, a, `{"resolve":"union"}`)
	writeAll(t, a, `[1]`, `[2]`)
	want(t, do(a, "GET", "/buckets/b/keys/k?resolve=default", ""), 200, `[1,2]`)
	want(t, do(a, "PUT", "/buckets/b/props", `{"props":{"resolve":"newest"}}`, "Content-Type", "application/json"), 400, "-")
}

// TestEveryWordHasItsRule checks that each word of package props means something.
func TestEveryWordHasItsRule(t *testing.T) {
	v := view{object: vclock.Object{}, shown: []vclock.Sibling{
		{ContentType: "application/json", Value: []byte("1")}, {ContentType: "application/json", Value: []byte("2")}}}
	seen := map[any]string{}
	for how := range props.ResolveJSONMerge + 1 {
		if other, ok := seen[rule(how)]; ok {
			t.Errorf("%s does what %s does", how, other)
		}
		seen[rule(how)] = how.String()
	}
	if note := v.resolve(props.ResolveJSONMerge + 1); note != "" || len(v.shown) != 2 {
		t.Errorf("an unknown word: %q, %v", note, v.shown)
	}
}

func BenchmarkResolvedRead(b *testing.B) {
	c := newCluster(b)
	a := c.server(b)
	for range 2 {
		do(a, "PUT", "/buckets/b/keys/k", `["some item","another item"]`, "Content-Type", "application/json")
	}
	for _, query := range []string{"", "?resolve=lww", "?resolve=union"} {
		b.Run("siblings=2/query="+query, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				do(a, "GET", "/buckets/b/keys/k"+query, "")
			}
		})
	}
}

// TestResolvedTime: the greatest value may be an old one, and the answer is as new as the newest.
func TestResolvedTime(t *testing.T) {
	c := newCluster(t)
	key := ring.Key{Type: "default", Bucket: "b", Key: "k"}
	old, late := time.Unix(1e9, 0).UTC(), time.Unix(1e9+3600, 0).UTC()
	c.stored(key, vclock.Write{ContentType: "application/json", Value: []byte("7"), Time: vclock.TimeOf(old)})
	c.stored(key, vclock.Write{ContentType: "application/json", Value: []byte("5"), Time: vclock.TimeOf(late)})
	r := want(t, do(c.server(t), "GET", "/buckets/b/keys/k?resolve=max", ""), 200, "7")
	if got := r.Header.Get("Last-Modified"); got != late.Format(http.TimeFormat) {
		t.Errorf("Last-Modified %s, want %s", got, late.Format(http.TimeFormat))
	}
}
