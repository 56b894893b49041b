package bench

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"cartwheel/bench/workload"
	"cartwheel/chaos/control"
	"cartwheel/client"
)

// Config says what a run does. A zero field means the default that stands with it.
type Config struct {
	Targets      []string      // nodes' URLs, http://HOST:PORT; client.DefaultEndpoint
	Workload     string        // as workload.Parse takes it; "put"
	Keys         int64         // 10,000
	Distribution string        // of the keys; the workload's own
	Value        string        // bytes, "1024" or a range "100-4096"; "1024"
	Clients      int           // connections; 64
	Rate         float64       // operations per second of the open loop; 0: closed loop
	WarmUp       time.Duration // of each cell, not measured; 0: none
	For          time.Duration // of each cell; 10 s
	Timeout      time.Duration // of one request; 10 s
	Matrix       string        // as ParseMatrix takes it; DefaultCell
	N            []int         // replicas of the buckets; empty: the cluster's
	// Staleness measures after each cell how old the answers of reads are, for StalenessFor (5 s).
	Staleness    bool
	StalenessFor time.Duration
	// Chaos is the URL of a "cartwheel dev --chaos" that makes the faults During in each cell.
	Chaos  string
	During []string // of Faults
	Prefix string   // of the buckets' names; "bench"
	Seed   uint64   // of all choices; 0 is a seed like others
	// Command and Version are passed on to the result.
	Command, Version string
}

// DefaultWarmUp is a warm-up that suits a local cluster: connections, caches, the first commits.
const DefaultWarmUp = 2 * time.Second

const (
	maxTargets = 1024
	// maxValue is what a node takes.
	maxValue = 1 << 20
	longest  = 24 * time.Hour
	// longestText is what users read of it.
	longestText = "24h"
	// leastFault is the shortest part of a cell in which a fault can be told from its begin and end.
	leastFault = 500 * time.Millisecond
)

// WithDefaults returns the configuration with its zero fields filled in.
func (c Config) WithDefaults() Config {
	if len(c.Targets) == 0 {
		c.Targets = []string{client.DefaultEndpoint}
	}
	for _, s := range []struct {
		field *string
		value string
	}{{&c.Workload, "put"}, {&c.Value, "1024"}, {&c.Matrix, DefaultCell}, {&c.Prefix, "bench"}} {
		if *s.field == "" {
			*s.field = s.value
		}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.For, 10 * time.Second}, {&c.Timeout, 10 * time.Second}, {&c.StalenessFor, 5 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.Keys == 0 {
		c.Keys = 10_000
	}
	if c.Clients == 0 {
		c.Clients = 64
	}
	return c
}

// Validate reports everything that is wrong with a configuration whose defaults are filled in, as far
// as it can be known without the cluster.
func (c Config) Validate() error {
	_, err := c.plan()
	return err
}

// plan is a configuration that was understood.
type plan struct {
	addresses []string // host:port of the targets, parallel to them
	workload  workload.Workload
	keys      workload.Keys
	sizes     workload.Sizes
	matrix    Matrix
}

// plan reads the configuration.
func (c Config) plan() (p plan, err error) {
	var errs []error
	complain := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("bench: "+format, args...))
		}
	}
	note := func(err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("bench: %w", err))
		}
	}
	complain(len(c.Targets) < 1 || len(c.Targets) > maxTargets, "%d targets: name 1 to %d", len(c.Targets), maxTargets)
	for _, target := range c.Targets {
		address, err := hostPort(target)
		note(err)
		complain(err == nil && slices.Contains(p.addresses, address), "the target %q is named twice", target)
		p.addresses = append(p.addresses, address)
	}
	p.workload, err = workload.Parse(c.Workload)
	note(err)
	distribution := c.Distribution
	if distribution == "" && err == nil {
		distribution = p.workload.Distribution()
	}
	if err == nil || c.Distribution != "" {
		p.keys, err = workload.ParseKeys(distribution, c.Keys)
		note(err)
	}
	p.sizes, err = workload.ParseSizes(c.Value)
	note(err)
	complain(err == nil && p.sizes.Max > maxValue, "values of %d bytes: nodes take up to %d", p.sizes.Max, maxValue)
	complain(c.Clients < 1 || c.Clients > 20_000, "%d clients: choose from 1 to 20000", c.Clients)
	complain(!(c.Rate >= 0 && c.Rate <= 1e7), "a rate of %v per second: choose up to 10 million, or 0 for a closed loop", c.Rate)
	complain(c.WarmUp < 0 || c.WarmUp > longest, "--warm-up %v: choose from 0 to %s", c.WarmUp, longestText)
	complain(c.For < 10*time.Millisecond || c.For > longest, "--for %v: choose from 10ms to %s for each cell", c.For, longestText)
	complain(c.Timeout < time.Millisecond || c.Timeout > time.Hour, "--timeout %v: choose from 1ms to 1h", c.Timeout)
	complain(c.StalenessFor < 100*time.Millisecond || c.StalenessFor > longest, "--staleness-for %v: choose from 100ms to %s", c.StalenessFor, longestText)
	complain(c.Staleness && len(c.Targets) < 2, "staleness with %d target: name at least two nodes, one to write through and one to read through", len(c.Targets))
	complain(c.Prefix == "" || strings.ContainsFunc(c.Prefix, func(r rune) bool { return r <= ' ' || r == '/' }),
		"the prefix %q of the buckets' names: choose one without spaces and slashes", c.Prefix)
	p.matrix, err = ParseMatrix(c.Matrix)
	if err != nil {
		errs = append(errs, err)
	} else {
		errs = append(errs, c.checkN(p.matrix)...)
	}
	return p, errors.Join(append(errs, c.checkFaults()...)...)
}

