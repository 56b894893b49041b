package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

func mustOpen(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// refused checks that Open fails with a sentence that names the directory and the reason.
func refused(t *testing.T, path, reason string) {
	t.Helper()
	d, err := Open(path)
	if err == nil {
		d.Close()
		t.Fatalf("opened %s", path)
	}
	if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), reason) {
		t.Errorf("got %q, want it to name %s and %q", err, path, reason)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestOpenKeepsIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d := mustOpen(t, path)
	node := d.Node()
	if _, err := uuid.Parse(node); err != nil {
		t.Errorf("node is %q: %v", node, err)
	}
	if d.Path() != path {
		t.Errorf("path is %s, want %s", d.Path(), path)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if again := mustOpen(t, path).Node(); again != node {
		t.Errorf("node is %s, then %s", node, again)
	}
	if other := mustOpen(t, t.TempDir()).Node(); other == node {
		t.Errorf("two directories are node %s", node)
	}
}

func TestRelativePathIsMadeAbsolute(t *testing.T) {
	t.Chdir(t.TempDir())
	if d := mustOpen(t, "data"); !filepath.IsAbs(d.Path()) {
		t.Errorf("path is %s", d.Path())
	}
}

func TestOneProcessAtATime(t *testing.T) {
	path := t.TempDir()
	d := mustOpen(t, path)
	refused(t, path, fmt.Sprint("in use by process ", os.Getpid()))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, path)
}

