package staleness

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Bounds of a Config.
const (
	maxClients = 1024
	maxDelays  = 64
	maxDelay   = time.Minute
	maxValue   = 1 << 20
)

// Config is what to measure. A zero field means its default.
type Config struct {
	Targets            []string // host:port of at least two nodes; required
	Bucket             string   // required; one that keeps the last write suits best
	Type               string   // bucket type
	GetQuery, PutQuery string   // levels as query parameters, "r=1", without "?"

	// N, R and W are what the queries and the bucket's properties come to, for the prediction:
	// R with pr, W with pw and dw taken into account. N is the effective one. 0: no prediction.
	N, R, W int
	Members int // of the cluster; default: as many as Targets, at least N

	Delays     []time.Duration // between acknowledgement and read; default 0 to 100 ms in 11 steps
	Clients    int             // probes at a time; default 16
	For        time.Duration   // all of the run; default 10 s: three fifths for times, the rest for versions
	Timeout    time.Duration   // of one request; default 2 s
	ValueBytes int             // of each value; default 100, at least 32
	Versions   int             // result's greatest k; default 10
	Seed       uint64          // of delays and of the prediction
}

// WithDefaults returns c with the defaults in place of zero fields, and the delays rising.
func (c Config) WithDefaults() Config {
	if len(c.Delays) == 0 {
		for _, us := range []int{0, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000} {
			c.Delays = append(c.Delays, time.Duration(us)*time.Microsecond)
		}
	}
	c.Delays = slices.Compact(slices.Sorted(slices.Values(c.Delays)))
	setDefault(&c.Clients, 16)
	setDefault(&c.For, 10*time.Second)
	setDefault(&c.Timeout, 2*time.Second)
	setDefault(&c.ValueBytes, 100)
	setDefault(&c.Versions, 10)
	setDefault(&c.Members, max(len(c.Targets), c.N))
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns everything that is wrong with c, which has its defaults.
func (c Config) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf("staleness: "+format, args...)) }
	if len(c.Targets) < 2 {
		add("%d targets: name at least two nodes, one to write through and one to read through", len(c.Targets))
	}
	if c.Bucket == "" {
		add("no bucket")
	}
	if c.Clients < 1 || c.Clients > maxClients {
		add("%d clients, want 1 to %d", c.Clients, maxClients)
	}
	if len(c.Delays) > maxDelays || c.Delays[0] < 0 || c.Delays[len(c.Delays)-1] > maxDelay {
		add("want at most %d delays of 0 to %v", maxDelays, maxDelay)
	}
	if c.For < 0 || c.Timeout < 0 {
		add("a negative time")
	}
	if c.ValueBytes < minValue || c.ValueBytes > maxValue {
		add("values of %d bytes, want %d to %d", c.ValueBytes, minValue, maxValue)
	}
	if c.Versions < 0 || c.Versions > 100 {
		add("up to %d versions, want 0 to 100", c.Versions)
	}
	if c.N != 0 && (c.R < 1 || c.R > c.N || c.W < 1 || c.W > c.N || c.N > c.Members) {
		add("N=%d R=%d W=%d with %d members", c.N, c.R, c.W, c.Members)
	}
	return errors.Join(errs...)
}

// pair returns the targets that client i writes and reads through. All ordered pairs of two
// take their turn.
func (c *Config) pair(i int) (writer, reader string) {
	n := len(c.Targets)
	w := i % n
	return c.Targets[w], c.Targets[(w+1+i/n%(n-1))%n]
}
