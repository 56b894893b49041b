package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// read reads one answer and returns what it says in one line.
func read(from io.Reader, w want) string {
	a := answerReader{from: from}
	if err := a.next(w); err != nil {
		if errors.Is(err, ErrMalformed) {
			return "malformed"
		}
		return err.Error()
	}
	s := fmt.Sprintf("%d %q", a.status, a.body)
	if len(a.vclock)+len(a.receipt) > 0 {
		s += fmt.Sprintf(" vclock=%s receipt=%s", a.vclock, a.receipt)
	}
	if a.closing {
		s += " close"
	}
	return s
}

const wantAll = wantBody | wantVclock | wantReceipt

var answers = []struct{ raw, want string }{
	// Lines end in CR LF, written here as |.
	{"HTTP/1.1 200 OK|Content-Length: 3||abc", `200 "abc"`},
	{"HTTP/1.1 200|Content-Length: 0||", `200 ""`},
	{"HTTP/1.1 200 |content-LENGTH:\t3 ||abc", `200 "abc"`},
	{"HTTP/1.1 204 No Content||", `204 ""`},
	{"HTTP/1.1 304 Not Modified|Content-Length: 7||", `304 ""`},
	{"HTTP/1.1 204 No Content|Connection: Close||", `204 "" close`},
	{"HTTP/1.1 300 M|X-Riak-Vclock: a1b2=|X-Cartwheel-Receipt: w=2|Content-Length: 1||x", `300 "x" vclock=a1b2= receipt=w=2`},
	{"HTTP/1.1 404 N|x-riak-vclock: t|Content-Length: 2||no", `404 "no" vclock=t receipt=`},
	{"HTTP/1.1 200 OK|Content-Length: 3|Content-Length: 3||abc", `200 "abc"`},
	{"HTTP/1.1 200 OK|Empty:|Content-Length: 3||abc", `200 "abc"`},
	// Interim answers are skipped, with what they say.
	{"HTTP/1.1 100 Continue||HTTP/1.1 103 Early|X-Riak-Vclock: no||HTTP/1.1 200 OK|Content-Length: 1||y", `200 "y" vclock=no receipt=`},
	{strings.Repeat("HTTP/1.1 100 C||", maxInterim) + "HTTP/1.1 204 N||", "malformed"},
	{"HTTP/1.1 101 Switching||", "malformed"},
	// Chunks.
	{"HTTP/1.1 200 OK|Transfer-Encoding: chunked||3|abc|A;x=y|0123456789|0||", `200 "abc0123456789"`},
	{"HTTP/1.1 200 OK|Transfer-Encoding: chunked||0|Trailer: x||", `200 ""`},
	{"HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|abc|0||", "malformed"},
	{"HTTP/1.1 200 OK|Transfer-Encoding: chunked||g|abc|0||", "malformed"},
	{"HTTP/1.1 200 OK|Transfer-Encoding: chunked|||abc|0||", "malformed"},
	{"HTTP/1.1 200 OK|Transfer-Encoding: chunked||5000000|", "malformed"},
	{"HTTP/1.1 200 OK|Transfer-Encoding: chunked||123456789|", "malformed"},
	{"HTTP/1.1 200 OK|Transfer-Encoding: gzip, chunked||0||", "malformed"},
	{"HTTP/1.1 200 OK|Transfer-Encoding: chunked|Transfer-Encoding: chunked||0||", "malformed"},
	{"HTTP/1.1 200 OK|Transfer-Encoding: chunked|Content-Length: 1||0||", "malformed"},
	{"HTTP/1.1 200 OK|Transfer-Encoding: chunked||3|ab", io.ErrUnexpectedEOF.Error()},
	{"HTTP/1.1 200 OK|Transfer-Encoding: chunked||1|a|0|", io.ErrUnexpectedEOF.Error()},
	// What is ambiguous or wrong.
	{"HTTP/1.1 200 OK||", "malformed"},
	{"HTTP/1.1 200 OK|Content-Length: 3|Content-Length: 4||abcd", "malformed"},
	{"HTTP/1.1 200 OK|Content-Length: -1||", "malformed"},
	{"HTTP/1.1 200 OK|Content-Length: +1||a", "malformed"},
	{"HTTP/1.1 200 OK|Content-Length: 1,1||a", "malformed"},
	{"HTTP/1.1 200 OK|Content-Length:||", "malformed"},
	{"HTTP/1.1 200 OK|Content-Length: 67108865||", "malformed"},
	{"HTTP/1.1 200 OK|Content-Length: 18446744073709551617||a", "malformed"},
	{"HTTP/1.1 200 OK|Content-Length : 1||a", "malformed"},
	{"HTTP/1.1 200 OK| Content-Length: 1||a", "malformed"},
	{"HTTP/1.1 200 OK|: 1|Content-Length: 1||a", "malformed"},
	{"HTTP/1.1 200 OK|no colon|Content-Length: 1||a", "malformed"},
	{"HTTP/1.1 200 OK\nContent-Length: 1\n\na", "malformed"},
	{"HTTP/1.1 200OK|Content-Length: 1||a", "malformed"},
	{"HTTP/1.1 2x0 OK|Content-Length: 1||a", "malformed"},
	{"HTTP/1.1 099 OK|Content-Length: 1||a", "malformed"},
	{"HTTP/1.1 20|Content-Length: 1||a", "malformed"},
	{"HTTP/1.0 200 OK|Content-Length: 1||a", "malformed"},
	{"HTTP/2 200|Content-Length: 1||a", "malformed"},
	{"|HTTP/1.1 204 N||", "malformed"},
	// An end.
	{"", "EOF"},
	{"HTTP", io.ErrUnexpectedEOF.Error()},
	{"HTTP/1.1 204 N|", io.ErrUnexpectedEOF.Error()},
	{"HTTP/1.1 200 OK|Content-Length: 3||ab", io.ErrUnexpectedEOF.Error()},
}

