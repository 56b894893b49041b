package datadir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxNameBytes bounds a document's name, well under the limits of file systems.
const maxNameBytes = 64

// Save stores data as the document name, atomically and durably; it blocks for two syncs. A
// name is 1 to 64 characters of a-z, 0-9, '.', '_' and '-', begins with a letter or digit, and is
// not cartwheel.json. A sub-directory's name cannot be used. After an error the old content is still there, or the
// new content is there but might not survive a power cut.
func (d *Dir) Save(name string, data []byte) error {
	if err := d.check(name); err != nil {
		return err
	}
	return d.write(name, data)
}

// Load returns the document name; the slice is the caller's. The error is fs.ErrNotExist if the
// document was never saved.
func (d *Dir) Load(name string) ([]byte, error) {
	if err := d.check(name); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(d.path, name))
	if err != nil {
		return nil, fmt.Errorf("load document: %w", err)
	}
	return data, nil
}

func (d *Dir) check(name string) error {
	if d.closed.Load() {
		return ErrClosed
	}
	if !validName(name) {
		return fmt.Errorf("datadir: %q is not a document name", name)
	}
	return nil
}

// validName admits only names that need no escaping anywhere and cannot leave the directory or
// meet its own files: LOCK has capitals, temporary files begin with a dot.
func validName(name string) bool {
	const chars = "abcdefghijklmnopqrstuvwxyz0123456789._-"
	return name != "" && len(name) <= maxNameBytes && name != identityFile && !strings.ContainsRune("._-", rune(name[0])) &&
		!strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(chars, r) })
}

// write replaces the file name. The data is synced before the rename, or a power cut could leave
// the new name with old or no content; the directory is synced after it, or the rename itself
// could be lost after Save returned.
func (d *Dir) write(name string, data []byte) error {
	f, err := os.CreateTemp(d.path, tempPrefix+name+"-*")
	if err != nil {
		return fmt.Errorf("save document %s: %w", name, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(d.path, name))
	}
	if err != nil {
		os.Remove(f.Name()) // best effort: the next Open removes what stays
		return fmt.Errorf("save document %s: %w", name, err)
	}
	return syncDir(d.path)
}

// syncDir makes the entries of a directory durable.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}
