package load

import (
	"math"
	"time"
)

// schedule says when the operations of one client are due. It is a value and pure.
type schedule struct {
	client, clients int
	rate            float64 // of all clients
}

// due returns when operation k of the client is due, from the start.
func (s schedule) due(k int64) time.Duration {
	return time.Duration(float64(int64(s.client)+k*int64(s.clients)) / s.rate * 1e9)
}

// before returns how many operations of the client are due before t.
func (s schedule) before(t time.Duration) int64 {
	k := int64((t.Seconds()*s.rate-float64(s.client))/float64(s.clients)) - 1 // rounding errs by less than one
	for k = max(k, 0); s.due(k) < t; k++ {
	}
	return k
}

// allBefore returns how many operations of all clients are due before t.
func (s schedule) allBefore(t time.Duration) int64 { return int64(math.Ceil(t.Seconds() * s.rate)) }
