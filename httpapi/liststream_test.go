package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/listing"
)

// piece is one chunk of an answer and when it came, since the request.
type piece struct {
	at   time.Duration
	body string
}

// request sends a GET and reads the header of the answer.
func request(t *testing.T, c net.Conn, in *bufio.Reader, path string) (header string) {
	t.Helper()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if header += line; line == "\r\n" {
			return header
		}
	}
}

// readChunks reads the chunks of an answer, to its end or until it is cut off.
func readChunks(in *bufio.Reader, start time.Time) (pieces []piece, err error) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return pieces, err
		}
		size, err := strconv.ParseInt(strings.TrimSpace(line), 16, 32)
		if err != nil {
			return pieces, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(in, b); err != nil || size == 0 {
			return pieces, err
		}
		pieces = append(pieces, piece{time.Since(start), string(b[:size])})
	}
}

// slowly is a lister that finds a batch of names after each pause, and then ends with err.
func slowly(err error, pauses ...time.Duration) func(context.Context, listing.Query, func([]string) error) error {
	return func(ctx context.Context, _ listing.Query, visit func([]string) error) error {
		for i, pause := range pauses {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
			if i == len(pauses)-1 {
				break
			}
			if err := visit([]string{fmt.Sprint("k", i)}); err != nil {
				return err
			}
		}
		return err
	}
}

// A stream begins 100 ms after the request at the latest, no name waits longer than that, each
// object is a chunk of its own, and silence is broken.
func TestStreamInTime(t *testing.T) {
	const ms = time.Millisecond
	incomplete := &listing.IncompleteError{Partitions: []uint16{7}, Of: 16}
	for name, test := range map[string]struct {
		path string
		list func(context.Context, listing.Query, func([]string) error) error
		want []piece
	}{
		"names at once": {"/buckets/b/keys?keys=stream", slowly(nil, 0, 10*ms, 0), []piece{
			{0, `{"keys":["k0"]}`}, {10 * ms, `{"keys":["k1"]}`}, {10 * ms, `{"keys":[]}`}}},
		"slow names": {"/buckets/b/keys?keys=stream", slowly(nil, 20*ms, 30*ms, 40*ms, 40*ms, 9*time.Second, 21*time.Second), []piece{
			{20 * ms, `{"keys":["k0"]}`}, {150 * ms, `{"keys":["k1","k2","k3"]}`},
			{9230 * ms, `{"keys":["k4"]}`}, {19230 * ms, `{"keys":[]}`}, {29230 * ms, `{"keys":[]}`}, {30130 * ms, `{"keys":[]}`}}},
		"late": {"/buckets?buckets=stream", slowly(nil, 250*ms, 50*ms), []piece{
			{100 * ms, `{"buckets":[]}`}, {300 * ms, `{"buckets":["k0"]}`}, {300 * ms, `{"buckets":[]}`}}},
		"an old path": {"/riak/b?keys=stream&props=false", slowly(nil, 0, 0), []piece{{0, `{"keys":["k0"]}`}, {0, `{"keys":[]}`}}},
		"a failure": {"/buckets/b/keys?keys=stream", slowly(incomplete, 10*ms, 10*ms, 10*ms), []piece{
			{10 * ms, `{"keys":["k0"]}`}, {30 * ms, `{"keys":["k1"]}`},
			{30 * ms, `{"error":"no member can list partition 7 of 16 completely now"}`}}},
		"a failure after silence": {"/buckets/b/keys?keys=stream", slowly(incomplete, time.Second), []piece{
			{100 * ms, `{"keys":[]}`}, {time.Second, `{"error":"no member can list partition 7 of 16 completely now"}`}}},
		"out of time": {"/buckets/b/keys?keys=stream&timeout=500", slowly(nil, 10*ms, time.Second), []piece{
			{10 * ms, `{"keys":["k0"]}`}, {500 * ms, `{"error":"timeout"}`}}},
		"longer than other answers may take": {"/buckets/b/keys?keys=stream&timeout=3600000",
			func(_ context.Context, _ listing.Query, visit func([]string) error) error {
				time.Sleep(30 * time.Minute)
				return visit([]string{"k"})
			}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				c.list = test.list
				conn := serve(t, c.server(t), ServerConfig{}).dial()
				defer conn.Close()
				start, in := time.Now(), bufio.NewReader(conn)
				header := request(t, conn, in, test.path)
				if !strings.HasPrefix(header, "HTTP/1.1 200 ") || !strings.Contains(header, "Transfer-Encoding: chunked\r\n") {
					t.Fatal(header)
				}
				got, err := readChunks(in, start)
				if err != nil {
					t.Fatal(err)
				}
				if test.want == nil {
					if n := len(got); n < 100 || got[n-1].body != `{"keys":[]}` || got[n-2].body != `{"keys":["k"]}` {
						t.Errorf("got %v", got)
					}
					return
				}
				if fmt.Sprint(got) != fmt.Sprint(test.want) {
					t.Errorf("got  %v\nwant %v", got, test.want)
				}
				// The connection is as good as new.
				if r, body := exchangeRaw(t, conn, in, "GET /ping HTTP/1.1\r\nHost: h\r\n\r\n"); r.StatusCode != 200 || body != "OK" {
					t.Errorf("got %d %q", r.StatusCode, body)
				}
			})
		})
	}
}

