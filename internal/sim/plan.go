package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// plan is what a seed decides before a history begins.
type plan struct {
	seed      uint64
	nodes     int
	rounds    int           // of faults and load, each followed by convergence
	span      time.Duration // of one round, in the bubble's time
	split     time.Duration // for how long the first round begins with the cluster cut in two; 0: not
	think     int           // a client waits up to so many milliseconds between two requests
	hintBytes int64         // a node's room for hints; 0: the default
	losses    bool          // in each round a disk may lose data
	linksOnly bool          // machines and disks work; what they keep in memory stays
}

const (
	keys    = 5
	clients = 4
	// tinyHintBytes is room for a handful of hints, so that it runs out within seconds.
	tinyHintBytes = 2 << 10
)

// newPlan draws the plan of a seed.
func newPlan(seed uint64, rng *rand.Rand) plan {
	p := plan{seed: seed, nodes: []int{3, 3, 4, 5, 5, 5}[rng.IntN(6)], rounds: 1, span: 25 * time.Second, think: 200}
	switch rng.IntN(8) {
	case 0:
		p.span, p.think = 90*time.Second, 600
		p.split = time.Minute + time.Duration(rng.IntN(15_000))*time.Millisecond
	case 1, 2:
		p.rounds, p.span = 2, 15*time.Second
	}
	if rng.IntN(5) == 0 {
		p.hintBytes = tinyHintBytes
	}
	p.losses = rng.IntN(2) == 0
	p.linksOnly = rand.New(rand.NewPCG(seed, 7)).IntN(4) == 0 // draws of its own, so that older seeds stay what they were
	return p
}

func (p plan) String() string {
	text := fmt.Sprintf("seed %d, %d nodes, %d x %v", p.seed, p.nodes, p.rounds, p.span)
	if p.split > 0 {
		text += fmt.Sprintf(", split for %v", p.split)
	}
	if p.hintBytes > 0 {
		text += fmt.Sprintf(", room for %d bytes of hints", p.hintBytes)
	}
	if p.linksOnly {
		text += ", only links fail"
	}
	return text
}
