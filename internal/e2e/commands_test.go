package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCommands runs the commands for objects, lists and types against a cluster as people do:
// their examples first, then what they print and how they end, and at last without one node.
func TestCommands(t *testing.T) {
	nodes := lab.Cluster(t, 3)
	var endpoints []string
	for _, n := range nodes {
		endpoints = append(endpoints, n.HTTP)
	}
	c := commands{endpoint: "CARTWHEEL_ENDPOINT=" + strings.Join(endpoints, ",")}
	c.examples(t)
	if t.Failed() {
		return
	}
	c.types(t)
	c.lists(t)
	c.refusals(t)
	nodes[2].Kill()
	c.withoutANode(t)
}

// commands runs commands against one cluster.
type commands struct{ endpoint string }

// run runs a command line.
func (c commands) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	p, code := lab.Run(t, requestWithin, Command{Args: args, Env: []string{c.endpoint}})
	return p.Stdout.String(), p.Stderr.String(), code
}

// expect fails unless a command line ends with the code, the output, and every one of the words
// on the standard error (none: nothing there).
func (c commands) expect(t *testing.T, args []string, code int, stdout string, words ...string) {
	t.Helper()
	out, errs, got := c.run(t, args...)
	if got != code || out != stdout || len(words) == 0 && errs != "" {
		t.Errorf("%q: exit code %d, output %q; want %d, %q\nerrors: %s", args, got, out, code, stdout, errs)
	}
	for _, w := range words {
		if !strings.Contains(errs, w) {
			t.Errorf("%q: the error output %q lacks %q", args, errs, w)
		}
	}
}

// withExamples are the commands whose examples work one after the other.
var withExamples = []string{
	"put", "get", "explain", "delete", "type create", "type update", "type list", "type show", "keys", "buckets", "count", "status",
}

// examples runs what the help of each command shows.
func (c commands) examples(t *testing.T) {
	t.Helper()
	needTools(t, "bash")
	for _, name := range withExamples {
		help, _, code := c.run(t, append(strings.Fields(name), "--help")...)
		_, rest, found := strings.Cut(help, "\nExamples:\n")
		block, _, ends := strings.Cut(rest, "\n\n")
		if code != 0 || !found || !ends {
			t.Errorf("%s --help: exit code %d, no examples in\n%s", name, code, help)
			continue
		}
		for line := range strings.Lines(block) {
			if !strings.Contains(line, "cartwheel "+name) {
				t.Errorf("%s --help: the example %q is of another command", name, line)
			}
			ctx, cancel := context.WithTimeout(t.Context(), requestWithin)
			bash := exec.CommandContext(ctx, "bash", "-e", "-o", "pipefail", "-c", line)
			bash.Env = append(lab.environment(), "PATH="+filepath.Dir(lab.Binary)+":"+os.Getenv("PATH"), c.endpoint)
			out, err := bash.CombinedOutput()
			cancel()
			if err != nil {
				t.Errorf("%s --help: the example %q: %v\n%s", name, strings.TrimSpace(line), err, out)
			}
		}
	}
}

func (c commands) types(t *testing.T) {
	t.Helper()
	c.expect(t, []string{"type", "create", "solo", `{"props":{"n_val":1}}`}, 0, "")
	c.expect(t, []string{"type", "create", "solo"}, 1, "", "exists", "type update")
	c.expect(t, []string{"type", "update", "solo", `{"props":{"r":1}}`}, 0, "")
	c.expect(t, []string{"type", "update", "solo", `{"props":{"w":"foo"}}`}, 1, "", "not_valid_quorum")
	c.expect(t, []string{"type", "update", "nope", `{"props":{"r":1}}`}, 3, "", "no type nope")
	c.expect(t, []string{"type", "update", "default", `{"props":{"r":1}}`}, 1, "", "refused")
	c.expect(t, []string{"type", "create", "solo", "r=1"}, 2, "", "not of the form")
	c.expect(t, []string{"type", "show", "nope"}, 3, "", "no type nope")
	c.expect(t, []string{"type", "list"}, 0, "baskets\ndefault\nsolo\nvotes\n")
	var list struct{ Types []string }
	out, _, code := c.run(t, "type", "list", "--json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 || !slices.Equal(list.Types, []string{"baskets", "default", "solo", "votes"}) {
		t.Errorf("type list --json: %d, %q, %v", code, out, err)
	}
	var shown struct {
		Props struct {
			NVal int `json:"n_val"`
			R    int
			W    string
		}
	}
	out, _, code = c.run(t, "type", "show", "solo", "--json")
	if err := json.Unmarshal([]byte(out), &shown); err != nil || code != 0 || shown.Props.NVal != 1 || shown.Props.R != 1 || shown.Props.W != "quorum" {
		t.Errorf("type show --json: %d, %q, %v", code, out, err)
	}
	if out, _, code = c.run(t, "type", "show", "solo"); code != 0 || !strings.Contains(out, "\nn_val ") {
		t.Errorf("type show: %d, %q", code, out)
	}
}

