package load

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"cartwheel/bench/workload"
)

// Config is a load. Targets, Bucket, Workload, Keys and Sizes have no default.
type Config struct {
	Targets []string // host:port of nodes; client i begins at Targets[i % len]
	Bucket  string
	Type    string // bucket type; empty: the default one, with paths /buckets/B/keys/K

	GetQuery, PutQuery string // as "r=2&pr=1", without "?"

	Workload workload.Workload
	Keys     workload.Keys
	Sizes    workload.Sizes

	Clients    int           // connections, one request under way each; 64
	Rate       float64       // operations per second of all clients in the open loop; 0: closed loop
	WarmUp     time.Duration // not recorded; 0: none
	For        time.Duration // measured; 10 s, with Operations no limit
	Operations int64         // end after so many operations in the measured time; 0: by time alone
	Interval   time.Duration // of the time line; 1 s
	Timeout    time.Duration // of one request, kept within a twentieth; 10 s
	Seed       uint64        // of the operations
}

const (
	defaultClients = 64
	defaultTimeout = 10 * time.Second
)

// maxClients bounds the connections, which are file descriptors, and maxPoints the time line.
const (
	maxClients = 20_000
	maxPoints  = 10_000
)

// WithDefaults returns the configuration with every zero field that has a default set to it.
func (c Config) WithDefaults() Config {
	if c.Clients == 0 {
		c.Clients = defaultClients
	}
	if c.For == 0 && c.Operations == 0 {
		c.For = 10 * time.Second
	}
	if c.Interval == 0 {
		c.Interval = time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	return c
}

// Validate reports everything that is wrong with the configuration, defaults applied.
func (c Config) Validate() error {
	errs := append(checkPlace(c.Targets, c.Bucket), checkQuery(c.GetQuery), checkQuery(c.PutQuery),
		checkClients(c.Clients), checkTimeout(c.Timeout))
	complain := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	complain(!c.Workload.Valid(), "no workload")
	complain(!c.Keys.Valid(), "no keys")
	if !c.Sizes.Valid() {
		errs = append(errs, errSizes(c.Sizes))
	}
	complain(!(c.Rate >= 0 && c.Rate <= 1e7), "a rate of %v per second: choose up to 10 million, 0 for a closed loop", c.Rate)
	complain(c.WarmUp < 0 || c.For < 0 || c.Operations < 0, "a negative length of the run")
	complain(c.Interval < 10*time.Millisecond || c.Interval > time.Hour, "an interval of %v: choose from 10ms to 1h", c.Interval)
	complain((c.WarmUp+c.For)/max(c.Interval, 1) >= maxPoints, "%v in intervals of %v are too many for a time line: choose longer intervals, at most %d of them", c.WarmUp+c.For, c.Interval, maxPoints)
	return errors.Join(errs...)
}

// checkPlace checks where a load goes.
func checkPlace(targets []string, bucket string) []error {
	var errs []error
	if len(targets) == 0 {
		errs = append(errs, errors.New("no target: name at least one node as host:port"))
	}
	for _, t := range targets {
		host, port, err := net.SplitHostPort(t)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || strings.ContainsAny(host, "/ \r\n") {
			errs = append(errs, fmt.Errorf("target %q: write host:port", t))
		}
	}
	if bucket == "" {
		errs = append(errs, errors.New("no bucket"))
	}
	return errs
}

// checkQuery checks what goes into a request as it is.
func checkQuery(query string) error {
	unfit := func(r rune) bool { return r <= ' ' || r > '~' || r == '#' || r == '?' }
	if strings.ContainsFunc(query, unfit) {
		return fmt.Errorf("query %q: write it as r=2&pr=1, escaped, without '?'", query)
	}
	return nil
}

func checkClients(n int) error {
	if n < 1 || n > maxClients {
		return fmt.Errorf("%d clients: choose from 1 to %d", n, maxClients)
	}
	return nil
}

func checkTimeout(t time.Duration) error {
	if t < time.Millisecond || t > time.Hour {
		return fmt.Errorf("a timeout of %v: choose from 1ms to 1h", t)
	}
	return nil
}

func errSizes(s workload.Sizes) error {
	return fmt.Errorf("value sizes from %d to %d: give both in bytes, the larger one last, up to %d", s.Min, s.Max, workload.MaxValueBytes)
}
