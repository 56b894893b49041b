package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Edit replaces a text of a source file by another one.
type Edit struct {
	File     string // below the root, with slashes
	Old, New string // Old stands there exactly once
}

// Planted builds the binary from sources with a bug planted in them; the repository is not
// touched. The lab that it returns starts that binary, and nothing else: ports are those of l,
// and it ends with l. An edit that does not fit the source any more is an error.
func (l *Lab) Planted(name string, edits ...Edit) (*Lab, error) {
	dir := filepath.Join(l.dir, "planted", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of planted sources: %w", err)
	}
	replace := map[string]string{}
	for i, e := range edits {
		path := filepath.Join(l.Root, filepath.FromSlash(e.File))
		if replace[path] != "" {
			return nil, fmt.Errorf("plant %s: %s is edited twice", name, e.File)
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("plant %s: %w", name, err)
		}
		if n := strings.Count(string(source), e.Old); n != 1 {
			return nil, fmt.Errorf("plant %s: %s has this text %d times, want once; adapt the bug to the source:\n%s", name, e.File, n, e.Old)
		}
		replace[path] = filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(replace[path], []byte(strings.Replace(string(source), e.Old, e.New, 1)), 0o644); err != nil {
			return nil, fmt.Errorf("plant %s: %w", name, err)
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o644); err != nil {
		return nil, fmt.Errorf("plant %s: %w", name, err)
	}
	p := &Lab{Root: l.Root, Binary: l.Binary + "-" + name, HTTP: l.HTTP, dir: l.dir}
	if err := p.build("-overlay", overlay); err != nil {
		return nil, fmt.Errorf("plant %s: %w", name, err)
	}
	return p, nil
}
