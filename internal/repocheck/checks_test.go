package repocheck_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"cartwheel/internal/repocheck"
)

// load makes a tree of a module "m" from path and content pairs.
func load(t *testing.T, files map[string]string) *repocheck.Tree {
	t.Helper()
	fsys := fstest.MapFS{"go.mod": {Data: []byte("module m\n\ngo 1.26\n")}}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	tree, err := repocheck.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// expect compares problems with the fragments that each of them must contain.
func expect(t *testing.T, got []string, want ...[]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d problems, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i, fragments := range want {
		for _, fragment := range fragments {
			if !strings.Contains(got[i], fragment) {
				t.Errorf("problem %d is %q, want it to contain %q", i, got[i], fragment)
			}
		}
	}
}

func TestImportsRefused(t *testing.T) {
	rules := []repocheck.Rule{
		{Package: "leaf", Why: "a leaf stands alone"},
		{Package: "disk", Imports: []string{"leaf"}, Tests: []string{"user"}, Why: "disk keeps leaves"},
		{Package: "user", Imports: []string{"disk"}, Why: "users see disks"},
		{Package: "cmd/...", Imports: []string{"user"}, Why: "wiring only"},
		{Package: "internal/net", Why: "test support"},
	}
	owners := []repocheck.Owner{{"example.com/db/v2", []string{"disk"}, "one owner"}}
	for _, c := range []struct {
		name, path, imports string
		want                []string // nil: allowed
	}{
		{"standard library", "leaf/a.go", "net/http", nil},
		{"arrow of the table", "disk/a.go", "m/leaf", nil},
		{"against the arrow", "leaf/a.go", "m/disk", []string{"leaf/a.go imports disk", "nothing of this module", "a leaf stands alone"}},
		{"arrows are not transitive", "user/a.go", "m/leaf", []string{"user may import of this module only disk", "users see disks"}},
		{"files of other platforms count", "leaf/a_plan9.go", "m/disk", []string{"leaf/a_plan9.go"}},
		{"a test imports its own package", "disk/a_test.go", "m/disk", nil},
		{"a test imports what is listed for tests", "disk/a_test.go", "m/user", nil},
		{"code does not", "disk/a.go", "m/user", []string{"disk/a.go imports user"}},
		{"a test imports test support", "leaf/a_test.go", "m/internal/net", nil},
		{"code does not", "leaf/a.go", "m/internal/net", []string{"leaf/a.go imports internal/net"}},
		{"a test imports no further", "leaf/a_test.go", "m/disk", []string{"its tests also its own package, internal/..."}},
		{"owner", "disk/a.go", "example.com/db/v2", nil},
		{"owner, inner package", "disk/a_test.go", "example.com/db/v2/options", nil},
		{"not the owner", "user/a.go", "example.com/db/v2", []string{"which only disk may", "one owner"}},
		{"not the owner, in a test", "user/a_test.go", "example.com/db/v2", []string{"which only disk may"}},
		{"another library with the same beginning", "disk/a.go", "example.com/db/v23", []string{"without an owner"}},
		{"the module itself", "user/a.go", "m", []string{"user/a.go imports"}},
		{"below a pattern", "cmd/tool/a.go", "m/user", nil},
		{"below a pattern, refused", "cmd/tool/a.go", "m/leaf", []string{"wiring only"}},
		{"package without a rule", "other/a.go", "fmt", []string{"other has no import rule"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := load(t, map[string]string{c.path: "package p\n\nimport _ \"" + c.imports + "\"\n"})
			got := repocheck.CheckImports(tree, rules, owners)
			if c.want == nil {
				expect(t, got)
			} else {
				expect(t, got, c.want)
			}
		})
	}
}

// TestForbiddenArrows plants imports that the real tables exist to prevent.
func TestForbiddenArrows(t *testing.T) {
	for from, imported := range map[string]string{
		"vclock/a.go":        "m/ring",
		"transport/a.go":     "m/quorum",
		"quorum/a.go":        "m/storage",
		"quorum/b.go":        "m/gossip",
		"gossip/a.go":        "m/transport",
		"storage/a.go":       "m/ring",
		"client/a.go":        "m/vclock",
		"cmd/cartwheel/a.go": "m/storage",
		"httpapi/a.go":       "github.com/dgraph-io/badger/v4",
		"node/a.go":          "github.com/hashicorp/memberlist",
		"node/b.go":          "m/internal/memnet",
		"vclock/b.go":        "github.com/cespare/xxhash/v2",
	} {
		tree := load(t, map[string]string{from: "package p\n\nimport _ \"" + imported + "\"\n"})
		if got := repocheck.CheckImports(tree, repocheck.Rules(), repocheck.Owners()); len(got) != 1 || !strings.Contains(got[0], "Reason: ") {
			t.Errorf("%s importing %s: got %q, want one problem with its reason", from, imported, got)
		}
	}
}

func TestTablesRefused(t *testing.T) {
	rules := []repocheck.Rule{
		{Package: "a", Imports: []string{"b"}, Why: "y"},
		{Package: "b", Imports: []string{"c"}, Why: "y"},
		{Package: "c", Imports: []string{"a"}, Why: "y"},
		{Package: "d", Imports: []string{"a"}},
		{Package: "d", Why: "y"},
	}
	owners := []repocheck.Owner{{"x.org/l", nil, ""}, {"x.org/l", nil, "y"}}
	expect(t, repocheck.CheckTables(rules, owners),
		[]string{"let a import itself"}, []string{"let b import itself"}, []string{"let c import itself"},
		[]string{"rule of d gives no reason"}, []string{"d has two rules"},
		[]string{"owner of x.org/l gives no reason"}, []string{"x.org/l has two lines"})
}

func TestDocs(t *testing.T) {
	tree := load(t, map[string]string{
		"good/doc.go":     "// Package good does.\n// It is documented.\npackage good\n",
		"good/a_test.go":  "// Tests may say something too.\npackage good_test\n",
		"main/main.go":    "// Cartwheel is a store.\n// It keeps.\npackage main\n",
		"none/a.go":       "package none\n",
		"short/a.go":      "// Package short is.\npackage short\n",
		"tests/a_test.go": "// Package tests runs it.\n// It is all tests.\npackage tests\n",
		"twice/a.go":      "// Package twice is.\n// Once.\npackage twice\n",
		"twice/b.go":      "// Package twice is.\n// Again.\npackage twice\n",
		"wrong/a.go":      "// Package right is.\n// Misnamed.\npackage wrong\n",
	})
	expect(t, repocheck.CheckDocs(tree),
		[]string{"none has 0 package documents"},
		[]string{"short/a.go", "has 1 line"},
		[]string{"twice has 2 package documents [a.go b.go]"},
		[]string{"wrong/a.go", `begins "Package right is."`})
}

func TestSizes(t *testing.T) {
	function := func(lines int) string { return "func f() {\n" + strings.Repeat("\n", lines-2) + "}\n" }
	long := "package p\n" + strings.Repeat("\n", 500)
	tree := load(t, map[string]string{
		"p/a_long.go":      long,
		"p/b_just.go":      long[:len(long)-1],
		"p/c_test.go":      long + function(200),
		"p/d_generated.go": "// Code generated by hand. DO NOT EDIT.\n\n" + long,
		"p/e_func.go":      "package p\n\n" + function(101),
		"p/f_func.go":      "package p\n\n" + function(100),
	})
	expect(t, repocheck.CheckSizes(tree),
		[]string{"p/a_long.go has 501 lines"},
		[]string{"p/e_func.go:3: func f has 101 lines"})
}

func TestNames(t *testing.T) {
	tree := load(t, map[string]string{
		"a/a.go":        "package helpers\n",
		"b/common/a.go": "package c\n",
		"c/a.go":        "package utility\n",
	})
	expect(t, repocheck.CheckNames(tree), []string{"package a is named helpers"}, []string{"b/common is named common"})
}

func TestWords(t *testing.T) {
	word := "TO" + "DO"
	tree := load(t, map[string]string{
		"Makefile":          "all: # " + word + "\n",
		"a/a.go":            "package a\n\n// " + word + "(me): later\n",
		"a/b.go":            "package a\n\nvar " + word + "list = 1\n",
		"b/testdata/a.go":   "package x // " + word + "\n",
		"bin/a.go":          "package x // " + word + "\n",
		"docs/a.md":         "one\ntwo FIX" + "ME\n",
		"docs/template.txt": word + "\n",
	})
	expect(t, repocheck.CheckWords(tree),
		[]string{"Makefile:1:"}, []string{"a/a.go:3:", word}, []string{"docs/a.md:2:"})
}

func TestMentions(t *testing.T) {
	tree := load(t, map[string]string{
		"a/a.go":      "package a\n\nfunc TestNotInATest() {}\n",
		"a/a_test.go": "package a\n\nfunc TestThere() {}\n\nfunc FuzzThere() {}\n",
		"docs/a.md":   "`a` TestThere, FuzzThere; run it by -run '^TestName$'; Testing is good\nTestGone, TestNotInATest\n",
		"a/b.txt":     "TestGoneAsWell\n",
	})
	expect(t, repocheck.CheckMentions(tree), []string{"docs/a.md:2:", "TestGone"}, []string{"docs/a.md:2:", "TestNotInATest"})
}

func TestSleeps(t *testing.T) {
	const sleeps = "package a\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n"
	tree := load(t, map[string]string{
		"a/a.go":               sleeps,
		"a/b_test.go":          sleeps,
		"a/c_test.go":          "package a\n\nimport zeit \"time\"\n\nfunc f() { zeit.Sleep(1) }\n",
		"a/d_test.go":          sleeps + "\n// sleep-ok: the kernel offers no event\n",
		"a/e_test.go":          sleeps + "\n// sleep-ok:\n",
		"a/f_test.go":          "package a\n\nimport (\n\"testing/synctest\"\n\"time\"\n)\n\nfunc f() { synctest.Test(nil, nil); time.Sleep(1) }\n",
		"a/g_test.go":          "package a\n\nfunc f() { time.Sleep(1) } // not the package: a variable\n",
		"a/testdata/x_test.go": sleeps,
	})
	expect(t, repocheck.CheckSleeps(tree), []string{"a/b_test.go:5"}, []string{"a/c_test.go:5"}, []string{"a/e_test.go:5"})
}

func TestSkips(t *testing.T) {
	body := func(call string) string {
		return "package a\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { " + call + " }\n"
	}
	tree := load(t, map[string]string{
		"a/a_test.go": body(`t.Skip()`),
		"a/b_test.go": body(`t.Skip("")`),
		"a/c_test.go": body(`t.SkipNow()`),
		"a/d_test.go": body("t.Skipf(``)"),
		"a/e_test.go": body(`t.Skip("no C compiler")`),
		"a/f_test.go": body(`t.Skipf("no %s", "gcc")`),
		"a/g_test.go": body(`var err error; t.Skip(err)`),
		"a/h_test.go": body(`var s scanner; s.Skip()`),
		"a/i.go":      "package a\n\nimport \"testing\"\n\nfunc need(tb testing.TB) { tb.Skip() }\n",
	})
	expect(t, repocheck.CheckSkips(tree),
		[]string{"a/a_test.go:5"}, []string{"a/b_test.go:5"}, []string{"a/c_test.go:5"}, []string{"a/d_test.go:5"}, []string{"a/i.go:5"})
}

func TestLoadRefuses(t *testing.T) {
	for name, fsys := range map[string]fstest.MapFS{
		"no go.mod":      {"a/a.go": {Data: []byte("package a\n")}},
		"no module line": {"go.mod": {Data: []byte("go 1.26\n")}},
		"syntax error":   {"go.mod": {Data: []byte("module m\n")}, "a/a.go": {Data: []byte("package\n")}},
	} {
		if _, err := repocheck.Load(fsys); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
