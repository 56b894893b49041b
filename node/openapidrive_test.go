package node

import (
	"bufio"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// driver makes requests of real nodes whose answers must be in the document.
type driver struct {
	*described
	p       *place
	node    *machine // that is asked
	unready *machine // a node that waits for others
}

// TestOpenAPIIsTrue drives every path, method and status of the document against real nodes. An answer that the
// document does not have fails it, as does one that the document has and no node gives.
func TestOpenAPIIsTrue(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		lone := p.config("lone", 9, 2)
		lone.Join = []string{"10.0.0.8:7000"}
		text, err := nodes[0].ask("GET", "/openapi.yaml", "")
		if err != nil {
			t.Fatal(err)
		}
		d := &driver{described: newDescribed(t, text.body), p: p, node: nodes[0], unready: p.start(lone)}
		d.send(204, "PUT", "/types/T/props", `{"props":{}}`, "Content-Type", "application/json")
		d.send(204, "PUT", "/types/none-yet/props", `{"props":{"n_val":2}}`, "Content-Type", "application/json")
		for _, o := range []struct{ root, objects, unknown string }{
			{"/buckets/b", "/buckets/b/keys/", ""},
			{"/types/T/buckets/b", "/types/T/buckets/b/keys/", "/types/U/buckets/b/keys/"},
			{"/riak/b", "/riak/b/", ""},
		} {
			d.setProps(o.root+"c", `{"require_context":true}`)
			d.objects(o.objects, o.unknown)
		}
		d.chosenKeys("/buckets/b/keys", "")
		d.chosenKeys("/types/T/buckets/b/keys", "/types/U/buckets/b/keys")
		d.chosenKeys("/riak/b", "")
		d.lists()
		d.batches()
		d.properties()
		d.pages()
		d.otherMethods()
		d.slowBodies()
		nodes[2].stop()
		d.unknownEmptiness()
		d.unseen(map[string]string{
			"507": "takes 8 MiB of properties; the tests of httpapi have it",
		})
	})
}

// send makes a request that must have this status.
func (d *driver) send(status int, method, path, body string, headers ...string) reply {
	d.t.Helper()
	return d.sendTo(d.node, status, method, path, body, headers...)
}

func (d *driver) sendTo(m *machine, status int, method, path, body string, headers ...string) reply {
	d.t.Helper()
	a, err := m.ask(method, path, body, headers...)
	if err != nil || a.status != status {
		d.t.Errorf("%s %.100s: %.300v %v, want %d", method, path, a, err, status)
		return a
	}
	d.check(method, path, a)
	return a
}

// setProps changes properties through the path that the bucket has.
func (d *driver) setProps(root, props string) {
	d.t.Helper()
	path := root
	if !strings.HasPrefix(root, "/riak/") {
		path += "/props"
	}
	d.send(204, "PUT", path, `{"props":`+props+`}`, "Content-Type", "application/json")
}

var (
	long    = strings.Repeat("x", 4097)
	large   = strings.Repeat("x", 1<<20+1)
	asText  = []string{"Content-Type", "text/plain"}
	asBatch = []string{"Content-Type", "application/x-ndjson"}
	asProps = []string{"Content-Type", "application/json"}
)

func with(headers []string, more ...string) []string {
	return append(append([]string{}, headers...), more...)
}

// untyped returns the path of the type that every node knows.
func untyped(path string) string { return strings.Replace(path, "/types/T/", "/types/default/", 1) }

