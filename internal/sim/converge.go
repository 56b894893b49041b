package sim

import (
	"fmt"
	"strings"
	"time"

	"cartwheel/antientropy"
	"cartwheel/node"
	"cartwheel/quorum"
)

// What the simulation knows of how nodes bring their copies together is in this file.

// configure adds to the configuration of a node what the plan says, and intervals short enough
// for a history.
func configure(cfg *node.Config, p plan) {
	cfg.Storage.MaxHintBytes = p.hintBytes
	cfg.AntiEntropy = antientropy.Config{Interval: 2 * time.Second, Pause: 300 * time.Millisecond, CallTimeout: 3 * time.Second}
}

// sloppy says whether fallbacks may count.
func sloppy(o *quorum.Options, yes bool) { o.Sloppy = yes }

// unfinished returns what the node still has to do until all its copies are whole, "" if nothing.
func unfinished(n *node.Node) string {
	if n.Whole() {
		return ""
	}
	r := n.Repair()
	todo := []string{"not whole"}
	for _, h := range r.Hints {
		todo = append(todo, fmt.Sprintf("%d hints for %s (%s)", h.Count, h.Owner, h.Error))
	}
	for _, d := range r.Dirty {
		todo = append(todo, fmt.Sprintf("partitions %v of %s are dirty", d.Partitions, d.Owner))
	}
	if len(r.Unsure) > 0 {
		todo = append(todo, fmt.Sprintf("partitions %v are unsure", r.Unsure))
	}
	if r.Rebuilding > 0 {
		todo = append(todo, fmt.Sprintf("%d partitions have no tree", r.Rebuilding))
	}
	return strings.Join(todo, ", ")
}

// unsure returns whether the node has partitions that do not vote.
func unsure(n *node.Node) bool { return len(n.Repair().Unsure) > 0 }

// work counts what a node did to bring copies together.
func work(n *node.Node) Work {
	s := n.Coordinator().Stats()
	return Work{Hints: s.HintsSent, Repairs: s.ReadRepairs}
}