// An error in the first 100 ms of a stream has a status.
func TestStreamFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.list = slowly(listing.ErrClosed, 99*time.Millisecond)
		conn := serve(t, c.server(t), ServerConfig{}).dial()
		defer conn.Close()
		r, body := exchangeRaw(t, conn, bufio.NewReader(conn), "GET /riak/b?keys=stream HTTP/1.1\r\nHost: h\r\n\r\n")
		if r.StatusCode != 503 || body != `{"error":"the node is stopping"}`+"\n" {
			t.Errorf("got %d %q", r.StatusCode, body)
		}
	})
}

// The timer has no part in an answer that is over, or whose lister panicked, and sends nothing
// when it comes late.
func TestStreamTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &largest{header: http.Header{}}
		l := listRequest{noun: "keys"}
		w := stream{page: page{l: &l}, x: &exchange{ResponseWriter: out}, object: []byte(`{"keys":[`), turn: make(chan struct{}, 1)}
		w.names = append(w.names, w.object...)
		w.open()
		if err := w.visit([]string{"k"}); err != nil {
			t.Fatal(err)
		}
		w.tick()
		time.Sleep(quiet)
		synctest.Wait()
		w.stop()
		time.Sleep(quiet)
		w.tick()
		if out.body.String() != `{"keys":["k"]}{"keys":[]}` {
			t.Errorf("got %s", out.body.String())
		}

		c := newCluster(t)
		out = &largest{header: http.Header{}, fail: errors.New("planted")}
		r, err := http.NewRequest("GET", "/buckets/b/keys?keys=stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		c.list = func(_ context.Context, _ listing.Query, visit func([]string) error) error {
			if err := visit([]string{"k"}); !errors.Is(err, out.fail) {
				t.Errorf("what cannot be sent is listed: %v", err)
			}
			return out.fail
		}
		c.server(t).ServeHTTP(out, r)
		c.list = func(context.Context, listing.Query, func([]string) error) error { panic("planted") }
		a, err := New(Config{Coordinator: c, Properties: c, Node: c, Lister: c})
		if err != nil {
			t.Fatal(err)
		}
		want(t, do(a, "GET", "/buckets/b/keys?keys=stream", ""), 500, "-")
		time.Sleep(quiet) // a timer that still ran would panic now, with an exchange that is nobody's
		if len(a.lists) != 0 {
			t.Error("the list takes a place")
		}
	})
}

// endless finds names for ever, and says when it has ended.
func endless(ended *atomic.Bool) func(context.Context, listing.Query, func([]string) error) error {
	return func(ctx context.Context, _ listing.Query, visit func([]string) error) error {
		batch := make([]string, 100)
		for i := range batch {
			batch[i] = strings.Repeat("k", 100)
		}
		for {
			if err := errors.Join(ctx.Err(), visit(batch)); err != nil {
				ended.Store(true)
				return err
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// A client that goes away ends the listing, and so does one that takes nothing. Both leave
// room for other lists.
func TestListClientGone(t *testing.T) {
	for _, form := range []string{"stream", "true"} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t)
			var ended atomic.Bool
			c.list = endless(&ended)
			a := c.server(t)
			l := serve(t, a, ServerConfig{})
			conn := l.dial()
			in := bufio.NewReader(conn)
			request(t, conn, in, "/buckets/b/keys?keys="+form)
			if _, err := in.Discard(100_000); err != nil {
				t.Fatal(err)
			}
			if len(a.lists) != 1 || ended.Load() {
				t.Fatalf("%s: %d lists", form, len(a.lists))
			}
			conn.Close()
			time.Sleep(200 * time.Millisecond)
			synctest.Wait()
			if !ended.Load() || len(a.lists) != 0 {
				t.Errorf("%s: the listing goes on", form)
			}

			ended.Store(false)
			conn = l.dial()
			defer conn.Close()
			request(t, conn, bufio.NewReaderSize(conn, 16), "/buckets/b/keys?keys="+form)
			time.Sleep(sendTimeout - time.Second)
			if ended.Load() {
				t.Errorf("%s: a slow client lost its list", form)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if !ended.Load() || len(a.lists) != 0 {
				t.Errorf("%s: a list for nobody goes on", form)
			}
		})
	}
	// One that waits in silence for the first name.
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.list = slowly(nil, time.Minute)
		a := c.server(t)
		conn := serve(t, a, ServerConfig{}).dial()
		if _, err := io.WriteString(conn, "GET /buckets?buckets=true HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		conn.Close()
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if len(a.lists) != 0 {
			t.Error("the listing goes on")
		}
	})
}

