package node

// sleep-ok: every test runs in the bubble of inPlace.

import (
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// What a client that takes gzip gets from one node is good for conditions at another: both forms
// of a value have the same tags everywhere.
func TestGzipOverTheWire(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		const path = "/buckets/b/keys/long"
		value := strings.Repeat(`{"name":"Åse"}`, 500)
		nodes[0].want(http.StatusNoContent, "PUT", path+"?w=all", value, "Content-Type", "application/json")
		plain := nodes[1].want(http.StatusOK, "GET", path, "", "Accept-Encoding", "identity")
		zipped := nodes[2].want(http.StatusOK, "GET", path, "", "Accept-Encoding", "gzip, deflate")
		z, err := gzip.NewReader(strings.NewReader(zipped.body))
		if err != nil {
			t.Fatalf("%v: %v", err, zipped.header)
		}
		if b, err := io.ReadAll(z); err != nil || string(b) != value || plain.body != value {
			t.Errorf("%d bytes, %v; plain %d", len(b), err, len(plain.body))
		}
		tag, zipTag := plain.header.Get("ETag"), zipped.header.Get("ETag")
		if zipTag != strings.TrimSuffix(tag, `"`)+`.gzip"` || zipped.header.Get("Content-Length") != strconv.Itoa(len(zipped.body)) || len(zipped.body) > len(value)/10 {
			t.Errorf("tags %s and %s, headers %v", tag, zipTag, zipped.header)
		}
		head := nodes[0].want(http.StatusOK, "HEAD", path, "", "Accept-Encoding", "gzip").header
		if head.Get("ETag") != zipTag || head.Get("Content-Encoding") != "gzip" || head.Get("Content-Length") != "" {
			t.Errorf("HEAD: %v", head)
		}
		nodes[1].want(http.StatusNotModified, "GET", path, "", "Accept-Encoding", "gzip", "If-None-Match", zipTag)
		nodes[1].want(http.StatusOK, "GET", path, "", "Accept-Encoding", "gzip", "If-None-Match", tag)
		nodes[1].want(http.StatusNotModified, "GET", path, "", "Accept-Encoding", "identity", "If-None-Match", tag)
		nodes[2].want(http.StatusNotAcceptable, "GET", path, "", "Accept-Encoding", "identity;q=0")
		nodes[2].want(http.StatusPreconditionFailed, "PUT", path, "x", "Content-Type", "text/plain", "If-Match", `"other.gzip"`)
		nodes[2].want(http.StatusNoContent, "PUT", path+"?w=all", "x", "Content-Type", "text/plain", "If-Match", zipTag,
			"X-Riak-Vclock", zipped.header.Get("X-Riak-Vclock"))
		nodes[1].want(http.StatusPreconditionFailed, "PUT", path, "y", "Content-Type", "text/plain", "If-Match", zipTag)
		nodes[0].get("long", "x")
	})
}

// A named consistency asks real replicas for what it promises, and every receipt names it, those
// of errors and of a batch's lines too.
func TestConsistencyNames(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		receipt := func(a reply, start, end string) {
			t.Helper()
			if got := a.header.Get("X-Cartwheel-Receipt"); !strings.HasPrefix(got, start) || !strings.HasSuffix(got, end) {
				t.Errorf("receipt %q", got)
			}
		}
		const path = "/buckets/b/keys/k"
		read := func(status int, query, start, end string) {
			t.Helper()
			receipt(nodes[0].want(status, "GET", path+query, ""), start, end)
		}
		write := func(status int, query, start, end string) {
			t.Helper()
			receipt(nodes[0].want(status, "PUT", path+query, "v", "Content-Type", "text/plain"), start, end)
		}
		write(http.StatusNoContent, "?consistency=strict&w=all", "replicas=3 primaries=3", "ring=1 consistency=strict")
		read(http.StatusOK, "?consistency=fast", "replicas=1 primaries=1", "ring=1 consistency=fast")
		read(http.StatusOK, "?consistency=fast&r=3", "replicas=3 primaries=3", "ring=1 consistency=fast")
		read(http.StatusOK, "?consistency=safe", "replicas=2 primaries=2", "ring=1 consistency=safe")
		read(http.StatusOK, "?consistency=strict", "replicas=2 primaries=2", "ring=1 consistency=strict")
		read(http.StatusOK, "?consistency=default", "replicas=2 primaries=2", "ring=1 consistency=default")
		read(http.StatusOK, "", "replicas=2 primaries=2", "ring=1")
		a := nodes[0].want(http.StatusOK, "POST", "/buckets/b/batch?consistency=fast", `{"op":"get","key":"k"}`+"\n"+`{"op":"put","key":"l","value":"v"}`+"\n"+
			`{"op":"delete","key":"l"}`+"\n"+`{"op":"get","key":"none"}`+"\n", "Content-Type", "application/x-ndjson")
		if n := strings.Count(a.body, `ring=1 consistency=fast"`); n != 4 {
			t.Errorf("a batch: %s", a.body)
		}
		nodes[1].stop()
		nodes[2].stop()
		p.await("them to be seen gone", func() bool {
			alive := nodes[0].View().Alive
			return !alive[0] && !alive[1] || !alive[1] && !alive[2] || !alive[0] && !alive[2]
		})
		read(http.StatusOK, "?consistency=fast", "replicas=1 primaries=1", "ring=1 consistency=fast")
		write(http.StatusNoContent, "?consistency=fast", "replicas=1 primaries=1", "ring=1 consistency=fast")
		for _, name := range []string{"safe", "strict", "default"} {
			read(http.StatusServiceUnavailable, "?consistency="+name, "replicas=1 primaries=1", "ring=1 consistency="+name)
			write(http.StatusServiceUnavailable, "?consistency="+name, "replicas=1 primaries=1", "ring=1 consistency="+name)
		}
		a = nodes[0].want(http.StatusOK, "POST", "/buckets/b/batch?consistency=strict", `{"op":"get","key":"k"}`+"\n"+`{"op":"put","key":"l","value":"v"}`+"\n",
			"Content-Type", "application/x-ndjson")
		if n := strings.Count(a.body, `ring=1 consistency=strict"`); n != 2 || strings.Count(a.body, `"status":503`) != 2 {
			t.Errorf("a batch that fails: %s", a.body)
		}
	})
}
