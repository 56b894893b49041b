package repocheck

import (
	"bytes"
	"fmt"
	"go/ast"
	"path"
	"regexp"
)

// mention matches the name of a test or fuzz target in prose. TestName stands for any.
var mention = regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w*`)

// CheckMentions returns one line for each test that a document names and that does not exist: a
// promise whose proof was renamed or deleted.
func CheckMentions(t *Tree) []string {
	tests := map[string]bool{"TestName": true}
	for _, p := range t.Packages {
		for _, f := range p.Files {
			for _, d := range f.AST.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && f.Test && fn.Recv == nil {
					tests[fn.Name.Name] = true
				}
			}
		}
	}
	var problems []string
	for _, text := range t.Texts {
		if path.Ext(text.Path) != ".md" {
			continue
		}
		n := 0
		for line := range bytes.Lines(text.Data) {
			n++
			for _, name := range mention.FindAll(line, -1) {
				if !tests[string(name)] {
					problems = append(problems, fmt.Sprintf("%s:%d: there is no test %s", text.Path, n, name))
				}
			}
		}
	}
	return problems
}
