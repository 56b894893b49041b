package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestMalformedRequests sends what no client should. Each gets a 4xx and one sentence, nothing
// is stored, and the node goes on.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	n := lab.Cluster(t, 1)[0]
	put(t, n, "/buckets/good/keys/k")
	resp, err := lab.HTTP.Get("http://" + n.HTTP + "/buckets/good/keys/k")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	context := resp.Header.Get("X-Riak-Vclock")
	if context == "" {
		t.Fatal("no context")
	}

	const object = "/buckets/bad/keys/k"
	const text = "Content-Type: text/plain\r\n"
	long := func(n int) string { return strings.Repeat("a", n) }
	with := func(header string) string { return request("PUT", object, text+header, "v") }
	query := func(q string) string { return request("PUT", object+"?"+q, text, "v") }
	props := func(body string) string {
		return request("PUT", "/buckets/bad/props", "Content-Type: application/json\r\n", body)
	}
	cases := []struct {
		name, request string
		status        int // 0: any 4xx
		counter       string
	}{
		// The path.
		{"escape", request("PUT", "/buckets/bad/keys/%zz", text, "v"), 400, ""},
		{"escape cut short", request("PUT", "/buckets/bad/keys/k%2", text, "v"), 400, ""},
		{"no such resource", request("GET", "/nothing", "", ""), 404, ""},
		{"unknown type", request("PUT", "/types/nope/buckets/bad/keys/k", text, "v"), 404, "type"},
		{"method", request("POST", "/cluster", text, "v"), 405, ""},
		{"key too long", request("PUT", "/buckets/bad/keys/"+long(5000), text, "v"), 414, "name_too_long"},
		// Parameters.
		{"w", query("w=x"), 400, "parameter"},
		{"w empty", query("w="), 400, "parameter"},
		{"w negative", query("w=-1"), 400, "parameter"},
		{"w above n_val", query("w=4"), 400, "parameter"},
		{"w huge", query("w=99999999999999999999"), 400, "parameter"},
		{"pw", query("pw=some"), 400, "parameter"},
		{"dw", query("dw=1.5"), 400, "parameter"},
		{"r of a write", query("r=x"), 400, "parameter"},
		{"node_confirms above n_val", query("node_confirms=4"), 400, "parameter"},
		{"timeout", query("timeout=soon"), 400, "parameter"},
		{"timeout huge", query("timeout=9999999999999"), 400, "parameter"},
		{"boolean", query("notfound_ok=maybe"), 400, "parameter"},
		{"asis", query("asis=true"), 400, "parameter"},
		{"read_repair", query("read_repair=never"), 400, "parameter"},
		{"sloppy_quorum", query("sloppy_quorum=2"), 400, "parameter"},
		{"sync_on_write", query("sync_on_write=two"), 400, "parameter"},
		{"escape in the query", query("w=%zz"), 400, "parameter"},
		{"read: r", request("GET", "/buckets/good/keys/k?r=x", "", ""), 400, "parameter"},
		{"explain without key", request("GET", "/cluster/explain?bucket=b", "", ""), 400, "parameter"},
		{"explain with bad escape", request("GET", "/cluster/explain?bucket=b&key=%zz", "", ""), 400, "parameter"},
		// Contexts.
		{"context that is none", with("X-Riak-Vclock: !!!\r\n"), 400, "context"},
		{"context of another key", with("X-Riak-Vclock: " + context + "\r\n"), 400, "context"},
		{"context cut short", with("X-Riak-Vclock: " + context[:len(context)-4] + "\r\n"), 400, "context"},
		{"context with more", with("X-Riak-Vclock: " + context + "AAAA\r\n"), 400, "context"},
		{"context of zeros", with("X-Riak-Vclock: " + long(400) + "\r\n"), 400, "context"},
		{"context of a delete", request("DELETE", object, "X-Riak-Vclock: ????\r\n", ""), 400, "context"},
		// Headers and bodies.
		{"no content type", request("PUT", object, "", "v"), 400, "header"},
		{"content type", request("PUT", object, "Content-Type: text\r\n", "v"), 415, "header"},
		{"request id", with("X-Cartwheel-Request-Id: 12\r\n"), 400, "header"},
		{"checksum", with("Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), 400, "body"},
		{"checksum that is none", with("Content-MD5: ?\r\n"), 400, "body"},
		{"metadata too large", with("X-Riak-Meta-A: " + long(70<<10) + "\r\n"), 431, "metadata_too_large"},
		{"header too large", with("X-Other: " + long(300<<10) + "\r\n"), 431, ""},
		{"value too large", "PUT " + object + " HTTP/1.1\r\nHost: n\r\n" + text + "Content-Length: 2000000\r\n\r\n", 413, "value_too_large"},
		{"value too large in chunks", "PUT " + object + " HTTP/1.1\r\nHost: n\r\n" + text + "Transfer-Encoding: chunked\r\n\r\n100001\r\n" +
			long(0x100001) + "\r\n0\r\n\r\n", 413, "value_too_large"},
		{"chunk", "PUT " + object + " HTTP/1.1\r\nHost: n\r\n" + text + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc", 400, "body"},
		// Properties.
		{"props that are no JSON", props("{"), 400, "properties"},
		{"props that are a list", props("[]"), 400, "properties"},
		{"props without props", props(`{"n_val":3}`), 400, "properties"},
		{"props: n_val 0", props(`{"props":{"n_val":0}}`), 400, "properties"},
		{"props: n_val as text", props(`{"props":{"n_val":"many"}}`), 400, "properties"},
		{"props: allow_mult", props(`{"props":{"allow_mult":"perhaps"}}`), 400, "properties"},
		{"props: w", props(`{"props":{"w":"most"}}`), 400, "properties"},
		{"props: nested without end", props(`{"props":` + strings.Repeat("[", 50_000)), 400, "properties"},
		{"props: too much", props(`{"props":{"x":"` + long(3<<20) + `"}}`), 0, ""},
		{"props as text", request("PUT", "/buckets/bad/props", text, `{"props":{}}`), 415, ""},
		// What is no HTTP.
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, ""},
		{"no request", "\x00\x01\x02\x03\r\n\r\n", 400, ""},
		{"length", "PUT " + object + " HTTP/1.1\r\nHost: n\r\n" + text + "Content-Length: -5\r\n\r\n", 400, ""},
		{"two lengths", "PUT " + object + " HTTP/1.1\r\nHost: n\r\n" + text + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nvv", 400, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			counter := fmt.Sprintf("cartwheel_rejected_total{reason=%q}", c.counter)
			before := 0.0
			if c.counter != "" {
				before = n.Metric(t, counter)
			}
			status, body := send(t, n, c.request)
			if status/100 != 4 || c.status != 0 && status != c.status {
				t.Errorf("status %d, want %d: %s", status, c.status, body)
			}
			sentence := strings.TrimSpace(body)
			// Riak's clients know one answer of two lines, the second of which is the form.
			sentence = strings.Replace(sentence, "of the form:\n", "of the form: ", 1)
			if sentence == "" || strings.Contains(sentence, "\n") || strings.Contains(sentence, "goroutine") || len(sentence) > 400 {
				t.Errorf("status %d: not one sentence: %.500q", status, body)
			}
			if c.counter != "" && n.Metric(t, counter) != before+1 {
				t.Errorf("%s is %.0f, was %.0f", counter, n.Metric(t, counter), before)
			}
		})
	}
	if err := n.Ready(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	for _, path := range []string{object, "/buckets/bad/keys/k%25", "/buckets/bad/keys/k%2", "/buckets/bad/keys/%25zz"} {
		if status, _ := send(t, n, request("GET", path, "", "")); status != 404 && status != 400 {
			t.Errorf("GET %s: %d: something was stored", path, status)
		}
	}
	if err := n.Stderr.Has("panic"); err == nil {
		t.Error("something panicked")
	}
}

// request writes a request with its length, and asks for the connection to be closed.
func request(method, path, header, body string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: n\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s", method, path, header, len(body), body)
}

// send sends bytes as they are, and returns status and body of the answer.
func send(t *testing.T, n *Node, raw string) (int, string) {
	t.Helper()
	conn := dial(t, n.HTTP)
	// While it is written the node may answer and close: what it says counts.
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(conn, raw)
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%.60q: no answer: %v", raw, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%.60q: read the answer: %v", raw, err)
	}
	conn.Close()
	<-written
	return resp.StatusCode, string(body)
}
