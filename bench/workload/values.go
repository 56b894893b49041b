package workload

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

const (
	// MaxValueBytes bounds a value.
	MaxValueBytes = 32 << 20
	// blockBytes is what values are cut from, besides the longest one. It fits into the
	// second-level cache of common processors, so that cutting costs one copy and no misses.
	blockBytes = 1 << 20
)

// Sizes is the range of the lengths of values, in bytes, both ends included: 0 <= Min <= Max <=
// [MaxValueBytes].
type Sizes struct{ Min, Max int }

// ParseSizes returns the sizes of a text: "1024" for one length, "100-4096" for a range in which
// every length is equally likely.
func ParseSizes(text string) (Sizes, error) {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	lo, errLow := strconv.ParseUint(low, 10, 31)
	hi, errHigh := strconv.ParseUint(high, 10, 31)
	s := Sizes{int(lo), int(hi)}
	if errLow != nil || errHigh != nil || !s.Valid() {
		return Sizes{}, fmt.Errorf("value size %q: write bytes as 1024, or a range as 100-4096, up to %d", text, MaxValueBytes)
	}
	return s, nil
}

// String returns what ParseSizes takes.
func (s Sizes) String() string {
	if s.Min == s.Max {
		return strconv.Itoa(s.Min)
	}
	return strconv.Itoa(s.Min) + "-" + strconv.Itoa(s.Max)
}

// Valid says whether the bounds hold.
func (s Sizes) Valid() bool { return s.Min >= 0 && s.Min <= s.Max && s.Max <= MaxValueBytes }

// Values makes the values of the sizes. It takes some milliseconds and a megabyte.
func (s Sizes) Values(seed uint64) *Values {
	r := Rand(seed, -1)
	block := make([]byte, (blockBytes+s.Max+7)/8*8)
	for i := 0; i < len(block); i += 8 {
		binary.LittleEndian.PutUint64(block[i:], r.Uint64())
	}
	return &Values{s, block}
}

// Values cuts values from a block of random bytes. It is safe for concurrent use.
type Values struct {
	sizes Sizes
	block []byte
}

// Next returns a value. It belongs to all: the caller must not change it.
func (v *Values) Next(r *rand.Rand) []byte {
	size := v.sizes.Min
	if v.sizes.Max > size {
		size += r.IntN(v.sizes.Max - size + 1)
	}
	at := r.IntN(blockBytes)
	return v.block[at : at+size : at+size]
}
