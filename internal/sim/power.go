package sim

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"cartwheel/storage/storagetest"
)

// powerCut copies a data directory as a power cut at this moment leaves it. The small
// documents are written, synced and renamed, so a copy of them is what is left; the store's
// directory loses what was not synced. What the dying node still does meanwhile must not make
// documents and objects of two moments: then the copy is made anew.
func powerCut(src, dst string, seed uint64) error {
	const tries = 100
	for range tries {
		before, err := documents(src)
		if err != nil {
			return err
		}
		if err := errors.Join(os.RemoveAll(dst), os.MkdirAll(dst, 0o755)); err != nil {
			return err
		}
		if err := storagetest.CrashCopy(filepath.Join(src, objectsDir), filepath.Join(dst, objectsDir), seed); err != nil {
			return err
		}
		after, err := documents(src)
		if err != nil {
			return err
		}
		if !maps.Equal(before, after) {
			continue
		}
		for name, data := range after {
			if err := os.WriteFile(filepath.Join(dst, name), []byte(data), 0o644); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("copy %s: its documents changed at each of %d tries", src, tries)
}

// documents returns the files of a data directory beside the store.
func documents(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	docs := map[string]string{}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a temporary file that has just been renamed
		}
		if err != nil {
			return nil, err
		}
		docs[e.Name()] = string(data)
	}
	return docs, nil
}