// A long list in one object that fails in the middle can be taken for a whole one by nobody.
func TestWholeListCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.list = func(_ context.Context, _ listing.Query, visit func([]string) error) error {
			for range 300 {
				if err := visit([]string{strings.Repeat("k", 1000)}); err != nil {
					return err
				}
			}
			return &listing.IncompleteError{Partitions: []uint16{7}, Of: 16}
		}
		conn := serve(t, c.server(t), ServerConfig{}).dial()
		defer conn.Close()
		in := bufio.NewReader(conn)
		request(t, conn, in, "/buckets/b/keys?keys=true")
		got, err := readChunks(in, time.Now())
		if err == nil {
			t.Error("the answer has an end")
		}
		var body strings.Builder
		for _, p := range got {
			body.WriteString(p.body)
		}
		if json.Valid([]byte(body.String())) || !strings.HasSuffix(body.String(), "\n"+`{"error":"no member can list partition 7 of 16 completely now"}`+"\n") {
			t.Errorf("got %.100q", body.String()[body.Len()-100:])
		}
	})
}

// Large lists come whole, in both forms, in pieces that are not large.
func TestLargeList(t *testing.T) {
	c := newCluster(t)
	const names = 30_000
	c.list = func(_ context.Context, _ listing.Query, visit func([]string) error) error {
		batch := make([]string, 0, 1000)
		for i := range names {
			if batch = append(batch, fmt.Sprintf("a key that is not short %d", i)); len(batch) == cap(batch) {
				if err := visit(batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
		return nil
	}
	a := c.server(t)
	for _, form := range []string{"true", "stream"} {
		w := &largest{header: http.Header{}}
		r, err := http.NewRequest("GET", "/buckets/b/keys?keys="+form, nil)
		if err != nil {
			t.Fatal(err)
		}
		a.ServeHTTP(w, r)
		n := 0
		for d := json.NewDecoder(strings.NewReader(w.body.String())); d.More(); {
			var o struct{ Keys []string }
			if err := d.Decode(&o); err != nil {
				t.Fatal(err)
			}
			for _, k := range o.Keys {
				if k != fmt.Sprintf("a key that is not short %d", n) {
					t.Fatalf("%s: got %q at %d", form, k, n)
				}
				n++
			}
		}
		if n != names || w.most > wholeBytes+1000 {
			t.Errorf("%s: %d names, %d bytes in one piece", form, n, w.most)
		}
	}
}

// largest is a ResponseWriter that knows its largest write.
type largest struct {
	header http.Header
	body   strings.Builder
	most   int
	fail   error
}

func (w *largest) Header() http.Header { return w.header }
func (w *largest) WriteHeader(int)     {}
func (w *largest) FlushError() error   { return nil }
func (w *largest) Write(b []byte) (int, error) {
	w.most = max(w.most, len(b))
	n, _ := w.body.Write(b)
	return n, w.fail
}

// BenchmarkList is what a name costs on its way to the client, of a list of 100,000.
func BenchmarkList(b *testing.B) {
	c := newCluster(b)
	batch := make([]string, 1000)
	for i := range batch {
		batch[i] = fmt.Sprintf("a key of some forty bytes, number %08d", i)
	}
	c.list = func(_ context.Context, _ listing.Query, visit func([]string) error) error {
		for range 100 {
			if err := visit(batch); err != nil {
				return err
			}
		}
		return nil
	}
	a := c.server(b)
	for _, form := range []string{"true", "stream"} {
		b.Run("keys="+form, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := http.NewRequest("GET", "/buckets/b/keys?keys="+form, nil)
				if err != nil {
					b.Fatal(err)
				}
				a.ServeHTTP(&discard{header: http.Header{}}, r)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e5, "ns/name")
		})
	}
}

type discard struct{ header http.Header }

func (w *discard) Header() http.Header         { return w.header }
func (w *discard) WriteHeader(int)             {}
func (w *discard) FlushError() error           { return nil }
func (w *discard) Write(b []byte) (int, error) { return len(b), nil }
