package props

import "strconv"

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

// Defaults are the properties whose defaults are chosen per cluster. They are not part of
// the document, so all nodes must be configured alike.
type Defaults struct {
	AllowMult bool // keep concurrent writes as siblings
	N         int  // replicas of each object; at least 1
}

// Properties is what requests need to know of a bucket.
type Properties struct {
	NVal             int    // replicas of each object; at least 1
	AllowMult        bool   // concurrent writes are kept as siblings
	LastWriteWins    bool   // takes precedence over AllowMult
	NotFoundOK       bool   // "not found" counts toward R
	BasicQuorum      bool   // give up once a majority has not found the key
	SloppyQuorum     bool   // fallbacks count toward R and W
	ReadRepairBefore bool   // read repair ends before the answer
	R, W, DW, RW     Quorum // DW may be 0, the others not
	PR, PW           Quorum // primaries; 0 for no requirement
	NodeConfirms     Quorum // distinct nodes; 0 for no requirement
}

// Lossy reports whether the bucket shows one value per key and drops concurrent ones.
func (p Properties) Lossy() bool { return p.LastWriteWins || !p.AllowMult }
