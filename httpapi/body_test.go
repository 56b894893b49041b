package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Clients that send large bodies and do not end them take a bounded amount of memory: what comes
// beyond it is 503, small values are stored as ever, and who goes away gives back what it took.
func TestBodiesAreBounded(t *testing.T) {
	for name, test := range map[string]struct{ length, part, rest string }{
		"length": {"Content-Length: 1048576", strings.Repeat("x", 200<<10), strings.Repeat("x", 824<<10)},
		"chunks": {"Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s", 1<<20, strings.Repeat("x", 200<<10)), strings.Repeat("x", 824<<10) + "\r\n0\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t)
				a := cl.server(t)
				a.bodyRoom = 1 << 20
				l := serve(t, a, ServerConfig{})
				var slow []io.Closer
				for range 5 { // 192 KiB each, or 200
					c := l.dial()
					slow = append(slow, c)
					if _, err := io.WriteString(c, putRequest(test.length+"\r\n", test.part)); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				large, small := putRequest(test.length+"\r\n", test.part+test.rest), putRequest("Content-Length: 5\r\n", "small")
				status := func(raw string) int {
					c := l.dial()
					defer c.Close()
					r, _ := exchangeRaw(t, c, bufio.NewReader(c), raw)
					return r.StatusCode
				}
				if got := status(large); got != http.StatusServiceUnavailable {
					t.Errorf("a further large body: %d", got)
				}
				if got := status(small); got != http.StatusNoContent {
					t.Errorf("a small body: %d", got)
				}
				for _, c := range slow {
					c.Close()
				}
				synctest.Wait()
				if left := a.bodies.Load(); left != 0 {
					t.Errorf("%d bytes are counted for requests that are over", left)
				}
				if got := status(large); got != http.StatusNoContent {
					t.Errorf("a large body when the others are gone: %d", got)
				}
				if len(cl.puts) != 2 {
					t.Errorf("%d values were stored", len(cl.puts))
				}
				time.Sleep(time.Second) // the server waits a little after a refusal before it closes
			})
		})
	}
}
