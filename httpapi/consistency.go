package httpapi

import "cartwheel/props"

// consistency is a set of levels with a name, for those who do not want to think in numbers.
// A parameter that is given beside it wins over its part of the set.
type consistency uint8

const (
	unnamed       consistency = iota
	asBucketSays              // "default"
	fast                      // one replica is enough
	safe                      // majorities, and an owner among them
	strict                    // majorities of owners: a read sees every earlier write that was strict too
	consistencies             // how many there are
)

var consistencyNames = [consistencies]string{asBucketSays: "default", fast: "fast", safe: "safe", strict: "strict"}

// consistencyNotes are what the names add to receipts.
var consistencyNotes = [consistencies]string{asBucketSays: " consistency=default", fast: " consistency=fast",
	safe: " consistency=safe", strict: " consistency=strict"}

// note is the name as receipts show it, with a space before it; "" without a name.
func (c consistency) note() string { return consistencyNotes[c] }

// levels puts the levels that the name stands for in place of the bucket's.
func (c consistency) levels(b props.Properties) props.Properties {
	switch c {
	case fast:
		b.R, b.W, b.DW, b.RW = 1, 1, 1, 1
		b.PR, b.PW = 0, 0
	case safe:
		b.R, b.W, b.DW, b.RW = props.Majority, props.Majority, props.Majority, props.Majority
		b.PR, b.PW = 1, 1
	case strict:
		b.R, b.W, b.DW, b.RW = props.Majority, props.Majority, props.Majority, props.Majority
		b.PR, b.PW = props.Majority, props.Majority
		b.SloppyQuorum = false
	}
	return b
}

func setConsistency(c *consistency, name, value string) string {
	for i := asBucketSays; i < consistencies; i++ {
		if consistencyNames[i] == value {
			*c = i
			return ""
		}
	}
	return name + " query parameter must be one of the following words: 'fast', 'default', 'safe' or 'strict'"
}
