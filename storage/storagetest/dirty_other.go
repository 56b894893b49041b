//go:build !linux

package storagetest

import (
	"errors"
	"fmt"
)

func dirtyPages(dir string) (map[string]int, error) {
	return nil, fmt.Errorf("unsynced pages of %s: %w", dir, errors.ErrUnsupported)
}
