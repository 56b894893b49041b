package main

import "strings"

// verdict says how one replica's copy compares with the others.
type verdict string

const (
	same    verdict = "same"    // has what the replicas know together
	behind  verdict = "behind"  // its clock lacks events that another has
	differs verdict = "differs" // its clock lacks nothing, yet the copy is another one
	missing verdict = "missing" // no copy, although others have one
	none    verdict = "none"    // no copy anywhere
	unknown verdict = "unknown" // did not answer
)

// compare judges each replica against the join of all clocks: what the answering replicas know
// together, and what repair will bring them to.
func compare(replicas []replicaState) []verdict {
	join := map[actor]uint64{}
	held := false
	for _, r := range replicas {
		if r.Error != "" || r.Missing {
			continue
		}
		held = true
		for _, c := range r.Clock {
			join[c.actor] = max(join[c.actor], c.Counter)
		}
	}
	reference := referenceDigest(replicas, join)
	verdicts := make([]verdict, len(replicas))
	for i, r := range replicas {
		switch {
		case r.Error != "":
			verdicts[i] = unknown
		case r.Missing && held:
			verdicts[i] = missing
		case r.Missing:
			verdicts[i] = none
		case !r.covers(join):
			verdicts[i] = behind
		case r.Digest != reference:
			verdicts[i] = differs
		default:
			verdicts[i] = same
		}
	}
	return verdicts
}

// covers reports whether the replica's clock has everything in join.
func (r replicaState) covers(join map[actor]uint64) bool {
	have := map[actor]uint64{}
	for _, c := range r.Clock {
		have[c.actor] = c.Counter
	}
	for a, counter := range join {
		if have[a] < counter {
			return false
		}
	}
	return true
}

// referenceDigest returns the digest that most replicas with a whole clock have, the first
// of them on a tie.
func referenceDigest(replicas []replicaState, join map[actor]uint64) string {
	votes := map[string]int{}
	best := ""
	for _, r := range replicas {
		if r.Error == "" && !r.Missing && r.covers(join) {
			votes[r.Digest]++
		}
	}
	for _, r := range replicas {
		if votes[r.Digest] > votes[best] {
			best = r.Digest
		}
	}
	return best
}

// conclusion says the result in a sentence.
func conclusion(p palette, replicas []replicaState, verdicts []verdict) string {
	var off, silent []string
	held := false
	for i, v := range verdicts {
		switch v {
		case same:
			held = true
		case behind, differs, missing:
			held = true
			off = append(off, printable(replicas[i].Name))
		case unknown:
			silent = append(silent, printable(replicas[i].Name))
		}
	}
	tail := ""
	if len(silent) > 0 {
		tail = p.warn.Sprintf("; no answer from %s", strings.Join(silent, ", "))
	}
	switch {
	case len(off) > 0:
		return p.bad.Sprintf("replicas differ: %s", strings.Join(off, ", ")) + "; a read with r=all repairs the owners" + tail
	case !held:
		return "no replica that answered has this key" + tail
	}
	return p.good.Sprint("all copies are equal") + tail
}
