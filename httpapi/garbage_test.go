package httpapi

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/ring"
)

// garbage makes requests that no client should send, some of them almost right.
type garbage struct{ rng *rand.Rand }

func (g garbage) pick(list ...string) string { return list[g.rng.IntN(len(list))] }

func (g garbage) bytes(limit int) string {
	b := make([]byte, g.rng.IntN(limit))
	for i := range b {
		b[i] = byte(g.rng.Uint32())
	}
	return string(b)
}

func (g garbage) path() string {
	b, k := g.pick("b", "", "%", "%zz", "%2F", "\xff\xfe", strings.Repeat("x", 5000), g.bytes(20)), g.pick("k", "..", "%00", "é", g.bytes(9))
	return g.pick("/buckets/"+b+"/keys/"+k, "/types/"+k+"/buckets/"+b+"/keys/"+k, "/buckets/"+b+"/props", "/types/"+k+"/props",
		"/buckets/"+b+"/keys", "/buckets", "//buckets//"+b+"///keys//"+k+"//", "/cluster/explain?bucket="+b+"&key="+k, "*", "", "/", "/types", "/metrics/"+k)
}

func (g garbage) header() string {
	value := g.pick("", "*", "x", `"`, `W/"x"`, ",,,;;q=9", "gzip;q=,identity;q=0", g.bytes(50), "AAAAAAAAAAAAAAAAAAAA", "</b>; riaktag=\"", "1e99", "-1",
		"Fri, 99 Foo 2024", strings.Repeat("k", 70<<10), strings.Repeat(",\"e\"", 3000))
	name := g.pick("Content-Type", "X-Riak-Vclock", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "X-Riak-If-Not-Modified", "Accept",
		"Accept-Encoding", "Accept-Charset", "Link", "X-Riak-Index-a_int", "X-Riak-Index-\xc3", "X-Riak-Meta-", "X-Riak-Meta-A", "X-Cartwheel-Request-Id", "Idempotency-Key",
		"Content-MD5", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Expect", "Upgrade", "Host", "Connection", g.bytes(5))
	return name + ": " + value + "\r\n"
}

// almost returns a request that is right but for a header or its body, so that it gets as far
// as the parsers of these. Some lack the last byte, which never comes.
func (g garbage) almost() string {
	body := g.pick("", "x", `{"props":{"r":-1,"n_val":"x"}}`, `{"op":"put","key":"k"}`+"\n{\n[]\n", strings.Repeat("x", 1<<20+g.rng.IntN(2)), g.bytes(50))
	key := fmt.Sprint("/buckets/b/keys/k", g.rng.IntN(50))
	return g.pick("GET", "PUT", "POST", "DELETE") + " " + g.pick(key, key, "/buckets/b/keys", "/buckets/b/batch", "/buckets/b/props", "/types/t/props") +
		g.pick("", "?vtag=x", "?keys=stream&continuation=x", "?returnbody=true") + " HTTP/1.1\r\nHost: x\r\n" +
		g.pick("Content-Type: a/b\r\n", "Content-Type: application/json\r\n", "Content-Type: application/x-ndjson\r\n") + g.header() +
		fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body)+g.rng.IntN(4)/3, body)
}

