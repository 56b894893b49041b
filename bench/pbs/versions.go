package pbs

import (
	"fmt"
	"math/rand/v2"
)

// Versions predicts the staleness in versions (k-staleness) of a key that one client writes
// again and again, pause after each acknowledgement, while another one reads it: the k-th
// element, k from 0 to most, is the probability that a read misses at most k of the versions that
// were acknowledged when it began. It begins at a moment that does not depend on the writes'.
func Versions(m Model, pause Sampler, most, rounds int, seed uint64) ([]float64, error) {
	if err := check(m, rounds); err != nil {
		return nil, err
	}
	if most < 0 || most > maxVersions || pause == nil {
		return nil, fmt.Errorf("pbs: up to %d versions, want 0 to %d, and a pause", most, maxVersions)
	}
	c := chain{round: round{m: &m, rng: rand.New(rand.NewPCG(seed, 1))}, pause: pause}
	at, total := make([]float64, most+2), 0.0
	for range rounds {
		missed, weight := c.missed(most)
		at[missed] += weight
		total += weight
	}
	sum := 0.0
	for k := range at {
		sum += at[k]
		at[k] = min(sum/total, 1) // the last may be above by rounding
	}
	return at[:most+1], nil
}

// chain draws the writes around one read.
type chain struct {
	round
	pause Sampler
}

// missed returns how many versions one read misses, most+1 for more than most, and how much
// that read weighs: as long as the time between two acknowledgements in which it falls, since
// a moment chosen at random more often falls into a long one.
func (c *chain) missed(most int) (versions int, weight float64) {
	c.place()
	c.read()
	// Time 0 is when the client knows of version 0; version 1 is the next.
	sent := c.pause.Sample(c.rng) + c.client()
	c.write()
	weight = sent + c.commit() + c.relay()
	arrives := c.rng.Float64()*weight + c.client()
	if sent+c.freshFrom(c.visible[:]) <= arrives {
		return 0, weight
	}
	acknowledged := 0.0
	for k := range most + 1 {
		c.write()
		sent = acknowledged - c.relay() - c.commit()
		if sent+c.freshFrom(c.visible[:]) <= arrives {
			return k, weight
		}
		acknowledged = sent - c.client() - c.pause.Sample(c.rng)
	}
	return most + 1, weight
}
