package node

import (
	"math"
	"testing"
)

func TestClientConns(t *testing.T) {
	for files, want := range map[uint64]int{0: 1, 256: 128, 4096: 2048, 20_000: 10_000, 1 << 20: 10_000, math.MaxUint64: 10_000} {
		if got := clientConnsOf(files); got != want {
			t.Errorf("with %d files: %d, want %d", files, got, want)
		}
	}
}
