package system

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ticksPerSecond is the unit of times in /proc/PID/stat, USER_HZ: 100 on every architecture
// that Go has for Linux.
const ticksPerSecond = 100

// errStat says that a line is not one of /proc/PID/stat.
var errStat = errors.New("not a line of /proc/PID/stat")

// parseStat returns user and system time, in seconds, of all threads of a process, living
// and ended, and of its ended children (Redis forks to write its files), from its line in
// /proc/PID/stat. The second field is the program's name in
// parentheses, which may itself hold spaces and parentheses.
func parseStat(line string) (float64, error) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return 0, errStat
	}
	// The third field of the line, its state, is the first here.
	const utime, stime, cutime, cstime = 14 - 3, 15 - 3, 16 - 3, 17 - 3
	fields := strings.Fields(line[end+1:])
	if len(fields) <= cstime {
		return 0, errStat
	}
	var ticks uint64
	for _, i := range []int{utime, stime, cutime, cstime} {
		n, err := strconv.ParseUint(fields[i], 10, 62) // four of them fit in 64 bits
		if err != nil {
			return 0, fmt.Errorf("%w: %w", errStat, err)
		}
		ticks += n
	}
	return float64(ticks) / ticksPerSecond, nil
}

// cpuSeconds is the processor time that a process has used; 0 where there is no /proc.
func cpuSeconds(pid int) float64 {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	seconds, err := parseStat(string(line))
	if err != nil {
		return 0
	}
	return seconds
}

// OwnCPU is the processor time in seconds that this process has used.
func OwnCPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
