package pbs

import (
	"math"
	"math/rand/v2"
)

// Sampler draws one latency, at least 0. It must not keep state: it is used by several
// goroutines at once, each with its own random numbers.
type Sampler interface {
	Sample(*rand.Rand) float64
}

// Pareto draws from a Pareto distribution: P(X > x) is (Min/x)^Alpha for x above Min.
type Pareto struct{ Min, Alpha float64 }

// Sample implements Sampler.
func (p Pareto) Sample(r *rand.Rand) float64 {
	// 1 - Float64() is in (0, 1]: the power is finite.
	return p.Min * math.Pow(1-r.Float64(), -1/p.Alpha)
}

// Exponential draws from an exponential distribution of mean 1/Rate.
type Exponential struct{ Rate float64 }

// Sample implements Sampler.
func (e Exponential) Sample(r *rand.Rand) float64 { return r.ExpFloat64() / e.Rate }

// Constant is a latency that is always the same.
type Constant float64

// Sample implements Sampler.
func (c Constant) Sample(*rand.Rand) float64 { return float64(c) }

// Empirical draws one of the measured latencies, each as likely as the others. It must not be
// empty, and not change while it is in use.
type Empirical []float64

// Sample implements Sampler.
func (e Empirical) Sample(r *rand.Rand) float64 { return e[r.IntN(len(e))] }

// Mix draws from body with probability share, else from tail.
func Mix(share float64, body, tail Sampler) Sampler { return mixture{share, body, tail} }

type mixture struct {
	share      float64
	body, tail Sampler
}

func (m mixture) Sample(r *rand.Rand) float64 {
	if r.Float64() < m.share {
		return m.body.Sample(r)
	}
	return m.tail.Sample(r)
}

// Scaled draws from of and multiplies: half of a round trip is Scaled(0.5, trips).
func Scaled(factor float64, of Sampler) Sampler { return scaled{factor, of} }

type scaled struct {
	factor float64
	of     Sampler
}

func (s scaled) Sample(r *rand.Rand) float64 { return s.factor * s.of.Sample(r) }

// Less draws from whole and takes away a draw from part, down to 0: what remains of a round
// trip when a leg of it is taken out.
func Less(whole, part Sampler) Sampler { return difference{whole, part} }

type difference struct{ whole, part Sampler }

func (d difference) Sample(r *rand.Rand) float64 {
	return max(0, d.whole.Sample(r)-d.part.Sample(r))
}
