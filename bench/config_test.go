package bench

import (
	"strings"
	"testing"
	"time"
)

func TestConfigErrors(t *testing.T) {
	two := []string{"http://h:1", "h:2"}
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string // "" for none
	}{
		{"defaults", func(*Config) {}, ""},
		{"no target", func(c *Config) { c.Targets = []string{} }, "0 targets"},
		{"https", func(c *Config) { c.Targets = []string{"https://h:1"} }, `the target "https://h:1": nodes speak no TLS; use http://HOST:PORT`},
		{"twice", func(c *Config) { c.Targets = []string{"http://h:1", "http://i:1", "h:1/"} }, `the target "h:1/" is named twice`},
		{"path", func(c *Config) { c.Targets = []string{"http://h:1/x"} }, "use http://HOST:PORT"},
		{"user", func(c *Config) { c.Targets = []string{"http://u:p@h:1"} }, "use http://HOST:PORT"},
		{"empty target", func(c *Config) { c.Targets = []string{""} }, "use http://HOST:PORT"},
		{"slash", func(c *Config) { c.Targets = []string{"http://h:1/"} }, ""},
		{"workload", func(c *Config) { c.Workload = "scan" }, `no workload "scan"`},
		{"keys", func(c *Config) { c.Keys = -1 }, "-1"},
		{"distribution", func(c *Config) { c.Distribution = "even" }, `"even"`},
		{"both", func(c *Config) { c.Workload, c.Distribution = "scan", "even" }, `"even"`},
		{"value", func(c *Config) { c.Value = "1k" }, `value size "1k"`},
		{"large value", func(c *Config) { c.Value = "1048577" }, "nodes take up to 1048576"},
		{"clients", func(c *Config) { c.Clients = -1 }, "-1 clients"},
		{"rate", func(c *Config) { c.Rate = -1 }, "a rate of -1"},
		{"warm-up", func(c *Config) { c.WarmUp = -1 }, "--warm-up -1ns: choose from 0 to 24h"},
		{"for", func(c *Config) { c.For = time.Millisecond }, "--for 1ms: choose from 10ms to 24h for each cell"},
		{"timeout", func(c *Config) { c.Timeout = 2 * time.Hour }, "--timeout 2h0m0s"},
		{"prefix", func(c *Config) { c.Prefix = "a b" }, "without spaces"},
		{"matrix", func(c *Config) { c.Matrix = "r=0" }, "r=0: use a number"},
		{"n", func(c *Config) { c.N = []int{3, 3} }, "n=3: name different numbers"},
		{"great n", func(c *Config) { c.N = []int{17} }, "n=17: name different numbers from 1 to 16"},
		{"level above n", func(c *Config) { c.N, c.Matrix = []int{3, 5}, "r=4" }, "r=4 is above n=3"},
		{"level of its n", func(c *Config) { c.N, c.Matrix = []int{3, 5}, "default r=4,n=5" }, ""},
		{"n without a cell", func(c *Config) { c.N, c.Matrix = []int{3, 5}, "r=4,n=5" }, "the matrix has no cell for n=3"},
		{"n of no bucket", func(c *Config) { c.N, c.Matrix = []int{3}, "default default,n=5" }, "not of the form"},
		{"n of no run", func(c *Config) { c.N, c.Matrix = []int{3}, "r=1 r=1,n=5" }, "asks for n=5"},
		{"staleness", func(c *Config) { c.Staleness = true }, "name at least two nodes"},
		{"staleness of two", func(c *Config) { c.Staleness, c.Targets = true, two }, ""},
		{"staleness-for", func(c *Config) { c.StalenessFor = 1 }, "--staleness-for 1ns: choose from 100ms to 24h"},
		{"faults without a control", func(c *Config) { c.During = []string{"kill"} }, "need both --chaos, the URL of the chaos control, and --during, "},
		{"control without faults", func(c *Config) { c.Chaos = "http://h:1" }, "need both"},
		{"control", func(c *Config) { c.Chaos, c.During = "h:1", []string{"kill"} }, "use http://HOST:PORT"},
		{"fault", func(c *Config) { c.Chaos, c.During = "http://h:1", []string{"burn"} }, `there is no fault "burn"; there are kill, pause, cut`},
		{"short faults", func(c *Config) { c.Chaos, c.During, c.For = "http://h:1", Faults(), 3*time.Second }, "--for 3s leaves 429ms for each fault and each calm; 500ms is the least, so choose 3.5s or more"},
		{"faults", func(c *Config) { c.Chaos, c.During = "http://h:1", Faults() }, ""},
	} {
		c := Config{}.WithDefaults()
		tc.change(&c)
		err := c.Validate()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	// All at once, each named.
	err := Config{Workload: "x", Value: "x", Matrix: "x", Prefix: "/"}.Validate()
	for _, want := range []string{"0 targets", `no workload "x"`, `value size "x"`, "0 clients", `the cell "x"`, `the prefix "/"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

func TestHostPort(t *testing.T) {
	for target, want := range map[string]string{
		"http://h:1": "h:1", "h:1": "h:1", "h": "h:80", "http://[::1]:8098": "[::1]:8098", "http://[::1]": "[::1]:80", "127.0.0.1:8098/": "127.0.0.1:8098",
	} {
		if got, err := hostPort(target); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", target, got, err, want)
		}
	}
}
