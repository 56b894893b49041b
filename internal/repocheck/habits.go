package repocheck

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
)

// sleepOK is the comment by which a test file says why it may wait in real time.
var sleepOK = regexp.MustCompile(`(?m)^// ?sleep-ok: \S`)

// CheckSleeps returns one line for each test file that calls time.Sleep without
// running bubbles of testing/synctest, where a sleep takes no time, and without a
// comment "// sleep-ok: reason".
func CheckSleeps(t *Tree) []string {
	var problems []string
	for _, p := range t.Packages {
		for _, f := range p.Files {
			if !f.Test {
				continue
			}
			sleeps := f.calls("time", "Sleep")
			if len(sleeps) == 0 || len(f.calls("testing/synctest", "Test")) > 0 || f.hasComment(sleepOK) {
				continue
			}
			problems = append(problems, fmt.Sprintf(
				"%s: time.Sleep in a test that does not use synctest.Test: waiting makes tests slow and still not sure; use a bubble, wait for the event itself, or say \"// sleep-ok: reason\"",
				f.at(sleeps[0])))
		}
	}
	return problems
}

// CheckSkips returns one line for each test that may skip without saying why.
func CheckSkips(t *Tree) []string {
	var problems []string
	for _, p := range t.Packages {
		for _, f := range p.Files {
			for _, call := range f.skips() {
				problems = append(problems, f.at(call)+": a test that skips says why: the reason is all that its reader sees (a fuzz target returns instead)")
			}
		}
	}
	return problems
}

// calls returns where the file calls the named function of an imported package.
func (f *File) calls(importPath, function string) []token.Pos {
	local := f.localName(importPath)
	if local == "" {
		return nil
	}
	var found []token.Pos
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if receiver, name := selected(call); receiver == local && name == function {
				found = append(found, call.Pos())
			}
		}
		return true
	})
	return found
}

// skips returns where the file calls a Skip method of a test without a reason.
func (f *File) skips() []token.Pos {
	tests := f.testValues()
	if len(tests) == 0 {
		return nil
	}
	var found []token.Pos
	ast.Inspect(f.AST, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		receiver, name := selected(call)
		if !slices.Contains(tests, receiver) {
			return true
		}
		if name == "SkipNow" || (name == "Skip" || name == "Skipf") && !hasReason(call) {
			found = append(found, call.Pos())
		}
		return true
	})
	return found
}

// hasReason reports whether the first argument of a call can be a text.
func hasReason(call *ast.CallExpr) bool {
	if len(call.Args) == 0 {
		return false
	}
	literal, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return true // an error or a variable: taken to be a reason
	}
	text, err := strconv.Unquote(literal.Value)
	return err == nil && text != ""
}

// testValues returns the names of all parameters whose type comes from testing.
func (f *File) testValues() []string {
	local := f.localName("testing")
	if local == "" {
		return nil
	}
	var names []string
	ast.Inspect(f.AST, func(n ast.Node) bool {
		field, ok := n.(*ast.Field)
		if !ok {
			return true
		}
		kind := field.Type
		if star, ok := kind.(*ast.StarExpr); ok {
			kind = star.X
		}
		if s, ok := kind.(*ast.SelectorExpr); ok {
			if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == local {
				for _, name := range field.Names {
					names = append(names, name.Name)
				}
			}
		}
		return true
	})
	return names
}

// localName returns the name under which the file uses an imported package, "" if
// it does not import it.
func (f *File) localName(importPath string) string {
	for _, spec := range f.AST.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err != nil || p != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

func (f *File) hasComment(pattern *regexp.Regexp) bool {
	for _, group := range f.AST.Comments {
		for _, c := range group.List {
			if pattern.MatchString(c.Text) {
				return true
			}
		}
	}
	return false
}

// selected splits a call receiver.name(...) into its two names; both are empty for
// other calls.
func selected(call *ast.CallExpr) (receiver, name string) {
	if s, ok := call.Fun.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return x.Name, s.Sel.Name
		}
	}
	return "", ""
}
