// Package result is what a run of the benchmark found: the values behind the
// final table, the file of --json, and the report.
//
// # Schema
//
// A [Run] marshals to one JSON object whose field "schema" is [Schema]. Within one
// schema, fields are added and never renamed, removed or given another meaning.
// Times of requests are in microseconds, other times in seconds, sizes in bytes;
// the names say which.
//
// # Concurrency
//
// A Run is made by one goroutine and not changed after it is complete.
package result

import "time"

// Schema names the layout of the JSON.
const Schema = "cartwheel-bench/1"

// Run is one run of the benchmark: one load on one cluster, once per cell of its matrix.
type Run struct {
	Schema   string    `json:"schema"`
	Began    time.Time `json:"began"`
	Seconds  float64   `json:"seconds"` // all of the run
	Command  string    `json:"command"` // the command line that made it
	Software Software  `json:"software"`
	Machine  Machine   `json:"machine"`
	Cluster  Cluster   `json:"cluster"`
	Load     Load      `json:"load"`
	Cells    []Cell    `json:"cells"`
}

// Software is the build of the generator.
type Software struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Machine is where the generator ran.
type Machine struct {
	CPU         string `json:"cpu"` // model; empty: not known
	Cores       int    `json:"cores"`
	Procs       int    `json:"procs,omitempty"` // of them those that the generator used at once (GOMAXPROCS)
	MemoryBytes int64  `json:"memory_bytes"`    // 0: not known
}

// Cluster is what the nodes said of themselves.
type Cluster struct {
	Nodes      []Node `json:"nodes"` // those that requests went to
	Members    int    `json:"members"`
	N          int    `json:"n"` // the cluster's default
	Partitions int    `json:"partitions"`
	// Durability is "fsync" or "os", or both separated by a comma if nodes differ.
	Durability string `json:"durability"`
}

// Node is one node that requests went to.
type Node struct {
	Name       string `json:"name"`
	URL        string `json:"url"`
	Version    string `json:"version"`
	Durability string `json:"durability"`
	Cores      int    `json:"cores"` // processors that its process may use; 0: not known
	Zone       string `json:"zone,omitempty"`
}

// Load is what was sent in every cell.
type Load struct {
	Workload     string             `json:"workload"`
	Mix          map[string]float64 `json:"mix"` // share of each kind of operation; they sum to 1
	Bucket       string             `json:"bucket"`
	Properties   map[string]any     `json:"properties,omitempty"` // of the bucket, as far as the run set them
	Keys         int                `json:"keys"`
	Distribution string             `json:"distribution"` // uniform, zipfian, latest
	ValueMin     int                `json:"value_bytes_min"`
	ValueMax     int                `json:"value_bytes_max"`
	Clients      int                `json:"clients"` // connections
	Rate         float64            `json:"rate"`    // operations per second of the open loop; 0: closed loop
	WarmUp       float64            `json:"warm_up_seconds"`
	For          float64            `json:"for_seconds"` // each cell
	Seed         uint64             `json:"seed"`
}

// Cell is the load under one choice of levels.
type Cell struct {
	Name    string  `json:"name"` // as "N=3 R=2 W=2"
	Levels  Levels  `json:"levels"`
	Seconds float64 `json:"seconds"` // measured, without the warm-up
	// Ops has one entry for each kind of operation that occurred, in a fixed order, and
	// before them one named "all".
	Ops       []Op       `json:"ops"`
	Timeline  []Point    `json:"timeline"`
	Events    []Event    `json:"events,omitempty"`
	Nodes     []Use      `json:"nodes"`
	Generator Use        `json:"generator"`
	Staleness *Staleness `json:"staleness,omitempty"`
}

// Levels are the consistency parameters of a cell. An empty string was not sent: the bucket's
// own applies.
type Levels struct {
	N      int    `json:"n"`
	R      string `json:"r,omitempty"`
	W      string `json:"w,omitempty"`
	PR     string `json:"pr,omitempty"`
	PW     string `json:"pw,omitempty"`
	DW     string `json:"dw,omitempty"` // empty with a W: the same as W was sent
	Sloppy bool   `json:"sloppy"`
}

// Op is what became of the operations of one kind.
type Op struct {
	Kind     string           `json:"kind"` // all, get, put, update (read, then write), insert
	Count    int64            `json:"count"`
	Rate     float64          `json:"rate"` // successful ones per second
	NotFound int64            `json:"not_found"`
	Errors   map[string]int64 `json:"errors,omitempty"` // by status ("503") or kind ("timeout", "connection")
	Latency  Latency          `json:"latency"`          // of the successful ones
}

// Latency is a distribution of times. In an open loop they are counted from the moment at which
// the schedule wanted the request sent.
type Latency struct {
	Mean float64 `json:"mean_us"`
	Min  float64 `json:"min_us"`
	P50  float64 `json:"p50_us"`
	P90  float64 `json:"p90_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
	// Curve is the distribution for a chart, quantiles rising; may be empty.
	Curve []Quantile `json:"curve,omitempty"`
}

// Quantile says that a share Q of all, 0 to 1, took at most Micros.
type Quantile struct {
	Q      float64 `json:"q"`
	Micros float64 `json:"us"`
}

// Point is one interval of a time line.
type Point struct {
	At      float64 `json:"at_seconds"` // begin of the interval, from the beginning of the cell
	Seconds float64 `json:"seconds"`    // its length
	Count   int64   `json:"count"`      // successful ones
	Errors  int64   `json:"errors"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	Max     float64 `json:"max_us"`
}

// Event is a fault on a time line.
type Event struct {
	Name  string   `json:"name"`
	Nodes []string `json:"nodes"`
	Begin float64  `json:"begin_seconds"`
	End   float64  `json:"end_seconds"`
}

// Use is what a process used during a cell.
type Use struct {
	Name       string  `json:"name"`
	CPUSeconds float64 `json:"cpu_seconds"` // user and system; 0: not known
	RSSBytes   int64   `json:"rss_bytes"`   // at the end; 0: not known
}

// Staleness is how old the answers were that reads gave after acknowledged writes, and how old
// the model of PBS (Bailis et al. 2012) expects them to be.
type Staleness struct {
	Writes  int64 `json:"writes"`  // acknowledged writes that were probed
	Samples int   `json:"samples"` // measured replica latencies that the prediction draws from
	// Errors are requests of probes without an answer, by status ("503") or kind; they count as
	// neither fresh nor stale.
	Errors map[string]int64 `json:"errors,omitempty"`
	// Times is the probability of a fresh answer by the time since the acknowledgement.
	Times []Freshness `json:"times"`
	// Versions is the probability of an answer that is at most K versions old, K rising from 0.
	Versions []Age `json:"versions"`
}

// Freshness is the share of fresh answers to reads that began some time after the
// acknowledgement of the write.
type Freshness struct {
	Delay     float64 `json:"delay_us"`
	Reads     int64   `json:"reads"`
	Fresh     int64   `json:"fresh"`
	Predicted float64 `json:"predicted"` // probability, 0 to 1; below 0: no prediction
}

// Age is the share of answers that missed at most K acknowledged versions.
type Age struct {
	K         int     `json:"k"`
	Reads     int64   `json:"reads"`
	Fresh     int64   `json:"fresh"`
	Predicted float64 `json:"predicted"` // as above
}
