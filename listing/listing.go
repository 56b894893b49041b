package listing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Query says what to list.
type Query struct {
	Type   string // "" is the default type
	Bucket string // whose keys; "" lists the buckets of the type that have a live object
	Prefix string // only names that begin so; "" is all
	Start  string // only names that are not below it in the order of their bytes; "" is all
	// Limit ends the list after so many names, 0 never. With a limit the names come sorted.
	Limit  int
	Sorted bool // by bytes, ascending
	// N is the n_val that decides who is asked: the bucket's for keys; for buckets the smallest one
	// in use, as every owner at that n has every object of a partition. 0 is the cluster's.
	N int
}

// Lister lists names. Its methods may be called by any number of goroutines, and block until all is
// listed. They return the error of the context when that ends, ErrNoRing, ErrClosed, and an
// *IncompleteError when something could not be listed: never a short list without an error.
type Lister interface {
	// List calls visit, on the caller's goroutine, with one or more names at a time, each name once.
	// The slice is only lent; the strings may be kept, and pin a page of up to 256 KiB. An error of
	// visit ends the listing and is returned as it is. As long as visit runs no more than one page per
	// stream is fetched ahead. What is written or deleted meanwhile may be listed or not. Before
	// an error comes, names may have been visited.
	List(ctx context.Context, q Query, visit func(names []string) error) error
	// Count returns how many names List would visit.
	Count(ctx context.Context, q Query) (int64, error)
}

var (
	// ErrNoRing says that the node does not know the ring yet.
	ErrNoRing = errors.New("listing: this node has no ring yet")
	// ErrClosed says that the node is stopping.
	ErrClosed = errors.New("listing: the node is stopping")
)

// IncompleteError names the partitions that no member could list completely.
type IncompleteError struct {
	Partitions []uint16 // ascending, at least one
	Of         int      // partitions of the ring
	// Why says for members that were asked, or left out, what was wrong with them; for people.
	Why []string
}

func (e *IncompleteError) Error() string {
	text := fmt.Sprintf("no member can list partitions %s of %d completely now", ranges(e.Partitions), e.Of)
	if len(e.Partitions) == 1 {
		text = fmt.Sprintf("no member can list partition %d of %d completely now", e.Partitions[0], e.Of)
	}
	if len(e.Why) > 0 {
		text += ": " + strings.Join(e.Why, "; ")
	}
	return text
}

// ranges writes ascending numbers as "1, 3-5, 9".
func ranges(list []uint16) string {
	var b strings.Builder
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d", list[i])
		if j > i {
			fmt.Fprintf(&b, "-%d", list[j])
		}
		i = j + 1
	}
	return b.String()
}

// newIncomplete makes the error from the partitions in any order and the reasons as they came.
func newIncomplete(partitions []uint16, of int, why []string) *IncompleteError {
	partitions = slices.Clone(partitions)
	slices.Sort(partitions)
	seen := make(map[string]bool, len(why))
	var distinct []string
	for _, w := range why {
		if !seen[w] && len(distinct) < maxWhy {
			seen[w] = true
			distinct = append(distinct, w)
		}
	}
	return &IncompleteError{Partitions: slices.Compact(partitions), Of: of, Why: distinct}
}

// maxWhy bounds the reasons of an IncompleteError.
const maxWhy = 8
