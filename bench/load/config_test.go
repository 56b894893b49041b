package load

import (
	"math"
	"strings"
	"testing"
	"time"

	"cartwheel/bench/workload"
)

// Everything that is wrong is told, and nothing of it gets as far as a run.
func TestConfigRefuses(t *testing.T) {
	cases := map[string]func(*Config){
		"no target":         func(c *Config) { c.Targets = nil },
		"write host:port":   func(c *Config) { c.Targets = []string{"http://a"} },
		"no bucket":         func(c *Config) { c.Bucket = "" },
		"query":             func(c *Config) { c.GetQuery = "r=1 " },
		"without '?'":       func(c *Config) { c.PutQuery = "?w=1" },
		"no workload":       func(c *Config) { c.Workload = workload.Workload{} },
		"no keys":           func(c *Config) { c.Keys = workload.Keys{} },
		"value sizes":       func(c *Config) { c.Sizes = workload.Sizes{Min: 2, Max: 1} },
		"-1 clients":        func(c *Config) { c.Clients = -1 },
		"20001 clients":     func(c *Config) { c.Clients = maxClients + 1 },
		"a rate of -1":      func(c *Config) { c.Rate = -1 },
		"a rate of NaN":     func(c *Config) { c.Rate = math.NaN() },
		"a rate of +Inf":    func(c *Config) { c.Rate = math.Inf(1) },
		"a negative length": func(c *Config) { c.For = -1 },
		"interval of 1ms":   func(c *Config) { c.Interval = time.Millisecond },
		"interval of 2h":    func(c *Config) { c.Interval = 2 * time.Hour },
		"too many":          func(c *Config) { c.WarmUp = 10_000 * time.Second },
		"timeout of 1ns":    func(c *Config) { c.Timeout = 1 },
	}
	for want, spoil := range cases {
		c := testLoad(t, "get", "a:1")
		if _, err := New(c); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if r, err := New(c); err == nil || r != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	if _, err := New(Config{}); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("an empty configuration: %v", err)
	}
}
