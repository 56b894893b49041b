package client

import (
	"net/url"
	"strconv"
	"time"
)

// Quorum holds the settings that every request takes. An empty field means the bucket's own
// property. R, W, PR, PW, DW, RW and NodeConfirms are a number or one of one, quorum, all,
// default; the Booleans are "true", "false" or "default".
type Quorum struct {
	// Consistency is a level by name: ConsistencyFast, ConsistencySafe, ... The other fields, where
	// set, win over what the name stands for.
	Consistency  string
	R, PR        string // replicas, and of them primaries, that must answer a read
	W, PW, DW    string // the same for a write; DW: that have it on disk
	RW           string // for a delete: R and W when neither is given
	NodeConfirms string // distinct nodes that must answer
	NotFoundOK   string // a "not found" counts as an answer
	BasicQuorum  string // give up as soon as a majority has not found the key
	SloppyQuorum string // other nodes may stand in for owners that cannot be reached
	ReadRepair   string // "before" or "after" the answer
	// Timeout is the server's limit for one attempt; 0 means Config.Timeout. A deadline of the
	// context shortens it.
	Timeout time.Duration
}

// Named levels of consistency, for Quorum.Consistency.
const (
	ConsistencyFast    = "fast"    // one replica is enough; may miss the last write
	ConsistencyDefault = "default" // the bucket's properties
	ConsistencySafe    = "safe"    // majorities, with at least one owner among them
	ConsistencyStrict  = "strict"  // majorities of the owners; nobody stands in for them
)

// GetOptions steer a Get or Head.
type GetOptions struct {
	Quorum
	Conditions
	VTag string // only this one of several siblings
	// Resolve overrides the bucket's property "resolve": ResolveSiblings shows the siblings. Empty
	// means the bucket's.
	Resolve string
}

// ResolveSiblings asks for the siblings of a bucket whose property "resolve" hides them.
const ResolveSiblings = "siblings"

// PutOptions steer a Put.
type PutOptions struct {
	Quorum
	Conditions
	Context string // of the read that this write replaces; empty: a blind write
	// ReturnBody asks for the object after the write; without it the answer has no Context and
	// no Values.
	ReturnBody bool
	// RequestID makes repeating the write harmless, see NewRequestID; empty means a fresh one. A write
	// with conditions, and Create, send it as their IdempotencyKey.
	RequestID string
	// IdempotencyKey takes the place of RequestID: any 1 to 255 bytes of visible ASCII. A repetition is
	// also answered as the first time: with conditions that held then, and with the same key if the
	// server chose it.
	IdempotencyKey string
}

// DeleteOptions steer a Delete.
type DeleteOptions struct {
	Quorum
	Conditions
	Context        string // of the read that this delete follows; empty: the server reads first
	RequestID      string // as in PutOptions
	IdempotencyKey string // as in PutOptions
}

// query returns the parameters that are set. The timeout is not among them, because it
// depends on the attempt.
func (q Quorum) query() url.Values {
	v := url.Values{}
	for _, p := range [...]struct{ name, value string }{
		{"consistency", q.Consistency}, {"r", q.R}, {"pr", q.PR}, {"w", q.W}, {"pw", q.PW}, {"dw", q.DW}, {"rw", q.RW}, {"node_confirms", q.NodeConfirms},
		{"notfound_ok", q.NotFoundOK}, {"basic_quorum", q.BasicQuorum}, {"sloppy_quorum", q.SloppyQuorum}, {"read_repair", q.ReadRepair},
	} {
		if p.value != "" {
			v.Set(p.name, p.value)
		}
	}
	return v
}

// millis formats a duration for the timeout parameter. It rounds up: 0 would time out at once.
func millis(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10)
}
