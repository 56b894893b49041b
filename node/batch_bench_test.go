//go:build unix

package node

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkBatch stores values of 100 bytes in three nodes of one process, N=3, fsync on, over
// real sockets: one by one, and a hundred in a batch, from the same number of clients. An
// operation is one value; x-of-single is how often a batch stores what single puts stored
// in the same time, in the same run. The clients live in the same process and cost it both ways.
func BenchmarkBatch(b *testing.B) {
	_, addrs := startBenchCluster(b)
	for _, clients := range []int{1, 16} {
		var single float64
		for _, lines := range []int{0, 100} {
			b.Run(fmt.Sprintf("clients=%d/lines=%d", clients, lines), func(b *testing.B) {
				b.ReportAllocs()
				before, start := cpuTime(b), time.Now()
				putFrom(b, addrs, clients, max(lines, 1), lines > 0)
				rate := float64(b.N) / time.Since(start).Seconds()
				b.ReportMetric(rate, "puts/s")
				b.ReportMetric(microseconds(cpuTime(b)-before)/float64(b.N), "cpu-us/put")
				if lines == 0 {
					single = rate
				} else if single > 0 {
					b.ReportMetric(rate/single, "x-of-single")
				}
			})
		}
	}
}

// putFrom stores b.N values, per at a time, from that many clients at once.
func putFrom(b *testing.B, addrs []string, clients, per int, batch bool) {
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	web := http.Client{Transport: transport}
	value := strings.Repeat("v", 100)
	var next atomic.Int64
	errs := make(chan error, clients)
	for c := range clients {
		go func() {
			for {
				first := int(next.Add(int64(per))) - per
				if first >= b.N {
					errs <- nil
					return
				}
				method, url, kind, body := "PUT", fmt.Sprintf("http://%s/buckets/bench/keys/k%d", addrs[c%len(addrs)], first), "text/plain", []byte(value)
				if batch {
					method, url, kind = "POST", "http://"+addrs[c%len(addrs)]+"/buckets/bench/batch", "application/x-ndjson"
					body = batchOf(first, min(per, b.N-first), value)
				}
				if err := storeOnce(&web, method, url, kind, body); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	for range clients {
		if err := <-errs; err != nil {
			b.Error(err)
		}
	}
}

func batchOf(first, n int, value string) []byte {
	var lines bytes.Buffer
	for i := range n {
		fmt.Fprintf(&lines, `{"op":"put","key":"k%d","value":"%s"}`+"\n", first+i, value)
	}
	return lines.Bytes()
}

// storeOnce makes a request, and checks each line of the answer if it has any.
func storeOnce(web *http.Client, method, url, kind string, body []byte) error {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := web.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode > 299 || bytes.Count(answer, []byte(`"status":204`)) != bytes.Count(answer, []byte("\n")) {
		return fmt.Errorf("%s: %v %s", resp.Status, err, answer)
	}
	return nil
}
