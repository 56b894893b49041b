package repocheck

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Rule says which packages of this module one package may import. The standard
// library is always allowed, outside libraries are the matter of [Owner].
//
// A test file may import, besides that, its own package, what Tests lists, and
// anything below internal/, which exists for tests. Code that is shipped never
// imports internal/.
type Rule struct {
	Package string   // directory below the module; "internal/..." covers all below it
	Imports []string // directories below the module
	Tests   []string // allowed in test files only
	Why     string   // a sentence for who runs into the rule
}

// Owner says where one outside library may be imported, by tests too.
type Owner struct {
	Library  string   // import path; covers every package below it
	Packages []string // directories below the module
	Why      string
}

// CheckImports returns one line for each import that the tables do not allow, and
// for each package or library that they do not know.
func CheckImports(t *Tree, rules []Rule, owners []Owner) []string {
	var problems []string
	for _, p := range t.Packages {
		rule, known := ruleFor(rules, p.Dir)
		if !known {
			problems = append(problems, fmt.Sprintf(
				"package %s has no import rule: add a line to Rules in internal/repocheck/tables.go that says what it may import and why", p.Dir))
			continue
		}
		for _, f := range p.Files {
			for _, imported := range f.imports() {
				if problem := checkImport(t.Module, p.Dir, f, imported, rule, owners); problem != "" {
					problems = append(problems, problem)
				}
			}
		}
	}
	return problems
}

func checkImport(module, dir string, f *File, imported string, rule Rule, owners []Owner) string {
	if imported == module || strings.HasPrefix(imported, module+"/") {
		return checkOwn(dir, f, strings.TrimPrefix(strings.TrimPrefix(imported, module), "/"), rule)
	}
	// The first element of a path outside the standard library is a domain name.
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return ""
	}
	for _, o := range owners {
		if !under(imported, o.Library) {
			continue
		}
		if slices.Contains(o.Packages, dir) {
			return ""
		}
		return fmt.Sprintf("%s imports %s, which only %s may. Reason: %s", f.Path, imported, strings.Join(o.Packages, ", "), o.Why)
	}
	return fmt.Sprintf("%s imports %s, a library without an owner: add a line to Owners in internal/repocheck/tables.go that says which package it belongs to and why",
		f.Path, imported)
}

// checkOwn judges the import of a package of this module; imported is its directory.
func checkOwn(dir string, f *File, imported string, rule Rule) string {
	if slices.Contains(rule.Imports, imported) {
		return ""
	}
	if f.Test && (imported == dir || under(imported, "internal") || slices.Contains(rule.Tests, imported)) {
		return ""
	}
	allowed := "nothing of this module"
	if len(rule.Imports) > 0 {
		allowed = "of this module only " + strings.Join(rule.Imports, ", ")
	}
	if f.Test {
		also := append([]string{"its own package", "internal/..."}, rule.Tests...)
		allowed += " (its tests also " + strings.Join(also, ", ") + ")"
	}
	return fmt.Sprintf("%s imports %s, but %s may import %s. Reason: %s", f.Path, imported, dir, allowed, rule.Why)
}

// ruleFor finds the rule of a directory: its own line, or the nearest "dir/..." above it.
func ruleFor(rules []Rule, dir string) (Rule, bool) {
	for above := dir; ; above = path.Dir(above) {
		want := above
		if above != dir {
			want = above + "/..."
		}
		if i := slices.IndexFunc(rules, func(r Rule) bool { return r.Package == want }); i >= 0 {
			return rules[i], true
		}
		if above == "." {
			return Rule{}, false
		}
	}
}

// under reports whether an import path or directory is root or lies below it.
func under(p, root string) bool {
	return p == root || strings.HasPrefix(p, root+"/")
}

// CheckTables returns one line for each flaw of the tables themselves: an entry
// without a reason, a package named twice, or a cycle of allowed imports, which
// would make the direction of dependencies a matter of who comes first.
func CheckTables(rules []Rule, owners []Owner) []string {
	var problems []string
	seen := map[string]bool{}
	for _, r := range rules {
		if r.Why == "" {
			problems = append(problems, fmt.Sprintf("the rule of %s gives no reason", r.Package))
		}
		if seen[r.Package] {
			problems = append(problems, fmt.Sprintf("%s has two rules", r.Package))
		}
		seen[r.Package] = true
		if reaches(rules, r.Package, r.Package, map[string]bool{}) {
			problems = append(problems, fmt.Sprintf("the rules let %s import itself in a circle", r.Package))
		}
	}
	seen = map[string]bool{}
	for _, o := range owners {
		if o.Why == "" {
			problems = append(problems, fmt.Sprintf("the owner of %s gives no reason", o.Library))
		}
		if seen[o.Library] {
			problems = append(problems, fmt.Sprintf("%s has two lines of owners", o.Library))
		}
		seen[o.Library] = true
	}
	return problems
}

// reaches reports whether from may import to, directly or through others.
func reaches(rules []Rule, from, to string, visited map[string]bool) bool {
	rule, _ := ruleFor(rules, from)
	for _, next := range rule.Imports {
		if next == to {
			return true
		}
		if !visited[next] {
			visited[next] = true
			if reaches(rules, next, to, visited) {
				return true
			}
		}
	}
	return false
}
