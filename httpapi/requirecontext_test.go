package httpapi

import (
	"fmt"
	"strings"
	"testing"

	"cartwheel/quorum"
)

// In a bucket that requires contexts a blind write is refused where a value exists, and
// nowhere else.
func TestRequireContext(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	put(t, a, at, "old") // before the property was set
	want(t, do(a, "PUT", "/buckets/b/props", `{"props":{"require_context":true}}`, "Content-Type", "application/json"), 204, "")
	writes := len(c.puts)
	refused := func(method string, headers ...string) {
		t.Helper()
		r := want(t, do(a, method, at, "x", append(headers, "Content-Type", "text/plain")...), 428, contextMissing)
		if r.Header.Get("X-Cartwheel-Receipt") == "" || r.Header.Get("X-Riak-Vclock") != "" {
			t.Errorf("headers %v", r.Header)
		}
	}
	refused("PUT")
	refused("POST")
	refused("PUT", "If-Match", "*")
	refused("PUT", "Idempotency-Key", "1")
	refused("PUT", "X-Riak-If-Not-Modified", do(a, "GET", at, "").Header.Get("X-Riak-Vclock"))
	want(t, do(a, "PUT", at, "x", "Content-Type", "text/plain", "If-None-Match", "*"), 412, "-")
	want(t, do(a, "PUT", "/buckets/b/keys/"+strings.Repeat("x", 5000), "x", "Content-Type", "text/plain"), 414, "-")
	if len(c.puts) != writes {
		t.Fatal("something was written")
	}
	put(t, a, at, "new", "X-Riak-Vclock", do(a, "GET", at, "").Header.Get("X-Riak-Vclock"))
	refused("PUT")
	want(t, do(a, "DELETE", at, ""), 204, "") // reads by itself
	put(t, a, at, "again")                    // over a tombstone
	refused("PUT")
	put(t, a, at+"2", "first") // missing
	want(t, do(a, "POST", "/buckets/b/keys", "x", "Content-Type", "text/plain"), 201, "")
	put(t, a, "/buckets/other/keys/k", "x")
	put(t, a, "/buckets/other/keys/k", "y")
	if page := text(t, do(a, "GET", "/metrics", "")); !strings.Contains(page, `cartwheel_rejected_total{reason="context_required"} 7`) {
		t.Error("the refusals were not counted")
	}
	// The first try created it: its retry is no blind write over a value.
	for _, id := range []string{"Idempotency-Key", "X-Cartwheel-Request-Id"} {
		for range 2 {
			put(t, a, at+id, "x", id, strings.Repeat("7", 32))
		}
	}
	c.get = func(quorum.GetRequest) (quorum.GetResult, error) { return quorum.GetResult{}, quorum.ErrTimeout }
	want(t, do(a, "PUT", at, "x", "Content-Type", "text/plain"), 503, "request timed out\n")
}

// The read that the guard needs is one, with the levels of the request, and only where it is on.
func TestRequireContextReadsOnce(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	context := ""
	for _, on := range []bool{false, true} {
		want(t, do(a, "PUT", "/buckets/b/props", fmt.Sprintf(`{"props":{"require_context":%v}}`, on), "Content-Type", "application/json"), 204, "")
		for headers, reads := range map[string]int{"": map[bool]int{true: 1}[on], "If-None-Match": 1, "X-Riak-Vclock": 0} {
			key := fmt.Sprint(at, on, headers)
			put(t, a, key, "x", "If-None-Match", "*")
			context = do(a, "GET", key, "").Header.Get("X-Riak-Vclock")
			want(t, do(a, "DELETE", key, ""), 204, "")
			before := len(c.gets)
			switch headers {
			case "":
				put(t, a, key+"?r=1&pr=2", "y")
			case "If-None-Match":
				put(t, a, key+"?r=1&pr=2", "y", headers, "*")
			default:
				put(t, a, key+"?r=1&pr=2", "y", headers, context)
			}
			if got := len(c.gets) - before; got != reads {
				t.Errorf("on %v, %s: %d reads, want %d", on, headers, got, reads)
			}
			if reads > 0 && (c.gets[before].R != 1 || c.gets[before].PR != 2) {
				t.Errorf("read with %+v", c.gets[before].Options)
			}
		}
	}
}
