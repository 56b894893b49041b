package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// format is the version of the directory's layout that this program writes and the newest one
// that it reads.
const format = 1

const (
	identityFile = "cartwheel.json"
	lockFile     = "LOCK"
	tempPrefix   = ".tmp-"
)

// ErrClosed is returned by Save and Load after Close.
var ErrClosed = errors.New("datadir: the directory is closed")

// identity is the content of cartwheel.json.
type identity struct {
	Format int    `json:"format"`
	Node   string `json:"node"`
}

// Dir is an open data directory. It is safe for concurrent use and ends with Close.
type Dir struct {
	path   string
	node   string
	lock   *os.File // holds the flock; closing it releases the directory
	closed atomic.Bool
}

// Open takes the data directory at path for this process, creating the directory and the node's
// identity if there is none. The returned error is a sentence for the operator.
func Open(path string) (*Dir, error) {
	given := path
	path, err := filepath.Abs(given)
	if err != nil {
		return nil, fmt.Errorf("find data directory %s: %w", given, err)
	}
	if err := create(path); err != nil {
		return nil, err
	}
	lock, err := acquire(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: path, lock: lock}
	if err := d.prepare(); err != nil {
		lock.Close()
		return nil, err
	}
	return d, nil
}

// create makes the directory and whichever parents are missing, durably.
func create(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("data directory %s is not a directory", path)
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data directory %s cannot be used: %w", path, err)
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := create(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("data directory %s cannot be created: %w", path, err)
	}
	// The entry of a directory lives in its parent.
	return syncDir(parent)
}

// acquire locks the directory. The lock belongs to the open file, so the kernel releases it
// whichever way the process ends. The process id in it is only for the refusal's text.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, notWritable(path, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		owner := make([]byte, 32)
		n, _ := f.ReadAt(owner, 0) // without a readable id the sentence is still complete
		f.Close()
		by := "another process"
		if pid := strings.TrimSpace(string(owner[:n])); pid != "" {
			by = "process " + pid
		}
		return nil, fmt.Errorf("data directory %s is in use by %s", path, by)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock data directory %s: %w", path, err)
	}
	return f, nil
}

// prepare removes what a crashed process left, and reads or makes the identity.
func (d *Dir) prepare() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("read data directory %s: %w", d.path, err)
	}
	foreign := ""
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, tempPrefix):
			if err := os.Remove(filepath.Join(d.path, name)); err != nil {
				return notWritable(d.path, err)
			}
		case name != lockFile && name != "lost+found":
			foreign = name
		}
	}
	data, err := os.ReadFile(filepath.Join(d.path, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		if foreign != "" {
			return fmt.Errorf("data directory %s holds files (such as %s) but no %s: use an empty directory, or restore that file",
				d.path, foreign, identityFile)
		}
		return d.initialize()
	}
	if err != nil {
		return fmt.Errorf("read identity of data directory %s: %w", d.path, err)
	}
	if err := d.probe(); err != nil {
		return err
	}
	return d.adopt(data)
}

// initialize gives the directory a new identity.
func (d *Dir) initialize() error {
	node, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("make identity of data directory %s: %w", d.path, err)
	}
	data, err := json.Marshal(identity{Format: format, Node: node.String()})
	if err != nil {
		return fmt.Errorf("make identity of data directory %s: %w", d.path, err)
	}
	d.node = node.String()
	return d.write(identityFile, append(data, '\n'))
}

// adopt takes over the identity that the directory has.
func (d *Dir) adopt(data []byte) error {
	var id identity
	if err := json.Unmarshal(data, &id); err != nil || id.Format < 1 {
		return fmt.Errorf("data directory %s: %s is damaged; restore it from a backup", d.path, identityFile)
	}
	if id.Format > format {
		return fmt.Errorf("data directory %s has format %d, written by a newer Cartwheel; this program knows formats up to %d",
			d.path, id.Format, format)
	}
	node, err := uuid.Parse(id.Node)
	if err != nil {
		return fmt.Errorf("data directory %s: %s is damaged; restore it from a backup", d.path, identityFile)
	}
	d.node = node.String()
	return nil
}

// probe finds out at start, not at the first save, that files cannot be made here.
func (d *Dir) probe() error {
	f, err := os.CreateTemp(d.path, tempPrefix+"probe-*")
	if err != nil {
		return notWritable(d.path, err)
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return notWritable(d.path, err)
	}
	return nil
}

// Path returns the directory's absolute path.
func (d *Dir) Path() string { return d.path }

// Node returns the node's UUID in its canonical text form.
func (d *Dir) Node() string { return d.node }

// Close releases the directory for other processes. It may be called twice.
func (d *Dir) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	return d.lock.Close()
}

func notWritable(path string, err error) error {
	return fmt.Errorf("data directory %s is not writable: %w", path, err)
}
