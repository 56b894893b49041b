package datadir

import (
	"testing"

	"golang.org/x/sys/unix"
)

// unixMountReadOnly shows path read-only at bind.
func unixMountReadOnly(path, bind string) error {
	if err := unix.Mount(path, bind, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := unix.Mount("", bind, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		unix.Unmount(bind, unix.MNT_DETACH)
		return err
	}
	return nil
}

func unmount(t *testing.T, path string) {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		t.Errorf("unmount %s: %v", path, err)
	}
}
