package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ruined returns a request that was good before some of its bytes were changed, doubled, moved or
// cut off.
func ruined(rng *rand.Rand) string {
	good := [...]string{
		request("PUT", "/buckets/bad/keys/k?w=2&returnbody=true", "Content-Type: text/plain\r\nX-Riak-Meta-A: b\r\nIf-None-Match: \"x\"\r\n", "value"),
		request("PUT", "/buckets/bad/props", "Content-Type: application/json\r\n", `{"props":{"r":"quorum","allow_mult":true}}`),
		request("POST", "/buckets/bad/batch", "Content-Type: application/x-ndjson\r\n", `{"op":"put","key":"k","value":"v","meta":{"a":"b"}}`+"\n"+`{"op":"get","key":"k"}`+"\n"),
		request("GET", "/buckets/bad/keys?keys=stream&limit=9&continuation=AQ", "Accept-Encoding: gzip\r\n", ""),
		request("GET", "/buckets/bad/keys/k?vtag=x&resolve=union", "Accept: multipart/mixed;q=0.5, */*\r\n", ""),
		request("DELETE", "/riak/bad/k", "X-Riak-Vclock: AaLuVqnJ09TDAdkIbN6XRgmtAQFw4jLm\r\nIdempotency-Key: x\r\n", ""),
		"PUT /buckets/bad/keys/c HTTP/1.1\r\nHost: n\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	}
	b := []byte(good[rng.IntN(len(good))])
	for range 1 + rng.IntN(6) {
		at := rng.IntN(len(b))
		end := min(len(b), at+1+rng.IntN(40))
		switch rng.IntN(6) {
		case 0, 1:
			b[at] = byte(rng.Uint32())
		case 2:
			b = slices.Insert(b, at, b[at:end]...)
		case 3:
			if b = slices.Delete(b, at, end); len(b) == 0 {
				b = []byte{'\n'}
			}
		case 4:
			b = b[:at+1]
		case 5:
			b = slices.Insert(b, at, []byte(strings.Repeat(string(rune(rng.IntN(256))), rng.IntN(100<<10)))...)
		}
	}
	return string(b)
}

// ruin sends such a request, waits for the end of the answer, but not for long, and goes. It
// returns the status, 0 without an answer.
func ruin(addr string, rng *rand.Rand) (int, error) {
	conn, err := net.DialTimeout("tcp", addr, requestWithin)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw := ruined(rng)
	if err := conn.SetDeadline(time.Now().Add(time.Duration(rng.IntN(1000)) * time.Millisecond)); err != nil {
		return 0, err
	}
	_, _ = io.WriteString(conn, raw)
	answer, _ := io.ReadAll(conn) // the end by any means
	if len(answer) == 0 {
		return 0, nil
	}
	version, rest, _ := strings.Cut(string(answer), " ")
	status, err := strconv.Atoi(rest[:min(3, len(rest))])
	if err != nil || !strings.HasPrefix(version, "HTTP/1.") {
		return 0, fmt.Errorf("%.200q is answered with %.200q", raw, answer)
	}
	return status, nil
}

// TestGarbageBesideClients sends 300 ruined requests per second to a node of three: good requests
// are answered as before, nothing panics, and when it is over nothing is left of it.
func TestGarbageBesideClients(t *testing.T) {
	t.Parallel()
	length := 3 * time.Second
	if Long() {
		length = 10 * time.Second
	}
	n := lab.Cluster(t, 3)[0]
	// median writes and reads one after the other for a while.
	median := func(d time.Duration) time.Duration {
		var took []time.Duration
		for i, end := 0, time.Now().Add(d); time.Now().Before(end); i++ {
			start, path := time.Now(), fmt.Sprintf("/buckets/good/keys/%d", i%50)
			put(t, n, path+"?w=2&pw=0")
			if status := get(t, n, path); status != http.StatusOK && status != http.StatusMultipleChoices {
				t.Fatalf("GET %s: %d", path, status)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	setLastWriteWins(t, n, "good")
	quiet := median(time.Second)
	lab.HTTP.CloseIdleConnections()
	const goroutines, files = "go_goroutines", "process_open_fds"
	before := n.Metric(t, goroutines)
	var wg sync.WaitGroup
	var mu sync.Mutex
	counts := map[int]int{} // guarded by mu
	for worker := range 30 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 0))
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			var mine sync.WaitGroup
			defer mine.Wait()
			for end := time.Now().Add(length); time.Now().Before(end); <-tick.C {
				r := rand.New(rand.NewPCG(rng.Uint64(), 0))
				mine.Go(func() {
					status, err := ruin(n.HTTP, r)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					counts[status]++
				})
			}
		})
	}
	beside := median(length)
	wg.Wait()
	t.Attr("good_requests_beside_garbage", fmt.Sprintf("median %v, before %v", beside, quiet))
	if beside > 5*quiet+50*time.Millisecond {
		t.Errorf("a good write and read took %v beside the garbage, %v before", beside, quiet)
	}
	if counts[500] > 0 || counts[400] == 0 || counts[200]+counts[204] == 0 {
		t.Errorf("answers by status: %v", counts)
	}
	if err := n.Stderr.Has("panic"); err == nil {
		t.Error("something panicked")
	}
	lab.HTTP.CloseIdleConnections()
	Until(t, 20*time.Second, "nothing is left of the garbage", func() error {
		// What comes and goes by itself: exchanges between nodes, waiting readers of the store.
		if now := n.Metric(t, goroutines); now > before+25 {
			return fmt.Errorf("%.0f goroutines, %.0f before", now, before)
		}
		if open := n.Metric(t, "cartwheel_client_connections"); open > 20 {
			return fmt.Errorf("%.0f connections of clients", open)
		}
		return nil
	})
	t.Attr("goroutines", fmt.Sprintf("%.0f, before %.0f", n.Metric(t, goroutines), before))
	if runtime.GOOS == "linux" {
		if now := n.Metric(t, files); now > 300 {
			t.Errorf("%.0f files are open", now)
		}
	}
}

// setLastWriteWins lets a bucket keep one value per key.
func setLastWriteWins(t *testing.T, n *Node, bucket string) {
	t.Helper()
	status, body := send(t, n, request("PUT", "/buckets/"+bucket+"/props", "Content-Type: application/json\r\n", `{"props":{"last_write_wins":true}}`))
	if status != http.StatusNoContent {
		t.Fatalf("properties of %s: %d %s", bucket, status, body)
	}
}