// checkN checks the numbers of replicas, and the cells against those that are given.
func (c Config) checkN(m Matrix) (errs []error) {
	for i, n := range c.N {
		if n < 1 || n > MaxN || slices.Contains(c.N[:i], n) {
			errs = append(errs, fmt.Errorf("bench: n=%d: name different numbers from 1 to %d", n, MaxN))
			continue
		}
		cells, err := m.Cells(n)
		if err == nil && len(cells) == 0 {
			err = fmt.Errorf("bench: the matrix has no cell for n=%d", n)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	for _, n := range m.Ns() {
		if len(c.N) > 0 && !slices.Contains(c.N, n) {
			errs = append(errs, fmt.Errorf("bench: a cell of the matrix asks for n=%d, which is not among the n of the run", n))
		}
	}
	return errs
}

// checkFaults checks what is to go wrong.
func (c Config) checkFaults() (errs []error) {
	if (c.Chaos == "") != (len(c.During) == 0) {
		errs = append(errs, fmt.Errorf("bench: faults need both --chaos, the URL of the chaos control, and --during, their kinds (%s)", strings.Join(Faults(), ", ")))
	}
	if c.Chaos != "" {
		to, err := control.New(c.Chaos)
		if err != nil {
			errs = append(errs, fmt.Errorf("bench: %w", err))
		} else {
			to.Close()
		}
	}
	for _, kind := range c.During {
		if !slices.Contains(Faults(), kind) {
			errs = append(errs, fmt.Errorf("bench: there is no fault %q; there are %s", kind, strings.Join(Faults(), ", ")))
		}
	}
	if part := c.For / time.Duration(2*len(c.During)+1); len(c.During) > 0 && part < leastFault {
		errs = append(errs, fmt.Errorf("bench: --for %v leaves %v for each fault and each calm; %v is the least, so choose %v or more",
			c.For, part.Round(time.Millisecond), leastFault, leastFault*time.Duration(2*len(c.During)+1)))
	}
	return errs
}

// hostPort returns where the requests of a load go: they are plain HTTP.
func hostPort(target string) (string, error) {
	full := target
	if !strings.Contains(target, "://") {
		full = "http://" + target
	}
	u, err := url.Parse(full)
	if err == nil && u.Scheme == "https" {
		return "", fmt.Errorf("the target %q: nodes speak no TLS; use http://HOST:PORT", target)
	}
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		return "", fmt.Errorf("the target %q: use http://HOST:PORT", target)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}
