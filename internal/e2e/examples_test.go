package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// exampleDirs are the examples whose README.md has a session. The data set of packages comes
// from the machine that it is loaded on, so that one has none: see TestPackages.
var exampleDirs = []string{"cart", "counter", "sessions"}

// TestExamples runs what the examples tell their readers to paste, one after the other against
// one cluster. Each must clean up: at the end no bucket has a key.
func TestExamples(t *testing.T) {
	needTools(t, "bash", "curl", "pgrep", "awk", "go")
	checkExampleDirs(t)
	d := startDev(t)
	d.awaitReady(t)
	endpoints := "http://" + strings.Join([]string{d.http(0), d.http(1), d.http(2)}, ",http://")
	for _, name := range exampleDirs {
		t.Run(name, func(t *testing.T) {
			document := "examples/" + name + "/README.md"
			text, err := os.ReadFile(filepath.Join(lab.Root, document))
			if err != nil {
				t.Fatal(err)
			}
			s, err := ParseSession(string(text))
			if err != nil {
				t.Fatalf("%s: %v", document, err)
			}
			if slices.ContainsFunc(s, func(step Step) bool { return len(step.Expect) == 0 }) {
				t.Errorf("%s does not say what its commands print", document)
			}
			for _, problem := range d.runSession(t, s, lab.Root, endpoints) {
				t.Errorf("%s, %s", document, problem)
			}
		})
	}
	Until(t, readyWithin, "the examples have cleaned up", func() error { // the last replica may hear of it late
		body, err := lab.Get("http://" + d.http(0) + "/buckets?buckets=true")
		if err == nil && strings.TrimSpace(string(body)) != `{"buckets":[]}` {
			err = fmt.Errorf("they leave %s", body)
		}
		return err
	})
}

// TestPackages loads a small package index and takes the tour.
func TestPackages(t *testing.T) {
	needTools(t, "bash", "curl", "pgrep", "awk", "python3")
	t.Parallel()
	d := startDev(t)
	d.awaitReady(t)
	dir := t.TempDir() // load.sh leaves its records beside itself
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(lab.Root, "examples"))); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "index"), "Package: bash\nVersion: 5.2\nDescription: a shell\n\nPackage: g++\nVersion: 1\n\nPackage: g++\nVersion: 2\n")
	s := Session{
		{Commands: "packages/load.sh index\n", Expect: []string{"loading 3 records"}},
		{Commands: "packages/tour.sh\n", Expect: []string{"Note: from Anna", "bash has one value again"}},
		{Commands: "packages/tour.sh g++_2\n", Expect: []string{"Package: g++", "g++_2 has one value again"}},
		{Commands: "! packages/tour.sh none\n", Expect: []string{"tour.sh: ", "answered 404, expected 200"}},
	}
	for _, problem := range d.runSession(t, s, dir, "http://"+d.http(1)+",http://"+d.http(0)) {
		t.Error(problem)
	}
}

// checkExampleDirs fails if an example with a session is not run.
func checkExampleDirs(t *testing.T) {
	t.Helper()
	for _, name := range readDir(t, filepath.Join(lab.Root, "examples")) {
		if name == "http.sh" {
			continue // what the scripts share
		}
		text, err := os.ReadFile(filepath.Join(lab.Root, "examples", name, "README.md"))
		if err != nil {
			t.Errorf("examples/%s has no README.md: %v", name, err)
		}
		if has := strings.Contains(string(text), sessionFence); has != slices.Contains(exampleDirs, name) {
			t.Errorf("examples/%s has a session: %t; the test runs %v", name, has, exampleDirs)
		}
	}
}

// TestExamplesNotice gives the examples a cluster that loses updates, and none at all.
func TestExamplesNotice(t *testing.T) {
	needTools(t, "bash", "curl", "pgrep", "awk", "go")
	t.Parallel()
	d := startDev(t, "--default-allow-mult=false")
	d.awaitReady(t)
	there := "http://" + d.http(0)
	nowhere := "http://" + Addr(lab.Port(t, 0))
	for _, c := range []struct{ command, endpoint, says string }{
		{"examples/cart/cart.sh", there, "the read answered 200"},
		{"examples/sessions/sessions.sh", there, `expected {"page":7,"theme":"dark","user":"anna"}`},
		{"go run ./examples/counter", there, "counter: siblings, no context: the values are [11]"},
		{"examples/cart/cart.sh", nowhere, "is a cluster running there"},
		{"examples/sessions/sessions.sh", nowhere, "is a cluster running there"},
		{"go run ./examples/cart", nowhere, "no endpoint answered"},
		{"go run ./examples/counter", nowhere, "no endpoint answered"},
	} {
		s := Session{{Line: 1, Commands: c.command + "\n"}}
		problems := d.runSession(t, s, lab.Root, c.endpoint)
		if len(problems) != 1 || !strings.Contains(problems[0], "it failed") || !strings.Contains(problems[0], c.says) {
			t.Errorf("%s at %s does not say %q: %q", c.command, c.endpoint, c.says, problems)
		}
	}
}