// objects drives the objects below a path that ends in a slash. unknown is the same of a bucket
// type that does not exist, "" without types.
func (d *driver) objects(at, unknown string) {
	d.t.Helper()
	strict := strings.Replace(at, "/b/", "/bc/", 1) // the bucket that requires a context
	name := strings.NewReplacer("/", "-").Replace(at)
	k, two := at+"k"+name, at+"two"+name
	md5sum := md5.Sum([]byte("v"))
	d.send(204, "PUT", k, "v", with(asText, "X-Riak-Meta-Color", "blue", "X-Riak-Index-a_int", "1", "Content-Encoding", "identity",
		"Link", `</buckets/b/keys/j>; riaktag="t"`, "Content-MD5", base64.StdEncoding.EncodeToString(md5sum[:]))...)
	context := d.send(200, "GET", k, "").header.Get("X-Riak-Vclock")
	d.send(204, "PUT", k+"empty?returnbody=true", "", with(asText, "Content-Encoding", "identity")...)
	d.send(204, "POST", k+"empty?returnbody=true", "", with(asText, "X-Riak-Vclock", d.send(200, "GET", k+"empty", "").header.Get("X-Riak-Vclock"))...)
	for range 2 {
		d.send(204, "PUT", two, "v", asText...)
	}
	for _, m := range []string{"GET", "HEAD"} {
		tag := d.send(200, m, k, "").header.Get("ETag")
		d.send(300, m, two, "")
		d.send(300, m, two, "", "Accept", "multipart/mixed")
		d.send(304, m, k, "", "If-None-Match", tag)
		d.send(400, m, k+"?r=x", "")
		d.send(404, m, at+"none", "")
		d.send(404, m, k+"?vtag=x", "")
		d.send(406, m, k, "", "Accept", "image/png")
		d.send(412, m, k, "", "If-Match", `"x"`)
		d.send(414, m, at+long, "")
		d.send(503, m, k+"?timeout=0", "")
		d.sendTo(d.unready, 503, m, untyped(k), "")
		if unknown != "" {
			d.send(404, m, unknown+"k", "")
		}
	}
	old := d.full(at, "full"+name)
	for _, m := range []string{"PUT", "POST"} {
		d.send(200, m, k+m+"?returnbody=true&consistency=strict", "v", asText...)
		d.send(300, m, k+m+"?returnbody=true", "v", asText...)
		d.send(400, m, k+"?w=x", "v", asText...)
		d.send(400, m, k+"?w=4", "v", asText...)
		d.send(400, m, k, "v")
		if unknown != "" {
			d.send(404, m, unknown+"k", "v", asText...)
		}
		d.send(409, m, at+"full"+name, "v", asText...)
		d.send(412, m, k, "v", with(asText, "If-None-Match", "*")...)
		d.announce(413, m, k, "text/plain", len(large))
		d.send(414, m, at+long, "v", asText...)
		d.send(415, m, k, "v", "Content-Type", "foo")
		d.send(204, m, strict+m+name, "v", asText...)
		d.send(428, m, strict+m+name, "v", asText...)
		d.send(431, m, k, "v", with(asText, "X-Riak-Meta-A", large[:70000])...)
		d.send(503, m, k+"?timeout=0", "v", asText...)
		d.sendTo(d.unready, 503, m, untyped(k), "v", asText...)
	}
	d.send(409, "PUT", k, "v", with(asText, "X-Riak-If-Not-Modified", "x")...)

	d.send(204, "DELETE", k, "", "X-Riak-Vclock", context)
	d.send(404, "DELETE", k, "")
	d.send(404, "GET", k, "")
	d.send(400, "DELETE", k+"?rw=x", "")
	d.send(409, "DELETE", at+"full"+name, "", "X-Riak-Vclock", old)
	d.send(412, "DELETE", two, "", "If-Match", `"x"`)
	d.send(414, "DELETE", at+long, "")
	d.send(503, "DELETE", two+"?timeout=0", "")
	d.sendTo(d.unready, 503, "DELETE", untyped(two), "")
	if unknown != "" {
		d.send(404, "DELETE", unknown+"k", "")
	}
}

// full gives a key as many siblings as it may have, and returns a context that covers none of them.
func (d *driver) full(at, key string) (context string) {
	d.t.Helper()
	d.send(204, "PUT", at+key, "v", asText...)
	context = d.send(200, "GET", at+key, "").header.Get("X-Riak-Vclock")
	d.send(204, "PUT", at+key, "v", with(asText, "X-Riak-Vclock", context)...)
	batch := "/buckets/b/batch"
	if strings.HasPrefix(at, "/types") {
		batch = "/types/T/buckets/b/batch"
	}
	d.send(200, "POST", batch, strings.Repeat(`{"op":"put","key":"`+key+`","value":"v"}`+"\n", 99), asBatch...)
	return context
}

