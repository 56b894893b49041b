package httpapi

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// op is what a request does, the label of its counters.
type op uint8

const (
	opOther op = iota // no such resource or method
	opGet
	opPut
	opDelete
	opBatch // its lines count as what they are, too
	opList
	opProps
	opCluster
	opService
	ops
)

var opNames = [ops]string{"other", "get", "put", "delete", "batch", "list", "props", "cluster", "service"}

func (o op) String() string { return opNames[o] }

// metrics are the API's own instruments. The request path touches only children that were
// resolved before: finding one by its labels costs more than counting.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	codes    [ops][600]atomic.Pointer[prometheus.Counter] // filled at the first use of a status
	seconds  [ops]prometheus.Observer
	siblings prometheus.Histogram
	rejected [reasons]prometheus.Counter
}

func newMetrics(node Node) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cartwheel_requests_total", Help: "Requests answered, by operation and status."}, []string{"op", "code"}),
		siblings: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "cartwheel_siblings", Help: "Values shown per object read.", Buckets: []float64{1, 2, 3, 5, 10, 20, 50, 100}}),
	}
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "cartwheel_request_seconds", Help: "Time from the header of a request to the end of its answer, by operation.",
		// 0.1 ms to 52 s, each twice the one before.
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 20)}, []string{"op"})
	rejected := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cartwheel_rejected_total", Help: "Requests that were refused, by reason."}, []string{"reason"})
	for o := range ops {
		m.seconds[o] = seconds.WithLabelValues(o.String())
	}
	for r := badPath; r < reasons; r++ {
		m.rejected[r] = rejected.WithLabelValues(reasonNames[r])
	}
	m.registry.MustRegister(m.requests, seconds, m.siblings, rejected, nodeCollector{node},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// count notes one answered request. status is 100 to 599, else it is counted as 500.
func (m *metrics) count(o op, status int, took time.Duration) {
	if status < 100 || status > 599 {
		status = http.StatusInternalServerError
	}
	slot := &m.codes[o][status]
	c := slot.Load()
	if c == nil {
		made := m.requests.WithLabelValues(o.String(), strconv.Itoa(status))
		c = &made
		slot.Store(c)
	}
	(*c).Inc()
	m.seconds[o].Observe(took.Seconds())
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// nodeCollector turns the node's snapshot into samples whenever it is asked.
type nodeCollector struct{ node Node }

var (
	descReadRepairs = prometheus.NewDesc("cartwheel_read_repairs_total", "Replicas brought up to date by reads.", nil, nil)
	descInFlight    = prometheus.NewDesc("cartwheel_requests_in_flight", "Object requests without an answer now.", nil, nil)
	descRing        = prometheus.NewDesc("cartwheel_ring_version", "Version of the ring document, 0 without one.", nil, nil)
	descOwned       = prometheus.NewDesc("cartwheel_partitions_owned", "Partitions that this node owns.", nil, nil)
	descFenced      = prometheus.NewDesc("cartwheel_storage_fenced", "1 while the store takes no writes.", nil, nil)
	descMembers     = prometheus.NewDesc("cartwheel_members", "Members of the ring, by state.", []string{"state"}, nil)
)

// Describe names the samples.
func (c nodeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descReadRepairs, descInFlight, descRing, descOwned, descFenced, descMembers} {
		ch <- d
	}
	for _, s := range c.node.Samples() {
		ch <- s.desc()
	}
}

func (s Sample) desc() *prometheus.Desc {
	return prometheus.NewDesc("cartwheel_"+s.Name, s.Help, nil, nil)
}

// Collect reads the node once.
func (c nodeCollector) Collect(ch chan<- prometheus.Metric) {
	status, ring := c.node.Status(), c.node.Ring()
	var version uint64
	var owned, alive, dead int
	if ring != nil {
		version = ring.Version()
		if self, ok := ring.Index(status.UUID); ok {
			owned = ring.Replicas(self)
		}
		for i := range ring.Members() {
			if status.now(i).Alive {
				alive++
			} else {
				dead++
			}
		}
	}
	fenced := 0
	if status.Fenced != "" {
		fenced = 1
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	ch <- prometheus.MustNewConstMetric(descReadRepairs, prometheus.CounterValue, float64(status.Quorum.ReadRepairs))
	gauge(descInFlight, float64(status.Quorum.InFlight))
	gauge(descRing, float64(version))
	gauge(descOwned, float64(owned))
	gauge(descFenced, float64(fenced))
	gauge(descMembers, float64(alive), "alive")
	gauge(descMembers, float64(dead), "unreachable")
	for _, s := range c.node.Samples() {
		kind := prometheus.CounterValue
		if s.Gauge {
			kind = prometheus.GaugeValue
		}
		ch <- prometheus.MustNewConstMetric(s.desc(), kind, s.Value)
	}
}