// request returns one, which may end anywhere or never get anywhere.
func (g garbage) request() string {
	switch g.rng.IntN(10) {
	case 0:
		return g.bytes(4000)
	case 1, 2, 3, 4, 5:
		return g.almost()
	}
	query := g.pick("", "?r=x&w=-1&timeout=1e9&vtag=%zz", "?timeout=0", "?keys=true&limit=x&continuation="+g.bytes(9), "?consistency=x", "?returnbody=true&pw=99999999999999999999", "?"+strings.Repeat("&", 9000))
	body := g.pick("", `{"props":{"n_val":-1,"r":[[[[`, `{"props":`+strings.Repeat("[", 3000), `{"op":"put","key":`+"\n\n{}\n", g.bytes(5000), "5\r\nab", "fffffffffffffffffff\r\n")
	raw := g.pick("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "get", "OPTIONS", g.bytes(5)) + " " + g.path() + query + " " +
		g.pick("HTTP/1.1", "HTTP/1.0", "HTTP/9.9", "") + g.pick("\r\n", "\n", "\r") + g.pick("Host: x\r\n", "")
	for range g.rng.IntN(5) {
		raw += g.header()
	}
	raw += g.pick(fmt.Sprintf("Content-Length: %d\r\n", len(body)), "Content-Length: 99999999\r\n", "Transfer-Encoding: chunked\r\n", "") + "\r\n" + body
	if g.rng.IntN(4) == 0 {
		raw = raw[:g.rng.IntN(len(raw)+1)]
	}
	return raw
}

// send sends one of them and reads what comes, until the server closes or the client has had
// enough. It returns the status of the first answer, 0 without one; what is no HTTP is -1.
func (g garbage) send(l *pipes) int {
	c := l.dial()
	raw, patience := g.request(), time.Duration(g.rng.IntN(20_000))*time.Millisecond
	end := time.AfterFunc(patience, func() { c.Close() })
	go func() { _, _ = io.WriteString(c, raw) }() // fails when either end has closed
	answer, _ := io.ReadAll(c)
	end.Stop()
	c.Close()
	if len(answer) == 0 {
		return 0
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
	if err != nil {
		return -1
	}
	return r.StatusCode
}

// 300 requests of garbage per second for ten seconds: no panic and no 500, nothing left of them
// (the bubble would not end with a goroutine), nothing stored under a key of others, and each good
// request is answered as ever and without delay.
func TestGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t)
		a := cl.server(t)
		// A panic that the API did not catch would be caught and logged by net/http.
		l := serve(t, a, ServerConfig{Logger: slog.New(slog.NewTextHandler(panicsFail{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		c := l.dial()
		defer c.Close()
		var mu sync.Mutex
		statuses := map[int]int{} // guarded by mu
		in := bufio.NewReader(c)
		const good = "/buckets/good/keys/k"
		context := ""
		for i := range 3000 {
			go func() {
				status := garbage{rand.New(rand.NewPCG(uint64(i), 0))}.send(l)
				mu.Lock()
				defer mu.Unlock()
				statuses[status]++
			}()
			time.Sleep(time.Second / 300)
			if i%10 > 0 {
				continue
			}
			value, start := fmt.Sprint("value ", i), time.Now()
			r, _ := exchangeRaw(t, c, in, fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\n%sContent-Length: %d\r\n\r\n%s", good, context, len(value), value))
			if r.StatusCode != http.StatusNoContent {
				t.Fatalf("PUT %d: %d", i, r.StatusCode)
			}
			r, got := exchangeRaw(t, c, in, "GET "+good+" HTTP/1.1\r\nHost: x\r\n\r\n")
			if r.StatusCode != http.StatusOK || got != value {
				t.Fatalf("GET %d: %d %q", i, r.StatusCode, got)
			}
			if took := time.Since(start); took > 0 {
				t.Errorf("two requests took %v beside the garbage", took)
			}
			context = "X-Riak-Vclock: " + r.Header.Get("X-Riak-Vclock") + "\r\n"
		}
		time.Sleep(5 * time.Minute) // every timeout passes; what is still there is a leak
		if batches, lists := a.batches.Load(), len(a.lists); batches != 0 || lists != 0 {
			t.Errorf("%d batches and %d lists are still under way", batches, lists)
		}
		if got := len(cl.records[(ring.Key{Type: "default", Bucket: "good", Key: "k"}).Name()].Object.Siblings); got != 1 {
			t.Errorf("the good key has %d values", got)
		}
		mu.Lock()
		defer mu.Unlock()
		if statuses[-1]+statuses[http.StatusInternalServerError] > 0 {
			t.Errorf("answers by status: %v", statuses)
		}
		for _, status := range []int{200, 204, 300, 400, 404, 405, 412, 413, 414, 415, 431, 501} {
			if statuses[status] == 0 {
				t.Errorf("no garbage got %d, so it does not reach far: %v", status, statuses)
			}
		}
	})
}

// panicsFail is a log that fails the test when it tells of a panic.
type panicsFail struct{ t *testing.T }

func (p panicsFail) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("panic")) {
		p.t.Errorf("log: %s", line)
	}
	return len(line), nil
}

// FuzzRequest: the server answers any bytes in HTTP or closes, and goes on.
func FuzzRequest(f *testing.F) {
	for i := range uint64(20) {
		f.Add(garbage{rand.New(rand.NewPCG(i, 1))}.request())
	}
	f.Add("GET /buckets/b/keys/k HTTP/1.1\r\nHost: x\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		synctest.Test(t, func(t *testing.T) {
			l := serve(t, newCluster(t).server(t), ServerConfig{})
			c := l.dial()
			go func() {
				_, _ = io.WriteString(c, raw)
				time.Sleep(3 * time.Minute) // by then every timeout has passed
				c.Close()
			}()
			answer, _ := io.ReadAll(c)
			if len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.") {
				t.Fatalf("%q: answer %.100q", raw, answer)
			}
			next := l.dial()
			defer next.Close()
			if r, _ := exchangeRaw(t, next, bufio.NewReader(next), "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"); r.StatusCode != http.StatusOK {
				t.Fatalf("afterwards: %d", r.StatusCode)
			}
			time.Sleep(4 * time.Minute) // the sender is done, and the server, which waits a little after it has closed
		})
	})
}
