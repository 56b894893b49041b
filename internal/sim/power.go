package sim

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"cartwheel/storage/storagetest"
)

// powerCut copies a data directory as a power cut at this moment leaves it. The small
// documents are written, synced and renamed, so a copy of them is what is left; the store's
// directory loses what was not synced.
func powerCut(src, dst string, seed uint64) error {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := storagetest.CrashCopy(filepath.Join(src, e.Name()), filepath.Join(dst, e.Name()), seed); err != nil {
				return err
			}
			continue
		}
		data, err := os.ReadFile(filepath.Join(src, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a temporary file that has just been renamed
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dst, e.Name()), data, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
