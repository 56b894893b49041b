package node

import (
	"strings"
	"testing"

	"cartwheel/storage"
)

func validConfig() Config {
	return Config{Name: "n1", DataDir: "d", HTTP: "127.0.0.1:8098", Peer: "127.0.0.1:8099"}.WithDefaults()
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // in the error; "" none
	}{
		"defaults":                 {func(c *Config) {}, ""},
		"no name":                  {func(c *Config) { c.Name = "" }, "name"},
		"name with a space":        {func(c *Config) { c.Name = "a b" }, "name"},
		"name of 65 letters":       {func(c *Config) { c.Name = strings.Repeat("a", 65) }, "name"},
		"name of 64 letters":       {func(c *Config) { c.Name = strings.Repeat("a", 64) }, ""},
		"zone":                     {func(c *Config) { c.Zone = "rack-1" }, ""},
		"zone with a slash":        {func(c *Config) { c.Zone = "a/b" }, "zone"},
		"no directory":             {func(c *Config) { c.DataDir = "" }, "data"},
		"nobody expected":          {func(c *Config) { c.Expect = -1 }, "expect"},
		"too many expected":        {func(c *Config) { c.Expect = 1025 }, "expect"},
		"weight":                   {func(c *Config) { c.Weight = 101 }, "weight"},
		"partitions, no power":     {func(c *Config) { c.Partitions = 100 }, "partitions"},
		"too many partitions":      {func(c *Config) { c.Partitions = 1 << 17 }, "partitions"},
		"most partitions":          {func(c *Config) { c.Partitions = 1 << 16 }, ""},
		"n":                        {func(c *Config) { c.N = -1 }, "n -1"},
		"http without a port":      {func(c *Config) { c.HTTP = "127.0.0.1" }, "http"},
		"peer without a port":      {func(c *Config) { c.Peer = "127.0.0.1" }, "peer"},
		"http everywhere":          {func(c *Config) { c.HTTP = ":8098" }, "--insecure"},
		"http on an address":       {func(c *Config) { c.HTTP = "10.0.0.1:8098" }, "--insecure"},
		"peer on an address":       {func(c *Config) { c.Peer, c.Advertise = "10.0.0.1:8099", "" }, "--insecure"},
		"http on 0.0.0.0":          {func(c *Config) { c.HTTP = "0.0.0.0:8098" }, "--insecure"},
		"http on a name":           {func(c *Config) { c.HTTP = "example.org:8098" }, "--insecure"},
		"http on localhost":        {func(c *Config) { c.HTTP = "localhost:8098" }, ""},
		"http on ::1":              {func(c *Config) { c.HTTP = "[::1]:8098" }, ""},
		"http on 127.9.9.9":        {func(c *Config) { c.HTTP = "127.9.9.9:8098" }, ""},
		"insecure":                 {func(c *Config) { c.HTTP, c.Insecure = "10.0.0.1:8098", true }, ""},
		"peer everywhere, no host": {func(c *Config) { c.Peer, c.Advertise, c.Insecure = ":8099", "", true }, "advertise"},
		"peer on 0.0.0.0":          {func(c *Config) { c.Peer, c.Advertise, c.Insecure = "0.0.0.0:8099", "0.0.0.0", true }, "advertise"},
		"peer on 0.0.0.0, host":    {func(c *Config) { c.Peer, c.Advertise, c.Insecure = "0.0.0.0:8099", "10.0.0.1", true }, ""},
		"advertise with a port":    {func(c *Config) { c.Advertise = "10.0.0.1:8099" }, "without a port"},
		"advertise IPv6":           {func(c *Config) { c.Advertise = "fd00::1" }, ""},
		"join":                     {func(c *Config) { c.Join = []string{"a:1", "10.0.0.1:8099"} }, ""},
		"join without a port":      {func(c *Config) { c.Join = []string{"a:1", "b"} }, `join "b"`},
	} {
		cfg := validConfig()
		c.change(&cfg)
		err := cfg.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want something about %q", name, err, c.want)
		}
	}
}

func TestConfigReportsAllProblemsAtOnce(t *testing.T) {
	err := Config{Name: "?", Weight: -1, HTTP: "x", Peer: "y", Join: []string{"z"}}.WithDefaults().Validate()
	if err == nil {
		t.Fatal("no problem")
	}
	for _, want := range []string{"name", "data", "weight", "http", "peer", "advertise", "join"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in:\n%v", want, err)
		}
	}
	if _, newErr := New(Config{Name: "?"}); newErr == nil {
		t.Error("New takes what Validate refuses")
	}
}

func TestParseDurability(t *testing.T) {
	for word, want := range map[string]storage.Durability{"fsync": storage.Fsync, "os": storage.OS} {
		if got, err := ParseDurability(word); err != nil || got != want {
			t.Errorf("%s: %v, %v", word, got, err)
		}
	}
	if _, err := ParseDurability("maybe"); err == nil || !strings.Contains(err.Error(), "maybe") {
		t.Errorf("an unknown word: %v", err)
	}
}
