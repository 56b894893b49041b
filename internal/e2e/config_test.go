package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSettingsPrecedence gives settings in the file, the environment and as flags.
func TestSettingsPrecedence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "node.yaml")
	write(t, file, "name: from-file\nzone: from-file\nweight: 7\npartitions: 8\nexpect: 1\ndefault-allow-mult: false\n")
	for _, c := range []struct {
		name  string
		flags []string
		env   []string
	}{
		{"file by flag", []string{"--config", file}, nil},
		{"file by environment", nil, []string{"CARTWHEEL_CONFIG=" + file}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := lab.Node(t, "from-flag", filepath.Join(t.TempDir(), "n"), c.flags...)
			env := append(c.env, "CARTWHEEL_NAME=from-environment", "CARTWHEEL_ZONE=from-environment", "CARTWHEEL_ENDPOINT=not-a-setting")
			n.Process = lab.Start(t, Command{Args: n.args, Env: env})
			n.AwaitReady(t)
			var v struct {
				Node       string
				Partitions int
				Members    []struct {
					Zone   string
					Weight int
				}
			}
			n.JSON(t, "/cluster", &v)
			if v.Node != "from-flag" || len(v.Members) != 1 || v.Members[0].Zone != "from-environment" ||
				v.Members[0].Weight != 7 || v.Partitions != 8 {
				t.Errorf("the flag must beat the environment, and that the file: %+v", v)
			}
			var p struct {
				Props struct {
					AllowMult bool `json:"allow_mult"`
				}
			}
			n.JSON(t, "/buckets/b/props", &p)
			if p.Props.AllowMult {
				t.Error("default-allow-mult: false of the file is not followed")
			}
			if code := n.Stop(t, syscall.SIGINT); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestSettingsRefused is about command lines, environments and files that make no sense: code 2,
// a sentence that names the setting, and no trace of a data directory.
func TestSettingsRefused(t *testing.T) {
	t.Parallel()
	const loopback = "loopback"
	port := lab.Port(t, 0, 1)
	for _, c := range []struct {
		name  string
		args  []string // after name, data and addresses
		env   string
		yaml  string
		words []string
	}{
		{name: "unknown flag", args: []string{"--nme", "x"}, words: []string{"--nme", "--help"}},
		{name: "argument", args: []string{"extra"}, words: []string{"extra"}},
		{name: "bad name", args: []string{"--name", "a b"}, words: []string{"name", `"a b"`}},
		{name: "no data directory", args: []string{"--data", ""}, words: []string{"data"}},
		{name: "http everywhere", args: []string{"--http", ":8098"}, words: []string{"http", loopback, "--insecure"}},
		{name: "http on all addresses", args: []string{"--http", "0.0.0.0:8098"}, words: []string{"http", loopback, "--insecure"}},
		{name: "http on IPv6", args: []string{"--http", "[::]:8098"}, words: []string{"http", loopback, "--insecure"}},
		{name: "http by another name", args: []string{"--http", "example.com:8098"}, words: []string{"http", loopback, "--insecure"}},
		{name: "peer on all addresses", args: []string{"--peer", "0.0.0.0:8099", "--advertise", "127.0.0.1"}, words: []string{"peer", loopback, "--insecure"}},
		{name: "http without port", args: []string{"--http", "127.0.0.1"}, words: []string{"http", "HOST:PORT"}},
		{name: "join without port", args: []string{"--join", "127.0.0.1"}, words: []string{"join", "PORT"}},
		{name: "number", args: []string{"--weight", "x"}, words: []string{"weight", `"x"`}},
		{name: "weight 0", args: []string{"--weight", "0"}, words: []string{"weight 0"}},
		{name: "weight 101", args: []string{"--weight", "101"}, words: []string{"weight 101"}},
		{name: "partitions", args: []string{"--partitions", "3"}, words: []string{"partitions 3", "power of two"}},
		{name: "n 0", args: []string{"--n", "0"}, words: []string{"n 0"}},
		{name: "n -1", args: []string{"--n", "-1"}, words: []string{"n -1"}},
		{name: "expect 0", args: []string{"--expect", "0"}, words: []string{"expect 0"}},
		{name: "durability", args: []string{"--durability", "sometimes"}, words: []string{"durability", `"sometimes"`}},
		{name: "log level", args: []string{"--log-level", "loud"}, words: []string{"log-level", `"loud"`}},
		{name: "no such file", args: []string{"--config", "missing.yaml"}, words: []string{"missing.yaml"}},
		{name: "two mistakes", args: []string{"--partitions", "3", "--zone", "a b"}, words: []string{"partitions", "zone"}},

		{name: "environment: number", env: "CARTWHEEL_WEIGHT=x", words: []string{"weight", "x"}},
		{name: "environment: truth", env: "CARTWHEEL_INSECURE=perhaps", words: []string{"insecure", "perhaps"}},
		{name: "environment: durability", env: "CARTWHEEL_DURABILITY=x", words: []string{"durability"}},

		{name: "file: unknown key", yaml: "nmae: x\n", words: []string{"nmae", "settings.yaml"}},
		{name: "file: not YAML", yaml: "name: [x\n", words: []string{"settings.yaml", "line"}},
		{name: "file: twice", yaml: "zone: a\nzone: b\n", words: []string{"settings.yaml", "zone"}},
		{name: "file: number", yaml: "weight: many\n", words: []string{"weight", "many"}},
		{name: "file: truth", yaml: "insecure: perhaps\n", words: []string{"insecure", "perhaps"}},
		{name: "file: a list for a number", yaml: "weight: [1, 2]\n", words: []string{"weight"}},
		{name: "file: a map for a text", yaml: "zone: {a: b}\n", words: []string{"zone"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			data := filepath.Join(dir, "data")
			args := []string{"serve", "--name", "n1", "--data", data, "--http", Addr(port), "--peer", Addr(port + 1)}
			if c.yaml != "" {
				file := filepath.Join(dir, "settings.yaml")
				write(t, file, c.yaml)
				args = append(args, "--config", file)
			}
			command := Command{Args: append(args, c.args...), Dir: dir}
			if c.env != "" {
				command.Env = []string{c.env}
			}
			p := lab.Start(t, command)
			Until(t, refusedWithin, "the node refuses to start", func() error {
				if p.Running() && p.Stderr.Has("node starts") == nil {
					t.Fatalf("%v %s %q: the node starts", c.args, c.env, c.yaml)
				}
				if p.Running() {
					return errStillRunning
				}
				return nil
			})
			sentence := p.Sentence(t)
			if code := p.Wait(t, time.Second); code != 2 {
				t.Errorf("exit code %d, want 2: %s", code, sentence)
			}
			for _, w := range c.words {
				if !strings.Contains(sentence, w) {
					t.Errorf("the sentence has no %q: %s", w, sentence)
				}
			}
			if slices.ContainsFunc(readDir(t, dir), func(name string) bool { return name == "data" }) {
				t.Error("a data directory was made")
			}
		})
	}
}

func TestCommandsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  []string
		words string
	}{
		{nil, "name a command"},
		{[]string{"sevre"}, `did you mean serve`},
		{[]string{"get", "b"}, "arguments are missing"},
		{[]string{"put", "b", "k", "v", "extra"}, "too many arguments"},
		{[]string{"get", "b", "k", "--endpoint", "ftp://x"}, "endpoint"},
		{[]string{"dev", "--nodes", "0"}, "--nodes 0"},
		{[]string{"dev", "--port", "65530"}, "--port 65530"},
	} {
		refuses(t, Command{Args: c.args}, 2, c.words)
	}
}
