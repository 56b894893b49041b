package repocheck_test

import (
	"os"
	"testing"

	"cartwheel/internal/repocheck"
)

// TestRepository runs every check over this module.
func TestRepository(t *testing.T) {
	tree, err := repocheck.Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if tree.Module != "cartwheel" || len(tree.Packages) < 2 {
		t.Fatalf("loaded module %q with %d packages: the checks would prove nothing", tree.Module, len(tree.Packages))
	}
	rules, owners := repocheck.Rules(), repocheck.Owners()
	for _, check := range []struct {
		name string
		run  func() []string
	}{
		{"tables", func() []string { return repocheck.CheckTables(rules, owners) }},
		{"imports", func() []string { return repocheck.CheckImports(tree, rules, owners) }},
		{"documents", func() []string { return repocheck.CheckDocs(tree) }},
		{"sizes", func() []string { return repocheck.CheckSizes(tree) }},
		{"names", func() []string { return repocheck.CheckNames(tree) }},
		{"words", func() []string { return repocheck.CheckWords(tree) }},
		{"mentions", func() []string { return repocheck.CheckMentions(tree) }},
		{"sleeps", func() []string { return repocheck.CheckSleeps(tree) }},
		{"skips", func() []string { return repocheck.CheckSkips(tree) }},
	} {
		t.Run(check.name, func(t *testing.T) {
			for _, problem := range check.run() {
				t.Error(problem)
			}
		})
	}
}