// chosenKeys drives a path that stores under a key of the node's choice.
func (d *driver) chosenKeys(path, unknown string) {
	d.t.Helper()
	d.send(201, "POST", path, "v", asText...)
	named := with(asText, "Idempotency-Key", path, "Content-Encoding", "identity")
	at := d.send(201, "POST", path+"?returnbody=true", "v", named...).header.Get("Location")
	d.send(204, "PUT", at, "beside", asText...)
	d.send(300, "POST", path+"?returnbody=true", "v", named...)
	d.send(204, "DELETE", at, "")
	d.send(204, "POST", path+"?returnbody=true", "v", named...)
	d.send(400, "POST", path+"?w=x", "v", asText...)
	d.announce(413, "POST", path, "text/plain", len(large))
	d.send(414, "POST", strings.NewReplacer("/b/", "/"+long+"/", "/riak/b", "/riak/"+long).Replace(path), "v", asText...)
	d.send(415, "POST", path, "v", "Content-Type", "foo")
	d.send(431, "POST", path, "v", with(asText, "X-Riak-Meta-A", large[:70000])...)
	d.send(503, "POST", path+"?timeout=0", "v", asText...)
	if unknown != "" {
		d.send(404, "POST", unknown, "v", asText...)
	}
}

// lists drives the lists of keys and buckets.
func (d *driver) lists() {
	d.t.Helper()
	for _, l := range []struct{ path, noun string }{
		{"/buckets/b/keys", "keys"}, {"/types/T/buckets/b/keys", "keys"}, {"/riak/b", "keys"},
		{"/buckets", "buckets"}, {"/types/T/buckets", "buckets"}, {"/riak", "buckets"},
	} {
		for _, m := range []string{"GET", "HEAD"} {
			d.send(200, m, l.path, "")
			for _, query := range []string{"=true", "=stream", "=count", "=true&limit=1", "=stream&limit=1", "=true&sort=true&prefix=k&start=k&encoding=url"} {
				d.send(200, m, l.path+"?"+l.noun+query, "")
			}
			d.send(400, m, l.path+"?limit=0", "")
		}
		d.send(503, "GET", l.path+"?timeout=0&"+l.noun+"=true", "")
	}
	for _, m := range []string{"GET", "HEAD"} {
		d.send(200, m, "/riak/b?props=false", "")
		for _, path := range []string{"/buckets/" + long + "/keys", "/types/T/buckets/" + long + "/keys", "/types/" + long + "/buckets", "/riak/" + long} {
			d.send(414, m, path, "")
		}
		d.send(404, m, "/types/U/buckets", "")
		d.send(404, m, "/types/U/buckets/b/keys", "")
	}
}

// batches drives batches.
func (d *driver) batches() {
	d.t.Helper()
	lines := `{"op":"put","key":"k","value":"v","meta":{"a":"b"},"indexes":{"a_int":1,"b_bin":["x"]},"link":"</riak/b/k>; riaktag=\"t\"","content_encoding":"identity"}
{"op":"get","key":"k"}
{"op":"put","key":"k","base64":"/w=="}
{"op":"get","key":"k"}
{"op":"put","key":"k","value":"` + large + `"}
{"op":"get","key":"` + long + `"}
{"op":"delete","key":"k"}
{"op":"delete","key":"k"}
nonsense
`
	for _, root := range []string{"/buckets/e", "/types/T/buckets/e"} {
		a := d.send(200, "POST", root+"/batch?returnbody=true", lines, asBatch...)
		for _, status := range []string{"200", "204", "300", "400", "404", "413", "414"} {
			if !strings.Contains(a.body, `"status":`+status+`,`) && !strings.Contains(a.body, `"status":`+status+`}`) {
				d.t.Errorf("no line of the batch has %s: %s", status, a.body)
			}
		}
		a = d.send(200, "POST", root+"/batch?consistency=strict", lines, asBatch...)
		// Of nine lines three are not begun.
		if n := strings.Count(a.body, " consistency=strict\""); n != 6 || n != strings.Count(a.body, `"receipt":`) {
			d.t.Errorf("%d receipts name the consistency: %s", n, a.body)
		}
		d.send(200, "POST", root+"/batch?timeout=0", lines, asBatch...)
		d.send(400, "POST", root+"/batch?r=x", "", asBatch...)
		d.send(413, "POST", root+"/batch", strings.Repeat("x\n", 1001), asBatch...)
		d.send(414, "POST", root+long+"/batch", "", asBatch...)
		d.send(415, "POST", root+"/batch", "", asText...)
		d.sendTo(d.unready, 503, "POST", untyped(root)+"/batch", "", asBatch...)
	}
	d.send(404, "POST", "/types/U/buckets/b/batch", "", asBatch...)
}