func TestAnswers(t *testing.T) {
	for _, c := range answers {
		raw := strings.ReplaceAll(c.raw, "|", "\r\n")
		if got := read(strings.NewReader(raw), wantAll); got != c.want {
			t.Errorf("%q: %s, want %s", raw, got, c.want)
		}
		// However the bytes arrive.
		if got := read(iotest.OneByteReader(strings.NewReader(raw)), wantAll); got != c.want {
			t.Errorf("%q byte by byte: %s, want %s", raw, got, c.want)
		}
	}
}

func TestAnswersOneAfterTheOther(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 20_000)
	raw := "HTTP/1.1 200 OK\r\nX-Riak-Vclock: one\r\nContent-Length: " + fmt.Sprint(len(big)) + "\r\n\r\n" + big
	small := "HTTP/1.1 200 OK\r\nX-Riak-Vclock: two\r\nContent-Length: 2\r\n\r\nhi"
	for _, w := range []want{wantAll, wantVclock, 0} {
		near := &turns{texts: []string{raw, small, raw}}
		a := answerReader{from: near}
		for i, text := range []string{big, "hi", big} {
			if err := a.next(w); err != nil {
				t.Fatalf("answer %d: %v", i, err)
			}
			if w&wantBody == 0 {
				text = ""
			}
			if string(a.body) != text || len(a.vclock) != int(w&wantVclock)/int(wantVclock)*3 {
				t.Errorf("answer %d: %d bytes, vclock %q", i, len(a.body), a.vclock)
			}
			if w&wantBody == 0 && len(a.buf) != bufferBytes {
				t.Errorf("a buffer of %d bytes for a body that nobody wanted", len(a.buf))
			}
			near.at++
		}
	}
	if a := (answerReader{from: strings.NewReader(small + small)}); a.next(0) != nil || !errors.Is(a.next(0), ErrMalformed) {
		t.Error("an answer without a request was taken")
	}
}

// turns gives one text after the other, when asked to go on.
type turns struct {
	texts []string
	at    int
	off   int
	last  int
}

