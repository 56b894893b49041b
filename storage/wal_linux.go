package storage

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// calm tells the kernel that the mapped files in a directory whose names end like this are not read ahead.
// It matters for logs and for tables.
//
// Badger writes its log through a mapping of a sparse file, page after page, and syncs after each batch. A page that is
// touched for the first time is read first; the kernel takes that for a sequential reader and brings in
// ever larger pieces, up to 2 MiB where the file system has large folios (ext4 since Linux 6.16), and
// a piece is dirty as a whole: each sync of a few KiB then writes up to a MiB.
//
// Tables that are larger than the memory are read in single blocks, anywhere. What a disk is read ahead for
// (128 KiB often, 8 MiB on some virtual machines) is then read for each block, and takes the memory of
// blocks that are needed: with two thirds of the tables in memory gets were 20 times slower so. Who
// reads a table from its begin to its end, a compaction or a scan, waits for each page instead if it
// is not in memory.
//
// Badger does not tell where its mappings are; the kernel does. Should one have made room for another
// meanwhile, that is only read ahead less: this changes no content.
func calm(dir, suffix string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("find mapped files: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("find mapped files: %w", err)
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("find mapped files: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// 7f00-7f40 rw-s 00000000 fe:00 1234    /data/objects/00001.mem
		span, rest, _ := strings.Cut(lines.Text(), " ")
		at := strings.Index(rest, dir+"/")
		if at < 0 || !strings.HasSuffix(rest, suffix) || filepath.Dir(rest[at:]) != dir {
			continue
		}
		from, to, _ := strings.Cut(span, "-")
		begin, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 != nil || err2 != nil || end <= begin {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, uintptr(begin), uintptr(end-begin), unix.MADV_RANDOM); errno != 0 {
			return fmt.Errorf("advise on %s: %w", rest[at:], errno)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("find mapped files: %w", err)
	}
	return nil
}

// ownSync: a sync of any descriptor of a file covers what was written through mappings of it.
const ownSync = true

// syncData makes the content of a file durable, and of its inode what reading it needs.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
