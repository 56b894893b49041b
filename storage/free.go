package storage

import "golang.org/x/sys/unix"

// freeBytes returns how much an unprivileged process can still write to the file system of dir.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	for err == unix.EINTR { // file systems over a network or in a process can be interrupted
		err = unix.Statfs(dir, &st)
	}
	if err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
