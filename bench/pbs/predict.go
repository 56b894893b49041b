package pbs

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// Prediction is what a model says. Probabilities and quantiles are 0 to 1.
type Prediction struct {
	fresh         []float64 // time after the acknowledgement from which on a read is fresh, sorted; one per round
	reads, writes []float64 // how long they took, sorted
}

// Predict draws that many rounds, 1 to 10,000,000. It takes some 0.3 us for each leg drawn.
func Predict(m Model, rounds int, seed uint64) (*Prediction, error) {
	if err := check(m, rounds); err != nil {
		return nil, err
	}
	p := &Prediction{fresh: make([]float64, rounds), reads: make([]float64, rounds), writes: make([]float64, rounds)}
	d := round{m: &m, rng: rand.New(rand.NewPCG(seed, 0))}
	for i := range rounds {
		d.place()
		d.write()
		d.read()
		committed, known, asked := d.commit(), d.relay(), d.client()
		p.fresh[i] = d.freshFrom(d.visible[:]) - committed - known - asked
		p.reads[i], p.writes[i] = d.readTook(), committed
	}
	slices.Sort(p.fresh)
	slices.Sort(p.reads)
	slices.Sort(p.writes)
	return p, nil
}

func check(m Model, rounds int) error {
	if rounds < 1 || rounds > maxRounds {
		return fmt.Errorf("pbs: %d rounds, want 1 to %d", rounds, maxRounds)
	}
	return m.Validate()
}

// Fresh returns the probability that a read is fresh that is sent at t after the
// acknowledgement of the write; by the client, where the model has one.
func (p *Prediction) Fresh(t float64) float64 { return share(p.fresh, t) }

// Within returns how long after the acknowledgement a read is fresh with that probability; 0
// if at once.
func (p *Prediction) Within(probability float64) float64 {
	return max(0, quantile(p.fresh, probability))
}

// ReadLatency returns the time that a share q of the reads does not exceed, as seen by their
// coordinators.
func (p *Prediction) ReadLatency(q float64) float64 { return quantile(p.reads, q) }

// WriteLatency returns the time that a share q of the writes does not exceed, from sending
// them to the replicas until their coordinator has the acknowledgements.
func (p *Prediction) WriteLatency(q float64) float64 { return quantile(p.writes, q) }

// share returns which share of the sorted values is at most v.
func share(sorted []float64, v float64) float64 {
	n := sort.Search(len(sorted), func(i int) bool { return sorted[i] > v })
	return float64(n) / float64(len(sorted))
}

// quantile returns the least of the sorted values that a share q of them does not exceed.
func quantile(sorted []float64, q float64) float64 {
	// A share that is a whole number of values must not become one more by rounding.
	i := int(math.Ceil(q*float64(len(sorted)) - 1e-9))
	return sorted[min(max(i, 1), len(sorted))-1]
}