func TestOpenRefuses(t *testing.T) {
	const sound = `{"format":1,"node":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}`
	cases := []struct{ name, file, text, reason string }{
		{"newer format", identityFile, `{"format":2,"node":"anything","more":true}`, "written by a newer Cartwheel"},
		{"no format", identityFile, `{"node":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}`, "damaged"},
		{"no node", identityFile, `{"format":1}`, "damaged"},
		{"cut identity", identityFile, sound[:20], "damaged"},
		{"empty identity", identityFile, "", "damaged"},
		{"files without identity", "ring.json", "{}", "ring.json"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := t.TempDir()
			write(t, filepath.Join(path, c.file), c.text)
			refused(t, path, c.reason)
			// Refusing has changed nothing, and released the lock.
			if got, err := os.ReadFile(filepath.Join(path, c.file)); err != nil || string(got) != c.text {
				t.Errorf("the file is now %q, %v", got, err)
			}
			if err := os.Remove(filepath.Join(path, c.file)); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(path, identityFile), sound)
			mustOpen(t, path)
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	refused(t, file, "not a directory")
	refused(t, filepath.Join(file, "below"), "cannot be used")
}

func TestOpenRefusesReadOnlyDirectory(t *testing.T) {
	path := t.TempDir()
	mustOpen(t, path).Close()
	if os.Getuid() == 0 { // permissions do not stop root, a read-only mount does
		bind := t.TempDir()
		if err := unixMountReadOnly(path, bind); err != nil {
			t.Skipf("needs a read-only mount to test as root: %v", err)
		}
		t.Cleanup(func() { unmount(t, bind) })
		path = bind
	} else {
		t.Cleanup(func() { os.Chmod(path, 0o755) })
		if err := os.Chmod(path, 0o555); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, path, "not writable")
}

func TestDocuments(t *testing.T) {
	path := t.TempDir()
	d := mustOpen(t, path)
	if _, err := d.Load("ring.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the first save: %v", err)
	}
	for _, text := range []string{"one", "", strings.Repeat("long", 100_000), "last"} {
		if err := d.Save("ring.json", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Load("ring.json"); err != nil || string(got) != text {
			t.Errorf("loaded %d bytes, %v, saved %d", len(got), err, len(text))
		}
	}
	d.Close()
	for _, err := range []error{d.Save("ring.json", nil), func() error { _, err := d.Load("ring.json"); return err }()} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	if got, err := mustOpen(t, path).Load("ring.json"); err != nil || string(got) != "last" {
		t.Errorf("loaded %q, %v after reopening", got, err)
	}
}

func TestNames(t *testing.T) {
	d := mustOpen(t, t.TempDir())
	for _, name := range []string{"a", "0", "ring.json", "a-b_c.d", strings.Repeat("n", 64)} {
		if err := d.Save(name, []byte(name)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	node := d.Node()
	for _, name := range []string{
		"", ".", "..", "../x", "a/b", `a\b`, ".tmp-x", "-a", "_a", "LOCK", "A", "ä", "a b", "a\x00", identityFile, strings.Repeat("n", 65),
	} {
		if err := d.Save(name, nil); err == nil {
			t.Errorf("%q was saved", name)
		}
		if _, err := d.Load(name); err == nil {
			t.Errorf("%q was loaded", name)
		}
	}
	path := d.Path()
	d.Close()
	if again := mustOpen(t, path).Node(); again != node {
		t.Errorf("node is %s, then %s", node, again)
	}
}

// A crash during Save leaves the old document and a temporary file in whichever state; the next
// Open removes it.
func TestCrashDuringSave(t *testing.T) {
	path := t.TempDir()
	d := mustOpen(t, path)
	if err := d.Save("ring.json", []byte("old")); err != nil {
		t.Fatal(err)
	}
	d.Close()
	for _, left := range []string{"", "n", "new"} {
		write(t, filepath.Join(path, tempPrefix+"ring.json-123"), left)
		write(t, filepath.Join(path, tempPrefix+identityFile+"-123"), left)
		d := mustOpen(t, path)
		if got, err := d.Load("ring.json"); err != nil || string(got) != "old" {
			t.Errorf("loaded %q, %v", got, err)
		}
		d.Close()
		if left, _ := filepath.Glob(filepath.Join(path, tempPrefix+"*")); len(left) != 0 {
			t.Errorf("left over: %v", left)
		}
	}
	// A crash of the very first Open: a lock, perhaps a temporary file, no identity yet.
	fresh := t.TempDir()
	write(t, filepath.Join(fresh, lockFile), "99\n")
	write(t, filepath.Join(fresh, tempPrefix+identityFile+"-1"), "{")
	mustOpen(t, fresh)
}

// A reader beside writers never sees a mixed or empty document, and no failed save leaves files.
func TestSaveIsAtomic(t *testing.T) {
	d := mustOpen(t, t.TempDir())
	if err := d.Save("doc", []byte(strings.Repeat("0", 50_000))); err != nil {
		t.Fatal(err)
	}
	var writers, reader sync.WaitGroup
	stop := make(chan struct{})
	reader.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			got, err := d.Load("doc")
			if err != nil || len(got) != 50_000 || strings.Trim(string(got), string(got[:1])) != "" {
				t.Errorf("loaded %d bytes, mixed or with %v", len(got), err)
				return
			}
		}
	})
	for g := range 4 {
		writers.Go(func() {
			for i := range 10 {
				if err := d.Save("doc", []byte(strings.Repeat(fmt.Sprint((g+i)%10), 50_000))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	reader.Wait()
	if err := os.Mkdir(filepath.Join(d.Path(), "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := d.Save("taken", []byte("x")); err == nil {
		t.Error("saved over a directory")
	}
	if left, _ := filepath.Glob(filepath.Join(d.Path(), tempPrefix+"*")); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

func BenchmarkSave(b *testing.B) {
	d, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	data := make([]byte, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Save("doc", data); err != nil {
			b.Fatal(err)
		}
	}
}

// Without a working directory a relative path leads nowhere; the refusal names it all the same.
func TestOpenNamesARelativePath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Remove(dir); err != nil {
		t.Skip(err) // not every system lets go of a working directory
	}
	if _, err := Open("nodes/data"); err == nil || !strings.Contains(err.Error(), "nodes/data") {
		t.Errorf("got %v", err)
	}
}