// oddKeys are the keys of a bucket, sorted.
var oddKeys = []string{"%41", "a b", "a/1", "grün", "line\nbreak", "\xff"}

func (c commands) lists(t *testing.T) {
	t.Helper()
	c.expect(t, []string{"count", "odd", "--type", "solo"}, 0, "0\n")
	c.expect(t, []string{"keys", "odd", "--type", "solo", "--json"}, 0, "{\"keys\": []}\n")
	for _, k := range oddKeys {
		c.expect(t, []string{"put", "odd", k, "v", "--type", "solo"}, 0, "")
		c.expect(t, []string{"put", "wide", k, "v"}, 0, "")
	}
	all := strings.Join(oddKeys, "\n") + "\n"
	for _, in := range [][]string{{"odd", "--type", "solo"}, {"wide"}} {
		keys := append([]string{"keys"}, in...)
		c.expect(t, append(keys, "--sort"), 0, all)
		c.expect(t, append(keys, "--prefix", "a", "--sort"), 0, "a b\na/1\n")
		c.expect(t, append(keys, "--start", "a/", "--limit", "2"), 0, "a/1\ngrün\n")
		c.expect(t, append(keys, "--sort", "--json"), 0,
			"{\"keys\": [\n  \"%41\",\n  \"a b\",\n  \"a/1\",\n  \"grün\",\n  \"line\\nbreak\",\n  {\"base64\":\"/w==\"}\n]}\n")
		c.expect(t, append([]string{"count"}, in...), 0, "6\n")
	}
	c.expect(t, []string{"count", "odd", "--type", "solo", "--prefix", "a", "--json"}, 0, "{\n  \"type\": \"solo\",\n  \"bucket\": \"odd\",\n  \"count\": 2\n}\n")
	c.expect(t, []string{"buckets", "--type", "solo"}, 0, "odd\n")
	c.expect(t, []string{"buckets", "--sort", "--json"}, 0, "{\"buckets\": [\n  \"fruit\",\n  \"wide\"\n]}\n")
	c.expect(t, []string{"buckets", "--type", "votes"}, 0, "")
}

// refusals are answered with the node's own words.
func (c commands) refusals(t *testing.T) {
	t.Helper()
	const unknown = "the node refused: Unknown bucket type: nope"
	for _, args := range []string{
		"get b k", "get b k --context-only", "get b k --vtag x", "put b k v", "delete b k", "keys b", "buckets", "count b",
	} {
		c.expect(t, append(strings.Fields(args), "--type", "nope"), 1, "", unknown)
	}
	for _, args := range []string{"get wide grün --r 4", "get wide grün --context-only --r 4", "put wide grün v --w 4"} {
		c.expect(t, strings.Fields(args), 1, "", "the node refused: Specified w/dw/pw/node_confirms values invalid")
	}
	c.expect(t, []string{"get", "wide", "never"}, 3, "", "was not found")
	c.expect(t, []string{"get", "wide", "grün", "--vtag", "x"}, 3, "", "was not found")
	c.expect(t, []string{"keys"}, 2, "", "arguments are missing")
	c.expect(t, []string{"keys", "b", "--limit=-1"}, 2, "", "negative")
}

// withoutANode, what it alone had is missing: then a list is an error, and never short.
func (c commands) withoutANode(t *testing.T) {
	t.Helper()
	c.expect(t, []string{"keys", "wide", "--sort"}, 0, strings.Join(oddKeys, "\n")+"\n")
	c.expect(t, []string{"count", "wide"}, 0, "6\n")
	c.expect(t, []string{"count", "odd", "--type", "solo"}, 5, "", "partition", "cartwheel status")
	for _, args := range []string{"keys odd --type solo", "keys odd --type solo --sort", "keys odd --type solo --json", "buckets --type solo"} {
		out, errs, code := c.run(t, strings.Fields(args)...)
		if code != 5 || !strings.Contains(errs, "the list is not complete") || !strings.Contains(errs, "partition") || json.Valid([]byte(out)) {
			t.Errorf("%s: exit code %d, output %q, errors %q", args, code, out, errs)
		}
	}
	c.expect(t, []string{"type", "list"}, 0, "baskets\ndefault\nsolo\nvotes\n")
	out, errs, code := c.run(t, "get", "wide", "grün", "--context-only", "--pr", "3", "--timeout", "2s")
	if code != 5 || out != "" || !strings.Contains(errs, "PR-value unsatisfied: 2/3") {
		t.Errorf("a read that cannot be: exit code %d, output %q, errors %q", code, out, errs)
	}
}
