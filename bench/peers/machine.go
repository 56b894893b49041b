package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"cartwheel/bench/result"
)

// machine says what this machine is, as far as /proc knows.
func machine() result.Machine {
	m := result.Machine{Cores: runtime.NumCPU()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = field(text, "model name")
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		if kib, _, ok := strings.Cut(field(text, "MemTotal"), " "); ok {
			n, _ := strconv.ParseInt(kib, 10, 64) // 0: not known
			m.MemoryBytes = n << 10
		}
	}
	return m
}

// field returns the value of the first line "name : value", "" if there is none.
func field(text []byte, name string) string {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// fileSystem is the type of the file system that holds dir, "" where /proc/mounts is not there.
func fileSystem(dir string) string {
	text, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return mountType(string(text), dir)
}

// mountType finds the last of the longest mount points above dir: later mounts hide earlier.
func mountType(mounts, dir string) string {
	best, kind := -1, ""
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		under := f[1] == "/" || dir == f[1] || strings.HasPrefix(dir, f[1]+"/")
		if under && len(f[1]) >= best {
			best, kind = len(f[1]), f[2]
		}
	}
	return kind
}

// fsyncs is how many are timed: enough for a median, in well under a second on most disks.
const fsyncs = 50

// fsyncMicros returns the median time of an fsync after 1 KiB was appended to a file in dir.
func fsyncMicros(dir string) (micros float64, err error) {
	f, err := os.CreateTemp(dir, "fsync-")
	if err != nil {
		return 0, fmt.Errorf("time an fsync: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	var took []float64
	for range fsyncs {
		if _, err := f.Write(make([]byte, 1<<10)); err != nil {
			return 0, fmt.Errorf("time an fsync: %w", err)
		}
		begin := time.Now()
		if err := f.Sync(); err != nil {
			return 0, fmt.Errorf("time an fsync: %w", err)
		}
		took = append(took, float64(time.Since(begin).Nanoseconds())/1000)
	}
	return spread(took).Median, nil
}
