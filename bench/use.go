package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"cartwheel/bench/result"
)

// The metrics of a node's process, as Prometheus names them.
const (
	metricCPU   = "process_cpu_seconds_total"
	metricRSS   = "process_resident_memory_bytes"
	metricStart = "process_start_time_seconds"
)

// maxMetrics bounds what is read of a node's metrics.
const maxMetrics = 8 << 20

// readMetrics returns the values of metrics without labels, as far as they are in a page of metrics
// in Prometheus' text format.
func readMetrics(r io.Reader, names ...string) (map[string]float64, error) {
	found := map[string]float64{}
	lines := bufio.NewScanner(io.LimitReader(r, maxMetrics))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text()) // name, value, and perhaps a time
		if len(fields) < 2 || !slices.Contains(names, fields[0]) {
			continue
		}
		v, err := strconv.ParseFloat(fields[1], 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			return nil, fmt.Errorf("read the metric %s: %q is no figure", fields[0], fields[1])
		}
		found[fields[0]] = v
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the metrics: %w", err)
	}
	return found, nil
}

// reading is what processes had used at one moment.
type reading struct {
	nodes []map[string]float64 // parallel to the meter's; nil: not known
	own   time.Duration
}

// meter reads what the processes of a run use.
type meter struct {
	nodes []result.Node
	http  *http.Client
}

func newMeter(nodes []result.Node) *meter {
	return &meter{nodes: nodes, http: &http.Client{Timeout: answerWithin, Transport: &http.Transport{}}}
}

func (m *meter) close() { m.http.CloseIdleConnections() }

// read asks all nodes at once. One that does not answer is not known.
func (m *meter) read(ctx context.Context) reading {
	r := reading{nodes: make([]map[string]float64, len(m.nodes)), own: ownCPU()}
	var wg sync.WaitGroup
	for i, n := range m.nodes {
		wg.Go(func() {
			if values, err := m.fetch(ctx, n.URL); err == nil {
				r.nodes[i] = values
			}
		})
	}
	wg.Wait()
	return r
}

func (m *meter) fetch(ctx context.Context, url string) (map[string]float64, error) {
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(url, "/")+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := m.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	return readMetrics(resp.Body, metricCPU, metricRSS, metricStart)
}

// between returns what was used from one reading to the next.
func (m *meter) between(from, to reading) (nodes []result.Use, generator result.Use) {
	for i, n := range m.nodes {
		u := result.Use{Name: n.Name}
		if now := to.nodes[i]; now != nil {
			u.RSSBytes = int64(now[metricRSS])
			u.CPUSeconds = spent(from.nodes[i], now)
		}
		nodes = append(nodes, u)
	}
	return nodes, result.Use{Name: "generator", CPUSeconds: (to.own - from.own).Seconds(), RSSBytes: ownRSS()}
}

// spent is the processor time between two readings of one node; 0 if it is not known, as when another
// process took the node over in between.
func spent(from, to map[string]float64) float64 {
	before, known := from[metricCPU]
	after, still := to[metricCPU]
	if !known || !still || from[metricStart] != to[metricStart] {
		return 0
	}
	return max(0, after-before)
}

// ownCPU is the processor time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ownRSS is the resident memory of this process; 0 where the system does not say.
func ownRSS() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
