package repocheck

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go/ast"
)

// Limits beyond which code wants to be cut. They are the hard end of the range:
// most files have 60 to 300 lines, most functions fit a screen.
const (
	maxFileLines     = 500
	maxFunctionLines = 100
	minDocLines      = 2
)

// CheckDocs returns one line for each package that does not have exactly one
// package document, begun as godoc expects it and of at least two lines.
func CheckDocs(t *Tree) []string {
	var problems []string
	for _, p := range t.Packages {
		var found []*File
		for _, f := range p.Files {
			if f.AST.Doc != nil && (!f.Test || p.onlyTests()) {
				found = append(found, f)
			}
		}
		if len(found) != 1 {
			var names []string
			for _, f := range found {
				names = append(names, path.Base(f.Path))
			}
			problems = append(problems, fmt.Sprintf("package %s has %d package documents %v, want exactly one (in doc.go once longer than ten lines)", p.Dir, len(found), names))
			continue
		}
		text := strings.TrimSpace(found[0].AST.Doc.Text())
		if want := "Package " + p.Name + " "; p.Name != "main" && !strings.HasPrefix(text, want) {
			problems = append(problems, fmt.Sprintf("%s: the package document begins %q, want %q", found[0].Path, firstLine(text), want+"..."))
		}
		if n := strings.Count(text, "\n") + 1; n < minDocLines {
			problems = append(problems, fmt.Sprintf("%s: the package document has %d line, want at least %d: purpose, model, what is promised and what is not", found[0].Path, n, minDocLines))
		}
	}
	return problems
}

// CheckSizes returns one line for each file and each function that is too long to
// be read at once. Tests and generated files are free.
func CheckSizes(t *Tree) []string {
	var problems []string
	for _, p := range t.Packages {
		for _, f := range p.Files {
			if f.Test || f.Generated {
				continue
			}
			if f.Lines > maxFileLines {
				problems = append(problems, fmt.Sprintf("%s has %d lines, the limit is %d: the file holds more than one idea", f.Path, f.Lines, maxFileLines))
			}
			for _, d := range f.AST.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				if n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1; n > maxFunctionLines {
					problems = append(problems, fmt.Sprintf("%s: func %s has %d lines, the limit is %d: cut it where its steps have names", f.at(fn.Pos()), fn.Name.Name, n, maxFunctionLines))
				}
			}
		}
	}
	return problems
}

// CheckNames returns one line for each package whose name says nothing.
func CheckNames(t *Tree) []string {
	empty := []string{"util", "utils", "common", "types", "models", "helpers"}
	var problems []string
	for _, p := range t.Packages {
		for _, name := range []string{p.Name, path.Base(p.Dir)} {
			if slices.Contains(empty, name) {
				problems = append(problems, fmt.Sprintf("package %s is named %s, which says nothing: a helper lives with its only user, a shared idea gets a package named after the idea", p.Dir, name))
				break
			}
		}
	}
	return problems
}

// reminder matches the words that put work off. It is put together here so that
// this file does not contain them.
var reminder = regexp.MustCompile(`\b(` + strings.Join([]string{"TO" + "DO", "FIX" + "ME", "X" + "XX"}, "|") + `)\b`)

// CheckWords returns one line for each text line that puts work off.
func CheckWords(t *Tree) []string {
	var problems []string
	for _, text := range t.Texts {
		n := 0
		for line := range bytes.Lines(text.Data) {
			n++
			if word := reminder.Find(line); word != nil {
				problems = append(problems, fmt.Sprintf("%s:%d: %s: finish it, or write down what is not promised where users look for it", text.Path, n, word))
			}
		}
	}
	return problems
}

func (p *Package) onlyTests() bool {
	return !slices.ContainsFunc(p.Files, func(f *File) bool { return !f.Test })
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
