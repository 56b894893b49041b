package workload

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// theta is the exponent of the law, that of YCSB and of Gray et al. (SIGMOD 1994).
const theta = 0.99

// zipf draws ranks 0..n-1 with probabilities in proportion to 1/(rank+1)^theta, by inversion of
// the integral and rejection (Hörmann and Derflinger 1996). The inversion of Gray et al., which
// YCSB uses, needs the sum over all n and is off by some percent after the second rank; this
// needs no sum, is exact, and follows a growing n for the cost of two powers.
type zipf struct {
	n         int64
	low, high float64 // of the range that is inverted: area(1/2) extended so that rank 0 is exact, area(n+1/2)
	squeeze   float64 // points this close to their integer are accepted without a look at the law
}

// area is the integral of 1/x^theta from 1 to x; negative below 1.
func area(x float64) float64 { return (math.Pow(x, 1-theta) - 1) / (1 - theta) }

// inverse is the inverse of area: 1+a*(1-theta) to the power 1/(1-theta), which is 100. As products
// that is much cheaper than [math.Pow], which would be most of a draw.
func inverse(a float64) float64 {
	x := 1 + a*(1-theta)
	x *= x
	x *= x
	x4 := x
	x *= x
	x *= x
	x *= x
	x32 := x
	return x * x * x32 * x4
}

func density(x float64) float64 { return math.Pow(x, -theta) }

func (z *zipf) resize(n int64) {
	z.n = n
	z.low = area(1.5) - 1
	z.high = area(float64(n) + 0.5)
	z.squeeze = 2 - inverse(area(2.5)-density(2))
}

// draw returns a rank. Each round accepts with a probability above nine tenths.
func (z *zipf) draw(r *rand.Rand) int64 {
	for {
		u := z.high + r.Float64()*(z.low-z.high)
		x := inverse(u)
		k := math.Floor(x + 0.5)
		k = min(max(k, 1), float64(z.n)) // rounding at the ends
		if k-x <= z.squeeze || u >= area(k+0.5)-density(k) {
			return int64(k) - 1
		}
	}
}

// scatterStep returns a number that is coprime to n and near n divided by the golden ratio:
// multiples of it modulo n visit every number once and lie far apart.
func scatterStep(n int64) int64 {
	step := max(int64(float64(n)/math.Phi), 1)
	for gcd(step, n) != 1 {
		step++
	}
	return step
}

// scatter maps ranks 0..n-1 one to one to keys 0..n-1.
func scatter(rank, step, n int64) int64 {
	high, low := bits.Mul64(uint64(rank+1), uint64(step))
	return int64(bits.Rem64(high, low, uint64(n)))
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
