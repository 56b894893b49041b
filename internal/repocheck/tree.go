package repocheck

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Tree is one module as its source says it, not as one platform builds it. It is
// read-only once loaded.
type Tree struct {
	Module   string     // module path from go.mod
	Packages []*Package // sorted by directory
	Texts    []Text     // sorted by path; Go files included
}

// Package is one directory with Go files. Test files of the external test package
// (name_test) belong to the package they test.
type Package struct {
	Dir   string // relative to the module, slash-separated; "." is the module itself
	Name  string // of the package clause, without _test
	Files []*File
}

// File is one parsed Go file.
type File struct {
	Path      string // relative to the module, slash-separated
	Test      bool   // named *_test.go
	Generated bool   // carries the standard "Code generated" line
	Lines     int
	AST       *ast.File
	fset      *token.FileSet
}

// Text is a file that people edit by hand.
type Text struct {
	Path string
	Data []byte
}

// Load reads the module at the root of fsys, which must hold go.mod. It leaves out
// directories that the go tool ignores (testdata, names that begin with "." or
// "_"), nested modules, and bin and dist, where builds go; the scripts of .ci are
// read as texts. A Go file that does not parse is an error.
func Load(fsys fs.FS) (*Tree, error) {
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, fmt.Errorf("read the module file: %w", err)
	}
	t := &Tree{Module: modulePath(mod)}
	if t.Module == "" {
		return nil, fmt.Errorf("go.mod has no module line")
	}
	packages := map[string]*Package{}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if leftOut(fsys, name) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !isText(name) {
			return nil
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		t.Texts = append(t.Texts, Text{Path: name, Data: data})
		if path.Ext(name) != ".go" {
			return nil
		}
		return addFile(packages, name, data)
	})
	if err != nil {
		return nil, err
	}
	for _, p := range packages {
		t.Packages = append(t.Packages, p)
	}
	slices.SortFunc(t.Packages, func(a, b *Package) int { return strings.Compare(a.Dir, b.Dir) })
	return t, nil
}

func addFile(packages map[string]*Package, name string, data []byte) error {
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, name, data, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse %s: %w", name, err)
	}
	f := &File{
		Path:      name,
		Test:      strings.HasSuffix(name, "_test.go"),
		Generated: ast.IsGenerated(parsed),
		Lines:     bytes.Count(data, []byte("\n")),
		AST:       parsed,
		fset:      fset,
	}
	dir := path.Dir(name)
	p := packages[dir]
	if p == nil {
		p = &Package{Dir: dir}
		packages[dir] = p
	}
	clause := parsed.Name.Name
	if f.Test {
		clause = strings.TrimSuffix(clause, "_test")
	}
	if p.Name == "" || !f.Test {
		p.Name = clause
	}
	p.Files = append(p.Files, f)
	return nil
}

// leftOut reports whether a directory is none of the module's source.
func leftOut(fsys fs.FS, dir string) bool {
	if dir == "." || dir == ".ci" {
		return false
	}
	base := path.Base(dir)
	if base == "testdata" || dir == "bin" || dir == "dist" || base[0] == '.' || base[0] == '_' {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod"))
	return err == nil
}

// isText reports whether a file is a text whose words are looked at.
func isText(name string) bool {
	switch path.Ext(name) {
	case ".go", ".md", ".sh", ".py", ".awk", ".mk":
		return true
	}
	return path.Base(name) == "Makefile" || path.Dir(name) == ".ci"
}

func modulePath(mod []byte) string {
	for line := range strings.Lines(string(mod)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "module "); ok {
			return strings.Trim(strings.TrimSpace(rest), `"`)
		}
	}
	return ""
}

// at names a place as path:line.
func (f *File) at(pos token.Pos) string {
	return f.Path + ":" + strconv.Itoa(f.fset.Position(pos).Line)
}

// imports returns the import paths of the file in its order.
func (f *File) imports() []string {
	var paths []string
	for _, spec := range f.AST.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}