// properties drives those of buckets and types.
func (d *driver) properties() {
	d.t.Helper()
	for _, r := range []struct{ path, unknown, long string }{
		{"/buckets/b/props", "", "/buckets/" + long + "/props"},
		{"/types/T/buckets/b/props", "/types/U/buckets/b/props", "/types/T/buckets/" + long + "/props"},
		{"/types/T/props", "", "/types/" + long + "/props"},
		{"/riak/b", "", "/riak/" + long},
	} {
		old, typ := strings.HasPrefix(r.path, "/riak"), r.path == "/types/T/props"
		if !old {
			for _, m := range []string{"GET", "HEAD"} {
				d.send(200, m, r.path, "")
				d.send(414, m, r.long, "")
				if r.unknown != "" {
					d.send(404, m, r.unknown, "")
				}
			}
		}
		d.send(204, "PUT", r.path, `{"props":{"r":"one"}}`, asProps...)
		d.send(400, "PUT", r.path, `{"props":{"r":"x"}}`, asProps...)
		d.send(400, "PUT", r.path, `x`, asProps...)
		d.send(409, "PUT", r.path, `{"props":{"n_val":2}}`, asProps...)
		d.announce(413, "PUT", r.path, asProps[1], 10<<20)
		d.send(414, "PUT", r.long, `{"props":{}}`, asProps...)
		d.send(415, "PUT", r.path, `{"props":{}}`, asText...)
		if r.unknown != "" {
			d.send(404, "PUT", r.unknown, `{"props":{}}`, asProps...)
			d.send(404, "DELETE", r.unknown, "")
		}
		if old || typ {
			continue
		}
		// A bucket whose n_val cannot go back to the default, and one that is empty.
		full, empty := strings.Replace(r.path, "/b/", "/n/", 1), strings.Replace(r.path, "/b/", "/empty/", 1)
		d.send(204, "PUT", full, `{"props":{"n_val":2}}`, asProps...)
		d.send(204, "PUT", empty, `{"props":{"n_val":2}}`, asProps...)
		d.send(204, "PUT", strings.Replace(full, "props", "keys/k", 1), "v", asText...)
		d.send(409, "DELETE", full, "")
		d.send(414, "DELETE", r.long, "")
		d.send(204, "DELETE", r.path, "")
	}
	for _, m := range []string{"GET", "HEAD"} {
		d.send(404, m, "/types/U/props", "")
		d.send(200, m, "/types", "")
	}
}

// unknownEmptiness drives changes of n_val while a member cannot say whether it has objects.
func (d *driver) unknownEmptiness() {
	d.t.Helper()
	for _, path := range []string{"/buckets/new/props", "/types/T/buckets/new/props", "/riak/new", "/types/none-yet/props"} {
		d.send(503, "PUT", path, `{"props":{"n_val":1}}`, asProps...)
	}
	for _, path := range []string{"/buckets/empty/props", "/types/T/buckets/empty/props"} {
		d.send(503, "DELETE", path, "")
	}
}

// pages drives what is about the node.
func (d *driver) pages() {
	d.t.Helper()
	compressible := strings.Repeat("text ", 1000)
	d.send(204, "PUT", "/buckets/b/keys/large", compressible, asText...)
	if a := d.send(200, "GET", "/buckets/b/keys/large", "", "Accept-Encoding", "gzip"); len(a.body) >= len(compressible) {
		d.t.Error("the answer is not compressed")
	}
	for _, m := range []string{"GET", "HEAD"} {
		for _, path := range []string{"/", "/openapi.yaml", "/ping", "/livez", "/readyz", "/stats", "/cluster", "/cluster/latencies", "/cluster/explain?bucket=b&key=large"} {
			d.send(200, m, path, "")
		}
		d.send(200, m, "/metrics", "", "Accept-Encoding", "gzip")
		d.send(200, m, "/", "", "Accept", "application/json")
		d.send(200, m, "/stats", "", "Accept", "text/plain")
		d.sendTo(d.unready, 200, m, "/cluster", "")
		d.sendTo(d.unready, 503, m, "/readyz", "")
		d.send(400, m, "/cluster/explain", "")
		d.send(404, m, "/cluster/explain?bucket=b&key=k&type=U", "")
		d.send(414, m, "/cluster/explain?bucket=b&key="+long, "")
		d.sendTo(d.unready, 503, m, "/cluster/explain?bucket=b&key=k", "")
	}
}

