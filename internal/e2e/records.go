package e2e

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
)

// Records are generated values of one kilobyte. A value follows from the record's number and
// the version, so that nothing has to be remembered to check it.
type Records struct {
	Bucket  string
	Version uint64
}

// valueBytes is the size of a generated value.
const valueBytes = 1024

// Key returns the key of record i.
func (r Records) Key(i int) string { return fmt.Sprintf("record-%06d", i) }

// Path returns the object's path.
func (r Records) Path(i int) string { return "/buckets/" + r.Bucket + "/keys/" + r.Key(i) }

// Value appends the value of record i to dst: letters, digits, '-' and '_', which look random.
func (r Records) Value(dst []byte, i int) []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	const perWord = 10 // characters from one random word of 64 bits, 6 bits each
	source := rand.NewPCG(uint64(i), r.Version)
	for left := valueBytes; left > 0; {
		word := source.Uint64()
		for range min(left, perWord) {
			dst = append(dst, alphabet[word&63])
			word >>= 6
			left--
		}
	}
	return dst
}

// WriteLines writes the records from first to before end as "cartwheel load" reads them.
func (r Records) WriteLines(w io.Writer, first, end int) error {
	b := bufio.NewWriter(w)
	var value []byte
	for i := first; i < end; i++ {
		value = r.Value(value[:0], i)
		fmt.Fprintf(b, `{"key":%q,"value":"%s"}`+"\n", r.Key(i), value)
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	return nil
}
