package system

import (
	"math"
	"os"
	"testing"
)

const statTail = " S 1 1 1 0 -1 4194560 100 200 3 4 1234 66 77 88 20 0 9 0 12345 1000 200"

func TestParseStat(t *testing.T) {
	for line, want := range map[string]float64{
		"42 (etcd)" + statTail:                              14.65,
		"42 (redis-server *:6)" + statTail:                  14.65,
		"42 (a) R 9 9 9 9 9 9 9 9 9 9 9 9 9 (b)" + statTail: 14.65,
		"42 ())" + statTail + "\n":                          14.65,
	} {
		if got, err := parseStat(line); err != nil || math.Abs(got-want) > 1e-9 {
			t.Errorf("%q: %v, %v; want %v", line, got, err, want)
		}
	}
	for _, line := range []string{"", "42 etcd S 1", "42 (etcd)", "42 (etcd) S 1 1 1 0 -1 4194560 100 200 3 4 1234", "42 (etcd) S 1 1 1 0 -1 4194560 100 200 3 4 12x4 66 77 88", "42 (etcd) S 1 1 1 0 -1 4194560 100 200 3 4 1234 66 77"} {
		if got, err := parseStat(line); err == nil {
			t.Errorf("%q: %v and no error", line, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("42 (etcd)" + statTail)
	f.Add("42 (" + statTail)
	f.Fuzz(func(t *testing.T, line string) {
		if got, err := parseStat(line); err == nil && got < 0 {
			t.Errorf("%q: %v", line, got)
		}
	})
}

// What /proc says of this process agrees with what the kernel answers to getrusage.
func TestCPUSeconds(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no /proc on this system: ", err)
	}
	x := 1.0
	for OwnCPU() < 0.2 {
		for range 1000 {
			x = math.Sqrt(x + 1)
		}
	}
	before := OwnCPU()
	got := cpuSeconds(os.Getpid())
	after := OwnCPU()
	const tick = 1.0 / ticksPerSecond
	if got < before-3*tick || got > after+3*tick { // user and system time are rounded by themselves
		t.Errorf("%v s in /proc, %v to %v s by getrusage (%v)", got, before, after, x)
	}
}