func (r *turns) Read(p []byte) (int, error) {
	if r.at != r.last {
		r.last, r.off = r.at, 0
	}
	n := copy(p, r.texts[r.at][r.off:])
	if r.off += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// A head without an end is not gathered for ever.
func TestHeadIsBounded(t *testing.T) {
	for name, endless := range map[string]string{"line": "x", "fields": "a: b\r\n", "interim": "HTTP/1.1 100 Continue\r\n\r\n"} {
		counted := &countingReader{from: io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\n"), forever(endless))}
		if name == "interim" {
			counted.from = forever(endless)
		}
		if got := read(counted, wantAll); got != "malformed" {
			t.Errorf("%s: %s", name, got)
		}
		if counted.n > 2*maxHeadBytes {
			t.Errorf("%s: %d bytes were read", name, counted.n)
		}
	}
}

// Chunks without an end are not read for ever either.
func TestChunksAreBounded(t *testing.T) {
	const mib = 1 << 20
	chunk := "100000\r\n" + strings.Repeat("x", mib) + "\r\n"
	a := answerReader{from: &turns{texts: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat(chunk, maxBodyBytes/mib+2)}}}
	if err := a.next(0); !errors.Is(err, ErrMalformed) {
		t.Errorf("chunks of more than %d bytes: %v", maxBodyBytes, err)
	}
}

type forever string

func (s forever) Read(p []byte) (int, error) {
	n := 0
	for n+len(s) <= len(p) {
		n += copy(p[n:], s)
	}
	return n, nil
}

type countingReader struct {
	from io.Reader
	n    int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p[:min(len(p), 1000)])
	c.n += n
	return n, err
}

// Whatever comes, the reader does not panic, says the same however the bytes arrive and whether the
// body is kept, and takes nothing that net/http reads otherwise.
func FuzzAnswer(f *testing.F) {
	for _, c := range answers {
		f.Add([]byte(strings.ReplaceAll(c.raw, "|", "\r\n")))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		whole := answerReader{from: bytes.NewReader(raw)}
		err := whole.next(wantAll)
		slow := answerReader{from: iotest.OneByteReader(bytes.NewReader(raw))}
		slowErr := slow.next(wantAll)
		if (err == nil) != (slowErr == nil) || err == nil && (whole.status != slow.status || !bytes.Equal(whole.body, slow.body) || !bytes.Equal(whole.vclock, slow.vclock)) {
			t.Fatalf("whole: %d %q %v; byte by byte: %d %q %v", whole.status, whole.body, err, slow.status, slow.body, slowErr)
		}
		drop := answerReader{from: bytes.NewReader(raw)}
		if dropErr := drop.next(0); (err == nil) != (dropErr == nil) || err == nil && (whole.status != drop.status || whole.w-whole.r != drop.w-drop.r) {
			t.Fatalf("kept: %d %v; dropped: %d %v", whole.status, err, drop.status, dropErr)
		}
		if err == nil {
			compare(t, raw, &whole)
		}
	})
}

// compare reads with net/http what the reader has accepted.
func compare(t *testing.T, raw []byte, a *answerReader) {
	in := bufio.NewReader(bytes.NewReader(raw))
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return // it is stricter about the characters of names and values
		}
		if res.StatusCode < 200 {
			continue
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return // and of trailers
		}
		if res.StatusCode != a.status || !bytes.Equal(body, a.body) {
			t.Fatalf("net/http reads %d %q, this %d %q", res.StatusCode, body, a.status, a.body)
		}
		return
	}
}

func BenchmarkAnswer(b *testing.B) {
	raw := "HTTP/1.1 200 OK\r\nX-Riak-Vclock: " + strings.Repeat("YWJj", 20) + "\r\nContent-Type: application/octet-stream\r\nEtag: \"abc\"\r\n" +
		"Vary: Accept-Encoding\r\nLink: </buckets/b>; rel=\"up\"\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024)
	a := answerReader{from: &canned{answer: []byte(raw)}}
	b.ReportAllocs()
	for b.Loop() {
		if err := a.next(0); err != nil {
			b.Fatal(err)
		}
	}
}
