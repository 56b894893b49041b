package props

import (
	"slices"
	"strconv"
)

// Quorum is how many replicas an operation needs: a number from 0, or a word that follows
// the N of the request. The word "one" is the number 1.
type Quorum int

// The quorums that depend on N.
const (
	Majority Quorum = -1 // the word quorum: floor(N/2) + 1
	All      Quorum = -2 // the word all: N
)

// ParseQuorum reads a decimal number from 0 or one of the words one, quorum and all. It
// reports false for anything else, "default" among it: that word has no value of its own.
func ParseQuorum(s string) (Quorum, bool) {
	switch s {
	case "one":
		return 1, true
	case "quorum":
		return Majority, true
	case "all":
		return All, true
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return Quorum(n), err == nil
}

// Resolve is how the siblings of an object become the one value that is shown.
type Resolve uint8

// The ways to resolve siblings.
const (
	ResolveSiblings  Resolve = iota // they do not: all are shown
	ResolveLWW                      // the latest value
	ResolveUnion                    // the union of JSON arrays as sets
	ResolveMax                      // the largest JSON number
	ResolveJSONMerge                // the fields of all JSON objects
)

// resolveWords are the names of the ways, in the same order.
var resolveWords = [...]string{"siblings", "lww", "union", "max", "json_merge"}

// String returns the word for r.
func (r Resolve) String() string {
	if int(r) < len(resolveWords) {
		return resolveWords[r]
	}
	return "Resolve(" + strconv.Itoa(int(r)) + ")"
}

// ParseResolve reads one of the words siblings, lww, union, max and json_merge.
func ParseResolve(s string) (Resolve, bool) {
	i := slices.Index(resolveWords[:], s)
	return Resolve(max(i, 0)), i >= 0
}

// Defaults are the properties whose defaults are chosen per cluster. They are not part of
// the document, so all nodes must be configured alike.
type Defaults struct {
	AllowMult bool // keep concurrent writes as siblings; in types other than "default" it is always true
	N         int  // replicas of each object; at least 1
}

// Properties is what requests need to know of a bucket.
type Properties struct {
	NVal             int  // replicas of each object; at least 1
	AllowMult        bool // concurrent writes are kept as siblings
	LastWriteWins    bool // takes precedence over AllowMult
	NotFoundOK       bool // "not found" counts toward R
	BasicQuorum      bool // give up once a majority has not found the key
	SloppyQuorum     bool // fallbacks count toward R and W
	ReadRepairBefore bool // read repair ends before the answer
	RequireContext   bool // a write without a context is refused where an object exists
	Resolve          Resolve
	R, W, DW, RW     Quorum // DW may be 0, the others not
	PR, PW           Quorum // primaries; 0 for no requirement
	NodeConfirms     Quorum // distinct nodes; 0 for no requirement
}

// Lossy reports whether the bucket shows one value per key and drops concurrent ones.
func (p Properties) Lossy() bool { return p.LastWriteWins || !p.AllowMult }