// otherMethods asks every path for the methods that it does not have.
func (d *driver) otherMethods() {
	d.t.Helper()
	fill := strings.NewReplacer("{type}", "T", "{bucket}", "b", "{key}", "k")
	for template, item := range d.doc.Paths.Map() {
		var has []string
		for _, m := range []string{"HEAD", "GET", "POST", "PUT", "DELETE"} {
			if item.GetOperation(m) != nil {
				has = append(has, m)
			}
		}
		for _, m := range []string{"HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"} {
			if slices.Contains(has, m) {
				continue
			}
			status, allow := http.StatusMethodNotAllowed, strings.Join(has, ", ")
			if m == "PATCH" || m == "BREW" {
				status, allow = http.StatusNotImplemented, ""
			}
			a, err := d.node.ask(m, fill.Replace(template), "", asText...)
			if err != nil || a.status != status || a.header.Get("Allow") != allow {
				d.t.Errorf("%s %s: %v %v, want %d and Allow: %s", m, template, a, err, status, allow)
			}
			d.checkRefusal(m, template, a)
		}
	}
	a := d.send(405, "PUT", "/types/default/props", `{"props":{}}`, asProps...)
	if allow := a.header.Get("Allow"); allow != "HEAD, GET" {
		d.t.Errorf("Allow of the type default: %q", allow)
	}
}

// checkRefusal compares the form of an answer to a method that a path does not have: text for objects, else
// the JSON of any error.
func (d *driver) checkRefusal(method, template string, a reply) {
	d.t.Helper()
	response := "Error"
	if strings.HasSuffix(template, "{key}") {
		response = "Refused"
	}
	if err := checkContent(d.doc.Components.Responses[response].Value, method, a); err != nil || method != "HEAD" && a.body == "" {
		d.t.Errorf("%s %s: %v: %v", method, template, a, err)
	}
}

// slowBodies drives the paths that take a body with one that does not come, all at once.
func (d *driver) slowBodies() {
	d.t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex // check is for one goroutine
	for template, item := range d.doc.Paths.Map() {
		for _, m := range []string{"PUT", "POST"} {
			if op := item.GetOperation(m); op == nil || op.Responses.Value("408") == nil {
				continue
			}
			path, kind := strings.NewReplacer("{type}", "T", "{bucket}", "b", "{key}", "slow").Replace(template), "text/plain"
			switch {
			case strings.HasSuffix(path, "/batch"):
				kind = asBatch[1]
			case strings.HasSuffix(path, "/props"), m == "PUT" && template == "/riak/{bucket}":
				kind = asProps[1]
			}
			all.Go(func() {
				a, err := d.half(m, path, kind, 9)
				mu.Lock()
				defer mu.Unlock()
				if err != nil || a.status != http.StatusRequestTimeout {
					d.t.Errorf("%s %s with half a body: %v %v", m, path, a, err)
					return
				}
				d.check(m, path, a)
			})
		}
	}
	all.Wait()
}

// announce makes a request with a body that is refused by its length alone. A client that sends all of it may
// find the connection closed before it reads the answer.
func (d *driver) announce(status int, method, path, kind string, length int) {
	d.t.Helper()
	a, err := d.half(method, path, kind, length)
	if err != nil || a.status != status {
		d.t.Errorf("%s %s with %d bytes: %v %v, want %d", method, path, length, a, err, status)
		return
	}
	d.check(method, path, a)
}

// half makes a request and sends four bytes of its body.
func (d *driver) half(method, path, kind string, length int) (reply, error) {
	conn, err := d.p.net.Host("10.0.9.7").Dial(d.t.Context(), d.node.Self().HTTP)
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		return reply{}, err
	}
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\nhalf", method, path, kind, length); err != nil {
		return reply{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body)}, err
}
