package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// TestFraming sends requests whose beginnings and ends are easy to mistake. A further request
// follows each on the same connection: where both ends count bytes alike it gets its own answer,
// else the connection has to end with the first. What was not received whole is not stored.
func TestFraming(t *testing.T) {
	t.Parallel()
	n := lab.Cluster(t, 1)[0]
	const text, chunks = "Content-Type: text/plain\r\n", "Transfer-Encoding: chunked\r\n"
	length := func(n int) string { return fmt.Sprintf("Content-Length: %d\r\n", n) }
	const kept = " 200" // the request that follows is answered
	for i, c := range []struct {
		name, line, header, body string // the line has KEY for the path of the case's own key
		want                     string // statuses
		stored                   string // the value; "" for none
	}{
		{"a body by length", "PUT KEY HTTP/1.1", text + length(3), "abc", "204" + kept, "abc"},
		{"a body in chunks", "PUT KEY HTTP/1.1", text + chunks, "2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", "204" + kept, "abc"},
		{"chunks and a length", "PUT KEY HTTP/1.1", text + chunks + length(1), "3\r\nabc\r\n0\r\n\r\n", "204" + kept, "abc"},
		{"a trailer", "PUT KEY HTTP/1.1", text + chunks + "Trailer: X-Riak-Vclock\r\n", "3\r\nabc\r\n0\r\nX-Riak-Vclock: ?\r\n\r\n", "204" + kept, "abc"},
		{"the same length twice", "PUT KEY HTTP/1.1", text + length(3) + length(3), "abc", "204" + kept, "abc"},
		{"HTTP/1.0", "PUT KEY HTTP/1.0", text + length(3), "abc", "204", "abc"},
		{"HTTP/1.0 that stays", "PUT KEY HTTP/1.0", text + length(3) + "Connection: keep-alive\r\n", "abc", "204" + kept, "abc"},
		{"pipelined", "PUT KEY HTTP/1.1", text + length(3), "abcGET /ping HTTP/1.1\r\nHost: n\r\n\r\nGET /ping HTTP/1.1\r\nHost: n\r\n\r\n", "204 200 200" + kept, "abc"},
		{"continue", "PUT KEY HTTP/1.1", text + length(3) + "Expect: 100-continue\r\n", "abc", "100 204" + kept, "abc"},
		{"an absolute address", "PUT http://elsewhereKEY HTTP/1.1", text + length(3), "abc", "204" + kept, "abc"},
		{"line ends without CR", "PUT KEY HTTP/1.1", "Content-Type: text/plain\nContent-Length: 3\n", "abc", "204" + kept, "abc"},
		{"a read with a body", "GET KEY HTTP/1.1", length(3), "abc", "404" + kept, ""},

		{"continue, too large", "PUT KEY HTTP/1.1", text + length(2<<20) + "Expect: 100-continue\r\n", "", "413", ""},
		{"another expectation", "PUT KEY HTTP/1.1", text + length(3) + "Expect: tea\r\n", "abc", "417", ""},
		{"different lengths", "PUT KEY HTTP/1.1", text + length(3) + length(4), "abc", "400", ""},
		{"a list of lengths", "PUT KEY HTTP/1.1", text + "Content-Length: 3, 3\r\n", "abc", "400", ""},
		{"a length with a sign", "PUT KEY HTTP/1.1", text + "Content-Length: +3\r\n", "abc", "400", ""},
		{"a length in hexadecimal", "PUT KEY HTTP/1.1", text + "Content-Length: 0x3\r\n", "abc", "400", ""},
		{"a length beyond numbers", "PUT KEY HTTP/1.1", text + "Content-Length: 99999999999999999999\r\n", "abc", "400", ""},
		{"chunked twice", "PUT KEY HTTP/1.1", text + chunks + chunks, "3\r\nabc\r\n0\r\n\r\n", "501", ""},
		{"chunked and compressed", "PUT KEY HTTP/1.1", text + "Transfer-Encoding: gzip, chunked\r\n", "3\r\nabc\r\n0\r\n\r\n", "501", ""},
		{"another encoding and a length", "PUT KEY HTTP/1.1", text + "Transfer-Encoding: identity\r\n" + length(3), "abc", "501", ""},
		{"a blank before the colon", "PUT KEY HTTP/1.1", text + "Transfer-Encoding : chunked\r\n" + length(3), "abc", "400", ""},
		{"a control character in a header", "PUT KEY HTTP/1.1", text + "X-Riak-Meta-A: a\x00b\r\n" + length(3), "abc", "400", ""},
		{"a CR in a header", "PUT KEY HTTP/1.1", text + "X-Riak-Meta-A: a\rX-Riak-Vclock: b\r\n" + length(3), "abc", "400", ""},
		{"a chunk below zero", "PUT KEY HTTP/1.1", text + chunks, "-1\r\nabc\r\n0\r\n\r\n", "400", ""},
		{"a chunk beyond numbers", "PUT KEY HTTP/1.1", text + chunks, "fffffffffffffffff\r\nabc\r\n0\r\n\r\n", "400", ""},
		{"a chunk longer than said", "PUT KEY HTTP/1.1", text + chunks, "2\r\nabc\r\n0\r\n\r\n", "400", ""},
		{"chunks of more framing than text", "PUT KEY HTTP/1.1", text + chunks, strings.Repeat("1;"+strings.Repeat("x", 3000)+"\r\na\r\n", 20) + "0\r\n\r\n", "400", ""},
		{"two hosts", "PUT KEY HTTP/1.1", text + "Host: m\r\n" + length(3), "abc", "400", ""},
		{"no version", "PUT KEY", text + length(3), "abc", "400", ""},
		{"another protocol", "PRI * HTTP/2.0", "", "SM\r\n\r\n", "404 400", ""},
		{"half a body", "PUT KEY HTTP/1.1", text + length(3), "ab", "400", ""},
		{"half a chunk", "PUT KEY HTTP/1.1", text + chunks, "3\r\na", "400", ""},
		{"half a header", "PUT KEY HTTP/1.1", text + "Content-Le", "", "400", ""},

		{"OPTIONS", "OPTIONS KEY HTTP/1.1", "", "", "405" + kept, ""},
		{"TRACE", "TRACE KEY HTTP/1.1", "", "", "405" + kept, ""},
		{"CONNECT", "CONNECT elsewhere:80 HTTP/1.1", "", "", "405" + kept, ""},
		{"a method of nobody", "FROB KEY HTTP/1.1", "", "", "501" + kept, ""},
		{"an upgrade", "GET KEY HTTP/1.1", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", "", "404" + kept, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := fmt.Sprintf("/buckets/framing/keys/%d", i)
			raw := strings.Replace(c.line, "KEY", path, 1) + "\r\nHost: n\r\n" + c.header + "\r\n" + c.body
			if half := strings.HasPrefix(c.name, "half "); half {
				raw = strings.TrimSuffix(raw, "\r\n\r\n")
			} else {
				raw += "GET /ping HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"
			}
			if got := statuses(t, n, raw); got != c.want {
				t.Errorf("answered %q, want %q", got, c.want)
			}
			status, value := send(t, n, request("GET", path, "", ""))
			if c.stored == "" && status != 404 || c.stored != "" && (status != 200 || value != c.stored) {
				t.Errorf("stored is %d %q, want %q", status, value, c.stored)
			}
		})
	}
	if err := n.Stderr.Has("panic"); err == nil {
		t.Error("something panicked")
	}
}

// statuses sends bytes, ends that half of the connection, and returns the statuses of all that
// comes back.
func statuses(t *testing.T, n *Node, raw string) string {
	t.Helper()
	conn := dial(t, n.HTTP)
	defer conn.Close()
	_, _ = io.WriteString(conn, raw) // the node may have answered and closed already
	_ = conn.(*net.TCPConn).CloseWrite()
	var list []string
	for in := bufio.NewReader(conn); ; {
		resp, err := http.ReadResponse(in, nil)
		// What was sent after the end that the node has made resets the connection.
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || len(list) > 0 && errors.Is(err, syscall.ECONNRESET) {
			return strings.Join(list, " ")
		}
		if err != nil {
			t.Fatalf("after %v: %v", list, err)
		}
		list = append(list, fmt.Sprint(resp.StatusCode))
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatalf("the body after %v: %v", list, err)
		}
	}
}
